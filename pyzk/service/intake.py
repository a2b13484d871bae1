"""From the bytes of a connection to requests: frames, the session's queue, and who handles an opcode.

The hot path: everything that arrived in one wake-up is served in one loop, and a read costs no object but its reply.
Source: docs/protocol/client-protocol.md sections 1, 3 and 4.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from pyzk.codec.jute import INT32
from pyzk.codec.opcodes import XID_PING, OpCode
from pyzk.errors import DecodeError, MarshallingError, RequestError, UnimplementedError
from pyzk.service import handshake
from pyzk.service.authentication import IMMEDIATE, bar
from pyzk.service.connection import Behind
from pyzk.service.fast import NOTHING
from pyzk.service.reads import READS
from pyzk.service.wire import reply
from pyzk.service.writes import HEADER_SIZE, TOO_MUCH, body_of, is_too_much
from pyzk.tree.query import UnfinishedMultiError

if TYPE_CHECKING:
    from pyzk.service.connection import Connection
    from pyzk.service.service import Service
    from pyzk.tree.acl import Identity

FRAME_HEAD = Struct(">iii")
"""Frame length, xid, opcode."""
REQUEST_HEAD = Struct(">ii")
"""Xid, opcode."""
TLS_HANDSHAKE = b"\x16\x03"
HTTP_METHODS = (b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"CONN", b"PRI ")
TURN_REPLY_BYTES_MAX = 1 << 20
"""With more than this to send, a connection's other requests wait until the client has taken it."""
READ_PATH_OPCODES = frozenset(
    {OpCode.GET_DATA, OpCode.EXISTS, OpCode.GET_CHILDREN, OpCode.GET_CHILDREN2, OpCode.GET_ACL}
)
"""Reads whose bytes are counted by top-level znode."""
ONE_A_TURN = frozenset({OpCode.GET_ALL_CHILDREN_NUMBER})
"""Reads that take long for a short reply: it walks through everything below."""


def receive(service: Service, state: Connection, data: bytes, now: float) -> None:
    """Bytes have arrived: complete what was there before, and serve all whole frames."""
    if state.chunks or state.handshaking:
        state.chunks.append(data)
        state.buffered_bytes += len(data)
        if state.handshaking:
            # Few clients send more before they have a session, so that only these are paused.
            service.outbox.reading[state.id] = False
            return
        if state.buffered_bytes < state.needed_bytes:
            return
        data = b"".join(state.chunks)
        keep(state, b"")
    if state.established:
        serve(service, state, data, now)
    else:
        _connect(service, state, data, now)


def keep(state: Connection, rest: bytes, needed_bytes: int = 0) -> None:
    """Keep bytes that cannot be served yet."""
    state.chunks = [rest] if rest else []
    state.buffered_bytes, state.needed_bytes = len(rest), needed_bytes


def _connect(service: Service, state: Connection, data: bytes, now: float) -> None:
    """The first frame of a connection."""
    length: int = INT32.unpack_from(data)[0] if len(data) >= 4 else 0
    if len(data) < 4 + length or len(data) < 4:
        _keep_partial(service, state, data, 1)
        return
    if not 0 < length <= service.settings.frame_bytes_max:
        service.close(state, _bad_length(service, data), notable=True)
        return
    keep(state, data[4 + length :])
    service.counters.received += 1
    state.stats.received += 1
    handshake.begin(service, state, data[4 : 4 + length], now)
    if state.established:
        resume(service, state, now)


def resume(service: Service, state: Connection, now: float) -> None:
    """The session is there: serve what was pipelined behind the connect request."""
    data = b"".join(state.chunks)
    keep(state, b"")
    if data:
        serve(service, state, data, now)


def serve(service: Service, state: Connection, data: bytes, now: float) -> None:
    """Serve the whole frames of `data`, as far as a turn goes, and keep the rest."""
    if not service.tracker.touch(state.session_id, state.timeout_ms, now):
        return  # closing or unknown: requests are dropped silently, as in Apache
    position, end, count = 0, len(data), 0
    longest = service.settings.frame_bytes_max
    out, queue = state.out, state.queue
    fast = NOTHING if state.barred else service.fast
    answered = len(out)
    room = 1 if service.points.fires("turn ends early") else TURN_REPLY_BYTES_MAX
    xid, opcode = state.last_xid, state.last_opcode
    while end - position >= 12 and room > 0:
        length, next_xid, next_opcode = FRAME_HEAD.unpack_from(data, position)
        stop = position + 4 + length
        if stop > end or not HEADER_SIZE <= length <= longest or state.deaf or state.full:
            break
        xid, opcode = next_xid, next_opcode
        handler = None if queue else fast.get(opcode)
        encoded = handler(service, state, xid, data, position + 12, stop) if handler else None
        if encoded is None:
            encoded = _dispatch(service, state, xid, opcode, data[position + 4 : stop], now)
            room -= TURN_REPLY_BYTES_MAX * (opcode in ONE_A_TURN)
        if encoded is not None:
            out.append(encoded)
            room -= len(encoded)
        position = stop
        count += 1
    state.last_opcode = opcode
    if xid >= 0:
        state.last_xid = xid
    _account(service, state, count, len(out) - answered, now)
    if position < end and not state.deaf:
        _keep_partial(service, state, data[position:], HEADER_SIZE)
        if state.buffered_bytes >= state.needed_bytes:
            _go_on_later(service, state)


def _go_on_later(service: Service, state: Connection) -> None:
    """Whole frames are left: serve them in another turn, or when there is room in the queue."""
    if state.full:
        service.counters.throttle_waits += 1
        service.paused[state.id] = None
        service.outbox.reading[state.id] = False
    else:
        service.outbox.unfinished[state.id] = None


def _keep_partial(service: Service, state: Connection, rest: bytes, shortest: int) -> None:
    """Keep the beginning of a frame, unless its length says already that it cannot be one."""
    if len(rest) < 4:
        keep(state, rest, 4)
        return
    length: int = INT32.unpack_from(rest)[0]
    if not shortest <= length <= service.settings.frame_bytes_max:
        service.close(state, _bad_length(service, rest), notable=True)
    elif is_too_much(service, length):
        service.counters.large_rejected += 1
        service.close(state, TOO_MUCH, notable=True)
    else:
        keep(state, rest, 4 + length)


def _bad_length(service: Service, received: bytes) -> str:
    """Why a frame is refused, and what it seems to be instead."""
    (length,) = INT32.unpack_from(received)
    limit = service.settings.frame_bytes_max
    reason = f"frame length {length} is not between 1 and jute.maxbuffer ({limit})"
    if received.startswith(TLS_HANDSHAKE):
        return f"{reason}: this is TLS, on a port that is not"
    if received.startswith(HTTP_METHODS):
        return f"{reason}: this is HTTP, on the port of ZooKeeper's clients"
    return f"{reason}: its first bytes are {received[:4].hex()}"


def _account(service: Service, state: Connection, count: int, answered: int, now: float) -> None:
    counters, stats = service.counters, state.stats
    if service.watches.bytes_of.get(state.id, 0) > service.settings.watch_bytes_max:
        reason = f"its watches take more than {service.settings.watch_bytes_max} bytes"
        service.close(state, f"{reason} (pyzk.watchBytesPerConnectionMax)", notable=True)
    counters.received += count
    stats.received += count
    if answered:
        service.outbox.dirty[state.id] = None
        counters.prompt_reads += answered
        stats.count += answered
        stats.least = 0
        state.last_zxid, state.last_response_at, state.last_latency_ms = service.tree.last_zxid, now, 0
    if state.queue and service.outstanding > service.settings.outstanding_max and state.id not in service.paused:
        counters.throttle_waits += 1
        service.paused[state.id] = None
        service.outbox.reading[state.id] = False


def _dispatch(service: Service, state: Connection, xid: int, opcode: int, frame: bytes, now: float) -> bytes | None:
    """One request: answer it, queue it, or submit it. `frame` begins with the request header."""
    write = service.writes.get(opcode)
    if state.barred and opcode not in IMMEDIATE:
        bar(service, state, xid)
    elif write is not None:
        write(service, state, xid, opcode, frame, now)
    elif opcode in READS:
        if not state.queue:
            return read(service, state, frame, state.identities)
        state.wait(Behind(frame, state.identities, now))
    elif opcode in IMMEDIATE:
        IMMEDIATE[opcode](service, state, xid, body_of(service, frame))
    else:
        # Differs from Apache: createSession, deleteContainer and a lone check end here too (docs/differences.md).
        service.send(state, reply(xid, -1, UnimplementedError.code))
        service.close(state, f"opcode {opcode} is not served", notable=True)
    return None


def read_behind(service: Service, state: Connection, entry: Behind) -> bytes:
    """The encoded reply of a read that has waited behind a write of its session."""
    frame = entry.frame
    xid, opcode = REQUEST_HEAD.unpack_from(frame)
    handler = service.fast.get(opcode)
    encoded = handler(service, state, xid, frame, HEADER_SIZE, len(frame)) if handler else None
    return read(service, state, frame, entry.identities) if encoded is None else encoded


def read(service: Service, state: Connection, frame: bytes, identities: tuple[Identity, ...]) -> bytes:
    """The encoded reply of a read. `frame` begins with the request header."""
    xid, opcode = REQUEST_HEAD.unpack_from(frame)
    err, body = 0, b""
    try:
        body = READS[opcode](service, state, body_of(service, frame), identities)
        if service.namespaces is not None and opcode in READ_PATH_OPCODES:
            path = body_of(service, frame).buffer() or b""
            service.namespaces.note_read(path, len(path) + len(body))
    except UnfinishedMultiError as unfinished:
        err, body = unfinished.code, unfinished.body
    except RequestError as error:
        err = error.code
    except DecodeError:
        err = MarshallingError.code
    return reply(XID_PING if opcode == OpCode.PING else xid, service.tree.last_zxid, err, body)
