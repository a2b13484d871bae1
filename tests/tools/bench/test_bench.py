"""`pyzk bench` against running servers: every workload, its end, and that nothing is left of it."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pyzk.client.aio import Client
from pyzk.client.operations import digest_acl
from pyzk.codec.opcodes import CreateMode
from pyzk.server.config.fields_security import TlsSettings
from pyzk.tools.bench.access import Access, Opener
from pyzk.tools.bench.command import run
from pyzk.tools.bench.options import Options
from pyzk.tools.bench.territory import BATCH_OPERATIONS_MAX, MARK
from pyzk.tools.bench.workloads import WORKLOADS, Connection
from pyzk.tools.output import ToolError
from tests.integration.processes import eventually, four_letter_word
from tests.server.shell import running
from tests.server.tls.certificates import Authority

pytestmark = pytest.mark.integration
ROOT = "/pyzk-bench"
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def silent_log():
    """What the server logs would stand between what the command prints."""
    with capture_logs():
        yield


@pytest.fixture
async def server():
    async with asyncio.timeout(100), running() as server:
        yield server


@asynccontextmanager
async def client_of(server):
    async with Client(f"127.0.0.1:{server.port}") as client:
        yield client


async def bench(server, capsys, **changes):
    """The exit code, and the JSON document or the lines of a small run."""
    access = Access(f"127.0.0.1:{server.port}", 10_000)
    small = {"connections": 3, "depth": 2, "keys": 20, "operations": 30, "warmup_s": 0.02, "as_json": True}
    options = Options(**{"access": access, "workloads": ("get",), **small, **changes})
    code = await run(options)
    out = capsys.readouterr().out
    return code, json.loads(out) if options.as_json else out.splitlines()


async def is_clean(server):
    async with client_of(server) as client:
        return await client.get_children("/") == ["zookeeper"]


@pytest.mark.parametrize("workload", WORKLOADS)
async def test_each_workload_does_what_was_asked_and_leaves_nothing_behind(workload, server, capsys):
    code, document = await bench(server, capsys, workloads=(workload,))
    [outcome] = document["workloads"]
    assert code == 0
    assert outcome["workload"] == workload
    assert outcome["operations"] == 30
    assert outcome["errors"] == {}
    assert outcome["latency_ms"]["p50"] > 0
    assert await is_clean(server)


async def test_one_connection_is_its_own_neighbour(server, capsys):
    _, document = await bench(server, capsys, workloads=("watch",), connections=1, depth=1)
    assert document["workloads"][0]["errors"] == {}


async def test_the_same_workload_can_be_run_twice(server, capsys):
    _, document = await bench(server, capsys, workloads=("create", "create", "watch", "watch"))
    assert [outcome["errors"] for outcome in document["workloads"]] == [{}] * 4


async def test_people_read_servers_table_and_bars(server, capsys):
    code, lines = await bench(server, capsys, as_json=False)
    assert code == 0
    assert lines[0].split()[:2] == [f"127.0.0.1:{server.port}", "standalone"]
    assert lines[1].startswith(
        "3 connections, 2 requests on each, as fast as possible; 20 keys of 100 bytes; 30 operati"
    )
    assert any(line.startswith("get ") for line in lines)
    assert any("█" in line for line in lines)


async def test_with_a_rate_what_is_due_is_sent_or_told(server, capsys):
    _, document = await bench(server, capsys, rate=100.0, operations=None, seconds=0.5)
    [outcome] = document["workloads"]
    assert 48 <= outcome["operations"] + outcome["unsent"] <= 51
    assert document["load"]["rate"] == 100


async def test_many_and_large_keys_are_created_in_batches_that_servers_take(server, capsys):
    code, _ = await bench(server, capsys, keys=2 * BATCH_OPERATIONS_MAX + 7, workloads=("children",))
    assert code == 0
    code, _ = await bench(server, capsys, keys=5, value_bytes=400_000, workloads=("set",), operations=6)
    assert code == 0
    assert await is_clean(server)


async def test_a_root_that_is_somebody_else_s_is_left_alone(server, capsys):
    async with client_of(server) as client:
        await client.create("/mine", b"precious")
        await client.create("/mine/child")
        with pytest.raises(ToolError, match="/mine exists and is not pyzk bench's"):
            await bench(server, capsys, root="/mine")
        assert (await client.get("/mine"))[0] == b"precious"
        assert await client.get_children("/mine") == ["child"]


async def test_a_root_is_not_made_out_of_nothing(server, capsys):
    with pytest.raises(ToolError, match="the znode above it does not exist"):
        await bench(server, capsys, root="/no/bench")


async def test_what_a_killed_run_has_left_is_deleted_by_the_next(server, capsys):
    async with client_of(server) as client:
        await client.create(ROOT, MARK)
        for path in ("/work", "/keys", "/keys/0000001", "/keys/0000001/deep"):
            await client.create(ROOT + path)
    assert (await bench(server, capsys))[0] == 0
    assert await is_clean(server)


async def test_two_runs_do_not_share_a_root(server, capsys):
    async with client_of(server) as client:
        await client.create(ROOT, MARK)
        await client.create(f"{ROOT}/running", mode=CreateMode.EPHEMERAL)
        with pytest.raises(ToolError, match="another pyzk bench is at work there"):
            await bench(server, capsys)
        assert await client.get_children(ROOT) == ["running"]


async def test_a_workload_without_any_success_is_exit_code_1(server, capsys, monkeypatch):
    monkeypatch.setattr("pyzk.tools.bench.territory.Territory.key", lambda *_: f"{ROOT}/nothing")
    monkeypatch.setattr("pyzk.tools.bench.territory.Territory.fill", _fill_nothing)
    code, document = await bench(server, capsys, operations=8)
    assert code == 1
    assert document["workloads"][0]["errors"] == {"NoNodeError": 8}
    assert document["notes"][0] == "get: no success at all, 8 NoNodeError"


async def _fill_nothing(territory, _advance, _stop):
    await territory._client.create(territory.work_path)


async def test_a_session_that_has_ended_is_replaced_by_another(server):
    opener = Opener(Access(f"127.0.0.1:{server.port}", 10_000))
    connection = Connection(opener, await opener.open())
    first = connection.client
    await connection.renew()
    assert connection.client is first
    await first.close()
    await asyncio.gather(connection.renew(), connection.renew())
    assert connection.client is not first
    assert connection.client.state.connected
    await connection.client.close()


async def test_a_digest_identity_opens_what_is_closed_to_others(server, capsys):
    async with client_of(server) as client:
        await client.create("/bob", acl=[digest_acl("bob", "secret")])
    hosts = f"127.0.0.1:{server.port}"
    code, _ = await bench(
        server, capsys, root="/bob/bench", access=Access(hosts, 10_000, user="bob", password="secret")
    )
    assert code == 0


async def test_tls_is_taken_from_a_file_of_properties_as_pyzk_cli_does(tmp_path, capsys):
    authority = Authority(tmp_path)
    files = {"key_store_location": str(authority.issue("server")), "trust_store_location": str(authority.trust)}
    properties = tmp_path / "client.properties"
    properties.write_text(
        f"zookeeper.client.secure=true\nzookeeper.ssl.trustStore.location={authority.trust}\n"
        f"zookeeper.ssl.keyStore.location={authority.issue('client')}\n"
    )
    async with running(
        client_tls=TlsSettings(**files), secure_client_port=0, secure_client_port_address="127.0.0.1"
    ) as server:
        access = Access(f"127.0.0.1:{server.secure_port}", 10_000, str(properties))
        code, document = await bench(server, capsys, access=access, workloads=("get", "session"))
        assert code == 0
        assert document["servers"][0]["mode"] == "standalone"


# Processes


def start(hosts, *arguments):
    command = [sys.executable, "-m", "pyzk.tools.main", "bench", "--server", hosts, "--keys", "20", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)


def is_under_load(server):
    """Its clients have sent more than the making of the keys takes."""
    lines = four_letter_word(server.port, "srvr").splitlines()
    return any(line.startswith("Received: ") and int(line.split()[1]) > 500 for line in lines)


def children(server):
    async def ask():
        async with Client(server.hosts) as client:
            return await client.get_children("/")

    return asyncio.run(ask())


@pytest.mark.parametrize(("jobs", "number"), [("1", signal.SIGINT), ("2", signal.SIGTERM)])
def test_control_c_shows_what_there_is_and_deletes_everything(jobs, number, fresh_server):
    process = start(fresh_server.hosts, "--seconds", "100", "--workload", "set,get", "--jobs", jobs, "--warmup", "0")
    eventually(lambda: is_under_load(fresh_server), "load")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""
    assert any(line.startswith("set ") for line in out.splitlines())
    assert "get " not in out
    assert children(fresh_server) == ["zookeeper"]


def test_control_c_before_there_is_a_session_ends_it_at_once():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = start(f"127.0.0.1:{silent.getsockname()[1]}")
        with silent.accept()[0]:
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 130


def test_a_second_control_c_does_not_wait_for_a_server_that_is_gone(fresh_server):
    process = start(fresh_server.hosts, "--seconds", "100", "--workload", "set", "--warmup", "0")
    eventually(lambda: is_under_load(fresh_server), "load")
    fresh_server.kill()
    process.send_signal(signal.SIGINT)
    assert any(line.startswith("set: no success for ") for line in process.stdout)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == f"pyzk bench: {ROOT} is left behind; the next run deletes it\n"
    assert process.returncode == 130


def test_jobs_share_the_work(fresh_server):
    process = start(fresh_server.hosts, "--operations", "101", "--workload", "get,create", "--jobs", "2", "--json")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert [outcome["operations"] for outcome in json.loads(out)["workloads"]] == [101, 101]
    assert children(fresh_server) == ["zookeeper"]


def test_what_a_job_cannot_do_is_told_once(fresh_server):
    (fresh_server.folder / "password").write_text("secret")
    process = start(fresh_server.hosts, "--jobs", "2", "--connections", "3", "--client-configuration", "/nowhere")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.count("\n") == 1


def test_a_server_that_is_lost_for_a_while_is_a_gap(fresh_server):
    process = start(fresh_server.hosts, "--seconds", "4", "--workload", "set", "--json", "--warmup", "0")
    eventually(lambda: is_under_load(fresh_server), "load")
    fresh_server.kill()
    fresh_server.start()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    [outcome] = json.loads(out)["workloads"]
    assert outcome["errors"]["ConnectionLostError"] > 0
    assert outcome["longest_gap_s"]["length"] > 0.1
    assert children(fresh_server) == ["zookeeper"]
