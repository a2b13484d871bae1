"""MemoryDisk: the twin of the real disk that forgets what was not synced.

At `crash(rng)` each write not covered by a sync of its file is forgotten, kept or torn, at a byte or sector by sector,
and each new name, rename or removal not covered by a sync of its directory is forgotten or kept, one independently of
the other: this is harsher than any journaling file system, and all that POSIX promises. Failures are switched on by
attributes.
"""

from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from random import Random

from pyzk.errors import DiskFullError, FsyncError, StorageError

SECTOR_BYTES = 512
JOURNAL_MAX = 10_000


class Content:
    """The bytes of a file; zeros behind the last written byte take no memory."""

    __slots__ = ("data", "size")

    def __init__(self, data: bytes | bytearray = b"", size: int = 0) -> None:
        self.data = bytearray(data)
        self.size = max(size, len(data))

    def copy(self) -> "Content":
        return Content(self.data, self.size)

    def write(self, position: int, data: bytes) -> None:
        if position > len(self.data):
            self.data.extend(bytes(position - len(self.data)))
        self.data[position : position + len(data)] = data
        self.size = max(self.size, position + len(data))

    def truncate(self, size: int) -> None:
        del self.data[size:]
        self.size = size

    def read(self, position: int, length: int) -> bytes:
        end = min(self.size, position + length)
        part = bytes(self.data[position:end])
        return part + bytes(max(0, end - position - len(part)))


class Inode:
    """What programs see (`live`), what a crash leaves (`durable`), and the changes between them."""

    __slots__ = ("durable", "live", "pending")

    def __init__(self) -> None:
        self.live = Content()
        self.durable = Content()
        self.pending: list[tuple[int, bytes | None]] = []
        """(position, data) of a write; (size, None) of a truncate."""

    def change(self, number: int, data: bytes | None) -> None:
        self.pending.append((number, data))
        _change(self.live, number, data)

    def sync(self) -> None:
        for number, data in self.pending:
            _change(self.durable, number, data)
        self.pending.clear()

    def crash(self, rng: Random) -> None:
        for number, data in self.pending:
            fate = rng.choice(("forgotten", "kept", "torn", "scattered"))
            if fate == "kept" or (fate == "torn" and data is None):
                _change(self.durable, number, data)
            elif fate == "torn" and data is not None:
                cut = rng.randrange(len(data) + 1)
                # The page cache is written back in any order: what is kept may be the end of a write.
                at, part = (number, data[:cut]) if rng.random() < 0.5 else (number + cut, data[cut:])
                self.durable.write(at, part)
            elif fate == "scattered" and data is not None:
                for at, part in _sectors(number, data):
                    if rng.random() < 0.5:
                        self.durable.write(at, part)
        self.pending.clear()
        self.live = self.durable.copy()


def _sectors(position: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """What a write puts into each sector of the disk, and where."""
    edges = range(position - position % SECTOR_BYTES + SECTOR_BYTES, position + len(data), SECTOR_BYTES)
    for begin, end in pairwise([position, *edges, position + len(data)]):
        yield begin, data[begin - position : end - position]


def _change(content: Content, number: int, data: bytes | None) -> None:
    if data is None:
        content.truncate(number)
    else:
        content.write(number, data)


class MemoryFile:
    """A handle; see `pyzk.storage.disk.File`."""

    def __init__(self, disk: "MemoryDisk", path: str, inode: Inode) -> None:
        self.disk = disk
        self.path = path
        self.inode = inode
        self.boot = disk.boots

    def write(self, position: int, data: bytes) -> None:
        self._enter("write")
        if self.disk.failing_writes:
            self.inode.change(position, data[: len(data) // 2])
            raise StorageError(f"{self.path}: input/output error")
        room = self.disk.free_bytes("")
        if len(data) > room:
            self.inode.change(position, data[:room])
            raise DiskFullError(f"{self.path}: no space left on device")
        self.inode.change(position, data)

    def truncate(self, size: int) -> None:
        self._enter("truncate")
        if self.disk.failing_truncates:
            raise StorageError(f"{self.path}: input/output error")
        self.inode.change(size, None)

    def sync(self) -> None:
        self._enter("sync")
        self.disk.syncs += 1
        if self.disk.failing_syncs:
            raise FsyncError(f"{self.path}: input/output error")
        if not self.disk.lying:
            self.inode.sync()

    def close(self) -> None:
        pass

    def _enter(self, verb: str) -> None:
        assert self.boot == self.disk.boots, f"{self.path} is used after the crash of the machine that opened it"
        self.disk.note(verb, self.path)


class MemoryDisk:
    """A disk in memory; see `pyzk.storage.disk.Disk`."""

    def __init__(self) -> None:
        self.directories: dict[str, dict[str, Inode]] = {}
        self.durable: dict[str, dict[str, Inode]] = {}
        self.pending: dict[str, list[dict[str, Inode | None]]] = {}
        self.journal: deque[tuple[str, str]] = deque(maxlen=JOURNAL_MAX)
        """What was done in which order: (verb, path)."""
        self.syncs = 0
        self.boots = 0
        self.capacity_bytes = 1 << 50
        self.failing_writes = False
        self.failing_truncates = False
        self.failing_syncs = False
        self.lying = False
        """Every sync succeeds and does nothing."""

    def note(self, verb: str, path: str) -> None:
        """A call is about to be done."""
        self.journal.append((verb, path))

    def names(self, directory: str) -> list[str]:
        return sorted(self.directories.get(directory, {}))

    def size(self, path: str) -> int:
        return self._inode(path).live.size

    def read(self, path: str, position: int = 0, length: int | None = None) -> bytes:
        content = self._inode(path).live
        return content.read(position, content.size if length is None else length)

    def next_data(self, path: str, position: int) -> int:
        content = self._inode(path).live
        return position if position < len(content.data) else content.size

    def create(self, path: str) -> MemoryFile:
        directory, name = self._split(path)
        if name in self.directories[directory]:
            raise StorageError(f"{path}: file exists")
        inode = Inode()
        self._rename("create", path, {name: inode})
        return MemoryFile(self, path, inode)

    def open(self, path: str) -> MemoryFile:
        return MemoryFile(self, path, self._inode(path))

    def rename(self, source: str, target: str) -> None:
        directory, name = self._split(source)
        target_directory, target_name = self._split(target)
        assert directory == target_directory, "a rename moves within one directory"
        self._rename("rename", target, {target_name: self._inode(source), name: None})

    def remove(self, path: str) -> None:
        self._inode(path)
        self._rename("remove", path, {self._split(path)[1]: None})

    def make_directory(self, directory: str) -> None:
        for names in (self.directories, self.durable):
            names.setdefault(directory, {})
        self.pending.setdefault(directory, [])

    def sync_directory(self, directory: str) -> None:
        self.note("sync_directory", directory)
        self.syncs += 1
        if self.failing_syncs:
            raise FsyncError(f"{directory}: input/output error")
        if not self.lying:
            for change in self.pending[directory]:
                _rename(self.durable[directory], change)
            self.pending[directory].clear()

    def free_bytes(self, directory: str) -> int:
        del directory  # one file system holds all directories
        used = sum(len(inode.live.data) for names in self.directories.values() for inode in names.values())
        return max(0, self.capacity_bytes - used)

    def crash(self, rng: Random) -> None:
        """Lose power: only what was synced is sure to be there afterwards. Open handles are dead."""
        self.boots += 1
        for directory, changes in self.pending.items():
            for change in changes:
                if rng.random() < 0.5:
                    _rename(self.durable[directory], change)
            changes.clear()
            self.directories[directory] = dict(self.durable[directory])
            for inode in self.directories[directory].values():
                inode.crash(rng)

    def corrupt(self, path: str, position: int, rng: Random) -> None:
        """Overwrite the sector that holds `position` with noise, at rest: no sync covers or undoes it."""
        inode = self._inode(path)
        start = position - position % SECTOR_BYTES
        noise = rng.randbytes(min(SECTOR_BYTES, inode.live.size - start))
        for content in (inode.live, inode.durable):
            content.write(start, noise)

    def _split(self, path: str) -> tuple[str, str]:
        directory, _, name = path.rpartition("/")
        if directory not in self.directories:
            raise StorageError(f"{directory}: no such directory")
        return directory, name

    def _inode(self, path: str) -> Inode:
        directory, name = self._split(path)
        inode = self.directories[directory].get(name)
        if inode is None:
            raise StorageError(f"{path}: no such file")
        return inode

    def _rename(self, verb: str, path: str, change: dict[str, Inode | None]) -> None:
        self.note(verb, path)
        directory = self._split(path)[0]
        self.pending[directory].append(change)
        _rename(self.directories[directory], change)


def _rename(names: dict[str, Inode], change: dict[str, Inode | None]) -> None:
    for name, inode in change.items():
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode
