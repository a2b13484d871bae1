"""The first frame of a connection: a new session, or one that comes back.

Source: docs/protocol/client-protocol.md section 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.codec.framing import frame
from pyzk.codec.records import ConnectRequest, ConnectResponse
from pyzk.errors import DecodeError
from pyzk.service.sessions import password, password_matches

if TYPE_CHECKING:
    from pyzk.service.connection import Connection
    from pyzk.service.service import Service


def begin(service: Service, state: Connection, body: bytes, now: float) -> None:
    """Serve a connect request; the connection takes no further request before its session is there."""
    try:
        request = ConnectRequest.from_bytes(body)
    except DecodeError as error:
        service.close(state, f"connect request: {error}", notable=True)
        return
    service.counters.connection_requests += 1
    weights = service.settings.session_weights
    weight = weights.renewed if request.session_id else weights.new
    if service.throttle is not None and not service.throttle.admits(weight, now):
        service.close(state, "too many connect requests (connection_throttle_tokens)")
        return
    if request.last_zxid_seen > service.tree.last_zxid:
        service.close(
            state,
            f"the client has seen zxid 0x{request.last_zxid_seen:x}, our last is 0x{service.tree.last_zxid:x}; "
            "it must try another server",
        )
        return
    settings = service.settings
    state.answers_read_only = request.read_only is not None
    state.timeout_ms = min(max(request.timeout_ms, settings.session_timeout_min_ms), settings.session_timeout_max_ms)
    state.handshaking = True
    if request.session_id:
        _reattach(service, state, request, now)
    else:
        _open(service, state)


def _open(service: Service, state: Connection) -> None:
    if service.writes_refused:
        service.close(state, "no space left for the log: no new sessions")
        return
    state.session_id = service.new_session_id()
    service.outbox.reading[state.id] = False
    service.create_session(state.session_id, state.timeout_ms, state.id)


def _reattach(service: Service, state: Connection, request: ConnectRequest, now: float) -> None:
    session_id = request.session_id
    # Differs from Apache: the password is checked before the old connection is cut (apache-defects.md, row 14).
    known = password_matches(session_id, request.password) and service.tracker.touch(session_id, state.timeout_ms, now)
    if not known:
        refuse(service, state)
        return
    old = service.connections.get(service.owners.get(session_id, 0))
    if old is not None:
        service.close(old, "the session has moved to another connection")
    state.session_id = session_id
    establish(service, state)


def refuse(service: Service, state: Connection) -> None:
    """Tell the client that its session is not valid, and close."""
    service.send(state, _response(state, ConnectResponse(0, 0, 0, bytes(16))))
    service.close(state, "the session is unknown, or the password is wrong")


def establish(service: Service, state: Connection) -> None:
    """The session is there: answer, and read on."""
    state.handshaking, state.established = False, True
    service.owners[state.session_id] = state.id
    response = ConnectResponse(0, state.timeout_ms, state.session_id, password(state.session_id))
    service.send(state, _response(state, response))
    service.outbox.reading[state.id] = True


def _response(state: Connection, response: ConnectResponse) -> bytes:
    response.read_only = False if state.answers_read_only else None
    return frame(response.encode())
