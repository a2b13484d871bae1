"""The writing side of the log: bytes, padding, order of writes and syncs, failures."""

from random import Random
from zlib import adler32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.errors import DiskFullError, FsyncError, StorageError
from pyzk.storage.history import History
from pyzk.storage.logreader import LogReader
from pyzk.storage.memory import MemoryDisk
from pyzk.storage.txnlog import Roll, TxnLog, frame_record, padded_size

DIRECTORY = "data/version-2"


def read_back(disk, after=0):
    return list(History(disk, DIRECTORY, after))


@pytest.mark.parametrize(
    ("preallocate_bytes", "size"), [(64 << 20, 67108880), (64 << 10, 65552), (16 << 10, 16400), (0, 146)]
)
def test_fresh_file_is_as_long_as_apaches(disk, payload, preallocate_bytes, size):
    TxnLog(disk, DIRECTORY, preallocate_bytes=preallocate_bytes).append([(1, payload(1, 42))])
    assert disk.size(f"{DIRECTORY}/log.1") == size


@pytest.mark.parametrize(
    ("position", "size", "expected"),
    [
        (16, 16, 16 + 65536),  # fresh
        (61455, 65552, 65552),  # one byte more than the margin is left
        (61456, 65552, 65552 + 65536),
        (65552, 65552, 65552 + 65536),
        (70000, 65552, 131072),  # a record ran over the end: rounded down to a multiple
    ],
)
def test_file_grows_when_the_margin_is_reached(position, size, expected):
    assert padded_size(position, size, 65536) == expected


def test_record_is_checksum_length_payload_and_b(payload):
    data = payload(1)
    assert frame_record(data) == adler32(data).to_bytes(8, "big") + len(data).to_bytes(4, "big") + data + b"B"


def test_batch_is_one_write_and_one_sync(disk, log, payload):
    log.append([(1, payload(1))])
    disk.journal.clear()
    log.append([(zxid, payload(zxid)) for zxid in range(2, 40)])
    assert list(disk.journal) == [("write", f"{DIRECTORY}/log.1"), ("sync", f"{DIRECTORY}/log.1")]


def test_first_batch_syncs_the_file_and_then_its_directory(disk, log, payload):
    log.append([(5, payload(5))])
    path = f"{DIRECTORY}/log.5"
    assert list(disk.journal) == [
        ("create", path),
        ("truncate", path),
        ("write", path),
        ("sync", path),
        ("sync_directory", DIRECTORY),
    ]


def test_force_sync_off_never_syncs(disk, payload):
    log = TxnLog(disk, DIRECTORY, sync=False)
    log.append([(1, payload(1))])
    log.append([(2, payload(2))])
    assert disk.syncs == 0


def test_roll_begins_a_new_file_named_by_its_first_txn(disk, log, payload):
    log.append([(1, payload(1)), (2, payload(2))])
    log.roll()
    log.append([(0x1F, payload(0x1F))])
    assert disk.names(DIRECTORY) == ["log.1", "log.1f"]


def test_new_process_never_appends_to_an_old_file(disk, log, payload):
    log.append([(1, payload(1))])
    TxnLog(disk, DIRECTORY).append([(2, payload(2))])
    assert disk.names(DIRECTORY) == ["log.1", "log.2"]


def test_existing_file_is_never_overwritten(disk, log, payload):
    log.append([(1, payload(1))])
    with pytest.raises(StorageError, match="exists"):
        TxnLog(disk, DIRECTORY).append([(1, payload(1))])


@given(st.lists(st.lists(st.integers(0, 9000), min_size=1, max_size=5), min_size=1, max_size=8))
def test_what_is_appended_is_read_back(batches):
    disk = MemoryDisk()
    disk.make_directory(DIRECTORY)
    log = TxnLog(disk, DIRECTORY, preallocate_bytes=16 << 10)
    written = []
    for sizes in batches:
        batch = [(zxid, _payload(zxid, size)) for zxid, size in enumerate(sizes, len(written) + 1)]
        log.append(batch)
        written += batch
    assert read_back(disk) == written


def _payload(zxid, size):
    return bytes(12) + zxid.to_bytes(8, "big") + bytes(12) + b"\xff" * size


def test_full_disk_leaves_nothing_of_the_batch_and_the_next_one_succeeds(disk, log, payload):
    log.append([(1, payload(1))])
    disk.capacity_bytes = disk.capacity_bytes - disk.free_bytes("") + 500
    with pytest.raises(DiskFullError):
        log.append([(2, payload(2)), (3, payload(3, 4000))])
    assert [zxid for zxid, _ in read_back(disk)] == [1]
    disk.capacity_bytes += 10_000
    log.append([(2, payload(2, 9))])
    assert read_back(disk)[1] == (2, payload(2, 9))


def test_full_disk_at_a_new_file_removes_it(disk, log, payload):
    disk.capacity_bytes = 50
    with pytest.raises(DiskFullError):
        log.append([(1, payload(1))])
    assert disk.names(DIRECTORY) == []
    disk.capacity_bytes = 1000
    log.append([(1, payload(1))])
    assert [zxid for zxid, _ in read_back(disk)] == [1]


def test_cut_after_a_failed_write_is_synced_before_anything_else_is_written(disk, log, payload):
    log.append([(1, payload(1))])
    disk.failing_writes = True
    disk.journal.clear()
    with pytest.raises(StorageError):
        log.append([(2, payload(2))])
    assert [verb for verb, _ in disk.journal] == ["write", "truncate", "sync"]


def test_failed_sync_is_never_retried(disk, log, payload):
    log.append([(1, payload(1))])
    disk.failing_syncs = True
    with pytest.raises(FsyncError):
        log.append([(2, payload(2))])
    disk.failing_syncs = False
    disk.journal.clear()
    with pytest.raises(StorageError, match="unknown state"):
        log.append([(2, payload(2))])
    assert not disk.journal


def test_log_that_cannot_be_cut_is_broken(disk, log, payload):
    log.append([(1, payload(1))])
    disk.failing_writes = disk.failing_truncates = True
    with pytest.raises(StorageError):
        log.append([(2, payload(2))])
    disk.failing_writes = disk.failing_truncates = False
    with pytest.raises(StorageError, match="unknown state"):
        log.append([(2, payload(2))])


def test_batch_above_its_limit_is_refused_before_anything_is_written(disk, payload):
    log = TxnLog(disk, DIRECTORY, batch_bytes_max=1000)
    with pytest.raises(StorageError, match="log_batch_bytes_max=1000"):
        log.append([(1, payload(1, 2000))])
    assert disk.names(DIRECTORY) == []


def test_roll_is_due_between_half_the_count_and_all_of_it():
    seed = Random().randrange(1 << 32)
    print("seed", seed)
    roll = Roll(Random(seed), count_max=100)
    for _ in range(50):
        notes = 0
        while not roll.snapshot_due:
            roll.note(1, 10)
            notes += 1
        assert 51 <= notes <= 100
        roll.rolled()


def test_roll_is_due_by_size():
    roll = Roll(Random(1), bytes_max=1000)
    roll.note(1, 500)
    assert not roll.snapshot_due
    roll.note(1, 500)
    assert roll.snapshot_due


def test_file_limit_rolls_without_a_snapshot():
    roll = Roll(Random(1), file_bytes_max=1000)
    roll.note(1, 1001)
    assert roll.file_due
    assert not roll.snapshot_due
    roll.rolled()
    assert not roll.file_due
    assert roll.count == 1


def test_reader_gives_offsets(disk, log, payload):
    log.append([(1, payload(1)), (2, payload(2))])
    records = list(LogReader(disk, DIRECTORY, "log.1"))
    assert [(zxid, offset) for zxid, offset, _ in records] == [(1, 16), (2, 16 + 13 + len(payload(1)))]


def test_reader_takes_records_longer_than_its_window(disk, payload):
    log = TxnLog(disk, DIRECTORY)
    batch = [(zxid, payload(zxid, size)) for zxid, size in enumerate([10, 3 << 20, 10, 900_000, 200_000], 1)]
    for one in batch:
        log.append([one])
    assert read_back(disk) == batch
