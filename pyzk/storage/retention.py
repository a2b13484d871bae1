"""Which snapshots and logs may go: everything that the oldest of the kept snapshots does not need.

Source: docs/protocol/storage.md section 9.
"""

from collections.abc import Collection, Sequence

from pyzk.storage import names
from pyzk.storage.disk import Disk
from pyzk.storage.names import Places
from pyzk.storage.snapshot import candidates

SNAPSHOTS_MIN = 3


def disposable(
    snapshot_names: list[str], log_names: list[str], whole: Sequence[str], retain_count: int
) -> tuple[list[str], list[str]]:
    """(snapshots, logs) to delete, oldest first.

    Args:
        snapshot_names: names in the snapshot directory.
        log_names: names in the log directory.
        whole: the snapshots that look whole, newest first.
        retain_count: how many of those to keep (autopurge.snapRetainCount, never less than 3).
    """
    kept = whole[: max(retain_count, SNAPSHOTS_MIN)]
    if not kept:
        return [], []
    oldest = names.snapshots(list(kept))[0][0]
    found = names.logs(log_names)
    # The newest log that begins at or below the oldest kept snapshot may hold txns behind it.
    first_needed = max((zxid for zxid, _ in found if zxid <= oldest), default=oldest)
    snapshots = [name for zxid, name in names.snapshots(snapshot_names) if zxid < oldest]
    return snapshots, [name for zxid, name in found if zxid < first_needed]


def purge(disk: Disk, places: Places, retain_count: int, damaged: Collection[str] = ()) -> list[str]:
    """Delete what is disposable; returns the paths.

    `damaged` are snapshots that look whole and could not be read: counted as kept, they would let the one go from which
    the server has started.
    """
    count = max(retain_count, SNAPSHOTS_MIN)
    whole = [name for name in candidates(disk, places.snapshots, count + len(damaged)) if name not in damaged]
    snapshots, logs = disposable(disk.names(places.snapshots), disk.names(places.logs), whole, retain_count)
    return _remove(disk, places.snapshots, snapshots) + _remove(disk, places.logs, logs)


def _remove(disk: Disk, directory: str, names_: Collection[str]) -> list[str]:
    paths = [f"{directory}/{name}" for name in names_]
    for path in paths:
        disk.remove(path)
    if paths:
        disk.sync_directory(directory)
    return paths
