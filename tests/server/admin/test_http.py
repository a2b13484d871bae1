"""The admin server: each answer beside Apache's, who may have a snapshot, and what a flood may not do."""

import asyncio
import contextlib
import gc
import json
import re
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ACL
from pyzk.codec.requests import SetACLRequest
from pyzk.errors import AdminPortError
from pyzk.server.admin.http.commands import BY_NAME, COMMANDS
from pyzk.server.admin.http.text import render
from pyzk.server.standalone import Server
from pyzk.tree.acl import digest_id
from tests.server.ensemble import Ensemble, ensemble
from tests.server.http import Answer, get, parse
from tests.server.shell import Wire, running, until

VECTORS = Path(__file__).parents[2] / "vectors" / "admin"
ON = {"admin_enabled": True, "admin_address": "127.0.0.1", "admin_port": 0}
PROMETHEUS = {
    "metrics_provider": "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
    "metrics_address": "127.0.0.1",
    "metrics_port": 0,
}
SUPER = "digest super:secret"
WITH_SUPER = {"super_digest": digest_id(b"super:secret").decode()}
NOT_SERVING = "This ZooKeeper instance is not currently serving requests"
# What is a key in one place is a number or a path in another: whose clients there are is a matter of the capture.
DATA_KEYS = {
    *("expiry_time_to_session_ids", "session_id_to_ephemeral_paths", "session_id_to_watched_paths"),
    "path_to_session_ids",
}


def captures(state: str) -> list[str]:
    return sorted(path.name.split(".")[0] for path in VECTORS.glob(f"*.{state}.json"))


def captured(command: str, state: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((VECTORS / f"{command}.{state}.json").read_text())
    return found


def shape(value: object, *, is_data: bool = False) -> object:
    """Names and types, in order; of a list the first item."""
    if isinstance(value, dict):
        pairs = [("*" if is_data else key, shape(item, is_data=key in DATA_KEYS)) for key, item in value.items()]
        return pairs[:1] if is_data else pairs
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    if isinstance(value, bool | None):
        return value
    return "number" if isinstance(value, int | float) else "text"


def generic(names: list[str]) -> list[str]:
    found = [
        re.sub(r"_(?:\d+|[a-z]+)_((?:learner_handler|read_per|write_per)\w+)$", r"_KEY_\1", name) for name in names
    ]
    return list(dict.fromkeys(found))


def assert_alike(command: str, state: str, body: bytes) -> None:
    ours, theirs = json.loads(body), captured(command, state)
    if command == "monitor":
        found = [generic(list(names)) for names in (ours, theirs)]
        if state == "read-only":  # where nothing was written yet, there is no znode to count for
            found = [[name for name in names if "_per_namespace" not in name] for names in found]
        assert found[0] == found[1]
    elif command == "environment":
        apaches = list(theirs)[:-2]
        assert list(ours)[: len(apaches)] == apaches
        assert all(name.startswith("python.") for name in list(ours)[len(apaches) : -2])
    elif command == "initial_configuration":  # null in Apache's ensembles, which do not keep the text
        assert list(ours) == list(theirs)
    else:
        assert shape(ours) == shape(theirs)


async def ask(server: Server, command: str, **headers: str) -> Answer:
    return await get(server.admin_port, f"/commands/{command}", **headers)


async def fields(server: Server, command: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((await ask(server, command))[2])
    return found


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "data", **ON, **PROMETHEUS, **WITH_SUPER, text="a=b\n") as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Wire]:
    """A client as that of the captures: watches, ephemerals, enough txns for two digests."""
    wire = await Wire.session(server)
    await wire.ask(wire.create(b"/app"))
    await wire.ask(wire.create(b"/app/n", flags=1))
    await wire.ask(wire.get_data(b"/app", watch=True))
    await wire.ask(wire.exists(b"/app/missing", watch=True))
    wire.send(*[wire.set_data(b"/app", b"x") for _ in range(260)])
    await wire.replies(260)
    yield wire
    await wire.close()


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("command", captures("standalone"))
async def test_a_command_has_the_keys_of_apache_in_their_order(server: Server, command: str) -> None:
    if command == "dump":  # the capture has no session left in a bucket, or has: both are right
        ours, theirs = await fields(server, command), captured(command, "standalone")
        assert list(ours) == list(theirs)
        return
    status, headers, body = await ask(server, command)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert_alike(command, "standalone", body)


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_answers_are_written_as_jackson_writes_them(path: Path) -> None:
    text = path.read_text()
    assert render(json.loads(text)) == text.rstrip("\n")


async def test_answers_of_an_ensemble_have_the_keys_of_apache_in_their_order() -> None:
    async with ensemble(4, observers=(4,), **ON, **PROMETHEUS) as four:
        wires = {server_id: await Wire.session(server) for server_id, server in four.servers.items()}
        await wires[four.leader()].ask(wires[four.leader()].create(b"/app"))
        await four.level()
        for server_id, wire in wires.items():
            path = b"/app/%d" % server_id
            await wire.ask(wire.create(path))
            await wire.ask(wire.create(path + b"/n", flags=1))
            await wire.ask(wire.get_data(path, watch=True))
        writer = wires[four.leader()]
        writer.send(*[writer.set_data(b"/app", b"x") for _ in range(260)])
        await writer.replies(260)
        await four.level()
        states = {"leader": four.leader(), "follower": four.followers()[0], "observer": 4}
        for state, server_id in states.items():
            for command in captures(state):
                assert_one(command, state, (await ask(four[server_id], command))[2])
        assert (await fields(four[four.leader()], "voting_view"))["current_config"].keys() == {"1", "2", "3"}
        for wire in wires.values():
            await wire.close()


def assert_one(command: str, state: str, body: bytes) -> None:
    try:
        assert_alike(command, state, body)
    except AssertionError as error:
        raise AssertionError(f"{command}.{state}: {error}") from error


async def test_a_member_without_a_quorum_answers_as_apaches() -> None:
    members = Ensemble(3, **ON)
    await members.start(1)
    try:
        for command in captures("not-serving"):
            body = (await ask(members[1], command))[2]
            assert_one(command, "not-serving", body)
        assert (await fields(members[1], "monitor"))["error"] == NOT_SERVING
    finally:
        await members.stop(1)


async def test_a_read_only_server_answers_as_apaches() -> None:
    members = Ensemble(3, **ON, read_only_mode_enabled=True)
    await members.start(1)
    try:
        await until(lambda: members[1].is_serving, "it serves reads")
        for command in captures("read-only"):
            body = (await ask(members[1], command))[2]
            assert_one(command, "read-only", body)
        status, _, body = await get(members[1].admin_port, "/readyz")
        assert (status, json.loads(body)["reason"]) == (503, "read-only: there is no quorum")
        assert (await get(members[1].admin_port, "/readyz?read-only=true"))[0] == 200
    finally:
        await members.stop(1)


async def test_every_alias_answers_under_the_first_name(server: Server) -> None:
    for name, command in BY_NAME.items():
        assert (await fields(server, name))["command"] == command.name


async def test_the_index_lists_all_commands(server: Server) -> None:
    status, _, body = await get(server.admin_port, "/commands")
    lines = body.decode().splitlines()
    names = [re.fullmatch(r'<a href="/commands/(\w+)">\1</a>', line)[1] for line in lines[::2]]
    assert status == 200
    assert names == sorted([*(command.name for command in COMMANDS), "restore", "snapshot"])
    assert set(lines[1::2]) == {"<br/>"}


async def test_what_is_no_command_is_said_so(server: Server) -> None:
    assert await fields(server, "nosuch") == {"command": "nosuch", "error": "Unknown command: nosuch"}
    assert (await get(server.admin_port, "/elsewhere"))[0] == 404
    for method, status in {"PUT": 405, "DELETE": 405, "TRACE": 403, "POST": 405}.items():
        assert (await get(server.admin_port, "/commands/ruok", method=method))[0] == status, method
    status, headers, body = await get(server.admin_port, "/commands/ruok", method="HEAD")
    assert (status, body) == (200, b"")
    assert headers["content-type"] == "application/json"


async def test_the_trace_mask_can_be_set(server: Server) -> None:
    complaint = "setTraceMask requires long traceMask argument"
    assert (await fields(server, "set_trace_mask"))["error"] == complaint
    assert (await fields(server, "stmk?traceMask=abc"))["error"] == f"{complaint}, got abc"
    assert (await fields(server, "stmk?traceMask=7"))["tracemask"] == 7
    assert (await fields(server, "gtmk"))["tracemask"] == 7


@pytest.mark.parametrize(
    "noise", [b"\x16\x03\x01\x02\x00\x01", b"\x80\x81 / \xff\r\n\r\n", b"GET /\x00 HTTP/9.9\r\n\r\n"]
)
async def test_what_is_no_http_is_answered_and_not_logged(
    server: Server, noise: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.admin_port)
    writer.write(noise)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.") or answer == b""
    assert caplog.records == []


async def test_secrets_stay_where_they_are(tmp_path: Path) -> None:
    text = "tickTime=2000\nDigestAuthenticationProvider.superDigest=super:abc\nssl.keyStore.password=hunter\n"
    sources = {"super_digest": "zoo.cfg:2", "tick_time_ms": "zoo.cfg:1"}
    async with running(tmp_path / "data", tick_time_ms=2000, **ON, **WITH_SUPER, text=text, sources=sources) as server:
        both = (await ask(server, "icfg"))[2] + (await ask(server, "sysp"))[2]
        assert b"super:" not in both
        assert b"hunter" not in both
        assert b"tickTime=2000" in both
        assert b'"zookeeper.tickTime" : "2000"' in both


async def test_another_path_for_commands(tmp_path: Path) -> None:
    async with running(tmp_path / "data", **ON, admin_command_url="/zk") as server:
        assert (await get(server.admin_port, "/zk/ruok"))[0] == 200
        assert (await get(server.admin_port, "/commands/ruok"))[0] == 404


async def test_a_busy_port_is_an_error_with_a_remedy(server: Server, tmp_path: Path) -> None:
    other = {**ON, "admin_port": server.admin_port}
    with pytest.raises(AdminPortError, match=r"admin\.enableServer=false"):
        async with running(tmp_path / "other", **other):
            pass


# Probes.


async def test_probes_know_the_quorum() -> None:
    async with ensemble(3, **ON, sync_limit_ticks=20) as three:
        leader = three[three.leader()]
        for server in three.servers.values():
            status, _, body = await get(server.admin_port, "/readyz")
            assert (status, json.loads(body)["quorum"]) == (200, {"voters": 3, "has_quorum": True})
            assert (await get(server.admin_port, "/livez"))[0] == 200
        await three.stop(*three.followers())
        async with asyncio.timeout(20):
            while (await get(leader.admin_port, "/readyz"))[0] == 200:
                pass
        status, _, body = await get(leader.admin_port, "/readyz")
        assert (status, json.loads(body)["ready"]) == (503, False)
        assert (await get(leader.admin_port, "/livez"))[0] == 200


# Snapshots.


async def restrict_root(wire: Wire, *entries: ACL) -> None:
    reply = await wire.ask(wire.request(OpCode.SET_ACL, SetACLRequest(b"/", list(entries), -1)))
    assert reply.err == 0


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("digest", 401),
        ("nosuch x", 401),
        ("digest super:secret more", 401),
        ("x509", 401),
        ("digest bad:bad", 403),
        ("ip", 403),
        (SUPER, 200),
    ],
)
async def test_row_15_only_the_super_user_gets_a_snapshot_while_the_root_is_open(
    server: Server, header: str | None, status: int
) -> None:
    headers = {} if header is None else {"Authorization": header}
    assert (await ask(server, "snapshot", **headers))[0] == status


async def test_the_acl_of_the_root_may_let_others_have_one(server: Server, client: Wire) -> None:
    allowed = ACL(31, b"digest", digest_id(b"operator:pass"))
    await restrict_root(client, allowed, ACL(1, b"digest", digest_id(b"reader:pass")), ACL(1, b"world", b"anyone"))
    assert (await ask(server, "snapshot", Authorization="digest reader:pass"))[0] == 403
    assert (await ask(server, "snapshot", Authorization="digest operator:pass"))[0] == 200


@pytest.mark.parametrize("trusts", [False, True])
async def test_an_address_from_a_proxy_counts_only_where_it_is_believed(tmp_path: Path, *, trusts: bool) -> None:
    options = {**ON, **WITH_SUPER, "admin_trusts_forwarded": trusts, "admin_rate_limit_interval_ms": 0}
    async with running(tmp_path / "data", **options) as server:
        wire = await Wire.session(server)
        await restrict_root(wire, ACL(31, b"ip", b"10.0.0.7"))
        await wire.close()
        for forwarded, known in (
            ("10.0.0.7, 10.0.0.1", True),
            ("10.0.0.8", False),
            ("nonsense", False),
            ("a:b", False),
        ):
            status = (await ask(server, "snapshot", Authorization="ip", X_Forwarded_For=forwarded))[0]
            assert status == (200 if known and trusts else 403), forwarded


async def test_a_snapshot_comes_back_as_it_went(server: Server, client: Wire) -> None:
    status, headers, body = await ask(server, "snapshot", Authorization=SUPER)
    assert status == 200
    assert headers["content-type"] == "application/octet-stream"
    assert int(headers["snapshot_size"]) == len(body)
    assert headers["last_zxid"] == f"0x{server.peer.service.tree.last_zxid:x}"
    kept = (server.peer.service.tree.digest, server.peer.service.tree.last_zxid)
    await client.ask(client.create(b"/later"))
    status, _, answer = await get(server.admin_port, "/commands/restore", method="POST", body=body, Authorization=SUPER)
    assert (status, json.loads(answer)) == (200, {"last_zxid": kept[1], "command": "restore", "error": None})
    assert (server.peer.service.tree.digest, server.peer.service.tree.last_zxid) == kept
    # The session lives on, and what it writes is durable under the restored tree.
    assert (await client.ask(client.exists(b"/later"))).err == -101
    assert (await client.ask(client.create(b"/after"))).err == 0
    assert server.peer.service.tree.last_zxid == kept[1] + 1


async def test_a_restored_tree_is_there_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path / "data", **ON, **WITH_SUPER) as server:
        wire = await Wire.session(server)
        await wire.ask(wire.create(b"/before"))
        body = (await ask(server, "snapshot", Authorization=SUPER))[2]
        await wire.ask(wire.create(b"/later"))
        await get(server.admin_port, "/commands/restore", method="POST", body=body, Authorization=SUPER)
        await wire.ask(wire.create(b"/after"))
        await wire.close()
    async with running(tmp_path / "data") as server:
        nodes = server.peer.service.tree.nodes
        assert (b"/before" in nodes, b"/later" in nodes, b"/after" in nodes) == (True, False, True)


async def test_a_damaged_snapshot_is_refused_and_counts_for_the_limit(server: Server) -> None:
    async def restore() -> int:
        return (await get(server.admin_port, "/commands/restore", method="POST", body=b"ZKSN", Authorization=SUPER))[0]

    digest = server.peer.service.tree.digest
    assert [await restore(), await restore()] == [500, 429]
    assert (server.statistics.restore_errors, server.statistics.restores_rate_limited) == (1, 1)
    assert server.peer.service.tree.digest == digest


async def test_row_15_snapshots_are_limited_in_milliseconds(server: Server) -> None:
    statuses = [(await ask(server, "snap?streaming=false", Authorization=SUPER))[0] for _ in range(2)]
    assert statuses == [200, 429]
    assert server.statistics.snapshots_rate_limited == 1


@pytest.mark.parametrize(
    ("setting", "status"),
    [("admin_snapshot_enabled", 503), ("serialize_last_processed_zxid", 500)],
)
async def test_snapshots_can_be_switched_off(tmp_path: Path, setting: str, status: int) -> None:
    async with running(tmp_path / "data", **ON, **WITH_SUPER, **{setting: False}) as server:
        assert (await ask(server, "snapshot", Authorization=SUPER))[0] == status


async def test_restore_is_asked_with_post(server: Server) -> None:
    assert (await ask(server, "restore", Authorization=SUPER))[0] == 405


# Restoring an ensemble.


async def restore(server: Server, body: bytes) -> tuple[int, dict[str, object]]:
    status, _, answer = await get(server.admin_port, "/commands/restore", method="POST", body=body, Authorization=SUPER)
    return status, json.loads(answer)


@pytest.fixture
async def three() -> AsyncIterator[Ensemble]:
    """The last one observes."""
    async with ensemble(3, observers=(3,), **ON, **WITH_SUPER, admin_rate_limit_interval_ms=0) as members:
        yield members


def contents(server: Server) -> set[bytes]:
    return {path for path in server.peer.service.tree.nodes if path.count(b"/") == 1}


async def test_a_leader_gives_a_restored_tree_to_all(three: Ensemble) -> None:
    leader = three.leader()
    wire = await Wire.session(three[leader])
    await wire.ask(wire.create(b"/before"))
    body = (await ask(three[leader], "snapshot", Authorization=SUPER))[2]
    await wire.ask(wire.create(b"/later"))
    next_epoch = (three[leader].peer.service.tree.last_zxid >> 32) + 1
    status, answer = await restore(three[leader], body)
    assert (status, answer["last_zxid"]) == (200, next_epoch << 32), "zxids go on: no client has seen a later one"
    assert three.leader() == leader
    await three.serving()
    again = await Wire.session(three[leader])
    assert wire.response is not None
    assert wire.response.session_id in three[leader].peer.service.tree.sessions
    assert (await again.ask(again.create(b"/after"))).err == 0
    await three.level()
    for server in three.servers.values():
        assert contents(server) >= {b"/before", b"/after"}
        assert b"/later" not in contents(server)
        assert server.peer.service.tree.last_zxid >> 32 == next_epoch
    for connection in (wire, again):
        await connection.close()


async def test_a_restored_ensemble_starts_with_what_it_was_given(three: Ensemble) -> None:
    body = (await ask(three[three.leader()], "snapshot", Authorization=SUPER))[2]
    wire = await Wire.session(three[three.leader()])
    await wire.ask(wire.create(b"/later"))
    assert (await restore(three[three.leader()], body))[0] == 200
    await three.serving()
    await wire.close()
    await three.stop(1, 2, 3)
    await three.start()
    await three.serving()
    for server in three.servers.values():
        assert b"/later" not in contents(server)


async def test_who_does_not_lead_restores_nothing_and_names_who_does(three: Ensemble) -> None:
    follower, leader = three[three.followers()[0]], three.leader()
    body = (await ask(follower, "snapshot", Authorization=SUPER))[2]
    status, answer = await restore(follower, body)
    assert status == 503
    assert answer["error"] == f"server {leader} leads: ask it, and it gives the data to all"


async def test_a_tree_that_does_not_fit_changes_nothing(three: Ensemble) -> None:
    leader = three[three.leader()]
    body = (await ask(leader, "snapshot", Authorization=SUPER))[2]
    epoch = leader.peer.member.state.current_epoch
    disk = three.disks[three.leader()]
    disk.capacity_bytes = 1 << 16
    status, answer = await restore(leader, body)
    assert status == 500
    assert "not enough space" in str(answer["error"])
    assert leader.peer.member.state.current_epoch == epoch
    disk.capacity_bytes = 1 << 50


async def test_a_leader_that_loses_its_followers_meanwhile_says_that_nobody_has_taken_the_data(
    three: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyzk.server.ensemble.REPLACE_SECONDS_MAX", 0.5)
    leader = three[three.leader()]
    body = (await ask(leader, "snapshot", Authorization=SUPER))[2]
    await three.stop(three.followers()[0])
    status, answer = await restore(leader, body)
    assert (status, answer["error"]) == (503, "no quorum has taken the data yet: look who leads, and what it has")


async def test_restored_data_that_no_quorum_has_taken_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyzk.server.ensemble.REPLACE_SECONDS_MAX", 0.5)
    async with ensemble(3, **ON, **WITH_SUPER) as voters:
        alone, others = voters.leader(), voters.followers()
        body = (await ask(voters[alone], "snapshot", Authorization=SUPER))[2]
        wire = await Wire.session(voters[alone])
        await wire.ask(wire.create(b"/kept"))
        await voters.level()
        await voters.stop(*others)
        assert (await restore(voters[alone], body))[0] == 503
        await wire.close()
        await voters.stop(alone)
        await voters.start(*others)
        await voters.serving()
        await voters.start(alone)
        await voters.serving()
        again = await Wire.session(voters[alone])
        assert (await again.ask(again.create(b"/after"))).err == 0
        await voters.level()
        for server in voters.servers.values():
            assert contents(server) >= {b"/kept", b"/after"}
            assert not server.peer.member.state.doubt
        await again.close()


# Floods.


async def test_more_connections_than_the_limit_are_closed_at_once(tmp_path: Path) -> None:
    async with running(tmp_path / "data", **ON, admin_connections_max=3) as server:
        held = [await asyncio.open_connection("127.0.0.1", server.admin_port) for _ in range(3)]
        held[0][1].write(b"GET /commands/ruok HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in await held[0][0].readuntil(b"\r\n\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.admin_port)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        for _, other in held:
            other.close()
        await until(lambda: server.peer.is_serving, "clients are served")
        wire = await Wire.session(server)
        await wire.close()


async def test_a_silent_connection_is_closed(tmp_path: Path) -> None:
    async with running(tmp_path / "data", **ON, admin_idle_timeout_ms=50) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.admin_port)
        writer.write(b"GET /commands/ruok HT")
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("waits", [True, False])
async def test_what_is_no_http_is_forgotten_without_a_garbage_collection(server: Server, *, waits: bool) -> None:
    """The error and its traceback knew each other, with all that was sent: 70 kB a connection."""
    admin = next(port for port in server._operations if port.port == server.admin_port)
    connections = admin._gate.connections  # type: ignore[attr-defined]
    gc.collect()
    gc.disable()
    try:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", server.admin_port))
        await until(lambda: connections, "the connection is there")
        connection = weakref.ref(*connections)
        wire.writer.write(b"\x16\x03\x01" * 100)
        if waits:
            assert (await wire.reader.read()).startswith(b"HTTP/1.0 400 ")
        else:
            connection().data_received(b"\x16\x03\x01")
            connection().transport.abort()
        await wire.close()
        await until(lambda: connection() is None, "the connection is forgotten")
    finally:
        gc.enable()


async def test_a_flood_waits_for_itself_while_clients_are_served(server: Server) -> None:
    async def flood() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.admin_port)
        try:
            while True:
                writer.write(b"GET /commands/monitor HTTP/1.1\r\nHost: x\r\n\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(re.search(rb"Content-Length: (\d+)", head)[1]))
        finally:
            writer.close()

    floods = [asyncio.create_task(flood()) for _ in range(20)]
    wire = await Wire.session(server)
    answered = 0
    async with asyncio.timeout(20):
        while answered < 500:
            await wire.ask(wire.get_data(b"/"))
            answered += 1
    assert parse(b"HTTP/1.1 200 OK\r\n\r\n")[0] == 200
    for task in floods:
        task.cancel()
    await asyncio.gather(*floods, return_exceptions=True)
    await wire.close()
