"""Txns for a learner from the files: all of them without a hole, or none."""

import pytest

from pyzk.errors import CorruptionError
from pyzk.storage import catchup
from pyzk.storage.catchup import read_log
from pyzk.storage.snapshot import save
from pyzk.storage.txnlog import LOG_HEADER, TxnLog, frame_record

DIRECTORY = "data/version-2"
EPOCH_2 = 0x2_00000000


@pytest.fixture
def read(disk, places):
    def zxids(after, until, size_factor=0.0):
        found = read_log(disk, places, after, until, size_factor)
        return None if found is None else [zxid for zxid, _ in found]

    return zxids


def put(disk, name, data):
    file = disk.create(f"{DIRECTORY}/{name}")
    file.write(0, data)


def append(disk, places, payload, *zxids):
    log = TxnLog(disk, places.logs, preallocate_bytes=1 << 20)
    log.append([(zxid, payload(zxid)) for zxid in zxids])


@pytest.fixture
def logged(disk, places, payload):
    """Two files of the first epoch, one of the second."""
    append(disk, places, payload, 1, 2, 3, 4)
    append(disk, places, payload, 5, 6, 7)
    append(disk, places, payload, EPOCH_2 + 1, EPOCH_2 + 2)


@pytest.mark.parametrize(
    ("after", "until", "expected"),
    [
        (2, 6, [3, 4, 5, 6]),
        (4, 6, [5, 6]),
        (0, 2, [1, 2]),
        (6, EPOCH_2 + 1, [7, EPOCH_2 + 1]),
        (7, EPOCH_2 + 2, [EPOCH_2 + 1, EPOCH_2 + 2]),
        (EPOCH_2, EPOCH_2 + 2, [EPOCH_2 + 1, EPOCH_2 + 2]),
        (6, EPOCH_2, [7]),
        (EPOCH_2 + 1, 3 << 32, [EPOCH_2 + 2]),
        (5, 5, []),
    ],
)
@pytest.mark.usefixtures("logged")
def test_txns_behind_one_up_to_another(read, after, until, expected):
    assert read(after, until) == expected


@pytest.mark.parametrize(("after", "until"), [(9, EPOCH_2 + 1), (6, 5), (3, EPOCH_2 + 3), (-1, 6)])
@pytest.mark.usefixtures("logged")
def test_learner_that_the_log_does_not_know_is_not_served(read, after, until):
    assert read(after, until) is None


def test_log_that_begins_later_is_joined_only_right_before_its_first_txn(disk, places, payload, read):
    append(disk, places, payload, 5, 6, 7)
    assert read(4, 6) == [5, 6]
    assert read(3, 6) is None


def test_log_that_begins_with_an_epoch_is_joined_where_a_snapshot_stands(disk, places, payload, server, read):
    append(disk, places, payload, EPOCH_2 + 1)
    assert read(3, EPOCH_2 + 1) is None
    server.batch(3)
    for _ in save(disk, places.snapshots, server.tree):
        pass
    assert read(3, EPOCH_2 + 1) == [EPOCH_2 + 1]


def test_gap_is_not_passed_on(disk, places, payload, read):
    append(disk, places, payload, 1, 2, 4, 5)
    append(disk, places, payload, 7, 8)
    assert read(2, 5) is None
    assert read(1, 2) == [2]
    assert read(4, 8) is None


def test_record_that_stands_twice_is_sent_once(disk, payload, read):
    put(disk, "log.1", LOG_HEADER + b"".join(frame_record(payload(zxid)) for zxid in (1, 2, 2, 3)))
    assert read(1, 3) == [2, 3]


@pytest.mark.usefixtures("logged")
def test_damage_ends_the_log(disk, read):
    file = disk.open(f"{DIRECTORY}/log.5")
    file.write(40, b"\xee")
    with pytest.raises(CorruptionError, match=r"log\.5"):
        read(2, 6)
    assert read(2, 4) == [3, 4]


def spoil_second_file(disk, payload):
    """Its last record, 7, is another one."""
    data = bytearray(LOG_HEADER + b"".join([frame_record(payload(zxid)) for zxid in (5, 6, 7)]))
    data[-20] ^= 1
    disk.remove(f"{DIRECTORY}/log.5")
    put(disk, "log.5", bytes(data))


@pytest.mark.usefixtures("logged")
def test_epoch_behind_damage_is_not_passed_on_because_more_may_have_stood_there(disk, payload, read):
    assert read(2, EPOCH_2 + 2) == [3, 4, 5, 6, 7, EPOCH_2 + 1, EPOCH_2 + 2]
    spoil_second_file(disk, payload)
    for factor in (0.0, 0.5):
        with pytest.raises(CorruptionError, match=r"log\.5 at offset .*zxid 0x6.*wrong checksum.*0x200000001"):
            read(2, EPOCH_2 + 2, factor)
    assert read(2, 6) == [3, 4, 5, 6]


@pytest.mark.usefixtures("logged")
def test_very_next_txn_behind_damage_shows_that_nothing_is_missing(disk, places, payload, read):
    spoil_second_file(disk, payload)
    append(disk, places, payload, 7, 8)
    assert read(2, 8) == [3, 4, 5, 6, 7, 8]


def test_end_that_is_being_written_is_not_looked_at(disk, places, payload, read):
    append(disk, places, payload, 1, 2, 3)
    size = len(disk.read(f"{DIRECTORY}/log.1").rstrip(b"\0"))
    disk.open(f"{DIRECTORY}/log.1").write(size, frame_record(payload(4))[:30])
    assert read(1, 3) == [2, 3]


@pytest.mark.usefixtures("logged")
def test_no_more_is_read_than_a_share_of_the_newest_snapshot(disk, read, monkeypatch):
    assert read(1, 6, 0.33) == [2, 3, 4, 5, 6], "no snapshot is no limit"
    put(disk, "snapshot.0", bytes(1000))
    monkeypatch.setattr(catchup, "FEW_BYTES", 10)
    assert read(1, 4, 1.0) == [2, 3, 4]
    assert read(1, 4, 0.05) is None
    assert read(1, 4, 0.0) == [2, 3, 4]
    assert read(1, 4, -1.0) is None


@pytest.mark.usefixtures("logged")
def test_a_megabyte_is_always_read_and_padding_does_not_count(disk, read):
    """Differs from Apache: with its default of 64 MiB a small database would never be read from."""
    assert disk.size(f"{DIRECTORY}/log.1") > 1 << 20
    put(disk, "snapshot.0", bytes(100))
    assert read(1, 6, 0.1) == [2, 3, 4, 5, 6]
