"""Group commit: batches go to the txn log one at a time, and what is submitted meanwhile is the next one.

`GroupCommit` has the queue; a subclass says where the blocking write and fdatasync happen: in the loop
(`InlineWriter`), in a thread (`ThreadWriter`) or in a process of its own (`pyzk.server.logprocess`). All are used from
the loop alone.
Which one is best under which load is measured by scripts/bench/log_writers.py and recorded in docs/performance.md.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread

import structlog

from pyzk.errors import StorageError
from pyzk.server.clock import monotonic_seconds
from pyzk.service.counters import Summary
from pyzk.storage.txnlog import Batch, TxnLog

log = structlog.get_logger()

RECORD_OVERHEAD_BYTES = 13
"""What the log adds to a payload."""
SLOW_SYNC_MS = 1000


@dataclass(slots=True)
class Submission:
    """Txns of one caller, and the token by which it is told that they are durable."""

    batch: Batch
    token: int
    size_bytes: int
    roll: bool
    """Whether a new log file begins with these txns."""


@dataclass(slots=True)
class Outcomes:
    """Whom a writer tells; both are called from the loop.

    Attributes:
        done: tokens of what is durable now, in the order of their submission.
        failed: why, and the tokens of everything that was submitted and is not durable. After DiskFullError the log
            is as before and later submissions may succeed; after any other error the process must end.
    """

    done: Callable[[list[int]], None]
    failed: Callable[[StorageError, list[int]], None]


class GroupCommit(ABC):
    """The queue in front of the log.

    Args:
        outcomes: whom to tell.
        batch_bytes_max: limit of one batch on the disk (log_batch_bytes_max); each submission must be within it.

    Attributes:
        sync_ms: how long batches took to become durable.
        batch_txns: how many txns they had.
        slow_sync_ms: a batch that takes longer is worth a warning (fsync.warningthresholdms).
    """

    def __init__(self, outcomes: Outcomes, batch_bytes_max: int) -> None:
        self.outcomes = outcomes
        self.batch_bytes_max = batch_bytes_max
        self.queue: deque[Submission] = deque()
        self.in_flight: list[int] = []
        self.sync_ms = Summary()
        self.batch_txns = Summary()
        self.slow_sync_ms = SLOW_SYNC_MS
        self._began_at = 0.0
        self._roll = False
        self._scheduled = False
        self._idle: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()

    def submit(self, batch: Batch, token: int) -> None:
        """Log some txns; what is submitted in the same turn of the loop goes together."""
        size_bytes = sum([len(payload) for _, payload in batch]) + RECORD_OVERHEAD_BYTES * len(batch)
        self.queue.append(Submission(batch, token, size_bytes, self._roll))
        self._roll = False
        self._schedule()

    def roll(self) -> None:
        """Let the next submission begin a new log file."""
        self._roll = True

    async def close(self) -> None:
        """Wait until everything submitted is durable, then let go of the log."""
        if self.queue or self.in_flight:
            self._idle = self._loop.create_future()
            await self._idle
        await self._stop()

    @abstractmethod
    def _write(self, batch: Batch, *, roll: bool) -> None:
        """Begin to write; `_finished` must be called from the loop, once."""

    @abstractmethod
    async def _stop(self) -> None:
        """Release the log; nothing is in flight."""

    def _schedule(self) -> None:
        if not self._scheduled and not self.in_flight:
            self._scheduled = True
            self._loop.call_soon(self._start)

    def _start(self) -> None:
        self._scheduled = False
        if self.in_flight or not self.queue:
            return
        first = self.queue.popleft()
        batch, size_bytes = list(first.batch), first.size_bytes
        self.in_flight.append(first.token)
        while self.queue and not self.queue[0].roll and size_bytes + self.queue[0].size_bytes <= self.batch_bytes_max:
            following = self.queue.popleft()
            batch += following.batch
            size_bytes += following.size_bytes
            self.in_flight.append(following.token)
        self.batch_txns.add(len(batch))
        self._began_at = monotonic_seconds()
        self._write(batch, roll=first.roll)

    def _finished(self, error: StorageError | None) -> None:
        tokens, self.in_flight = self.in_flight, []
        self._time()
        if error is None:
            self.outcomes.done(tokens)
        else:
            # What is queued builds on what was lost.
            tokens += [submission.token for submission in self.queue]
            self.queue.clear()
            self.outcomes.failed(error, tokens)
        if self.queue:
            self._schedule()
        elif self._idle is not None and not self.in_flight and not self._idle.done():
            self._idle.set_result(None)

    def _time(self) -> None:
        took_ms = int((monotonic_seconds() - self._began_at) * 1000)
        self.sync_ms.add(took_ms)
        if took_ms > self.slow_sync_ms:
            log.warning("log_sync_was_slow", ms=took_ms, setting="fsync.warningthresholdms")


class InlineWriter(GroupCommit):
    """Writes in the loop, which waits for the disk."""

    def __init__(self, log: TxnLog, outcomes: Outcomes) -> None:
        super().__init__(outcomes, log.batch_bytes_max)
        self.log = log

    def _write(self, batch: Batch, *, roll: bool) -> None:
        self._finished(self.log.attempt(batch, roll=roll))

    async def _stop(self) -> None:
        self.log.close()


class ThreadWriter(GroupCommit):
    """Writes in a thread. It waits for the interpreter after each fdatasync, which costs latency under load."""

    def __init__(self, log: TxnLog, outcomes: Outcomes) -> None:
        super().__init__(outcomes, log.batch_bytes_max)
        self.log = log
        self.work: SimpleQueue[tuple[Batch, bool] | None] = SimpleQueue()
        self.thread = Thread(target=self._run, name="log-writer", daemon=True)
        self.thread.start()

    def _write(self, batch: Batch, *, roll: bool) -> None:
        self.work.put((batch, roll))

    async def _stop(self) -> None:
        self.work.put(None)
        self.thread.join()
        self.log.close()

    def _run(self) -> None:
        while (work := self.work.get()) is not None:
            batch, roll = work
            error = self.log.attempt(batch, roll=roll)
            self._loop.call_soon_threadsafe(self._finished, error)
