"""The disk of a simulated server: forgets what was not synced, and can end the process in the middle of anything."""

from pyzk.storage.memory import MemoryDisk


class PowerLostError(Exception):
    """The machine stops between two calls to its file system."""


class Fuse:
    """Sees every call to a disk before it is done; after `left` more of them it blows."""

    def __init__(self) -> None:
        self.left: int | None = None

    def burn(self) -> None:
        """A call is about to be done. Raises PowerLostError."""
        if self.left is not None:
            if self.left == 0:
                raise PowerLostError
            self.left -= 1


class SimulatedDisk(MemoryDisk):
    """A disk in memory with a fuse."""

    def __init__(self) -> None:
        super().__init__()
        self.fuse = Fuse()

    def note(self, verb: str, path: str) -> None:
        """The fuse sees it first. Raises PowerLostError."""
        self.fuse.burn()
        super().note(verb, path)

    def data_bytes(self, path: str) -> int:
        """Up to where a file holds anything but zeros that were never written."""
        return len(self._inode(path).live.data)

    def stop_failing(self) -> None:
        """No more errors."""
        self.failing_writes = self.failing_truncates = self.failing_syncs = False

    def restart(self) -> None:
        """The process has ended and the machine goes on: the page cache is kept, handles are dead."""
        self.boots += 1
