"""The epoch files of an ensemble's member: `acceptedEpoch` and `currentEpoch`, one decimal number each.

Source: docs/protocol/storage.md section 6. What follows from them is decided in pyzk.zab.
"""

import re

from pyzk.errors import StorageError
from pyzk.storage.disk import Disk, replace

ACCEPTED = "acceptedEpoch"
CURRENT = "currentEpoch"
NUMBER = re.compile(rb"(-?[0-9]{1,10})(?:\r?\n.*)?", re.DOTALL)


def read_epoch(disk: Disk, directory: str, name: str) -> int | None:
    """The number in an epoch file, None if there is no such file; -1 is what a server writes that has lost its data.

    Raises StorageError for anything but a number in the first line: a promise is never guessed.
    """
    if name not in disk.names(directory):
        return None
    content = disk.read(f"{directory}/{name}")
    match = NUMBER.fullmatch(content)
    if match is None or not -1 <= int(match[1]) <= 0xFFFFFFFF:
        raise StorageError(f"{directory}/{name}: not an epoch: {content[:40]!r}")
    return int(match[1])


def left_over_epoch(disk: Disk, directory: str, name: str) -> int | None:
    """The number that a write interrupted by a crash has left; Java adopts that of `currentEpoch` when it is needed."""
    return read_epoch(disk, directory, f"{name}.tmp")


def write_epoch(disk: Disk, directory: str, name: str, epoch: int) -> None:
    """Set an epoch file in one durable step."""
    replace(disk, directory, name, str(epoch).encode())
