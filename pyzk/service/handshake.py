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
    objection = _objection(service, request, now)
    if objection:
        service.close(state, objection)
        return
    settings = service.settings
    state.answers_read_only = request.read_only is not None
    state.timeout_ms = min(max(request.timeout_ms, settings.session_timeout_min_ms), settings.session_timeout_max_ms)
    state.handshaking = True
    if request.session_id == 0:
        _open(service, state, now)
    # Differs from Apache: the password is checked before the old connection is cut (apache-defects.md, row 14).
    elif password_matches(request.session_id, request.password):
        service.role.resume(state, request.session_id, now)
    else:
        refuse(service, state)


def _objection(service: Service, request: ConnectRequest, now: float) -> str:
    """Why the client must try another server, or again; empty if it need not."""
    if not service.is_serving:
        return "this server is not serving: it has no leader"
    if service.throttle is not None and not service.throttle.admits(_weight(service, request), now):
        return "too many connect requests (connection_throttle_tokens)"
    if service.role.is_read_only and not request.read_only:
        return "this server is read-only, and the client does not want one that is"
    if request.last_zxid_seen > service.tree.last_zxid:
        return (
            f"the client has seen zxid 0x{request.last_zxid_seen:x}, our last is 0x{service.tree.last_zxid:x}; "
            "it must try another server"
        )
    return ""


def _weight(service: Service, request: ConnectRequest) -> int:
    weights = service.settings.session_weights
    if request.session_id:
        return weights.renewed
    return weights.new if service.local_sessions is None else weights.local


def _open(service: Service, state: Connection, now: float) -> None:
    if service.local_sessions is not None:
        state.session_id = service.new_session_id()
        service.local_sessions.create(state.session_id, state.timeout_ms, now)
        establish(service, state)
        return
    if service.writes_refused:
        service.close(state, "no space left for the log: no new sessions")
        return
    state.session_id = service.new_session_id()
    service.create_session(state.session_id, state.timeout_ms, state.id)


def attach(service: Service, state: Connection, session_id: int) -> None:
    """The session is valid, and may go on here: take it over from an older connection of this server."""
    old = service.connections.get(service.owners.get(session_id, 0))
    if old is not None:
        service.close(old, "the session has moved to another connection")
    state.session_id = session_id
    establish(service, state)


def refuse(service: Service, state: Connection) -> None:
    """Tell the client that its session is not valid, and close."""
    service.send(state, _response(service, state, ConnectResponse(0, 0, 0, bytes(16))))
    service.close(state, "the session is unknown, or the password is wrong")


def establish(service: Service, state: Connection) -> None:
    """The session is there: answer, and read on."""
    state.handshaking, state.established = False, True
    service.owners[state.session_id] = state.id
    response = ConnectResponse(0, state.timeout_ms, state.session_id, password(state.session_id))
    service.send(state, _response(service, state, response))
    if state.chunks:  # it may have been paused for them
        service.outbox.reading[state.id] = True


def _response(service: Service, state: Connection, response: ConnectResponse) -> bytes:
    response.read_only = service.role.is_read_only if state.answers_read_only else None
    return frame(response.encode())
