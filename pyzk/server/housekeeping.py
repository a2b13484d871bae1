"""What a server does by the clock: expire sessions, look for empty containers, watch the disk, purge, snapshot.

Each chore is small enough for one turn of the event loop, or hands its slow part to a thread.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from contextlib import AbstractAsyncContextManager

import structlog

from pyzk.errors import DiskFullError, PyzkError
from pyzk.server.admin.statistics import Statistics
from pyzk.server.clock import monotonic_seconds, wall_ms
from pyzk.server.config import Config
from pyzk.server.driver import Driver
from pyzk.service.containers import deletable, is_deletable
from pyzk.storage import retention
from pyzk.storage.compression import STREAMS
from pyzk.storage.disk import Disk
from pyzk.storage.names import Places, snapshot_name
from pyzk.storage.snapshot import Encoding, SnapshotFile
from pyzk.storage.txnlog import Roll
from pyzk.tree.tree import Tree

log = structlog.get_logger()

FREE_BYTES_MIN = 1 << 20
"""With less space than this left for the log, writes are refused until there is more."""
SNAPSHOT_NODE_BYTES = 100
"""What a znode takes in a snapshot besides path and data."""
SESSIONLESS_CHECKS_PER_TIMEOUT = 4


class Chores:
    """Runs coroutines until it is stopped; one that fails brings the server down.

    Args:
        on_fatal: called with the exception of a chore that failed.
    """

    def __init__(self, on_fatal: Callable[[BaseException], None]) -> None:
        self._on_fatal = on_fatal
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, chore: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Run a chore; the task is to be waited for, if for anything."""
        task = asyncio.get_running_loop().create_task(chore)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            assert error is not None
            self._on_fatal(error)

    async def stop(self) -> None:
        """End all of them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def keep_sessions(driver: Driver, tick_ms: int) -> None:
    """At each end of a tick: expire sessions. Time in which this server itself stood still is given back to all."""
    while True:
        now = monotonic_seconds()
        # The tracker may be another one each time: each role of a member has its own.
        due = driver.service.tracker.tick_end(now)
        if due is None:
            due = now + tick_ms / 1000
        await asyncio.sleep(max(0.0, due - monotonic_seconds()))
        stall_seconds = monotonic_seconds() - due
        if stall_seconds > tick_ms / 1000:
            log.warning("server_stalled", seconds=round(stall_seconds, 3))
            driver.service.tracker.shift(stall_seconds)
        # Two turns of the loop: everything that can be read by now is read before anybody expires.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        driver.tick()


async def close_sessionless(driver: Driver, timeout_ms: int) -> None:
    """Close connections that never open a session."""
    timeout_seconds = timeout_ms / 1000
    while True:
        await asyncio.sleep(timeout_seconds / SESSIONLESS_CHECKS_PER_TIMEOUT)
        now = monotonic_seconds()
        for state in list(driver.service.connections.values()):
            # Differs from Apache: who sends a byte now and then does not keep a place. A session that is being opened
            # may take its time.
            since = state.last_heard_at if state.handshaking else state.connected_at
            if not state.established and now - since > timeout_seconds:
                driver.service.counters.sessionless_expired += not state.closing
                driver.service.close(state, f"no session within {timeout_ms} ms")
        driver.wake()


async def close_unauthenticated(driver: Driver, timeout_ms: int) -> None:
    """Close connections that must authenticate and do not."""
    timeout_seconds = timeout_ms / 1000
    while True:
        await asyncio.sleep(timeout_seconds / SESSIONLESS_CHECKS_PER_TIMEOUT)
        now = monotonic_seconds()
        for state in list(driver.service.connections.values()):
            if state.barred and state.established and now - state.connected_at > timeout_seconds:
                reason = f"not authenticated within {timeout_ms} ms (pyzk.authenticationTimeoutMs)"
                driver.service.close(state, reason, notable=True)
        driver.wake()


async def delete_containers(driver: Driver, config: Config) -> None:
    """Delete empty containers and znodes whose TTL is over, if it is for us; paced by znode.container.maxPerMinute."""
    pause_seconds = 60 / max(1, config.container_max_per_minute)
    while True:
        await asyncio.sleep(config.container_check_interval_ms / 1000)
        for path in deletable(driver.service.tree, wall_ms(), config.container_max_never_used_ms):
            if not driver.decides:
                break
            # It may have come into use again while others were deleted.
            if is_deletable(driver.service.tree, path, wall_ms(), config.container_max_never_used_ms):
                driver.service.delete_container(path)
                driver.wake()
                await asyncio.sleep(pause_seconds)


async def watch_disk(driver: Driver, disk: Disk, directory: str, tick_ms: int) -> None:
    """Refuse writes while there is little space left for the log, and take them again when there is more.

    After a batch that did not fit there must be space for as much again, or the next one would end the same way.
    """
    service = driver.service
    while True:
        await asyncio.sleep(tick_ms / 1000)
        is_low = disk.free_bytes(directory) < FREE_BYTES_MIN + driver.unwritten_bytes
        if is_low != service.writes_refused:
            service.writes_refused = is_low
            if not is_low:
                driver.unwritten_bytes = 0
            log.warning("disk_low_writes_refused" if is_low else "disk_space_back_writes_taken", directory=directory)


class Gate:
    """Whether files may be changed beside the log, and snapshots be taken; on a standalone server they always may."""

    def __init__(self) -> None:
        self._files = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether the tree is one of which a snapshot may be taken."""
        return True

    async def opened(self) -> None:
        """Wait until that is so."""

    def beside(self) -> AbstractAsyncContextManager[None]:
        """For the length of an `async with`, the files are not put in another order."""
        return self._files

    async def logged(self, zxid: int) -> bool:  # noqa: ARG002
        """Wait until the log has everything up to there; False when that will not be."""
        return True


async def purge(disk: Disk, places: Places, config: Config, gate: Gate, damaged: Collection[str]) -> None:
    """Delete snapshots and logs that are no longer needed, at the start and every purgeInterval hours.

    A member waits for its ensemble first: what it has may be in doubt, and then an operator may want all of it.
    """
    while True:
        await gate.opened()
        async with gate.beside():
            removed = await asyncio.to_thread(retention.purge, disk, places, config.snap_retain_count, damaged)
        if removed:
            log.info("purged", files=len(removed))
        await asyncio.sleep(config.purge_interval_hours * 3600)


def snapshot_bytes(tree: Tree) -> int:
    """The space that a snapshot wants, with what the log must have left."""
    return tree.data_bytes + SNAPSHOT_NODE_BYTES * tree.node_count + FREE_BYTES_MIN


class Snapshots:
    """Takes a snapshot, in slices, whenever enough has been logged; one at a time.

    Args:
        start_file: called when the log should begin a new file.
        statistics: where they are counted.
        gate: tells when.
    """

    def __init__(
        self,
        driver: Driver,
        disk: Disk,
        places: Places,
        config: Config,
        roll: Roll,
        start_file: Callable[[], None],
        statistics: Statistics,
        gate: Gate,
    ) -> None:
        self._gate = gate
        self._driver = driver
        self._disk = disk
        self._places = places
        self._config = config
        self._roll = roll
        self._start_file = start_file
        self._statistics = statistics
        self._wanted = asyncio.Event()

    def logging(self, count: int, size_bytes: int) -> None:
        """Count what goes to the log."""
        self._roll.note(count, size_bytes)
        if self._roll.file_due:
            self._start_file()
            if self._roll.snapshot_due:
                self.want()
            self._roll.rolled()

    def want(self) -> None:
        """Take a snapshot as soon as none is under way."""
        self._wanted.set()

    async def run(self) -> None:
        """Take snapshots when they are wanted."""
        while True:
            await self._wanted.wait()
            await self._gate.opened()
            self._wanted.clear()
            try:
                async with self._gate.beside():
                    await self.take()
            except DiskFullError as error:
                self._statistics.snapshot_errors += 1
                log.warning("snapshot_failed", error=str(error))

    async def take_now(self) -> str | None:
        """Take one for an operator: its name; None if the server has lost its role meanwhile. Raises DiskFullError."""
        if not self._gate.is_open:
            return None
        async with self._gate.beside():
            return await self.take()

    async def take(self) -> str | None:
        """Write one: the tree is read in slices between requests, the file is written by a thread."""
        tree = self._driver.service.tree
        zxid = tree.last_zxid
        compression = self._config.snapshot_compression
        name = snapshot_name(zxid, compression)
        if name in self._disk.names(self._places.snapshots):
            return name
        directory = self._places.snapshots
        # A snapshot that fills the disk would take the log's last space with it.
        if self._disk.free_bytes(directory) < snapshot_bytes(tree):
            raise DiskFullError(f"{directory}: not enough space left for a snapshot")
        begun_at = monotonic_seconds()
        file = SnapshotFile(self._disk, directory, name)
        chunks = Encoding(tree, with_last_zxid=self._config.serialize_last_processed_zxid)
        self._driver.log.shares_disk = True
        try:
            for chunk in STREAMS[compression](chunks):
                await asyncio.to_thread(file.write, chunk)
                if not self._gate.is_open:
                    break
            # A snapshot must not hold what the log may still lose.
            if not self._gate.is_open or not await self._gate.logged(zxid):
                file.discard()
                log.info("snapshot_abandoned", name=name)
                self.want()
                return None
            await asyncio.to_thread(file.finish)
        except (PyzkError, asyncio.CancelledError):
            file.discard()
            raise
        finally:
            self._driver.log.shares_disk = False
            chunks.close()
        took_seconds = monotonic_seconds() - begun_at
        self._statistics.snapshot_ms.add(int(took_seconds * 1000))
        log.info("snapshot_taken", name=name, bytes=file.position, seconds=round(took_seconds, 3))
        return name
