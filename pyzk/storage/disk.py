"""The Disk port: everything that pyzk.storage asks of a file system.

Two implementations: `pyzk.server.files.FileDisk` over os, and `pyzk.storage.memory.MemoryDisk`, the twin for tests and
the simulator. Paths are `str` with `/` between their parts. A write is safe only after `File.sync`, and a new name, a
rename or a removal only after `Disk.sync_directory` of its directory.
"""

from typing import Protocol


class File(Protocol):
    """A file open for writing. Raises StorageError, of it DiskFullError when there is no space left."""

    def write(self, position: int, data: bytes) -> None:
        """Write all of `data` at `position`; after an error any part of it may have been written."""

    def truncate(self, size: int) -> None:
        """Set the size in bytes: cut, or extend by zeros that take no space."""

    def sync(self) -> None:
        """Make content and size durable. Raises FsyncError; what is on the disk is unknown then."""

    def close(self) -> None:
        """Release the file, without a sync."""


class Disk(Protocol):
    """Files in directories. Raises StorageError (no such file, name taken, ...), of it DiskFullError."""

    def names(self, directory: str) -> list[str]:
        """Names in a directory, sorted; empty when there is no such directory."""

    def size(self, path: str) -> int:
        """Size in bytes."""

    def read(self, path: str, position: int = 0, length: int | None = None) -> bytes:
        """Up to `length` bytes (None: all) from `position`; fewer only where the file ends."""

    def next_data(self, path: str, position: int) -> int:
        """Offset at or behind `position` up to which there are only zeros that take no space; never above the size."""

    def create(self, path: str) -> File:
        """Open a new file; the name must not be taken."""

    def open(self, path: str) -> File:
        """Open a file that exists."""

    def rename(self, source: str, target: str) -> None:
        """Move a file within its directory in one step, over whatever has the target name."""

    def remove(self, path: str) -> None:
        """Remove a name."""

    def make_directory(self, directory: str) -> None:
        """Make a directory and its parents, durably; nothing happens when it exists."""

    def sync_directory(self, directory: str) -> None:
        """Make new names, renames and removals durable. Raises FsyncError."""

    def free_bytes(self, directory: str) -> int:
        """Space left on the file system that holds a directory."""


def replace(disk: Disk, directory: str, name: str, data: bytes) -> None:
    """Set the content of a small file in one durable step: `<name>.tmp`, sync, rename, sync of the directory."""
    temporary = f"{name}.tmp"
    if temporary in disk.names(directory):
        disk.remove(f"{directory}/{temporary}")
    file = disk.create(f"{directory}/{temporary}")
    try:
        file.write(0, data)
        file.sync()
    finally:
        file.close()
    disk.rename(f"{directory}/{temporary}", f"{directory}/{name}")
    disk.sync_directory(directory)
