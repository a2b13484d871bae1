"""What a server does by the clock: expire sessions, look for empty containers, watch the disk, purge, snapshot.

Each chore is small enough for one turn of the event loop, or hands its slow part to a thread.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine

import structlog

from pyzk.errors import DiskFullError, PyzkError
from pyzk.server.admin.statistics import Statistics
from pyzk.server.clock import monotonic_seconds, wall_ms
from pyzk.server.config import Config
from pyzk.server.peer import Peer
from pyzk.service.containers import deletable, is_deletable
from pyzk.storage import retention
from pyzk.storage.compression import STREAMS
from pyzk.storage.disk import Disk
from pyzk.storage.names import Places, snapshot_name
from pyzk.storage.snapshot import SnapshotFile, encode
from pyzk.storage.txnlog import Roll

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

    def start(self, chore: Coroutine[None, None, None]) -> None:
        """Run a chore."""
        task = asyncio.get_running_loop().create_task(chore)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

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


async def keep_sessions(peer: Peer, tick_ms: int) -> None:
    """At each end of a tick: expire sessions. Time in which this server itself stood still is given back to all."""
    tracker = peer.service.tracker
    while True:
        due = tracker.tick_end(monotonic_seconds())
        await asyncio.sleep(max(0.0, due - monotonic_seconds()))
        stall_seconds = monotonic_seconds() - due
        if stall_seconds > tick_ms / 1000:
            log.warning("server_stalled", seconds=round(stall_seconds, 3))
            tracker.shift(stall_seconds)
        # Two turns of the loop: everything that can be read by now is read before anybody expires.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        peer.service.tick(monotonic_seconds())
        peer.wake()


async def close_sessionless(peer: Peer, timeout_ms: int) -> None:
    """Close connections that never open a session."""
    timeout_seconds = timeout_ms / 1000
    while True:
        await asyncio.sleep(timeout_seconds / SESSIONLESS_CHECKS_PER_TIMEOUT)
        now = monotonic_seconds()
        for state in list(peer.service.connections.values()):
            if not state.established and now - state.last_heard_at > timeout_seconds:
                peer.service.counters.sessionless_expired += not state.closing
                peer.service.close(state, f"no session within {timeout_ms} ms")
        peer.wake()


async def delete_containers(peer: Peer, config: Config) -> None:
    """Delete empty containers and znodes whose TTL is over, paced by znode.container.maxPerMinute."""
    pause_seconds = 60 / max(1, config.container_max_per_minute)
    while True:
        await asyncio.sleep(config.container_check_interval_ms / 1000)
        for path in deletable(peer.service.tree, wall_ms(), config.container_max_never_used_ms):
            # It may have come into use again while others were deleted.
            if is_deletable(peer.service.tree, path, wall_ms(), config.container_max_never_used_ms):
                peer.service.delete_container(path)
                peer.wake()
                await asyncio.sleep(pause_seconds)


async def watch_disk(peer: Peer, disk: Disk, directory: str, tick_ms: int) -> None:
    """Refuse writes while there is little space left for the log, and take them again when there is more.

    After a batch that did not fit there must be space for as much again, or the next one would end the same way.
    """
    service = peer.service
    while True:
        await asyncio.sleep(tick_ms / 1000)
        is_low = disk.free_bytes(directory) < FREE_BYTES_MIN + peer.unwritten_bytes
        if is_low != service.writes_refused:
            service.writes_refused = is_low
            if not is_low:
                peer.unwritten_bytes = 0
            log.warning("disk_low_writes_refused" if is_low else "disk_space_back_writes_taken", directory=directory)


async def purge(disk: Disk, places: Places, config: Config, damaged: Collection[str]) -> None:
    """Delete snapshots and logs that are no longer needed, at the start and every purgeInterval hours."""
    while True:
        removed = await asyncio.to_thread(retention.purge, disk, places, config.snap_retain_count, damaged)
        if removed:
            log.info("purged", files=len(removed))
        await asyncio.sleep(config.purge_interval_hours * 3600)


class Snapshots:
    """Takes a snapshot, in slices, whenever enough has been logged; one at a time.

    Args:
        start_file: called when the log should begin a new file.
    """

    def __init__(
        self,
        peer: Peer,
        disk: Disk,
        places: Places,
        config: Config,
        roll: Roll,
        start_file: Callable[[], None],
        statistics: Statistics,
    ) -> None:
        self._peer = peer
        self._disk = disk
        self._places = places
        self._config = config
        self._roll = roll
        self._start_file = start_file
        self._statistics = statistics
        self._wanted = asyncio.Event()

    def proposed(self, count: int, size_bytes: int) -> None:
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
            self._wanted.clear()
            try:
                await self.take()
            except DiskFullError as error:
                self._statistics.snapshot_errors += 1
                log.warning("snapshot_failed", error=str(error))

    async def take(self) -> None:
        """Write one: the tree is read in slices between requests, the file is written by a thread."""
        tree = self._peer.service.tree
        compression = self._config.snapshot_compression
        name = snapshot_name(tree.last_zxid, compression)
        if name in self._disk.names(self._places.snapshots):
            return
        directory = self._places.snapshots
        # A snapshot that fills the disk would take the log's last space with it.
        wanted_bytes = tree.data_bytes + SNAPSHOT_NODE_BYTES * tree.node_count + FREE_BYTES_MIN
        if self._disk.free_bytes(directory) < wanted_bytes:
            raise DiskFullError(f"{directory}: not enough space left for a snapshot")
        begun_at = monotonic_seconds()
        file = SnapshotFile(self._disk, directory, name)
        chunks = encode(tree, with_last_zxid=self._config.serialize_last_processed_zxid)
        try:
            for chunk in STREAMS[compression](chunks):
                await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(file.finish)
        except (PyzkError, asyncio.CancelledError):
            file.discard()
            raise
        finally:
            chunks.close()
        took_seconds = monotonic_seconds() - begun_at
        self._statistics.snapshot_ms.add(int(took_seconds * 1000))
        log.info("snapshot_taken", name=name, bytes=file.position, seconds=round(took_seconds, 3))
