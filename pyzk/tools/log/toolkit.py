"""Apache's TxnLogToolkit and LogChopper: their dump, the recovery of wrong checksums, the chopping at a zxid.

Words, file names and the contents of the files are Apache's. What it ends with a stack trace for is one line here, and
a file that could not be finished is not left behind: docs/differences.md.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self, TextIO

from zlib_ng.zlib_ng import adler32

from pyzk.codec.record import Record
from pyzk.codec.records import ACL
from pyzk.codec.txns import (
    TXN_HEADER,
    CloseSessionTxn,
    CreateContainerTxn,
    CreateSessionTxn,
    CreateTTLTxn,
    CreateTxn,
    DeleteTxn,
    ErrorTxn,
    MultiTxn,
    SetACLTxn,
    SetDataTxn,
    decode_txn,
)
from pyzk.errors import DecodeError
from pyzk.storage.disk import Disk
from pyzk.storage.history import follows
from pyzk.storage.logreader import PIECE_BYTES
from pyzk.storage.snapshot import TEMPORARY_SUFFIX
from pyzk.storage.txnlog import FILE_HEADER, LOG_MAGIC, RECORD_END, RECORD_HEAD
from pyzk.tools.files import split
from pyzk.tools.javatext import hexadecimal, short_date, text_of
from pyzk.tools.log.entries import java_name
from pyzk.tools.output import Advance, ToolError, note, say

LENGTH_MAX = 2 * 0xFFFFF
"""What Java's tools take for a record at most; a longer one must at least fit into the file."""

ESCAPES = str.maketrans({"\0": "%00", "\n": "%0A", "\r": "%0D", ",": "%2C", "}": "%7D", "%": "%25"})


@dataclass(slots=True)
class RawRecord:
    """A record as it stands in the file, whatever its checksum says."""

    offset: int
    checksum: int
    payload: bytes
    is_whole: bool

    @property
    def is_good(self) -> bool:
        """Whether the checksum fits."""
        return self.checksum == adler32(self.payload)

    def encode(self, checksum: int) -> bytes:
        """The record with another checksum."""
        return RECORD_HEAD.pack(checksum, len(self.payload)) + self.payload + RECORD_END


class RawLog:
    """The header and the records of a log file, without judgement. Raises ToolError where nothing can be read."""

    def __init__(self, disk: Disk, path: str) -> None:
        self.disk = disk
        self.path = path
        self.size = disk.size(path)
        self._window, self._start = b"", 0
        self.header = disk.read(path, 0, FILE_HEADER.size)
        if len(self.header) < FILE_HEADER.size or FILE_HEADER.unpack(self.header)[0] != LOG_MAGIC:
            raise ToolError(f"Invalid magic number for {split(path)[1]}")
        _, self.version, self.database_id = FILE_HEADER.unpack(self.header)

    def __iter__(self) -> Iterator[RawRecord]:
        position = FILE_HEADER.size
        while position + RECORD_HEAD.size <= self.size:
            checksum, length = RECORD_HEAD.unpack(self._read(position, RECORD_HEAD.size))
            if length == 0:
                return
            payload_at = position + RECORD_HEAD.size
            if length < 0 or length > max(LENGTH_MAX, self.size - payload_at):
                raise ToolError(f"Unreasonable length = {length} at offset {position} of {self.path}")
            if payload_at + length > self.size:
                return
            payload, end = self._read(payload_at, length), self._read(payload_at + length, 1)
            yield RawRecord(position, checksum, payload, end == RECORD_END)
            position = payload_at + length + 1

    def _read(self, position: int, length: int) -> bytes:
        at = position - self._start
        if at < 0 or at + length > len(self._window):
            self._window, self._start = self.disk.read(self.path, position, max(length, PIECE_BYTES)), position
            at = 0
        return self._window[at : at + length]

    def title(self) -> str:
        """The first line of every tool."""
        return f"ZooKeeper Transactional Log File with dbid {self.database_id} txnlog format version {self.version}"


# Dump


def dump(log: RawLog, advance: Advance) -> None:
    """Print every record. Raises ToolError."""
    say(log.title())
    count = 0
    for record in log:
        if not record.is_good:
            say(f"CRC ERROR - {line(record.payload)}")
        say(line(record.payload))
        _require_end(record)
        count += 1
        advance(len(record.payload))
    say(f"EOF reached after {count} txns.")


def _require_end(record: RawRecord) -> None:
    if not record.is_whole:
        raise ToolError("Last transaction was partial.")


def line(payload: bytes) -> str:
    """A record as TxnLogToolkit prints it, without a line end behind it."""
    if len(payload) < TXN_HEADER.size:
        return f"a record of {len(payload)} bytes, which is no txn"
    client_id, cxid, zxid, time_ms, kind = TXN_HEADER.unpack_from(payload)
    head = f"{short_date(time_ms)} session 0x{hexadecimal(client_id)} cxid 0x{hexadecimal(cxid)}"
    try:
        text = record_text(decode_txn(payload).record)
    except DecodeError as error:
        text = f"(cannot be decoded: {error})"
    return f"{head} zxid 0x{hexadecimal(zxid)} {java_name(kind)} {text}".removesuffix("\n")


def record_text(record: Record) -> str:
    """What stands behind the name of the operation."""
    match record:
        case CreateTxn(path, data, acl, ephemeral, parent_cversion):
            flag = str(ephemeral).lower()
            return f"{text_of(path)},{text_of(data)},{_acls(acl)},{flag},{parent_cversion}"
        case CreateContainerTxn(path, data, acl, parent_cversion):
            return f"{text_of(path)},{text_of(data)},{_acls(acl)},{parent_cversion}"
        case CreateTTLTxn(path, data, acl, parent_cversion, ttl_ms):
            return f"{text_of(path)},{text_of(data)},{_acls(acl)},{parent_cversion},{ttl_ms}"
        case SetDataTxn(path, data, version):
            return f"{text_of(path)},{text_of(data)},{version}"
        case MultiTxn(txns):
            return ";".join(f"{java_name(member.type)}:{text_of(member.data)}" for member in txns)
        case _:
            return _jute_text(record)


def _acls(acl: list[ACL] | None) -> str:
    if acl is None:
        return "null"
    entries = (f"{entry.perms},s{{{_string(entry.scheme)},{_string(entry.id)}}}\n" for entry in acl)
    return f"[{', '.join(entries)}]"


def _jute_text(record: Record) -> str:
    """Java's toString of a generated record, which ends with a line end."""
    match record:
        case DeleteTxn(path):
            return f"{_string(path)}\n"
        case SetACLTxn(path, acl, version):
            entries = (f"s{{{entry.perms},s{{{_string(entry.scheme)},{_string(entry.id)}}}}}" for entry in acl or [])
            return f"{_string(path)},v{{{','.join(entries)}}},{version}\n"
        case CloseSessionTxn(None):
            return ""
        case CloseSessionTxn(paths):
            return f"v{{{','.join(_string(path) for path in paths or [])}}}\n"
        case CreateSessionTxn(number) | ErrorTxn(number):
            return f"{number}\n"
        case _:
            return repr(record)


def _string(raw: bytes | None) -> str:
    return "" if raw is None else f"'{text_of(raw).translate(ESCAPES)}"


# Recovery and chopping


class Target:
    """A new log file, which has its name only when it is finished; leaving the block before that leaves no file."""

    def __init__(self, disk: Disk, path: str) -> None:
        self.disk = disk
        self.path = path
        self.directory, name = split(path)
        self.temporary = f"{self.directory}/{name}{TEMPORARY_SUFFIX}"
        if f"{name}{TEMPORARY_SUFFIX}" in disk.names(self.directory):
            disk.remove(self.temporary)
        self.file = disk.create(self.temporary)
        self.position = 0
        self.is_finished = False

    def write(self, data: bytes) -> None:
        """Append."""
        self.file.write(self.position, data)
        self.position += len(data)

    def finish(self) -> None:
        """Make it durable and give it its name."""
        self.file.sync()
        self.file.close()
        self.disk.rename(self.temporary, self.path)
        self.disk.sync_directory(self.directory)
        self.is_finished = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.is_finished:
            self.file.close()
            self.disk.remove(self.temporary)


class Abort(Exception):  # noqa: N818 - no error: the answer to a question
    """The user does not want to go on."""


def recover(log: RawLog, advance: Advance, *, verbose: bool, yes: bool, answers: TextIO = sys.stdin) -> int:
    """Write FILE.fixed with the checksums that are wrong reckoned anew; the exit code. Raises ToolError."""
    path = f"{log.path}.fixed"
    directory, name = split(path)
    if name in log.disk.names(directory):
        raise ToolError(f"Recovery file {path} already exists or not writable")
    with Target(log.disk, path) as target:
        try:
            fixed = _copy_fixed(log, target, advance, verbose=verbose, yes=yes, answers=answers)
        except Abort:
            note("Recovery aborted.")
            return 0
        target.finish()
    say(f"Recovery file {path} has been written with {fixed} fixed CRC error(s)")
    return 0


def _copy_fixed(log: RawLog, target: Target, advance: Advance, *, verbose: bool, yes: bool, answers: TextIO) -> int:
    say(log.title())
    target.write(log.header)
    count = fixed = 0
    for record in log:
        checksum = record.checksum
        if not record.is_good:
            say(f"CRC {'FIXED' if yes else 'ERROR'} - {line(record.payload)}")
            if yes or _ask(answers):
                _require_txn(log, record)
                checksum = adler32(record.payload)
                fixed += 1
        if verbose:
            say(line(record.payload))
        _require_end(record)
        target.write(record.encode(checksum))
        advance(len(record.payload))
        count += 1
    say(f"EOF reached after {count} txns.")
    return fixed


def _require_txn(log: RawLog, record: RawRecord) -> None:
    """A checksum over something that is no txn would let a server read it, and end."""
    try:
        decode_txn(record.payload)
    except DecodeError as error:
        remedy = "a new checksum does not make it a txn; -c -z ZXID cuts the log behind the last good one"
        raise ToolError(f"{log.path} at offset {record.offset}: {error}; {remedy}") from error


def _ask(answers: TextIO) -> bool:
    while True:
        sys.stdout.write("Would you like to fix it (Yes/No/Abort) ? ")
        sys.stdout.flush()
        text = answers.readline()
        if not text or text.strip().upper().startswith("A"):
            raise Abort
        if text.strip().upper()[:1] in {"Y", "N"}:
            return text.strip().upper().startswith("Y")


def chop(log: RawLog, zxid: int, advance: Advance) -> int:
    """Write FILE.choppedZXID with the records up to `zxid`; the exit code. Raises ToolError."""
    with Target(log.disk, f"{log.path}.chopped{zxid}") as target:
        if _copy_up_to(log, target, zxid, advance):
            target.finish()
            return 0
    say(f"Got exception: Failed to chop {split(log.path)[1]}")
    return 1


def _copy_up_to(log: RawLog, target: Target, zxid: int, advance: Advance) -> bool:
    say(log.title())
    target.write(log.header)
    count, before = 0, -1
    for record in log:
        if not record.is_good:
            raise ToolError(f"CRC doesn't match {record.checksum} vs {adler32(record.payload)}")
        _require_txn(log, record)
        _require_end(record)
        found: int = TXN_HEADER.unpack_from(record.payload)[2]
        if before not in {-1, found - 1} and not follows(found, before):
            kind = "intra" if found >> 32 == before >> 32 else "inter"
            say(f"There is {kind}-epoch gap between {hexadecimal(before)} and {hexadecimal(found)}")
        if found > zxid:
            if before != zxid:
                say(f"This log does not contain zxid {hexadecimal(zxid)}")
                return False
            say(f"Chopping at {hexadecimal(zxid)} new log has {count} records")
            return True
        before = found
        target.write(record.encode(record.checksum))
        advance(len(record.payload))
        count += 1
    say(f"EOF reached after {count} txns.")
    return False
