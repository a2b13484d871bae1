import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.storage import names
from pyzk.storage.database import restore
from pyzk.storage.retention import disposable, purge
from pyzk.storage.snapshot import save

SNAPSHOTS = [f"snapshot.{zxid:x}" for zxid in (0, 10, 20, 30, 40)]
LOGS = [f"log.{zxid:x}" for zxid in (1, 11, 21, 31, 41)]


def test_keeps_the_newest_snapshots_and_the_logs_behind_the_oldest_of_them():
    snapshots, logs = disposable(SNAPSHOTS, LOGS, SNAPSHOTS[::-1], 3)
    assert snapshots == ["snapshot.0", "snapshot.a"]
    # log.b begins below snapshot.14 and may hold txns behind it.
    assert logs == ["log.1"]


def test_keeps_three_at_least():
    assert disposable(SNAPSHOTS, LOGS, SNAPSHOTS[::-1], 1) == disposable(SNAPSHOTS, LOGS, SNAPSHOTS[::-1], 3)


def test_damaged_snapshots_do_not_count():
    whole = [SNAPSHOTS[4], SNAPSHOTS[2], SNAPSHOTS[1]]
    snapshots, logs = disposable(SNAPSHOTS, LOGS, whole, 3)
    assert snapshots == ["snapshot.0"]
    assert logs == []


def test_nothing_goes_without_a_whole_snapshot():
    assert disposable(SNAPSHOTS, LOGS, [], 3) == ([], [])


def test_log_of_exactly_the_oldest_kept_zxid_stays_alone():
    assert disposable(["snapshot.5"], ["log.1", "log.5"], ["snapshot.5"], 3) == ([], ["log.1"])


@given(st.sets(st.integers(0, 200)), st.sets(st.integers(1, 200)), st.integers(0, 6))
def test_what_is_kept_is_enough_for_every_kept_snapshot(snapshot_zxids, log_zxids, retain_count):
    all_snapshots = [names.snapshot_name(zxid) for zxid in sorted(snapshot_zxids)]
    all_logs = [names.log_name(zxid) for zxid in sorted(log_zxids)]
    snapshots, logs = disposable(all_snapshots, all_logs, all_snapshots[::-1], retain_count)
    kept = sorted(snapshot_zxids)[-max(3, retain_count) :]
    assert names.snapshots(all_snapshots)[len(snapshots) :] == [(zxid, names.snapshot_name(zxid)) for zxid in kept]
    for zxid in kept:
        needed = max((first for first in log_zxids if first <= zxid), default=0)
        assert all(first < needed for first, _ in names.logs(logs))


def test_purge_removes_files_of_both_directories(disk, places, server, log):
    for _ in range(5):
        log.append(server.batch(10))
        log.roll()
        for _ in save(disk, places.snapshots, server.tree):
            pass
    assert purge(disk, places, 3) == [
        f"data/version-2/{name}" for name in ("snapshot.a", "snapshot.14", "log.1", "log.b")
    ]
    assert purge(disk, places, 3) == []
    assert disk.names(places.logs) == ["log.15", "log.1f", "log.29", "snapshot.1e", "snapshot.28", "snapshot.32"]


def test_purge_keeps_what_the_server_has_started_from_though_three_damaged_ones_are_newer(disk, places, server, log):
    for _ in range(5):
        log.append(server.batch(10))
        log.roll()
        for _ in save(disk, places.snapshots, server.tree):
            pass
    for name in ("snapshot.1e", "snapshot.28", "snapshot.32"):
        disk.open(f"{places.snapshots}/{name}").write(100, b"damage")
    restored = restore(disk, places)
    assert (restored.snapshot, restored.damaged) == ("snapshot.14", ["snapshot.32", "snapshot.28", "snapshot.1e"])
    assert purge(disk, places, 3, restored.damaged) == []
    assert restore(disk, places).last_zxid == 50


@pytest.mark.parametrize("retain_count", [3, 5])
def test_purge_of_an_empty_directory_does_nothing(disk, places, retain_count):
    assert purge(disk, places, retain_count) == []
