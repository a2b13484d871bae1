"""Putting another history in place of what is on the disk, whole or not at all.

What takes more than one step, and must not be left half done, is first written to the file `pending`: which snapshot is
to be the whole database, or where the log is to end. From then on it counts as done: after a crash `complete` does the
rest before anything is read.
"""

import re
from collections.abc import Generator

from pyzk.errors import DamageError
from pyzk.storage import names
from pyzk.storage.database import truncate
from pyzk.storage.disk import Disk, replace
from pyzk.storage.names import Places
from pyzk.storage.snapshot import TEMPORARY_SUFFIX, SnapshotFile, write
from pyzk.tree.tree import Tree

PENDING = "pending"
CONTENT = re.compile(rb"(?:install (?P<name>snapshot\.[0-9a-z.]+)|truncate (?P<zxid>[0-9a-f]{1,16}))")


def install_steps(disk: Disk, places: Places, tree: Tree, compression: str, *, with_last_zxid: bool) -> Generator[int]:
    """Make the tree as it is at the first step the whole database; yields the bytes written so far after each chunk.

    Until the iterator is exhausted, and after an error, everything is as it was.
    """
    name = names.snapshot_name(tree.last_zxid, compression)
    yield from write(disk, places.snapshots, tree, compression, SnapshotFile.keep, with_last_zxid=with_last_zxid)
    replace(disk, places.snapshots, PENDING, f"install {name}".encode())
    _install(disk, places, name)
    forget_pending(disk, places)


def begin_truncate(disk: Disk, places: Places, zxid: int) -> None:
    """Note where the log is to end; `complete` cuts it."""
    replace(disk, places.snapshots, PENDING, f"truncate {zxid:x}".encode())


def complete(disk: Disk, places: Places) -> int | None:
    """Do what is pending; after a cut, the zxid at which the database must now end. Raises DamageError.

    The note of a cut stays until that was looked at (`forget_pending`).
    """
    if PENDING not in disk.names(places.snapshots):
        return None
    content = disk.read(f"{places.snapshots}/{PENDING}")
    match = CONTENT.fullmatch(content)
    if match is None:
        raise DamageError(f"{places.snapshots}/{PENDING}: neither install nor truncate: {content[:40]!r}")
    if match["zxid"]:
        zxid = int(match["zxid"], 16)
        truncate(disk, places, zxid)
        return zxid
    _install(disk, places, match["name"].decode())
    forget_pending(disk, places)
    return None


def forget_pending(disk: Disk, places: Places) -> None:
    """Nothing is pending any more."""
    remove(disk, places.snapshots, [PENDING])


def _install(disk: Disk, places: Places, name: str) -> None:
    found = disk.names(places.snapshots)
    if name + TEMPORARY_SUFFIX in found:
        disk.rename(f"{places.snapshots}/{name}{TEMPORARY_SUFFIX}", f"{places.snapshots}/{name}")
        disk.sync_directory(places.snapshots)
    elif name not in found:
        raise DamageError(f"{places.snapshots}/{name}, received from the leader, is gone")
    # Differs from Apache: log and snapshots of before go, because nothing proves them the history of this tree.
    # If it could not be read one day, txns that only we had logged would come back, and others be missing unseen.
    remove(disk, places.snapshots, [other for _, other in names.snapshots(found) if other != name])
    remove(disk, places.logs, [log for _, log in names.logs(disk.names(places.logs))])


def remove(disk: Disk, directory: str, unwanted: list[str]) -> None:
    """Remove those of these names that are there, durably."""
    for name in sorted(set(unwanted) & set(disk.names(directory))):
        disk.remove(f"{directory}/{name}")
    disk.sync_directory(directory)
