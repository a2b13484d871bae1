"""Kerberos by the system's library (the extra `kerberos`): contexts for both sides of an exchange.

A context that begins may have to ask the KDC for a ticket, and waits for it: call it where waiting does no harm.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import gssapi
from gssapi.exceptions import GSSError

from pyzk.errors import SaslError


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except GSSError as error:
        raise SaslError(f"Kerberos: {' '.join(str(error).split())}") from error


class GssContext:
    """A `pyzk.sasl.gssapi.Context` over the library's."""

    def __init__(self, context: gssapi.SecurityContext) -> None:
        self._context = context

    @property
    def is_complete(self) -> bool:
        """Whether this side knows who the other is."""
        return bool(self._context.complete)

    def step(self, token: bytes) -> bytes | None:
        """The answer to a token."""
        with _explained():
            answer: bytes | None = self._context.step(token or None)
        return answer

    def wrap(self, message: bytes) -> bytes:
        """Sign a message."""
        with _explained():
            return bytes(self._context.wrap(message, False).message)  # noqa: FBT003 - not encrypted

    def unwrap(self, token: bytes) -> bytes:
        """The message that was signed."""
        with _explained():
            return bytes(self._context.unwrap(token).message)

    def initiator(self) -> str:
        """The principal that has begun."""
        with _explained():
            return str(self._context.initiator_name)


def initiate(service: str, host: str, keytab: str | None = None, principal: str | None = None) -> GssContext:
    """Begin towards a service on a host. Raises SaslError.

    Args:
        service: the first part of its principal.
        host: the second.
        keytab: of whoever begins; without one, the tickets of the user that runs this (kinit).
        principal: who begins; the keytab's first one, or whose tickets there are.
    """
    with _explained():
        target = gssapi.Name(f"{service}@{host}", gssapi.NameType.hostbased_service)
        name = gssapi.Name(principal, gssapi.NameType.kerberos_principal) if principal else None
        store = {"client_keytab": keytab, "ccache": f"MEMORY:pyzk-{os.getpid()}-{principal}"} if keytab else None
        credentials = gssapi.Credentials(name=name, usage="initiate", store=store) if store or name else None
        return GssContext(gssapi.SecurityContext(name=target, creds=credentials, usage="initiate"))


class Acceptor:
    """Accepts tickets for a service. Raises SaslError if its keytab has no key for the principal.

    Args:
        principal: `service/host@REALM`.
        keytab: its keys; without one, the system's.
    """

    def __init__(self, principal: str, keytab: str | None) -> None:
        with _explained():
            name = gssapi.Name(principal, gssapi.NameType.kerberos_principal)
            store = {"keytab": keytab} if keytab else None
            self._credentials = gssapi.Credentials(name=name, usage="accept", store=store)

    def context(self) -> GssContext:
        """For one exchange."""
        return GssContext(gssapi.SecurityContext(creds=self._credentials, usage="accept"))
