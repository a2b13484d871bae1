"""Group commit: batches go to the txn log one at a time, and what is submitted meanwhile is the next one.

Where the loop waits for a quick disk, a write costs least and comes back soonest; where a disk is slow, reads and pings
must not wait for it. So `LogWriter` writes in the loop as long as the disk is quick and in a thread while it is not.
Measured against always one or the other, and against a process of its own, in docs/performance.md.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread

import structlog

from pyzk.errors import StorageError
from pyzk.server.clock import monotonic_seconds
from pyzk.service.counters import Distribution
from pyzk.storage.txnlog import Batch, TxnLog

log = structlog.get_logger()

RECORD_OVERHEAD_BYTES = 13
"""What the log adds to a payload."""
SLOW_SYNC_MS = 1000
QUICK_MS_MAX = 2.0
"""A disk is quick as long as a batch takes less than this on average."""
AVERAGED_BATCHES = 8
PROBE_SECONDS = 1.0
"""How often a slow disk is tried in the loop, to see whether it is quick again: in the thread the time that a batch
takes says as much about the loop as about the disk."""


@dataclass(slots=True)
class Submission:
    """Txns of one caller, and the token by which it is told that they are durable."""

    batch: Batch
    token: int
    size_bytes: int
    roll: bool
    """Whether a new log file begins with these txns."""
    submitted_at: float


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


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the queue waits for more, so that they share a sync; by default it does not.

    Attributes:
        delay_seconds: from the end of one batch to the beginning of the next (flushDelay).
        silence_seconds: sooner, when nothing was submitted for so long (maxWriteQueuePollTime).
        txns_max: sooner, when so many wait; 0: no number is enough (maxBatchSize).
    """

    delay_seconds: float = 0.0
    silence_seconds: float = 0.0
    txns_max: int = 0


class LogWriter:
    """The queue in front of the log; used from the loop alone.

    Args:
        log: each submission must be within its `batch_bytes_max`.
        outcomes: whom to tell.
        quick_ms_max: 0 for always in the thread, infinity for always in the loop.

    Attributes:
        sync_ms: how long batches took to become durable.
        batch_txns: how many txns they had.
        queue_ms: how long txns waited for their batch to begin.
        queue_and_sync_ms: from there to the disk.
        queue_sizes: how many submissions waited when a batch began.
        submitted_txns: all there ever were.
        slow_syncs: batches that took longer than slow_sync_ms.
        slow_sync_ms: a batch that takes longer is worth a warning (fsync.warningthresholdms).
        shares_disk: something large is being written beside the log: a sync may have to wait for that.
        pace: whether batches wait for more.
    """

    def __init__(self, log: TxnLog, outcomes: Outcomes, quick_ms_max: float = QUICK_MS_MAX) -> None:
        self.log = log
        self.outcomes = outcomes
        self.batch_bytes_max = log.batch_bytes_max
        self.quick_ms_max = quick_ms_max
        self.queue: deque[Submission] = deque()
        self.in_flight: list[int] = []
        self.sync_ms = Distribution()
        self.batch_txns = Distribution()
        self.queue_ms = Distribution()
        self.queue_and_sync_ms = Distribution()
        self.queue_sizes = Distribution()
        self.submitted_txns = self.slow_syncs = 0
        self._waited: list[tuple[float, int]] = []
        self.slow_sync_ms = SLOW_SYNC_MS
        self.shares_disk = False
        self.pace = Pace()
        self._queued_txns = 0
        self._ended_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._began_at = 0.0
        self._average_ms = 0.0
        self._probe_at = 0.0
        self._work: SimpleQueue[tuple[Batch, bool] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._roll = False
        self._scheduled = self._is_telling = False
        self._idle: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()

    def submit(self, batch: Batch, token: int) -> None:
        """Log some txns; what is submitted until `start` goes together."""
        size_bytes = sum([len(payload) for _, payload in batch]) + RECORD_OVERHEAD_BYTES * len(batch)
        self.queue.append(Submission(batch, token, size_bytes, self._roll, monotonic_seconds()))
        self.submitted_txns += len(batch)
        self._queued_txns += len(batch)
        self._roll = False

    def start(self) -> None:
        """Begin with what was submitted, now; what is submitted while a batch is under way begins behind it."""
        if self.queue and not self.in_flight and not self._is_telling and not self._waits():
            self._start()

    def start_soon(self) -> None:
        """The same at the next turn of the loop."""
        if self.queue and not self.in_flight and not self._scheduled and not self._waits():
            self._scheduled = True
            self._loop.call_soon(self._start)

    def _waits(self) -> bool:
        """Whether the queue waits for more; it is then looked at again in time."""
        pace = self.pace
        if not pace.delay_seconds or 0 < pace.txns_max <= self._queued_txns:
            return False
        left = min(self._ended_at + pace.delay_seconds, self.queue[-1].submitted_at + pace.silence_seconds)
        left -= monotonic_seconds()
        if left > 0 and self._timer is None:
            self._timer = self._loop.call_later(left, self._look_again)
        return left > 0

    def _look_again(self) -> None:
        self._timer = None
        self.start()

    def roll(self) -> None:
        """Let the next submission begin a new log file."""
        self._roll = True

    def reset_statistics(self) -> None:
        """Count anew (word `srst`)."""
        for numbers in (self.sync_ms, self.batch_txns, self.queue_ms, self.queue_and_sync_ms, self.queue_sizes):
            numbers.reset()
        self.slow_syncs = 0

    async def close(self) -> None:
        """Wait until everything submitted is durable, then let go of the log."""
        self.pace = Pace()
        self.start_soon()
        if self.queue or self.in_flight:
            self._idle = self._loop.create_future()
            await self._idle
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()
        self.log.close()

    @property
    def is_quick(self) -> bool:
        """Whether batches are written in the loop."""
        return self._average_ms < self.quick_ms_max

    def _write(self, batch: Batch, *, roll: bool) -> None:
        if self.shares_disk or (not self.is_quick and (self._began_at < self._probe_at or not self.quick_ms_max)):
            self._hand_over(batch, roll=roll)
            return
        error = self.log.attempt(batch, roll=roll)
        self._judge((monotonic_seconds() - self._began_at) * 1000)
        self._finished(error)

    def _judge(self, took_ms: float) -> None:
        """Learn how quick the disk is: one quick probe makes it quick again, one slow batch does not make it slow."""
        if self.is_quick:
            self._average_ms += (took_ms - self._average_ms) / AVERAGED_BATCHES
        elif took_ms < self.quick_ms_max / 2:
            self._average_ms = took_ms
        self._probe_at = monotonic_seconds() + PROBE_SECONDS

    def _hand_over(self, batch: Batch, *, roll: bool) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._run, name="log-writer", daemon=True)
            self._thread.start()
        self._work.put((batch, roll))

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            batch, roll = work
            error = self.log.attempt(batch, roll=roll)
            self._loop.call_soon_threadsafe(self._finished, error)

    def _start(self) -> None:
        self._scheduled = False
        if self.in_flight or not self.queue:
            return
        first = self.queue.popleft()
        batch, size_bytes = list(first.batch), first.size_bytes
        self.queue_sizes.add(len(self.queue))
        waited = self._waited = [(first.submitted_at, len(batch))]
        self.in_flight.append(first.token)
        while self.queue and not self.queue[0].roll and size_bytes + self.queue[0].size_bytes <= self.batch_bytes_max:
            following = self.queue.popleft()
            batch += following.batch
            waited.append((following.submitted_at, len(following.batch)))
            size_bytes += following.size_bytes
            self.in_flight.append(following.token)
        self._queued_txns -= len(batch)
        self.batch_txns.add(len(batch))
        self._began_at = monotonic_seconds()
        for submitted_at, count in waited:
            self.queue_ms.add(int((self._began_at - submitted_at) * 1000), count)
        self._write(batch, roll=first.roll)

    def _finished(self, error: StorageError | None) -> None:
        tokens, self.in_flight = self.in_flight, []
        self._time()
        self._is_telling = True
        if error is None:
            self.outcomes.done(tokens)
        else:
            # What is queued builds on what was lost.
            tokens += [submission.token for submission in self.queue]
            self.queue.clear()
            self._queued_txns = 0
            self.outcomes.failed(error, tokens)
        self._is_telling = False
        self.start_soon()
        if not self.queue and self._idle is not None and not self.in_flight and not self._idle.done():
            self._idle.set_result(None)

    def _time(self) -> None:
        now = self._ended_at = monotonic_seconds()
        took_ms = int((now - self._began_at) * 1000)
        self.sync_ms.add(took_ms)
        for submitted_at, count in self._waited:
            self.queue_and_sync_ms.add(int((now - submitted_at) * 1000), count)
        if took_ms > self.slow_sync_ms:
            self.slow_syncs += 1
            log.warning("log_sync_was_slow", ms=took_ms, setting="fsync.warningthresholdms")


def split(entries: Batch, bytes_max: int) -> list[list[tuple[int, bytes]]]:
    """Parts that fit into one batch of the log each, in order."""
    if sum([len(payload) for _, payload in entries]) + RECORD_OVERHEAD_BYTES * len(entries) <= bytes_max:
        return [list(entries)]
    parts: list[list[tuple[int, bytes]]] = []
    size = bytes_max
    for entry in entries:
        record_bytes = len(entry[1]) + RECORD_OVERHEAD_BYTES
        if size + record_bytes > bytes_max:
            parts.append([])
            size = 0
        parts[-1].append(entry)
        size += record_bytes
    return parts
