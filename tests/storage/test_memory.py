"""The twin itself: it must forget, or the durability tests prove nothing."""

from random import Random

import pytest

from pyzk.errors import DiskFullError, FsyncError, StorageError
from pyzk.storage.disk import replace
from pyzk.storage.memory import MemoryDisk


def outcomes(prepare, look, seeds=200):
    """All that can be seen after a crash, over many seeds."""
    seen = set()
    for seed in range(seeds):
        disk = MemoryDisk()
        disk.make_directory("d")
        prepare(disk)
        disk.crash(Random(seed))
        seen.add(look(disk))
    return seen


def content(disk):
    return disk.read("d/f") if "f" in disk.names("d") else None


def write(disk, data=b"abcd", *, sync, sync_directory):
    file = disk.create("d/f")
    file.write(0, data)
    if sync:
        file.sync()
    if sync_directory:
        disk.sync_directory("d")
    return file


def test_write_covered_by_both_syncs_survives():
    assert outcomes(lambda disk: write(disk, sync=True, sync_directory=True), content) == {b"abcd"}


def test_name_not_covered_by_a_sync_of_its_directory_may_be_lost():
    assert outcomes(lambda disk: write(disk, sync=True, sync_directory=False), content) == {None, b"abcd"}


def test_write_not_covered_by_a_sync_is_forgotten_kept_or_torn_at_either_end():
    seen = outcomes(lambda disk: write(disk, sync=False, sync_directory=True), content)
    assert {b"", b"abcd", b"ab", b"\0\0cd"} <= seen
    assert None not in seen


def test_later_write_may_survive_an_earlier_one_that_is_lost():
    def prepare(disk):
        file = write(disk, b"", sync=True, sync_directory=True)
        file.write(0, b"ab")
        file.write(2, b"cd")

    assert b"\0\0cd" in outcomes(prepare, content)


def test_rename_is_one_step_that_happens_or_not():
    def prepare(disk):
        write(disk, sync=True, sync_directory=True)
        disk.rename("d/f", "d/g")

    assert outcomes(prepare, lambda disk: tuple(disk.names("d"))) == {("f",), ("g",)}


def test_removal_not_covered_by_a_sync_may_be_undone():
    def prepare(disk):
        write(disk, sync=True, sync_directory=True)
        disk.remove("d/f")

    assert outcomes(prepare, content) == {None, b"abcd"}


def test_truncate_extends_with_zeros_that_take_no_memory():
    disk = MemoryDisk()
    disk.make_directory("d")
    file = disk.create("d/f")
    file.truncate(1 << 30)
    assert disk.size("d/f") == 1 << 30
    assert disk.read("d/f", (1 << 30) - 2) == b"\0\0"
    assert len(file.inode.live.data) == 0


def test_full_disk_takes_a_part_of_the_write():
    disk = MemoryDisk()
    disk.make_directory("d")
    disk.capacity_bytes = 3
    file = disk.create("d/f")
    with pytest.raises(DiskFullError):
        file.write(0, b"abcd")
    assert disk.read("d/f") == b"abc"
    assert disk.free_bytes("d") == 0


def test_failures_are_switched_on_by_attributes():
    disk = MemoryDisk()
    disk.make_directory("d")
    file = disk.create("d/f")
    disk.failing_writes = disk.failing_syncs = disk.failing_truncates = True
    with pytest.raises(StorageError):
        file.write(0, b"abcd")
    with pytest.raises(StorageError):
        file.truncate(0)
    with pytest.raises(FsyncError):
        file.sync()
    with pytest.raises(FsyncError):
        disk.sync_directory("d")


def test_missing_files_and_taken_names_are_errors():
    disk = MemoryDisk()
    disk.make_directory("d")
    disk.create("d/f")
    for attempt in (lambda: disk.create("d/f"), lambda: disk.open("d/g"), lambda: disk.create("e/f")):
        with pytest.raises(StorageError):
            attempt()
    assert disk.names("e") == []


def test_corrupt_damages_one_sector_at_rest():
    disk = MemoryDisk()
    disk.make_directory("d")
    write(disk, bytes(2000), sync=True, sync_directory=True)
    disk.corrupt("d/f", 600, Random(1))
    data = disk.read("d/f")
    assert data[:512] == bytes(512)
    assert data[512:1024] != bytes(512)
    assert data[1024:] == bytes(976)


def test_handle_is_dead_after_a_crash():
    disk = MemoryDisk()
    disk.make_directory("d")
    file = write(disk, sync=True, sync_directory=True)
    disk.crash(Random(1))
    with pytest.raises(AssertionError, match="after the crash"):
        file.sync()


@pytest.mark.parametrize("seed", range(100))
def test_replace_leaves_the_old_content_or_the_new(seed):
    disk = MemoryDisk()
    disk.make_directory("d")
    replace(disk, "d", "f", b"old")
    replace(disk, "d", "f", b"new")
    assert disk.read("d/f") == b"new"
    disk.crash(Random(seed))
    assert disk.read("d/f") == b"new"
    file = disk.create("d/f.tmp")
    file.write(0, b"half")
    disk.crash(Random(seed))
    replace(disk, "d", "f", b"newer")
    assert disk.read("d/f") == b"newer"
