"""The disk of a simulated server: forgets what was not synced, and can end the process in the middle of anything."""

from collections import deque

from pyzk.storage.memory import JOURNAL_MAX, MemoryDisk


class PowerLostError(Exception):
    """The machine stops between two calls to its file system."""


class Fuse(deque[tuple[str, str]]):
    """The journal of a disk, which sees every call before it is done; after `left` more of them it blows."""

    left: int | None = None

    def append(self, entry: tuple[str, str], /) -> None:
        """A call is about to be done. Raises PowerLostError."""
        if self.left is not None:
            if self.left == 0:
                raise PowerLostError
            self.left -= 1
        super().append(entry)


class SimulatedDisk(MemoryDisk):
    """A disk in memory with a fuse."""

    def __init__(self) -> None:
        super().__init__()
        self.fuse = Fuse(maxlen=JOURNAL_MAX)
        self.journal = self.fuse

    def data_bytes(self, path: str) -> int:
        """Up to where a file holds anything but zeros that were never written."""
        return len(self._inode(path).live.data)

    def stop_failing(self) -> None:
        """No more errors."""
        self.failing_writes = self.failing_truncates = self.failing_syncs = False

    def restart(self) -> None:
        """The process has ended and the machine goes on: the page cache is kept, handles are dead."""
        self.boots += 1
