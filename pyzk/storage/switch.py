"""Putting another history in place of what is on the disk, whole or not at all.

What takes more than one step, and must not be left half done, is first written to the file `pending`: which snapshot
and which log are to be the whole database, or where the log is to end. From then on it counts as done: after a crash
`complete` does the rest before anything is read.
"""

import re
from collections.abc import Generator, Sequence
from contextlib import suppress

from pyzk.codec.txns import decode_txn
from pyzk.errors import DamageError, DecodeError
from pyzk.storage import names
from pyzk.storage.database import truncate
from pyzk.storage.disk import Disk, replace
from pyzk.storage.names import Places
from pyzk.storage.snapshot import TEMPORARY_SUFFIX, SnapshotDigest, SnapshotFile, write
from pyzk.storage.txnlog import LOG_HEADER, frame_record
from pyzk.tree.tree import Tree

PENDING = "pending"
CONTENT = re.compile(
    rb"(?:install (?P<name>snapshot\.[0-9a-z.]+)(?: (?P<log>log\.[0-9a-f]+))?|truncate (?P<zxid>[0-9a-f]{1,16}))"
)


def install_steps(
    disk: Disk,
    places: Places,
    tree: Tree,
    compression: str,
    tail: Sequence[tuple[int, bytes]] = (),
    *,
    with_last_zxid: bool,
) -> Generator[int]:
    """Make the tree as it is at the first step, and the (zxid, payload) of `tail` behind it, the whole database.

    Yields the bytes of the snapshot written so far after each chunk. Until the iterator is exhausted, and after an
    error, everything is as it was.
    """
    name = names.snapshot_name(tree.last_zxid, compression)
    digest, keep = _digest_behind(tail), SnapshotFile.keep
    yield from write(disk, places.snapshots, tree, compression, keep, with_last_zxid=with_last_zxid, digest=digest)
    log = _write_log(disk, places, tail) if tail else ""
    replace(disk, places.snapshots, PENDING, f"install {name} {log}".rstrip().encode())
    _install(disk, places, name, log)
    forget_pending(disk, places)


def _digest_behind(tail: Sequence[tuple[int, bytes]]) -> SnapshotDigest | None:
    """What the leader says of the tree behind these txns; None if it does not.

    Apache's leader goes on while it sends its tree, so that at its zxid nobody else has had such a tree.
    """
    with suppress(DecodeError):
        digest = decode_txn(tail[-1][1]).digest if tail else None
        return None if digest is None else SnapshotDigest(tail[-1][0], digest.version, digest.tree_digest)
    return None


def _write_log(disk: Disk, places: Places, tail: Sequence[tuple[int, bytes]]) -> str:
    """Write these txns, durably, to a log that has its temporary name; returns the other one."""
    name = names.log_name(tail[0][0])
    temporary = name + TEMPORARY_SUFFIX
    remove(disk, places.logs, [temporary])
    file = disk.create(f"{places.logs}/{temporary}")
    try:
        position = 0
        for part in (LOG_HEADER, *(frame_record(payload) for _, payload in tail)):
            file.write(position, part)
            position += len(part)
        file.sync()
    finally:
        file.close()
    disk.sync_directory(places.logs)
    return name


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
    _install(disk, places, match["name"].decode(), (match["log"] or b"").decode())
    forget_pending(disk, places)
    return None


def forget_pending(disk: Disk, places: Places) -> None:
    """Nothing is pending any more."""
    remove(disk, places.snapshots, [PENDING])


def _install(disk: Disk, places: Places, name: str, log: str) -> None:
    _put_in_place(disk, places.snapshots, name)
    if log:
        _put_in_place(disk, places.logs, log)
    # Differs from Apache: log and snapshots of before go, because nothing proves them the history of this tree.
    # If it could not be read one day, txns that only we had logged would come back, and others be missing unseen.
    found = names.snapshots(disk.names(places.snapshots))
    remove(disk, places.snapshots, [other for _, other in found if other != name])
    remove(disk, places.logs, [other for _, other in names.logs(disk.names(places.logs)) if other != log])


def _put_in_place(disk: Disk, directory: str, name: str) -> None:
    """Give a file its name. Raises DamageError if there is none."""
    found = disk.names(directory)
    if name + TEMPORARY_SUFFIX in found:
        disk.rename(f"{directory}/{name}{TEMPORARY_SUFFIX}", f"{directory}/{name}")
        disk.sync_directory(directory)
    elif name not in found:
        raise DamageError(f"{directory}/{name}, received from the leader, is gone")


def remove(disk: Disk, directory: str, unwanted: list[str]) -> None:
    """Remove those of these names that are there, durably."""
    for name in sorted(set(unwanted) & set(disk.names(directory))):
        disk.remove(f"{directory}/{name}")
    disk.sync_directory(directory)
