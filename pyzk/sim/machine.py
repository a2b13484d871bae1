"""The disk work of one simulated server: one thing after the other, each with its duration, over the production files.

What is under way when the power fails is done up to a call of the file system that is drawn, and no further.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from pyzk.errors import CorruptionError, DamageError, DiskFullError, StorageError
from pyzk.sim.disk import PowerLostError
from pyzk.storage.database import INITIALIZE, RestoreOptions
from pyzk.storage.disk import replace
from pyzk.storage.member import MemberFiles, Stored
from pyzk.storage.names import Places, snapshot_name
from pyzk.storage.retention import SNAPSHOTS_MIN, purge
from pyzk.storage.snapshot import save
from pyzk.storage.txnlog import Roll, TxnLog
from pyzk.zab import effects as do
from pyzk.zab.events import Done, Event, LogRead, Reloaded, Uncut, Unwritten

if TYPE_CHECKING:
    from collections.abc import Generator

    from pyzk.sim.host import Host
    from pyzk.zab.events import Entry

PREALLOCATE_BYTES = 16_384
FILE_SYSTEM_CALLS = 3, 12, 40
"""A crash lies within one of so many calls of what is under way: an append, a roll, a tree."""


@dataclass(slots=True)
class TakeSnapshot:
    """Begin to write the tree as it is, if it is committed and in our own log."""


DiskEffect = do.Append | do.SaveEpoch | do.Truncate | do.Install | do.Heal | do.Doubt
Work = DiskEffect | TakeSnapshot


class Machine:
    """The files of a server and what it has asked of them.

    Attributes:
        delay_seconds: (least, most) time that one thing takes.
        usual_delay_seconds: the same when nothing is wrong.
        queue: what was asked for and is not done, the first under way.
        is_doomed: whether the power fails in the middle of the next thing that it is asked for.
        dooms_change: whether it fails in the middle of the next tree that is taken in, or tail that is cut.
        places: its directories.
        is_refusing: whether the disk was full and the process has not heard of it: what it asks meanwhile is dropped.
        trusts_own_data: whether its operator takes what it has for all there was, at the next start.
        saving: the slices of a snapshot that are still to be written, None if there is none under way.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.world = host.world
        self.delay_seconds = self.usual_delay_seconds = 0.0005, 0.004
        self.queue: deque[Work] = deque()
        self.is_refusing = self.is_doomed = self.trusts_own_data = False
        self.saving: Generator[int] | None = None
        self.dooms_change = False
        extras = self.world.extras
        self.places = Places.of("/data", "/log" if extras.has_log_directory else None)
        self._rng = Random(f"{self.world.seed} machine {host.server_id}")
        self._roll = self._new_roll()
        self._open_files()
        if not extras.autocreate:
            host.disk.make_directory(self.places.marker_directory)
            replace(host.disk, self.places.marker_directory, INITIALIZE, b"")

    def _open_files(self) -> None:
        disk, extras = self.host.disk, self.world.extras
        points = self.world.points
        options = RestoreOptions(compression=self.world.compression, autocreate=extras.autocreate)
        self.files = MemberFiles(disk, self.places, options, with_last_zxid=extras.with_last_zxid, points=points)
        self.log = TxnLog(disk, self.places.logs, preallocate_bytes=PREALLOCATE_BYTES, points=points)

    def _new_roll(self) -> Roll | None:
        """When to begin a new log file, and a snapshot, if servers decide that themselves."""
        txns = self.world.extras.snapshot_txns
        return Roll(self._rng, txns, 100 * txns, 50 * txns) if txns else None

    def load(self) -> Stored:
        """What a starting process finds."""
        self._roll = self._new_roll()
        self._open_files()
        trust, self.trusts_own_data = self.trusts_own_data, False
        return self.files.load(trust=trust)

    def ask(self, work: Work) -> None:
        """Do this behind everything that was asked before."""
        if self.is_refusing:
            assert isinstance(work, do.Append)
            return
        self.queue.append(work)
        if len(self.queue) == 1:
            self._begin()

    def take_snapshot(self) -> None:
        """As a server does from time to time: in slices, between which it serves and logs."""
        if self.host.opened is not None and not self.is_refusing and self.saving is None:
            self.ask(TakeSnapshot())

    def _begin(self) -> None:
        boot = self.host.boot
        if isinstance(self.queue[0], do.Truncate | do.Install | do.Doubt):
            self._stop_saving()
        seconds = self.world.rng.uniform(*self.delay_seconds)
        if self.dooms_change and isinstance(self.queue[0], do.Truncate | do.Install):
            self.is_doomed, self.dooms_change = True, False
        if self.is_doomed:
            self.world.after(seconds / 2, lambda: self._lose_power(boot))
        self.world.after(seconds, lambda: self._finish(boot))

    def _lose_power(self, boot: int) -> None:
        if boot == self.host.boot and self.is_doomed:
            self.host.crash(has_no_power=True)

    def _finish(self, boot: int) -> None:
        host = self.host
        if boot != host.boot or not host.is_up:
            return
        work = self.queue[0]
        try:
            event = self._do(work)
        except DamageError:
            raise
        except StorageError:
            host.crash(has_no_power=False)
            return
        if isinstance(event, Unwritten):
            self.world.tally["full disks"] += 1
            self.queue = deque(other for other in self.queue if isinstance(other, TakeSnapshot))
            self.is_refusing = True
        else:
            self.queue.popleft()
            if not isinstance(event, Uncut):
                self.world.checker.servers.done(host, work)
            if not host.has_done(work):
                return
        if self.queue:
            self._begin()
        if event is not None:
            host.receive(event)

    def read_log(self, effect: do.ReadLog) -> None:
        """Read beside everything else."""
        boot = self.host.boot

        def read() -> None:
            if self.host.boot == boot and self.host.is_up:
                entries = self._logged(effect)
                self.world.tally["log reads"] += entries is not None
                self.host.receive(LogRead(effect.token, entries))

        self.world.after(self.world.rng.uniform(*self.delay_seconds), read)

    def _logged(self, effect: do.ReadLog) -> list[Entry] | None:
        """None for a damaged file, as `server.memberdisk` answers it."""
        try:
            return self.files.read_log(effect.after, effect.until, effect.size_factor)
        except CorruptionError:
            return None

    # What is asked for.

    def _do(self, work: Work) -> Event | None:
        """Do it, on the disk; returns the answer."""
        if isinstance(work, TakeSnapshot):
            self._snapshot()
            return None
        if isinstance(work, do.Append):
            error = self.log.attempt(work.entries, roll=False)
            if isinstance(error, DiskFullError):
                return Unwritten(work.token, error)
            if error is not None:
                raise error
            self._count(work)
        elif isinstance(work, do.SaveEpoch):
            self.files.save_epoch(work.name, work.epoch)
        elif isinstance(work, do.Truncate):
            return self._truncate(work)
        elif isinstance(work, do.Install):
            self.log.roll()
            self.files.install(work.tree, work.tail)
        elif isinstance(work, do.Heal):
            self.log.roll()
            self.files.heal()
        else:
            self.files.doubt(work.reason)
        return Done(work.token)

    def _truncate(self, work: do.Truncate) -> Event:
        host = self.host
        self.world.tally["truncates"] += 1
        self.log.roll()
        if not self.files.truncate(work.zxid):
            self.world.tally["cuts refused"] += 1
            return Uncut(work.token)
        if host.tree.last_zxid <= work.zxid:
            return Done(work.token)
        stored = self.files.reload()
        host.tree = stored.tree
        self.world.tally["reloads"] += 1
        return Reloaded(work.token, stored.last_zxid, stored.recent, stored.doubt)

    def _count(self, work: do.Append) -> None:
        """As `server/housekeeping.py`."""
        roll = self._roll
        if roll is None:
            return
        roll.note(len(work.entries), sum(len(payload) for _, payload in work.entries))
        if roll.file_due:
            self.log.roll()
            if roll.snapshot_due and self.host.is_up and self.saving is None:
                self.world.after(0.0, self.take_snapshot)
            roll.rolled()

    # Snapshots.

    def _snapshot(self) -> None:
        host = self.host
        is_due = self.saving is None and host.opened is not None
        is_due = is_due and host.state.history.durable_zxid >= host.tree.last_zxid
        compression = self.world.compression
        if is_due and snapshot_name(host.tree.last_zxid, compression) not in host.disk.names(self.places.snapshots):
            self.log.roll()
            self.saving = save(
                host.disk,
                self.places.snapshots,
                host.tree,
                compression,
                with_last_zxid=self.world.extras.with_last_zxid,
            )
            self._save_later()

    def _save_later(self) -> None:
        saving = self.saving
        self.world.after(self.world.rng.uniform(*self.delay_seconds), lambda: self._save_slice(saving))

    def _save_slice(self, saving: Generator[int] | None) -> None:
        if saving is None or saving is not self.saving:
            return
        if self.host.opened is None:
            self._stop_saving()
            return
        try:
            is_over = next(saving, None) is None
        except DiskFullError:
            is_over, self.saving = False, None
        except StorageError:
            self.host.crash(has_no_power=False)
            return
        if is_over:
            self.saving = None
            self.world.tally["snapshots"] += 1
            self.world.tally["purged files"] += len(purge(self.host.disk, self.places, SNAPSHOTS_MIN))
        elif self.saving is not None:
            self._save_later()

    def _stop_saving(self) -> None:
        saving, self.saving = self.saving, None
        if saving is not None:
            saving.close()

    # Crashes.

    def crash(self, *, has_no_power: bool) -> None:
        """The process ends; without power the disk forgets what was not synced too."""
        disk = self.host.disk
        self.is_doomed = False
        # What is written of a snapshot stays as it is.
        disk.fuse.left = 0
        with suppress(PowerLostError):
            self._stop_saving()
        disk.fuse.left = None
        if self.queue:
            self.world.tally["crashes with unsynced data"] += has_no_power
            disk.fuse.left = self.world.rng.randrange(self.world.rng.choice(FILE_SYSTEM_CALLS))
            self.world.checker.servers.interrupted(self.host, self.queue[0])
            try:
                self._do(self.queue[0])
            except PowerLostError:
                self.world.tally["torn works"] += 1
            except DiskFullError:
                self.world.tally["full disks"] += 1
            except DamageError:
                raise
            except StorageError:
                self.world.tally["failing disks"] += 1
            disk.fuse.left = None
        self.queue.clear()
        self.is_refusing = False
        if has_no_power:
            disk.crash(self.world.rng)
        else:
            disk.restart()
