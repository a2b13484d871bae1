"""Compression of snapshot files: none, `gz` (one gzip stream) or `snappy` (xerial framing).

Snappy is written as literals alone unless cramjam is installed: both of Apache's versions read that, and so does
everything else. Source: docs/protocol/storage.md section 4.7.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from struct import Struct
from types import ModuleType

from pyzk.errors import DecodeError

GZIP_WINDOW_BITS = 31
# The chunks are compressed in the server's loop, so the fastest level is taken.
GZIP_LEVEL = 1
GZIP_MAGIC = b"\x1f\x8b"
XERIAL_MAGIC = b"\x82SNAPPY\x00"
XERIAL_HEADER = XERIAL_MAGIC + bytes.fromhex("00000001 00000001")
XERIAL_BLOCK_BYTES = 32 << 10
LENGTH = Struct(">i")

Stream = Callable[[Iterable[bytes]], Iterator[bytes]]


@cache
def find_cramjam() -> ModuleType | None:
    """The module of the `snappy` extra, imported by the first block; None if it is not installed."""
    try:
        return import_module("cramjam")
    except ImportError:
        return None


def plain(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """No compression."""
    yield from chunks


def gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """One gzip stream; some of the results are empty, so that work is still handed over chunk by chunk."""
    stream = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW_BITS)
    for chunk in chunks:
        yield stream.compress(chunk)
    yield stream.flush()


def snappy(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Header, then blocks of at most 32 KiB of input, each with its compressed length."""
    yield XERIAL_HEADER
    for chunk in chunks:
        starts = range(0, len(chunk), XERIAL_BLOCK_BYTES)
        blocks = [compress_block(chunk[start : start + XERIAL_BLOCK_BYTES]) for start in starts]
        yield b"".join([LENGTH.pack(len(block)) + block for block in blocks])


def compress_block(data: bytes) -> bytes:
    """A raw snappy block of at most 64 KiB: length as a varint, then elements."""
    cramjam = find_cramjam()
    if cramjam is not None:
        return bytes(cramjam.snappy.compress_raw(data))
    return _varint(len(data)) + b"\xf4" + (len(data) - 1).to_bytes(2, "little") + data


def decompress_block(block: bytes) -> bytes:
    """The content of a raw snappy block. Raises DecodeError."""
    cramjam = find_cramjam()
    if cramjam is not None:
        try:
            return bytes(cramjam.snappy.decompress_raw(block))
        except cramjam.DecompressionError as error:
            raise DecodeError(f"not a snappy block: {error}") from error
    size, position = _read_varint(block)
    data = bytearray()
    while position < len(block):
        position = _element(block, position, data)
    if len(data) != size:
        raise DecodeError(f"a snappy block of {len(data)} bytes that should have {size}")
    return bytes(data)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _read_varint(block: bytes) -> tuple[int, int]:
    number = 0
    for position, byte in enumerate(block[:5]):
        number |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return number, position + 1
    raise DecodeError("a snappy block without its length")


def _element(block: bytes, position: int, data: bytearray) -> int:
    """Take one literal or copy from the block; the position behind it is returned."""
    tag = block[position]
    kind, number = tag & 3, tag >> 2
    position += 1
    if kind == 0:
        extra = max(0, number - 59)
        length = 1 + (int.from_bytes(block[position : position + extra], "little") if extra else number)
        start = position + extra
        data += block[start : start + length]
        return start + length
    if kind == 1:
        length, extra = 4 + (number & 7), 1
        offset = (number >> 3) << 8 | int.from_bytes(block[position : position + 1], "little")
    else:
        length, extra = 1 + number, 2 if kind == 2 else 4
        offset = int.from_bytes(block[position : position + extra], "little")
    _copy(data, offset, length)
    return position + extra


def _copy(data: bytearray, offset: int, length: int) -> None:
    """Append `length` bytes from `offset` bytes back; a copy may overlap itself, then it repeats."""
    start = len(data) - offset
    if offset == 0 or start < 0:
        raise DecodeError("a snappy copy from before the start of its block")
    part = bytes(data[start : start + length])
    data += (part * (length // len(part) + 1))[:length]


def decompress(data: bytes) -> bytes:
    """The content of a snapshot file, whose first bytes tell how it is compressed. Raises DecodeError."""
    if data[:2] == GZIP_MAGIC:
        try:
            return zlib.decompress(data, GZIP_WINDOW_BITS)
        except zlib.error as error:
            raise DecodeError(f"not a whole gzip stream: {error}") from error
    if data[:8] == XERIAL_MAGIC:
        return b"".join(map(decompress_block, _blocks(data)))
    return data


def _blocks(data: bytes) -> Iterator[bytes]:
    position = len(XERIAL_HEADER)
    while position < len(data):
        if position + LENGTH.size > len(data):
            raise DecodeError("the file ends inside the length of a snappy block")
        length = LENGTH.unpack_from(data, position)[0]
        position += LENGTH.size
        if not 0 < length <= len(data) - position:
            raise DecodeError(f"a snappy block of {length} bytes where {len(data) - position} are left")
        yield data[position : position + length]
        position += length


STREAMS: dict[str, Stream] = {"": plain, "gz": gzip, "snappy": snappy}
"""By value of zookeeper.snapshot.compression.method."""
