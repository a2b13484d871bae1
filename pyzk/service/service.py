"""The service of one server: connections with their sessions, and what passes between them and the tree.

`receive` takes what arrived on a connection, answers the reads and notes the writes in the outbox; `deliver` applies
committed txns, fires watches and answers whoever waits. Events go through the same outgoing list as replies, so an
event is always ahead of the reply that shows its change. This module keeps the state together; frames are taken apart
in `intake`, sessions are opened in `handshake`, txns are delivered in `delivery`, and what a single opcode does stands
in `fast`, `reads`, `writes`, `watching` and `authentication`. Where writes go, and who knows the sessions, is the
business of the role (`roles`, `desk`, `forwarding`). Source: docs/protocol/client-protocol.md, data-model.md 7 and 8.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from pyzk.codec.opcodes import OpCode
from pyzk.codec.requests import CreateSessionRequest, EmptyRequest, PathRequest
from pyzk.codec.txns import DIGEST_VERSION, decode_txn, plain_set_data
from pyzk.faultpoints import NONE, FaultPoints
from pyzk.sasl.mechanism import ServerExchange
from pyzk.service import delivery, intake
from pyzk.service.audit import Auditor
from pyzk.service.authentication import PROVERS, Prover, add_identities
from pyzk.service.connection import Connection, Parting, Syncing
from pyzk.service.counters import Counters, Namespaces
from pyzk.service.fast import FAST, Fast, counting_fast
from pyzk.service.local_sessions import LocalSessions
from pyzk.service.outbox import Closing, Outbox, Settings
from pyzk.service.proposer import Proposal
from pyzk.service.roles import Role, Standalone
from pyzk.service.screening import screened
from pyzk.service.sessions import Sessions
from pyzk.service.throttle import ConnectionThrottle
from pyzk.service.watches import Watches
from pyzk.service.wire import REPLY_HEADER_SIZE, reply
from pyzk.tree.acl import AccessControl, Identity
from pyzk.tree.request import Request
from pyzk.tree.tree import Tree

if TYPE_CHECKING:
    from pyzk.zab.events import Entry

TURN_BYTES_MAX = 1 << 19
"""Frames of writes prepared in one turn of the loop: some 2,000 of usual ones, but a few hundred multis of ten."""
EPHEMERAL_BYTES = 256
"""What an ephemeral that ends with its session counts for among them."""
DIGEST_INTERVAL = 128
DIGESTS_MAX = 1024
FRAME_LENGTH_SIZE = 4


def nobody(session_id: int, cxid: int, txn_type: int) -> int:  # noqa: ARG001
    """No connection waits for a txn."""
    return 0


class Service:
    """Sessions, watches and connections of one server.

    Attributes:
        role: where writes go, and who decides about sessions; `tracker` is what it knows of them, with the local ones.
        writes: handlers of writes by opcode, the role's.
        syncs: not empty while a sync waits for the leader's word.
        is_serving: false while this server has no role in its ensemble: clients are sent away.
        digest_mismatches: txns after which our tree had another digest than the server that prepared them.
        first_mismatch_zxid: the first of these, 0 if there is none.
        owners: the connection of each session that has one here.
        outstanding: writes submitted and not answered yet.
        large_bytes: bytes of the large requests among them.
        provers: what makes identities of auth packets, by scheme.
        new_exchange: begins a SASL exchange; None where SASL is not set up.
        auditor: is told of what changes, where that is wanted.
        namespaces: bytes by top-level znode, where they are counted.
        sees_every_txn: whether one of these two looks at each txn; kept, because each asks for it.
        fast: handlers of the plain reads, by opcode.
        writes_refused: true while the disk is full: writes are answered at the door.
        inexact_until: up to this txn digests say nothing: Apache's leader goes on while it sends its tree, which has
            then some of what follows it.
        digests: (zxid, digest of the tree) at each DIGEST_INTERVAL-th txn, the last DIGESTS_MAX of them.
    """

    def __init__(
        self,
        tree: Tree,
        access: AccessControl,
        settings: Settings,
        new_session_id: Callable[[], int],
        throttle: ConnectionThrottle | None = None,
        points: FaultPoints = NONE,
    ) -> None:
        self.tree = tree
        self.access = access
        self.settings = settings
        self.new_session_id = new_session_id
        self.throttle = throttle
        self.points = points
        self.role: Role = Standalone(self)
        self.tracker: Sessions = self.role.sessions
        self.writes = self.role.writes
        self.syncs = self.role.waiting_syncs
        self.local_sessions: LocalSessions | None = None
        self.is_serving = True
        self.watches = Watches()
        self.connections: dict[int, Connection] = {}
        self.owners: dict[int, int] = {}
        self.paused: dict[int, None] = {}
        self.outbox = Outbox()
        self.counters = Counters()
        self.outstanding = 0
        self.large_bytes = 0
        self.writes_refused = False
        self.digests: deque[tuple[int, int]] = deque(maxlen=DIGESTS_MAX)
        self.digest_mismatches = self.inexact_until = 0
        self.first_mismatch_zxid = 0
        self.namespaces: Namespaces | None = None
        self.auditor: Auditor | None = None
        self.sees_every_txn = False
        self.provers: Mapping[bytes, Prover] = PROVERS
        self.new_exchange: Callable[[], ServerExchange] | None = None
        self.fast: Mapping[int, Fast] = FAST

    def count_namespaces(self) -> None:
        """Count bytes by top-level znode from now on: reads cost a little more for it."""
        self.namespaces = Namespaces()
        self.fast = counting_fast(self.namespaces)
        self.sees_every_txn = True

    def audit(self, auditor: "Auditor") -> None:
        """Tell this one from now on what changes."""
        self.auditor = auditor
        self.sees_every_txn = True

    # Roles.

    def open(self, role: Role, now: float) -> None:
        """Serve clients in a role of the ensemble; before, `close_all` has ended the one that was."""
        self.role, self.tracker, self.syncs = role, role.sessions, role.waiting_syncs
        self.local_sessions = None
        settings = self.settings
        is_screened = settings.eager_acl_check and not role.is_read_only
        writes = self.writes = screened(role.writes) if is_screened else role.writes
        if settings.local_sessions or role.is_read_only:
            local = LocalSessions(role.sessions, settings.tick_ms, upgrades=settings.local_sessions_upgrade)
            self.local_sessions = self.tracker = local
            self.writes = local.guard_close(writes) if role.is_read_only else local.guard(writes)
        self.is_serving = True
        role.begin(now)

    def close_all(self, reason: str) -> None:
        """The role has ended: close all clients and forget what is under way; their sessions live on."""
        self.is_serving = False
        self.role.stop()
        for state in self.connections.values():
            state.queue.clear()
            state.waiting = 0
            self.close(state, reason)
        self.owners.clear()
        self.paused.clear()
        self.outbox.submitted.clear()
        self.outbox.packets.clear()
        self.outstanding = self.large_bytes = 0

    @property
    def read_only(self) -> bool:
        """Whether this server only shows what it has."""
        return self.role.is_read_only

    def start(self, now: float) -> None:
        """After loading: give every session its full timeout, and close those that own ephemerals but are unknown."""
        for session_id, timeout_ms in self.tree.sessions.items():
            self.tracker.add(session_id, timeout_ms, now)
        for session_id in self.tree.ephemerals:
            if session_id not in self.tree.sessions:
                self.close_session(session_id)

    # Connections.

    def connect(
        self, connection: int, address: str, now: float, wall_ms: int, proven: tuple[Identity, ...] = ()
    ) -> None:
        """A client has connected from `address` (text, without port); `proven` is who it is by its certificate."""
        state = Connection(connection, address, ())
        add_identities(self, state, ((b"ip", address.encode()), *proven))
        state.connected_wall_ms, state.connected_at, state.last_heard_at = wall_ms, now, now
        self.connections[connection] = state

    def receive(self, connection: int, data: bytes, now: float) -> None:
        """Bytes have arrived on a connection."""
        state = self.connections.get(connection)
        if state is not None and not state.closing:
            state.last_heard_at = now
            self.counters.received_bytes += len(data)
            intake.receive(self, state, data, now)

    def go_on(self, connection: int, now: float) -> None:
        """Answer and serve more of the requests that are at hand on a connection (`Outbox.unfinished`)."""
        state = self.connections.get(connection)
        if state is None or state.closing or not state.established:
            return
        state.sated = False
        delivery.answer_waiting(self, state, now)
        if not state.deaf:
            intake.resume(self, state, now)
        if connection in self.paused and not state.full:
            self._resume_paused()

    def disconnect(self, connection: int) -> None:
        """A connection is gone; its session lives on until it expires."""
        state = self.connections.pop(connection, None)
        if state is None:
            return
        self.watches.drop(connection)
        self.paused.pop(connection, None)
        if self.owners.get(state.session_id) == connection:
            del self.owners[state.session_id]
        for entry in state.queue:
            if isinstance(entry, Request):
                if not (isinstance(entry, Syncing) and entry.is_confirmed):
                    self.forget(entry)
            elif isinstance(entry, Parting):
                self.tracker.remove(state.session_id)
        self._resume_paused()

    def close(self, state: Connection, reason: str, *, notable: bool = False) -> None:
        """End a connection after what is in its outgoing list; nothing more is read from it."""
        if not state.closing:
            state.closing = state.deaf = True
            state.chunks.clear()
            self.watches.drop(state.id)
            self.outbox.closing.append(Closing(state.id, reason, notable))

    def send(self, state: Connection, encoded: bytes) -> None:
        """Put a frame into the outgoing list of a connection."""
        state.out.append(encoded)
        self.outbox.dirty[state.id] = None

    def take(self, connection: int) -> bytes:
        """All that is to be sent on a connection, at once."""
        state = self.connections.get(connection)
        if state is None or not state.out:
            return b""
        out, state.out = state.out, []
        count = len(out)
        encoded = out[0] if count == 1 else b"".join(out)
        counters = self.counters
        counters.sent += count
        counters.sent_bytes += len(encoded)
        state.stats.sent += count
        sizes = counters.reply_sizes
        last = most = sizes.last = len(out[-1]) - FRAME_LENGTH_SIZE
        # Most wake-ups have one reply; of many, only the longest is looked for, and the shortest until it cannot be.
        if count > 1:
            most = max(map(len, out)) - FRAME_LENGTH_SIZE
        sizes.most = max(sizes.most, most)
        if not 0 <= sizes.least <= REPLY_HEADER_SIZE:
            least = last if count == 1 else min(map(len, out)) - FRAME_LENGTH_SIZE
            sizes.least = least if sizes.least < 0 else min(sizes.least, least)
        return encoded

    # Writes.

    def submit(self, request: Request) -> None:
        """Hand a write to the proposer."""
        self.outbox.submitted.append(request)

    def create_session(self, session_id: int, timeout_ms: int, origin: int) -> None:
        """Ask for a new session."""
        record = CreateSessionRequest(timeout_ms)
        self.submit(Request(session_id, 0, OpCode.CREATE_SESSION, record, origin=origin))

    def close_session(self, session_id: int) -> None:
        """Ask for the end of a session; from now on it is closing. A local one ends at once."""
        if self.local_sessions is not None and self.local_sessions.is_local(session_id):
            self.tracker.remove(session_id)
            state = self.connections.get(self.owners.get(session_id, 0))
            if state is not None:
                self.close(state, "the session has expired")
            return
        self.tracker.set_closing(session_id)
        self.submit(Request(session_id, 0, OpCode.CLOSE_SESSION, EmptyRequest()))

    def part(self, state: Connection, xid: int) -> None:
        """The client of a local session has closed it: answer, and close."""
        self.send(state, reply(xid, self.tree.last_zxid, 0))
        self.tracker.remove(state.session_id)
        self.close(state, "the session is closed")

    def delete_container(self, path: bytes) -> None:
        """Ask for the deletion of an empty container or of a znode whose TTL is over; failure does not matter."""
        self.submit(Request(0, 0, OpCode.DELETE_CONTAINER, PathRequest(path)))

    def forget(self, request: Request) -> None:
        """A write is answered, or nobody waits for it any more."""
        self.outstanding -= 1
        if self.large_bytes:
            self.large_bytes -= self.settings.requests.large(request.frame_bytes)

    def confirm(self, sync: Syncing) -> None:
        """A sync is not under way any more, though its reply may wait: slow clients must not hold others up."""
        if not sync.is_confirmed:
            sync.is_confirmed = True
            self.forget(sync)

    def next_requests(self, count_max: int, in_process: int, now: float) -> list[Request]:
        """The next writes for the proposer, at most `count_max`, and no more than one turn should take; the rest waits.

        `in_process` are proposed and not delivered. Writes that waited too long are answered or dropped here.
        """
        limits = self.settings.requests
        waiting = self.outbox.submitted
        if limits.requests_max:
            count_max = min(count_max, max(0, limits.requests_max - in_process))
        count_max = self._count_of_turn(waiting[:count_max])
        taken, self.outbox.submitted = waiting[:count_max], waiting[count_max:]
        if not limits.requests_max and not limits.wait_ms_max:
            return taken
        passed = [request for request in taken if delivery.let_pass(self, request, now)]
        if len(passed) < len(taken):
            self._resume_paused()
        return passed

    def _count_of_turn(self, requests: Sequence[Request]) -> int:
        """How many of these fit into a turn, at least one. A multi takes as long as its ops, which its bytes tell."""
        sizes = [request.frame_bytes or self._closing_bytes(request) for request in requests]
        return bisect_right(list(accumulate(sizes)), TURN_BYTES_MAX) or len(requests[:1])

    def _closing_bytes(self, request: Request) -> int:
        """The end of a session, which has no frame, takes as long as it has ephemerals."""
        return EPHEMERAL_BYTES * (1 + len(self.tree.ephemerals.get(request.session_id, ())))

    def deliver(self, proposals: Iterable[Proposal], now: float) -> None:
        """Committed txns, in order: apply each, fire watches, answer."""
        for proposal in proposals:
            delivery.deliver(self, proposal, now)
            if not self.tree.last_zxid % DIGEST_INTERVAL:
                self._keep_digest()
        self._resume_paused()

    def _keep_digest(self) -> None:
        """For whoever compares trees."""
        if self.tree.last_zxid > self.inexact_until:
            self.digests.append((self.tree.last_zxid, self.tree.digest))

    def deliver_entries(self, entries: "Sequence[Entry]", now: float, origin_of: delivery.OriginOf = nobody) -> None:
        """As `deliver`, for txns that another server has prepared.

        Args:
            entries: of the log. Raises DecodeError.
            now: monotonic seconds.
            origin_of: who waits for each of them.
        """
        for zxid, payload in entries:
            plain = plain_set_data(payload)
            if plain is not None and delivery.deliver_set_data(self, plain, origin_of, now):
                digest: int | None = plain[-1]
            else:
                digest = self._deliver_entry(payload, now, origin_of)
            if digest is not None and digest != self.tree.digest:
                self._differs(zxid)
            if not zxid % DIGEST_INTERVAL:
                self._keep_digest()
        self._resume_paused()

    def _deliver_entry(self, payload: bytes, now: float, origin_of: delivery.OriginOf) -> int | None:
        """Returns the digest that the tree should have now, None if the txn does not say."""
        txn = decode_txn(payload)
        header, digest = txn.header, txn.digest
        origin = origin_of(header.client_id, header.cxid, header.type)
        delivery.deliver(self, Proposal(header, txn.record, payload, None, origin), now)
        return digest.tree_digest if digest is not None and digest.version == DIGEST_VERSION else None

    def _differs(self, zxid: int) -> None:
        if zxid > self.inexact_until:
            self.digest_mismatches += 1
            self.first_mismatch_zxid = self.first_mismatch_zxid or zxid

    def synced(self, sync: Syncing, now: float) -> None:
        """The leader has let a sync pass."""
        state = self.connections.get(sync.origin)
        if state is None or state.closing:
            return
        self.confirm(sync)
        delivery.answer_waiting(self, state, now)
        self._resume_paused()

    def _resume_paused(self) -> None:
        if self.paused and self.outstanding < self.settings.outstanding_max:
            self.outbox.reading.update(dict.fromkeys(self.paused, True))
            # They may have been paused with whole frames at hand.
            self.outbox.unfinished.update(self.paused)
            self.paused.clear()

    def drop_outstanding(self, proposals: Sequence[Proposal], now: float) -> None:
        """The log cannot be written: whoever waits for these, or for what is submitted, is disconnected."""
        for proposal in proposals:
            header = proposal.header
            self._give_up(proposal.origin, header.client_id if header.type == OpCode.CLOSE_SESSION else 0, now)
        for request in self.outbox.submitted:
            self._give_up(request.origin, request.session_id if request.opcode == OpCode.CLOSE_SESSION else 0, now)
        self.outbox.submitted.clear()

    def _give_up(self, origin: int, closing_session: int, now: float) -> None:
        state = self.connections.get(origin)
        if state is not None:
            self.close(state, "the log could not be written")
        # A session that could not be closed lives on, and expires again.
        timeout_ms = self.tree.sessions.get(closing_session)
        if timeout_ms is not None:
            self.tracker.add(closing_session, timeout_ms, now)

    # Time.

    def tick(self, now: float) -> None:
        """Close the sessions that have expired."""
        for session_id in self.tracker.expired(now):
            self.counters.sessions_expired += 1
            self.close_session(session_id)
