"""Writes through the whole server: group commit, a full disk, a broken one, snapshots under load."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext, suppress
from random import Random

import pytest

from pyzk.errors import DiskFullError, FsyncError, StorageError
from pyzk.server.clock import monotonic_seconds
from pyzk.server.housekeeping import FREE_BYTES_MIN
from pyzk.server.logwriter import split
from pyzk.server.standalone import Server
from pyzk.storage.database import restore
from pyzk.storage.memory import MemoryDisk
from pyzk.storage.names import Places
from pyzk.storage.snapshot import SnapshotFile
from tests.server.shell import MEMORY_DIRECTORY, Wire, ask_word, running, until

FULL = 0
PLENTY = 1 << 50
SYSTEM_ERROR = -1
PLACES = Places.of(MEMORY_DIRECTORY, MEMORY_DIRECTORY)


@pytest.fixture
def disk() -> MemoryDisk:
    return MemoryDisk()


@pytest.fixture
async def server(disk: MemoryDisk) -> AsyncIterator[Server]:
    settings = {"tick_time_ms": 20, "min_session_timeout_ms": 60_000, "max_session_timeout_ms": 60_000}
    async with running(disk=disk, **settings) as server:
        yield server


def used_bytes(disk: MemoryDisk) -> int:
    return disk.capacity_bytes - disk.free_bytes("")


# Batches.


def test_entries_are_split_into_batches_of_the_log_in_order() -> None:
    entries = [(zxid, bytes(zxid)) for zxid in range(1, 60)]
    parts = split(entries, 200)
    assert [entry for part in parts for entry in part] == entries
    assert all(sum(len(payload) + 13 for _, payload in part) <= 200 for part in parts)


async def test_writes_of_one_turn_share_a_sync(server: Server, disk: MemoryDisk) -> None:
    wires = [await Wire.session(server) for _ in range(5)]
    syncs = disk.syncs
    for wire in wires:
        wire.send(*[wire.set_data(b"/", b"x") for _ in range(100)])
    for wire in wires:
        assert [reply.err for reply in await wire.replies(100)] == [0] * 100
    assert disk.syncs - syncs <= 5
    assert server.peer.log.batch_txns.most >= 100
    for wire in wires:
        await wire.close()


async def test_fewer_writes_than_the_last_time_wait_a_turn_for_others(server: Server, disk: MemoryDisk) -> None:
    wires = [await Wire.session(server) for _ in range(3)]
    syncs = disk.syncs

    async def syncs_after(*numbers: int) -> int:
        """Of one turn in which these connections write."""
        for number in numbers:
            frame = wires[number - 1].set_data(b"/", b"x")
            server.peer.service.receive(number, frame, monotonic_seconds())
            server.peer.wake()
        await asyncio.sleep(0)
        return disk.syncs - syncs

    assert await syncs_after(1, 2, 3) == 1
    assert await syncs_after(1) == 1
    assert await syncs_after(2) == 2, "both share a sync"
    assert await syncs_after(1) == 2
    assert await syncs_after() == 3, "nobody else has come, but that was the turn"
    assert await syncs_after(1) == 4, "one client alone does not wait"
    for wire in wires:
        await wire.close()


async def test_no_reply_leaves_before_the_sync_that_covers_it(server: Server, disk: MemoryDisk) -> None:
    """At each reply the power may go: what was acknowledged is there afterwards."""
    wire = await Wire.session(server)
    for number in range(20):
        await wire.ask(wire.create(b"/%d" % number))
        copy = MemoryDisk()
        copy.directories = {name: dict(names) for name, names in disk.durable.items()}
        for names in copy.directories.values():
            for name, inode in names.items():
                names[name] = type(inode)()
                names[name].live = inode.durable.copy()
        copy.durable = copy.directories
        copy.pending = {name: [] for name in copy.directories}
        assert b"/%d" % number in restore(copy, PLACES).tree.nodes
    await wire.close()


# A full disk.


async def test_on_a_full_disk_writes_are_refused_reads_are_served_and_service_resumes(
    server: Server, disk: MemoryDisk
) -> None:
    wire, other = await Wire.session(server), await Wire.session(server)
    await wire.ask(wire.create(b"/a", b"before"))
    disk.capacity_bytes = FULL
    await until(lambda: server.peer.service.writes_refused, "the disk is found full")
    assert (await wire.ask(wire.set_data(b"/a", b"x"))).err == SYSTEM_ERROR
    assert b"before" in (await wire.ask(wire.get_data(b"/a"))).body
    newcomer = await Wire.open(server)
    newcomer.send(b"\0\0\0\x2c" + bytes(28) + b"\0\0\0\x0c" + bytes(12))
    assert await newcomer.rest() == b""
    disk.capacity_bytes = PLENTY
    await until(lambda: not server.peer.service.writes_refused, "the disk has space again")
    assert (await other.ask(other.set_data(b"/a", b"after"))).err == 0
    for each in (wire, other, newcomer):
        await each.close()


async def test_a_write_that_finds_the_disk_full_is_never_answered_and_its_client_is_closed(disk: MemoryDisk) -> None:
    async with running(disk=disk, tick_time_ms=60_000) as server:  # nobody looks at the disk before
        waiting, reading = await Wire.session(server), await Wire.session(server)
        await waiting.ask(waiting.create(b"/a", b"before"))
        disk.capacity_bytes = FULL
        waiting.send(waiting.set_data(b"/a", b"x"), waiting.get_data(b"/a"))
        assert await waiting.rest() == b""
        assert b"before" in (await reading.ask(reading.get_data(b"/a"))).body
        assert (await reading.ask(reading.set_data(b"/a", b"x"))).err == SYSTEM_ERROR
        assert not server.stopped.is_set()
        assert server.peer.service.outstanding == 0
        disk.capacity_bytes = PLENTY
        server.peer.service.writes_refused = False
        zxid = server.peer.service.tree.last_zxid
        assert (await reading.ask(reading.set_data(b"/a", b"after"))).zxid == zxid + 1
        for wire in (waiting, reading):
            await wire.close()
    disk.crash(Random(1))
    tree = restore(disk, PLACES).tree
    assert tree.last_zxid == zxid + 1


async def test_writes_are_refused_although_they_never_cease(server: Server, disk: MemoryDisk) -> None:
    wire = await Wire.session(server)
    disk.capacity_bytes = used_bytes(disk) + FREE_BYTES_MIN - 1  # enough for all of them, but low
    errors: list[int] = []
    while SYSTEM_ERROR not in errors[-5:]:  # until the disk is looked at, which is the next tick
        wire.send(*[wire.set_data(b"/", b"x") for _ in range(5)])
        errors += [reply.err for reply in await wire.replies(5)]
    assert set(errors) <= {0, SYSTEM_ERROR}
    await wire.close()


async def test_nothing_acknowledged_is_lost_when_the_disk_fills_again_and_again(
    server: Server, disk: MemoryDisk, rng: Random
) -> None:
    acknowledged: list[bytes] = []
    for turn in range(30):
        disk.capacity_bytes = PLENTY
        server.peer.service.writes_refused = False
        wire = await Wire.session(server)
        disk.capacity_bytes = used_bytes(disk) + rng.randrange(3000)
        paths = [b"/%d-%d" % (turn, number) for number in range(20)]
        for path in paths:
            wire.send(wire.create(path, rng.randbytes(rng.randrange(300))))
        with suppress(asyncio.IncompleteReadError, ConnectionResetError):  # the disk was full
            for path in paths:
                if (await wire.replies(1))[0].err == 0:
                    acknowledged.append(path)  # noqa: PERF401 - those before the end count too
        await wire.close()
    assert acknowledged
    nodes = set(server.peer.service.tree.nodes)
    disk.crash(rng)
    restored = restore(disk, PLACES).tree
    assert set(acknowledged) <= set(restored.nodes)
    assert set(restored.nodes) >= nodes - {b""}


# A broken disk.


@pytest.mark.parametrize("failure", ["failing_syncs", "failing_writes"])
async def test_a_disk_that_fails_ends_the_server_without_an_answer(disk: MemoryDisk, failure: str) -> None:
    async with running(disk=disk) as server:
        wire = await Wire.session(server)
        setattr(disk, failure, True)
        wire.send(wire.create(b"/a"))
        await asyncio.wait_for(server.stopped.wait(), 20)
        assert isinstance(server.failure, FsyncError if failure == "failing_syncs" else StorageError)
        wire.send(wire.create(b"/b"))
        await server.stop()
        assert await wire.rest() == b""
        assert b"/a" not in server.peer.service.tree.nodes
        await wire.close()


# Snapshots.


async def test_snapshots_under_load_are_whole_and_old_ones_are_purged(disk: MemoryDisk, rng: Random) -> None:
    async with running(disk=disk, snap_count=200, global_outstanding_limit=100) as server:
        wires = [await Wire.session(server) for _ in range(3)]
        turn = 0
        # Those that become due while one is being written count as one: a slow machine needs more load for three.
        while turn < 20 or server.statistics.snapshot_ms.count < 3:
            for wire in wires:
                wire.send(*[wire.create(b"/%d-" % turn, rng.randbytes(2000), 2) for _ in range(30)])
            for wire in wires:
                assert [reply.err for reply in await wire.replies(30)] == [0] * 30
            turn += 1
        assert server.statistics.snapshot_errors == 0
        digest, count = server.peer.service.tree.digest, server.peer.service.tree.node_count
        assert b"zk_cnt_snapshottime" in await ask_word(server, b"mntr")
        for wire in wires:
            await wire.close()
    snapshots = [name for name in disk.names(PLACES.snapshots) if name.startswith("snapshot.")]
    assert len(snapshots) >= 4
    restored = restore(disk, PLACES)
    assert (restored.tree.digest, restored.tree.node_count) == (digest, count)
    assert restored.digest_mismatches == 0
    # Any of them, with the logs behind it, gives the same tree.
    for name in sorted(snapshots, key=lambda name: int(name.split(".")[1], 16))[:0:-1]:
        disk.remove(f"{PLACES.snapshots}/{name}")
        again = restore(disk, PLACES)
        assert (again.tree.digest, again.tree.node_count) == (digest, count)


@pytest.mark.parametrize("fails", [False, True])
async def test_the_log_knows_while_a_snapshot_is_written_beside_it(
    disk: MemoryDisk, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    told: list[bool] = []
    write = SnapshotFile.write

    def watched(file: SnapshotFile, chunk: bytes) -> None:
        told.append(server.peer.log.shares_disk)
        if fails:
            raise DiskFullError("no space left")
        write(file, chunk)

    async with running(disk=disk) as server:
        wire = await Wire.session(server)
        await wire.ask(wire.create(b"/a"))
        monkeypatch.setattr(SnapshotFile, "write", watched)
        with pytest.raises(DiskFullError) if fails else nullcontext():
            await server.snapshots.take_now()
        assert told
        assert all(told)
        assert not server.peer.log.shares_disk
        await wire.close()


async def test_a_snapshot_that_finds_no_space_is_left_out_and_the_server_goes_on(disk: MemoryDisk) -> None:
    async with running(disk=disk, snap_count=10, tick_time_ms=60_000) as server:
        wire = await Wire.session(server)
        await wire.ask(wire.create(b"/big", bytes(900_000)))
        disk.capacity_bytes = used_bytes(disk) + 100_000
        for _ in range(30):
            assert (await wire.ask(wire.set_data(b"/", b"x"))).err == 0
        await until(lambda: server.statistics.snapshot_errors > 0, "a snapshot has failed")
        assert (await wire.ask(wire.set_data(b"/", b"y"))).err == 0
        assert not server.stopped.is_set()
        await wire.close()
    assert [name for name in disk.names(PLACES.snapshots) if "snapshot" in name] == ["snapshot.0"]
