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

    __slots__ = ("_pending", "frame_bytes_max")

    def __init__(self, frame_bytes_max: int | None = JUTE_MAX_BUFFER_DEFAULT) -> None:
        self.frame_bytes_max = frame_bytes_max
        self._pending = b""

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._pending)

    def feed(self, data: bytes) -> list[bytes]:
        """Bodies of all frames completed by `data`. Raises FrameError for a length that is not allowed."""
        source = self._pending + data if self._pending else data
        bodies = []
        position, end = 0, len(source)
        while end - position >= 4:
            length: int = INT32.unpack_from(source, position)[0]
            if length < 0 or (self.frame_bytes_max is not None and length > self.frame_bytes_max):
                raise FrameError(f"frame length {length}, allowed is 0 to {self.frame_bytes_max}")
            if end - position - 4 < length:
                break
            bodies.append(source[position + 4 : position + 4 + length])
            position += 4 + length
        self._pending = source[position:]
        return bodies
