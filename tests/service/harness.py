"""Plays the shell for a service: proposes what is submitted, makes it durable at once or when told, carries the bytes.

A `World` is one standalone server without sockets, files or clocks; a `Client` is one connection to it, which keeps
what it was sent as parsed frames.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pyzk.codec.framing import FrameBuffer, frame
from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import XID_AUTH, XID_NOTIFICATION, OpCode
from pyzk.codec.record import Record
from pyzk.codec.records import OPEN_ACL, ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader, WatcherEvent
from pyzk.codec.requests import (
    CreateRequest,
    EmptyRequest,
    PathRequest,
    PathVersionRequest,
    PathWatchRequest,
    SetDataRequest,
)
from pyzk.service.outbox import Settings
from pyzk.service.proposer import Proposal, Proposer
from pyzk.service.service import Service
from pyzk.service.throttle import ConnectionThrottle
from pyzk.tree.acl import AccessControl
from pyzk.tree.request import Rules
from pyzk.tree.tree import Tree

FIRST_SESSION = 0x100000000000000
TIMEOUT_MS = 10_000
WALL_MS = 1_700_000_000_000


class Shell:
    """Sockets of one service, without sockets.

    Attributes:
        now: monotonic seconds.
    """

    service: Service
    now: float

    def __init__(self) -> None:
        self.clients: dict[int, Client] = {}

    def settle(self) -> None:
        """What a turn of the shell's loop does."""
        raise AssertionError("each shell has its own")

    def client(
        self, *, open_session: bool = True, address: str = "127.0.0.1", timeout_ms: int = TIMEOUT_MS
    ) -> "Client":
        """A new connection, with a session unless told otherwise."""
        number = len(self.clients) + 1
        client = self.clients[number] = Client(self, number)
        self.service.connect(number, address, self.now, WALL_MS)
        if open_session:
            client.connect(timeout_ms=timeout_ms)
        return client

    def flush(self) -> None:
        """Carry out what the service asks for."""
        outbox = self.service.outbox
        dirty, outbox.dirty = outbox.dirty, {}
        for number in dirty:
            self.clients[number].take(self.service.take(number))
        unfinished, outbox.unfinished = outbox.unfinished, {}
        for number in unfinished:
            self.service.go_on(number, self.now)
        closing, outbox.closing = outbox.closing, []
        for item in closing:
            self.clients[item.connection].closed = item.reason
            self.service.disconnect(item.connection)
        reading, outbox.reading = outbox.reading, {}
        for number, reads in reading.items():
            self.clients[number].reading = reads


class World(Shell):
    """One server. `now` is moved by the test; with `held`, nothing becomes durable before `commit`."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        held: bool = False,
        tree: Tree | None = None,
        throttle: ConnectionThrottle | None = None,
    ) -> None:
        super().__init__()
        self.tree = tree or Tree()
        access = AccessControl()
        sessions = iter(range(FIRST_SESSION, FIRST_SESSION + 10_000))
        self.service = Service(self.tree, access, settings or Settings(), lambda: next(sessions), throttle)
        self.proposer = Proposer(self.tree, Rules(access))
        self.outstanding: list[Proposal] = []
        self.held = held
        self.now = 1000.0
        self.service.start(self.now)

    def settle(self) -> None:
        """What a turn of the shell's loop does."""
        outbox = self.service.outbox
        while True:
            for request in self.service.next_requests(1000, len(self.outstanding), self.now):
                self.outstanding.append(self.proposer.propose(request, WALL_MS))
            if self.outstanding and not self.held:
                self._deliver(len(self.outstanding))
            self.flush()
            if not (outbox.submitted or outbox.dirty or outbox.unfinished) or self.outstanding:
                return

    def commit(self, count: int | None = None) -> None:
        """The first `count` txns that are under way (None: all) are durable."""
        self._deliver(len(self.outstanding) if count is None else count)
        self.settle()

    def _deliver(self, count: int) -> None:
        committed, self.outstanding = self.outstanding[:count], self.outstanding[count:]
        self.service.deliver(committed, self.now)
        self.proposer.settle(committed, is_all=not self.outstanding)

    def fail_log(self) -> None:
        """Nothing of what is under way could be written."""
        dropped, self.outstanding = self.outstanding, []
        self.proposer.drop_outstanding()
        self.service.drop_outstanding(dropped, self.now)
        self.settle()

    def tick(self, seconds: float = 0.0) -> None:
        """Let time pass, then expire sessions."""
        self.now += seconds
        self.service.tick(self.now)
        self.settle()


@dataclass
class Reply:
    """A reply frame; `body` is what follows the header."""

    xid: int
    zxid: int
    err: int
    body: bytes

    def read(self, record: type[Record]) -> Record:
        return record.from_bytes(self.body)


@dataclass
class Event:
    """A notification frame."""

    zxid: int
    type: int
    path: bytes


class Requests:
    """Makes request frames."""

    _next_xid = 1

    def request(self, opcode: int, record: Record, xid: int | None = None) -> bytes:
        """The frame of a request; xids count up unless one is given."""
        if xid is None:
            xid, self._next_xid = self._next_xid, self._next_xid + 1
        return frame(RequestHeader(xid, opcode).encode() + record.encode())

    def create(self, path: bytes, data: bytes = b"", flags: int = 0) -> bytes:
        return self.request(OpCode.CREATE, CreateRequest(path, data, OPEN_ACL, flags))

    def set_data(self, path: bytes, data: bytes, version: int = -1) -> bytes:
        return self.request(OpCode.SET_DATA, SetDataRequest(path, data, version))

    def delete(self, path: bytes) -> bytes:
        return self.request(OpCode.DELETE, PathVersionRequest(path, -1))

    def get_data(self, path: bytes, *, watch: bool = False) -> bytes:
        return self.request(OpCode.GET_DATA, PathWatchRequest(path, watch))

    def exists(self, path: bytes, *, watch: bool = False) -> bytes:
        return self.request(OpCode.EXISTS, PathWatchRequest(path, watch))

    def get_children(self, path: bytes, *, watch: bool = False) -> bytes:
        return self.request(OpCode.GET_CHILDREN, PathWatchRequest(path, watch))

    def sync(self, path: bytes = b"/") -> bytes:
        return self.request(OpCode.SYNC, PathRequest(path))

    def ping(self) -> bytes:
        return self.request(OpCode.PING, EmptyRequest(), -2)

    def close_session(self) -> bytes:
        return self.request(OpCode.CLOSE_SESSION, EmptyRequest())


class Client(Requests):
    """One connection.

    Attributes:
        frames: what it was sent since the handshake, replies and events in order.
        response: the answer to its connect request.
        closed: why the server closed it; None while it is open.
        reading: whether the server reads from it.
    """

    def __init__(self, world: Shell, number: int) -> None:
        self.world = world
        self.number = number
        self.frames: list[Reply | Event] = []
        self.response: ConnectResponse | None = None
        self.closed: str | None = None
        self.reading = True
        self.sent = b""
        self._buffer = FrameBuffer(None)

    # From the client.

    def send(self, *data: bytes) -> None:
        """Frames that arrive together, and everything that follows from them at once."""
        self.give(b"".join(data))
        self.world.settle()

    def give(self, data: bytes) -> None:
        """Bytes arrive; the shell's turn does not end yet."""
        self.world.service.receive(self.number, data, self.world.now)

    def connect(
        self,
        *,
        session_id: int = 0,
        password: bytes | None = bytes(16),
        timeout_ms: int = TIMEOUT_MS,
        last_zxid_seen: int = 0,
        read_only: bool | None = False,
    ) -> None:
        self.send(frame(ConnectRequest(0, last_zxid_seen, timeout_ms, session_id, password, read_only).encode()))

    def hang_up(self) -> None:
        self.world.service.disconnect(self.number)
        self.world.settle()

    def ask(self, encoded: bytes) -> Reply:
        """Send one request; its reply, which must come at once."""
        before = len(self.replies)
        self.send(encoded)
        assert len(self.replies) == before + 1, f"{len(self.replies) - before} replies"
        return self.replies[-1]

    # To the client.

    def take(self, data: bytes) -> None:
        self.sent += data
        for body in self._buffer.feed(data):
            if self.response is None:
                self.response = ConnectResponse.from_bytes(body)
            else:
                self.frames.append(parse_frame(body))

    @property
    def replies(self) -> list[Reply]:
        return [item for item in self.frames if isinstance(item, Reply)]

    @property
    def events(self) -> list[Event]:
        return [item for item in self.frames if isinstance(item, Event)]

    @property
    def errors(self) -> list[int]:
        return [reply.err for reply in self.replies]

    @property
    def sent_in_order(self) -> list[Reply | Event]:
        """All but the replies to auth packets, which overtake whatever is queued."""
        return [item for item in self.frames if isinstance(item, Event) or item.xid != XID_AUTH]

    @property
    def session_id(self) -> int:
        assert self.response is not None
        return self.response.session_id

    def __iter__(self) -> Iterator[Reply | Event]:
        return iter(self.frames)


def parse_frame(body: bytes) -> Reply | Event:
    """A frame without its length."""
    reader = Reader(body)
    header = ReplyHeader.decode(reader)
    rest = body[reader.position :]
    if header.xid != XID_NOTIFICATION:
        return Reply(header.xid, header.zxid, header.err, rest)
    event = WatcherEvent.from_bytes(rest)
    assert event.path is not None
    return Event(header.zxid, event.type, event.path)
