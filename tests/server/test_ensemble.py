"""Members of an ensemble with real sockets: their ports, their words, and what does not belong on their ports."""

import asyncio
import contextlib
import os
import re
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from pyzk.codec.election import Hello
from pyzk.codec.opcodes import OpCode
from pyzk.codec.quorum import PacketType, packet
from pyzk.codec.records import open_acl
from pyzk.codec.requests import CreateRequest, ReconfigRequest
from pyzk.errors import FsyncError, PeerPortError
from pyzk.server import memberdriver
from pyzk.server.config import Config
from pyzk.server.ensemble import Server
from pyzk.server.memberdriver import MemberDriver
from pyzk.server.peerports import Listening, PeerPorts, Place
from pyzk.storage.memory import MemoryDisk
from pyzk.storage.names import Places
from pyzk.zab.events import Port
from pyzk.zab.leading import Leading
from tests.server.ensemble import DEFAULTS, Ensemble, ensemble
from tests.server.shell import MEMORY_DIRECTORY, Wire, ask_word, until
from tests.server.test_words import assert_alike, masked, vector, without_buckets

CONNECT_REQUEST = b"\0\0\0\x2c" + bytes(28) + b"\0\0\0\x10" + bytes(16)
NOT_SERVING = b"This ZooKeeper instance is not currently serving requests\n"
SNAPSHOTS = Places.of(MEMORY_DIRECTORY, MEMORY_DIRECTORY).snapshots


@pytest.fixture
async def three() -> AsyncIterator[Ensemble]:
    async with ensemble() as members:
        yield members


async def write_and_read(members: Ensemble, name: bytes) -> None:
    """Through every server: what one has written, all others show after a sync."""
    for server_id, server in members.servers.items():
        wire = await Wire.session(server)
        assert (await wire.ask(wire.create(b"/%s-%d" % (name, server_id), name))).err == 0
        await wire.close()
    for server in members.servers.values():
        wire = await Wire.session(server)
        assert (await wire.ask(wire.sync(b"/"))).err == 0
        for server_id in members.servers:
            assert name in (await wire.ask(wire.get_data(b"/%s-%d" % (name, server_id)))).body
        await wire.close()


# Starting.


async def test_a_member_asks_for_a_leader_when_its_own_ports_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[object] = []
    open_place, start = PeerPorts._open_place, MemberDriver.start

    async def opened(ports: PeerPorts, place: Place) -> Listening:
        listening = await open_place(ports, place)
        steps.append(place[2])
        return listening

    def started(driver: MemberDriver) -> None:
        steps.append("asks")
        start(driver)

    monkeypatch.setattr(PeerPorts, "_open_place", opened)
    monkeypatch.setattr(MemberDriver, "start", started)
    members = Ensemble(3)
    await members.start(1)
    await members.stop(1)
    assert steps == [Port.ELECTION, Port.QUORUM, "asks"]


# Serving.


async def test_what_is_written_through_one_server_is_read_through_all(three: Ensemble) -> None:
    await write_and_read(three, b"a")
    await three.level()


async def test_writes_of_many_clients_at_once_are_all_answered(three: Ensemble) -> None:
    wires = [await Wire.session(server) for server in three.servers.values() for _ in range(3)]
    for wire in wires:
        wire.send(*[wire.create(b"/n-", b"", 2) for _ in range(200)])
    for wire in wires:
        assert {reply.err for reply in await wire.replies(200)} == {0}
        await wire.close()
    await three.level()
    assert three[1].peer.service.tree.node_count == 5 + 9 * 200


async def test_the_others_go_on_without_their_leader_and_it_comes_back(three: Ensemble) -> None:
    await write_and_read(three, b"a")
    leader = three.leader()
    await three.stop(leader)
    await asyncio.sleep(0)
    await until(lambda: any(server.peer.mode == "leader" for server in three.servers.values()), "another one leads")
    await three.serving()
    await write_and_read(three, b"b")
    await three.start(leader)
    await three.serving()
    assert three[leader].peer.mode == "follower"
    await write_and_read(three, b"c")
    await three.level()


async def test_a_server_without_a_quorum_serves_nobody_and_says_so() -> None:
    members = Ensemble(3)
    await members.start(1)
    assert await ask_word(members[1], b"ruok") == b"imok"
    assert await ask_word(members[1], b"isro") == b"null"
    for word in (b"srvr", b"stat", b"mntr", b"conf", b"cons", b"dump", b"wchs", b"srst"):
        assert await ask_word(members[1], word) == NOT_SERVING
    wire = await Wire.open(members[1])
    wire.send(CONNECT_REQUEST)
    assert await wire.rest() == b""
    await wire.close()
    await members.start(2)
    await members.serving(1, 2)
    await write_and_read(members, b"a")
    await members.stop(1)
    await until(lambda: not members[2].is_serving, "the last one has noticed")
    assert await ask_word(members[2], b"srvr") == NOT_SERVING
    await members.stop(2)


async def test_a_server_without_a_quorum_shows_what_it_has_if_it_may() -> None:
    members = Ensemble(3, read_only_mode_enabled=True)
    await members.start(1)
    await until(lambda: members[1].is_serving, "it serves read-only clients")
    assert await ask_word(members[1], b"isro") == b"ro"
    for name in ("srvr", "stat", "conf"):
        assert_alike((await ask_word(members[1], name.encode())).decode(), vector(f"{name}.read-only"))
    assert "zk_server_state\tread-only\n" in (await ask_word(members[1], b"mntr")).decode()
    await members.stop(1)


async def test_a_leader_that_is_not_to_serve_clients_serves_none() -> None:
    async with ensemble(leader_serves=False) as members:
        leader = members.leader()
        assert await ask_word(members[leader], b"srvr") == NOT_SERVING
        wire = await Wire.open(members[leader])
        wire.send(CONNECT_REQUEST)
        assert await wire.rest() == b""
        await wire.close()
        wire = await Wire.session(members[members.followers()[0]])
        assert (await wire.ask(wire.create(b"/a"))).err == 0
        await wire.close()


# A reconfig that names another leader.


async def wires_after_leaving(members: Ensemble) -> list[Wire]:
    """Remove the leader; a connection to each server, opened as soon as that one has closed its clients."""
    clients = {server_id: await Wire.session(server) for server_id, server in members.servers.items()}
    leader = members.leader()
    follower = clients[members.followers()[0]]
    follower.send(follower.request(OpCode.RECONFIG, ReconfigRequest(None, b"%d" % leader, None, -1)))
    opened = []
    for server_id, client in clients.items():
        await client.rest()
        await client.close()
        opened.append(await Wire.open(members[server_id]))
    return opened


async def test_who_connects_while_the_leader_hands_over_waits_and_is_served() -> None:
    async with ensemble(reconfig_enabled=True, skip_acl=True) as members:
        for number, wire in enumerate(await wires_after_leaving(members)):
            await Wire.greet(wire)
            assert (await wire.ask(wire.create(b"/%d" % number))).err == 0
            await wire.close()


async def test_nobody_waits_long_for_a_leader_that_does_not_take_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memberdriver, "HANDOVER_SECONDS_MAX", 0.05)
    async with ensemble(reconfig_enabled=True, skip_acl=True) as members:
        monkeypatch.setattr(Leading, "may_synchronise", lambda self: False)  # noqa: ARG005
        for wire in await wires_after_leaving(members):
            wire.send(CONNECT_REQUEST)
            assert await wire.rest() == b""
            await wire.close()


async def test_a_session_expires_everywhere_when_its_time_is_over() -> None:
    async with ensemble(tick_time_ms=50, min_session_timeout_ms=100) as members:
        wire = await Wire.session(members[members.followers()[0]], 100)
        await wire.ask(wire.create(b"/mine", flags=1))
        await wire.close()
        trees = [server.peer.service.tree for server in members.servers.values()]
        await until(lambda: not any(tree.sessions for tree in trees), "it has expired")
        assert not any(tree.ephemerals for tree in trees)


async def test_only_the_leader_deletes_what_nobody_uses() -> None:
    async with ensemble(container_check_interval_ms=50, container_max_per_minute=60_000) as members:
        wire = await Wire.session(members[members.followers()[0]])
        box = wire.request(OpCode.CREATE_CONTAINER, CreateRequest(b"/box", b"", open_acl(), 4))
        assert (await wire.ask(box)).err == 0
        await wire.ask(wire.create(b"/box/a"))
        await wire.ask(wire.delete(b"/box/a"))
        trees = [server.peer.service.tree for server in members.servers.values()]
        await until(lambda: not any(b"/box" in tree.nodes for tree in trees), "it is gone")
        await members.level()
        await wire.close()


async def test_snapshots_are_taken_of_what_is_in_the_log_and_a_restart_needs_no_more() -> None:
    async with ensemble(snap_count=50) as members:
        wire = await Wire.session(members[members.leader()])
        for turn in range(6):
            wire.send(*[wire.create(b"/%d-" % turn, b"", 2) for _ in range(50)])
            assert {reply.err for reply in await wire.replies(50)} == {0}
        await until(
            lambda: all(server.statistics.snapshot_ms.count >= 2 for server in members.servers.values()),
            "snapshots are taken",
        )
        await wire.close()
        await members.level()
        digest = members[1].peer.service.tree.digest
        await members.stop(1, 2, 3)
        await members.start()
        await members.serving()
        assert {server.peer.service.tree.digest for server in members.servers.values()} == {digest}


async def test_a_learner_with_an_empty_disk_gets_the_tree(three: Ensemble) -> None:
    follower = three.followers()[0]
    await three.stop(follower)
    wire = await Wire.session(three[three.leader()])
    for turn in range(6):
        wire.send(*[wire.create(b"/%d-" % turn, bytes(2000), 2) for _ in range(200)])
        assert {reply.err for reply in await wire.replies(200)} == {0}
    await wire.close()
    three.disks[follower] = MemoryDisk()
    await three.start(follower)
    await three.serving()
    await three.level()
    await write_and_read(three, b"a")
    names = three.disks[follower].names(SNAPSHOTS)
    assert [name for name in names if name.startswith("snapshot.") and name != "snapshot.0"]


async def test_an_observer_follows_without_a_vote() -> None:
    async with ensemble(4, observers=(4,)) as members:
        await write_and_read(members, b"a")
        assert members[4].peer.mode == "observer"
        assert "zk_observer_master_id\t" in (await ask_word(members[4], b"mntr")).decode()
        assert "Mode: observer\n" in (await ask_word(members[4], b"srvr")).decode()
        leader = (await ask_word(members[members.leader()], b"mntr")).decode()
        assert all(line in leader for line in ("zk_synced_followers\t2\n", "zk_synced_observers\t1\n"))


# Disks that fail.


async def test_a_leader_whose_disk_is_full_steps_down_and_follows_when_there_is_space(three: Ensemble) -> None:
    leader = three.leader()
    wire = await Wire.session(three[leader])
    three.disks[leader].capacity_bytes = 0
    wire.send(wire.create(b"/a"))
    assert await wire.rest() == b""
    await wire.close()
    others = [server for server_id, server in three.servers.items() if server_id != leader]
    await until(lambda: {server.peer.mode for server in others} == {"leader", "follower"}, "the others go on")
    wire = await Wire.session(others[0])
    assert (await wire.ask(wire.create(b"/b"))).err == 0
    await wire.close()
    assert not three[leader].is_serving
    three.disks[leader].capacity_bytes = 1 << 50
    await three.serving()
    assert three[leader].peer.mode == "follower"
    await three.level()


@pytest.mark.parametrize("role", ["leader", "follower"])
async def test_a_member_whose_disk_fails_ends_and_the_others_go_on(three: Ensemble, role: str) -> None:
    broken = three.leader() if role == "leader" else three.followers()[0]
    three.disks[broken].failing_syncs = True
    wire = await Wire.session(three[next(sid for sid in three.servers if sid != broken)])
    wire.send(wire.create(b"/a"))
    await asyncio.wait_for(three[broken].stopped.wait(), 20)
    assert isinstance(three[broken].failure, FsyncError)
    await three.stop(broken)
    await until(
        lambda: {server.peer.mode for server in three.servers.values()} == {"leader", "follower"}, "the others go on"
    )
    await wire.close()
    await write_and_read(three, b"b")


# Words.


@pytest.fixture
async def wires(three: Ensemble) -> AsyncIterator[dict[int, Wire]]:
    made = {server_id: await Wire.session(server) for server_id, server in three.servers.items()}
    for server_id, wire in made.items():
        await wire.ask(wire.create(b"/%d" % server_id))
        await wire.ask(wire.create(b"/%d/n" % server_id, flags=1))
    await three.level()
    yield made
    for wire in made.values():
        await wire.close()


@pytest.mark.usefixtures("wires")
@pytest.mark.parametrize("state", ["leader", "follower"])
async def test_words_of_an_ensemble_are_those_of_apache(three: Ensemble, state: str) -> None:
    server = three[three.leader() if state == "leader" else three.followers()[0]]

    async def ask(name: str) -> str:
        return (await ask_word(server, name.encode())).decode()

    assert_alike(await ask("srvr"), vector(f"srvr.{state}-static"))
    assert_alike(await ask("conf"), vector(f"conf.{state}-static"))
    assert await ask("isro") == "rw"
    assert await ask("stat") != ""
    ours, theirs = await ask("mntr"), vector(f"mntr.{state}")
    assert ours.splitlines()[1:3] == theirs.splitlines()[1:3]
    names = {line.partition("\t")[0] for line in theirs.splitlines()}
    unknown = {line.partition("\t")[0] for line in ours.splitlines()} - names
    assert unknown <= {"zk_followers"}
    assert "zk_quorum_size\t3\n" in ours


@pytest.mark.usefixtures("wires")
async def test_a_leader_counts_its_learners_and_proposals(three: Ensemble) -> None:
    text = (await ask_word(three[three.leader()], b"mntr")).decode()
    numbers = dict(line.split("\t") for line in text.splitlines())
    expected = {"zk_learners": "2", "zk_synced_followers": "2", "zk_synced_observers": "0", "zk_pending_syncs": "0"}
    assert expected.items() <= numbers.items()
    assert int(numbers["zk_leader_uptime"]) >= 0
    assert 0 < int(numbers["zk_min_proposal_size"]) <= int(numbers["zk_last_proposal_size"])
    assert await ask_word(three[three.leader()], b"srst") == b"Server stats reset.\n"
    assert b"Proposal sizes last/min/max: -1/-1/-1\n" in await ask_word(three[three.leader()], b"srvr")


@pytest.mark.usefixtures("wires")
async def test_dump_tells_expiry_on_the_leader_and_timeouts_on_a_follower(three: Ensemble) -> None:
    leader = (await ask_word(three[three.leader()], b"dump")).decode()
    assert masked(leader).startswith("SessionTracker dump:\nSession Sets (NUMBER)/(NUMBER):\n")
    assert "Sessions with Ephemerals (3):\n" in without_buckets(leader)
    follower = (await ask_word(three[three.followers()[0]], b"dump")).decode()
    lines = follower.splitlines()
    assert lines[:2] == ["SessionTracker dump:", "Global Sessions(3):"]
    assert all(re.fullmatch(r"0x[0-9a-f]+\t60000ms", line) for line in lines[2:5])
    assert lines[5:7] == ["ephemeral nodes dump:", "Sessions with Ephemerals (3):"]


# What does not belong on these ports.


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "zeros": bytes(5000),
    "ones": b"\xff" * 5000,
    "huge": struct.pack(">i", 0x7FFFFFFF) + bytes(100),
    "negative": struct.pack(">i", -5) + bytes(100),
    "a hello of nobody": Hello(77, [("127.0.0.1", 1)]).encode(multi_address=False),
    "a hello and garbage": Hello(77, [("127.0.0.1", 1)]).encode(multi_address=False) + b"\xff" * 100,
    "a huge hello": struct.pack(">qqi", -65536, 77, 0x7FFFFFFF) + bytes(1000),
    "packets out of turn": packet(PacketType.ACK, 5) + packet(PacketType.PING, 5) + packet(PacketType.UPTODATE, 5),
    "an epoch of the far future": packet(
        PacketType.FOLLOWERINFO, 0x7FFFFFFF00000000, struct.pack(">qiq", 77, 0x10000, 0)
    ),
    "one byte": b"\0",
    "nothing": b"",
}


async def send_garbage(port: int, data: bytes, *, half_close: bool = True) -> tuple[asyncio.StreamReader, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    with contextlib.suppress(OSError):
        if half_close:
            writer.write_eof()
    return reader, writer


@pytest.mark.parametrize("port", [Port.ELECTION, Port.QUORUM], ids=lambda port: port.name.lower())
async def test_garbage_disturbs_nobody(three: Ensemble, port: Port) -> None:
    terms = [server.peer.member.peer.role for server in three.servers.values()]
    wires = [await Wire.session(server) for server in three.servers.values()]
    for data in [*GARBAGE.values(), *[os.urandom(2000) for _ in range(10)]]:
        for number in [ports[1 - port] for ports in three.ports.values()]:
            reader, writer = await send_garbage(number, data)
            async with asyncio.timeout(20):
                with contextlib.suppress(ConnectionError):
                    while await reader.read(65536):
                        pass
            writer.close()
        for wire in wires:
            assert (await wire.ask(wire.set_data(b"/", data[:100]))).err == 0
    assert [server.peer.member.peer.role for server in three.servers.values()] == terms
    assert not any(server.failure for server in three.servers.values())
    for wire in wires:
        await wire.close()


async def test_silent_and_half_open_links_disturb_nobody(three: Ensemble) -> None:
    terms = [server.peer.member.peer.role for server in three.servers.values()]
    beginnings = (b"", b"\0", Hello(77, [("127.0.0.1", 1)]).encode(multi_address=False))
    numbers = [number for ports in three.ports.values() for number in ports]
    held = [(await send_garbage(number, data, half_close=False))[1] for number in numbers for data in beginnings]
    await write_and_read(three, b"a")
    for writer in held:
        writer.transport.abort()
    await write_and_read(three, b"b")
    assert [server.peer.member.peer.role for server in three.servers.values()] == terms


async def test_a_server_with_our_own_id_disturbs_nobody(three: Ensemble) -> None:
    """Two servers with one myid, the commonest mistake."""
    terms = [server.peer.member.peer.role for server in three.servers.values()]
    for server_id, ports in three.ports.items():
        info = packet(PacketType.FOLLOWERINFO, 0, struct.pack(">qiq", server_id, 0x10000, 0))
        hello = Hello(server_id, [("127.0.0.1", 1)]).encode(multi_address=False)
        for number, data in zip(ports, (info, hello), strict=True):
            reader, writer = await send_garbage(number, data, half_close=False)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
    await write_and_read(three, b"a")
    assert [server.peer.member.peer.role for server in three.servers.values()] == terms


async def test_garbage_is_an_error_in_the_log(three: Ensemble) -> None:
    leader = three.leader()
    numbers = [*[election for _, election in three.ports.values()], three.ports[leader][0]]
    with structlog.testing.capture_logs() as lines:
        for number in numbers:
            reader, writer = await send_garbage(number, b"\xff" * 100)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
    told = [line for line in lines if line["event"] in {"peer_link_refused", "learner_left"}]
    assert len(told) == 4
    assert all(line["log_level"] == "warning" and "/127.0.0.1:" in str(line) for line in told)


async def test_a_leader_may_be_impersonated_by_nobody(three: Ensemble) -> None:
    """Packets of a leader that is none, and replayed ones, sent to a follower's ports."""
    follower = three.followers()[0]
    proposal = packet(PacketType.PROPOSAL, 0x200000001, bytes(100)) + packet(PacketType.COMMIT, 0x200000001)
    before = three[follower].peer.service.tree.last_zxid
    for number in three.ports[follower]:
        reader, writer = await send_garbage(number, packet(PacketType.NEWLEADER, 0x200000000) + proposal)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
    assert three[follower].peer.service.tree.last_zxid == before
    await write_and_read(three, b"a")


# The end.


async def test_a_port_that_cannot_be_had_is_the_end() -> None:
    members = Ensemble(3, election_port_bind_retries=1)
    with socket.create_server(("127.0.0.1", members.ports[1][1])):
        await members.start(1)
        await asyncio.wait_for(members[1].stopped.wait(), 20)
    assert isinstance(members[1].failure, PeerPortError)
    await members.stop(1)


async def test_a_client_port_that_is_taken_is_told_by_the_system(three: Ensemble) -> None:
    members = Ensemble(3, client_port=three[1].port)
    with pytest.raises(OSError, match="in use"):
        await members.start(1)
    await members.unstarted.stop()


async def test_a_folder_that_takes_no_copy_of_zoo_cfg_keeps_no_server_from_starting(tmp_path: Path) -> None:
    members = Ensemble(3)
    (tmp_path / "zoo.cfg").write_text("\n".join(members.membership.lines()))
    (tmp_path / "zoo.cfg.bak.tmp").mkdir()
    settings = {**DEFAULTS, "server_id": 1, "membership": members.membership, "reconfig_enabled": True}
    server = Server(Config(data_dir=str(tmp_path / "data"), path=str(tmp_path / "zoo.cfg"), **settings))
    with structlog.testing.capture_logs() as lines:
        await server.start()
    assert server.port
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["configuration_not_backed_up"]
    await server.stop()


async def test_an_error_within_a_member_is_the_end_of_the_process(three: Ensemble) -> None:
    follower = three.followers()[0]

    def broken(*_: object) -> None:
        raise KeyError("a mistake")

    three[follower].peer.member.receive = broken  # type: ignore[method-assign]
    await asyncio.wait_for(three[follower].stopped.wait(), 20)
    assert isinstance(three[follower].failure, KeyError)


async def test_a_stopped_member_frees_its_ports(three: Ensemble) -> None:
    await three.stop(2)
    for number in three.ports[2]:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", number)
