"""The leader's half of service: everybody's requests, taken in one order, become proposals; and who owns each session.

Requests come from our own clients and from learners. Each takes exactly one zxid, whatever it holds: a learner
understands no other answer than a txn. Source: docs/protocol/zab.md sections 6.1, 7 and 8.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pyzk.codec.opcodes import WRITE_OPCODES, OpCode
from pyzk.codec.quorum import COUNTER_MASK, pack_revalidated
from pyzk.codec.requests import CreateSessionRequest
from pyzk.errors import (
    EphemeralOnLocalSessionError,
    RequestError,
    SessionExpiredError,
    SessionMovedError,
    UnimplementedError,
)
from pyzk.service import handshake
from pyzk.service.connection import Syncing
from pyzk.service.door import read_write
from pyzk.service.local_sessions import makes_ephemerals
from pyzk.service.roles import Role
from pyzk.service.sessions import SessionTracker
from pyzk.service.writes import LEADER_WRITES
from pyzk.tree.request import Request
from pyzk.zab.events import Entry, Propose, Sync

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyzk.codec.quorum import Forwarded
    from pyzk.codec.txns import TxnHeader
    from pyzk.service.connection import Connection
    from pyzk.service.proposer import Proposal, Proposer
    from pyzk.service.service import Service
    from pyzk.service.writes import Writes

Order = Propose | Sync
"""What the agreement is told, in the order of the requests."""

COUNTER_MAX = 0xFFFFFFFE
"""The last txn of an epoch; Apache's leaders do not propose the one behind it either."""

FORWARDABLE = frozenset({*WRITE_OPCODES, OpCode.CREATE_SESSION})
"""Requests that become txns; anything else that a learner sends becomes an error txn (apache-defects.md, row 4)."""

# Looked up once: an enum's members are slow to come by.
CREATE_SESSION, CLOSE_SESSION, SYNC = int(OpCode.CREATE_SESSION), int(OpCode.CLOSE_SESSION), int(OpCode.SYNC)

SESSION_OPCODES = frozenset({CREATE_SESSION, CLOSE_SESSION})

OURS = 0
"""Stands among the links of learners for our own clients."""


@dataclass(slots=True)
class Refusal:
    """A forwarded request that is not to be prepared; `err` says why."""

    session_id: int
    cxid: int
    err: int


class Desk(Role):
    """The leader, from the moment when its epoch is established until it loses it.

    Args:
        service: of this server; its tree holds all that was committed before.
        proposer: is started anew.
        zxid: the next txn has this plus one.
        server_id: ours.

    Attributes:
        outstanding: proposed and not yet delivered, in order.
        owners: the link through which each session came last.
        epoch_exhausted: no zxid of this epoch is left: the role must end.
    """

    writes: ClassVar[Writes] = LEADER_WRITES

    def __init__(self, service: Service, proposer: Proposer, zxid: int, server_id: int) -> None:
        self._tracker = SessionTracker(service.settings.tick_ms)
        super().__init__(service, self._tracker)
        self.proposer = proposer
        proposer.begin(service.tree, zxid)
        self.server_id = server_id
        self.outstanding: deque[Proposal] = deque()
        self.owners: dict[int, int] = {}
        self.epoch_exhausted = False
        self._closing: dict[int, None] = {}
        self._syncs: dict[int, Syncing] = {}
        self._last_tag = 0

    @property
    def waiting_syncs(self) -> dict[int, Syncing]:
        """Of our own clients, by tag."""
        return self._syncs

    # Requests.

    def take_own(self, count_max: int, now: float, wall_ms: int) -> list[Order]:
        """What our own clients have submitted, at most `count_max` requests."""
        if self.service.points.fires("one request a turn"):
            count_max = 1
        requests = self.service.next_requests(count_max, len(self.outstanding), now)
        return self._in_order(map(self._own, requests), OURS, now, wall_ms)

    def _own(self, request: Request) -> Request | Sync:
        if not isinstance(request, Syncing):
            return request
        self._last_tag += 1
        self._syncs[self._last_tag] = request
        return Sync(OURS, self._last_tag)

    def take_forwarded(self, link: int, requests: Iterable[Forwarded], now: float, wall_ms: int) -> list[Order]:
        """What a learner has forwarded."""
        return self._in_order(map(partial(self._decoded, link), requests), link, now, wall_ms)

    def _decoded(self, link: int, forwarded: Forwarded) -> Request | Refusal | Sync:
        """A forwarded request; the door is here too, because a learner of another make may not have it."""
        session_id, cxid, opcode = forwarded.session_id, forwarded.cxid, forwarded.opcode
        if opcode == SYNC:
            return Sync(link)
        try:
            if opcode not in FORWARDABLE:
                raise UnimplementedError(f"opcode {opcode} from a learner")
            record = read_write(opcode, forwarded.body, 0, self.service.settings.string_bytes_max)
        except RequestError as error:
            return Refusal(session_id, cxid, error.code)
        return Request(session_id, cxid, opcode, record, forwarded.identities or ())

    def _in_order(self, taken: Iterable[Request | Refusal | Sync], link: int, now: float, wall_ms: int) -> list[Order]:
        """Proposals, as many together as come without a sync between them."""
        orders: list[Order] = []
        before = len(self.outstanding)
        entries: list[Entry] = []
        for item in taken:
            if isinstance(item, Sync):
                entries = []
                orders.append(item)
                continue
            if self.proposer.zxid & COUNTER_MASK >= COUNTER_MAX:
                self.epoch_exhausted = True
                break
            proposal = self._proposal(item, link, now, wall_ms)
            self.outstanding.append(proposal)
            if not entries:
                orders.append(Propose(entries))
            entries.append((proposal.header.zxid, proposal.payload))
        counters, count = self.service.counters, len(self.outstanding) - before
        counters.prepared += count
        counters.proposed += count
        return orders

    def _proposal(self, request: Request | Refusal, link: int, now: float, wall_ms: int) -> Proposal:
        if isinstance(request, Refusal):
            return self.proposer.refuse(request.session_id, request.cxid, wall_ms, request.err)
        try:
            if request.opcode in SESSION_OPCODES:
                self._follow_session(request, link, now)
            elif link != OURS or request.origin:
                self._check_session(request, link)
        except RequestError as error:
            return self.proposer.refuse(request.session_id, request.cxid, wall_ms, error.code, request.origin)
        return self.proposer.propose(request, wall_ms)

    def _follow_session(self, request: Request, link: int, now: float) -> None:
        """A session begins or ends. As in Apache, anybody may close one, because trackers do that without owning it."""
        session_id = request.session_id
        if request.opcode == CLOSE_SESSION:
            self._tracker.set_closing(session_id)
            self._closing[session_id] = None
            return
        assert isinstance(request.record, CreateSessionRequest)
        self._tracker.created(session_id, request.record.timeout_ms, now)
        self.owners[session_id] = link

    def _check_session(self, request: Request, link: int) -> None:
        """Whether this session may ask for this, through this link. Raises RequestError."""
        session_id = request.session_id
        if session_id in self._tracker:
            if session_id in self._closing:
                raise SessionExpiredError
            if self.owners.setdefault(session_id, link) != link:
                raise SessionMovedError
        elif not self._is_local(session_id, link):
            raise SessionExpiredError
        elif makes_ephemerals(request.record):
            raise EphemeralOnLocalSessionError

    def _is_local(self, session_id: int, link: int) -> bool:
        """Whether an unknown session may be a local one: of ours, or of the server that is named in its id."""
        local = self.service.local_sessions
        if local is None:
            return False
        return local.is_local(session_id) if link == OURS else session_id >> 56 & 0xFF != self.server_id

    # Txns.

    def deliver(self, zxid: int, entries: Sequence[Entry], now: float) -> None:
        """Txns up to `zxid` are committed; those of an earlier epoch come first, and are decoded."""
        outstanding = self.outstanding
        first = outstanding[0].header.zxid if outstanding else zxid + 1
        if entries and entries[0][0] < first:
            earlier = [entry for entry in entries if entry[0] < first]
            self.service.deliver_entries(earlier, now)
        committed: list[Proposal] = []
        while outstanding and outstanding[0].header.zxid <= zxid:
            committed.append(outstanding.popleft())
        self.service.deliver(committed, now)
        self.service.counters.changes_settled += self.proposer.settle(committed, is_all=not outstanding)
        for proposal in committed:
            if proposal.header.type == CLOSE_SESSION:
                self._forget(proposal.header)

    def _forget(self, header: TxnHeader) -> None:
        self.owners.pop(header.client_id, None)
        self._closing.pop(header.client_id, None)

    def synced(self, tag: int, now: float) -> None:
        """The sync of one of our own clients is confirmed."""
        sync = self._syncs.pop(tag, None)
        if sync is not None:
            self.service.synced(sync, now)

    # Sessions.

    def resume(self, state: Connection, session_id: int, now: float) -> None:
        """A client of ours has come with its session and the right password; from now on it is ours."""
        if not self.service.tracker.touch(session_id, state.timeout_ms, now):
            handshake.refuse(self.service, state)
            return
        if session_id in self._tracker:
            self.owners[session_id] = OURS
        handshake.attach(self.service, state, session_id)

    def revalidate(self, link: int, session_id: int, timeout_ms: int, now: float) -> bytes:
        """The answer to a learner whose client has come with this session: if it lives, it is that learner's."""
        self.service.counters.revalidations += 1
        is_valid = self._tracker.touch(session_id, timeout_ms, now)
        if is_valid:
            self.owners[session_id] = link
        return pack_revalidated(session_id, is_valid)

    def touched(self, touches: Mapping[int, int], now: float) -> None:
        """Sessions that have shown life at a learner, with their timeouts in ms."""
        for session_id, timeout_ms in touches.items():
            self._tracker.touch(session_id, timeout_ms, now)

    def learner_left(self, link: int) -> None:
        """A learner is gone: its sessions belong to whoever they come through next."""
        self.owners = {session_id: owner for session_id, owner in self.owners.items() if owner != link}

    def stop(self) -> None:
        """The role has ended: nothing of what is outstanding will be heard of here."""
        self.outstanding.clear()
        self.owners.clear()
        self._closing.clear()
        self._syncs.clear()
        self.proposer.begin(self.service.tree, self.service.tree.last_zxid)
