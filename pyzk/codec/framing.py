"""Frames: a 32-bit length and that many bytes, in both directions.

Source: docs/protocol/client-protocol.md section 1.
"""

from pyzk.codec.jute import INT32
from pyzk.errors import FrameError

JUTE_MAX_BUFFER_DEFAULT = 0xFFFFF
"""Longest request frame, bytes (jute.maxbuffer)."""


def frame(body: bytes) -> bytes:
    """The body with its length in front."""
    return INT32.pack(len(body)) + body


class FrameBuffer:
    """Puts received bytes together to whole frames.

    Args:
        frame_bytes_max: longest body that is accepted; None for no limit.
    """

    __slots__ = ("_missing_bytes", "_parts", "frame_bytes_max")

    def __init__(self, frame_bytes_max: int | None = JUTE_MAX_BUFFER_DEFAULT) -> None:
        self.frame_bytes_max = frame_bytes_max
        self._parts: list[bytes] = []
        self._missing_bytes = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return sum(map(len, self._parts))

    def feed(self, data: bytes) -> list[bytes]:
        """Bodies of all frames completed by `data`. Raises FrameError for a length that is not allowed."""
        if not self._parts:
            return self._split(data)
        # Pieces of a long frame are joined once, when the last is there.
        self._parts.append(data)
        self._missing_bytes -= len(data)
        if self._missing_bytes > 0:
            return []
        source = b"".join(self._parts)
        self._parts.clear()
        return self._split(source)

    def _split(self, source: bytes) -> list[bytes]:
        bodies = []
        position, end = 0, len(source)
        missing_bytes = 0
        while end - position >= 4:
            length: int = INT32.unpack_from(source, position)[0]
            if length < 0 or (self.frame_bytes_max is not None and length > self.frame_bytes_max):
                raise FrameError(f"frame length {length}, allowed is 0 to {self.frame_bytes_max}")
            missing_bytes = position + 4 + length - end
            if missing_bytes > 0:
                break
            bodies.append(source[position + 4 : position + 4 + length])
            position += 4 + length
        if position < end:
            self._parts.append(source[position:])
            self._missing_bytes = missing_bytes if end - position >= 4 else 4 - (end - position)
        return bodies
