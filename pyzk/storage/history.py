"""The txns of all log files in order, with the rules about damage and gaps.

A bad record in the newest file with less than one batch behind it is the torn last batch, which nobody was told about:
it is left out, and `History.torn` says where to cut. In an older file (Java leaves torn tails there) damage is harmless
if the next file goes on with the very next zxid. Everything else is refused with file, offset and last good zxid.

Between two files, or between snapshot and log, nothing may be missing; inside a file Java 3.8.0 leaves gaps (a multi
with a null path takes a zxid and logs nothing), which are noted. Source: docs/protocol/storage.md section 5.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pyzk.codec.opcodes import OpCode
from pyzk.codec.txns import TXN_HEADER
from pyzk.errors import CorruptionError, GapError
from pyzk.storage import names
from pyzk.storage.disk import Disk
from pyzk.storage.logreader import LogReader
from pyzk.storage.txnlog import BATCH_BYTES_MAX

GAPS_OVERRIDE = "snapshot.trust.gaps"
"""Setting that turns a refused gap into a warning."""


def follows(zxid: int, previous: int) -> bool:
    """Whether no txn can be missing between two zxids: the next counter, or the first one of a later epoch."""
    if zxid >> 32 == previous >> 32:
        return zxid == previous + 1
    return zxid > previous and zxid & 0xFFFFFFFF == 1


@dataclass(slots=True)
class History:
    """Reads the log files of a directory from the zxid behind `after` on.

    Attributes:
        after: zxid of the snapshot on which the txns build; while iterating, of the last txn.
        accept_gaps: the operator's override: gaps are noted instead of refused.
        batch_bytes_max: what a crash can tear at most (log_batch_bytes_max).
        certain_tears_only: refuse damage at the end that may have hit what was acknowledged (members of an ensemble).
        notes: what an operator should know, one sentence each.
        torn: readers of the files at the end that end in a torn batch or have no record; `repair` cuts them.
    """

    disk: Disk
    directory: str
    after: int
    accept_gaps: bool = False
    batch_bytes_max: int = BATCH_BYTES_MAX
    certain_tears_only: bool = False
    notes: list[str] = field(default_factory=list)
    torn: list[LogReader] = field(default_factory=list)
    _last_logged: int = -1
    _unsettled: list[LogReader] = field(default_factory=list)
    """Files with damage or without a record, until a later file shows that nothing is missing."""
    _beside: Iterator[tuple[int, int, bytes]] = field(default_factory=lambda: iter(()))
    """A second reader of a file whose records are repeated, at the record `_beside_zxid` that was there first."""
    _beside_zxid: int = 0
    _beside_name: str = ""

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """(zxid, payload) of each txn. Raises CorruptionError, GapError."""
        for name in self.files():
            reader = LogReader(self.disk, self.directory, name)
            yield from self._txns(reader)
            if reader.damage is not None or reader.last_zxid == 0:
                self._unsettled.append(reader)
        for reader in self._unsettled:
            self._judge_end(reader)

    def files(self) -> list[str]:
        """Names of the files that can hold txns behind `after`, oldest first."""
        found = names.logs(self.disk.names(self.directory))
        first = max((zxid for zxid, _ in found if zxid <= self.after + 1), default=0)
        return [name for zxid, name in found if zxid >= first]

    def repair(self) -> None:
        """Cut the torn batch off the end of the log, durably; files without a record are removed."""
        for reader in reversed(self.torn):
            if reader.last_zxid == 0:
                self.disk.remove(reader.path)
                self.disk.sync_directory(self.directory)
            else:
                cut(self.disk, reader.path, reader.position)
        self.torn.clear()

    def _txns(self, reader: LogReader) -> Iterator[tuple[int, bytes]]:
        before = -1  # the record before this one in the same file
        for zxid, offset, payload in reader:
            if before < 0:
                self._settle(zxid)
            if zxid <= self._last_logged:
                if zxid == before and TXN_HEADER.unpack_from(payload)[-1] == OpCode.ERROR:
                    self._note_void(reader)
                else:
                    self._repeated(reader, zxid, offset, payload)
                continue
            self._last_logged = zxid
            if zxid > self.after:
                if zxid != self.after + 1 and not follows(zxid, self.after):
                    self._gap(reader, zxid, inside=before == self.after)
                self.after = zxid
                yield zxid, payload
            before = zxid

    def _settle(self, zxid: int) -> None:
        """A later file has a record: what was at the end of the files before it is not the end of the log."""
        for reader in self._unsettled:
            if reader.damage is None:
                continue
            what = f"{reader.damage}, and the next file goes on with 0x{zxid:x}"
            if zxid != self._last_logged + 1 and not self.accept_gaps:
                raise corruption(reader, f"{what}. {_OVERRIDE_REMEDY}")
            self.notes.append(f"{reader.path} at offset {reader.position}: {what}")
        self._unsettled.clear()

    def _note_void(self, reader: LogReader) -> None:
        """A request that Apache's leader could not decode took the zxid before it (apache-defects.md, row 1)."""
        note = f"{reader.path}: errors that have the zxid of the txn before them are skipped"
        if note not in self.notes:
            self.notes.append(note)

    def _repeated(self, reader: LogReader, zxid: int, offset: int, payload: bytes) -> None:
        """Skip a txn that stands there already, with one note for each run of them.

        A learner of 3.8.0 may log twice what a DIFF brought it, and more often when it loses its leader on the way.
        """
        if self._beside_name != reader.name or zxid <= self._beside_zxid:
            self._beside_name = reader.name
            self._beside = iter(LogReader(self.disk, self.directory, reader.name))
            # Differs from Apache: it applies the records once more.
            self.notes.append(f"{reader.path} at offset {offset}: txns from 0x{zxid:x} on stand there twice")
        original = b""
        for there, position, found in self._beside:
            self._beside_zxid = there
            if there >= zxid or position >= offset:
                original = found if there == zxid and position < offset else b""
                break
        if original != payload:
            what = f"zxid 0x{zxid:x} is not above the one before it, and not a txn that was there"
            raise CorruptionError(reader.path, offset, self._last_logged, what)

    def _gap(self, reader: LogReader, zxid: int, *, inside: bool) -> None:
        what = f"no txns between 0x{self.after:x} and 0x{zxid:x} in {reader.path}"
        if not inside and not self.accept_gaps:
            raise GapError(f"{what}: acknowledged writes may be missing. {_OVERRIDE_REMEDY}")
        self.notes.append(what)

    def _judge_end(self, reader: LogReader) -> None:
        if reader.damage is not None:
            whole = f"{reader.damage}, with {reader.behind} bytes behind it"
            if reader.behind > self.batch_bytes_max or (reader.position == 0 and not reader.torn_header):
                raise corruption(reader, whole)
            if self.certain_tears_only and not reader.is_unwritten(self.batch_bytes_max):
                raise corruption(reader, f"{whole}: this is no write that was cut short")
            self.notes.append(f"{reader.path} at offset {reader.position}: the torn last batch is cut ({whole})")
        if self.certain_tears_only and reader.last_zxid == 0:
            self._check_place(reader)
        self.torn.append(reader)

    def _check_place(self, reader: LogReader) -> None:
        """A file without a record was begun behind the last txn, or there were others before it."""
        ((first, _),) = names.logs([reader.name])
        if first > self.after + 1 and not follows(first, self.after):
            self._gap(reader, first, inside=False)


_OVERRIDE_REMEDY = f"If they never existed, start once with {GAPS_OVERRIDE}=true"


def corruption(reader: LogReader, what: str) -> CorruptionError:
    """The error that names the place where a log file is no good any more."""
    return CorruptionError(reader.path, reader.position, reader.last_zxid, what)


def cut(disk: Disk, path: str, size: int) -> None:
    """Cut a file, durably."""
    file = disk.open(path)
    try:
        file.truncate(size)
        file.sync()
    finally:
        file.close()


def truncate_logs(disk: Disk, directory: str, zxid: int) -> None:
    """Remove all records above `zxid`, the newest first, so that a crash in between leaves no gap (section 8)."""
    for first, name in reversed(names.logs(disk.names(directory))):
        if first > zxid:
            disk.remove(f"{directory}/{name}")
            disk.sync_directory(directory)
            continue
        reader = LogReader(disk, directory, name)
        offsets = [offset for found, offset, _ in reader if found > zxid]
        if reader.damage is not None and not offsets and reader.last_zxid < zxid:
            raise corruption(reader, f"{reader.damage}, before the txn 0x{zxid:x} behind which the log is to be cut")
        # Differs from Apache: when zxid itself is not in the log, Java keeps the first record above it.
        cut(disk, reader.path, min(offsets, default=reader.position))
        return
