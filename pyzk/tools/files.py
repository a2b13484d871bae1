"""Files that the user names, as the storage room reads them: a path becomes a directory, a name and a Disk."""

from pathlib import Path
from typing import cast

from pyzk.errors import StorageError
from pyzk.server.files import FileDisk
from pyzk.storage import names
from pyzk.storage.disk import Disk
from pyzk.storage.snapshot import Snapshot, candidates, load
from pyzk.tools.output import ToolError

VERSION_DIRECTORY = "version-2"


def real_disk() -> Disk:
    """The machine's."""
    return FileDisk()


def split(path: str) -> tuple[str, str]:
    """Directory and name of a file."""
    whole = Path(path)
    return str(whole.parent), whole.name


def version_directory(path: str) -> str:
    """The directory that holds the files: `path` itself, or its version-2. Raises ToolError."""
    below = Path(path, VERSION_DIRECTORY)
    if below.is_dir():
        return str(below)
    if not Path(path).is_dir():
        raise ToolError(f"{path} is no directory: name a dataDir, or its {VERSION_DIRECTORY}")
    return path


def log_files(paths: list[str]) -> list[str]:
    """Log files out of files and directories, in the order of their zxids within a directory. Raises ToolError."""
    found: list[str] = []
    for path in paths:
        if Path(path).is_dir():
            directory = version_directory(path)
            found += [f"{directory}/{name}" for _, name in names.logs(real_disk().names(directory))]
        elif Path(path).is_file():
            found.append(path)
        else:
            raise ToolError(f"{path} is neither a file nor a directory")
    if not found:
        raise ToolError(f"no log.* in {', '.join(paths)}")
    return found


def snapshot_file(path: str) -> str:
    """A snapshot: the file itself, or the newest one of a directory that looks whole. Raises ToolError."""
    if not Path(path).is_dir():
        return path
    directory = version_directory(path)
    newest = candidates(real_disk(), directory, 1)
    if not newest:
        raise ToolError(f"no snapshot.* in {path}")
    return f"{directory}/{newest[0]}"


def read_snapshot(path: str, disk: Disk | None = None) -> Snapshot:
    """Read a snapshot file, whatever its name is. Raises CorruptionError, StorageError."""
    directory, name = split(path)
    disk = disk or real_disk()
    if names.snapshots([name]):
        return load(disk, directory, name)
    return load(cast("Disk", _Renamed(disk, path)), directory, "snapshot.0")


class _Renamed:
    """A disk with one file, which has any name one asks for."""

    def __init__(self, disk: Disk, path: str) -> None:
        self.disk = disk
        self.path = path

    def read(self, path: str, position: int = 0, length: int | None = None) -> bytes:
        """The file, with its own name in an error."""
        try:
            return self.disk.read(self.path, position, length)
        except StorageError as error:
            raise StorageError(str(error).replace(path, self.path)) from error
