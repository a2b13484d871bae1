"""A client of simulated servers: the production session machine on a simulated connection.

It goes from server to server as connections are lost, and restores its watches, as real ones do. What it hears goes to
`promises`. What it asks for is drawn by `workload`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any

from pyzk.client import effects as do
from pyzk.client.effects import State
from pyzk.client.session import Session
from pyzk.codec.framing import FrameBuffer, frame
from pyzk.codec.opcodes import EventType, OpCode
from pyzk.codec.requests import AuthRequest
from pyzk.errors import (
    ConnectionLostError,
    NoAuthError,
    NoNodeError,
    NotReadOnlyError,
    NoWatcherError,
    RequestError,
)
from pyzk.sim.acls import ADDRESS
from pyzk.sim.equipment import identities_of, login_identities, login_of
from pyzk.sim.model import RESERVED, ROOT
from pyzk.sim.promises import Asked, Promises
from pyzk.sim.sequence import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyzk.client.hosts import Address
    from pyzk.codec.record import Record
    from pyzk.sim.member_host import MemberHost
    from pyzk.sim.watches import Watch
    from pyzk.sim.world import World
    from pyzk.tree.acl import Identity

TAKES_READ_ONLY_CHANCE = 0.5
"""So many clients make do with a server that is read-only, if there are such."""
OUTSTANDING_MAX, BURST_MAX = 8, 40
"""Requests that a client has under way at most, usually and in a burst."""
READS = frozenset(
    {
        *(OpCode.EXISTS, OpCode.GET_DATA, OpCode.GET_CHILDREN, OpCode.GET_CHILDREN2, OpCode.GET_ACL),
        OpCode.GET_ALL_CHILDREN_NUMBER,
    }
)


def _found_nothing(promises: Promises, asked: Asked, seen_zxid: int) -> None:
    if asked.opcode in READS:
        promises.found_nothing(asked, seen_zxid)


REFUSALS: dict[type, Callable[[Promises, Asked, int], None]] = {
    NoNodeError: _found_nothing,
    NoAuthError: Promises.kept_out,
    NoWatcherError: Promises.has_no_watch,
    NotReadOnlyError: Promises.was_read_only,
}
"""What is looked at more closely."""


class Client:
    """One client, with one session after the other.

    Attributes:
        session: the present one.
        promises: what it was shown.
        rare: generator of what is drawn for `rarities`.
        bursts: generator of when there are many requests at once, and how many.
        takes_read_only: whether a server without a leader will do.
        identities: who the server knows it to be.
        known: paths that it has made or seen, the newest last.
        outstanding: requests without an answer.
        listens: called with each reply.
    """

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.rng = Random(f"{world.seed} client {number}")
        self.rare = Random(f"{world.seed} client {number} rare")
        self.bursts = Random(f"{world.seed} client {number} bursts")
        draw = Random(f"{world.seed} client {number} read-only").random()
        self.takes_read_only = world.read_only_enabled and draw < TAKES_READ_ONLY_CHANCE
        self.identities: set[Identity] = set()
        self.known: list[bytes] = []
        self.written = 0
        self.outstanding = 0
        self._outstanding_max = OUTSTANDING_MAX
        self._gathered: list[bytes] | None = None
        self._connection = 0
        self._server_id = 0
        self._last_arrival = 0.0
        self._born = 0
        self._session_id = 0
        self._handlers = self._table()
        self._frames = FrameBuffer(None)
        self._begin()

    def _begin(self) -> None:
        """A new session."""
        world = self.world
        self._born += 1
        self._connection = self.outstanding = self._session_id = 0
        self.identities = {(b"ip", ADDRESS.encode())}
        self.promises = Promises(world.checker, f"client {self.number}.{self._born}", set(self.identities))
        addresses = [(f"10.0.0.{server_id}", 2181) for server_id in world.hosts]
        timeout_ms = self.rng.choice((6, 12, 20, 20)) * world.settings.tick_ms
        login = login_of(world, self.number, self.rare)
        if login is not None:
            self.promises.identities |= login_identities(self.number)
        read_only = self.takes_read_only
        self.session = Session(addresses, self.rng, timeout_ms=timeout_ms, login=login, read_only=read_only)
        self._perform(self.session.start(world.now))

    @property
    def is_connected(self) -> bool:
        """Whether requests are sent at once."""
        return self.session.state is State.CONNECTED

    # Effects of the session.

    def _perform(self, effects: Sequence[do.Effect]) -> None:
        session = self.session
        for effect in effects:
            if self.session is not session:
                return
            self._handlers[type(effect)](self, effect)
        deadline = session.deadline()
        if deadline is not None:
            self.world.at(max(self.world.now, deadline) + 1e-6, lambda: self._tick(session, deadline))

    def _tick(self, session: Session, deadline: float) -> None:
        if self.session is session and session.deadline() == deadline:
            self._perform(session.tick(self.world.now))

    def _arrival(self) -> float:
        """When what is sent now arrives, at either end: nothing overtakes."""
        self._last_arrival = max(self._last_arrival, self.world.now + self.world.rng.uniform(0.0005, 0.005))
        return self._last_arrival

    def _connect(self, effect: do.Connect) -> None:
        self._server_id = _server_of(effect.address)
        connection = self._connection = self.world.new_connection()
        self._frames = FrameBuffer(None)
        self.world.at(self._arrival(), lambda: self._open(connection))

    @property
    def _host(self) -> MemberHost:
        return self.world.member_hosts[self._server_id]

    def _open(self, connection: int) -> None:
        if connection != self._connection:
            return
        if self._host.is_up:
            self._host.connect(connection, self)
            self._perform(self.session.opened(self.world.now))
        elif not self._host.has_no_power:
            self._lose(connection)

    def _send(self, effect: do.Send) -> None:
        if self._gathered is None:
            self._transmit(effect.data)
        else:
            self._gathered.append(effect.data)

    def _transmit(self, data: bytes) -> None:
        connection, host = self._connection, self._host
        self.world.at(self._arrival(), lambda: host.hear_client(connection, data))

    def _disconnect(self, effect: do.Disconnect) -> None:
        is_understood = not effect.reason.startswith("not understood")
        require(is_understood, "replies come in the order of the requests", effect.reason)
        if self._connection:
            connection, host = self._connection, self._host
            self._connection = 0
            self.promises.disconnected()
            self.world.at(self._arrival(), lambda: host.lose_client(connection))

    def _probe(self, effect: do.Probe) -> None:
        session, host = self.session, self.world.member_hosts[_server_of(effect.address)]

        def find() -> None:
            if self.session is session and host.opened is not None:
                self.world.tally["writable servers found"] += 1
                self._perform(session.found_writable(effect.address, self.world.now))

        self.world.after(self.world.rng.uniform(0.001, 0.01), find)

    # The connection.

    def hears(self, connection: int, data: bytes) -> None:
        """The server has sent something; it arrives later."""
        self.world.at(self._arrival(), lambda: self._hear(connection, data))

    def _hear(self, connection: int, data: bytes) -> None:
        """Frame by frame, so that after each it is known how far the session has come."""
        if connection != self._connection:
            return
        for body in self._frames.feed(data):
            if connection == self._connection:
                self._perform(self.session.receive(frame(body), self.world.now))

    def closed(self, connection: int) -> None:
        """The connection has ended, behind what was sent on it."""
        self.world.at(self._arrival(), lambda: self._lose(connection))

    def _lose(self, connection: int) -> None:
        if connection == self._connection:
            self._connection = 0
            self.promises.disconnected()
            self._perform(self.session.lost(self.world.now))

    def session_on(self, connection: int) -> int:
        """The session that has this connection now; 0 if that is none."""
        return self.session.session_id if connection == self._connection else 0

    # What is heard.

    def _answered(self, effect: do.Answered) -> None:
        asked = effect.token
        assert isinstance(asked, Asked)
        self.outstanding -= 1
        self._lives(asked)
        if asked.opcode == OpCode.AUTH:
            self._is_known(asked)
            return
        self.promises.answered(asked, effect.header, effect.reply)
        path = getattr(effect.reply, "path", None)
        if path and not path.startswith(RESERVED):
            self.known.append(path)
        for name in getattr(effect.reply, "children", None) or ():
            if asked.path != ROOT or name != RESERVED[1:]:
                self.known.append(asked.path.rstrip(b"/") + b"/" + name)
        del self.known[:-30]
        self.written += asked.opcode == OpCode.CREATE

    def _failed(self, effect: do.Failed) -> None:
        asked = effect.token
        assert isinstance(asked, Asked)
        self.outstanding -= 1
        if isinstance(effect.error, RequestError) and not isinstance(effect.error, ConnectionLostError):
            self._lives(asked)
            self.world.tally["refused"] += 1
            judge, seen_zxid = REFUSALS.get(type(effect.error)), self.session.progress.seen
            if judge is not None and asked.opcode != OpCode.AUTH and self.promises.may_judge(seen_zxid):
                judge(self.promises, asked, seen_zxid)

    def _lives(self, asked: Asked) -> None:
        """A server has heard this request, and so that its session lives; without a leader it tells nobody."""
        if self.promises.is_read_only:
            return
        alive = self.world.checker.alive
        alive[asked.session_id] = max(asked.at, alive.get(asked.session_id, 0.0))

    def _notified(self, effect: do.Notified) -> None:
        if effect.notification.type is not EventType.NONE:
            self.promises.notified(effect.notification, effect.watchers)

    def _changed(self, effect: do.StateChanged) -> None:
        session, world = self.session, self.world
        if effect.state is State.CONNECTED:
            if world.checker.has_acls:
                world.checker.model.claims[session.session_id] = self.promises.identities
            world.tally["session moves"] += self._session_id == session.session_id
            self._session_id = session.session_id
        elif effect.state is State.CONNECTED_READ_ONLY:
            require(self.takes_read_only, "who wants a leader's server gets one", f"client {self.number}")
            world.tally["read-only connections"] += 1
        elif effect.state is State.EXPIRED:
            world.tally["sessions lost"] += 1
        self.promises.is_read_only = effect.state is State.CONNECTED_READ_ONLY
        if effect.state.final:
            world.at(self._arrival(), lambda: self._renew(session))

    def _renew(self, session: Session) -> None:
        if self.session is session:
            self._begin()

    @classmethod
    def _table(cls) -> dict[type, Callable[[Client, Any], None]]:
        """As `zab/peer.py`."""
        return {
            do.Connect: cls._connect,
            do.Send: cls._send,
            do.Disconnect: cls._disconnect,
            do.Answered: cls._answered,
            do.Failed: cls._failed,
            do.Notified: cls._notified,
            do.StateChanged: cls._changed,
            do.Probe: cls._probe,
        }

    # What is wanted.

    def ask(self, opcode: OpCode, record: Record, *, watch: Watch | None = None) -> None:
        """Send a request, unless there is no connection, or too much is under way; no watches without a leader."""
        may_ask = self.is_connected or (self.promises.is_read_only and watch is None)
        if not may_ask or self.outstanding >= self._outstanding_max:
            return
        self.outstanding += 1
        world = self.world
        asked = self._asked(opcode, record, watch)
        self._perform(self.session.submit(asked, opcode, record, world.now, watcher=watch))

    @contextmanager
    def burst(self) -> Iterator[None]:
        """What is asked for meanwhile arrives in one piece, and there may be more of it."""
        self._gathered, self._outstanding_max = [], BURST_MAX
        yield
        data, self._gathered, self._outstanding_max = b"".join(self._gathered), None, OUTSTANDING_MAX
        if data:
            self._transmit(data)

    def _asked(self, opcode: OpCode, record: Record, watch: Watch | None = None) -> Asked:
        world, identities = self.world, frozenset(self.identities)
        return Asked(opcode, record, world.checker.mark(), self.session.session_id, world.now, watch, identities)

    def add_auth(self, scheme: bytes, auth: bytes) -> None:
        """Show who it is, as for `ask`; the server is told again on each connection to come."""
        if self.is_connected and self.outstanding < self._outstanding_max:
            self.outstanding += 1
            asked = self._asked(OpCode.AUTH, AuthRequest(0, scheme, auth))
            self.promises.identities |= identities_of(scheme, auth)
            self._perform(self.session.add_auth(asked, scheme, auth, self.world.now))

    def _is_known(self, asked: Asked) -> None:
        assert isinstance(asked.record, AuthRequest)
        self.identities |= identities_of(asked.record.scheme or b"", asked.record.auth or b"")

    def data(self) -> bytes:
        """Something to write, never the same."""
        return b"%d:%d" % (self.number, self.rare.getrandbits(40))

    def go_to(self, server_id: int) -> None:
        """Lose the connection, and try this server next."""
        if self._connection:
            connection, host = self._connection, self._host
            self.session._rotation.prefer((f"10.0.0.{server_id}", 2181))  # noqa: SLF001 - chance would rarely do it
            self.world.at(self._arrival(), lambda: host.lose_client(connection))
            self._lose(connection)

    def close(self) -> None:
        """End the session, as a client should."""
        if self.is_connected:
            self.world.checker.ending[self.session.session_id] = None
            self.world.tally["sessions closed"] += 1
            self._perform(self.session.close(self.world.now))

    def vanish(self) -> None:
        """Go away without a word; the session has to expire."""
        if self._session_id and self.is_connected:
            world = self.world
            world.checker.abandoned[self._session_id] = world.now
            world.tally["sessions abandoned"] += 1
            connection, host = self._connection, self._host
            if self.rng.random() < 0.5:
                world.at(self._arrival(), lambda: host.lose_client(connection))
            self._begin()


def _server_of(address: Address) -> int:
    return int(address[0].rpartition(".")[2])
