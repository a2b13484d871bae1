"""The files of a member of an ensemble, as one object for the real server and the simulator.

A member that has lost something it has acknowledged, or cannot tell, is *in doubt*: it starts, but may not vote, count
or acknowledge until a leader has given everything back. Where Apache refuses to start, or serves what it has, this one
is in doubt. The doubt is written to the file `doubt` before anything is repaired, because what shows the damage may be
gone at the next start. Source: docs/protocol/storage.md section 6; docs/storage.md, "Members of an ensemble".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from pyzk.errors import DamageError, GapError
from pyzk.faultpoints import NONE, FaultPoints
from pyzk.storage import catchup, database, names
from pyzk.storage.database import INITIALIZE, Restored, RestoreOptions, restore
from pyzk.storage.disk import Disk
from pyzk.storage.disk import replace as replace_file
from pyzk.storage.epochs import ACCEPTED, CURRENT, UNKNOWN, known_epoch, settle_epochs, write_epoch
from pyzk.storage.logreader import LogReader
from pyzk.storage.names import Places
from pyzk.storage.snapshot import remove_above, save
from pyzk.storage.switch import PENDING, begin_truncate, complete, forget_pending, install_steps, remove
from pyzk.tree.tree import Tree

DOUBT = "doubt"
"""File in the snapshot directory that says why the server is in doubt."""
TRUST_OVERRIDE = "pyzk.trustOwnData"
"""Setting with which an operator takes what can be read for all there was."""


@dataclass(slots=True)
class Stored:
    """What a member knows when it starts.

    Attributes:
        tree: with snapshot and log applied; a fresh one if they cannot be read.
        accepted_epoch: as on the disk; -1 if it is not known, which is only so in doubt.
        current_epoch: the same.
        last_zxid: of log and snapshot; -1 if they cannot be read.
        recent: (zxid, payload) of the last 500 txns of the log.
        doubt: why acknowledged data may be missing and what can be done; empty if none is.
        notes: what an operator should know, one sentence each.
        replayed: txns applied from the log.
        digest_mismatches: txns after which the tree's digest was not the logged one.
        snapshot: name of the snapshot used.
        damaged: names of the newer ones that could not be read.
    """

    tree: Tree
    accepted_epoch: int
    current_epoch: int
    last_zxid: int
    recent: Sequence[tuple[int, bytes]] = ()
    doubt: str = ""
    notes: list[str] = field(default_factory=list)
    replayed: int = 0
    digest_mismatches: int = 0
    snapshot: str = ""
    damaged: Sequence[str] = ()


class MemberFiles:
    """Log, snapshots, epoch files and doubt of one member.

    Appending is left to `TxnLog`, whose file must be closed (`roll`) before `truncate`, `install_steps` and `heal`.

    Args:
        disk: where the files are.
        places: the directories.
        options: what the operator has set; `certain_tears_only` is taken for true.
        with_last_zxid: whether snapshots get their third section (serializeLastProcessedZxid.enabled).
        points: of the simulator.
    """

    def __init__(
        self,
        disk: Disk,
        places: Places,
        options: RestoreOptions,
        *,
        with_last_zxid: bool = True,
        points: FaultPoints = NONE,
    ) -> None:
        self.points = points
        self.disk = disk
        self.places = places
        self.options = replace(options, certain_tears_only=True)
        self.with_last_zxid = with_last_zxid
        self._reloaded: Stored | None = None
        """What `truncate` has loaded to see what is left."""

    def load(self, *, trust: bool = False) -> Stored:
        """Read everything, finish what a crash has interrupted, repair what can be proven.

        Args:
            trust: in doubt, take what can be read for all there was, and forget the doubt (TRUST_OVERRIDE).

        Raises ConfigError for directories that are mixed up, StorageError for a disk that fails; damage is a doubt.
        """
        for directory in (self.places.snapshots, self.places.logs):
            self.disk.make_directory(directory)
        self.places.check(self.disk)
        if not self._has_data() and self._is_initialized():
            self._initialize()
        stored = self._load()
        if stored.doubt and trust:
            return self._trust(stored)
        return stored

    def reload(self) -> Stored:
        """Everything as it is after `truncate`; in doubt if what is left does not reach the zxid it was cut to."""
        reloaded, self._reloaded = self._reloaded, None
        return self.load() if reloaded is None else reloaded

    def doubt(self, reason: str) -> None:
        """Acknowledged data are lost: remember it, durably, until `heal`. The first reason stays."""
        if DOUBT not in self._names():
            replace_file(self.disk, self.places.snapshots, DOUBT, reason.encode())

    def heal(self) -> None:
        """An established leader has given everything back, and it is durable: nothing is in doubt any more."""
        remove(self.disk, self.places.snapshots, [DOUBT])

    def save_epoch(self, name: str, epoch: int) -> None:
        """Write `acceptedEpoch` or `currentEpoch`, durably."""
        write_epoch(self.disk, self.places.snapshots, name, epoch)

    def truncate(self, zxid: int) -> bool:
        """Remove all txns above `zxid` from log and snapshots, durably.

        `reload` must follow if the tree in memory holds any of them. If snapshots go, what is left is loaded at once,
        because it may be a doubt; else DamageError is raised if the log does not hold what is below, or ends below.
        Returns False, and leaves everything as it is, if no snapshot would be left, as when all began with a tree from
        a leader: better what we have than nothing.
        """
        self._reloaded = None
        found = [found for found, _ in names.snapshots(self._names())]
        is_above = any(snapshot > zxid for snapshot in found)
        if is_above and min(found) > zxid:
            return False
        if is_above:
            begin_truncate(self.disk, self.places, zxid)
        database.truncate(self.disk, self.places, zxid)
        if is_above:
            self._reloaded = self.load()
        else:
            self._require_end(zxid, self._last_zxid())
        return True

    def install_steps(self, tree: Tree, tail: Sequence[tuple[int, bytes]] = ()) -> Iterator[int]:
        """Make a leader's tree, as it is at the first step, and the txns behind it the whole database.

        Yields the bytes of the snapshot written so far.

        It is durable when the iterator is exhausted. Until then, and after an error, everything is as it was.
        """
        self._reloaded = None
        compression = self.options.compression
        return install_steps(self.disk, self.places, tree, compression, tail, with_last_zxid=self.with_last_zxid)

    def install(self, tree: Tree, tail: Sequence[tuple[int, bytes]] = ()) -> None:
        """All of `install_steps` at once."""
        for _ in self.install_steps(tree, tail):
            pass

    def read_log(self, after: int, until: int, size_factor: float) -> list[tuple[int, bytes]] | None:
        """See `pyzk.storage.catchup.read_log`."""
        if self.points.fires("log is not there"):
            return None
        return catchup.read_log(self.disk, self.places, after, until, size_factor)

    def _load(self) -> Stored:
        doubt = self._written_doubt()
        try:
            restored = self._restore(doubt)
        except DamageError as error:
            return self._in_doubt(doubt or str(error), Restored(Tree(), UNKNOWN))
        try:
            self._require_snapshots(restored)
            if doubt:
                return self._in_doubt(doubt, restored)
            epochs = settle_epochs(self.disk, self.places.snapshots, restored.last_zxid, restored.notes)
            return _stored(restored, *epochs)
        except DamageError as error:
            return self._in_doubt(doubt or str(error), restored)

    def _restore(self, doubt: str) -> Restored:
        """Snapshot and log. Raises DamageError; what proves a loss without being damage is looked at first."""
        end = complete(self.disk, self.places)
        if not self._has_data() and not self._is_initialized():
            self._require_new(doubt)
        restored = restore(self.disk, self.places, self.options)
        if restored.last_zxid < 0:
            remedy = f"a server that is new wants a file {self.places.marker_directory}/{INITIALIZE}"
            raise DamageError(f"{self.places.snapshots} is empty, with db.autocreate=false; {remedy}")
        if end is not None:
            self._require_end(end, restored.last_zxid)
            forget_pending(self.disk, self.places)
        return restored

    def _has_data(self) -> bool:
        return bool(names.snapshots(self._names()) or names.logs(self.disk.names(self.places.logs)))

    def _is_initialized(self) -> bool:
        """Whether the operator says that an empty directory is right."""
        return INITIALIZE in self.disk.names(self.places.marker_directory)

    def _initialize(self) -> None:
        """Forget the doubt; keep what was promised, as far as it is known."""
        self.heal()
        epochs = [self._known_epoch(name) for name in (ACCEPTED, CURRENT)]
        if any(name in self._names() for name in (ACCEPTED, CURRENT)):
            self.save_epoch(ACCEPTED, max(0, *epochs))
            self.save_epoch(CURRENT, max(0, epochs[1]))

    def _require_new(self, doubt: str) -> None:
        """Without data a server is new, unless something says that there was some."""
        traces = [name for name in (DOUBT, ACCEPTED, CURRENT) if name in self._names()]
        if traces:
            what = doubt or f"{self.places.snapshots} has {', '.join(traces)}, but neither snapshots nor logs"
            raise DamageError(f"{what}; if it is meant to be new, make a file {INITIALIZE} in its dataLogDir")

    def _require_end(self, zxid: int, last_zxid: int) -> None:
        """The database ends at this zxid, or right before the first txn of its epoch."""
        if last_zxid != zxid and (zxid & catchup.COUNTER or last_zxid > zxid):
            raise GapError(
                f"{self.places.logs} was to be cut behind 0x{zxid:x}, but snapshot and log end at 0x{last_zxid:x}"
            )

    def _last_zxid(self) -> int:
        """Where log and snapshots end."""
        last_zxid = max((zxid for zxid, _ in names.snapshots(self._names())), default=UNKNOWN)
        for _, name in reversed(names.logs(self.disk.names(self.places.logs))):
            # The last record is not always the newest: in logs of Apache's 3.8.0 txns stand twice.
            zxids = [zxid for zxid, _, _ in LogReader(self.disk, self.places.logs, name)]
            if zxids:
                return max(last_zxid, *zxids)
        return last_zxid

    def _require_snapshots(self, restored: Restored) -> None:
        """What snapshots held that could not be read is in the log: their last txns are."""
        ((used, _),) = names.snapshots([restored.snapshot])
        passed_over = [(zxid, name) for zxid, name in names.snapshots(self._names()) if zxid > used]
        if not passed_over or self.options.trust_gaps:
            return
        logged = {zxid for zxid, _ in self.options.history(self.disk, self.places.logs, used)}
        for zxid, name in passed_over:
            if zxid not in logged:
                what = f"cannot be read, and the log behind {restored.snapshot} does not hold 0x{zxid:x}"
                raise DamageError(f"{self.places.snapshots}/{name} {what}: acknowledged writes may be missing")

    def _known_epoch(self, name: str) -> int:
        return known_epoch(self.disk, self.places.snapshots, name)

    def _written_doubt(self) -> str:
        if DOUBT not in self._names():
            return ""
        return self.disk.read(f"{self.places.snapshots}/{DOUBT}").decode(errors="replace") or "the server was in doubt"

    def _in_doubt(self, doubt: str, restored: Restored) -> Stored:
        self.doubt(doubt)
        remove(self.disk, self.places.snapshots, [PENDING])
        stored = _stored(restored, self._known_epoch(ACCEPTED), self._known_epoch(CURRENT))
        stored.doubt = (
            f"{doubt}. A leader gives it all back; if too many servers are so, {TRUST_OVERRIDE}=true for one start"
        )
        return stored

    def _trust(self, stored: Stored) -> Stored:
        """Start anew from what a standalone server would serve, gaps and all."""
        if not self._has_data():
            stored.notes.append(f"{TRUST_OVERRIDE}: there is nothing to trust in {self.places.snapshots}")
            return stored
        options = replace(self.options, trust_gaps=True, certain_tears_only=False)
        try:
            restored = restore(self.disk, self.places, options)
        except DamageError as error:
            stored.notes.append(f"{TRUST_OVERRIDE}: {error}")
            return stored
        restored.notes.append(f"{TRUST_OVERRIDE}: in spite of doubt this is taken for the data: {stored.doubt}")
        self._begin_anew(restored)
        current = max(self._known_epoch(CURRENT), restored.last_zxid >> 32)
        accepted = max(self._known_epoch(ACCEPTED), current)
        self.save_epoch(ACCEPTED, accepted)
        self.save_epoch(CURRENT, current)
        self.heal()
        return _stored(restored, accepted, current)

    def _begin_anew(self, restored: Restored) -> None:
        """Leave nothing on the disk that would raise the doubt again: a snapshot bridges all gaps."""
        remove_above(self.disk, self.places.snapshots, restored.last_zxid)
        compression = self.options.compression
        for _ in save(self.disk, self.places.snapshots, restored.tree, compression, with_last_zxid=self.with_last_zxid):
            pass

    def _names(self) -> list[str]:
        return self.disk.names(self.places.snapshots)


def _stored(restored: Restored, accepted_epoch: int, current_epoch: int) -> Stored:
    return Stored(
        restored.tree,
        accepted_epoch,
        current_epoch,
        restored.last_zxid,
        list(restored.recent),
        "",
        restored.notes,
        restored.replayed,
        restored.digest_mismatches,
        restored.snapshot,
        restored.damaged,
    )
