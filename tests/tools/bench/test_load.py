"""When operations are due, and what is counted of them; what the operations do stands in for servers here."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from pyzk.errors import AuthFailedError, ConnectionLostError
from pyzk.tools.bench import load
from pyzk.tools.bench.access import Access
from pyzk.tools.bench.load import UNFINISHED, Course
from pyzk.tools.bench.options import Options
from pyzk.tools.bench.workloads import Workload


class Renewing(SimpleNamespace):
    """A worker that has no connection."""

    renewed = 0

    async def renew(self):
        self.renewed += 1


async def course_of(operate, workers=1, stop=None, **changes):
    options = Options(Access("a:1", 1000), **{"warmup_s": 0.0, **changes})
    course = Course(options, Workload(operate, ""))
    team = [Renewing() for _ in range(workers)]
    await course.run(team, stop or asyncio.Event())
    return course.tally, team


async def at_once(_worker):
    await asyncio.sleep(0)


async def never(_worker):
    await asyncio.Event().wait()


async def busy(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:  # noqa: ASYNC110 - a server that is at work, not one that is waited for
        await asyncio.sleep(0)


async def test_so_many_operations_are_done_as_were_asked_for():
    tally, _ = await course_of(at_once, workers=3, operations=50)
    assert tally.operations == 50
    assert tally.unsent == 0


async def test_seconds_end_it():
    tally, _ = await course_of(at_once, seconds=0.1)
    assert 0.1 <= tally.seconds < 5
    assert tally.operations > 1


async def test_a_rate_is_kept():
    tally, _ = await course_of(at_once, workers=10, rate=200.0, operations=40)
    assert tally.operations == 40
    assert tally.seconds >= 39 / 200 - 0.01


async def test_with_a_rate_a_pause_of_the_server_is_in_all_latencies_that_it_has_delayed():
    """Coordinated omission: a single worker that is kept waiting once has one long latency, its users have many."""
    pauses = iter([0.2])

    async def pausing(_worker):
        await busy(next(pauses, 0))

    tally, _ = await course_of(pausing, rate=500.0, operations=100)
    assert tally.operations == 100
    assert tally.histogram.percentile(50) > 50
    assert tally.histogram.max_us >= 200_000


async def test_what_is_due_and_cannot_be_sent_is_counted(monkeypatch):
    monkeypatch.setattr(load, "DRAIN_S", 0.01)
    tally, _ = await course_of(never, workers=2, rate=1000.0, seconds=0.1)
    assert tally.errors == {UNFINISHED: 2}
    assert 90 <= tally.unsent + 2 <= 101


async def test_failures_are_counted_by_kind_and_sessions_that_have_ended_are_replaced():
    async def failing(_worker):
        raise ConnectionLostError("the server hung up")

    tally, [worker] = await course_of(failing, operations=5)
    assert tally.errors == {"ConnectionLostError": 5}
    assert tally.operations == 0
    assert worker.renewed == 5


async def test_credentials_that_are_refused_end_it():
    async def refused(_worker):
        raise AuthFailedError("no")

    with pytest.raises(AuthFailedError):
        await course_of(refused, workers=3)


async def test_who_waits_for_the_next_one_to_be_due_is_woken_by_the_end():
    stop = asyncio.Event()

    async def ending(_worker):
        stop.set()

    tally, _ = await course_of(ending, workers=4, rate=0.01, operations=10, stop=stop)
    assert tally.operations == 1
    assert tally.seconds < 50


async def test_the_time_of_warming_up_is_not_counted():
    tally, _ = await course_of(at_once, workers=2, rate=100.0, warmup_s=0.1, operations=5)
    assert tally.operations == 5
    assert tally.seconds >= 0.03
