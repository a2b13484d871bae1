"""auth and sasl packets: answered at once, ahead of whatever is queued.

Identities belong to the connection and hold for the requests read after them. Where authentication is enforced, a
connection is barred until it has an identity of one of the schemes that will do.
Source: docs/protocol/client-protocol.md section 8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pyzk.codec.jute import pack_buffer
from pyzk.codec.opcodes import OpCode
from pyzk.codec.requests import AuthRequest, SaslRequest
from pyzk.errors import AuthFailedError, DecodeError, SaslError, SaslRequiredError
from pyzk.sasl.mechanism import TOKEN_BYTES_MAX
from pyzk.service.wire import reply
from pyzk.tree.acl import SUPER, digest_id

if TYPE_CHECKING:
    from pyzk.codec.jute import Reader
    from pyzk.sasl.mechanism import ServerExchange
    from pyzk.service.connection import Connection
    from pyzk.service.service import Service
    from pyzk.tree.acl import Identity

Immediate = Callable[["Service", "Connection", int, "Reader"], None]
Prover = Callable[["Service", "Connection", bytes | None], list["Identity"]]
"""Makes identities of the data of an auth packet. Raises AuthFailedError."""

IDENTITIES_MAX = 100
"""Who a connection may be at once: every check of an ACL goes through all of them."""
SASL = b"sasl"


def add_identities(service: Service, state: Connection, identities: Iterable[Identity]) -> None:
    """The client is these too. Raises AuthFailedError when it is too many."""
    known = dict.fromkeys([*state.identities, *identities])
    if len(known) > IDENTITIES_MAX:
        raise AuthFailedError(f"more than {IDENTITIES_MAX} identities on one connection")
    state.identities = tuple(known)
    required = service.settings.required_schemes
    state.barred = bool(required) and not any(scheme in required for scheme, _ in state.identities)


def bar(service: Service, state: Connection, xid: int) -> None:
    """A request came before the client has authenticated itself, and here it must."""
    service.send(state, reply(xid, 0, SaslRequiredError.code))
    schemes = b", ".join(sorted(service.settings.required_schemes)).decode()
    service.close(state, f"the client must authenticate first, by {schemes} (enforce.auth.schemes)", notable=True)


def _auth(service: Service, state: Connection, xid: int, body: Reader) -> None:
    try:
        request = AuthRequest.decode(body)
    except DecodeError as error:
        service.close(state, f"auth packet: {error}", notable=True)
        return
    prove = service.provers.get(request.scheme or b"", _prove_nothing)
    try:
        add_identities(service, state, prove(service, state, request.auth))
    except AuthFailedError as refusal:
        service.counters.authentication_failed += 1
        service.send(state, reply(xid, 0, refusal.code))
        service.close(state, f"authentication failed: {refusal}", notable=True)
        return
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


def _prove_x509(service: Service, state: Connection, auth: bytes | None) -> list[Identity]:  # noqa: ARG001
    """The certificate was checked when the client connected; what it proved is an identity since then."""
    proven = [identity for identity in state.identities if identity[0] == b"x509"]
    if not proven:
        raise AuthFailedError("scheme x509 on a connection without a client certificate")
    return proven


def _prove_nothing(service: Service, state: Connection, auth: bytes | None) -> list[Identity]:  # noqa: ARG001
    raise AuthFailedError("no such scheme")


def ensemble_prover(names: frozenset[bytes]) -> Prover:
    """Closes the connections of clients that mean another ensemble (scheme ensemble, ensembleAuthName)."""

    def prove(service: Service, state: Connection, auth: bytes | None) -> list[Identity]:
        if auth and names and auth not in names:
            service.close(state, f"the client wants the ensemble {auth!r} (ensembleAuthName)", notable=True)
        return []

    return prove


PROVERS: dict[bytes, Prover] = {b"ip": _prove_ip, b"digest": _prove_digest, b"x509": _prove_x509}


def _sasl(service: Service, state: Connection, xid: int, body: Reader) -> None:
    """One token. Without SASL set up, a server answers with a null token, and clients go on without."""
    try:
        token = SaslRequest.decode(body).token
    except DecodeError as error:
        service.close(state, f"sasl packet: {error}", notable=True)
        return
    if token is None:
        service.close(state, "sasl packet without a token")
        return
    if service.new_exchange is None:
        service.send(state, reply(xid, 0, 0, pack_buffer(None)))
        return
    if state.exchange is None:
        state.exchange = service.new_exchange()
    try:
        answer = _respond(state.exchange, token)
        if state.exchange.identity is not None:
            add_identities(service, state, sasl_identities(service, state.exchange.identity))
    except (SaslError, AuthFailedError) as refusal:
        _sasl_failed(service, state, xid, str(refusal))
    else:
        service.send(state, reply(xid, 0, 0, pack_buffer(answer)))


def _respond(exchange: ServerExchange, token: bytes) -> bytes | None:
    if len(token) > TOKEN_BYTES_MAX:
        raise SaslError(f"a token of {len(token)} bytes")
    return exchange.respond(token)


def sasl_identities(service: Service, name: str) -> list[Identity]:
    """What a client is that has proven its name."""
    identity = name.encode()
    return [(SASL, identity), *([(SUPER, b"")] if identity in service.settings.super_users else [])]


def _sasl_failed(service: Service, state: Connection, xid: int, reason: str) -> None:
    service.counters.authentication_failed += 1
    settings = service.settings
    is_required = SASL in settings.required_schemes
    if settings.sasl_failures_allowed and not is_required:
        service.send(state, reply(xid, 0, 0, pack_buffer(None)))
        return
    err = SaslRequiredError.code if is_required else AuthFailedError.code
    # The only reply besides multiRead's that has a body in spite of an error.
    service.send(state, reply(xid, 0, err, pack_buffer(None)))
    service.close(state, f"SASL authentication failed: {reason}", notable=True)


IMMEDIATE: dict[int, Immediate] = {OpCode.AUTH: _auth, OpCode.SASL: _sasl}
