"""`pyzk verify DIR`: everything that a server would find wrong at its next start, and some things that it would not.

Nothing is changed. A finding is an *error* (a server refuses to start, or what was acknowledged is not there), a
*warning* (a server starts; somebody should know) or a *note*. Each says what to do.
Source: docs/protocol/storage.md sections 2, 4, 5 and 6; docs/storage.md.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pyzk.codec.txns import MultiTxn, decode_txn
from pyzk.errors import ConfigError, CorruptionError, DecodeError, GapError, StorageError
from pyzk.storage import names
from pyzk.storage.database import DigestCheck, Restored
from pyzk.storage.disk import Disk
from pyzk.storage.epochs import ACCEPTED, CURRENT, known_epoch, read_epoch
from pyzk.storage.history import History
from pyzk.storage.logreader import LogReader
from pyzk.storage.member import DOUBT, TRUST_OVERRIDE
from pyzk.storage.names import Places
from pyzk.storage.replay import Replay
from pyzk.storage.snapshot import END_MARK, TEMPORARY_SUFFIX, Snapshot, load
from pyzk.storage.switch import PENDING
from pyzk.storage.txnlog import BATCH_BYTES_MAX
from pyzk.tools.files import VERSION_DIRECTORY, real_disk, version_directory
from pyzk.tools.javatext import hexadecimal, text_of
from pyzk.tools.log.command import damage, good_behind
from pyzk.tools.log.command import remedy as log_remedy
from pyzk.tools.output import Advance, progress, say, say_json

ERROR, WARNING, NOTE = "error", "warning", "note"
LEVELS = (NOTE, WARNING, ERROR)
EXAMPLES = """\
exit code: 0 sound (there may be warnings), 1 errors, or with --strict warnings too
examples:
  pyzk verify /var/lib/zookeeper
  pyzk verify --data-log-dir /var/log/zookeeper --json /var/lib/zookeeper
"""


@dataclass(slots=True)
class Finding:
    """Something worth a word."""

    level: str
    where: str
    what: str
    remedy: str = ""

    def line(self) -> str:
        """For people."""
        return f"{self.level:7}  {self.where}: {self.what}{f'. {self.remedy}' if self.remedy else ''}"


@dataclass(slots=True)
class Report:
    """What was looked at and what was found."""

    findings: list[Finding] = field(default_factory=list)
    snapshots: int = 0
    logs: int = 0
    txns: int = 0
    digests: int = 0
    last_zxid: int = 0
    base: str = ""
    """The snapshot that a server would start from."""

    def add(self, level: str, where: str, what: str, remedy: str = "") -> None:
        """Remember a finding."""
        self.findings.append(Finding(level, where, what, remedy))

    def worst(self) -> str:
        """The highest level found."""
        return max((finding.level for finding in self.findings), key=LEVELS.index, default=NOTE)

    def summary(self) -> str:
        """One line for people."""
        counts = [f"{sum(finding.level == level for finding in self.findings)} {level}s" for level in (ERROR, WARNING)]
        read = f"{self.snapshots} snapshots, {self.logs} logs, {self.txns} txns, {self.digests} digests"
        return f"read {read}; last zxid 0x{hexadecimal(self.last_zxid)}; {', '.join(counts)}"


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code. Raises PyzkError."""
    options = _parser().parse_args(arguments)
    directory = version_directory(options.directory)
    logs = version_directory(options.data_log_dir) if options.data_log_dir else directory
    places = Places(directory, logs, options.data_log_dir or options.directory)
    disk = real_disk()
    found = {f"{place}/{name}" for place in (directory, logs) for name in disk.names(place)}
    # Each log is read twice: by itself, and in order with the others.
    total = 2 * sum(disk.size(path) for path in found if names.logs([path.rpartition("/")[2]]))
    with progress("reading", total) as advance:
        report = verify(disk, places, advance)
    if options.json:
        for finding in report.findings:
            say_json({name: getattr(finding, name) for name in ("level", "where", "what", "remedy")})
        say_json({"worst": report.worst(), "last_zxid": f"0x{hexadecimal(report.last_zxid)}", "txns": report.txns})
    else:
        for finding in report.findings:
            say(finding.line())
        say(report.summary())
    return int(report.worst() in ({ERROR, WARNING} if options.strict else {ERROR}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyzk verify",
        description="Check the files of a stopped server, or a copy of them: checksums, gaps, epochs, digests.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", metavar="DIR", help=f"dataDir, or its {VERSION_DIRECTORY}")
    parser.add_argument("--data-log-dir", metavar="DIR", help="dataLogDir, if it is another one")
    parser.add_argument("--json", action="store_true", help="one JSON document a finding")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    return parser


def verify(disk: Disk, places: Places, advance: Advance = lambda _amount: None) -> Report:
    """Read everything in the directories."""
    report = Report()
    try:
        places.check(disk)
    except ConfigError as error:
        report.add(ERROR, str(error.value), str(error), "Move the files to where they belong")
    _check_names(disk, places, report)
    snapshot = _check_snapshots(disk, places, report)
    has_txns = _check_logs(disk, places, report, advance)
    if snapshot is None and has_txns:
        remedy = (
            "If the logs begin with the first txn ever, start once with snapshot.trust.empty=true; else restore one"
        )
        report.add(ERROR, places.snapshots, "there are logs and no snapshot that can be read", remedy)
    elif snapshot is not None:
        _check_history(disk, places, report, snapshot, advance)
    elif not report.findings:
        report.add(NOTE, places.snapshots, "nothing is here: a server would begin an empty database")
    _check_epochs(disk, places, report)
    _check_doubt(disk, places, report)
    return report


def _check_names(disk: Disk, places: Places, report: Report) -> None:
    for directory in dict.fromkeys([places.snapshots, places.logs]):
        for name in disk.names(directory):
            if name.startswith("snapshot.") and name.endswith(TEMPORARY_SUFFIX):
                what = "left by a snapshot that was interrupted"
                report.add(NOTE, f"{directory}/{name}", what, "The server removes it at its next start")
            elif name.startswith(("log.", "snapshot.")) and not (names.logs([name]) or names.snapshots([name])):
                what = "has no name that a server reads"
                report.add(WARNING, f"{directory}/{name}", what, "Rename it (log.HEX, snapshot.HEX) or move it away")


# Snapshots


def _check_snapshots(disk: Disk, places: Places, report: Report) -> Snapshot | None:
    """Read all; the newest good one is the result."""
    newest: Snapshot | None = None
    broken: list[Finding] = []
    for _, name in reversed(names.snapshots(disk.names(places.snapshots))):
        report.snapshots += 1
        path = f"{places.snapshots}/{name}"
        try:
            snapshot = load(disk, places.snapshots, name)
        except (CorruptionError, StorageError) as error:
            broken.append(Finding(WARNING, path, _snapshot_damage(disk, path, error)))
            continue
        _check_sections(snapshot, path, report)
        newest = newest or snapshot
    for finding in broken:
        if newest is None:
            finding.level, finding.remedy = ERROR, "Restore a snapshot from a backup or from another member"
        else:
            finding.remedy = f"A server passes it over; {newest.name} is good. Remove it when you know why it is so"
        report.findings.append(finding)
    if newest is not None:
        report.base, report.last_zxid = newest.name, newest.zxid
    return newest


def _snapshot_damage(disk: Disk, path: str, error: StorageError) -> str:
    what = error.what if isinstance(error, CorruptionError) else str(error)
    size = disk.size(path)
    is_plain = not path.endswith((".gz", ".snappy"))
    if is_plain and disk.read(path, max(0, size - len(END_MARK))) != END_MARK:
        return f"ends in the middle ({what}): its writer was interrupted"
    return f"is damaged: {what}"


def _check_sections(snapshot: Snapshot, path: str, report: Report) -> None:
    if snapshot.last_zxid is not None and snapshot.last_zxid < snapshot.zxid:
        what = f"says that its last txn is 0x{hexadecimal(snapshot.last_zxid)}, and its name says 0x{snapshot.zxid:x}"
        report.add(WARNING, path, what, "Was it renamed? Restore its name")
    orphans = [path for session, path in _ephemerals(snapshot) if session not in snapshot.tree.sessions]
    if orphans:
        what = f"{len(orphans)} ephemeral znodes belong to no session, {orphans[0]!r} for one"
        report.add(NOTE, path, what, "A server removes them when it leads, unless the log closes their sessions")


def _ephemerals(snapshot: Snapshot) -> Iterator[tuple[int, bytes]]:
    for session, paths in snapshot.tree.ephemerals.items():
        for path in paths:
            yield session, path


# Logs


def _check_logs(disk: Disk, places: Places, report: Report, advance: Advance) -> bool:
    """Read each file by itself; whether there is a txn in any."""
    has_txns = False
    files = names.logs(disk.names(places.logs))
    for first, name in files:
        report.logs += 1
        reader = LogReader(disk, places.logs, name)
        try:
            found = _read_log(reader, report, advance)
        except StorageError as error:
            report.add(ERROR, reader.path, str(error), "Make it readable for this user")
            continue
        has_txns |= found is not None
        if found is not None and found != first:
            what = f"begins with txn 0x{hexadecimal(found)}, and its name says 0x{first:x}"
            report.add(WARNING, reader.path, what, f"Rename it to log.{found:x}: servers choose files by their names")
        if reader.damage is not None:
            _judge_damage(disk, reader, report, is_newest=name == files[-1][1])
        elif found is None:
            report.add(NOTE, reader.path, "holds no txn", "The server removes it at its next start")
    return has_txns


def _read_log(reader: LogReader, report: Report, advance: Advance) -> int | None:
    """Count the txns of a file, and find those that cannot be decoded; the first zxid is the result."""
    first, before = None, reader.position
    for zxid, offset, payload in reader:
        first = zxid if first is None else first
        report.txns += 1
        advance(offset - before)
        before = offset
        problem = _problem(payload)
        if problem is not None:
            what = f"txn 0x{hexadecimal(zxid)} at offset {offset} has a good checksum and no good content: {problem}"
            remedy = "No server can start behind it: restore the file, or cut it with pyzk log -c"
            report.add(ERROR, reader.path, what, remedy)
    advance(reader.size - before)
    return first


def _problem(payload: bytes) -> str | None:
    """Why a payload is no txn; None if it is one."""
    try:
        record = decode_txn(payload).record
        if isinstance(record, MultiTxn):
            record.steps()
    except DecodeError as error:
        return str(error)
    return None


def _judge_damage(disk: Disk, reader: LogReader, report: Report, *, is_newest: bool) -> None:
    what = f"at offset {reader.position}, behind txn 0x{hexadecimal(reader.last_zxid)}: {damage(disk, reader)}"
    is_torn = reader.behind <= BATCH_BYTES_MAX and (reader.position > 0 or reader.torn_header)
    if is_torn and is_newest and not good_behind(disk, reader):
        remedy = "It looks like the torn last batch of a crash, which nobody was told about; the server cuts it"
        report.add(WARNING, reader.path, what, remedy)
    else:
        # Of an older file the history says whether anything is missing: Java leaves torn ends there.
        report.add(ERROR if is_newest or not is_torn else WARNING, reader.path, what, log_remedy(disk, reader))


# Both together


def _check_history(disk: Disk, places: Places, report: Report, snapshot: Snapshot, advance: Advance) -> None:
    """What a start does: the snapshot, the txns behind it, the digests after each."""
    restored = Restored(snapshot.tree, snapshot.zxid, snapshot.name)
    history = History(disk, places.logs, snapshot.zxid)
    check, replay = DigestCheck(restored, snapshot.digest), Replay(snapshot.tree)
    try:
        for zxid, payload in history:
            logged = replay.apply(payload)
            report.last_zxid = zxid
            advance(len(payload))
            if logged is not None:
                report.digests += 1
                if logged != snapshot.tree.digest:
                    check.differs(zxid, logged)
    except GapError as error:
        remedy = "Copy the missing logs from another member, or let this one be filled by its leader"
        report.add(ERROR, places.logs, str(error), remedy)
    except CorruptionError as error:
        report.add(ERROR, error.file, f"at offset {error.offset}: {error.what}", "See the finding about this file")
    except (DecodeError, StorageError, KeyError) as error:
        where = f"behind txn 0x{hexadecimal(report.last_zxid)}"
        what = f"the log cannot be replayed {where}: {error}"
        report.add(ERROR, places.logs, what, "Snapshot and log do not belong together, or one is damaged")
    for text in history.notes:
        if "torn last batch" not in text:  # said of the file already
            report.add(WARNING, places.logs, text)
    if restored.digest_mismatches:
        what = f"{restored.digest_mismatches} digests differ: {restored.notes[0]}"
        remedy = "Compare with another member (pyzk snapshot compare); Java servers are known to log wrong digests"
        report.add(WARNING, places.logs, what, remedy)


# Epochs


def _check_epochs(disk: Disk, places: Places, report: Report) -> None:
    epochs: dict[str, int | None] = {}
    for name in (ACCEPTED, CURRENT):
        path = f"{places.snapshots}/{name}"
        try:
            epochs[name] = read_epoch(disk, places.snapshots, name)
        except StorageError as error:
            epochs[name] = None
            remedy = "An epoch is never guessed: pyzk's server starts in doubt, and a leader fills it"
            report.add(ERROR, path, str(error), remedy)
            continue
        if f"{name}.tmp" in disk.names(places.snapshots):
            left = known_epoch(disk, places.snapshots, f"{name}.tmp")
            report.add(NOTE, f"{path}.tmp", f"left by an interrupted write of {left}", "The server removes it")
    accepted, current = epochs[ACCEPTED], epochs[CURRENT]
    if accepted is not None or current is not None:  # else standalone, or an ensemble from before 3.4
        _compare_epochs(disk, places.snapshots, report, accepted, current)


def _compare_epochs(disk: Disk, where: str, report: Report, accepted: int | None, current: int | None) -> None:
    """Accepted >= current >= epoch of the last txn."""
    logged = report.last_zxid >> 32
    if accepted is None and ACCEPTED not in disk.names(where):
        remedy = "It is a promise that nothing else tells: let a leader fill this server before it votes"
        report.add(ERROR, f"{where}/{ACCEPTED}", "is missing, and currentEpoch is there", remedy)
    if current is None and CURRENT not in disk.names(where):
        remedy = f"A server takes the epoch of its last txn, {logged}"
        report.add(WARNING, f"{where}/{CURRENT}", "is missing, and acceptedEpoch is there", remedy)
    if accepted is not None and current is not None and current > accepted:
        what = f"currentEpoch {current} is above acceptedEpoch {accepted}"
        report.add(ERROR, where, what, "A server refuses to start: acceptedEpoch was restored from an older copy")
    if accepted is not None and logged > accepted:
        what = f"the log has txns of epoch {logged}, and acceptedEpoch is {accepted}"
        remedy = "It is not what was promised last: let a leader fill this server before it votes"
        report.add(ERROR, where, what, remedy)
    if current is not None and logged > current:
        what = f"the log has txns of epoch {logged}, and currentEpoch is {current}"
        remedy = f"Apache's server refuses to start, pyzk's mends it: the log proves that {CURRENT} is {logged}"
        report.add(ERROR, where, what, remedy)
    if -1 in {accepted, current}:
        report.add(WARNING, where, "an epoch of -1: this server has lost data and waits to be filled by a leader")


def _check_doubt(disk: Disk, places: Places, report: Report) -> None:
    """What a member of an ensemble has written down about itself."""
    found = disk.names(places.snapshots)
    if DOUBT in found:
        path = f"{places.snapshots}/{DOUBT}"
        reason = text_of(disk.read(path)).strip()
        remedy = f"It does not vote until a leader has given it everything; {TRUST_OVERRIDE}=true takes what is here"
        report.add(WARNING, path, f"this member is in doubt: {reason}", remedy)
    if PENDING in found:
        path = f"{places.snapshots}/{PENDING}"
        what = f"a change of history was interrupted: {text_of(disk.read(path)).strip()}"
        report.add(WARNING, path, what, "The server completes it at its next start; remove no file before that")
