"""The real disk: `pyzk.storage.disk.Disk` over os.

Foreign errors are translated here and nowhere else: no space left becomes DiskFullError, a failed sync FsyncError,
everything else StorageError.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyzk.errors import DiskFullError, FsyncError, StorageError

# macOS has no fdatasync; its fsync is at least as strong.
sync_data = getattr(os, "fdatasync", os.fsync)

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
WRITE_BYTES_MAX = 128 * 1024
"""Bytes of one write: of more, each costs Linux twice as much (docs/performance.md, Growth)."""
FILE_MODE = 0o640
DIRECTORY_MODE = 0o750


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn an OSError into ours, with the path in it."""
    try:
        yield
    except OSError as error:
        raise _ours(path, error) from error


def _ours(path: str, error: OSError) -> StorageError:
    return (DiskFullError if error.errno in NO_SPACE else StorageError)(f"{path}: {error.strerror}")


def require_directory(directory: str) -> None:
    """Refuse to go on without a directory that nobody may make (datadir.autocreate=false). Raises StorageError."""
    if not Path(directory).is_dir():
        raise StorageError(
            f"Missing data directory {directory}, automatic data directory creation is disabled "
            "(zookeeper.datadir.autocreate is false). Please create this directory manually."
        )


def lock_directory(directory: str) -> int:
    """Lock a directory against other servers; returns the descriptor that holds the lock until it is closed.

    Raises StorageError when another process has it. Nothing is written, so Apache's servers do not notice the lock.
    """
    with translated(directory):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StorageError(f"{directory} is in use by another server") from error
    return descriptor


class RealFile:
    """A file descriptor; see `pyzk.storage.disk.File`."""

    __slots__ = ("descriptor", "path")

    def __init__(self, path: str, flags: int) -> None:
        self.path = path
        with translated(path):
            self.descriptor = os.open(path, flags | os.O_CLOEXEC, FILE_MODE)

    def write(self, position: int, data: bytes) -> None:
        # Not `translated`: a log writes some thousand times a second.
        try:
            if len(data) <= WRITE_BYTES_MAX and os.pwrite(self.descriptor, data, position) == len(data):
                return
            view, written = memoryview(data), 0
            # A full disk takes a part first and says ENOSPC to the rest: what it took is written again.
            while written < len(data):
                part = view[written : written + WRITE_BYTES_MAX]
                written += os.pwrite(self.descriptor, part, position + written)
        except OSError as error:
            raise _ours(self.path, error) from error

    def truncate(self, size: int) -> None:
        with translated(self.path):
            os.ftruncate(self.descriptor, size)

    def sync(self) -> None:
        try:
            sync_data(self.descriptor)
        except OSError as error:
            raise FsyncError(f"{self.path}: {error.strerror}") from error

    def close(self) -> None:
        with translated(self.path):
            os.close(self.descriptor)


class FileDisk:
    """The file system; see `pyzk.storage.disk.Disk`."""

    def names(self, directory: str) -> list[str]:
        try:
            with translated(directory):
                return sorted(entry.name for entry in Path(directory).iterdir())
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return []
            raise

    def size(self, path: str) -> int:
        with translated(path):
            return Path(path).stat().st_size

    def read(self, path: str, position: int = 0, length: int | None = None) -> bytes:
        with translated(path), Path(path).open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size - position
            wanted = max(0, size if length is None else min(length, size))
            data = os.pread(file.fileno(), wanted, position)
            # One call reads 2 GiB at most.
            while len(data) < wanted:
                more = os.pread(file.fileno(), wanted - len(data), position + len(data))
                if not more:
                    break
                data += more
            return data

    def next_data(self, path: str, position: int) -> int:
        with translated(path), Path(path).open("rb", buffering=0) as file:
            try:
                return os.lseek(file.fileno(), position, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:  # ENXIO: nothing but a hole
                    raise
                return os.fstat(file.fileno()).st_size

    def create(self, path: str) -> RealFile:
        return RealFile(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)

    def open(self, path: str) -> RealFile:
        return RealFile(path, os.O_WRONLY)

    def rename(self, source: str, target: str) -> None:
        with translated(source):
            Path(source).replace(target)

    def remove(self, path: str) -> None:
        with translated(path):
            Path(path).unlink()

    def make_directory(self, directory: str) -> None:
        """Each directory that is new is synced into its parent."""
        path = Path(directory)
        if path.is_dir():
            return
        self.make_directory(str(path.parent))
        with translated(directory):
            path.mkdir(DIRECTORY_MODE)
        self.sync_directory(str(path.parent))

    def sync_directory(self, directory: str) -> None:
        with translated(directory):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            raise FsyncError(f"{directory}: {error.strerror}") from error
        finally:
            os.close(descriptor)

    def free_bytes(self, directory: str) -> int:
        with translated(directory):
            statistics = os.statvfs(directory)
            return statistics.f_bavail * statistics.f_frsize
