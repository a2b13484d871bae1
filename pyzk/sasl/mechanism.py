"""What a SASL exchange looks like to those who carry its tokens.

The client speaks first: `ClientExchange.start`, then each side answers the other's token until both are complete.
"""

from typing import Protocol

TOKEN_BYTES_MAX = 64 * 1024
"""Longest token that is looked at: Kerberos tickets with many groups take some 10 KB."""


class ServerExchange(Protocol):
    """The side that asks for proof. Made for one connection, used once."""

    @property
    def identity(self) -> str | None:
        """Who the client is, once it has proven it."""

    def respond(self, token: bytes) -> bytes | None:
        """The answer to a token of the client; None if there is nothing to say. Raises SaslError."""


class ClientExchange(Protocol):
    """The side that proves who it is. Made for one connection, used once."""

    @property
    def is_complete(self) -> bool:
        """Whether both sides have proven what they had to."""

    def prepare(self) -> None:
        """Get what `start` needs. May wait for others, so it is called where that does no harm; fails in `start`."""

    def start(self) -> bytes:
        """The first token. Raises SaslError."""

    def respond(self, token: bytes | None) -> bytes | None:
        """The answer to a token of the server; None when nothing more is to be said. Raises SaslError."""
