"""What a member of an ensemble does with its files: storage.md section 6 line by line, TRUNC, SNAP, and doubt."""

from random import Random

import pytest

from pyzk.errors import ConfigError, CorruptionError, FsyncError, GapError
from pyzk.storage.database import RestoreOptions, truncate
from pyzk.storage.epochs import ACCEPTED, CURRENT, read_epoch
from pyzk.storage.logreader import LogReader
from pyzk.storage.member import DOUBT, MemberFiles
from pyzk.storage.memory import MemoryDisk
from pyzk.storage.names import Places
from pyzk.storage.switch import PENDING, begin_truncate
from pyzk.storage.txnlog import TxnLog, frame_record

DIRECTORY = "data/version-2"


def put(disk, name, data=b""):
    path = name if "/" in name else f"{DIRECTORY}/{name}"
    if path.rpartition("/")[2] in disk.names(path.rpartition("/")[0]):
        disk.remove(path)
    file = disk.create(path)
    file.write(0, data)
    file.sync()
    disk.sync_directory(path.rpartition("/")[0])


def edit(disk, name, position, data):
    file = disk.open(f"{DIRECTORY}/{name}")
    file.write(position, data)
    file.sync()


def drop(disk, *names):
    for name in names:
        disk.remove(f"{DIRECTORY}/{name}")
    disk.sync_directory(DIRECTORY)


def epochs(disk):
    return read_epoch(disk, DIRECTORY, ACCEPTED), read_epoch(disk, DIRECTORY, CURRENT)


def in_doubt(files, disk, words):
    """Load twice, with a crash between: the doubt stays, with the same words."""
    stored = files.load()
    assert words in stored.doubt
    assert "pyzk.trustOwnData=true" in stored.doubt
    disk.crash(Random(1))
    assert files.load().doubt == stored.doubt
    return stored


# A start without a doubt


@pytest.mark.parametrize(
    ("case", "epoch", "last_zxid"),
    [("f-quorum-member-395", 3, 0x100000010), ("g-quorum-member-380", 4, 0x400000005)],
)
def test_members_of_apache_are_loaded(disk, files, load_vector, case, epoch, last_zxid):
    load_vector(disk, case)
    stored = files.load()
    assert (stored.accepted_epoch, stored.current_epoch, stored.last_zxid) == (epoch, epoch, last_zxid)
    assert (stored.doubt, stored.notes, stored.digest_mismatches) == ("", [], 0)
    assert stored.tree.last_zxid == last_zxid


@pytest.mark.usefixtures("built")
def test_last_txns_are_kept_for_learners(files):
    assert [zxid & 0xFF for zxid, _ in files.load().recent] == [21, 22, 23, 24, 25]


def test_empty_directory_is_a_new_server(disk, files):
    stored = files.load()
    assert (stored.accepted_epoch, stored.current_epoch, stored.last_zxid, stored.doubt) == (0, 0, 0, "")
    assert disk.names(DIRECTORY) == ["acceptedEpoch", "currentEpoch", "snapshot.0"]
    disk.crash(Random(1))
    assert (files.load().last_zxid, files.load().doubt, files.load().notes) == (0, "", [])


def test_marker_initialize_is_removed(disk, files):
    put(disk, "data/initialize")
    assert files.load().doubt == ""
    assert disk.names("data") == []


@pytest.mark.usefixtures("built")
def test_torn_last_batch_is_no_doubt(disk, files):
    data = disk.read(f"{DIRECTORY}/log.100000015").rstrip(b"\0")
    edit(disk, "log.100000015", len(data) - 20, bytes(20))
    stored = files.load()
    assert (stored.doubt, stored.last_zxid) == ("", 0x100000018)
    assert "torn last batch" in stored.notes[0]


@pytest.mark.parametrize("seed", range(20))
def test_what_a_killed_process_has_left_in_the_page_cache_is_durable_once_it_was_read(
    built, disk, files, log, seed, monkeypatch
):
    rng = Random(seed)
    disk.lying = True
    log.append(built.batch(3))
    disk.lying = False
    with monkeypatch.context() as patched:
        patched.setattr(disk, "sync_directory", lambda directory: None)  # noqa: ARG005
        files.save_epoch(ACCEPTED, 2)
    disk.boots += 1  # the process is killed and starts again, the machine goes on
    stored = files.load()
    assert (stored.last_zxid, stored.accepted_epoch) == (built.zxid, 2)
    disk.crash(rng)
    again = files.load()
    assert (again.last_zxid, again.accepted_epoch, again.doubt) == (built.zxid, 2, "")


def test_directories_that_are_mixed_up_are_refused():
    disk = MemoryDisk()
    MemberFiles(disk, Places.of("data", "logs"), RestoreOptions()).load()
    with pytest.raises(ConfigError):
        MemberFiles(disk, Places.of("logs", "data"), RestoreOptions()).load()


@pytest.mark.usefixtures("built")
def test_failed_sync_is_no_doubt_but_the_end(disk, files):
    drop(disk, CURRENT)
    disk.failing_syncs = True
    with pytest.raises(FsyncError):
        files.load()


# The epoch files


@pytest.mark.usefixtures("built")
def test_server_that_was_standalone_gets_the_epoch_of_its_last_txn(disk, files):
    drop(disk, ACCEPTED, CURRENT)
    stored = files.load()
    assert (stored.accepted_epoch, stored.current_epoch, stored.doubt) == (1, 1, "")
    assert epochs(disk) == (1, 1)
    assert "no epoch files" in stored.notes[0]


@pytest.mark.usefixtures("built")
def test_crash_between_the_first_two_epoch_files_does_no_harm(disk, files):
    drop(disk, CURRENT)
    stored = files.load()
    assert (stored.accepted_epoch, stored.current_epoch, stored.doubt) == (1, 1, "")
    assert "currentEpoch is missing: it is set to 1" in stored.notes[0]
    assert epochs(disk) == (1, 1)


@pytest.mark.parametrize(
    ("current", "left_over", "expected"), [(b"0", None, 1), (b"0", b"1", 1), (b"0", b"2", 2), (b"0", b"3", 1)]
)
@pytest.mark.usefixtures("built")
def test_current_epoch_below_the_last_txn_is_raised(disk, files, current, left_over, expected):
    """Between the sync of the txns and the new epoch a leader's DIFF can be cut off by a crash."""
    put(disk, ACCEPTED, b"2")
    put(disk, CURRENT, current)
    if left_over is not None:
        put(disk, "currentEpoch.tmp", left_over)
    stored = files.load()
    assert (stored.current_epoch, stored.doubt) == (expected, "")
    assert f"below the last txn: it is set to {expected}" in stored.notes[0]
    assert epochs(disk) == (2, expected)


@pytest.mark.parametrize(
    ("accepted", "current", "words"),
    [
        (b"2", b"3", "acceptedEpoch is 2, but currentEpoch is 3 and the last txn is of epoch 1"),
        (b"0", b"0", "acceptedEpoch is 0, but currentEpoch is 0 and the last txn is of epoch 1"),
        (b"-1", b"-1", "acceptedEpoch is -1"),
        (None, b"1", "acceptedEpoch is missing"),
        (b"one", b"1", "acceptedEpoch: not an epoch: b'one'"),
        (b"1 ", b"1", "not an epoch"),
        (b"2", None, "currentEpoch is missing: it was from 1, the epoch of the last txn, to 2"),
        (b"2", b"x", "currentEpoch: not an epoch: b'x': it was from 1"),
    ],
)
def test_epoch_that_is_not_known_is_a_doubt(built, disk, files, accepted, current, words):
    for name, data in ((ACCEPTED, accepted), (CURRENT, current)):
        drop(disk, name)
        if data is not None:
            put(disk, name, data)
    stored = in_doubt(files, disk, words)
    assert stored.last_zxid == 0x100000019
    assert stored.tree.digest == built.tree.digest
    # A number put there afterwards is as doubtful.
    put(disk, ACCEPTED, b"9")
    put(disk, CURRENT, b"9")
    assert words in files.load().doubt


@pytest.mark.usefixtures("built")
def test_unreadable_current_epoch_is_proven_when_no_other_was_accepted(disk, files):
    put(disk, CURRENT, b"")
    assert files.load().current_epoch == 1
    assert epochs(disk) == (1, 1)


@pytest.mark.usefixtures("built")
def test_final_newline_is_accepted(disk, files):
    put(disk, ACCEPTED, b"7\n")
    assert (files.load().accepted_epoch, files.load().doubt) == (7, "")


# Data that are lost


@pytest.mark.usefixtures("built")
def test_damage_within_the_log_is_a_doubt(disk, files):
    """Defects, row 8: a server that has lost something may only take part when it has everything again."""
    edit(disk, "log.100000015", 100, b"\xee")
    drop(disk, "snapshot.100000014")
    stored = in_doubt(files, disk, "log.100000015 at offset")
    assert (stored.tree.node_count, stored.last_zxid) == (5, -1)
    assert (stored.accepted_epoch, stored.current_epoch) == (1, 1)


@pytest.mark.usefixtures("built")
def test_wrong_byte_in_the_last_record_is_a_doubt(disk, files):
    data = disk.read(f"{DIRECTORY}/log.100000015").rstrip(b"\0")
    edit(disk, "log.100000015", len(data) - 20, b"\xee")
    in_doubt(files, disk, "this is no write that was cut short")
    assert len(disk.read(f"{DIRECTORY}/log.100000015").rstrip(b"\0")) == len(data), "nothing is cut"


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("noise", [b"\xee" * 60, b"\x01\xff" * 30, bytes(range(7, 67))])
def test_noise_from_the_length_of_the_last_record_on_is_a_doubt(disk, files, noise):
    """A write that was cut short has right bytes or zeros, and no txn that cannot stand there."""
    *_, (_, offset, _) = LogReader(disk, DIRECTORY, "log.100000015")
    edit(disk, "log.100000015", offset + 10, b"\x01" + noise)
    assert files.load().doubt


@pytest.mark.usefixtures("built")
def test_gap_is_a_doubt(disk, files):
    drop(disk, "log.10000000b", "snapshot.100000014")
    in_doubt(files, disk, "no txns between 0x10000000a and 0x100000015")


@pytest.mark.usefixtures("built")
def test_gap_that_an_operator_accepts_is_none(disk, places):
    drop(disk, "log.10000000b", "snapshot.100000014")
    files = MemberFiles(disk, places, RestoreOptions(trust_gaps=True))
    assert files.load().doubt == ""


@pytest.mark.usefixtures("built")
def test_no_snapshot_that_can_be_read_is_a_doubt(disk, files):
    for name in ("snapshot.0", "snapshot.10000000a", "snapshot.100000014"):
        edit(disk, name, 30, b"\xff\xff")
    in_doubt(files, disk, "no snapshot in")


@pytest.mark.usefixtures("built")
def test_logs_without_a_snapshot_are_a_doubt(disk, files):
    drop(disk, "snapshot.0", "snapshot.10000000a", "snapshot.100000014")
    in_doubt(files, disk, "No snapshot found, but there are log entries")


@pytest.mark.usefixtures("built")
def test_damaged_snapshot_is_passed_over_when_the_log_holds_it_all(disk, files):
    edit(disk, "snapshot.100000014", 100, b"\xff\xff")
    stored = files.load()
    assert (stored.doubt, stored.last_zxid, stored.snapshot) == ("", 0x100000019, "snapshot.10000000a")
    assert stored.damaged == ["snapshot.100000014"]


@pytest.mark.parametrize("name", ["snapshot.100000020", "snapshot.100000020.gz"])
@pytest.mark.usefixtures("built")
def test_damaged_snapshot_that_held_more_than_the_log_is_a_doubt(disk, files, name):
    put(disk, name, b"ZKSN" + bytes(100))
    in_doubt(files, disk, f"{name} cannot be read")
    drop(disk, name)
    assert "cannot be read" in files.load().doubt


@pytest.mark.usefixtures("built")
def test_newest_log_that_was_begun_behind_txns_that_are_gone_is_a_doubt(disk, files):
    put(disk, "log.10000001c")
    in_doubt(files, disk, "between 0x100000019 and 0x10000001c")
    assert "log.10000001c" in disk.names(DIRECTORY)


@pytest.mark.parametrize("name", ["log.10000001a", "log.200000001"])
@pytest.mark.usefixtures("built")
def test_newest_log_without_a_record_that_follows_is_no_doubt(disk, files, name):
    put(disk, name)
    assert files.load().doubt == ""
    assert name not in disk.names(DIRECTORY)


@pytest.mark.parametrize("trace", [ACCEPTED, CURRENT])
def test_epoch_without_data_is_a_doubt_and_no_new_server(disk, files, trace):
    put(disk, trace, b"3")
    in_doubt(files, disk, f"has {trace}, but neither snapshots nor logs")
    assert disk.names(DIRECTORY) == [trace, DOUBT]


def test_operator_can_say_that_an_empty_directory_is_right(disk, files):
    put(disk, ACCEPTED, b"3")
    put(disk, CURRENT, b"-1")
    files.load()
    put(disk, "data/initialize")
    stored = files.load()
    assert (stored.accepted_epoch, stored.current_epoch, stored.last_zxid, stored.doubt) == (3, 0, 0, "")


def test_empty_directory_without_autocreate_has_lost_its_data_unless_marked(disk, places):
    files = MemberFiles(disk, places, RestoreOptions(autocreate=False))
    stored = in_doubt(files, disk, "db.autocreate=false")
    assert (stored.accepted_epoch, stored.current_epoch, stored.last_zxid) == (-1, -1, -1)
    put(disk, "data/initialize")
    assert files.load().doubt == ""


# The end of a doubt


@pytest.mark.usefixtures("built")
def test_doubt_ends_only_when_a_leader_has_given_everything_back(disk, files, server):
    edit(disk, "log.100000015", 100, b"\xee")
    edit(disk, "snapshot.100000014", 100, b"\xee")
    assert files.load().doubt
    server.batch(4)
    files.save_epoch(ACCEPTED, 2)
    files.install(server.tree)
    assert "log.100000015" in files.load().doubt
    files.save_epoch(CURRENT, 2)
    files.heal()
    disk.crash(Random(1))
    stored = files.load()
    assert (stored.doubt, stored.last_zxid) == ("", 0x10000001D)
    assert disk.names(DIRECTORY) == ["acceptedEpoch", "currentEpoch", "snapshot.10000001d"]


@pytest.mark.usefixtures("built")
def test_doubt_is_on_the_disk_before_anything_is_repaired(disk, files):
    edit(disk, "log.100000015", 100, b"\xee")
    disk.journal.clear()
    files.load()
    assert disk.journal[0] == ("create", f"{DIRECTORY}/doubt.tmp")


@pytest.mark.usefixtures("built")
def test_operator_can_trust_what_can_be_read(disk, files):
    drop(disk, "log.10000000b", "snapshot.100000014", ACCEPTED)
    assert files.load().doubt
    stored = files.load(trust=True)
    assert (stored.doubt, stored.last_zxid) == ("", 0x100000019)
    assert (stored.accepted_epoch, stored.current_epoch) == epochs(disk) == (1, 1)
    assert "pyzk.trustOwnData: in spite of doubt" in stored.notes[-1]
    disk.crash(Random(1))
    again = files.load()
    assert (again.doubt, again.last_zxid, again.tree.digest) == ("", 0x100000019, stored.tree.digest)


@pytest.mark.parametrize("seed", range(10))
def test_what_is_trusted_is_durable_from_then_on(disk, places, files, built, seed):
    log = TxnLog(disk, places.logs, sync=False)
    log.append(built.batch(2))
    log.close()
    put(disk, PENDING, b"nothing that means anything")
    stored = files.load(trust=True)
    assert (stored.doubt, stored.last_zxid) == ("", built.zxid)
    print("seed", seed)
    disk.crash(Random(seed))
    again = files.load()
    assert (again.doubt, again.last_zxid) == ("", built.zxid)


@pytest.mark.usefixtures("built")
def test_damaged_snapshot_does_not_raise_the_doubt_again_after_it_was_trusted(disk, files):
    put(disk, "snapshot.100000020", b"ZKSN" + bytes(100))
    assert files.load(trust=True).doubt == ""
    assert files.load().doubt == ""


def test_trust_needs_something_to_trust(disk, files):
    put(disk, ACCEPTED, b"3")
    stored = files.load(trust=True)
    assert stored.doubt
    assert "nothing to trust" in stored.notes[-1]


@pytest.mark.usefixtures("built")
def test_trust_does_not_help_where_nothing_can_be_read(disk, files):
    for name in ("snapshot.0", "snapshot.10000000a", "snapshot.100000014"):
        edit(disk, name, 30, b"\xff\xff")
    stored = files.load(trust=True)
    assert stored.doubt
    assert "no snapshot" in stored.notes[-1]


@pytest.mark.usefixtures("built")
def test_trust_changes_nothing_for_a_server_without_doubt(disk, files):
    before = disk.names(DIRECTORY)
    assert files.load(trust=True).notes == []
    assert disk.names(DIRECTORY) == before


# TRUNC


@pytest.mark.usefixtures("built")
def test_truncate_above_the_last_snapshot_only_cuts(disk, files):
    disk.journal.clear()
    assert files.truncate(0x100000016)
    assert PENDING not in [path.rpartition("/")[2] for _, path in disk.journal]
    assert (files.load().last_zxid, files.load().doubt) == (0x100000016, "")


@pytest.mark.usefixtures("built")
def test_truncate_below_snapshots_removes_them_and_reloads(disk, files):
    assert files.truncate(0x100000007)
    stored = files.reload()
    assert (stored.last_zxid, stored.doubt, stored.snapshot) == (0x100000007, "", "snapshot.0")
    assert PENDING not in disk.names(DIRECTORY)


def test_truncate_to_the_end_of_a_log_in_which_txns_stand_twice(built, disk, files, log):
    """As a learner of Apache's 3.8.0 leaves them."""
    reader = LogReader(disk, DIRECTORY, "log.100000015")
    (_, _, repeated), *_ = reader
    edit(disk, reader.name, reader.position, frame_record(repeated))
    log.append(built.batch(2))
    log.roll()
    assert files.truncate(0x100000019)
    assert (files.load().last_zxid, files.load().doubt) == (0x100000019, "")


def test_truncate_to_where_a_leaders_tree_stands_needs_no_log(files, server, log):
    files.load()
    files.save_epoch(ACCEPTED, 1)
    server.zxid = 1 << 32
    server.batch(3)
    files.install(server.tree)
    log.append(server.batch(3))
    log.roll()
    files.truncate(0x100000003)
    assert (files.reload().last_zxid, files.reload().doubt) == (0x100000003, "")


def test_truncate_below_the_only_snapshot_is_refused(disk, files, server, log):
    files.load()
    files.save_epoch(ACCEPTED, 1)
    server.zxid = 1 << 32
    server.batch(3)
    files.install(server.tree)
    log.append(server.batch(3))
    log.roll()
    before = disk.names(DIRECTORY)
    assert not files.truncate(0x100000002)
    assert disk.names(DIRECTORY) == before
    assert (files.load().last_zxid, files.load().doubt) == (0x100000006, "")


@pytest.mark.usefixtures("built")
def test_truncate_that_leaves_less_than_asked_for_is_a_doubt(disk, files):
    """An older snapshot is left, but no log connects it with the zxid: a DIFF on top would leave a hole."""
    drop(disk, "log.100000001", "log.10000000b", "snapshot.10000000a")
    files.truncate(0x100000012)
    in_doubt(files, disk, "was to be cut behind 0x100000012, but snapshot and log end at 0x0")
    assert PENDING not in disk.names(DIRECTORY), "it is not cut again when a leader has given the data back"


@pytest.mark.usefixtures("built")
def test_crash_before_the_reload_does_not_hide_what_truncate_has_left(disk, places, files):
    drop(disk, "log.100000001", "log.10000000b", "snapshot.10000000a")
    begin_truncate(disk, places, 0x100000012)
    truncate(disk, places, 0x100000012)
    disk.crash(Random(1))
    assert "was to be cut" in files.load().doubt


def test_truncate_is_not_done_again_at_the_next_start(built, disk, files, log):
    """Whether anybody reloads or not: what is logged behind the cut stays."""
    files.truncate(0x100000007)
    assert PENDING not in disk.names(DIRECTORY)
    built.zxid = 0x100000007
    log.append(built.batch(2))
    assert files.load().last_zxid == 0x100000009


def test_doubt_that_arises_later_stays_until_it_is_healed(disk, files):
    files.load()
    files.doubt("the log is shorter than it was")
    files.doubt("another one")
    in_doubt(files, disk, "shorter than it was")
    files.heal()
    assert files.load().doubt == ""


@pytest.mark.usefixtures("built")
def test_truncate_to_a_txn_that_is_not_there_is_refused(files):
    with pytest.raises(GapError, match="end at 0x100000019"):
        files.truncate(0x10000001F)


@pytest.mark.usefixtures("built")
def test_truncate_of_a_damaged_log_is_refused(disk, files):
    edit(disk, "log.100000015", 100, b"\xee")
    with pytest.raises(CorruptionError):
        files.truncate(0x100000018)


@pytest.mark.parametrize("content", [b"", b"install", b"truncate x", b"install snapshot.77"])
@pytest.mark.usefixtures("built")
def test_pending_file_that_makes_no_sense_is_a_doubt(disk, files, content):
    put(disk, PENDING, content)
    in_doubt(files, disk, "")
    assert "snapshot.100000014" in disk.names(DIRECTORY)


@pytest.mark.usefixtures("built")
def test_files_read_the_log_for_a_learner(files):
    assert len(files.read_log(0x100000003, 0x100000019, 0)) == 22
