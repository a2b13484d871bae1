"""Damage and gaps: storage.md 5.1 row by row, with our stricter answers."""

from random import Random

import pytest

from pyzk.codec.opcodes import OpCode
from pyzk.codec.txns import ErrorTxn, Txn, TxnHeader
from pyzk.errors import CorruptionError, GapError
from pyzk.storage.history import History, follows, truncate_logs
from pyzk.storage.logreader import LogReader
from pyzk.storage.txnlog import LOG_HEADER, TxnLog, frame_records

DIRECTORY = "data/version-2"
LAST = 2719
"""Offset of the last record of the vector log, zxid 0x1c; the padding begins at 2783."""
END = 2783


@pytest.fixture
def vector(disk, load_vector):
    load_vector(disk, "a-log")
    return disk


def edit(disk, position, data, name="log.1"):
    file = disk.open(f"{DIRECTORY}/{name}")
    file.write(position, data)
    file.sync()


def shorten(disk, size, name="log.1"):
    file = disk.open(f"{DIRECTORY}/{name}")
    file.truncate(size)
    file.sync()


def put(disk, name, data):
    disk.create(f"{DIRECTORY}/{name}")
    edit(disk, 0, data, name)


def file_of(*records):
    return LOG_HEADER + frame_records(records) + bytes(64)


def zxids(disk, after=0, **options):
    history = History(disk, DIRECTORY, after, **options)
    return [zxid for zxid, _ in history], history


def test_vector_ends_where_the_table_says(vector):
    reader = LogReader(vector, DIRECTORY, "log.1")
    records = list(reader)
    assert (records[-1][0], records[-1][1], reader.position) == (0x1C, LAST, END)
    assert (reader.damage, reader.behind) == (None, 0)


def damaged_tails():
    return {
        "last B zero": lambda disk: edit(disk, END - 1, b"\0"),
        "last 20 bytes zero": lambda disk: edit(disk, END - 20, bytes(20)),
        "cut inside the last record": lambda disk: shorten(disk, END - 30),
        "cut inside its length": lambda disk: shorten(disk, LAST + 10),
        "cut inside its checksum": lambda disk: shorten(disk, LAST + 6),
        # Differs from Apache, which does not start: a torn write may lose any sector of the batch.
        "wrong checksum of the last record": lambda disk: edit(disk, LAST + 2, b"\xff\xff"),
        "zeros in the middle of the last record": lambda disk: edit(disk, LAST + 40, bytes(20)),
        "zeros at its head": lambda disk: edit(disk, LAST, bytes(50)),
    }


@pytest.mark.parametrize("damage", damaged_tails())
def test_torn_last_batch_is_left_out_and_cut(vector, damage):
    damaged_tails()[damage](vector)
    found, history = zxids(vector)
    assert found == list(range(1, 0x1C))
    assert len(history.notes) == 1
    history.repair()
    assert vector.size(f"{DIRECTORY}/log.1") == LAST
    found, history = zxids(vector)
    assert found == list(range(1, 0x1C))
    assert (history.notes, history.torn) == ([], [])


WRITES_CUT_SHORT = {
    "last B zero",
    "last 20 bytes zero",
    "cut inside the last record",
    "cut inside its length",
    "cut inside its checksum",
    "zeros at its head",
}


@pytest.mark.parametrize("damage", damaged_tails())
def test_damage_that_zeros_do_not_explain_is_no_torn_batch_for_a_member_of_an_ensemble(vector, damage):
    damaged_tails()[damage](vector)
    if damage in WRITES_CUT_SHORT:
        assert zxids(vector, certain_tears_only=True)[0] == list(range(1, 0x1C))
    else:
        with pytest.raises(CorruptionError, match="no write that was cut short"):
            zxids(vector, certain_tears_only=True)


@pytest.mark.parametrize("cut", range(1, 64))
@pytest.mark.parametrize("kept", ["front", "back"])
def test_record_cut_short_at_any_byte_is_a_torn_batch(vector, cut, kept):
    if kept == "front":
        edit(vector, LAST + cut, bytes(END - LAST - cut))
    else:
        edit(vector, LAST, bytes(cut))
    found, history = zxids(vector, certain_tears_only=True)
    assert found in (list(range(1, 0x1C)), list(range(1, 0x1D)))
    history.repair()


@pytest.mark.parametrize("sector", range(6))
def test_sector_that_a_write_did_not_reach_is_a_torn_batch(disk, payload, sector):
    records = [payload(zxid, 700) for zxid in range(1, 5)]
    put(disk, "log.1", file_of(*records))
    edit(disk, sector * 512, bytes(512), "log.1")
    found, history = zxids(disk, certain_tears_only=True)
    assert len(found) < 4
    assert history.torn


@pytest.mark.parametrize("position", range(0, END, 97))
def test_noise_in_a_sector_is_never_a_torn_batch(vector, rng, position):
    vector.corrupt(f"{DIRECTORY}/log.1", position, rng)
    with pytest.raises(CorruptionError):
        zxids(vector, certain_tears_only=True)


@pytest.mark.parametrize("record", range(3))
def test_wrong_length_with_whole_records_behind_it_is_never_a_torn_batch(disk, payload, record):
    # Noise from the middle of a length on: the checksum before it is right, and the record seems to leave the file.
    records = [payload(zxid, 100) for zxid in range(1, 5)]
    put(disk, "log.1", file_of(*records))
    offset = [offset for _, offset, _ in LogReader(disk, DIRECTORY, "log.1")][record]
    edit(disk, offset + 10, b"\x87\xe7" + bytes(range(1, 100)), "log.1")
    with pytest.raises(CorruptionError, match="no write that was cut short"):
        zxids(disk, certain_tears_only=True)


def test_member_wants_a_file_without_a_record_to_be_begun_where_the_log_ends(vector):
    vector.create(f"{DIRECTORY}/log.1f")
    assert len(zxids(vector)[0]) == 28
    with pytest.raises(GapError, match="between 0x1c and 0x1f"):
        zxids(vector, certain_tears_only=True)
    assert len(zxids(vector, certain_tears_only=True, accept_gaps=True)[0]) == 28


def test_absurd_length_behind_the_last_record_is_cut(vector):
    # Differs from Apache, which does not start.
    edit(vector, END, b"\0\0\0\0\x11\x22\x33\x44\x7f\xff\xff\xff")
    found, history = zxids(vector)
    assert len(found) == 28
    history.repair()
    assert vector.size(f"{DIRECTORY}/log.1") == END


def test_tear_that_spares_later_records_cuts_them_too(vector):
    """Sectors of one batch reach the disk in any order."""
    edit(vector, 77, bytes(100))
    found, _ = zxids(vector)
    assert found == [1]


def test_damage_with_more_than_a_batch_behind_it_is_refused(vector):
    edit(vector, 90, b"\xee")
    with pytest.raises(CorruptionError) as caught:
        zxids(vector, batch_bytes_max=1000)
    assert (caught.value.file, caught.value.offset, caught.value.zxid) == (f"{DIRECTORY}/log.1", 77, 1)
    assert "wrong checksum" in str(caught.value)


def test_zero_length_ends_the_file(vector):
    assert len(zxids(vector)[0]) == 28


def test_newest_file_of_length_zero_is_a_torn_tail(vector):
    vector.create(f"{DIRECTORY}/log.1d")
    found, history = zxids(vector)
    assert len(found) == 28
    history.repair()
    assert "log.1d" not in vector.names(DIRECTORY)


@pytest.mark.parametrize("header", [LOG_HEADER[:8], bytes(16), LOG_HEADER[:3] + bytes(5000), LOG_HEADER])
def test_newest_file_without_a_record_is_removed(vector, header):
    put(vector, "log.1d", header)
    found, history = zxids(vector)
    assert len(found) == 28
    history.repair()
    assert "log.1d" not in vector.names(DIRECTORY)
    TxnLog(vector, DIRECTORY).append([(0x1D, bytes(32))])


def test_newest_file_with_a_wrong_magic_is_refused(vector):
    put(vector, "log.1d", b"ZKSN" + LOG_HEADER[4:] + bytes(100))
    with pytest.raises(CorruptionError, match="not the header"):
        zxids(vector)


def test_torn_header_in_front_of_more_than_a_batch_is_refused(vector):
    put(vector, "log.1d", bytes(16) + b"x" * 2000)
    with pytest.raises(CorruptionError, match="2016 bytes behind"):
        zxids(vector, batch_bytes_max=1000)


def test_torn_tail_before_an_empty_newest_file_is_the_end_too(vector):
    edit(vector, END - 1, b"\0")
    vector.create(f"{DIRECTORY}/log.1d")
    found, history = zxids(vector)
    assert found[-1] == 0x1B
    history.repair()
    assert vector.size(f"{DIRECTORY}/log.1") == LAST
    assert "log.1d" not in vector.names(DIRECTORY)


def test_version_of_the_header_is_not_checked(vector):
    edit(vector, 4, b"\0\0\0\x03")
    assert len(zxids(vector)[0]) == 28


def test_same_record_twice_is_skipped_with_a_note(vector):
    edit(vector, END, vector.read(f"{DIRECTORY}/log.1", LAST, END - LAST))
    found, history = zxids(vector)
    assert len(found) == 28
    assert "twice" in history.notes[0]


@pytest.mark.parametrize("again", [(2, 3, 2, 3, 4), (3, 4, 2, 3, 4, 5, 4, 5), (1, 2, 3, 1, 2, 3, 1, 2, 3, 4)])
def test_runs_that_a_learner_of_3_8_logged_twice_are_skipped(disk, payload, again):
    put(disk, "log.1", file_of(*(payload(zxid) for zxid in (1, 2, 3, *again))))
    found, history = zxids(disk)
    assert found == [*range(1, max(again) + 1)]
    assert "twice" in history.notes[0]


def test_runs_that_stand_twice_in_several_files_are_skipped_in_each(disk, payload):
    put(disk, "log.1", file_of(*(payload(zxid) for zxid in (1, 2, 1, 2, 3))))
    put(disk, "log.4", file_of(*(payload(zxid) for zxid in (4, 4, 5))))
    found, history = zxids(disk)
    assert found == [1, 2, 3, 4, 5]
    assert len(history.notes) == 2


@pytest.mark.parametrize("records", [[(1,), (2,), (4,), (3,)], [(1,), (2,), (3,), (2, 7)], [(1,), (3,), (4,), (2,)]])
def test_zxid_that_goes_back_to_another_txn_is_refused(disk, payload, records):
    put(disk, "log.1", file_of(*(payload(*record) for record in records)))
    with pytest.raises(CorruptionError, match="not above"):
        zxids(disk)


def test_error_that_took_the_zxid_before_it_is_skipped(disk, payload):
    """Apache 3.9.5 logs requests so whose body it cannot decode."""
    void = Txn(TxnHeader(7, 9, 2, 1_700_000_000_000, OpCode.ERROR), ErrorTxn(-5)).encode()
    put(disk, "log.1", file_of(payload(1), payload(2), void, void, payload(3)))
    found, history = zxids(disk)
    assert found == [1, 2, 3]
    assert history.notes == [f"{DIRECTORY}/log.1: errors that have the zxid of the txn before them are skipped"]


def test_error_with_the_zxid_of_an_earlier_txn_is_refused(disk, payload):
    void = Txn(TxnHeader(7, 9, 1, 1_700_000_000_000, OpCode.ERROR), ErrorTxn(-5)).encode()
    put(disk, "log.1", file_of(payload(1), payload(2), void, payload(3)))
    with pytest.raises(CorruptionError, match="not above"):
        zxids(disk)


def test_file_that_overlaps_the_one_before_it_is_refused(disk, payload):
    put(disk, "log.1", file_of(payload(1), payload(2), payload(3)))
    put(disk, "log.3", file_of(payload(3, 5), payload(4)))
    with pytest.raises(CorruptionError, match="not above"):
        zxids(disk)


@pytest.mark.parametrize("zxid", [1 << 32, 5])
def test_log_of_a_new_epoch_follows_a_snapshot_that_a_leader_has_sent(disk, payload, zxid):
    first = (zxid >> 32 or 2) << 32 | 1
    put(disk, f"log.{first:x}", file_of(payload(first), payload(first + 1)))
    assert zxids(disk, after=zxid)[0] == [first, first + 1]


def test_torn_tail_that_java_left_in_an_older_file_is_accepted_if_nothing_is_missing(vector, payload):
    edit(vector, END - 1, b"\0")
    put(vector, "log.1c", file_of(payload(0x1C)))
    found, history = zxids(vector)
    assert found == list(range(1, 0x1D))
    assert "goes on with 0x1c" in history.notes[0]
    assert not history.torn


@pytest.mark.parametrize("following", [0x1D, 0x1_00000001])
def test_torn_tail_in_an_older_file_is_refused_if_something_may_be_missing(vector, payload, following):
    edit(vector, END - 1, b"\0")
    put(vector, "log.1d", file_of(payload(following)))
    with pytest.raises(CorruptionError) as caught:
        zxids(vector)
    assert (caught.value.offset, caught.value.zxid) == (LAST, 0x1B)
    assert zxids(vector, accept_gaps=True)[0][-1] == following


@pytest.mark.parametrize(
    ("previous", "zxid", "answer"),
    [
        (0, 1, True),
        (5, 6, True),
        (5, 7, False),
        (5, 0x1_00000001, True),
        (5, 0x1_00000002, False),
        (0x1_00000005, 6, False),
        (0x1_00000005, 0x5_00000001, True),
    ],
)
def test_follows(previous, zxid, answer):
    assert follows(zxid, previous) is answer


def test_gap_between_snapshot_and_log_is_refused_with_both_zxids(disk, payload):
    put(disk, "log.8", file_of(payload(8)))
    with pytest.raises(GapError, match=r"between 0x5 and 0x8 .*snapshot.trust.gaps"):
        zxids(disk, after=5)
    found, history = zxids(disk, after=5, accept_gaps=True)
    assert found == [8]
    assert "between 0x5 and 0x8" in history.notes[0]


def test_gap_between_two_files_is_refused(disk, payload):
    put(disk, "log.1", file_of(payload(1), payload(2)))
    put(disk, "log.4", file_of(payload(4)))
    with pytest.raises(GapError, match="between 0x2 and 0x4"):
        zxids(disk)


def test_gap_inside_a_file_is_noted(disk, payload):
    """Java 3.8.0 spends a zxid without a record on each multi with a null path."""
    put(disk, "log.1", file_of(payload(1), payload(4), payload(5)))
    found, history = zxids(disk)
    assert found == [1, 4, 5]
    assert len(history.notes) == 1


def test_snapshot_inside_a_file_that_does_not_reach_its_zxid_is_a_gap(disk, payload):
    put(disk, "log.1", file_of(payload(1), payload(9)))
    with pytest.raises(GapError):
        zxids(disk, after=5)


def test_reading_begins_with_the_file_that_holds_the_next_txn(disk, payload):
    for first in (1, 3, 5):
        put(disk, f"log.{first}", file_of(payload(first), payload(first + 1)))
    assert History(disk, DIRECTORY, 3).files() == ["log.3", "log.5"]
    assert History(disk, DIRECTORY, 4).files() == ["log.5"]
    assert zxids(disk, after=3)[0] == [4, 5, 6]
    assert zxids(disk, after=9)[0] == []


def test_names_are_sorted_as_numbers_and_others_are_ignored(disk, payload):
    put(disk, "log.9", file_of(payload(9)))
    put(disk, "log.10", file_of(payload(0x10)))
    put(disk, "log.9.fixed", b"")
    put(disk, "log.xyz", b"")
    assert History(disk, DIRECTORY, 0).files() == ["log.9", "log.10"]


def build(disk, payload, *starts, per_file=4):
    for first in starts:
        put(disk, f"log.{first:x}", file_of(*[payload(first + step) for step in range(per_file)]))
    disk.sync_directory(DIRECTORY)


@pytest.mark.parametrize(("zxid", "kept"), [(12, 12), (11, 11), (8, 8), (5, 5), (4, 4), (1, 1), (99, 12), (0, 0)])
def test_truncate_keeps_what_is_at_or_below_the_zxid(disk, payload, zxid, kept):
    build(disk, payload, 1, 5, 9)
    truncate_logs(disk, DIRECTORY, zxid)
    assert zxids(disk)[0] == list(range(1, kept + 1))


def test_truncate_to_a_zxid_that_is_not_there_cuts_before_the_first_above_it(disk, payload):
    put(disk, "log.1", file_of(payload(1), payload(2), payload(5)))
    truncate_logs(disk, DIRECTORY, 4)
    assert zxids(disk)[0] == [1, 2]


def test_truncate_leaves_no_padding(disk, payload):
    build(disk, payload, 1)
    truncate_logs(disk, DIRECTORY, 2)
    assert disk.size(f"{DIRECTORY}/log.1") == len(file_of(payload(1), payload(2))) - 64


def test_truncate_refuses_a_log_that_is_damaged_before_the_zxid(vector):
    edit(vector, 90, b"\xee")
    with pytest.raises(CorruptionError, match="before the txn 0x5"):
        truncate_logs(vector, DIRECTORY, 5)


class PowerCut(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("step", range(8))
def test_crash_inside_truncate_leaves_no_gap(disk, payload, step):
    build(disk, payload, 1, 5, 9)
    seed = Random().randrange(1 << 32)
    print("seed", seed)
    steps = iter(range(step))
    for verb in ("remove", "sync_directory", "open"):
        original = getattr(disk, verb)

        def guarded(path, original=original):
            if next(steps, None) is None:
                raise PowerCut
            return original(path)

        setattr(disk, verb, guarded)
    try:
        truncate_logs(disk, DIRECTORY, 2)
    except PowerCut:
        assert step < 5
    disk.crash(Random(seed))
    found = zxids(disk)[0]
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= 2
