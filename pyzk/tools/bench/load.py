"""The load of one process: its connections, its workers, and when each operation is due."""

import asyncio
import math
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path
from random import Random

from pyzk.errors import AuthFailedError, ConnectionLostError, PyzkError
from pyzk.tools.bench.access import Opener
from pyzk.tools.bench.options import Options
from pyzk.tools.bench.tally import Outcome, Tally, Usage
from pyzk.tools.bench.territory import Territory
from pyzk.tools.bench.workloads import WORKLOADS, Connection, Worker, Workload

DRAIN_S = 5.0
"""How long replies are waited for when the time is up."""
TIMER_SLACK_S = 0.002
"""Timers of the loop come up to so much late; that says nothing about the servers."""
OPENED_AT_ONCE = 50
UNFINISHED = "no reply in time"
SCHEDULER_FILE = Path("/proc/self/schedstat")
"""Nanoseconds on a core, nanoseconds that it waited for one, turns."""


class Generator:
    """Puts load on the servers with its share of the connections."""

    def __init__(self, options: Options, job: int, opener: Opener, territory: Territory) -> None:
        self.options = options
        self.job = job
        self._opener = opener
        self._territory = territory
        self._connections: list[Connection] = []

    async def open(self) -> None:
        """Open the connections. Raises ConnectionLostError, AuthFailedError."""
        wanted = iter(range(self.options.connections))
        while batch := list(islice(wanted, OPENED_AT_ONCE)):
            clients = await asyncio.gather(*(self._opener.open() for _ in batch))
            self._connections += [Connection(self._opener, client) for client in clients]

    async def run(self, position: int, stop: asyncio.Event) -> Outcome:
        """Do one of the workloads, until it is over or `stop` is set. Raises AuthFailedError."""
        name = self.options.workloads[position]
        course = Course(self.options, WORKLOADS[name])
        await course.run(self._workers(position), stop)
        return Outcome(name, course.tally, [course.usage])

    async def close(self) -> None:
        """End the sessions: what they have sent is then done, or never will be."""
        await asyncio.gather(*(connection.client.close() for connection in self._connections))

    def _workers(self, position: int) -> list[Worker]:
        count = len(self._connections)
        return [
            Worker(
                self._connections[number % count],
                self._connections[(number + 1) % count],
                self._territory,
                Random(),
                f"{self._territory.work_path}/{position}-{self.job}-{number}",
                self.options.read_share,
            )
            for number in range(count * self.options.depth)
        ]


class Course:
    """One workload, from its warming up to its last reply."""

    def __init__(self, options: Options, workload: Workload) -> None:
        self._operate = workload.operate
        self._rate = options.rate
        self._began = time.monotonic()
        self.tally = Tally(self._began + options.warmup_s)
        self._until = math.inf if options.operations else self.tally.begin + options.seconds
        self._left: float = options.operations or math.inf
        self._scheduled = 0
        self._over = asyncio.Event()
        self._sleeping: set[asyncio.Future[None]] = set()
        self._used_before = used()
        self.usage = Usage(0, 0)

    async def run(self, workers: list[Worker], stop: asyncio.Event) -> None:
        """Let the workers work. Raises AuthFailedError."""
        measuring = asyncio.get_running_loop().call_later(self.tally.begin - time.monotonic(), self._begin_to_measure)
        tasks = [asyncio.create_task(self._work(worker)) for worker in workers]
        ending = asyncio.create_task(self._end(tasks, stop))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            measuring.cancel()
            for task in (ending, *tasks):
                task.cancel()
            await asyncio.gather(ending, *tasks, return_exceptions=True)
            self._finish()
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _work(self, worker: Worker) -> None:
        while (due := await self._turn()) is not None:
            try:
                await self._operate(worker)
            except asyncio.CancelledError:
                self.tally.fail(due, UNFINISHED)
                raise
            except AuthFailedError:
                raise
            except PyzkError as error:
                self.tally.fail(due, type(error).__name__)
                # Without a server for long: the next operation fails for the same reason, and is counted.
                with suppress(ConnectionLostError):
                    await worker.renew()
            else:
                self.tally.succeed(due, time.monotonic())

    async def _turn(self) -> float | None:
        """Wait until an operation is due; from when its latency counts, or None if there is none any more."""
        now = due = time.monotonic()
        if self._rate is not None:
            due = self._began + self._scheduled / self._rate
        if self._over.is_set() or self._left <= 0 or max(now, due) >= self._until:
            return None
        self._scheduled += 1
        if due >= self.tally.begin:
            self._left -= 1
        if due <= now:
            return due
        await self._sleep(due - now)
        if self._over.is_set():
            return None
        woken = time.monotonic()
        return woken if woken - due < TIMER_SLACK_S else due

    async def _sleep(self, seconds: float) -> None:
        """Until then, or until all is over."""
        loop = asyncio.get_running_loop()
        alarm = loop.create_future()
        self._sleeping.add(alarm)
        timer = loop.call_later(seconds, _wake, alarm)
        try:
            await alarm
        finally:
            timer.cancel()
            self._sleeping.discard(alarm)

    async def _end(self, tasks: "list[asyncio.Task[None]]", stop: asyncio.Event) -> None:
        seconds = self._until - time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                await stop.wait()
        self._over.set()
        if self._rate is not None and self._left > 0:
            due = int((min(time.monotonic(), self._until) - self._began) * self._rate)
            self.tally.unsent = max(0, due - self._scheduled)
        for alarm in self._sleeping:
            _wake(alarm)
        await asyncio.wait(tasks, timeout=DRAIN_S)
        for task in tasks:
            task.cancel()

    def _begin_to_measure(self) -> None:
        self._used_before = used()

    def _finish(self) -> None:
        self.tally.finish(time.monotonic())
        self.usage = Usage(*(after - before for after, before in zip(used(), self._used_before, strict=True)))


def _wake(alarm: "asyncio.Future[None]") -> None:
    if not alarm.done():
        alarm.set_result(None)


def used() -> tuple[float, float, float]:
    """Seconds of the clock, of computing, and of waiting for a core (0 where the system does not tell)."""
    waited_ns = 0
    with suppress(OSError, ValueError, IndexError):
        waited_ns = int(SCHEDULER_FILE.read_text().split()[1])
    return time.monotonic(), time.process_time(), waited_ns / 1e9
