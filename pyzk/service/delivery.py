"""Committed txns: apply, tell the watchers, answer whoever waits; in this order, for each txn in turn.

Source: docs/protocol/data-model.md sections 5.2, 5.4 and 8, docs/protocol/client-protocol.md sections 3 and 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pyzk.codec.jute import INT32, pack_buffer
from pyzk.codec.opcodes import EventType, OpCode, Perms
from pyzk.codec.requests import MULTI_END, MULTI_HEADER
from pyzk.codec.txns import MULTI_TXNS, CreateTxn, PreparedMultiTxn, SetDataTxn
from pyzk.errors import SessionMovedError, ThrottledOpError
from pyzk.service import handshake, intake
from pyzk.service.connection import WAITING_MAX, Behind, Parting, Syncing
from pyzk.service.wire import REPLY, REPLY_HEADER_SIZE, event, reply
from pyzk.tree.apply import Applied, Change, apply_create, apply_leaves, apply_record, apply_set_data
from pyzk.tree.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyzk.codec.record import Record
    from pyzk.codec.records import ACL
    from pyzk.codec.txns import PlainSetData
    from pyzk.service.audit import Auditor
    from pyzk.service.connection import Connection, Entry
    from pyzk.service.counters import Counters, Distribution, Namespaces
    from pyzk.service.proposer import Proposal
    from pyzk.service.service import Service
    from pyzk.service.watches import Event
    from pyzk.tree.node import Written

OriginOf: TypeAlias = "Callable[[int, int, int], int]"
"""The connection that waits for the txn of this session, cxid and type, 0 for none."""

CREATE, SET_DATA = int(OpCode.CREATE), int(OpCode.SET_DATA)

WATCH_TOTALS = {
    EventType.NODE_CREATED: "watches_created",
    EventType.NODE_DELETED: "watches_deleted",
    EventType.NODE_DATA_CHANGED: "watches_changed",
    EventType.NODE_CHILDREN_CHANGED: "watches_children",
}
"""Which summary counts those who were told of an event."""


def deliver(service: Service, proposal: Proposal, now: float) -> None:
    """Apply one txn; events first, then the reply."""
    header = proposal.header
    plain = PLAIN.get(header.type)
    if plain is not None and proposal.written and plain(service, proposal, proposal.written, now):
        return
    if service.syncs and proposal.origin:
        _let_syncs_pass(service, proposal.origin, now)
    if service.auditor is not None and header.type == OpCode.CLOSE_SESSION:
        _audit_end(service, service.auditor, proposal)
    applied = apply_record(service.tree, header, proposal.record, proposal.written)
    if service.namespaces is not None:
        _note_written(service.namespaces, proposal.record)
    if service.watches.any:
        for change in applied.changes:
            _fire(service, change, header.zxid)
    after = AFTER.get(header.type)
    if after is not None:
        after(service, proposal, now)
    elif proposal.origin:
        _answer(service, proposal, applied, now)


def deliver_set_data(service: Service, plain: PlainSetData, origin_of: OriginOf, now: float) -> bool:
    """As `deliver`, of a setData that another server has prepared, where nobody but its client is told; whether so."""
    session_id, cxid, zxid, _, path, _, _, _ = plain
    if service.syncs or service.sees_every_txn or service.watches.sees_data(path):
        return False
    stat = apply_set_data(service.tree, plain)
    if stat is not None:
        origin = origin_of(session_id, cxid, SET_DATA)
        if origin:
            _reply_plain(service, origin, zxid, stat, now)
    return stat is not None


def _deliver_set(service: Service, proposal: Proposal, written: Sequence[Written], now: float) -> bool:
    """New data for a leaf, in one step where nobody but its client is told; whether that was so."""
    path = written[0][0]
    if not proposal.is_plain or service.syncs or service.sees_every_txn or service.watches.sees_data(path):
        return False
    stats = apply_leaves(service.tree, proposal.header.zxid, written)
    if stats is not None and proposal.origin:
        _reply_plain(service, proposal.origin, proposal.header.zxid, stats[0], now)
    return stats is not None


def _deliver_sets(service: Service, proposal: Proposal, written: Sequence[Written], now: float) -> bool:
    """The same of a multi that does nothing else; checks of versions are such a thing."""
    record = proposal.record
    is_more = not proposal.is_plain or not isinstance(record, PreparedMultiTxn) or len(record.prepared) != len(written)
    if is_more or service.syncs or service.sees_every_txn:
        return False
    if service.watches.any and any(service.watches.sees_data(path) for path, _, _, _ in written):
        return False
    stats = apply_leaves(service.tree, proposal.header.zxid, written)
    if stats is not None and proposal.origin:
        body = SET_DATA_RESULT + SET_DATA_RESULT.join(stats) + MULTI_END_BYTES
        _reply_plain(service, proposal.origin, proposal.header.zxid, body, now)
    return stats is not None


def _deliver_create(service: Service, proposal: Proposal, written: Sequence[Written], now: float) -> bool:
    """The same of a create: a new leaf."""
    header, record = proposal.header, proposal.record
    (path, _, _, _), (parent, _, _, _) = written
    if service.syncs or service.sees_every_txn or service.watches.sees_created(path, parent):
        return False
    assert isinstance(record, CreateTxn)
    stat = apply_create(service.tree, header, record, written)
    if stat is not None and proposal.origin:
        body = INT32.pack(len(path)) + path
        _reply_plain(service, proposal.origin, header.zxid, body if header.type == CREATE else body + stat, now)
    return stat is not None


def _reply_plain(service: Service, origin: int, zxid: int, body: bytes, now: float) -> None:
    state = service.connections.get(origin)
    if state is None or state.closing:
        service.counters.stale_replies += 1
    else:
        _reply(service, state, zxid, body, now)


def _audit_end(service: Service, auditor: Auditor, proposal: Proposal) -> None:
    """Told by the server that has the client, or by the one that says that the session is over."""
    session_id = proposal.header.client_id
    # What a client asks for has a cxid, here or forwarded; what a tracker decides has none.
    is_ours = not proposal.header.cxid and service.role.decides
    if session_id in service.owners or is_ours:
        auditor.session_ends(session_id, list(service.tree.ephemerals.get(session_id, ())))


def _note_written(namespaces: Namespaces, record: Record) -> None:
    """Bytes of path and data, as Apache counts them; of a multi, those of each part."""
    if isinstance(record, MULTI_TXNS):
        for _, part in [] if record.has_failed else record.steps():
            _note_written(namespaces, part)
        return
    path = getattr(record, "path", None)
    if isinstance(path, bytes):
        data = getattr(record, "data", None)
        namespaces.note_written(path, len(path) + (len(data) if isinstance(data, bytes) else 0))


def _fire(service: Service, change: Change, zxid: int) -> None:
    kind, path, parent, acl, parent_acl = change
    for event_type, event_path, connections in _events(service, kind, path, parent):
        guard = parent_acl if event_type is EventType.NODE_CHILDREN_CHANGED else acl
        told = [service.connections[connection] for connection in connections]
        if guard is not None:
            told = [state for state in told if _may_see(service, state, guard)]
        encoded = event(event_type, event_path, zxid)
        dirty = service.outbox.dirty
        for state in told:  # as service.send, a thousand times
            state.out.append(encoded)
            dirty[state.id] = None
        _count(service.counters, event_type, len(told), len(encoded))


def _count(counters: Counters, event_type: EventType, told: int, size_bytes: int) -> None:
    counters.watch_bytes += told * (size_bytes - INT32.size)
    summary: Distribution = getattr(counters, WATCH_TOTALS[event_type])
    summary.add(told)


def _events(service: Service, kind: EventType, path: bytes, parent: bytes | None) -> list[Event]:
    if parent is None:
        return service.watches.fire_changed(path)
    if kind is EventType.NODE_CREATED:
        return service.watches.fire_created(path, parent)
    return service.watches.fire_deleted(path, parent)


def _may_see(service: Service, state: Connection, acl: list[ACL]) -> bool:
    return service.access.permits(acl, Perms.READ, state.identities)


def _answer(service: Service, proposal: Proposal, applied: Applied, now: float) -> None:
    """The reply of the request at the head of its connection's queue, and the reads that waited behind it."""
    state = service.connections.get(proposal.origin)
    if state is None or state.closing:
        service.counters.stale_replies += 1
        return
    if applied.err == SessionMovedError.code:
        service.close(state, "its session has moved to another server")
        return
    entry = state.queue[0]
    assert isinstance(entry, Request), "only writes are matched with txns"
    if service.auditor is not None:
        service.auditor.answered(entry, state.address, applied)
    body = b"" if applied.err else REPLY_BODIES[entry.opcode](applied, proposal.record)
    _reply(service, state, proposal.header.zxid, body, now, applied.err)


def _reply(service: Service, state: Connection, zxid: int, body: bytes, now: float, err: int = 0) -> None:
    """Answer the write at the head of a queue, and what waits behind it."""
    queue = state.queue
    entry = queue.popleft()
    assert isinstance(entry, Request), "only writes are matched with txns"
    service.outstanding -= 1  # as service.forget and service.send, for each write
    if service.large_bytes:
        service.large_bytes -= service.settings.requests.large(entry.frame_bytes)
    state.out.append(REPLY.pack(REPLY_HEADER_SIZE + len(body), entry.cxid, zxid, err) + body)
    service.outbox.dirty[state.id] = None
    latency_ms = int((now - entry.received_at) * 1000)
    service.counters.write(entry.opcode, latency_ms)
    state.answered(zxid, now, latency_ms)
    if queue and (type(queue[0]) is not Request or queue[0].err):
        answer_waiting(service, state, now)


def _let_syncs_pass(service: Service, origin: int, now: float) -> None:
    """A write that its leader took after some syncs of the same session is committed: they need no other word."""
    state = service.connections.get(origin)
    if state is None or state.closing:
        return
    for entry in state.queue:
        if isinstance(entry, Syncing):
            service.confirm(entry)
        elif isinstance(entry, Request) and not entry.err:
            break
    answer_waiting(service, state, now)


def answer_waiting(service: Service, state: Connection, now: float) -> None:
    """Reads, refusals and confirmed syncs up to the next write of the session, or the next sync that is under way.

    Where a turn's bytes are full, the others wait until the client has taken what it was sent; but they never wait for
    a write that came behind them, because they would show what it does.
    """
    if state.sated:
        return
    queue = state.queue
    room = intake.TURN_REPLY_BYTES_MAX
    last_zxid = service.tree.last_zxid
    state.full = False
    while queue:
        entry = queue[0]
        if room <= 0 and state.waiting == len(queue):
            service.outbox.unfinished[state.id] = None
            state.full = state.sated = True
            return
        if isinstance(entry, Behind):
            room -= _answer_reads(service, state, entry, now, room)
            continue
        if isinstance(entry, Request) and not entry.err and not (isinstance(entry, Syncing) and entry.is_confirmed):
            break
        queue.popleft()
        if isinstance(entry, Request):
            encoded = _end_unwritten(service, state, entry, last_zxid)
        elif isinstance(entry, Parting):
            state.waiting -= 1
            service.part(state, entry.xid)
            return
        else:
            state.waiting -= 1
            encoded = reply(entry.xid, last_zxid, entry.err)
        service.send(state, encoded)
        room -= len(encoded)
    state.full = state.waiting >= WAITING_MAX


def _answer_reads(service: Service, state: Connection, first: Behind, now: float, room: int) -> int:
    """The read at the head of the queue, and those behind it that came with it and fit; returns the bytes of all."""
    queue, out = state.queue, state.out
    entry: Entry | None = first
    count = size_bytes = 0
    while isinstance(entry, Behind) and entry.received_at == first.received_at and (not count or size_bytes < room):
        queue.popleft()
        encoded = intake.read_behind(service, state, entry)
        out.append(encoded)
        count, size_bytes = count + 1, size_bytes + len(encoded)
        entry = queue[0] if queue else None
    state.waiting -= count
    service.outbox.dirty[state.id] = None
    latency_ms = int((now - first.received_at) * 1000)
    service.counters.waiting_reads.add(latency_ms, count)
    state.answered(service.tree.last_zxid, now, latency_ms, count)
    return size_bytes


def _end_unwritten(service: Service, state: Connection, request: Request, last_zxid: int) -> bytes:
    """The reply of a request that has become no txn: it was throttled, or is a sync."""
    body = b""
    if not isinstance(request, Syncing):
        service.forget(request)
    else:
        state.waiting -= 1
        if not request.is_confirmed:
            service.forget(request)
        if not request.err:
            body = request.record.encode()
    return reply(request.cxid, last_zxid, request.err, body)


def let_pass(service: Service, request: Request, now: float) -> bool:
    """Whether a write that has waited in line may become a txn; answered or dropped if not.

    Sessions are opened and closed in any case. Source: docs/protocol/client-protocol.md section 9.8, data-model.md 9.
    """
    if not request.frame_bytes or request.opcode == OpCode.CLOSE_SESSION:
        return True
    limits, waited_ms = service.settings.requests, (now - request.received_at) * 1000
    state = service.connections.get(request.origin)
    if _is_stale(service, state, waited_ms):
        service.counters.stale += 1
    if limits.drop_stale and _is_stale(service, state, waited_ms):
        service.counters.stale_dropped += 1
        if state is not None:
            service.close(state, f"a request waited {waited_ms:.0f} ms and went stale (request_throttle_drop_stale)")
        return False
    if limits.wait_ms_max and waited_ms > limits.wait_ms_max:
        request.err = ThrottledOpError.code
        service.counters.throttled += 1
        if state is not None:
            answer_waiting(service, state, now)
        return False
    return True


def _is_stale(service: Service, state: Connection | None, waited_ms: float) -> bool:
    limits = service.settings.requests
    if state is None or state.closing:
        return limits.stale_when_disconnected
    return limits.stale_when_expired and waited_ms > state.timeout_ms


def _session_created(service: Service, proposal: Proposal, now: float) -> None:
    session_id = proposal.header.client_id
    service.tracker.created(session_id, service.tree.sessions[session_id], now)
    state = service.connections.get(proposal.origin)
    if state is not None and not state.closing:
        handshake.establish(service, state)
        latency_ms = int((now - state.last_heard_at) * 1000)
        service.counters.write(OpCode.CREATE_SESSION, latency_ms)
        state.last_xid, state.last_opcode = 0, OpCode.CREATE_SESSION
        state.answered(proposal.header.zxid, now, latency_ms)
        intake.resume(service, state, now)


def _session_closed(service: Service, proposal: Proposal, now: float) -> None:
    session_id = proposal.header.client_id
    service.tracker.remove(session_id)
    if proposal.origin:
        _answer(service, proposal, Applied(), now)
    state = service.connections.get(service.owners.get(session_id, 0))
    if state is not None:
        service.close(state, "the session is closed" if proposal.origin else "the session has expired")


AFTER: dict[int, Callable[[Service, Proposal, float], None]] = {
    OpCode.CREATE_SESSION: _session_created,
    OpCode.CLOSE_SESSION: _session_closed,
}


PLAIN: dict[int, Callable[[Service, Proposal, Sequence[Written], float], bool]] = {
    OpCode.SET_DATA: _deliver_set,
    OpCode.MULTI: _deliver_sets,
    OpCode.CREATE: _deliver_create,
    OpCode.CREATE2: _deliver_create,
}
"""What is often all that a txn asks for."""


def _path_body(applied: Applied, record: Record) -> bytes:  # noqa: ARG001
    return pack_buffer(applied.path)


def _path_stat_body(applied: Applied, record: Record) -> bytes:  # noqa: ARG001
    return pack_buffer(applied.path) + applied.stat


def _stat_body(applied: Applied, record: Record) -> bytes:  # noqa: ARG001
    return applied.stat


def _reconfig_body(applied: Applied, record: Record) -> bytes:
    assert isinstance(record, SetDataTxn)
    return pack_buffer(record.data) + applied.stat


def _empty_body(applied: Applied, record: Record) -> bytes:  # noqa: ARG001
    return b""


def _multi_body(applied: Applied, record: Record) -> bytes:
    assert isinstance(record, MULTI_TXNS)
    parts: list[bytes] = []
    if record.has_failed:
        for result in applied.results:
            parts += (MULTI_HEADER.pack(OpCode.ERROR, False, result.err), INT32.pack(result.err))  # noqa: FBT003
    else:
        for kind, result in zip(record.types, applied.results, strict=True):
            parts += (MULTI_RESULTS[kind], REPLY_BODIES[kind](result, record))
    parts.append(MULTI_END_BYTES)
    return b"".join(parts)


REPLY_BODIES: dict[int, Callable[[Applied, Record], bytes]] = {
    OpCode.CREATE: _path_body,
    OpCode.CREATE2: _path_stat_body,
    OpCode.CREATE_CONTAINER: _path_stat_body,
    OpCode.CREATE_TTL: _path_stat_body,
    OpCode.DELETE: _empty_body,
    OpCode.SET_DATA: _stat_body,
    OpCode.SET_ACL: _stat_body,
    OpCode.RECONFIG: _reconfig_body,
    OpCode.CHECK: _empty_body,
    OpCode.MULTI: _multi_body,
    OpCode.CLOSE_SESSION: _empty_body,
}

CREATE2_RESULTS = frozenset({OpCode.CREATE_CONTAINER, OpCode.CREATE_TTL})
"""Creates that are answered as create2 inside a multi."""
MULTI_RESULTS = {
    int(opcode): MULTI_HEADER.pack(OpCode.CREATE2 if opcode in CREATE2_RESULTS else opcode, False, 0)  # noqa: FBT003
    for opcode in REPLY_BODIES
}
MULTI_END_BYTES = MULTI_END.encode()
SET_DATA_RESULT = MULTI_RESULTS[OpCode.SET_DATA]
