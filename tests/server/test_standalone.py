"""A server's life: start, restart, end; what it shares with nobody."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from pyzk.errors import StorageError
from pyzk.server.config import Config
from pyzk.server.standalone import Server
from pyzk.storage.memory import MemoryDisk
from tests.integration.processes import free_port
from tests.server.shell import Wire, ask_word, running, until


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        wire = await Wire.session(server)
        assert wire.response is not None
        session_id = wire.response.session_id
        for path, flags in ((b"/a", 0), (b"/mine", 1), (b"/seq-", 2), (b"/a/b", 0)):
            assert (await wire.ask(wire.create(path, b"data of " + path, flags))).err == 0
        digest, zxid = server.peer.service.tree.digest, server.peer.service.tree.last_zxid
        await wire.close()
    async with running(tmp_path) as server:
        tree = server.peer.service.tree
        assert (tree.digest, tree.last_zxid) == (digest, zxid)
        assert tree.ephemerals == {session_id: {b"/mine": None}}
        assert server.statistics.replayed == 5
        assert b"zk_sum_startup_txns_loaded\t5" in await ask_word(server, b"mntr")


async def test_the_sessions_of_before_have_their_whole_timeout_after_a_restart(tmp_path: Path) -> None:
    settings = {"tick_time_ms": 20, "min_session_timeout_ms": 100, "max_session_timeout_ms": 60_000}
    async with running(tmp_path, **settings) as server:
        short, long = await Wire.session(server, 100), await Wire.session(server)
        await short.ask(short.create(b"/mine", flags=1))
        for wire in (short, long):
            await wire.close()
    async with running(tmp_path, **settings) as server:
        tree = server.peer.service.tree
        assert len(tree.sessions) == 2
        assert len(server.peer.service.tracker) == 2
        await until(lambda: len(tree.sessions) == 1, "the short one has expired")
        assert tree.ephemerals == {}


async def test_row_13_who_connects_in_the_first_instant_has_a_session(tmp_path: Path) -> None:
    port = free_port()

    async def first() -> Wire:
        while True:
            try:
                return Wire(*await asyncio.open_connection("127.0.0.1", port))
            except ConnectionRefusedError:
                await asyncio.sleep(0)  # lets the server start

    connecting = asyncio.create_task(first())
    async with running(tmp_path, client_port=port):
        wire = await Wire.greet(await connecting)
        assert (await wire.ask(wire.create(b"/at-once"))).err == 0
        await wire.close()


async def test_a_directory_has_one_server(tmp_path: Path) -> None:
    async with running(tmp_path):
        other = Server(
            Config(data_dir=str(tmp_path), client_port=0, client_port_address="127.0.0.1", admin_enabled=False)
        )
        with pytest.raises(StorageError, match="in use by another server"):
            await other.start()
    async with running(tmp_path) as server:
        assert await ask_word(server, b"ruok") == b"imok"


async def test_logs_and_snapshots_may_lie_apart(tmp_path: Path) -> None:
    async with running(tmp_path / "data", data_log_dir=str(tmp_path / "logs")) as server:
        wire = await Wire.session(server)
        await wire.ask(wire.create(b"/a"))
        await wire.close()
    assert [path.name for path in (tmp_path / "logs" / "version-2").iterdir()] == ["log.1"]
    assert [path.name for path in (tmp_path / "data" / "version-2").iterdir()] == ["snapshot.0"]


async def test_writes_under_way_are_finished_before_the_end() -> None:
    disk = MemoryDisk()
    async with running(disk=disk) as server:
        wires = [await Wire.session(server) for _ in range(4)]
        for wire in wires:
            wire.send(*[wire.create(b"/n-", b"", 2) for _ in range(500)])
        await until(lambda: server.peer.service.outstanding > 0, "writes are under way")
        await server.stop()
        acknowledged = 0
        for wire in wires:
            data = await wire.rest()
            acknowledged += data.count(b"/n-")
            await wire.close()
        count = server.peer.service.tree.node_count
        assert server.peer.is_idle
        assert count - 5 == acknowledged > 0
    disk.crash(Random(1))
    async with running(disk=disk) as server:
        assert server.peer.service.tree.node_count == count


async def test_a_stopped_server_lets_nobody_in() -> None:
    async with running() as server:
        wire = await Wire.session(server)
        await server.stop()
        assert await wire.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await Wire.open(server)
        await wire.close()


async def test_the_first_failure_is_the_one_that_counts() -> None:
    async with running() as server:
        server.fail(StorageError("first"))
        server.fail(StorageError("second"))
        assert str(server.failure) == "first"
        assert server.stopped.is_set()


async def test_a_taken_port_is_told_by_the_system(tmp_path: Path) -> None:
    async with running() as server:
        config = Config(
            data_dir=str(tmp_path), client_port=server.port, client_port_address="127.0.0.1", admin_enabled=False
        )
        other = Server(config)
        with pytest.raises(OSError, match="in use"):
            await other.start()
        await other.stop()


async def test_settings_reach_the_parts_that_obey_them() -> None:
    settings = {
        "min_session_timeout_ms": 1234,
        "jute_max_buffer": 5000,
        "global_outstanding_limit": 77,
        "super_digest": "super:x",
        "enforce_quota": True,
        "extended_types_enabled": True,
        "fsync_warning_threshold_ms": 5,
    }
    async with running(**settings) as server:
        service, rules = server.peer.service.settings, server.peer.proposer.rules
        assert (service.session_timeout_min_ms, service.frame_bytes_max, service.outstanding_max) == (1234, 5000, 77)
        assert (service.super_digest, rules.enforce_quota, rules.extended_types_enabled) == (b"super:x", True, True)
        assert server.peer.log.slow_sync_ms == 5


async def test_many_idle_sessions_share_a_server() -> None:
    async with running(max_client_connections_per_address=0) as server:
        wires = await asyncio.gather(*[Wire.session(server) for _ in range(200)])
        assert len({wire.response.session_id for wire in wires if wire.response}) == 200
        replies = await asyncio.gather(*[wire.ask(wire.ping()) for wire in wires])
        assert {reply.xid for reply in replies} == {-2}
        for wire in wires:
            await wire.close()


async def test_a_file_that_goes_while_the_directory_is_measured_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = MemoryDisk()
    async with running(disk=disk) as server:
        sizes = server.directory_sizes()
        names = disk.names
        monkeypatch.setattr(disk, "names", lambda directory: [*names(directory), "snapshot.5.tmp"])
        assert server.directory_sizes() == sizes
        assert b"datadir_size" in await ask_word(server, b"dirs")
