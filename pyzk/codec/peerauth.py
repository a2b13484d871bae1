"""The packets in which servers authenticate themselves to each other, ahead of everything else on a link.

Source: docs/protocol/election.md section 2.5.
"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from pyzk.codec.jute import pack_buffer
from pyzk.errors import DecodeError

MAGIC = bytes.fromhex("5f2435013501edcc")
HEAD = Struct(">8sii")
"""Magic, status, length of the token."""


class Status(IntEnum):
    """Where the sender stands."""

    IN_PROGRESS = 0
    SUCCESS = 1
    ERROR = -1


@dataclass(slots=True)
class AuthPacket:
    """One token; a null token is read as an empty one."""

    status: Status
    token: bytes | None

    def encode(self) -> bytes:
        """The bytes; packets have no frame."""
        return MAGIC + self.status.to_bytes(4, "big", signed=True) + pack_buffer(self.token)


def read_auth_packet(data: bytes, token_bytes_max: int) -> tuple[AuthPacket, int] | None:
    """The packet at the beginning of `data`, and its size; None while it is not all there. Raises DecodeError."""
    if not MAGIC.startswith(data[:8]) and not data.startswith(MAGIC):
        raise DecodeError("no authentication packet")
    if len(data) < HEAD.size:
        return None
    _, status, length = HEAD.unpack_from(data)
    if not -1 <= length <= token_bytes_max:
        raise DecodeError(f"a token of {length} bytes")
    size = HEAD.size + max(0, length)
    if len(data) < size:
        return None
    try:
        return AuthPacket(Status(status), data[HEAD.size : size]), size
    except ValueError as error:
        raise DecodeError(f"status {status}") from error
