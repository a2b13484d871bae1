"""auth and sasl packets: answered at once, ahead of whatever is queued.

Identities belong to the connection and hold for the requests read after them.
Source: docs/protocol/client-protocol.md section 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.codec.jute import pack_buffer
from pyzk.codec.opcodes import OpCode
from pyzk.codec.requests import AuthRequest, SaslRequest
from pyzk.errors import AuthFailedError, DecodeError
from pyzk.service.wire import reply
from pyzk.tree.acl import SUPER, digest_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.codec.jute import Reader
    from pyzk.service.connection import Connection
    from pyzk.service.service import Service
    from pyzk.tree.acl import Identity

    Immediate = Callable[[Service, Connection, int, Reader], None]
    Prover = Callable[[Service, Connection, bytes | None], list[Identity]]

IDENTITIES_MAX = 100
"""Who a connection may be at once: every check of an ACL goes through all of them."""


def _auth(service: Service, state: Connection, xid: int, body: Reader) -> None:
    try:
        request = AuthRequest.decode(body)
    except DecodeError as error:
        service.close(state, f"auth packet: {error}", notable=True)
        return
    prove = PROVERS.get(request.scheme or b"", _prove_nothing)
    try:
        identities = prove(service, state, request.auth)
    except AuthFailedError as error:
        service.counters.authentication_failed += 1
        service.send(state, reply(xid, 0, error.code))
        service.close(state, f"authentication failed: {error}", notable=True)
        return
    known = dict.fromkeys([*state.identities, *identities])
    if len(known) > IDENTITIES_MAX:
        service.send(state, reply(xid, 0, AuthFailedError.code))
        service.close(state, f"more than {IDENTITIES_MAX} identities on one connection", notable=True)
        return
    state.identities = tuple(known)
    service.send(state, reply(xid, 0, 0))


def _prove_ip(service: Service, state: Connection, auth: bytes | None) -> list[Identity]:  # noqa: ARG001
    return [(b"ip", state.address.encode())]


def _prove_digest(service: Service, state: Connection, auth: bytes | None) -> list[Identity]:  # noqa: ARG001
    settings = service.settings
    if auth is None or not settings.digest_auth_enabled:
        raise AuthFailedError("scheme digest without user and password, or not enabled")
    proven = digest_id(auth, settings.digest_algorithm)
    identities = [(b"digest", proven)]
    if proven == settings.super_digest:
        identities.append((SUPER, b""))
    return identities


def _prove_nothing(service: Service, state: Connection, auth: bytes | None) -> list[Identity]:  # noqa: ARG001
    raise AuthFailedError("no such scheme")


PROVERS: dict[bytes, Prover] = {b"ip": _prove_ip, b"digest": _prove_digest}


def _sasl(service: Service, state: Connection, xid: int, body: Reader) -> None:
    """Without SASL set up, a server answers with a null token, and clients go on without."""
    try:
        token = SaslRequest.decode(body).token
    except DecodeError as error:
        service.close(state, f"sasl packet: {error}", notable=True)
        return
    if token is None:
        service.close(state, "sasl packet without a token")
        return
    service.send(state, reply(xid, 0, 0, pack_buffer(None)))


IMMEDIATE: dict[int, Immediate] = {OpCode.AUTH: _auth, OpCode.SASL: _sasl}
