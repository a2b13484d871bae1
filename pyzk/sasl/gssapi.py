"""GSSAPI: both sides prove who they are by tickets of Kerberos. Only the frame around the tickets is here.

Tickets are made and checked by a `Context`, which a library provides (`pyzk.client.aio_kerberos`).
When both contexts stand, the server offers layers of protection and the client takes one; ZooKeeper knows none but
"no layer". Source: RFC 4752, docs/protocol/client-protocol.md section 8.
"""

from collections.abc import Callable
from typing import Protocol

from pyzk.errors import SaslError

NO_LAYER = 1
OFFER = bytes([NO_LAYER, 0, 0, 0])
"""Layers as bits, and the longest message behind one: none."""


class Context(Protocol):
    """One side of a Kerberos exchange; all its methods raise SaslError."""

    @property
    def is_complete(self) -> bool:
        """Whether this side knows who the other is."""

    def step(self, token: bytes) -> bytes | None:
        """The answer to a token; the first one is empty for the side that begins."""

    def wrap(self, message: bytes) -> bytes:
        """Sign a message."""

    def unwrap(self, token: bytes) -> bytes:
        """The message of a token that the other side has signed."""

    def initiator(self) -> str:
        """The principal that has begun."""


class KerberosServer:
    """The side that asks.

    Args:
        context: accepts tickets.
        authorize: makes of the principal the identity.
    """

    __slots__ = ("_authorize", "_context", "_has_offered", "identity")

    def __init__(self, context: Context, authorize: Callable[[str], str] = str) -> None:
        self.identity: str | None = None
        self._context = context
        self._authorize = authorize
        self._has_offered = False

    def respond(self, token: bytes) -> bytes | None:
        """The answer to a token. Raises SaslError."""
        if self.identity is not None:
            raise SaslError("the exchange is over")
        if self._has_offered:
            self._finish(token)
            return None
        answer = None if self._context.is_complete else self._context.step(token)
        if answer or not self._context.is_complete:
            return answer or b""
        self._has_offered = True
        return self._context.wrap(OFFER)

    def _finish(self, token: bytes) -> None:
        chosen = self._context.unwrap(token)
        if len(chosen) < len(OFFER) or chosen[0] != NO_LAYER:
            raise SaslError("the client wants a layer of protection that was not offered")
        # Whom it wants to be besides (behind the first four bytes) does not count, as in Apache.
        self.identity = self._authorize(self._context.initiator())


class KerberosClient:
    """The side that has a ticket, or gets one.

    Args:
        new_context: begins towards the service.
    """

    __slots__ = ("_context", "_failure", "_has_chosen", "_new_context", "_ticket", "is_complete")

    def __init__(self, new_context: Callable[[], Context]) -> None:
        self.is_complete = False
        self._new_context = new_context
        self._context: Context | None = None
        self._ticket = b""
        self._failure = ""
        self._has_chosen = False

    def prepare(self) -> None:
        """Ask the KDC for the ticket; why there is none is told by `start`."""
        try:
            self._context = self._new_context()
            self._ticket = self._context.step(b"") or b""
        except SaslError as error:
            self._failure = str(error)

    def start(self) -> bytes:
        """The ticket. Raises SaslError."""
        if self._context is None and not self._failure:
            self.prepare()
        if self._failure:
            raise SaslError(self._failure)
        return self._ticket

    def respond(self, token: bytes | None) -> bytes | None:
        """The answer to a token. Raises SaslError."""
        if self._has_chosen:
            self.is_complete = True
            return None
        if token is None:
            raise SaslError("the server offers no SASL")
        context = self._context
        assert context is not None, "the other side answers what it was sent"
        if not context.is_complete:
            return context.step(token) or b""
        offered = context.unwrap(token)
        if len(offered) != len(OFFER) or not offered[0] & NO_LAYER:
            raise SaslError("the server wants a layer of protection, and there is none here")
        self._has_chosen = True
        return context.wrap(OFFER)
