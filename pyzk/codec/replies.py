"""Reply records, one per opcode, and the table that finds them.

Source: docs/protocol/client-protocol.md sections 4 and 6.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import OpCode
from pyzk.codec.record import BUFFER, INT, STRING, Record, vector_of
from pyzk.codec.records import ACL, ACLS, STRINGS, ClientInfo, Stat
from pyzk.codec.requests import MULTI_END, MultiHeader
from pyzk.errors import DecodeError

STAT = Stat.field()


@dataclass(slots=True)
class EmptyReply(Record):
    """Replies that are a header alone."""


@dataclass(slots=True)
class PathReply(Record):
    """create and sync: the path."""

    FIELDS: "ClassVar[Any]" = (STRING,)
    path: bytes | None


@dataclass(slots=True)
class PathStatReply(Record):
    """create2, createContainer, createTTL: the final path and the Stat of the new znode."""

    FIELDS: "ClassVar[Any]" = (STRING, STAT)
    path: bytes | None
    stat: Stat


@dataclass(slots=True)
class StatReply(Record):
    """exists, setData, setACL: the Stat."""

    FIELDS: "ClassVar[Any]" = (STAT,)
    stat: Stat


@dataclass(slots=True)
class DataReply(Record):
    """getData and reconfig: data and Stat."""

    FIELDS: "ClassVar[Any]" = (BUFFER, STAT)
    data: bytes | None
    stat: Stat


@dataclass(slots=True)
class AclReply(Record):
    """getACL: the list and the Stat."""

    FIELDS: "ClassVar[Any]" = (ACLS, STAT)
    acl: list[ACL] | None
    stat: Stat


@dataclass(slots=True)
class ChildrenReply(Record):
    """getChildren: names without path, in no particular order."""

    FIELDS: "ClassVar[Any]" = (STRINGS,)
    children: list[bytes] | None


@dataclass(slots=True)
class Children2Reply(Record):
    """getChildren2: names and Stat."""

    FIELDS: "ClassVar[Any]" = (STRINGS, STAT)
    children: list[bytes] | None
    stat: Stat


@dataclass(slots=True)
class EphemeralsReply(Record):
    """getEphemerals: paths of the session's ephemeral znodes."""

    FIELDS: "ClassVar[Any]" = (STRINGS,)
    paths: list[bytes] | None


@dataclass(slots=True)
class CountReply(Record):
    """getAllChildrenNumber: how many descendants."""

    FIELDS: "ClassVar[Any]" = (INT,)
    count: int


@dataclass(slots=True)
class ErrorReply(Record):
    """addWatch (always 0) and the failed op of a multi."""

    FIELDS: "ClassVar[Any]" = (INT,)
    err: int


@dataclass(slots=True)
class SaslReply(Record):
    """sasl: the server's token."""

    FIELDS: "ClassVar[Any]" = (BUFFER,)
    token: bytes | None


@dataclass(slots=True)
class WhoAmIReply(Record):
    """whoAmI: identities of the connection."""

    FIELDS: "ClassVar[Any]" = (vector_of(ClientInfo.field()),)
    identities: list[ClientInfo] | None


@dataclass(slots=True)
class MultiReply(Record):
    """multi and multiRead: (opcode, record) pairs; opcode -1 with an ErrorReply for an op that failed."""

    results: list[tuple[int, Record]] = field(default_factory=list)

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Take results up to the end mark. Raises DecodeError."""
        results: list[tuple[int, Record]] = []
        header = MultiHeader.decode(reader)
        while not header.done:
            kind = MULTI_REPLIES.get(header.type)
            if kind is None:
                raise DecodeError(f"result of opcode {header.type} inside a multi")
            results.append((header.type, kind.decode(reader)))
            header = MultiHeader.decode(reader)
        return cls(results)

    def encode(self) -> bytes:
        """The results, each behind its header, and the end mark."""
        parts = []
        for opcode, record in self.results:
            err = record.err if isinstance(record, ErrorReply) else 0
            parts.append(MultiHeader(opcode, done=False, err=err).encode() + record.encode())
        return b"".join(parts) + MULTI_END.encode()


REPLIES: dict[int, type[Record]] = {
    OpCode.CREATE: PathReply,
    OpCode.DELETE: EmptyReply,
    OpCode.EXISTS: StatReply,
    OpCode.GET_DATA: DataReply,
    OpCode.SET_DATA: StatReply,
    OpCode.GET_ACL: AclReply,
    OpCode.SET_ACL: StatReply,
    OpCode.GET_CHILDREN: ChildrenReply,
    OpCode.SYNC: PathReply,
    OpCode.PING: EmptyReply,
    OpCode.GET_CHILDREN2: Children2Reply,
    OpCode.CHECK: EmptyReply,
    OpCode.MULTI: MultiReply,
    OpCode.CREATE2: PathStatReply,
    OpCode.RECONFIG: DataReply,
    OpCode.CHECK_WATCHES: EmptyReply,
    OpCode.REMOVE_WATCHES: EmptyReply,
    OpCode.CREATE_CONTAINER: PathStatReply,
    OpCode.DELETE_CONTAINER: EmptyReply,
    OpCode.CREATE_TTL: PathStatReply,
    OpCode.MULTI_READ: MultiReply,
    OpCode.AUTH: EmptyReply,
    OpCode.SET_WATCHES: EmptyReply,
    OpCode.SASL: SaslReply,
    OpCode.GET_EPHEMERALS: EphemeralsReply,
    OpCode.GET_ALL_CHILDREN_NUMBER: CountReply,
    OpCode.SET_WATCHES2: EmptyReply,
    OpCode.ADD_WATCH: ErrorReply,
    OpCode.WHO_AM_I: WhoAmIReply,
    OpCode.CLOSE_SESSION: EmptyReply,
}

MULTI_REPLIES: dict[int, type[Record]] = {
    OpCode.ERROR: ErrorReply,
    **{
        opcode: REPLIES[opcode]
        for opcode in (
            OpCode.CREATE,
            OpCode.CREATE2,
            OpCode.DELETE,
            OpCode.SET_DATA,
            OpCode.CHECK,
            OpCode.GET_DATA,
            OpCode.GET_CHILDREN,
        )
    },
}
