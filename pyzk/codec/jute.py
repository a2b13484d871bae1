"""Jute, the serialisation of ZooKeeper: big-endian fields one after the other, without tags or padding.

`Reader` takes fields from bytes; the `pack_*` functions make them. Records are made of them (`record`).
Source: docs/protocol/client-protocol.md, "Notation" and section 1.
"""

from collections.abc import Callable
from struct import Struct
from typing import TypeVar

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

    def two_buffers_and_int32(self) -> tuple[bytes | None, bytes | None, int]:
        """As `two_buffers` and `int32`, in one step for what is plain: nothing else is in a setData and its txn."""
        source, start, end = self.source, self.position + 4, self.end
        if start <= end <= self.string_max:
            (length,) = INT32.unpack_from(source, start - 4)
            first_end = start + length
            second = first_end + 4
            if length >= 0 and second <= end:
                (length,) = INT32.unpack_from(source, first_end)
                stop = second + length
                if length >= 0 and stop + 4 <= end:
                    self.position = stop + 4
                    return source[start:first_end], source[second:stop], INT32.unpack_from(source, stop)[0]
        return self.buffer(), self.buffer(), self.int32()

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
