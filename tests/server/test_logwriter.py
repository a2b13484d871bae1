"""Group commit: order, batches, rolls and failures, the same for the loop, the thread and the process."""

import asyncio
import os

import pytest

from pyzk.errors import DiskFullError, FsyncError, StorageError
from pyzk.server.files import FileDisk, lock_directory
from pyzk.server.logchild import parse_batch, read_exactly, serve
from pyzk.server.logprocess import ProcessWriter
from pyzk.server.logwriter import InlineWriter, Outcomes, ThreadWriter
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


@pytest.fixture(params=["inline", "thread", "process"])
def kind(request):
    return request.param


@pytest.fixture
def log(tmp_path):
    return TxnLog(FileDisk(), str(tmp_path), preallocate_bytes=64 << 10, batch_bytes_max=10_000)


async def start(kind, log, caller):
    if kind == "process":
        return await ProcessWriter.start(log, caller.outcomes)
    return {"inline": InlineWriter, "thread": ThreadWriter}[kind](log, caller.outcomes)


def logged(log):
    return [zxid for zxid, _ in History(log.disk, log.directory, 0)]


async def test_tokens_come_back_in_order_when_their_txns_are_in_the_log(kind, log):
    caller = Caller()
    writer = await start(kind, log, caller)
    for zxid in range(1, 51):
        writer.submit([(zxid, payload(zxid))], zxid)
    await caller.until(lambda: len(caller.done) == 50)
    assert caller.done == list(range(1, 51))
    assert logged(log) == list(range(1, 51))
    await writer.close()


async def test_submissions_of_one_turn_go_together(kind, log):
    caller = Caller()
    writer = await start(kind, log, caller)
    for zxid in range(1, 6):
        writer.submit([(zxid, payload(zxid))], zxid)
    await writer.close()
    assert caller.batches == [[1, 2, 3, 4, 5]]


async def test_what_is_submitted_meanwhile_is_the_next_batch(kind, log):
    caller = Caller()
    writer = await start(kind, log, caller)
    told = caller.on_done

    def submit_more(tokens):
        if tokens == [1]:
            for zxid in (2, 3, 4):
                writer.submit([(zxid, payload(zxid))], zxid)
        told(tokens)

    writer.outcomes.done = submit_more
    writer.submit([(1, payload(1))], 1)
    await caller.until(lambda: len(caller.done) == 4)
    assert caller.batches == [[1], [2, 3, 4]]
    await writer.close()


async def test_batches_stay_within_their_limit(kind, log):
    caller = Caller()
    writer = await start(kind, log, caller)
    for zxid in range(1, 8):
        writer.submit([(zxid, payload(zxid, 4000))], zxid)
    await writer.close()
    assert caller.batches == [[1, 2], [3, 4], [5, 6], [7]]
    assert logged(log) == list(range(1, 8))


async def test_roll_begins_a_new_file_with_the_next_submission(kind, log):
    caller = Caller()
    writer = await start(kind, log, caller)
    writer.submit([(1, payload(1)), (2, payload(2))], 1)
    writer.roll()
    writer.submit([(3, payload(3))], 2)
    writer.submit([(4, payload(4))], 3)
    await writer.close()
    assert caller.batches == [[1], [2, 3]]
    assert log.disk.names(log.directory) == ["log.1", "log.3"]


async def test_close_waits_for_everything(kind, log):
    caller = Caller()
    writer = await start(kind, log, caller)
    for zxid in range(1, 30):
        writer.submit([(zxid, payload(zxid, 4000))], zxid)
    await writer.close()
    assert caller.done == list(range(1, 30))


async def test_error_of_the_log_fails_everything_that_was_submitted(kind, log):
    caller = Caller()
    writer = await start(kind, log, caller)
    for zxid in (1, 2, 3):
        writer.submit([(zxid, payload(zxid, 20_000 if zxid == 1 else 10))], zxid)
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
    writer = await start(kind_in_process, full_log, caller)
    writer.submit([(1, payload(1, 200))], 1)
    await caller.until(lambda: caller.errors)
    assert isinstance(caller.errors[0], DiskFullError)
    full_log.disk.capacity_bytes = 1000
    writer.submit([(1, payload(1))], 2)
    await caller.until(lambda: caller.done)
    assert caller.done == [2]
    await writer.close()


class Connection:
    """A socket that has said everything already."""

    def __init__(self, data):
        self.data = data
        self.sent = b""

    def recv_into(self, view):
        size = min(len(view), len(self.data), 7)
        view[:size] = self.data[:size]
        self.data = self.data[size:]
        return size

    def sendall(self, data):
        self.sent += data


def test_child_ends_inside_a_request_when_its_parent_does(full_log):
    assert read_exactly(Connection(b"abc"), 4) is None
    connection = Connection(b"\0\0\0\x10\0abc")
    serve(connection, full_log)
    assert connection.sent == b""


def test_child_tells_the_kind_of_error(full_log):
    request = b"\0\0\0\x34" + payload(1, 20)
    connection = Connection(len(request).to_bytes(4, "big") + b"\0" + request)
    full_log.disk.failing_syncs = True
    serve(connection, full_log)
    assert connection.sent[0] == 3  # FsyncError
    assert b"input/output error" in connection.sent


def test_parse_batch_is_the_way_back():
    batch = [(zxid, payload(zxid, zxid)) for zxid in (5, 6, 700)]
    body = b"".join(len(data).to_bytes(4, "big") + data for _, data in batch)
    assert parse_batch(body) == batch


async def test_child_holds_the_lock_of_the_directory(log):
    descriptor = lock_directory(log.directory)
    caller = Caller()
    writer = await ProcessWriter.start(log, caller.outcomes, descriptor)
    os.close(descriptor)
    with pytest.raises(StorageError, match="in use"):
        lock_directory(log.directory)
    await writer.close()
    os.close(lock_directory(log.directory))


async def test_end_of_the_child_is_an_error_for_what_was_submitted(log):
    caller = Caller()
    writer = await ProcessWriter.start(log, caller.outcomes)
    writer.submit([(1, payload(1))], 1)
    await caller.until(lambda: caller.done)
    writer.child.kill()
    writer.child.wait()
    writer.submit([(2, payload(2))], 2)
    await caller.until(lambda: caller.errors)
    assert caller.failed == [2]
    assert not isinstance(caller.errors[0], (DiskFullError, FsyncError))
    await writer.close()
