"""Numbers, dates and strings as Java prints them, where Apache's tools are matched to the letter."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

Item = TypeVar("Item")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONG_MASK = (1 << 64) - 1
HASH_SET_CAPACITY, HASH_MAP_CAPACITY = 8, 16
"""What DataNode's set of children and the map of sessions begin with."""
PROPERTIES_CAPACITY = 16
"""What java.util.Properties begins with."""


def hexadecimal(number: int) -> str:
    """Long.toHexString: without 0x, negative numbers as 64 bits."""
    return f"{number & LONG_MASK:x}"


def padded_hexadecimal(number: int) -> str:
    """The format %#016x: 0x and at least 14 digits."""
    return f"0x{number & LONG_MASK:014x}"


def local_time(time_ms: int) -> datetime | None:
    """A time in the machine's zone; None if it is beyond what a calendar holds (damaged files)."""
    try:
        return (EPOCH + timedelta(milliseconds=time_ms)).astimezone()
    except (OverflowError, ValueError, OSError):
        return None


def date(time_ms: int) -> str:
    """Date.toString: `Sun Nov 22 20:13:04 UTC 2026`."""
    time = local_time(time_ms)
    return f"{time:%a %b %d %H:%M:%S} {time.tzname()} {time.year}" if time else f"{time_ms} ms since 1970"


def short_date(time_ms: int) -> str:
    """DateFormat SHORT and LONG of an American machine: `11/22/26, 8:10:13 PM UTC`."""
    time = local_time(time_ms)
    if time is None:
        return f"{time_ms} ms since 1970"
    return f"{time.month}/{time.day}/{time:%y}, {_clock(time)} {time.tzname()}"


def medium_date(time_ms: int) -> str:
    """DateFormat MEDIUM of an American machine: `Nov 22, 2026, 8:18:40 PM`."""
    time = local_time(time_ms)
    return f"{time:%b} {time.day}, {time.year}, {_clock(time)}" if time else f"{time_ms} ms since 1970"


def _clock(time: datetime) -> str:
    return f"{time.hour % 12 or 12}:{time:%M:%S %p}"


def text_of(data: bytes | None) -> str:
    """UTF-8; what is none becomes U+FFFD, null the empty text."""
    return (data or b"").decode("utf-8", "replace")


def string_order(text: str) -> bytes:
    """Key that sorts as String.compareTo does: by UTF-16 units."""
    return text.encode("utf-16-be", "surrogatepass")


def string_hash(text: str) -> int:
    """String.hashCode, as 32 unsigned bits."""
    units = string_order(text)
    value = 0
    for at in range(0, len(units), 2):
        value = (31 * value + (units[at] << 8 | units[at + 1])) & 0xFFFFFFFF
    return value


def long_hash(number: int) -> int:
    """Long.hashCode, as 32 unsigned bits."""
    number &= LONG_MASK
    return (number ^ number >> 32) & 0xFFFFFFFF


def hash_order(hashed: Iterable[tuple[int, Item]], capacity: int) -> list[Item]:
    """The order in which a HashMap that began with `capacity` iterates over what was put in, in this order."""
    items = list(hashed)
    while len(items) > capacity * 3 // 4:
        capacity *= 2
    # Resizing keeps the order within a bucket, so the sort is stable.
    return [item for _, item in sorted(items, key=lambda pair: (pair[0] ^ pair[0] >> 16) & capacity - 1)]
