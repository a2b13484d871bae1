"""Connections on which nobody speaks as clients of ZooKeeper do: other protocols, broken frames, requests made up.

Whoever speaks nonsense is sent away, and nobody else notices. Source: docs/protocol/client-protocol.md sections 1 to 3.
"""

from __future__ import annotations

from random import Random
from struct import Struct
from typing import TYPE_CHECKING

from pyzk.codec.framing import frame
from pyzk.codec.opcodes import CreateMode, OpCode
from pyzk.codec.records import ConnectRequest
from pyzk.codec.requests import (
    AuthRequest,
    CreateRequest,
    CreateTTLRequest,
    EmptyRequest,
    MultiRequest,
    PathRequest,
    PathTypeRequest,
    PathVersionRequest,
    PathWatchRequest,
    SaslRequest,
    SetDataRequest,
    SetWatchesRequest,
)
from pyzk.sim.sequence import require
from pyzk.sim.txns import OPEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.codec.record import Record
    from pyzk.sim.member_host import MemberHost
    from pyzk.sim.world import World

PAUSE_SECONDS = 2.0
PATIENCE_SECONDS = 30.0
"""Longer than any server is stopped."""
STAY_SECONDS = 4.0
HEAD = Struct(">ii")
TIMEOUT_MS = 4000

CONNECT = frame(ConnectRequest(0, 0, TIMEOUT_MS, 0, bytes(16), read_only=False).encode())
GREETINGS = (
    b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a client's hello of TLS",
    b"\x7f\xff\xff\xff and so on",
    bytes(8),
    frame(b"too short"),
    frame(ConnectRequest(0, 0, TIMEOUT_MS, 4711, b"wrong password!!", read_only=False).encode()),
    frame(ConnectRequest(0, 1 << 62, TIMEOUT_MS, 0, bytes(16), read_only=True).encode()),
)
"""Upon which a server hangs up."""


def _request(opcode: int, record: Record | bytes, xid: int = 1) -> bytes:
    return frame(HEAD.pack(xid, opcode) + (record if isinstance(record, bytes) else record.encode()))


FATAL = (
    _request(77, b""),
    _request(OpCode.CREATE_SESSION, b"\0\0\0\0"),
    _request(OpCode.DELETE_CONTAINER, PathRequest(b"/a")),
    _request(OpCode.AUTH, b"\1", xid=-4),
    _request(OpCode.AUTH, AuthRequest(0, b"nobody", b"knows"), xid=-4),
    _request(OpCode.AUTH, AuthRequest(0, b"digest", None), xid=-4),
    _request(OpCode.AUTH, AuthRequest(0, b"ensemble", b"theirs"), xid=-4),
    _request(OpCode.SASL, SaslRequest(None)),
    _request(OpCode.SASL, b""),
    b"\x00\x00\x00\x04long",
    b"\x7f\xff\xff\xff",
    b"".join(_request(OpCode.EXISTS, PathWatchRequest(b"/a/%d" % number, watch=True)) for number in range(200)),
)
"""In a session: the server hangs up."""
_STEP = CreateRequest(b"/a/n0", b"", OPEN, CreateMode.PERSISTENT)
ODD = (
    _request(OpCode.CREATE, b"\0\0"),
    _request(OpCode.SET_DATA, b"\0\0\0\1"),
    _request(OpCode.GET_DATA, b"\0"),
    _request(OpCode.GET_DATA, b"\xff\xff\xff\xff\0"),
    _request(OpCode.EXISTS, b"\0\0\0\x09/\0"),
    _request(OpCode.GET_CHILDREN, PathWatchRequest(None, watch=True)),
    _request(OpCode.MULTI, b"\0\0\0\1"),
    _request(OpCode.MULTI, MultiRequest([(OpCode.GET_DATA, PathWatchRequest(b"/a", watch=False))])),
    _request(OpCode.MULTI, MultiRequest([(OpCode.CREATE, CreateRequest(b"/a/x", b"", None, CreateMode.PERSISTENT))])),
    _request(OpCode.MULTI, MultiRequest([(OpCode.CREATE, CreateRequest(b"/a/x", b"", OPEN, 9))])),
    _request(OpCode.MULTI, MultiRequest([(OpCode.CREATE, _STEP), (OpCode.DELETE, PathVersionRequest(None, 0))])),
    _request(OpCode.CREATE, CreateRequest(b"/a/x", b"", OPEN, 9)),
    _request(OpCode.CREATE, CreateRequest(None, b"", OPEN, CreateMode.PERSISTENT)),
    _request(OpCode.CREATE, CreateRequest(b"/zookeeper/quota/zookeeper_limits", b"count=1", OPEN, 0)),
    _request(OpCode.CREATE, CreateRequest(b"/zookeeper/quota/a/zookeeper_stats", b"nonsense", OPEN, 0)),
    _request(OpCode.SET_DATA, SetDataRequest(b"/zookeeper/quota/a/zookeeper_stats", b"nonsense", -1)),
    _request(OpCode.CREATE_TTL, CreateTTLRequest(b"/a/x", b"", OPEN, CreateMode.PERSISTENT, -1)),
    _request(OpCode.CREATE_TTL, CreateTTLRequest(b"/a/x", b"", OPEN, CreateMode.PERSISTENT_WITH_TTL, -5)),
    _request(OpCode.ADD_WATCH, PathTypeRequest(b"/a", 7)),
    _request(OpCode.CHECK_WATCHES, PathTypeRequest(b"/a", 9)),
    _request(OpCode.CHECK_WATCHES, PathTypeRequest(b"/a", 1)),
    _request(OpCode.SET_WATCHES, SetWatchesRequest(0, None, None, None), xid=-8),
    _request(OpCode.SASL, SaslRequest(b"charset=utf-8")),
    _request(OpCode.SASL, SaslRequest(b"no list")),
    _request(OpCode.WHO_AM_I, EmptyRequest()),
    _request(OpCode.SYNC, b"\0"),
    _request(OpCode.PING, b"", xid=-2),
    _request(OpCode.RECONFIG, b""),
)
"""In a session: they are answered, with errors mostly, and perhaps the server hangs up."""


class Strangers:
    """Come to the servers of a world one after the other.

    Attributes:
        is_over: nobody comes any more.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_over = False
        self.rng = Random(f"{world.seed} strangers")
        self._next()

    def _next(self) -> None:
        self.world.after(self.rng.expovariate(1 / PAUSE_SECONDS), self._come)

    def _come(self) -> None:
        if self.is_over:
            return
        host = self.rng.choice(list(self.world.member_hosts.values()))
        if host.is_up:
            self.world.tally["strangers"] += 1
            Stranger(self.world, host, self.rng)
        self._next()


class Stranger:
    """One connection of somebody whom nobody knows."""

    def __init__(self, world: World, host: MemberHost, rng: Random) -> None:
        self.world = world
        self.host = host
        self.boot = host.boot
        self.rng = rng
        self.connection = world.new_connection()
        self.is_closed = False
        host.connect(self.connection, self)
        if rng.random() < 0.4:
            self._send(rng.choice(GREETINGS), is_fatal=True)
        else:
            self._send(CONNECT)
        self._later(STAY_SECONDS, self._leave)

    def _later(self, mean_seconds: float, action: Callable[[], None]) -> None:
        self.world.after(self.rng.expovariate(1 / mean_seconds), action)

    def _send(self, data: bytes, *, is_fatal: bool = False) -> None:
        """Sometimes in pieces."""
        if self.rng.random() < 0.3 and len(data) > 1:
            cut = self.rng.randrange(1, len(data))
            self.host.hear_client(self.connection, data[:cut])
            data = data[cut:]
        self.host.hear_client(self.connection, data)
        if is_fatal:
            self.world.after(PATIENCE_SECONDS, self._check_closed)

    def _leave(self) -> None:
        if not self.is_closed and self.rng.random() < 0.5:
            self.is_closed = True
            self.host.lose_client(self.connection)

    def _check_closed(self) -> None:
        """Unless the server has ended, or stands still."""
        is_same = self.host.boot == self.boot and self.host.is_up and not self.host.is_frozen
        is_heard = is_same and self.connection in self.host.clients and not self.is_closed
        require(not is_heard, "who speaks nonsense is sent away", f"server {self.host.server_id}, {self.connection}")

    # What the server does.

    def hears(self, connection: int, data: bytes) -> None:  # noqa: ARG002
        """The session is there, or something is answered: ask for more."""
        if not self.is_closed:
            self._later(0.2, self._ask)

    def _ask(self) -> None:
        if self.is_closed:
            return
        if self.rng.random() < 0.15:
            self._send(self.rng.choice(FATAL), is_fatal=True)
        else:
            self._send(b"".join(self.rng.choices(ODD, k=self.rng.randrange(1, 4))))

    def closed(self, connection: int) -> None:  # noqa: ARG002
        """It has hung up."""
        self.is_closed = True

    def session_on(self, connection: int) -> int:  # noqa: ARG002
        """No session that anybody relies on."""
        return 0
