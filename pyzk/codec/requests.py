"""Request records, one per opcode, and the table that finds them.

Source: docs/protocol/client-protocol.md sections 4, 6 and 8.
"""

from dataclasses import dataclass, field
from struct import Struct
from typing import Any, ClassVar, Self

from pyzk.codec.jute import INT32, Reader
from pyzk.codec.opcodes import OpCode
from pyzk.codec.record import BOOL, BUFFER, INT, LONG, STRING, Record
from pyzk.codec.records import ACL, ACLS, STRINGS


@dataclass(slots=True)
class EmptyRequest(Record):
    """ping, whoAmI, closeSession: no body; whatever is there is ignored."""


@dataclass(slots=True)
class CreateRequest(Record):
    """create, create2 and createContainer. `flags` is a CreateMode."""

    FIELDS: "ClassVar[Any]" = (STRING, BUFFER, ACLS, INT)
    path: bytes | None
    data: bytes | None
    acl: list[ACL] | None
    flags: int

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Take the record; spelled out because of how often it is needed. Raises DecodeError."""
        path, data = reader.two_buffers()
        return cls(path, data, ACLS.read(reader), reader.int32())


@dataclass(slots=True)
class CreateTTLRequest(Record):
    """createTTL; `ttl_ms` counts from the last change of the data."""

    FIELDS: "ClassVar[Any]" = (STRING, BUFFER, ACLS, INT, LONG)
    path: bytes | None
    data: bytes | None
    acl: list[ACL] | None
    flags: int
    ttl_ms: int


@dataclass(slots=True)
class PathVersionRequest(Record):
    """delete and check: a path and the expected version, -1 for any."""

    FIELDS: "ClassVar[Any]" = (STRING, INT)
    path: bytes | None
    version: int

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Take the record; spelled out because of how often it is needed. Raises DecodeError."""
        return cls(reader.buffer(), reader.int32())


@dataclass(slots=True)
class PathWatchRequest(Record):
    """exists, getData, getChildren, getChildren2: a path and whether to leave a watch."""

    FIELDS: "ClassVar[Any]" = (STRING, BOOL)
    path: bytes | None
    watch: bool


@dataclass(slots=True)
class PathRequest(Record):
    """getACL, sync, getEphemerals, getAllChildrenNumber, deleteContainer: a path (or prefix) alone."""

    FIELDS: "ClassVar[Any]" = (STRING,)
    path: bytes | None


@dataclass(slots=True)
class SetDataRequest(Record):
    """setData; `version` -1 for any."""

    FIELDS: "ClassVar[Any]" = (STRING, BUFFER, INT)
    path: bytes | None
    data: bytes | None
    version: int

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Take the record; spelled out because of how often it is needed. Raises DecodeError."""
        path, data, version = reader.two_buffers_and_int32()
        return cls(path, data, version)


@dataclass(slots=True)
class SetACLRequest(Record):
    """setACL; `version` is compared with aversion, -1 for any."""

    FIELDS: "ClassVar[Any]" = (STRING, ACLS, INT)
    path: bytes | None
    acl: list[ACL] | None
    version: int


@dataclass(slots=True)
class PathTypeRequest(Record):
    """checkWatches, removeWatches (a WatcherType) and addWatch (an AddWatchMode)."""

    FIELDS: "ClassVar[Any]" = (STRING, INT)
    path: bytes | None
    type: int


@dataclass(slots=True)
class ReconfigRequest(Record):
    """reconfig: either joining and leaving servers or the whole new membership."""

    FIELDS: "ClassVar[Any]" = (STRING, STRING, STRING, LONG)
    joining_servers: bytes | None
    leaving_servers: bytes | None
    new_members: bytes | None
    config_id: int


@dataclass(slots=True)
class SetWatchesRequest(Record):
    """setWatches: the watches that a client had before it reconnected."""

    FIELDS: "ClassVar[Any]" = (LONG, STRINGS, STRINGS, STRINGS)
    relative_zxid: int
    data_watches: list[bytes | None] | None
    exist_watches: list[bytes | None] | None
    child_watches: list[bytes | None] | None


@dataclass(slots=True)
class SetWatches2Request(Record):
    """setWatches2: as setWatches, with the persistent ones."""

    FIELDS: "ClassVar[Any]" = (LONG, STRINGS, STRINGS, STRINGS, STRINGS, STRINGS)
    relative_zxid: int
    data_watches: list[bytes | None] | None
    exist_watches: list[bytes | None] | None
    child_watches: list[bytes | None] | None
    persistent_watches: list[bytes | None] | None
    persistent_recursive_watches: list[bytes | None] | None


@dataclass(slots=True)
class AuthRequest(Record):
    """auth: credentials of one scheme; `type` is ignored."""

    FIELDS: "ClassVar[Any]" = (INT, STRING, BUFFER)
    type: int
    scheme: bytes | None
    auth: bytes | None


@dataclass(slots=True)
class SaslRequest(Record):
    """sasl: one token of the exchange."""

    FIELDS: "ClassVar[Any]" = (BUFFER,)
    token: bytes | None


@dataclass(slots=True)
class CreateSessionRequest(Record):
    """createSession, internal: the negotiated timeout."""

    FIELDS: "ClassVar[Any]" = (INT,)
    timeout_ms: int


MULTI_HEADER = Struct(">i?i")
SET_DATA_OP = Struct(f"{MULTI_HEADER.format}i")
"""The header of an op and the length of its path."""
SET_DATA = int(OpCode.SET_DATA)


@dataclass(slots=True)
class MultiHeader(Record):
    """Stands before every op of a multi and, with `done`, behind the last."""

    FIELDS: "ClassVar[Any]" = (INT, BOOL, INT)
    type: int
    done: bool
    err: int

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Take nine bytes. Raises DecodeError."""
        return cls(*MULTI_HEADER.unpack_from(reader.source, reader.take(MULTI_HEADER.size)))

    def encode(self) -> bytes:
        """Nine bytes."""
        return MULTI_HEADER.pack(self.type, self.done, self.err)


MULTI_END = MultiHeader(-1, done=True, err=-1)


@dataclass(slots=True)
class MultiRequest(Record):
    """multi and multiRead: (opcode, record) pairs in order."""

    ops: list[tuple[int, Record]] = field(default_factory=list)

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Take ops up to the end mark, or to an opcode that no multi can hold, which comes with an EmptyRequest.

        Such a request is refused by whoever serves it: a multi as a failed txn, not as undecodable bytes.
        Raises DecodeError.
        """
        ops = _plain_sets(reader)
        source, head, size = reader.source, MULTI_HEADER.unpack_from, MULTI_HEADER.size
        opcode, done, _ = head(source, reader.take(size))
        while not done:
            kind = MULTI_REQUESTS.get(opcode)
            if kind is None:
                ops.append((opcode, EmptyRequest()))
                break
            ops.append((opcode, kind.decode(reader)))
            opcode, done, _ = head(source, reader.take(size))
        return cls(ops)

    def encode(self) -> bytes:
        """The ops, each behind its header, and the end mark."""
        parts = [MultiHeader(opcode, done=False, err=-1).encode() + record.encode() for opcode, record in self.ops]
        return b"".join(parts) + MULTI_END.encode()


def _plain_sets(reader: Reader) -> list[tuple[int, Record]]:
    """The setData that a multi begins with, each in one step because of how often it is needed, if they are plain."""
    ops: list[tuple[int, Record]] = []
    source, position, end = reader.source, reader.position, reader.end
    if end > reader.string_max:
        return ops  # something in here may be too long
    head, int32, head_size = SET_DATA_OP.unpack_from, INT32.unpack_from, SET_DATA_OP.size
    while position + head_size <= end:
        opcode, done, _, length = head(source, position)
        path_at = position + head_size
        data_at = path_at + length + 4
        if opcode != SET_DATA or done or length < 0 or data_at > end:
            break
        data_end = data_at + int32(source, data_at - 4)[0]
        if not data_at <= data_end <= end - 4:
            break
        record = SetDataRequest(source[path_at : data_at - 4], source[data_at:data_end], int32(source, data_end)[0])
        ops.append((opcode, record))
        position = data_end + 4
    reader.position = position
    return ops


REQUESTS: dict[int, type[Record]] = {
    OpCode.CREATE: CreateRequest,
    OpCode.DELETE: PathVersionRequest,
    OpCode.EXISTS: PathWatchRequest,
    OpCode.GET_DATA: PathWatchRequest,
    OpCode.SET_DATA: SetDataRequest,
    OpCode.GET_ACL: PathRequest,
    OpCode.SET_ACL: SetACLRequest,
    OpCode.GET_CHILDREN: PathWatchRequest,
    OpCode.SYNC: PathRequest,
    OpCode.PING: EmptyRequest,
    OpCode.GET_CHILDREN2: PathWatchRequest,
    OpCode.CHECK: PathVersionRequest,
    OpCode.MULTI: MultiRequest,
    OpCode.CREATE2: CreateRequest,
    OpCode.RECONFIG: ReconfigRequest,
    OpCode.CHECK_WATCHES: PathTypeRequest,
    OpCode.REMOVE_WATCHES: PathTypeRequest,
    OpCode.CREATE_CONTAINER: CreateRequest,
    OpCode.DELETE_CONTAINER: PathRequest,
    OpCode.CREATE_TTL: CreateTTLRequest,
    OpCode.MULTI_READ: MultiRequest,
    OpCode.AUTH: AuthRequest,
    OpCode.SET_WATCHES: SetWatchesRequest,
    OpCode.SASL: SaslRequest,
    OpCode.GET_EPHEMERALS: PathRequest,
    OpCode.GET_ALL_CHILDREN_NUMBER: PathRequest,
    OpCode.SET_WATCHES2: SetWatches2Request,
    OpCode.ADD_WATCH: PathTypeRequest,
    OpCode.WHO_AM_I: EmptyRequest,
    OpCode.CREATE_SESSION: CreateSessionRequest,
    OpCode.CLOSE_SESSION: EmptyRequest,
}

MULTI_REQUESTS: dict[int, type[Record]] = {
    opcode: REQUESTS[opcode]
    for opcode in (
        OpCode.CREATE,
        OpCode.CREATE2,
        OpCode.CREATE_CONTAINER,
        OpCode.CREATE_TTL,
        OpCode.DELETE,
        OpCode.SET_DATA,
        OpCode.CHECK,
        OpCode.GET_DATA,
        OpCode.GET_CHILDREN,
    )
}
"""What a multi (writes) or a multiRead (getData, getChildren) may hold; which of the two is checked by the server."""
