"""Jute, the serialisation of ZooKeeper: big-endian fields one after the other, without tags or padding.

`Reader` takes fields from bytes; the `pack_*` functions make them. A record is a slots dataclass that lists the kinds
of its fields once, in `FIELDS`; encoding and decoding follow from that list.
Source: docs/protocol/client-protocol.md, "Notation" and section 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from struct import Struct
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

from pyzk.errors import DecodeError

INT32 = Struct(">i")
INT64 = Struct(">q")
NULL = b"\xff\xff\xff\xff"

STRING_MAX_DEFAULT = 2 * 0xFFFFF
"""Longest string or buffer inside a record, bytes: jute.maxbuffer plus extrasize."""

Item = TypeVar("Item")


class Reader:
    """Takes jute fields from `source[position:end]`.

    Every method raises DecodeError when its field does not fit into what is left or has a length that is not allowed.
    """

    __slots__ = ("end", "position", "source", "string_max")

    def __init__(
        self, source: bytes, position: int = 0, end: int | None = None, string_max: int = STRING_MAX_DEFAULT
    ) -> None:
        self.source = source
        self.position = position
        self.end = len(source) if end is None else end
        self.string_max = string_max

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return self.end - self.position

    def take(self, size: int) -> int:
        """Step over `size` bytes and return the offset at which they begin."""
        start = self.position
        if start + size > self.end:
            raise DecodeError(f"{size} bytes needed at offset {start}, {self.end - start} left")
        self.position = start + size
        return start

    def int32(self) -> int:
        """A signed 32-bit integer."""
        start = self.position
        if start + 4 > self.end:
            raise DecodeError(f"4 bytes needed at offset {start}, {self.end - start} left")
        self.position = start + 4
        value: int = INT32.unpack_from(self.source, start)[0]
        return value

    def int64(self) -> int:
        """A signed 64-bit integer."""
        value: int = INT64.unpack_from(self.source, self.take(8))[0]
        return value

    def boolean(self) -> bool:
        """One byte; anything but zero is true."""
        return self.source[self.take(1)] != 0

    def buffer(self) -> bytes | None:
        """A buffer or a string: length and bytes; None for length -1."""
        start = self.position + 4
        if start > self.end:
            raise DecodeError(f"4 bytes needed at offset {self.position}, {self.end - self.position} left")
        (length,) = INT32.unpack_from(self.source, self.position)
        if length == -1:
            self.position = start
            return None
        stop = start + length
        if length < 0 or length > self.string_max:
            raise DecodeError(f"unreasonable length {length} at offset {self.position}")
        if stop > self.end:
            raise DecodeError(f"{length} bytes needed at offset {start}, {self.end - start} left")
        self.position = stop
        return self.source[start:stop]

    def two_buffers(self) -> tuple[bytes | None, bytes | None]:
        """As `buffer` twice, in one step for what is plain: path and data of nearly every write begin its body."""
        source, start, end = self.source, self.position + 4, self.end
        if start <= end <= self.string_max:  # nothing in here can be too long
            (length,) = INT32.unpack_from(source, start - 4)
            first_end = start + length
            second = first_end + 4
            if length >= 0 and second <= end:
                (length,) = INT32.unpack_from(source, first_end)
                stop = second + length
                if length >= 0 and stop <= end:
                    self.position = stop
                    return source[start:first_end], source[second:stop]
        return self.buffer(), self.buffer()

    def vector(self, read: Callable[["Reader"], Item]) -> list[Item] | None:
        """A count and that many items; None for count -1, empty for any other count below one."""
        count = self.int32()
        if count == -1:
            return None
        if count > self.remaining:
            raise DecodeError(f"{count} items cannot fit into {self.remaining} bytes")
        return [read(self) for _ in range(count)]


def pack_int32(value: int) -> bytes:
    """Four bytes."""
    return INT32.pack(value)


def pack_int64(value: int) -> bytes:
    """Eight bytes."""
    return INT64.pack(value)


def pack_boolean(value: object) -> bytes:
    """One byte, 0 or 1."""
    return b"\x01" if value else b"\x00"


def pack_buffer(value: bytes | None) -> bytes:
    """Length and bytes; -1 alone for None."""
    return NULL if value is None else INT32.pack(len(value)) + value


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
    names: tuple[str, ...] = kind.__match_args__
    one_step = attrgetter(*names) if len(names) > 1 else lambda record: tuple([getattr(record, n) for n in names])
    return _GETTERS.setdefault(kind, one_step)


@dataclass(slots=True)
class Record:
    """Base of all records: fields in wire order, their kinds in `FIELDS`."""

    FIELDS: ClassVar[tuple[Field, ...]] = ()

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
