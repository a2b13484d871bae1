"""A client of simulated servers: keeps one session, writes, and reads what it has written, here and there."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pyzk.codec.framing import FrameBuffer, frame
from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader
from pyzk.codec.requests import CreateRequest, PathRequest, PathWatchRequest
from pyzk.sim.txns import OPEN

if TYPE_CHECKING:
    from pyzk.codec.jute import Record
    from pyzk.sim.world import World


class Client:
    """One client.

    Attributes:
        asked: (xid, opcode, path) of what is not answered, in order.
        written: paths whose creation was acknowledged.
    """

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.session_id = 0
        self.password = bytes(16)
        self.asked: deque[tuple[int, int, bytes]] = deque()
        self.written: list[bytes] = []
        self._connection = 0
        self._server_id = 0
        self._xid = self._count = 0
        self._last_arrival = 0.0
        self._is_established = False
        self._frames = FrameBuffer(None)
        self._reconnect()

    def _arrival(self) -> float:
        """When what is sent now arrives, at either end: nothing overtakes."""
        self._last_arrival = max(self._last_arrival, self.world.now + self.world.rng.uniform(0.0005, 0.005))
        return self._last_arrival

    # The connection.

    def closed(self) -> None:
        """The connection has ended, behind what was sent on it: another one, to any server, after a while."""
        connection = self._connection
        self.world.at(self._arrival(), lambda: self._end(connection))

    def _end(self, connection: int) -> None:
        if connection == self._connection:
            self._is_established = False
            self._connection = 0
            self._reconnect()

    def _reconnect(self) -> None:
        self.world.after(self.world.rng.uniform(0.01, 0.5), self._connect)

    def _connect(self) -> None:
        host = self.world.member_hosts[self.world.rng.choice(list(self.world.hosts))]
        if not host.is_up or host.opened is None:
            self._reconnect()
            return
        self._connection = self.world.new_connection()
        self._server_id = host.server_id
        self._xid = 0
        self.asked.clear()
        self._frames = FrameBuffer(None)
        host.connect(self._connection, self)
        timeout_ms = 20 * self.world.settings.tick_ms
        self._send(ConnectRequest(0, 0, timeout_ms, self.session_id, self.password, read_only=False).encode())

    def _send(self, body: bytes) -> None:
        connection, host = self._connection, self.world.member_hosts[self._server_id]
        self.world.at(self._arrival(), lambda: host.hear_client(connection, frame(body)))

    def hears(self, data: bytes) -> None:
        """The server has sent something; it arrives later."""
        connection = self._connection
        self.world.at(self._arrival(), lambda: self._hear(connection, data))

    def _hear(self, connection: int, data: bytes) -> None:
        if connection != self._connection:
            return
        for body in self._frames.feed(data):
            if self._is_established:
                self._take_reply(Reader(body))
            else:
                self._take_response(ConnectResponse.decode(Reader(body)))

    def _take_response(self, response: ConnectResponse) -> None:
        if response.timeout_ms == 0:
            self.world.tally["sessions lost"] += self.session_id != 0
            self.session_id, self.password = 0, bytes(16)
            return
        self.world.tally["session moves"] += self.session_id != 0
        self.session_id, self.password = response.session_id, response.password or b""
        self._is_established = True

    # Requests.

    def _ask(self, opcode: OpCode, path: bytes, record: Record) -> None:
        self._xid += 1
        self.asked.append((self._xid, opcode, path))
        self._send(RequestHeader(self._xid, opcode).encode() + record.encode())

    def write(self) -> None:
        """Create a znode of a name of its own."""
        if self._is_established:
            self._count += 1
            path = b"/c%d-%d" % (self.number, self._count)
            self._ask(OpCode.CREATE, path, CreateRequest(path, b"x", OPEN, 0))

    def read(self) -> None:
        """Sync, then look for something that this client, or another, has written."""
        if self._is_established:
            others = [path for client in self.world.clients for path in client.written[-1:]]
            if others:
                path = self.world.rng.choice(others)
                self._ask(OpCode.SYNC, path, PathRequest(path))
                self._ask(OpCode.EXISTS, path, PathWatchRequest(path, watch=False))

    def _take_reply(self, reader: Reader) -> None:
        header = ReplyHeader.decode(reader)
        xid, opcode, path = self.asked.popleft()
        checker = self.world.checker
        checker.require(header.xid == xid, "replies come in the order of the requests", f"{header.xid}, not {xid}")
        if opcode == OpCode.CREATE and header.err == 0:
            self.world.tally["acknowledged"] += 1
            self.written.append(path)
            checker.acknowledged(header.zxid)
        elif opcode == OpCode.EXISTS:
            self.world.tally["syncs"] += 1
            checker.require(header.err == 0, "a sync shows what was acknowledged before", f"{path!r}: {header.err}")
