"""Txns out of the log files for a learner that is too far behind for the memory. Source: docs/protocol/zab.md, 4.1."""

from collections.abc import Iterator

from pyzk.storage import names
from pyzk.storage.disk import Disk
from pyzk.storage.history import History, corruption, follows
from pyzk.storage.logreader import LogReader
from pyzk.storage.names import Places

FEW_BYTES = 1 << 20
"""Txns that take no more than this are sent, however small the newest snapshot: the tree may have outgrown it."""
COUNTER = 0xFFFFFFFF
"""The part of a zxid that counts within an epoch."""


def read_log(disk: Disk, places: Places, after: int, until: int, size_factor: float) -> list[tuple[int, bytes]] | None:
    """(zxid, payload) of the txns behind `after` up to `until`, which must be durable; the log may grow meanwhile.

    None if the learner is better served with the whole tree:
      * `size_factor` is negative, or the txns take more bytes than that share of the newest snapshot (0: any number);
      * `after` is neither in the log nor the place where the log begins;
      * a txn is missing.

    Raises CorruptionError where damage may hide some of them; the whole tree is better then, too.
    """
    if size_factor < 0 or after > until:
        return None
    bytes_max = _bytes_max(disk, places, size_factor)
    found: list[tuple[int, bytes]] = []
    last, is_joined, found_bytes = after, after == until, 0
    for number, (zxid, payload) in enumerate(_records(disk, places.logs, after)):
        if zxid > until:
            break
        is_joined = is_joined or zxid == after or (number == 0 and _is_next(disk, places, after, zxid))
        if zxid > last:
            if not is_joined or not (zxid == last + 1 or follows(zxid, last)):
                return None
            found.append((zxid, payload))
            last = zxid
            found_bytes += len(payload)
            # Differs from Apache: it counts all files but the first, with their padding of 64 MiB.
            if 0 < bytes_max < found_bytes:
                return None
        if zxid == until:
            break
    # The first zxid of an epoch names no txn.
    return found if is_joined and (last == until or until & COUNTER == 0) else None


def _bytes_max(disk: Disk, places: Places, size_factor: float) -> float:
    snapshots = names.snapshots(disk.names(places.snapshots))
    share = size_factor * disk.size(f"{places.snapshots}/{snapshots[-1][1]}") if snapshots else 0
    return max(share, FEW_BYTES) if share > 0 else 0


def _records(disk: Disk, directory: str, after: int) -> Iterator[tuple[int, bytes]]:
    """(zxid, payload) from the file on that holds `after`, or the oldest.

    Behind damage only the very next txn will do, as at a start (`History`): before a new epoch more may have been.
    Raises CorruptionError.
    """
    last, damaged = 0, None
    for name in History(disk, directory, after).files():
        reader = LogReader(disk, directory, name)
        for zxid, _, payload in reader:
            if damaged is not None and zxid > last + 1:
                raise corruption(damaged, f"{damaged.damage}, and the next file goes on with 0x{zxid:x}")
            yield zxid, payload
            last, damaged = max(last, zxid), None
        if reader.damage is not None:
            damaged = damaged or reader


def _is_next(disk: Disk, places: Places, after: int, zxid: int) -> bool:
    """Whether the log begins right behind `after`: with its successor, or a new epoch where a snapshot stands."""
    has_snapshot = after in [found for found, _ in names.snapshots(disk.names(places.snapshots))]
    return zxid == after + 1 or (has_snapshot and follows(zxid, after))
