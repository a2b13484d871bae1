"""Txns: what the log holds, what a PROPOSAL carries, and what `tree.apply` applies.

A txn is its header, a record by type, and, when digests are on, the digest of the tree after it.
Source: docs/protocol/client-protocol.md section 10, docs/protocol/storage.md section 3.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Any, ClassVar, Self

from pyzk.codec.jute import INT32, NULL, Reader, pack_buffer
from pyzk.codec.opcodes import OpCode
from pyzk.codec.record import BOOL, BUFFER, INT, LONG, Field, Record, vector_of
from pyzk.codec.records import ACL, ACLS
from pyzk.errors import DecodeError

TXN_HEADER = Struct(">qiqqi")
TIME_MS = Struct(">20xq")


def time_ms_of(payload: bytes) -> int:
    """When a txn was made, from its encoded form; 0 for what is too short to be one."""
    if len(payload) < TIME_MS.size:
        return 0
    time_ms: int = TIME_MS.unpack_from(payload)[0]
    return time_ms


TXN_DIGEST = Struct(">iQ")
CREATE_TAIL = Struct(">?i")
TYPE_AT = TXN_HEADER.size - 4
SET_DATA = int(OpCode.SET_DATA)
SET_DATA_HEAD = Struct(f"{TXN_HEADER.format}i")
"""The header of a txn and the length of its path."""
SET_DATA_TAIL = Struct(">iiQ")
"""What stands behind the data of a setData: the new version, version of the digest, digest."""
PLAIN_HEAD_SIZE, PLAIN_TAIL_SIZE = SET_DATA_HEAD.size, SET_DATA_TAIL.size
SLASH = 0x2F
DIGEST_VERSION = 2

TXN_STRING_MAX = 0x7FFFFFFF
"""Strings in a txn are limited by the record that holds them, not by jute.maxbuffer."""


def _path(found: bytes | None) -> bytes:
    """An absolute path. Txns hold no other; that it is so is what apply relies on."""
    if found is None or found[:1] != b"/":
        raise DecodeError(f"a txn changes {found!r}, which is no path")
    return found


def _read_path(reader: Reader) -> bytes:
    return _path(reader.buffer())


def _read_sub_data(reader: Reader) -> bytes:
    data = reader.buffer()
    if data is None:
        raise DecodeError("an op of a multi is null")
    return data


PATH = Field(_read_path, pack_buffer)
PATHS = vector_of(PATH)


@dataclass(slots=True)
class TxnHeader(Record):
    """Session, its cxid, zxid, leader's wall clock (ms since 1970) and type of a txn; 32 bytes."""

    FIELDS: "ClassVar[Any]" = (LONG, INT, LONG, LONG, INT)
    client_id: int
    cxid: int
    zxid: int
    time_ms: int
    type: int


@dataclass(slots=True)
class TxnDigest(Record):
    """Digest of the tree after a txn; `tree_digest` is unsigned."""

    version: int
    tree_digest: int

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Twelve bytes. Raises DecodeError."""
        return cls(*TXN_DIGEST.unpack_from(reader.source, reader.take(TXN_DIGEST.size)))

    def encode(self) -> bytes:
        """Twelve bytes."""
        return TXN_DIGEST.pack(self.version, self.tree_digest)


@dataclass(slots=True)
class CreateTxn(Record):
    """A new znode. `parent_cversion` -1 (old logs lack the field) means the parent's own plus one."""

    FIELDS: "ClassVar[Any]" = (PATH, BUFFER, ACLS, BOOL, INT)
    path: bytes
    data: bytes | None
    acl: list[ACL] | None
    ephemeral: bool
    parent_cversion: int = -1

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Take the record; the form without parentCVersion is accepted. Raises DecodeError."""
        path, data = reader.two_buffers()
        record = cls(_path(path), data, ACLS.read(reader), reader.boolean())
        if reader.remaining >= 4:
            record.parent_cversion = reader.int32()
        return record

    def encode(self) -> bytes:
        """The record's bytes; spelled out because of how often it is needed."""
        path, data = self.path, self.data
        body = NULL if data is None else INT32.pack(len(data)) + data
        tail = CREATE_TAIL.pack(self.ephemeral, self.parent_cversion)
        return b"".join((INT32.pack(len(path)), path, body, ACLS.write(self.acl), tail))


@dataclass(slots=True)
class CreateContainerTxn(Record):
    """A new container znode."""

    FIELDS: "ClassVar[Any]" = (PATH, BUFFER, ACLS, INT)
    path: bytes
    data: bytes | None
    acl: list[ACL] | None
    parent_cversion: int


@dataclass(slots=True)
class CreateTTLTxn(Record):
    """A new znode with a time to live."""

    FIELDS: "ClassVar[Any]" = (PATH, BUFFER, ACLS, INT, LONG)
    path: bytes
    data: bytes | None
    acl: list[ACL] | None
    parent_cversion: int
    ttl_ms: int


@dataclass(slots=True)
class DeleteTxn(Record):
    """delete and deleteContainer."""

    FIELDS: "ClassVar[Any]" = (PATH,)
    path: bytes

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Take the record; spelled out because of how often it is needed. Raises DecodeError."""
        return cls(_path(reader.buffer()))

    def encode(self) -> bytes:
        """The record's bytes; spelled out because of how often it is needed."""
        return INT32.pack(len(self.path)) + self.path


@dataclass(slots=True)
class SetDataTxn(Record):
    """setData and reconfig; `version` is the new one."""

    FIELDS: "ClassVar[Any]" = (PATH, BUFFER, INT)
    path: bytes
    data: bytes | None
    version: int

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Take the record; spelled out because of how often it is needed. Raises DecodeError."""
        path, data, version = reader.two_buffers_and_int32()
        return cls(_path(path), data, version)

    def encode(self) -> bytes:
        """The record's bytes; spelled out because of how often it is needed."""
        path, data = self.path, self.data
        if data is None:
            return b"".join((INT32.pack(len(path)), path, NULL, INT32.pack(self.version)))
        return b"".join((INT32.pack(len(path)), path, INT32.pack(len(data)), data, INT32.pack(self.version)))


@dataclass(slots=True)
class SetACLTxn(Record):
    """setACL; `version` is the new aversion."""

    FIELDS: "ClassVar[Any]" = (PATH, ACLS, INT)
    path: bytes
    acl: list[ACL] | None
    version: int


@dataclass(slots=True)
class CheckVersionTxn(Record):
    """check, only inside a multi; `version` is the znode's plus one."""

    FIELDS: "ClassVar[Any]" = (PATH, INT)
    path: bytes
    version: int


@dataclass(slots=True)
class CreateSessionTxn(Record):
    """A new session."""

    FIELDS: "ClassVar[Any]" = (INT,)
    timeout_ms: int

    def encode(self) -> bytes:
        """Four bytes."""
        return INT32.pack(self.timeout_ms)


@dataclass(slots=True)
class CloseSessionTxn(Record):
    """The end of a session; `paths` are its ephemeral znodes, None when the txn does not list them."""

    FIELDS: "ClassVar[Any]" = (PATHS,)
    paths: list[bytes] | None

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Take the list; None if it is not there. Raises DecodeError.

        Logs from before 3.6 end here. With `closeSessionTxn.enabled=false` Java lets the digest follow at once, which
        would read as a list of two paths.
        """
        absent = not reader.remaining or (
            reader.remaining == TXN_DIGEST.size
            and INT32.unpack_from(reader.source, reader.position)[0] == DIGEST_VERSION
        )
        return cls(None if absent else PATHS.read(reader))

    def encode(self) -> bytes:
        """The list, or nothing for None."""
        return b"" if self.paths is None else PATHS.write(self.paths)


@dataclass(slots=True)
class ErrorTxn(Record):
    """A request that failed: it takes a zxid and changes nothing."""

    FIELDS: "ClassVar[Any]" = (INT,)
    err: int


SUB_TXN_HEAD = Struct(">ii")
"""Type and length of the data."""
SET_DATA_STEP = Struct(">iii")
"""The same, and the length of its path."""
Step = tuple[int, Record]
"""One op of a multi: its type and record."""


@dataclass(slots=True)
class SubTxn(Record):
    """One op of a multi: its type and encoded record."""

    FIELDS: "ClassVar[Any]" = (INT, Field(_read_sub_data, pack_buffer))
    type: int
    data: bytes


@dataclass(slots=True)
class MultiTxn(Record):
    """All ops of a multi, applied in one step; if any is of type -1, none is applied."""

    FIELDS: "ClassVar[Any]" = (vector_of(SubTxn.field()),)
    txns: list[SubTxn]

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Take the ops; null reads as none. Raises DecodeError."""
        return cls(cls.FIELDS[0].read(reader) or [])

    @property
    def has_failed(self) -> bool:
        """Whether nothing of it is applied."""
        return any(sub.type == OpCode.ERROR for sub in self.txns)

    @property
    def types(self) -> list[int]:
        """The types of the ops."""
        return [sub.type for sub in self.txns]

    def steps(self) -> list[Step]:
        """The ops, decoded. Raises DecodeError."""
        return [(sub.type, decode_sub_txn(sub)) for sub in self.txns]


@dataclass(slots=True)
class PreparedMultiTxn(Record):
    """A MultiTxn whose ops are at hand, because they have just been prepared; one that fails is no such thing."""

    prepared: list[Step]

    @property
    def has_failed(self) -> bool:
        """Never."""
        return False

    @property
    def types(self) -> list[int]:
        """The types of the ops."""
        return [kind for kind, _ in self.prepared]

    def steps(self) -> list[Step]:
        """The ops."""
        return self.prepared

    def encode(self) -> bytes:
        """As MultiTxn; spelled out because of how often it is needed."""
        parts = [INT32.pack(len(self.prepared))]
        for kind, record in self.prepared:
            if isinstance(record, SetDataTxn) and record.data is not None:
                path, data = record.path, record.data
                length, size = len(path), len(data)
                head = SET_DATA_STEP.pack(kind, 12 + length + size, length)
                parts += (head, path, INT32.pack(size), data, INT32.pack(record.version))
            else:
                encoded = record.encode()
                parts += (SUB_TXN_HEAD.pack(kind, len(encoded)), encoded)
        return b"".join(parts)


MULTI_TXNS = (MultiTxn, PreparedMultiTxn)


TXNS: dict[int, type[Record]] = {
    OpCode.CREATE_SESSION: CreateSessionTxn,
    OpCode.CLOSE_SESSION: CloseSessionTxn,
    OpCode.ERROR: ErrorTxn,
    OpCode.CREATE: CreateTxn,
    OpCode.CREATE2: CreateTxn,
    OpCode.CREATE_CONTAINER: CreateContainerTxn,
    OpCode.CREATE_TTL: CreateTTLTxn,
    OpCode.DELETE: DeleteTxn,
    OpCode.DELETE_CONTAINER: DeleteTxn,
    OpCode.SET_DATA: SetDataTxn,
    OpCode.RECONFIG: SetDataTxn,
    OpCode.SET_ACL: SetACLTxn,
    OpCode.CHECK: CheckVersionTxn,
    OpCode.MULTI: MultiTxn,
}

SUB_TXNS: dict[int, type[Record]] = {
    opcode: kind
    for opcode, kind in TXNS.items()
    if opcode not in {OpCode.CREATE_SESSION, OpCode.CLOSE_SESSION, OpCode.RECONFIG, OpCode.SET_ACL, OpCode.MULTI}
}
"""What a multi may hold."""


@dataclass(slots=True)
class Txn(Record):
    """One txn, decoded."""

    header: TxnHeader
    record: Record
    digest: TxnDigest | None = None

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Take header, record and, if there are bytes left, the digest. Raises DecodeError."""
        header = TxnHeader(*TXN_HEADER.unpack_from(reader.source, reader.take(TXN_HEADER.size)))
        kind = TXNS.get(header.type)
        if kind is None:
            raise DecodeError(f"txn 0x{header.zxid:x} has the unknown type {header.type}")
        record = kind.decode(reader)
        return cls(header, record, TxnDigest.decode(reader) if reader.remaining >= TXN_DIGEST.size else None)

    def encode(self) -> bytes:
        """The bytes of a log record's payload and of a PROPOSAL's.

        A closeSession without its list ends with the header: Java would take a digest for the list.
        """
        header = self.header
        head = TXN_HEADER.pack(header.client_id, header.cxid, header.zxid, header.time_ms, header.type)
        body = self.record.encode()
        return head + body if self.digest is None or not body else head + body + self.digest.encode()


PlainSetData = tuple[int, int, int, int, bytes, bytes, int, int]
"""Session, cxid, zxid, time in ms, path, data, version and digest of a setData that has all of these."""


def plain_set_data(data: bytes) -> PlainSetData | None:
    """Take a setData apart in one step, because of how often it is needed; None for what needs a closer look."""
    if len(data) <= PLAIN_HEAD_SIZE:
        return None
    client_id, cxid, zxid, time_ms, kind, path_size = SET_DATA_HEAD.unpack_from(data)
    data_at = PLAIN_HEAD_SIZE + path_size + 4
    if kind != SET_DATA or path_size < 1 or data_at > len(data) - PLAIN_TAIL_SIZE or data[PLAIN_HEAD_SIZE] != SLASH:
        return None
    tail_at = data_at + INT32.unpack_from(data, data_at - 4)[0]
    if tail_at != len(data) - PLAIN_TAIL_SIZE or tail_at < data_at:
        return None
    version, digest_version, digest = SET_DATA_TAIL.unpack_from(data, tail_at)
    if digest_version != DIGEST_VERSION:
        return None
    path = data[PLAIN_HEAD_SIZE : data_at - 4]
    return client_id, cxid, zxid, time_ms, path, data[data_at:tail_at], version, digest


def decode_txn(data: bytes) -> Txn:
    """Decode one txn from the whole of `data`. Raises DecodeError."""
    plain = plain_set_data(data)
    if plain is None:
        return Txn.decode(Reader(data, string_max=TXN_STRING_MAX))
    client_id, cxid, zxid, time_ms, path, value, version, digest = plain
    header = TxnHeader(client_id, cxid, zxid, time_ms, SET_DATA)
    return Txn(header, SetDataTxn(path, value, version), TxnDigest(DIGEST_VERSION, digest))


def decode_sub_txn(sub: SubTxn) -> Record:
    """The record of one op of a multi. Raises DecodeError."""
    kind = SUB_TXNS.get(sub.type)
    if kind is None:
        raise DecodeError(f"a multi holds type {sub.type}")
    return kind.decode(Reader(sub.data, string_max=TXN_STRING_MAX))
