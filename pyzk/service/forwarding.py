"""The learner's half of service: requests go to the leader, and committed txns find the clients that wait for them.

A forwarded request carries a cxid of our own; the client's xid stays in its queue. Clients start their xids again at
each connection, so that after a move two requests of a session can have the same (apache-defects.md, row 18).
Source: docs/protocol/zab.md sections 7 and 8.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pyzk.codec.opcodes import OpCode
from pyzk.codec.quorum import Forwarded, PacketType, pack_revalidate, pack_revalidated, pack_touches, packet
from pyzk.service import handshake, intake
from pyzk.service.connection import Syncing
from pyzk.service.roles import Role
from pyzk.service.touches import TouchTable
from pyzk.service.writes import LEARNER_WRITES
from pyzk.tree.node import wrap_int32
from pyzk.zab.events import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyzk.service.connection import Connection
    from pyzk.service.service import Service
    from pyzk.service.writes import Writes
    from pyzk.tree.request import Request
    from pyzk.zab.events import Entry

NO_CXID = 0
"""Of requests that servers make: createSession, and the leader's closeSession of an expired session."""

# Looked up once: an enum's members are slow to come by.
CREATE_SESSION, ERROR = int(OpCode.CREATE_SESSION), int(OpCode.ERROR)
OF_ONE_KIND = frozenset({OpCode.MULTI, OpCode.CREATE_SESSION, OpCode.CLOSE_SESSION})
"""Only the txn of this very type, or an error, can be the outcome of such a request."""


@dataclass(slots=True)
class Relayed:
    """Stands for a question of an observer, on this link, that the leader has not answered yet."""

    link: int


class Forwarding(Role):
    """A follower or an observer, from the moment when it serves until it loses its leader.

    Args:
        service: of this server.
        link: to the leader.
        first_cxid: where our cxids begin: a random 32-bit number, so that they do not meet those of other servers.

    Attributes:
        pending: forwarded writes that wait for their txns, by session and cxid, in the order in which they were sent.
    """

    writes: ClassVar[Writes] = LEARNER_WRITES
    decides: ClassVar[bool] = False

    def __init__(self, service: Service, link: int, first_cxid: int) -> None:
        self._touches = TouchTable(service.tree)
        super().__init__(service, self._touches)
        self.link = link
        self.pending: dict[tuple[int, int], Request] = {}
        self._cxid = first_cxid
        self._keeps_back = False
        self._syncs: deque[Syncing | Relayed] = deque()
        self._revalidating: dict[int, deque[int | Relayed]] = {}

    @property
    def waiting_syncs(self) -> deque[Syncing | Relayed]:
        """In the order in which they were sent."""
        return self._syncs

    def begin(self, now: float) -> None:
        """The leader gives the sessions their time."""

    # Requests.

    def forward_own(self, requests: Iterable[Request]) -> bytes:
        """The REQUEST packets for what our clients have submitted; each is noted before it is sent."""
        return b"".join([self._forward(request) for request in requests])

    def _forward(self, request: Request) -> bytes:
        is_create_session = request.opcode == CREATE_SESSION
        cxid = NO_CXID if is_create_session else self._next_cxid()
        if isinstance(request, Syncing):
            self._syncs.append(request)
        else:
            self.pending[request.session_id, cxid] = request
        body = request.record.encode() if request.body is None else request.body
        identities = None if is_create_session else tuple(request.identities)
        return Forwarded(request.session_id, cxid, request.opcode, body, identities).encode()

    def _next_cxid(self) -> int:
        self._cxid = wrap_int32(self._cxid + 1) or 1
        return self._cxid

    # Txns.

    def deliver(self, zxid: int, entries: Sequence[Entry], now: float) -> None:  # noqa: ARG002
        """These txns are committed: apply each, tell the watchers, answer the client that waits for it."""
        self.service.deliver_entries(entries, now, self._origin_of)

    def _origin_of(self, session_id: int, cxid: int, txn_type: int) -> int:
        """The connection that waits for a txn; the request is not pending any more."""
        key = (session_id, cxid)
        request = self.pending.get(key)
        if request is None or not _can_be_outcome(txn_type, request.opcode):
            return 0
        for earlier in list(self._up_to(key)):
            # Not seen with a leader of ours; one of Apache 3.8 forgets some requests (apache-defects.md, row 17).
            self._give_up(earlier, "the leader has not answered a request")
        if txn_type == ERROR and request.opcode == CREATE_SESSION:
            self._give_up(request, "the leader has refused the session")
            return 0
        return request.origin

    def _up_to(self, key: tuple[int, int]) -> Iterable[Request]:
        """Take what was pending before `key`, and `key` itself, out; yields what was before."""
        while True:
            first = next(iter(self.pending))
            request = self.pending.pop(first)
            if first == key:
                return
            yield request

    def _give_up(self, request: Request, reason: str) -> None:
        state = self.service.connections.get(request.origin)
        if state is not None:
            self.service.close(state, reason, notable=True)

    def synced(self, now: float) -> Answer | None:
        """The leader has let our oldest sync pass; the SYNC to pass on if it was that of an observer."""
        sync = self._syncs.popleft() if self._syncs else None
        if isinstance(sync, Relayed):
            return Answer(sync.link, packet(PacketType.SYNC, 0))
        if sync is not None:
            self.service.synced(sync, now)
        return None

    # Observers of ours.

    def relay(self, link: int, requests: Iterable[Forwarded]) -> bytes:
        """The REQUEST packets of an observer for the leader: its clients wait there, only syncs are matched here."""
        packets = []
        for request in requests:
            if request.opcode == OpCode.SYNC:
                self._syncs.append(Relayed(link))
            packets.append(request.encode())
        return b"".join(packets)

    def relay_revalidate(self, link: int, session_id: int, timeout_ms: int) -> bytes:
        """The REVALIDATE of an observer for the leader."""
        self._revalidating.setdefault(session_id, deque()).append(Relayed(link))
        return pack_revalidate(session_id, timeout_ms)

    # Sessions.

    def resume(self, state: Connection, session_id: int, now: float) -> None:
        """A client has come with its session and the right password: the leader must say whether it lives."""
        local = self.service.local_sessions
        if local is not None and local.is_local(session_id):
            super().resume(state, session_id, now)
        else:
            self.service.outbox.packets.append(self.revalidate(session_id, state.timeout_ms, state.id))

    def revalidate(self, session_id: int, timeout_ms: int, connection: int) -> bytes:
        """The REVALIDATE packet for a session; `connection` waits for the answer."""
        self.service.counters.revalidations_asked += 1
        self._revalidating.setdefault(session_id, deque()).append(connection)
        return pack_revalidate(session_id, timeout_ms)

    def revalidated(self, session_id: int, is_valid: bool, now: float) -> Answer | None:  # noqa: FBT001 - as sent
        """The leader's answer, for whoever has waited longest: a client of ours, or an observer that is told it."""
        waiting = self._revalidating.get(session_id)
        if not waiting:
            return None
        first = waiting.popleft()
        if not waiting:
            del self._revalidating[session_id]
        if isinstance(first, Relayed):
            return Answer(first.link, pack_revalidated(session_id, is_valid))
        self._resumed(first, session_id, is_valid, now)
        return None

    def _resumed(self, connection: int, session_id: int, is_valid: bool, now: float) -> None:  # noqa: FBT001
        """The connection takes the session over, or is refused."""
        state = self.service.connections.get(connection)
        if state is None or state.closing:
            return
        if not is_valid:
            handshake.refuse(self.service, state)
            return
        self._touches.attach(session_id, state.timeout_ms)
        handshake.attach(self.service, state, session_id)
        intake.resume(self.service, state, now)

    def touched(self, touches: Mapping[int, int]) -> None:
        """Sessions that have shown life at an observer of ours: the leader is told with our own."""
        self._touches.report(touches)

    def pinged(self, zxid: int) -> bytes:
        """The reply to a PING, with the sessions that have shown life since the last one."""
        # Never twice in a row: the session of a client that is heard must not end.
        self._keeps_back = not self._keeps_back and self.service.points.fires("touches kept back")
        return packet(PacketType.PING, zxid, pack_touches({} if self._keeps_back else self._touches.take()))

    def stop(self) -> None:
        """The leader is lost; nothing is sent again."""
        self.pending.clear()
        self._syncs.clear()
        self._revalidating.clear()


def _can_be_outcome(txn_type: int, opcode: int) -> bool:
    return txn_type in (opcode, ERROR) or not OF_ONE_KIND.intersection((txn_type, opcode))
