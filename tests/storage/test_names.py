import pytest

from pyzk.errors import ConfigError
from pyzk.storage import names
from pyzk.storage.memory import MemoryDisk
from pyzk.storage.names import Places


def test_names_are_lower_case_hex_without_0x():
    assert names.log_name(0x1_0000000A) == "log.10000000a"
    assert names.snapshot_name(0) == "snapshot.0"
    assert names.snapshot_name(0x1C, "gz") == "snapshot.1c.gz"
    assert names.snapshot_name(0x1C, "snappy") == "snapshot.1c.snappy"


def test_other_files_are_ignored():
    found = ["snapshot.2.gz", "snapshot.10", "snapshot.1c.tmp", "snapshot.", "log.1", "acceptedEpoch", "snapshot.0x3"]
    assert names.snapshots(found) == [(2, "snapshot.2.gz"), (0x10, "snapshot.10")]
    assert names.logs([*found, "log.ffffffffffffffff"]) == [(1, "log.1")]


def mixed_up(directory, name):
    disk = MemoryDisk()
    places = Places.of("data", "logs")
    for made in (places.snapshots, places.logs):
        disk.make_directory(made)
    disk.create(f"{directory}/version-2/{name}")
    return disk, places


@pytest.mark.parametrize(
    ("directory", "name", "setting", "says"),
    [
        ("data", "log.1", "dataDir", "Snapshot directory has log files"),
        ("logs", "snapshot.0", "dataLogDir", "Log directory has snapshot files"),
    ],
)
def test_directories_that_were_mixed_up_are_refused(directory, name, setting, says):
    disk, places = mixed_up(directory, name)
    with pytest.raises(ConfigError, match=says) as caught:
        places.check(disk)
    assert caught.value.setting == setting


def test_files_in_their_places_are_accepted():
    disk, places = mixed_up("data", "snapshot.0")
    places.check(disk)
    Places.of("data").check(disk)


def test_marker_lies_beside_the_logs():
    assert Places.of("data", "logs").marker_directory == "logs"
    assert Places.of("data").marker_directory == "data"
