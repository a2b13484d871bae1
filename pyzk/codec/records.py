"""Records shared by requests, replies and txns: headers, the handshake, ACL entries, Stat, watch events.

Source: docs/protocol/client-protocol.md sections 2, 3, 4 and 7.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Any, ClassVar, Self

from pyzk.codec.jute import Reader, pack_boolean, pack_buffer
from pyzk.codec.record import BUFFER, INT, LONG, STRING, Field, Record, vector_of


@dataclass(slots=True)
class ACL(Record):
    """One entry of an access control list."""

    FIELDS: "ClassVar[Any]" = (INT, STRING, STRING)
    perms: int
    scheme: bytes | None
    id: bytes | None


def open_acl() -> list[ACL]:
    """A new list that allows everything to everybody (`world:anyone:cdrwa`)."""
    return [ACL(31, b"world", b"anyone")]


_ANY_ACLS = vector_of(ACL.field())

OPEN_ACL = open_acl()
"""The open list that decoding gives out, always the same one, never to be changed: nearly every create carries it, so
it is worth being recognised without a look inside."""
OPEN_ACL_BYTES = _ANY_ACLS.write(OPEN_ACL)


def _read_acls(reader: Reader) -> list[ACL] | None:
    start = reader.position
    stop = start + len(OPEN_ACL_BYTES)
    if reader.source[start:stop] == OPEN_ACL_BYTES and stop <= reader.end:
        reader.position = stop
        return OPEN_ACL
    acls: list[ACL] | None = _ANY_ACLS.read(reader)
    return acls


def _write_acls(acls: list[ACL] | None) -> bytes:
    return OPEN_ACL_BYTES if acls is OPEN_ACL else _ANY_ACLS.write(acls)


ACLS = Field(_read_acls, _write_acls)
STRINGS = vector_of(STRING)


@dataclass(slots=True)
class Stat(Record):
    """What a client sees of a znode besides its data; 68 bytes. Times in ms since 1970."""

    FIELDS: "ClassVar[Any]" = (LONG, LONG, LONG, LONG, INT, INT, INT, LONG, INT, INT, LONG)
    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    ephemeral_owner: int
    data_length: int
    num_children: int
    pzxid: int


@dataclass(slots=True)
class RequestHeader(Record):
    """First eight bytes of every request after the handshake."""

    FIELDS: "ClassVar[Any]" = (INT, INT)
    xid: int
    type: int


@dataclass(slots=True)
class ReplyHeader(Record):
    """First sixteen bytes of every reply; with `err` other than 0 there is no body."""

    FIELDS: "ClassVar[Any]" = (INT, LONG, INT)
    xid: int
    zxid: int
    err: int


@dataclass(slots=True)
class WatcherEvent(Record):
    """Body of a notification (xid -1)."""

    FIELDS: "ClassVar[Any]" = (INT, INT, STRING)
    type: int
    state: int
    path: bytes | None


@dataclass(slots=True)
class ClientInfo(Record):
    """One identity of a connection, as whoAmI shows it."""

    FIELDS: "ClassVar[Any]" = (STRING, STRING)
    scheme: bytes | None
    user: bytes | None


@dataclass(slots=True)
class ReadOnlyTail(Record):
    """A record of the handshake: behind its fields a readOnly byte, which clients up to 3.3 do not know."""

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Take the fields, and the byte if there is one. Raises DecodeError."""
        values = [field.read(reader) for field in cls.FIELDS]
        if reader.remaining:
            values.append(reader.boolean())
        return cls(*values)

    def encode(self) -> bytes:
        """The record's bytes, without the byte when the last value is None."""
        names: tuple[str, ...] = getattr(type(self), "__match_args__")  # noqa: B009 - as in `record`
        *values, read_only = [getattr(self, name) for name in names]
        head = b"".join([field.write(value) for field, value in zip(self.FIELDS, values, strict=True)])
        return head if read_only is None else head + pack_boolean(read_only)


CONNECT_REQUEST_HEAD = Struct(">iqiq")
CONNECT_RESPONSE_HEAD = Struct(">iiq")


@dataclass(slots=True)
class ConnectRequest(ReadOnlyTail):
    """First frame of a client. `read_only` is None when the byte is absent."""

    FIELDS: "ClassVar[Any]" = (INT, LONG, INT, LONG, BUFFER)
    protocol_version: int
    last_zxid_seen: int
    timeout_ms: int
    session_id: int
    password: bytes | None
    read_only: bool | None = None

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Take the record; spelled out because of how often it is needed. Raises DecodeError."""
        version, last_zxid_seen, timeout_ms, session_id = CONNECT_REQUEST_HEAD.unpack_from(
            reader.source, reader.take(CONNECT_REQUEST_HEAD.size)
        )
        password = reader.buffer()
        read_only = reader.boolean() if reader.remaining else None
        return cls(version, last_zxid_seen, timeout_ms, session_id, password, read_only)


@dataclass(slots=True)
class ConnectResponse(ReadOnlyTail):
    """Answer to a ConnectRequest: `timeout_ms` 0 means that the session is not valid."""

    FIELDS: "ClassVar[Any]" = (INT, INT, LONG, BUFFER)
    protocol_version: int
    timeout_ms: int
    session_id: int
    password: bytes | None
    read_only: bool | None = None

    def encode(self) -> bytes:
        """The record's bytes; spelled out because of how often it is needed."""
        head = CONNECT_RESPONSE_HEAD.pack(self.protocol_version, self.timeout_ms, self.session_id)
        tail = b"" if self.read_only is None else pack_boolean(self.read_only)
        return head + pack_buffer(self.password) + tail
