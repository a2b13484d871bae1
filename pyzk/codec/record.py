"""What a record of the protocol is: a slots dataclass that lists the kinds of its fields once, in `FIELDS`.

Encoding and decoding follow from that list. Source: docs/protocol/client-protocol.md, "Notation" and section 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple, Self

from pyzk.codec.jute import INT32, NULL, Reader, pack_boolean, pack_buffer, pack_int32, pack_int64


class Field(NamedTuple):
    """How one field of a record is read and written."""

    read: Callable[[Reader], Any]
    write: Callable[[Any], bytes]


INT = Field(Reader.int32, pack_int32)
LONG = Field(Reader.int64, pack_int64)
BOOL = Field(Reader.boolean, pack_boolean)
BUFFER = Field(Reader.buffer, pack_buffer)
STRING = BUFFER
"""Strings stay raw UTF-8 bytes, so they are read as buffers are."""


def vector_of(item: Field) -> Field:
    """A vector whose items are of one kind; None is the null vector."""

    def write(values: list[Any] | None) -> bytes:
        if values is None:
            return NULL
        return INT32.pack(len(values)) + b"".join(map(item.write, values))

    return Field(lambda reader: reader.vector(item.read), write)


_GETTERS: dict[type, Callable[[Any], tuple[Any, ...]]] = {}
"""How the values of a record are had in one step, by class."""


def _getter_of(kind: "type[Record]") -> Callable[[Any], tuple[Any, ...]]:
    names: tuple[str, ...] = getattr(kind, "__match_args__")  # noqa: B009 - not known of a class that is compiled
    one_step = attrgetter(*names) if len(names) > 1 else lambda record: tuple([getattr(record, n) for n in names])
    return _GETTERS.setdefault(kind, one_step)


@dataclass(slots=True)
class Record:
    """Base of all records: fields in wire order, their kinds in `FIELDS`, a tuple of `Field`.

    In quotes and Any: compiled by mypyc, dataclasses takes it for a field otherwise.
    """

    FIELDS: "ClassVar[Any]" = ()

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Take one record from `reader`; bytes behind it stay unread. Raises DecodeError."""
        return cls(*[field.read(reader) for field in cls.FIELDS])

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Decode one record from the start of `data`. Raises DecodeError."""
        return cls.decode(Reader(data))

    def encode(self) -> bytes:
        """The record's bytes."""
        kind = type(self)
        values = (_GETTERS.get(kind) or _getter_of(kind))(self)
        return b"".join([field.write(value) for field, value in zip(self.FIELDS, values, strict=True)])

    @classmethod
    def field(cls) -> Field:
        """This record as a field of another one."""
        return Field(cls.decode, cls.encode)
