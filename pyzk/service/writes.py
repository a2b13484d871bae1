"""What becomes of the writes of a client, and of its syncs: one table of handlers for each kind of server.

A server that leads, or is alone, submits them to its own proposer, a learner to the leader; syncs go the same way where
there is a leader to ask. A read-only server refuses them. Source: docs/protocol/client-protocol.md sections 4, 5.7 and
9, docs/protocol/zab.md sections 7 and 11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import WRITE_OPCODES, OpCode
from pyzk.errors import NotReadOnlyError, RequestError, SystemRequestError
from pyzk.service.connection import Refused, Syncing
from pyzk.service.door import check_forwarded, read_request, read_write
from pyzk.service.wire import reply
from pyzk.tree.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyzk.codec.record import Record
    from pyzk.service.connection import Connection
    from pyzk.service.service import Service

    Write = Callable[[Service, Connection, int, int, bytes, float], None]
    """Service, connection, xid, opcode, frame without its length, now."""
    Writes = Mapping[int, Write]

TOO_MUCH = "the large requests under way would be more than largeRequestMaxBytes"
CLOSE_SESSION = int(OpCode.CLOSE_SESSION)
HEADER_SIZE = 8
"""A request header; no frame is shorter."""


def is_too_much(service: Service, length: int) -> bool:
    """Whether a large request must not come in now, because too many are under way (largeRequestMaxBytes)."""
    limits = service.settings.requests
    return limits.large(length) + service.large_bytes > limits.large_total_bytes_max and limits.large(length) > 0


def body_of(service: Service, frame: bytes) -> Reader:
    """What follows the header of a request."""
    return Reader(frame, HEADER_SIZE, string_max=service.settings.string_bytes_max)


def submit(service: Service, state: Connection, xid: int, opcode: int, frame: bytes, now: float) -> None:
    """A write for our own proposer."""
    try:
        if service.writes_refused:
            raise SystemRequestError("no space left for the log")
        record = read_write(opcode, frame, HEADER_SIZE, service.settings.string_bytes_max)
    except RequestError as error:
        refuse(service, state, xid, error.code)
        return
    _enqueue(
        service, state, Request(state.session_id, xid, opcode, record, state.identities, state.id, now, len(frame))
    )


def _forward(service: Service, state: Connection, xid: int, opcode: int, frame: bytes, now: float) -> None:
    """A write for the leader; its body travels as it came."""
    try:
        if service.writes_refused:
            raise SystemRequestError("no space left for the log")
        record = read_write(opcode, frame, HEADER_SIZE, service.settings.string_bytes_max)
        check_forwarded(opcode, record)
    except RequestError as error:
        refuse(service, state, xid, error.code)
        return
    _enqueue(
        service,
        state,
        Request(
            state.session_id, xid, opcode, record, state.identities, state.id, now, len(frame), body=frame[HEADER_SIZE:]
        ),
    )


def _sync(service: Service, state: Connection, xid: int, opcode: int, frame: bytes, now: float) -> None:
    """A sync waits for the leader's word, on the leader itself too (apache-defects.md, row 10)."""
    record: Record
    try:
        record = read_request(opcode, body_of(service, frame))
    except RequestError as error:
        refuse(service, state, xid, error.code)
        return
    body = frame[HEADER_SIZE:]
    _enqueue(
        service,
        state,
        Syncing(state.session_id, xid, opcode, record, state.identities, state.id, now, len(frame), body=body),
    )


def _enqueue(service: Service, state: Connection, request: Request) -> None:
    limits = service.settings.requests
    if limits.large_bytes >= 0 and (large := limits.large(request.frame_bytes)):
        if is_too_much(service, large):
            service.counters.large_rejected += 1
            service.close(state, TOO_MUCH, notable=True)
            return
        service.large_bytes += large
    if isinstance(request, Syncing):
        state.wait(request)
    else:
        state.queue.append(request)
    service.outbox.submitted.append(request)
    service.outstanding += 1
    if request.opcode == CLOSE_SESSION:
        state.deaf = True
        service.tracker.set_closing(state.session_id)


def refuse(service: Service, state: Connection, xid: int, err: int) -> None:
    """Answer a request with an error, in its turn."""
    if state.queue:
        state.wait(Refused(xid, err))
    else:
        service.send(state, reply(xid, service.tree.last_zxid, err))


def _refuse_read_only(
    service: Service,
    state: Connection,
    xid: int,
    opcode: int,  # noqa: ARG001
    frame: bytes,  # noqa: ARG001
    now: float,  # noqa: ARG001
) -> None:
    refuse(service, state, xid, NotReadOnlyError.code)


STANDALONE_WRITES: Writes = dict.fromkeys(WRITE_OPCODES, submit)
LEADER_WRITES: Writes = {**STANDALONE_WRITES, OpCode.SYNC: _sync}
LEARNER_WRITES: Writes = {**dict.fromkeys(WRITE_OPCODES, _forward), OpCode.SYNC: _sync}
READ_ONLY_WRITES: Writes = dict.fromkeys([*WRITE_OPCODES, OpCode.SYNC], _refuse_read_only)
