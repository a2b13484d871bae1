"""What a server does by the clock. The clock is the test's: `Clock.sleep` only moves its hands."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import OPEN_ACL
from pyzk.codec.requests import CreateRequest, CreateTTLRequest
from pyzk.errors import StorageError
from pyzk.server import housekeeping
from pyzk.server.config import Config
from pyzk.service.containers import deletable
from pyzk.service.forwarding import Forwarding
from pyzk.service.outbox import Settings
from pyzk.storage.memory import MemoryDisk
from pyzk.storage.names import Places
from pyzk.storage.snapshot import save
from pyzk.tree.tree import Tree
from tests.server.shell import MEMORY_DIRECTORY, Wire, running, until
from tests.service.harness import WALL_MS, World

TICK_MS = 1000


class Clock:
    """Stands for asyncio and the monotonic clock in housekeeping; ends the chore at `end`."""

    def __init__(self, world: World, end: float) -> None:
        self.world = world
        self.end = end
        self.stalls: dict[float, float] = {}
        self.on_sleep: Callable[[], None] = lambda: None

    @property
    def now(self) -> float:
        return self.world.now

    async def sleep(self, seconds: float) -> None:
        self.world.settle()
        if not seconds:
            return
        self.world.now += seconds + self.stalls.pop(round(self.now), 0.0)
        self.on_sleep()
        if self.now >= self.end:
            raise asyncio.CancelledError


@pytest.fixture
def world() -> World:
    return World(Settings(tick_ms=TICK_MS))


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Clock]:
    """Runs a chore on the world's service for some seconds."""

    def run(
        make: Callable[[Any], Any],
        seconds: float,
        prepare: Callable[[Clock], None] = lambda _: None,
        tick: Callable[[float], object] = world.service.tick,
    ) -> Clock:
        clock = Clock(world, world.now + seconds)
        monkeypatch.setattr(housekeeping, "asyncio", SimpleNamespace(sleep=clock.sleep))
        monkeypatch.setattr(housekeeping, "monotonic_seconds", lambda: clock.now)
        monkeypatch.setattr(housekeeping, "wall_ms", lambda: WALL_MS + int((clock.now - 1000) * 1000))
        prepare(clock)
        peer = SimpleNamespace(
            service=world.service,
            wake=lambda: None,
            unwritten_bytes=0,
            decides=True,
            tick=lambda: tick(clock.now),
        )
        with pytest.raises(asyncio.CancelledError):
            make(peer).send(None)
        world.settle()
        return clock

    return run


def keep_sessions(peer: Any) -> Any:
    return housekeeping.keep_sessions(peer, TICK_MS)


# Sessions.


def test_a_silent_session_expires_within_a_tick_of_its_timeout(world: World, run: Callable[..., Clock]) -> None:
    client = world.client(timeout_ms=5000)
    run(keep_sessions, 4.9)
    assert client.closed is None
    run(keep_sessions, 2.2)
    assert client.closed == "the session has expired"


@pytest.mark.parametrize("start", [1000.05, 1000.5, 1000.95])
def test_a_session_expires_at_the_end_of_a_tick_whenever_the_server_began(
    world: World, run: Callable[..., Clock], start: float
) -> None:
    world.now = start
    client = world.client(timeout_ms=5000)
    run(keep_sessions, 1004.9 - start)
    assert client.closed is None
    run(keep_sessions, 1006.01 - world.now)
    assert client.closed == "the session has expired"


def test_where_no_session_expires_a_tick_passes_all_the_same(world: World, run: Callable[..., Clock]) -> None:
    ticks: list[float] = []
    world.service.open(Forwarding(world.service, 1, 0), world.now)
    run(keep_sessions, 3.5, tick=ticks.append)
    assert ticks == [1001.0, 1002.0, 1003.0]


def test_a_stall_of_the_server_is_given_back_to_all_sessions(world: World, run: Callable[..., Clock]) -> None:
    client = world.client(timeout_ms=5000)
    run(keep_sessions, 34.0, lambda clock: clock.stalls.update({1003: 30.0}))
    assert client.closed is None
    run(keep_sessions, 3.5)
    assert client.closed == "the session has expired"


def test_a_delay_shorter_than_a_tick_is_no_stall(world: World, run: Callable[..., Clock]) -> None:
    client = world.client(timeout_ms=5000)
    run(keep_sessions, 7.2, lambda clock: clock.stalls.update({1001: 0.9, 1003: 0.9}))
    assert client.closed == "the session has expired"


def test_what_came_in_during_a_stall_counts_before_anybody_expires(world: World, run: Callable[..., Clock]) -> None:
    client = world.client(timeout_ms=4000)

    def ping_after_stall(clock: Clock) -> None:
        clock.on_sleep = lambda: client.give(client.ping())

    run(keep_sessions, 60.0, ping_after_stall)
    assert client.closed is None


def test_connections_without_a_session_are_closed(world: World, run: Callable[..., Clock]) -> None:
    session, silent = world.client(timeout_ms=40_000), world.client(open_session=False)
    run(lambda peer: housekeeping.close_sessionless(peer, 10_000), 9.9)
    assert silent.closed is None
    run(lambda peer: housekeeping.close_sessionless(peer, 10_000), 3.0)
    assert "no session" in str(silent.closed)
    assert session.closed is None
    assert world.service.counters.sessionless_expired == 1


# Containers and TTLs.


def containers(**settings: Any) -> Callable[[Any], Any]:
    config = Config(data_dir=MEMORY_DIRECTORY, container_check_interval_ms=10_000, **settings)
    return lambda peer: housekeeping.delete_containers(peer, config)


def test_an_empty_container_goes_once_it_was_used(world: World, run: Callable[..., Clock]) -> None:
    client = world.client(timeout_ms=40_000)
    for path in (b"/used", b"/new"):
        client.send(client.request(OpCode.CREATE_CONTAINER, CreateRequest(path, b"", OPEN_ACL, 4)))
    client.send(client.create(b"/used/child"))
    run(containers(), 30.0)
    assert b"/used" in world.tree.nodes
    client.send(client.delete(b"/used/child"))
    run(containers(), 11.0)
    assert b"/used" not in world.tree.nodes
    assert b"/new" in world.tree.nodes
    run(containers(container_max_never_used_ms=1000), 11.0)
    assert b"/new" not in world.tree.nodes


def test_a_ttl_counts_from_the_last_change_and_spares_parents(world: World, run: Callable[..., Clock]) -> None:
    world.proposer.rules.extended_types_enabled = True
    client = world.client(timeout_ms=40_000)
    for path in (b"/gone", b"/parent"):
        client.send(client.request(OpCode.CREATE_TTL, CreateTTLRequest(path, b"", OPEN_ACL, 5, 15_000)))
    client.send(client.create(b"/parent/child"))
    assert client.errors == [0, 0, 0]
    run(containers(), 10.1)
    assert b"/gone" in world.tree.nodes
    run(containers(), 10.1)
    assert b"/gone" not in world.tree.nodes
    assert b"/parent" in world.tree.nodes


def test_a_container_that_came_into_use_again_meanwhile_is_kept(world: World, run: Callable[..., Clock]) -> None:
    client = world.client(timeout_ms=40_000)
    for number in range(5):
        path = b"/c%d" % number
        client.send(client.request(OpCode.CREATE_CONTAINER, CreateRequest(path, b"", OPEN_ACL, 4)))
        client.send(client.create(path + b"/x"), client.delete(path + b"/x"))
    assert len(deletable(world.tree, WALL_MS)) == 5

    def use_the_last(clock: Clock) -> None:
        def use() -> None:
            if b"/c0" not in world.tree.nodes and b"/c4/y" not in world.tree.nodes:
                client.send(client.create(b"/c4/y"), client.delete(b"/c4/y"), client.create(b"/c4/z"))

        clock.on_sleep = use

    run(containers(container_max_per_minute=60), 19.0, use_the_last)
    assert sorted(path for path in world.tree.nodes if path.startswith(b"/c")) == [b"/c4", b"/c4/z"]


def test_deletions_keep_to_their_pace(world: World, run: Callable[..., Clock]) -> None:
    client = world.client(timeout_ms=40_000)
    for number in range(10):
        path = b"/c%d" % number
        client.send(client.request(OpCode.CREATE_CONTAINER, CreateRequest(path, b"", OPEN_ACL, 4)))
        client.send(client.create(path + b"/x"), client.delete(path + b"/x"))
    run(containers(container_max_per_minute=60), 13.5)
    assert len(world.tree.containers) == 6


# Disk.


def test_writes_are_refused_while_space_is_low(world: World, run: Callable[..., Clock]) -> None:
    disk = MemoryDisk()
    seen = []

    def fill_and_empty(clock: Clock) -> None:
        def change() -> None:
            seen.append(world.service.writes_refused)
            disk.capacity_bytes = 0 if 1003 <= clock.now < 1006 else 1 << 50

        clock.on_sleep = change

    run(lambda peer: housekeeping.watch_disk(peer, disk, MEMORY_DIRECTORY, TICK_MS), 10.0, fill_and_empty)
    assert seen == [False, False, False, True, True, True, False, False, False, False]


@pytest.mark.parametrize(("unwritten_bytes", "refused"), [(0, False), (1 << 20, True)])
def test_after_a_batch_that_did_not_fit_there_must_be_space_for_as_much_again(
    world: World, run: Callable[..., Clock], unwritten_bytes: int, refused: bool
) -> None:
    disk = MemoryDisk()
    disk.capacity_bytes = housekeeping.FREE_BYTES_MIN + 1000
    world.service.writes_refused = True

    def watch(peer: Any) -> Any:
        peer.unwritten_bytes = unwritten_bytes
        return housekeeping.watch_disk(peer, disk, MEMORY_DIRECTORY, TICK_MS)

    run(watch, 5.0)
    assert world.service.writes_refused == refused


async def test_old_snapshots_are_purged_at_the_start() -> None:
    disk = MemoryDisk()
    places = Places.of(MEMORY_DIRECTORY, MEMORY_DIRECTORY)
    disk.make_directory(places.snapshots)
    for zxid in range(6):
        tree = Tree()
        tree.last_zxid = zxid
        for _ in save(disk, places.snapshots, tree, ""):
            pass
    async with running(disk=disk, purge_interval_hours=1):
        await until(lambda: len(disk.names(places.snapshots)) == 3, "three are left")
    assert disk.names(places.snapshots) == ["snapshot.3", "snapshot.4", "snapshot.5"]


async def test_a_member_purges_nothing_before_its_ensemble_has_a_leader() -> None:
    disk, places = MemoryDisk(), Places.of(MEMORY_DIRECTORY)
    disk.make_directory(places.snapshots)
    for zxid in range(6):
        tree = Tree()
        tree.last_zxid = zxid
        for _ in save(disk, places.snapshots, tree, ""):
            pass
    gate = ClosedGate()
    chores = housekeeping.Chores(pytest.fail)
    chores.start(housekeeping.purge(disk, places, Config(purge_interval_hours=1), gate, {"snapshot.5"}))
    await gate.asked.wait()
    assert len(disk.names(places.snapshots)) == 6
    gate.event.set()
    await until(lambda: len(disk.names(places.snapshots)) < 6, "old ones are purged")
    assert disk.names(places.snapshots) == ["snapshot.2", "snapshot.3", "snapshot.4", "snapshot.5"]
    await chores.stop()


class ClosedGate(housekeeping.Gate):
    """Closed until `event` is set; `asked` tells that somebody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.event = asyncio.Event(), asyncio.Event()

    async def opened(self) -> None:
        self.asked.set()
        await self.event.wait()


# Chores.


async def test_a_chore_that_fails_is_told_and_one_that_is_stopped_is_not() -> None:
    told: list[BaseException] = []
    chores = housekeeping.Chores(told.append)

    async def fail() -> None:
        raise StorageError("no such disk")

    async def wait() -> None:
        await asyncio.Event().wait()

    chores.start(fail())
    chores.start(wait())
    await until(lambda: told, "it is told")
    await chores.stop()
    assert [str(error) for error in told] == ["no such disk"]


async def test_a_session_expires_in_a_running_server() -> None:
    settings = {"tick_time_ms": 30, "min_session_timeout_ms": 60, "max_session_timeout_ms": 60_000}
    async with running(**settings) as server:
        silent, watching = await Wire.session(server, 60), await Wire.session(server)
        silent.send(silent.create(b"/mine", flags=1))
        await silent.replies(1)
        await watching.ask(watching.exists(b"/mine", watch=True))
        assert (await watching.next()).path == b"/mine"  # type: ignore[union-attr]
        assert await silent.rest() == b""
        assert server.peer.service.counters.sessions_expired == 1
        for wire in (silent, watching):
            await wire.close()
