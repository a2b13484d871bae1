"""Group commit: order, batches, rolls and failures, the same in the loop and in the thread; and when it is which."""

import asyncio
import math
import threading

import pytest

from pyzk.errors import DiskFullError
from pyzk.server.files import FileDisk
from pyzk.server.logwriter import LogWriter, Outcomes, Pace
from pyzk.storage.history import History
from pyzk.storage.memory import MemoryDisk
from pyzk.storage.txnlog import TxnLog


def payload(zxid, size=10):
    return bytes(12) + zxid.to_bytes(8, "big") + bytes(12) + b"\xff" * size


class Caller:
    """Keeps what it is told, and lets a test wait for it."""

    def __init__(self):
        self.done = []
        self.errors = []
        self.failed = []
        self.batches = []
        self.changed = asyncio.Event()

    @property
    def outcomes(self):
        return Outcomes(self.on_done, self.on_failed)

    def on_done(self, tokens):
        self.done += tokens
        self.batches.append(tokens)
        self.changed.set()

    def on_failed(self, error, tokens):
        self.errors.append(error)
        self.failed += tokens
        self.changed.set()

    async def until(self, condition):
        while not condition():
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 20)


@pytest.fixture(params=["inline", "thread"])
def kind(request):
    return request.param


@pytest.fixture
def log(tmp_path):
    return TxnLog(FileDisk(), str(tmp_path), preallocate_bytes=64 << 10, batch_bytes_max=10_000)


def start(kind, log, caller):
    return LogWriter(log, caller.outcomes, {"inline": math.inf, "thread": 0}[kind])


def logged(log):
    return [zxid for zxid, _ in History(log.disk, log.directory, 0)]


async def test_tokens_come_back_in_order_when_their_txns_are_in_the_log(kind, log):
    caller = Caller()
    writer = start(kind, log, caller)
    for zxid in range(1, 51):
        writer.submit([(zxid, payload(zxid))], zxid)
    writer.start()
    await caller.until(lambda: len(caller.done) == 50)
    assert caller.done == list(range(1, 51))
    assert logged(log) == list(range(1, 51))
    await writer.close()


async def test_submissions_of_one_turn_go_together(kind, log):
    caller = Caller()
    writer = start(kind, log, caller)
    for zxid in range(1, 6):
        writer.submit([(zxid, payload(zxid))], zxid)
    await writer.close()
    assert caller.batches == [[1, 2, 3, 4, 5]]


async def test_a_start_within_the_telling_of_an_outcome_waits_for_the_next_turn(log):
    """A disk that is written in the loop must not be written again and again before the loop turns."""
    caller = Caller()
    writer = start("inline", log, caller)
    told = caller.on_done

    def go_on(tokens):
        told(tokens)
        if len(caller.done) < 5:
            token = len(caller.done) + 1
            writer.submit([(token, payload(token))], token)
            writer.start()

    writer.outcomes.done = go_on
    writer.submit([(1, payload(1))], 1)
    writer.start()
    assert caller.done == [1]
    await caller.until(lambda: len(caller.done) == 5)
    await writer.close()


async def test_what_is_submitted_meanwhile_is_the_next_batch(kind, log):
    caller = Caller()
    writer = start(kind, log, caller)
    told = caller.on_done

    def submit_more(tokens):
        if tokens == [1]:
            for zxid in (2, 3, 4):
                writer.submit([(zxid, payload(zxid))], zxid)
        told(tokens)

    writer.outcomes.done = submit_more
    writer.submit([(1, payload(1))], 1)
    writer.start()
    await caller.until(lambda: len(caller.done) == 4)
    assert caller.batches == [[1], [2, 3, 4]]
    await writer.close()


async def test_batches_stay_within_their_limit(kind, log):
    caller = Caller()
    writer = start(kind, log, caller)
    for zxid in range(1, 8):
        writer.submit([(zxid, payload(zxid, 4000))], zxid)
    await writer.close()
    assert caller.batches == [[1, 2], [3, 4], [5, 6], [7]]
    assert logged(log) == list(range(1, 8))


async def test_roll_begins_a_new_file_with_the_next_submission(kind, log):
    caller = Caller()
    writer = start(kind, log, caller)
    writer.submit([(1, payload(1)), (2, payload(2))], 1)
    writer.roll()
    writer.submit([(3, payload(3))], 2)
    writer.submit([(4, payload(4))], 3)
    await writer.close()
    assert caller.batches == [[1], [2, 3]]
    assert log.disk.names(log.directory) == ["log.1", "log.3"]


async def test_close_waits_for_everything(kind, log):
    caller = Caller()
    writer = start(kind, log, caller)
    for zxid in range(1, 30):
        writer.submit([(zxid, payload(zxid, 4000))], zxid)
    await writer.close()
    assert caller.done == list(range(1, 30))


async def test_error_of_the_log_fails_everything_that_was_submitted(kind, log):
    caller = Caller()
    writer = start(kind, log, caller)
    for zxid in (1, 2, 3):
        writer.submit([(zxid, payload(zxid, 20_000 if zxid == 1 else 10))], zxid)
    writer.start()
    await caller.until(lambda: caller.errors)
    assert caller.failed == [1, 2, 3]
    assert "log_batch_bytes_max" in str(caller.errors[0])
    assert log.disk.names(log.directory) == []
    writer.submit([(1, payload(1))], 4)
    await writer.close()
    assert caller.done == [4]


@pytest.fixture
def full_log():
    disk = MemoryDisk()
    disk.make_directory("d")
    disk.capacity_bytes = 100
    return TxnLog(disk, "d")


@pytest.mark.parametrize("kind_in_process", ["inline", "thread"])
async def test_full_disk_fails_the_batch_and_service_resumes(kind_in_process, full_log):
    caller = Caller()
    writer = start(kind_in_process, full_log, caller)
    writer.submit([(1, payload(1, 200))], 1)
    writer.start()
    await caller.until(lambda: caller.errors)
    assert isinstance(caller.errors[0], DiskFullError)
    full_log.disk.capacity_bytes = 1000
    writer.submit([(1, payload(1))], 2)
    writer.start()
    await caller.until(lambda: caller.done)
    assert caller.done == [2]
    await writer.close()


class SlowLog:
    """A log on a disk that takes as long as the test says, by a clock that the test moves."""

    batch_bytes_max = 10_000

    def __init__(self, clock):
        self.clock = clock
        self.took_ms = 0.0
        self.threads = []

    def attempt(self, batch, *, roll):  # noqa: ARG002
        self.threads.append(threading.current_thread())
        self.clock.seconds += self.took_ms / 1000

    def close(self):
        pass


class Clock:
    seconds = 100.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("pyzk.server.logwriter.monotonic_seconds", clock)
    return clock


async def write(writer, caller, count):
    """Write batches one after the other."""
    for _ in range(count):
        token = len(caller.done) + 1
        writer.submit([(token, payload(token))], token)
        writer.start()
        await caller.until(lambda token=token: len(caller.done) == token)


async def test_slow_disk_is_written_in_a_thread_and_a_quick_one_in_the_loop(clock):
    caller, log = Caller(), SlowLog(clock)
    writer = LogWriter(log, caller.outcomes)
    await write(writer, caller, 20)
    assert set(log.threads) == {threading.main_thread()}
    log.took_ms = 20.0
    await write(writer, caller, 5)
    assert not writer.is_quick
    assert log.threads[-1] is not threading.main_thread()
    await writer.close()


async def test_a_quick_disk_is_written_in_a_thread_while_something_else_is_written_to_it(clock):
    caller, log = Caller(), SlowLog(clock)
    writer = LogWriter(log, caller.outcomes)
    writer.shares_disk = True
    await write(writer, caller, 5)
    assert threading.main_thread() not in log.threads
    writer.shares_disk = False
    log.threads.clear()
    await write(writer, caller, 5)
    assert set(log.threads) == {threading.main_thread()}
    await writer.close()


async def test_one_slow_batch_does_not_make_a_disk_slow(clock):
    caller, log = Caller(), SlowLog(clock)
    writer = LogWriter(log, caller.outcomes)
    log.took_ms = 10.0
    await write(writer, caller, 1)
    log.took_ms = 0.1
    await write(writer, caller, 20)
    assert writer.is_quick
    assert set(log.threads) == {threading.main_thread()}
    await writer.close()


async def test_slow_disk_is_tried_again_once_a_second_and_back_in_the_loop_when_it_is_quick(clock):
    caller, log = Caller(), SlowLog(clock)
    writer = LogWriter(log, caller.outcomes)
    log.took_ms = 50.0
    await write(writer, caller, 5)
    log.threads.clear()
    log.took_ms = 0.1
    await write(writer, caller, 5)
    assert threading.main_thread() not in log.threads
    clock.seconds += 1.5
    await write(writer, caller, 5)
    assert set(log.threads[5:]) == {threading.main_thread()}
    assert writer.is_quick
    await writer.close()


# Batches that wait for more (flushDelay).


@pytest.fixture
async def paced(clock):
    """A writer that has just written, waits for 10 s, or until none came for 3 s, or four are there."""
    caller, log = Caller(), SlowLog(clock)
    writer = LogWriter(log, caller.outcomes)
    writer.pace = Pace(10.0, 3.0, 4)
    await write(writer, caller, 1)
    assert caller.batches == [[1]], "the first one does not wait"
    yield writer, caller
    await writer.close()


def submit(writer, token):
    writer.submit([(token, payload(token))], token)
    writer.start()


async def test_writes_that_come_soon_behind_a_sync_wait_for_each_other(paced, clock):
    writer, caller = paced
    submit(writer, 2)
    clock.seconds += 2.9
    submit(writer, 3)
    assert caller.batches == [[1]]
    clock.seconds += 3.0
    submit(writer, 4)
    clock.seconds += 2.9
    submit(writer, 5)
    assert caller.batches == [[1], [2, 3, 4, 5]], "the fourth ends the wait"


async def test_a_wait_ends_when_no_more_writes_come(paced, clock):
    writer, caller = paced
    writer.pace = Pace(10.0, 0.001, 4)
    submit(writer, 2)
    assert caller.batches == [[1]]
    clock.seconds += 0.002
    await caller.until(lambda: len(caller.batches) == 2)


async def test_a_wait_ends_with_the_delay_though_more_come(paced, clock):
    writer, caller = paced
    for token in range(2, 5):
        submit(writer, token)
        clock.seconds += 2.9
    assert caller.batches == [[1]]
    writer.pace = Pace(8.0, 3.0, 0)
    submit(writer, 5)
    assert caller.batches == [[1], [2, 3, 4, 5]]


async def test_a_writer_that_closes_waits_for_no_more(paced):
    writer, caller = paced
    submit(writer, 2)
    await writer.close()
    assert caller.batches == [[1], [2]]
