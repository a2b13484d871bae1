"""Schemes of identities that a server has only if it is set up for them; the others are in `acl`.

Source: docs/protocol/data-model.md section 6.2.
"""

from pyzk.sasl.principals import is_principal

SASL_SUPER = b"super"
"""A SASL identity of this name is everybody whom an entry of scheme sasl may mean."""


class SaslScheme:
    """A user of DIGEST-MD5 or a Kerberos principal, proven by SASL.

    Args:
        open_id: an entry with this id lets in every SASL user (letAnySaslUserDoX).
    """

    is_authenticated = True

    def __init__(self, open_id: bytes | None = None) -> None:
        self._open_id = open_id

    def valid(self, acl_id: bytes) -> bool:
        """A name with @ must have the form of a Kerberos principal."""
        return is_principal(acl_id.decode("utf-8", "replace"))

    def matches(self, identity_id: bytes, acl_id: bytes) -> bool:
        return identity_id in {SASL_SUPER, acl_id} or acl_id == self._open_id


class EnsembleScheme:
    """A client says which ensemble it means to talk to: no identity comes of it, and no entry can have it."""

    is_authenticated = False

    def valid(self, acl_id: bytes) -> bool:  # noqa: ARG002
        return False

    def matches(self, identity_id: bytes, acl_id: bytes) -> bool:  # noqa: ARG002
        return False
