"""Authentication schemes of an operator's own: what such a provider must know, and how it becomes a scheme.

docs/authentication.md has an example. A provider is foreign code: whatever it raises counts as a no and is
told. It must answer at once, because the server waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pyzk.errors import AuthFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyzk.service.authentication import Prover
    from pyzk.service.connection import Connection
    from pyzk.service.service import Service
    from pyzk.tree.acl import Identity

    Complain = Callable[[str, Exception], None]


class AuthProvider(Protocol):
    """A scheme of identities.

    Attributes:
        scheme: its name in auth packets and ACL entries.
        is_authenticated: whether its identities take the place of an `auth` entry.
    """

    scheme: str
    is_authenticated: bool

    def prove(self, proof: bytes, address: str) -> Iterable[str]:
        """The ids of a client that has sent `proof` in an auth packet; none, or any exception, is a refusal."""

    def is_valid(self, acl_id: str) -> bool:
        """Whether this id may stand in an ACL entry."""

    def matches(self, identity: str, acl_id: str) -> bool:
        """Whether an identity is the one, or one of those, that an entry means."""


class ForeignScheme:
    """A provider as a scheme of ACLs.

    Args:
        provider: somebody's.
        complain: is told what it raises.
    """

    def __init__(self, provider: AuthProvider, complain: Complain) -> None:
        self._provider = provider
        self._complain = complain

    @property
    def is_authenticated(self) -> bool:
        return self._provider.is_authenticated

    def valid(self, acl_id: bytes) -> bool:
        try:
            return bool(self._provider.is_valid(acl_id.decode("utf-8", "surrogateescape")))
        except Exception as error:  # noqa: BLE001 - foreign code must not stop a leader
            self._complain(self._provider.scheme, error)
            return False

    def matches(self, identity_id: bytes, acl_id: bytes) -> bool:
        identity, entry = (text.decode("utf-8", "surrogateescape") for text in (identity_id, acl_id))
        try:
            return bool(self._provider.matches(identity, entry))
        except Exception as error:  # noqa: BLE001 - foreign code must not stop a leader
            self._complain(self._provider.scheme, error)
            return False


def foreign_prover(provider: AuthProvider, complain: Complain) -> Prover:
    """A provider as a prover of auth packets."""
    scheme = provider.scheme.encode()

    def prove(service: Service, state: Connection, auth: bytes | None) -> list[Identity]:  # noqa: ARG001
        try:
            ids = [text.encode("utf-8", "surrogateescape") for text in provider.prove(auth or b"", state.address)]
        except AuthFailedError:
            raise
        except Exception as error:  # noqa: BLE001 - foreign code must not stop a server
            complain(provider.scheme, error)
            ids = []
        if not ids:
            raise AuthFailedError(f"scheme {provider.scheme} knows no such client")
        return [(scheme, identity) for identity in ids]

    return prove
