"""What servers send each other on the election port: one hello by the server that dialed, then notifications.

Source: docs/protocol/election.md sections 2.2, 2.4 and 3. All numbers are signed.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import AddressValueError, IPv6Address
from struct import Struct

from pyzk.codec.framing import FrameBuffer, frame
from pyzk.codec.jute import INT32, INT64
from pyzk.errors import DecodeError, FrameError

NOBODY = -(1 << 63)
"""What observers and non-members vote for: Long.MIN_VALUE. It never wins."""

HELLO_V1 = -65536
HELLO_V2 = -65535
HELLO_HEAD = Struct(">qqi")
"""Version, server id, length of the address text."""
ADDRESS_BYTES_MAX = 2048

FRAME_BYTES_MAX = 524_288
"""Longest notification."""
NOTIFICATION_VERSION = 2
VOTE = Struct(">iqqq")
"""State, leader, zxid, round: all that servers before 3.4 send."""
NOTIFICATION = Struct(">iqqqqii")
"""A vote, and the leader's epoch, the version and the length of the configuration."""

ADDRESS = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<name>[^\[\]:/]{1,255})):(?P<port>[0-9]{1,5})")


class ServerState(IntEnum):
    """What a server is doing."""

    LOOKING = 0
    FOLLOWING = 1
    LEADING = 2
    OBSERVING = 3


@dataclass(slots=True)
class Hello:
    """First bytes on a link: who has dialed, and where it can be dialed itself.

    Args:
        addresses: (host, port); IPv6 without brackets. None in the oldest form, which is the id alone.
    """

    server_id: int
    addresses: list[tuple[str, int]]

    def encode(self, *, multi_address: bool) -> bytes:
        """The hello with the first address, or (V2) with all of them. It must be sent in one piece."""
        assert self.addresses, "a hello names an address"
        shown = self.addresses if multi_address else self.addresses[:1]
        text = "|".join([f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in shown]).encode()
        return HELLO_HEAD.pack(HELLO_V2 if multi_address else HELLO_V1, self.server_id, len(text)) + text


def read_hello(buffer: bytes) -> tuple[Hello, int] | None:
    """The hello at the start of `buffer` and its size, or None if there is more to come. Raises DecodeError.

    Addresses that mean "any" are left out: nobody can dial them.
    """
    if len(buffer) < 8:
        return None
    (version,) = INT64.unpack_from(buffer)
    if version >= 0:
        return Hello(version, []), 8
    if version not in {HELLO_V1, HELLO_V2}:
        raise DecodeError(f"hello of version {version}, known are {HELLO_V1} and {HELLO_V2}")
    if len(buffer) < HELLO_HEAD.size:
        return None
    _, server_id, length = HELLO_HEAD.unpack_from(buffer)
    if not 0 < length <= ADDRESS_BYTES_MAX:
        raise DecodeError(f"address of {length} bytes in a hello, allowed is 1 to {ADDRESS_BYTES_MAX}")
    end = HELLO_HEAD.size + length
    if len(buffer) < end:
        return None
    return Hello(server_id, _parse_addresses(buffer[HELLO_HEAD.size : end])), end


def _parse_addresses(source: bytes) -> list[tuple[str, int]]:
    """Those of a hello that can be dialed. Raises DecodeError if any of them is no address."""
    try:
        text = source.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"address {source[:100]!r} in a hello is no UTF-8") from error
    addresses = [_parse_address(part) for part in text.split("|")]
    return [(host, port) for host, port in addresses if not _is_wildcard(host)]


def _parse_address(text: str) -> tuple[str, int]:
    """Host and port. Raises DecodeError.

    Differs from Apache: a port above 65535 is refused like any other text that is no address. There it ends the
    listener for good (docs/protocol/apache-defects.md, row 6). So is a name that no resolver takes.
    """
    match = ADDRESS.fullmatch(text)
    host = (match["v6"] or match["name"]) if match else ""
    if match is None or not host.isprintable() or " " in host:
        raise DecodeError(f"{text[:100]!r} in a hello is no host:port")
    port = int(match["port"])
    if port > 65535:
        raise DecodeError(f"port {port} in a hello, allowed is 0 to 65535")
    try:
        _ = IPv6Address(host) if match["v6"] else host.encode("idna")
    except (AddressValueError, UnicodeError) as error:
        raise DecodeError(f"{text[:100]!r} in a hello has no valid host: {error}") from error
    return host, port


def _is_wildcard(host: str) -> bool:
    """Does a host that was found valid mean any address?"""
    return host == "0.0.0.0" or (":" in host and IPv6Address(host).is_unspecified)  # noqa: S104 - compared, not bound


@dataclass(slots=True)
class Notification:
    """A server's vote.

    Args:
        state: of the sender; an unknown number is left to the receiver.
        leader: server voted for.
        zxid: last one of that server.
        round: logical clock of the sender.
        peer_epoch: current epoch of the server voted for.
        version: of the form; 2 has a configuration.
        config: text of the sender's committed configuration.
    """

    state: int
    leader: int
    zxid: int
    round: int
    peer_epoch: int
    version: int = NOTIFICATION_VERSION
    config: bytes | None = None

    def encode(self) -> bytes:
        """The frame, always in version 2; no configuration is sent as an empty one."""
        config = self.config or b""
        vote = (self.state, self.leader, self.zxid, self.round, self.peer_epoch)
        return frame(NOTIFICATION.pack(*vote, NOTIFICATION_VERSION, len(config)) + config)


def parse_notification(body: bytes) -> Notification | None:
    """The notification in a frame, by its length; None if it is to be dropped."""
    size = len(body)
    if size < VOTE.size:
        return None
    vote: tuple[int, int, int, int] = VOTE.unpack_from(body)
    if size == VOTE.size:
        return Notification(*vote, peer_epoch=vote[2] >> 32 & 0xFFFFFFFF, version=0)
    if size < 40:
        return None
    (peer_epoch,) = INT64.unpack_from(body, 28)
    # Bytes 36 to 39 of the 40 may hold a 1; it counts as 0 when votes are compared.
    version = INT32.unpack_from(body, 36)[0] if size > 40 else 0
    if version < NOTIFICATION_VERSION:
        return Notification(*vote, peer_epoch, version)
    length = INT32.unpack_from(body, 40)[0] if size >= NOTIFICATION.size else -1
    if not 0 <= length <= size - NOTIFICATION.size:
        return None
    return Notification(*vote, peer_epoch, version, body[NOTIFICATION.size : NOTIFICATION.size + length])


class NotificationReader:
    """Puts received bytes together to the bodies of notifications."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames = FrameBuffer(FRAME_BYTES_MAX)

    def feed(self, data: bytes) -> list[bytes]:
        """Bodies of the frames completed by `data`. Raises FrameError (a DecodeError) for a length not allowed."""
        bodies = self._frames.feed(data)
        if not all(bodies):
            raise FrameError(f"frame length 0, allowed is 1 to {FRAME_BYTES_MAX}")
        return bodies
