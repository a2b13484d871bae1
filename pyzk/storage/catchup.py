"""Txns out of the log files for a learner that is too far behind for the memory. Source: docs/protocol/zab.md, 4.1."""

from collections.abc import Iterator

from pyzk.storage import names
from pyzk.storage.disk import Disk
from pyzk.storage.history import History, follows
from pyzk.storage.logreader import LogReader
from pyzk.storage.names import Places
from pyzk.storage.txnlog import RECORD_HEAD

COUNTER = 0xFFFFFFFF
"""The part of a zxid that counts within an epoch."""


def read_log(disk: Disk, places: Places, after: int, until: int, size_factor: float) -> list[tuple[int, bytes]] | None:
    """(zxid, payload) of the txns behind `after` up to `until`, which must be durable; the log may grow meanwhile.

    None if the learner is better served with the whole tree:
      * the bytes to be read are more than `size_factor` of the newest snapshot, or it is negative;
      * `after` is neither in the log nor the place where the log begins;
      * a txn is missing.
    """
    if size_factor < 0 or after > until:
        return None
    bytes_max = _bytes_max(disk, places, size_factor)
    found: list[tuple[int, bytes]] = []
    last, is_joined = after, after == until
    for number, (zxid, payload, bytes_read) in enumerate(_records(disk, places.logs, after)):
        if zxid > until:
            break
        # Differs from Apache: it counts the files with their padding of 64 MiB, so small databases never use this.
        if 0 < bytes_max < bytes_read:
            return None
        is_joined = is_joined or zxid == after or (number == 0 and _is_next(disk, places, after, zxid))
        if zxid > last:
            if not is_joined or not (zxid == last + 1 or follows(zxid, last)):
                return None
            found.append((zxid, payload))
            last = zxid
    # The first zxid of an epoch names no txn.
    return found if is_joined and (last == until or until & COUNTER == 0) else None


def _bytes_max(disk: Disk, places: Places, size_factor: float) -> float:
    snapshots = names.snapshots(disk.names(places.snapshots))
    return size_factor * disk.size(f"{places.snapshots}/{snapshots[-1][1]}") if snapshots else 0


def _records(disk: Disk, directory: str, after: int) -> Iterator[tuple[int, bytes, int]]:
    """(zxid, payload, bytes read so far) from the file on that holds `after`, or the oldest."""
    bytes_before = 0
    for name in History(disk, directory, after).files():
        reader = LogReader(disk, directory, name)
        for zxid, offset, payload in reader:
            yield zxid, payload, bytes_before + offset + RECORD_HEAD.size + len(payload) + 1
        bytes_before += reader.position


def _is_next(disk: Disk, places: Places, after: int, zxid: int) -> bool:
    """Whether the log begins right behind `after`: with its successor, or a new epoch where a snapshot stands."""
    has_snapshot = after in [found for found, _ in names.snapshots(disk.names(places.snapshots))]
    return zxid == after + 1 or (has_snapshot and follows(zxid, after))
