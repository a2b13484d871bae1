"""As much of DER as is needed to step through one: tag, length, contents."""

from pyzk.errors import KeyStoreError


def element(data: bytes, position: int) -> tuple[int, int]:
    """Where the contents of the element at a position begin and end. Raises KeyStoreError."""
    header = data[position : position + 2]
    if len(header) < 2:
        raise KeyStoreError("it ends in the middle of a value")
    start, length = position + 2, header[1]
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    if start + length > len(data):
        raise KeyStoreError("it ends in the middle of a value")
    return start, start + length
