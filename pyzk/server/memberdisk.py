"""Performs what the agreement asks of the disk, strictly in order, and tells it what is durable.

Txns go through the log's group commit, as many at a time as there are. Everything else waits until the log is still,
and keeps back what follows; it is done in a thread, step by step, so that pings and elections go on. Log files are read
for a learner beside all that.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol, TypeVar

import structlog

from pyzk.errors import DiskFullError, StorageError
from pyzk.server.logwriter import LogWriter, split
from pyzk.storage.member import Stored
from pyzk.tree.tree import Tree
from pyzk.zab.effects import Append, Doubt, Heal, Install, ReadLog, SaveEpoch, Truncate
from pyzk.zab.events import Done, Entry, LogRead, Reloaded, Uncut, Unwritten

log = structlog.get_logger()

FULL_RETRY_SECONDS = 1.0
"""How often a full disk is tried again with what is no txn."""

T = TypeVar("T")

DiskEffect = Append | SaveEpoch | Truncate | Install | ReadLog | Heal | Doubt
DiskEvent = Done | Unwritten | Reloaded | Uncut | LogRead


class Files(Protocol):
    """What is asked of the files; see `pyzk.storage.member.MemberFiles`."""

    def save_epoch(self, name: str, epoch: int) -> None: ...
    def truncate(self, zxid: int) -> bool: ...
    def reload(self) -> Stored: ...
    def install_steps(self, tree: Tree, tail: Sequence[tuple[int, bytes]]) -> Iterator[int]: ...
    def read_log(self, after: int, until: int, size_factor: float) -> list[Entry] | None: ...
    def heal(self) -> None: ...
    def doubt(self, reason: str) -> None: ...


@dataclass(slots=True)
class DiskReports:
    """Whom the disk tells; all are called from the loop, never from within `submit` or `start`.

    Attributes:
        handle: takes events.
        tree_zxid: the last zxid of the tree in memory.
        replace_tree: called with what was loaded anew, before the event `Reloaded`.
        on_fatal: called with what makes it impossible to go on; nothing is done any more.
    """

    handle: Callable[[DiskEvent], None]
    tree_zxid: Callable[[], int]
    replace_tree: Callable[[Stored], None]
    on_fatal: Callable[[BaseException], None]


@dataclass(slots=True)
class _Appended:
    """Txns that the log has been given.

    Args:
        zxid_before: where the log ends without them.
        part_count: batches of the log that they take.
        left: how many of these are not durable.
    """

    token: int
    zxid_before: int
    part_count: int
    left: int


class MemberDisk:
    """The queue in front of the files of a member.

    Args:
        files: all but the log's writing side.
        log: its outcomes are to be `logged` and `log_failed`.
        last_zxid: where the log ends.
        reports: whom to tell.
        retry_seconds: how long to wait for space.
    """

    def __init__(
        self,
        files: Files,
        log: LogWriter,
        last_zxid: int,
        reports: DiskReports,
        retry_seconds: float = FULL_RETRY_SECONDS,
    ) -> None:
        self.log = log
        self._files = files
        self._last_zxid = last_zxid
        self._reports = reports
        self._retry_seconds = retry_seconds
        self._queue: deque[DiskEffect] = deque()
        self._appended: deque[_Appended] = deque()
        self._change: asyncio.Task[None] | None = None
        self._reads: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._beside = 0
        self._waiters: list[asyncio.Future[None]] = []
        # Threads of our own: those of the loop may all be waiting for a name server.
        self._threads = ThreadPoolExecutor(2, "member-disk")
        self._loop = asyncio.get_running_loop()

    def submit(self, effect: DiskEffect) -> None:
        """Take an effect; `start` begins with it."""
        self._queue.append(effect)

    def start(self) -> None:
        """Begin with what can be begun; txns are then with the log, which the caller starts."""
        queue = self._queue
        while queue and self._change is None and not self._stopped:
            first = queue[0]
            if isinstance(first, Append):
                self._append(first)
            elif self._appended or (self._beside and isinstance(first, Truncate | Install)):
                break
            elif isinstance(first, ReadLog):
                self._beside += 1
                read = self._loop.create_task(self._read(first))
                self._reads.add(read)
                read.add_done_callback(self._reads.discard)
            else:
                change = partial(self._CHANGES[type(first)], self, first)
                self._change = self._loop.create_task(self._perform(change))
            queue.popleft()
        if self._waiters:
            self._tell_waiters()

    def _go_on(self) -> None:
        """Begin with what has had to wait; nobody else comes to start the log."""
        self.start()
        self.log.start_soon()

    def _tell_waiters(self) -> None:
        if self._change is None:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be durable."""
        return self._stopped or not (self._queue or self._appended or self._change)

    async def close(self) -> None:
        """Wait until everything is durable, then let go of the log."""
        self._go_on()
        while not self.is_idle:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter
        await self.stop()
        await self.log.close()

    async def stop(self) -> None:
        """Begin with nothing more; what a thread is at ends."""
        self._stopped = True
        tasks = [task for task in (self._change, *self._reads) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    # Txns.

    def _append(self, effect: Append) -> None:
        parts = split(effect.entries, self.log.batch_bytes_max)
        self._appended.append(_Appended(effect.token, self._last_zxid, len(parts), len(parts)))
        self._last_zxid = effect.entries[-1][0]
        for part in parts:
            self.log.submit(part, effect.token)

    def logged(self, tokens: list[int]) -> None:
        """Batches of these tokens are durable; a token is done with its last one."""
        done = 0
        for token in tokens:
            first = self._appended[0]
            assert token == first.token, "the log is written in order"
            first.left -= 1
            if not first.left:
                self._appended.popleft()
                done = token
        if done:
            self._reports.handle(Done(done))
        self._go_on()

    def log_failed(self, error: StorageError, tokens: list[int]) -> None:  # noqa: ARG002 - all that is under way goes
        """A batch could not be written: with a full disk, all from its token on is dropped; with anything else, end."""
        if self._stopped or not isinstance(error, DiskFullError):
            self._fail(error)
            return
        first = self._appended[0]
        log.error("disk_full", error=str(error), dropped=len(self._appended))
        self._last_zxid = first.zxid_before
        self._appended.clear()
        # What follows builds on what was lost.
        self._queue.clear()
        if first.left < first.part_count:
            self._change = self._loop.create_task(self._cut(first, error))
        else:
            self._reports.handle(Unwritten(first.token, error))
            self._go_on()

    async def _cut(self, appended: _Appended, error: DiskFullError) -> None:
        """Of a token in several batches the first ones are in the log: none may stay."""

        async def cut() -> DiskEvent:
            self.log.log.roll()
            await self._in_thread(lambda: self._files.truncate(appended.zxid_before))
            # What was asked for meanwhile builds on what was lost too.
            self._queue.clear()
            return Unwritten(appended.token, error)

        await self._perform(cut)

    # Everything else that changes the files.

    async def _perform(self, change: Callable[[], Awaitable[DiskEvent]]) -> None:
        event = await self._finish(change)
        self._change = None
        if event is not None and not self._stopped:
            self._reports.handle(event)
            self._go_on()

    async def _finish(self, change: Callable[[], Awaitable[DiskEvent]]) -> DiskEvent | None:
        """Try until there is space for it: meanwhile this server waits, and others do without it. None at the end."""
        while not self._stopped:
            try:
                return await change()
            except DiskFullError as error:
                log.warning("disk_full", error=str(error), retry_seconds=self._retry_seconds)
                await asyncio.sleep(self._retry_seconds)
            except StorageError as error:
                self._fail(error)
        return None

    async def _save_epoch(self, effect: SaveEpoch) -> DiskEvent:
        await self._in_thread(lambda: self._files.save_epoch(effect.name, effect.epoch))
        return Done(effect.token)

    async def _truncate(self, effect: Truncate) -> DiskEvent:
        self.log.log.roll()
        if not await self._in_thread(lambda: self._files.truncate(effect.zxid)):
            return Uncut(effect.token)
        self._last_zxid = effect.zxid
        if self._reports.tree_zxid() <= effect.zxid:
            return Done(effect.token)
        stored = await self._in_thread(self._files.reload)
        self._last_zxid = stored.last_zxid
        self._reports.replace_tree(stored)
        return Reloaded(effect.token, stored.last_zxid, stored.recent, stored.doubt)

    async def _install(self, effect: Install) -> DiskEvent:
        """The tree stands still meanwhile: nothing is committed here before this is done."""
        self.log.log.roll()
        steps = self._files.install_steps(effect.tree, effect.tail)
        while await self._in_thread(lambda: next(steps, None)) is not None:
            pass
        self._last_zxid = effect.last_zxid
        return Done(effect.token)

    async def _heal(self, effect: Heal) -> DiskEvent:
        self.log.log.roll()
        await self._in_thread(self._files.heal)
        return Done(effect.token)

    async def _doubt(self, effect: Doubt) -> DiskEvent:
        await self._in_thread(lambda: self._files.doubt(effect.reason))
        return Done(effect.token)

    _CHANGES: ClassVar[dict[type, Callable[["MemberDisk", Any], Coroutine[Any, Any, DiskEvent]]]] = {
        SaveEpoch: _save_epoch,
        Truncate: _truncate,
        Install: _install,
        Heal: _heal,
        Doubt: _doubt,
    }

    # What only reads, or removes what is old.

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """While other work with the files goes on that a cut, or a new tree, must not come between."""
        while self._change is not None or (self._queue and isinstance(self._queue[0], Truncate | Install)):
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter
        self._beside += 1
        try:
            yield
        finally:
            self._beside -= 1
            self._go_on()

    async def _read(self, effect: ReadLog) -> None:
        """All that is wanted is durable: what was appended before was waited for."""
        entries: Sequence[Entry] | None = None
        try:
            entries = await self._in_thread(
                lambda: self._files.read_log(effect.after, effect.until, effect.size_factor)
            )
        except StorageError as error:
            log.warning("log_not_read_for_learner", after=hex(effect.after), until=hex(effect.until), error=str(error))
        self._beside -= 1
        if not self._stopped:
            self._reports.handle(LogRead(effect.token, entries))
            self._go_on()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(self._threads, work)

    def _fail(self, error: StorageError) -> None:
        self._stopped = True
        self._reports.on_fatal(error)
        self._tell_waiters()
