"""The epoch files of an ensemble's member: `acceptedEpoch` and `currentEpoch`, one decimal number each.

What holds always: accepted >= current >= epoch of the last txn. Source: docs/protocol/storage.md section 6.
"""

import re

from pyzk.errors import DamageError
from pyzk.storage.disk import Disk, replace

ACCEPTED = "acceptedEpoch"
CURRENT = "currentEpoch"
UNKNOWN = -1
"""An epoch that is not known; Apache writes it for a server that has lost its data."""
NUMBER = re.compile(rb"(-?[0-9]{1,10})(?:\r?\n.*)?", re.DOTALL)


def read_epoch(disk: Disk, directory: str, name: str) -> int | None:
    """The number in an epoch file, None if there is no such file.

    Raises DamageError for anything but a number in the first line: a promise is never guessed.
    """
    if name not in disk.names(directory):
        return None
    content = disk.read(f"{directory}/{name}")
    match = NUMBER.fullmatch(content)
    if match is None or not -1 <= int(match[1]) <= 0xFFFFFFFF:
        raise DamageError(f"{directory}/{name}: not an epoch: {content[:40]!r}")
    return int(match[1])


def write_epoch(disk: Disk, directory: str, name: str, epoch: int) -> None:
    """Set an epoch file in one durable step."""
    replace(disk, directory, name, str(epoch).encode())


def known_epoch(disk: Disk, directory: str, name: str) -> int:
    """The number in an epoch file; UNKNOWN if there is none."""
    try:
        epoch = read_epoch(disk, directory, name)
    except DamageError:
        return UNKNOWN
    return UNKNOWN if epoch is None else epoch


def settle_epochs(disk: Disk, directory: str, last_zxid: int, notes: list[str]) -> tuple[int, int]:
    """(accepted, current) at a start, made good with a note where the log proves what is right.

    Raises DamageError where it proves nothing: neither a promise nor a history is guessed.
    """
    logged = last_zxid >> 32
    accepted = read_epoch(disk, directory, ACCEPTED)
    if accepted is None and CURRENT not in disk.names(directory):
        return _first_epochs(disk, directory, last_zxid, notes)
    # Differs from Apache, which writes the epoch of the last txn: a leader may have been promised more.
    if accepted is None:
        raise DamageError(f"{directory}/{ACCEPTED} is missing: what was promised to a leader last is not known")
    current, trouble = _read_current(disk, directory)
    if accepted < max(current, logged):
        what = f"but {CURRENT} is {current} and the last txn is of epoch {logged}"
        raise DamageError(f"{directory}/{ACCEPTED} is {accepted}, {what}: it is not what was promised last")
    if trouble and accepted != logged:
        what = f"it was from {logged}, the epoch of the last txn, to {accepted}, the accepted one"
        raise DamageError(f"{trouble}: {what}")
    if current < logged:
        proven = _proven_current(disk, directory, logged, accepted)
        notes.append(f"{trouble or f'{directory}/{CURRENT} is {current}, below the last txn'}: it is set to {proven}")
        write_epoch(disk, directory, CURRENT, current := proven)
    return accepted, current


def _first_epochs(disk: Disk, directory: str, last_zxid: int, notes: list[str]) -> tuple[int, int]:
    """A new server, or one that was standalone; acceptedEpoch is first, because with it alone the other is proven."""
    epoch = last_zxid >> 32
    if last_zxid > 0:
        notes.append(f"no epoch files in {directory}: both epochs are set to {epoch}, that of the last txn")
    write_epoch(disk, directory, ACCEPTED, epoch)
    write_epoch(disk, directory, CURRENT, epoch)
    return epoch, epoch


def _read_current(disk: Disk, directory: str) -> tuple[int, str]:
    """The current epoch, and what is wrong if it is UNKNOWN."""
    try:
        current = read_epoch(disk, directory, CURRENT)
    except DamageError as error:
        return UNKNOWN, str(error)
    return (UNKNOWN, f"{directory}/{CURRENT} is missing") if current is None else (current, "")


def _proven_current(disk: Disk, directory: str, logged: int, accepted: int) -> int:
    """The epoch of the last txn, or that of an interrupted write: the log was synced for it before the write began."""
    left_over = known_epoch(disk, directory, f"{CURRENT}.tmp")
    return left_over if logged < left_over <= accepted else logged
