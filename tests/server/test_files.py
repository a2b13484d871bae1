"""The real disk, and its twin beside it: both must answer alike."""

import errno
import os
import random
import stat

import pytest

from pyzk.errors import DiskFullError, FsyncError, StorageError
from pyzk.server import files
from pyzk.server.files import FileDisk, lock_directory, translated
from pyzk.storage.disk import Disk, File, replace
from pyzk.storage.memory import MemoryDisk, MemoryFile


def typed_alike(real: FileDisk, memory: MemoryDisk, file: files.RealFile, twin: MemoryFile) -> None:
    """mypy: both implement the ports."""
    disks: list[Disk] = [real, memory]
    handles: list[File] = [file, twin]
    del disks, handles


@pytest.fixture(params=["real", "memory"])
def disk(request):
    return FileDisk() if request.param == "real" else MemoryDisk()


@pytest.fixture
def directory(disk, tmp_path):
    path = f"{tmp_path}/a/b"
    disk.make_directory(path)
    return path


def test_write_read_and_size(disk, directory):
    file = disk.create(f"{directory}/f")
    file.write(0, b"abcdef")
    file.write(3, b"XY")
    file.sync()
    file.close()
    path = f"{directory}/f"
    assert (disk.size(path), disk.read(path), disk.read(path, 2, 3), disk.read(path, 4)) == (
        6,
        b"abcXYf",
        b"cXY",
        b"Yf",
    )
    assert (disk.read(path, 4, 99), disk.read(path, 6), disk.read(path, 9, 2)) == (b"Yf", b"", b"")


def test_truncate_extends_and_cuts(disk, directory):
    file = disk.create(f"{directory}/f")
    file.write(0, b"abc")
    file.truncate(5)
    assert disk.read(f"{directory}/f") == b"abc\0\0"
    file.truncate(1)
    assert disk.read(f"{directory}/f") == b"a"
    file.close()


def test_next_data_steps_over_a_hole(disk, directory):
    file = disk.create(f"{directory}/f")
    file.write(0, b"abc")
    file.truncate(8 << 20)
    path = f"{directory}/f"
    assert disk.next_data(path, 1) == 1
    assert disk.next_data(path, 1 << 20) == 8 << 20
    file.close()


def test_open_keeps_the_content(disk, directory):
    replace(disk, directory, "f", b"abc")
    file = disk.open(f"{directory}/f")
    file.write(1, b"X")
    file.close()
    assert disk.read(f"{directory}/f") == b"aXc"


def test_names_rename_and_remove(disk, directory):
    for name in ("b", "a"):
        replace(disk, directory, name, name.encode())
    disk.rename(f"{directory}/a", f"{directory}/b")
    disk.sync_directory(directory)
    assert (disk.names(directory), disk.read(f"{directory}/b")) == (["b"], b"a")
    disk.remove(f"{directory}/b")
    assert disk.names(directory) == []
    assert disk.names(f"{directory}/missing") == []


def test_missing_files_and_taken_names_are_errors(disk, directory):
    replace(disk, directory, "f", b"")
    for attempt in (
        lambda: disk.create(f"{directory}/f"),
        lambda: disk.open(f"{directory}/g"),
        lambda: disk.read(f"{directory}/g"),
        lambda: disk.size(f"{directory}/g"),
        lambda: disk.remove(f"{directory}/g"),
        lambda: disk.rename(f"{directory}/g", f"{directory}/h"),
    ):
        with pytest.raises(StorageError):
            attempt()


def test_make_directory_twice_is_fine(disk, directory):
    disk.make_directory(directory)
    assert disk.free_bytes(directory) > 0


def test_log_padding_is_sparse(tmp_path):
    file = FileDisk().create(f"{tmp_path}/f")
    file.truncate(64 << 20)
    file.close()
    status = (tmp_path / "f").stat()
    assert status.st_size == 64 << 20
    assert status.st_blocks * 512 < 1 << 20


def test_files_are_not_for_others_to_read(tmp_path):
    FileDisk().create(f"{tmp_path}/f").close()
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) & stat.S_IRWXO == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_becomes_disk_full(number):
    with pytest.raises(DiskFullError, match="some/path"), translated("some/path"):
        raise OSError(number, os.strerror(number))


def test_other_errors_become_storage_errors():
    with pytest.raises(StorageError, match="some/path: Input/output error") as caught, translated("some/path"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert type(caught.value) is StorageError


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
def test_device_without_space_says_so():
    file = FileDisk().open("/dev/full")
    with pytest.raises(DiskFullError):
        file.write(0, b"x")
    file.close()


def test_failed_syncs_are_fsync_errors(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    disk = FileDisk()
    file = disk.create(f"{tmp_path}/f")
    monkeypatch.setattr(files, "sync_data", fail)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(FsyncError):
        file.sync()
    with pytest.raises(FsyncError):
        disk.sync_directory(str(tmp_path))
    file.close()


def test_short_writes_are_continued(tmp_path, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, position: real(descriptor, bytes(data[:3]), position))
    disk = FileDisk()
    file = disk.create(f"{tmp_path}/f")
    file.write(2, b"abcdefgh")
    file.close()
    assert disk.read(f"{tmp_path}/f") == b"\0\0abcdefgh"


def test_long_writes_go_to_the_kernel_in_pieces(tmp_path, monkeypatch):
    real, sizes = os.pwrite, []

    def pwrite(descriptor, data, position):
        sizes.append(len(data))
        return real(descriptor, data, position)

    monkeypatch.setattr(os, "pwrite", pwrite)
    disk = FileDisk()
    file = disk.create(f"{tmp_path}/f")
    data = random.Random(7).randbytes(2 * files.WRITE_BYTES_MAX + 5)
    file.write(3, data)
    file.close()
    assert disk.read(f"{tmp_path}/f") == b"\0\0\0" + data
    assert sizes == [files.WRITE_BYTES_MAX, files.WRITE_BYTES_MAX, 5]


def test_short_reads_are_continued(tmp_path, monkeypatch):
    disk = FileDisk()
    replace(disk, str(tmp_path), "f", b"abcdefgh")
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, size, position: real(descriptor, min(3, size), position))
    assert disk.read(f"{tmp_path}/f") == b"abcdefgh"


def test_directory_has_one_server_at_a_time(tmp_path):
    descriptor = lock_directory(str(tmp_path))
    with pytest.raises(StorageError, match="in use by another server"):
        lock_directory(str(tmp_path))
    os.close(descriptor)
    os.close(lock_directory(str(tmp_path)))
    assert list(tmp_path.iterdir()) == []
