"""Three real `pyzk-server --config`: how soon they serve, that they lose nothing, and who comes back how."""

import json
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path

import pytest

from tests.integration.ensemble import Ensemble, Member
from tests.integration.load import Load
from tests.integration.processes import STOP_TIMEOUT_S, eventually, four_letter_word, free_port

FORM_SECONDS_MAX = 1.0
"""From the moment when the last server listens to that when all serve; a start itself is mostly Python's."""
WRITES = 300


@pytest.fixture
def ensemble(tmp_path: Path) -> Iterator[Ensemble]:
    # A follower that was away for some seconds gets a DIFF, however small the tree is beside it.
    with Ensemble(tmp_path, ["pyzk"] * 3, {"commitLogCount": 50_000}) as ensemble:
        yield ensemble


def events(member: Member, name: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in member.logged().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def moment(member: Member, name: str) -> float:
    """When something was logged first."""
    text = str(events(member, name)[0]["timestamp"])
    return datetime.fromisoformat(text).timestamp()


def require_well(ensemble: Ensemble) -> None:
    """No server has complained of itself, and all have the same tree, digests and files."""
    assert ensemble.unlike() == []
    for member in ensemble.members.values():
        assert "Traceback" not in member.logged(), member.log_tail()
        assert events(member, "server_failed") == []


def run_load(ensemble: Ensemble, disturb: Callable[[Load], None]) -> Load:
    """Load before, during and after something; what was promised is kept."""
    with Load(ensemble.hosts()) as load:
        load.wait_for(WRITES)
        disturb(load)
        load.wait_for(WRITES)
    ensemble.wait_until_serving()
    ensemble.wait_until_level()
    for tree in ensemble.trees().values():
        assert load.verify(tree) == []
    assert load.farewell() == []
    print(load.summary())
    return load


# Starting and serving.


def test_three_servers_serve_soon_after_they_listen(ensemble: Ensemble) -> None:
    began_at = time.time()
    ensemble.start()
    members = list(ensemble.members.values())
    serve_at = [moment(member, "serves") for member in members]
    listen_at = max(moment(member, "peer_port_open") for member in members)
    print(f"from cold {max(serve_at) - began_at:.2f} s, of these {max(serve_at) - listen_at:.2f} s to form")
    assert max(serve_at) - listen_at < FORM_SECONDS_MAX
    assert sorted(member.mode for member in members) == ["follower", "follower", "leader"]


def test_what_is_written_through_one_server_is_read_through_all(ensemble: Ensemble) -> None:
    ensemble.start()
    for sid in ensemble.members:
        with ensemble.talking(sid) as client:
            client.create(f"/{sid}", b"x" * sid)
    for sid in ensemble.members:
        with ensemble.talking(sid) as client:
            client.sync("/")
            assert [client.get(f"/{other}")[0] for other in ensemble.members] == [b"x", b"xx", b"xxx"]
    require_well(ensemble)


# Losing servers.


def test_killing_the_leader_under_load_loses_nothing(ensemble: Ensemble) -> None:
    ensemble.start()

    def kill(load: Load) -> None:
        leader = ensemble.leader()
        killed_at = time.monotonic()
        ensemble.kill(leader)
        load.wait_for(WRITES)
        print(f"without a write for {load.longest_gap_s(killed_at):.2f} s")
        ensemble.start(leader)

    run_load(ensemble, kill)
    require_well(ensemble)


def test_killing_all_at_once_under_load_loses_nothing(ensemble: Ensemble) -> None:
    ensemble.start()

    def kill(_: Load) -> None:
        ensemble.kill(*ensemble.members)
        ensemble.start()

    run_load(ensemble, kill)
    require_well(ensemble)


def test_a_leader_that_was_stopped_for_longer_than_sync_limit_follows_the_new_one(ensemble: Ensemble) -> None:
    ensemble.start()
    stopped: list[int] = []

    def pause(load: Load) -> None:
        leader = ensemble.leader()
        stopped.append(leader)
        ensemble[leader].pause()
        load.wait_for(WRITES)
        ensemble[leader].resume()
        eventually(lambda: ensemble[leader].mode == "follower", "the old leader follows")

    run_load(ensemble, pause)
    require_well(ensemble)


def test_a_leader_that_is_told_to_end_leaves_at_once(ensemble: Ensemble) -> None:
    ensemble.start()
    leader = ensemble.leader()

    def end(load: Load) -> None:
        ended_at = time.monotonic()
        assert ensemble[leader].stop() == 0
        load.wait_for(WRITES)
        print(f"without a write for {load.longest_gap_s(ended_at):.2f} s")
        ensemble.start(leader)

    run_load(ensemble, end)
    require_well(ensemble)


# Coming back.


@pytest.mark.parametrize("memory", ["kept", "lost"])
def test_a_follower_that_was_away_catches_up_under_load(ensemble: Ensemble, memory: str) -> None:
    ensemble.start()
    away = next(sid for sid in ensemble.members if sid != ensemble.leader())

    def restart(load: Load) -> None:
        ensemble.kill(away)
        load.wait_for(WRITES)
        if memory == "lost":
            for path in (ensemble[away].data_dir / "version-2").iterdir():
                path.unlink()
        ensemble.start(away)

    run_load(ensemble, restart)
    if memory == "kept":
        assert events(ensemble[away], "synchronises")[-1]["how"] == "DIFF"
    require_well(ensemble)


# Other members, other ports.


@pytest.fixture
def dynamic(tmp_path: Path) -> Iterator[Ensemble]:
    with Ensemble(tmp_path, ["pyzk"] * 3, dynamic=True) as ensemble:
        ensemble.start()
        yield ensemble


def test_a_server_joins_and_the_leader_leaves_while_clients_are_served(dynamic: Ensemble) -> None:
    leader = dynamic.leader()
    dynamic.add("pyzk").launch()
    with dynamic.talking(*[sid for sid in (1, 2, 3) if sid != leader]) as client:
        client.reconfig(joining=f"server.4={dynamic.server_line(4)}", leaving=None, new_members=None)
        dynamic.wait_until_serving(4)
        client.reconfig(joining=None, leaving=str(leader), new_members=None)
        eventually(lambda: client.retry(client.exists, "/") and dynamic.leader() != leader, "another one leads")
        client.retry(client.ensure_path, "/after")
    left = [sid for sid in dynamic.members if sid != leader]
    dynamic.kill(*dynamic.members)
    dynamic.start(*left)
    for sid in left:
        with dynamic.talking(sid) as client:
            client.sync("/")
            assert client.exists("/after")
        assert "Traceback" not in dynamic[sid].logged(), dynamic[sid].log_tail()


def test_an_observer_without_log_serves_comes_back_and_logs_once_it_is_to_vote(tmp_path: Path) -> None:
    with Ensemble(tmp_path, ["pyzk"] * 3, {"syncEnabled": "false"}, observers=[3], dynamic=True) as ensemble:
        ensemble.start()
        observer = ensemble[3]
        with ensemble.talking(1) as client:
            client.create("/before", b"1")
        ensemble.wait_until_level()
        ensemble.kill(3)
        assert _files(observer, "log.") == []
        ensemble.start(3)
        with ensemble.talking(3) as client:
            assert client.get("/before")[0] == b"1"
        with ensemble.talking(1) as client:
            observer.role = "participant"
            client.reconfig(joining=f"server.3={ensemble.server_line(3)}", leaving=None, new_members=None)
            eventually(lambda: observer.mode == "follower", "it follows")
            client.create("/after", b"2")
        ensemble.wait_until_level()
        assert _files(observer, "log.") != []
        require_well(ensemble)


def _files(member: Member, prefix: str) -> list[str]:
    return [path.name for path in (member.data_dir / "version-2").iterdir() if path.name.startswith(prefix)]


def test_a_server_whose_ports_are_others_listens_there_and_keeps_its_clients(dynamic: Ensemble) -> None:
    moved = dynamic[next(sid for sid in dynamic.members if sid != dynamic.leader())]
    old_ports = (moved.port, moved.quorum_port, moved.election_port)
    with dynamic.talking(moved.sid) as client:
        session = client.client_id
        moved.port, moved.quorum_port, moved.election_port = free_port(), free_port(), free_port()
        client.reconfig(joining=f"server.{moved.sid}={dynamic.server_line(moved.sid)}", leaving=None, new_members=None)
        for port in (moved.port, moved.quorum_port, moved.election_port):
            eventually(lambda: _listens(port), f"port {port} is open")  # noqa: B023 - called at once
        for port in old_ports:
            eventually(lambda: not _listens(port), f"port {port} is closed")  # noqa: B023
        client.create("/still-here")
        assert client.client_id == session
    with dynamic.talking(moved.sid) as client:
        assert client.exists("/still-here")


def test_a_server_stays_where_it_is_when_its_new_client_port_is_taken(dynamic: Ensemble) -> None:
    moved = dynamic[next(sid for sid in dynamic.members if sid != dynamic.leader())]
    former, moved.port = moved.port, free_port()
    with socket.create_server(("127.0.0.1", moved.port)), dynamic.talking(dynamic.leader()) as client:
        client.reconfig(joining=f"server.{moved.sid}={dynamic.server_line(moved.sid)}", leaving=None, new_members=None)
        eventually(lambda: "client_port_not_moved" in moved.logged(), "it says so")
    moved.port = former
    with dynamic.talking(moved.sid) as client:
        client.create("/still-here")
    dynamic.wait_until_serving()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# What does not belong on these ports.


def strangers() -> Iterator[bytes]:
    yield b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield b"\xff" * 5000
    yield bytes(5000)
    yield (0x7FFFFFFF).to_bytes(4, "big") * 100
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)


def test_strangers_on_the_peer_ports_disturb_nobody(ensemble: Ensemble) -> None:
    ensemble.start()
    leader = ensemble.leader()

    def disturb(load: Load) -> None:
        with ExitStack() as held:
            for member in ensemble.members.values():
                for port in (member.quorum_port, member.election_port):
                    silent = held.enter_context(socket.create_connection((member.host, port), 5))
                    with suppress(OSError):
                        silent.sendall(b"\0")
                    _attack(member.host, port)
            load.wait_for(WRITES)

    gap_s = run_load(ensemble, disturb).longest_gap_s()
    assert ensemble.leader() == leader
    assert gap_s < 5
    assert all(len(events(member, "serves")) == 1 for member in ensemble.members.values())
    assert all(events(member, "peer_link_refused") for member in ensemble.members.values())
    require_well(ensemble)


def _attack(host: str, port: int) -> None:
    for data in strangers():
        with socket.create_connection((host, port), 5) as connection, suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    context = ssl.create_default_context()
    with socket.create_connection((host, port), 5) as connection, suppress(OSError):
        context.wrap_socket(connection, server_hostname="localhost")


# Ends.


def test_an_election_port_that_is_taken_ends_the_server_with_its_own_code(ensemble: Ensemble) -> None:
    member = ensemble[1]
    with socket.create_server((member.host, member.election_port)):
        member.configure({**ensemble.settings, **_servers(ensemble), "electionPortBindRetry": 1})
        member.launch()
        assert member.process is not None
        assert member.process.wait(STOP_TIMEOUT_S) == 14
    assert "electionPortBindRetry" in member.logged()
    member.process = None


def _servers(ensemble: Ensemble) -> dict[str, str]:
    return {f"server.{sid}": ensemble.server_line(sid) for sid in ensemble.members}


def test_a_lone_server_that_looks_for_others_answers_words_and_ends_when_told(ensemble: Ensemble) -> None:
    member = ensemble[1].launch()
    eventually(lambda: four_letter_word(member.port, "ruok") == "imok", "an answer")
    assert member.word("srvr") == "This ZooKeeper instance is not currently serving requests\n"
    assert member.stop(signal.SIGTERM) == 0


def test_a_lone_server_line_stays_standalone(tmp_path: Path) -> None:
    with Ensemble(tmp_path, ["pyzk"]) as alone:
        alone[1].start()
        assert alone[1].mode == "standalone"
