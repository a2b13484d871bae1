"""What the session machine asks its shell to do, in list order, and the states it can be in."""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pyzk.client.hosts import Address
from pyzk.codec.opcodes import EventType
from pyzk.codec.record import Record
from pyzk.codec.records import ReplyHeader
from pyzk.errors import PyzkError


class State(Enum):
    """What a user may know of a session. The last three are final."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    CONNECTED_READ_ONLY = "connected_read_only"
    EXPIRED = "expired"
    AUTH_FAILED = "auth_failed"
    CLOSED = "closed"

    @property
    def final(self) -> bool:
        """True when nothing can come after it."""
        return self in {State.EXPIRED, State.AUTH_FAILED, State.CLOSED}

    @property
    def connected(self) -> bool:
        """True while requests are sent at once."""
        return self in {State.CONNECTED, State.CONNECTED_READ_ONLY}


@dataclass(slots=True)
class Notification:
    """A watch that fired. `path` is the client's (without chroot); `zxid` is -1 for a catch-up after a reconnect.

    Type NONE is about the session: it has ended, or it has come back and persistent watches may have missed something.
    """

    type: EventType
    path: bytes
    zxid: int


@dataclass(slots=True)
class Connect:
    """Open a connection, then call `opened` or `lost`."""

    address: Address


@dataclass(slots=True)
class Send:
    """Send bytes on the open connection."""

    data: bytes


@dataclass(slots=True)
class Disconnect:
    """Drop the connection, or the attempt to open it; report nothing more of it, neither bytes nor its end."""

    reason: str


@dataclass(slots=True)
class Answered:
    """The request with this token succeeded."""

    token: Any
    header: ReplyHeader
    reply: Record


@dataclass(slots=True)
class RawAnswered:
    """The raw request with this token was answered, well or not: see `header.err`."""

    token: Any
    header: ReplyHeader
    body: bytes


@dataclass(slots=True)
class Failed:
    """The request with this token failed."""

    token: Any
    error: PyzkError


@dataclass(slots=True)
class Notified:
    """Tell these watchers. Also comes when nobody is left to be told."""

    notification: Notification
    watchers: tuple[Hashable, ...]


@dataclass(slots=True)
class StateChanged:
    """The session went into another state."""

    state: State


@dataclass(slots=True)
class Probe:
    """Ask this server whether it serves writes (`isro`); if so, call `found_writable`. No need to tell otherwise."""

    address: Address


Effect = Connect | Send | Disconnect | Answered | RawAnswered | Failed | Notified | StateChanged | Probe
