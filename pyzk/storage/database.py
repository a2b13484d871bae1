"""What a server knows when it starts: the newest good snapshot and the txns behind it.

`restore` reads, cuts a torn last batch, and makes an empty directory a database; `truncate` is TRUNC. Both leave files
from which Apache's servers start too. Source: docs/protocol/storage.md sections 4.8, 5, 6 and 8.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from pyzk.codec.txns import DIGEST_VERSION
from pyzk.errors import CorruptionError, DamageError, DecodeError
from pyzk.storage import names
from pyzk.storage.disk import Disk
from pyzk.storage.history import History, truncate_logs
from pyzk.storage.names import Places
from pyzk.storage.replay import Replay
from pyzk.storage.snapshot import Snapshot, SnapshotDigest, candidates, load, remove_above, remove_unfinished, save
from pyzk.storage.txnlog import BATCH_BYTES_MAX
from pyzk.tree.tree import Tree
from pyzk.tree.walk import finish_load

INITIALIZE = "initialize"
EMPTY_TRUST_OVERRIDE = "snapshot.trust.empty"
RECENT_MAX = 500
"""Txns kept in memory for learners that are a little behind (Apache's committed log)."""


@dataclass(slots=True)
class RestoreOptions:
    """What an operator may set.

    Attributes:
        trust_empty: replay logs from an empty tree when there is no snapshot (snapshot.trust.empty).
        trust_gaps: start although txns seem to be missing between two files (snapshot.trust.gaps).
        autocreate: an empty directory is a database without txns (zookeeper.db.autocreate).
        batch_bytes_max: what a crash can tear at most (log_batch_bytes_max).
        compression: of the first snapshot that an empty directory gets.
        certain_tears_only: damage at the end of the log is a torn batch only if zeros explain it
            (`LogReader.is_unwritten`).
        on_snapshot: called when the snapshot is in memory, before the txns behind it are applied.
    """

    trust_empty: bool = False
    trust_gaps: bool = False
    autocreate: bool = True
    batch_bytes_max: int = BATCH_BYTES_MAX
    compression: str = ""
    certain_tears_only: bool = False
    on_snapshot: Callable[[], None] = lambda: None

    def history(self, disk: Disk, directory: str, after: int) -> History:
        """The txns behind `after` in the logs of a directory, by these rules."""
        return History(disk, directory, after, self.trust_gaps, self.batch_bytes_max, self.certain_tears_only)


@dataclass(slots=True)
class Restored:
    """The state after a start.

    Attributes:
        tree: with snapshot and log applied.
        last_zxid: of the log, or of the snapshot if that is newer; -1 if there is no data and none may be made.
        snapshot: name of the snapshot used, empty if there was none.
        damaged: names of the newer ones that could not be read.
        replayed: txns applied from the log.
        digest_mismatches: txns after which the tree's digest was not the logged one.
        recent: (zxid, payload) of the last txns.
        notes: what an operator should know, one sentence each.
    """

    tree: Tree
    last_zxid: int = 0
    snapshot: str = ""
    damaged: list[str] = field(default_factory=list)
    replayed: int = 0
    digest_mismatches: int = 0
    recent: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=RECENT_MAX))
    notes: list[str] = field(default_factory=list)


def restore(disk: Disk, places: Places, options: RestoreOptions | None = None) -> Restored:
    """Load the database of a server.

    Raises:
        ConfigError: dataDir and dataLogDir are mixed up.
        DamageError: acknowledged txns may be lost, no snapshot can be read, or there are logs without any; the message
            says where and what can be done.
    """
    options = options or RestoreOptions()
    disk.make_directory(places.snapshots)
    disk.make_directory(places.logs)
    places.check(disk)
    for directory in dict.fromkeys((places.snapshots, places.logs)):
        remove_unfinished(disk, directory)
    damaged: dict[str, str] = {}
    snapshot = newest_snapshot(disk, places.snapshots, damaged)
    if snapshot is None:
        restored = _begin(disk, places, options)
    else:
        restored = Restored(snapshot.tree, snapshot.zxid, snapshot.name, list(damaged), notes=[*damaged.values()])
    options.on_snapshot()
    _replay(disk, places, options, restored, None if snapshot is None else snapshot.digest)
    finish_load(restored.tree)
    # Differs from Apache: it serves what the page cache holds.
    _make_durable(disk, places)
    _remove_marker(disk, places)
    return restored


def _make_durable(disk: Disk, places: Places) -> None:
    """What was read counts as durable from now on.

    A process that was killed between a write and its sync has left both names and the end of the newest log in the page
    cache alone: read there, told to others, and then lost with the power, they would be promises broken, and a hole
    before what is logged behind them.
    """
    for _, name in names.logs(disk.names(places.logs))[-1:]:
        file = disk.open(f"{places.logs}/{name}")
        try:
            file.sync()
        finally:
            file.close()
    for directory in (places.logs, places.snapshots):
        disk.sync_directory(directory)


def newest_snapshot(disk: Disk, directory: str, damaged: dict[str, str]) -> Snapshot | None:
    """The newest snapshot that can be read, None if there is none; `damaged` gets a note about each passed over.

    Raises:
        DamageError: there are snapshots, and none can be read.
    """
    for name in candidates(disk, directory):
        try:
            return load(disk, directory, name)
        except CorruptionError as error:
            damaged[name] = f"snapshot passed over: {error}"
    if damaged:
        raise DamageError(f"no snapshot in {directory} can be read: {'; '.join(damaged.values())}")
    # Differs from Apache: without a log it would take a directory whose snapshots all lack their end for an empty one.
    partial = [name for zxid, name in names.snapshots(disk.names(directory)) if zxid > 0]
    if partial:
        remedy = "restore one from a backup; or, if the data may be lost, remove them"
        raise DamageError(f"{', '.join(partial)} in {directory} end in the middle, and there is no other; {remedy}")
    return None


def _replay(
    disk: Disk, places: Places, options: RestoreOptions, restored: Restored, digest: SnapshotDigest | None
) -> None:
    """Apply the txns behind the snapshot, then cut a torn last batch."""
    history = options.history(disk, places.logs, max(0, restored.last_zxid))
    check = DigestCheck(restored, digest)
    replay, recent = Replay(restored.tree), restored.recent
    for zxid, payload in history:
        try:
            logged = replay.apply(payload)
        except DecodeError as error:
            raise DamageError(f"txn 0x{zxid:x} in {places.logs} cannot be read: {error}") from error
        if logged is not None and logged != restored.tree.digest:
            check.differs(zxid, logged)
        recent.append((zxid, payload))
        restored.replayed += 1
    if restored.replayed:
        restored.last_zxid = history.after
    restored.notes += history.notes
    history.repair()


class DigestCheck:
    """Compares the tree's digest with the logged ones. Counts, never stops: Java servers log wrong digests themselves.

    A snapshot written while txns were applied holds some of them already; only from its digest's zxid on do the
    digests mean anything.
    """

    def __init__(self, restored: Restored, snapshot_digest: SnapshotDigest | None) -> None:
        self.restored = restored
        self.from_zxid = 0
        if snapshot_digest is not None and snapshot_digest.version == DIGEST_VERSION and snapshot_digest.zxid:
            self.from_zxid = snapshot_digest.zxid
            if snapshot_digest.zxid == restored.last_zxid and snapshot_digest.tree_digest != restored.tree.digest:
                self._mismatch(snapshot_digest.zxid, snapshot_digest.tree_digest)

    def differs(self, zxid: int, logged: int) -> None:
        """After the txn of this zxid the tree has another digest than the one logged."""
        if zxid >= self.from_zxid:
            self._mismatch(zxid, logged)

    def _mismatch(self, zxid: int, expected: int) -> None:
        self.restored.digest_mismatches += 1
        if self.restored.digest_mismatches == 1:
            found = self.restored.tree.digest
            self.restored.notes.append(
                f"tree digest 0x{found:x} differs at zxid 0x{zxid:x}, where 0x{expected:x} is logged"
            )


def _begin(disk: Disk, places: Places, options: RestoreOptions) -> Restored:
    """No snapshot: an empty directory becomes a database, unless the operator wants to be asked.

    A snapshot of the fresh tree is written before the first txn, because Java refuses logs without one.
    """
    has_txns = next(iter(options.history(disk, places.logs, 0)), None) is not None
    if has_txns and not options.trust_empty:
        remedy = f"if the logs are complete from the first txn on, start once with {EMPTY_TRUST_OVERRIDE}=true"
        raise DamageError(f"No snapshot found, but there are log entries in {places.logs}; {remedy}")
    tree = Tree()
    if not has_txns and not options.autocreate and INITIALIZE not in disk.names(places.marker_directory):
        return Restored(tree, -1)
    for _ in save(disk, places.snapshots, tree, options.compression):
        pass
    return Restored(tree, 0, names.snapshot_name(0, options.compression))


def _remove_marker(disk: Disk, places: Places) -> None:
    if INITIALIZE in disk.names(places.marker_directory):
        disk.remove(f"{places.marker_directory}/{INITIALIZE}")
        disk.sync_directory(places.marker_directory)


def truncate(disk: Disk, places: Places, zxid: int) -> list[str]:
    """Remove all txns above `zxid` from the files; returns the names of the snapshots that went with them.

    The snapshots go first: one that survived would bring back what the log has lost (Apache: ZOOKEEPER-1549).
    """
    removed = remove_above(disk, places.snapshots, zxid)
    truncate_logs(disk, places.logs, zxid)
    return removed
