"""The scheme x509: an identity is the subject of a client's certificate, as Java writes it (RFC 2253).

Source: docs/protocol/data-model.md section 6.
"""

import re

_KEYWORDS = frozenset(
    b"CN C L S ST O OU T IP STREET DC DNQUALIFIER DNQ SURNAME GIVENNAME INITIALS GENERATION EMAIL EMAILADDRESS UID "
    b"SERIALNUMBER".split()
)
_OID = re.compile(rb"(?:OID\.)?[0-9]+(?:\.[0-9]+)+", re.IGNORECASE)
_ESCAPE = rb"""\\(?:[\\,=+<>#;" ]|[0-9A-Fa-f]{2})"""
_PARTS = re.compile(rb"""(?:[^\\",;+<>]|%s|"(?:[^"\\]|%s)*")+""" % (_ESCAPE, _ESCAPE), re.DOTALL)
_BYTES = re.compile(rb"#(?:[0-9A-Fa-f]{2})+")
_SEPARATORS = b",;+"


class X509Scheme:
    """`CN=client,O=Example`, shown by connecting with a certificate."""

    is_authenticated = True

    def valid(self, acl_id: bytes) -> bool:
        """Parts with separators between them, each `keyword=value`; or nothing, which is a name too."""
        return not acl_id or all(map(_is_part, _split(acl_id)))

    def matches(self, identity_id: bytes, acl_id: bytes) -> bool:
        """Names are compared as text, so an entry must be written as Java writes it."""
        return identity_id == acl_id


def _split(acl_id: bytes) -> list[bytes]:
    parts, position = [], 0
    while position <= len(acl_id):
        found = _PARTS.match(acl_id, position)
        if found is None:
            return [b""]
        parts.append(found[0])
        position = found.end() + 1
        if found.end() < len(acl_id) and acl_id[found.end()] not in _SEPARATORS:
            return [b""]
    return parts


def _is_part(part: bytes) -> bool:
    keyword, equals, value = part.partition(b"=")
    keyword, value = keyword.strip(), value.strip()
    is_known = keyword.upper() in _KEYWORDS or _OID.fullmatch(keyword) is not None
    return bool(equals) and is_known and (not value.startswith(b"#") or _BYTES.fullmatch(value) is not None)
