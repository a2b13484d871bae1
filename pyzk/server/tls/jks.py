"""Java's own key store, the format JKS: keys with their chains, and trusted certificates.

Keys are hidden by a stream of SHA-1 hashes over the password, which is weak; the format is read and never written.
Source: docs/protocol/configuration.md section 7; the test files were made by keytool.
"""

import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_private_key

from pyzk.errors import KeyStoreError
from pyzk.server.tls.der import element

MAGIC = b"\xfe\xed\xfe\xed"
_KEY, _TRUSTED = 1, 2
_SHA1_BYTES = 20
_SEAL_WORDS = b"Mighty Aphrodite"
_WRONG_PASSWORD = "the password does not open it, or the file is damaged"  # noqa: S105 - a message


@dataclass(slots=True)
class JksEntries:
    """What is in a store, certificates as DER: pairs of a hidden key and its chain, and those that are trusted."""

    keys: list[tuple[bytes, list[bytes]]] = field(default_factory=list)
    trusted: list[bytes] = field(default_factory=list)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, size: int) -> bytes:
        piece = self._data[self._position : self._position + size]
        if len(piece) != size:
            raise KeyStoreError("it ends in the middle of an entry")
        self._position += size
        return piece

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def text(self) -> str:
        return self.take(int.from_bytes(self.take(2), "big")).decode("utf-8", "replace")

    def block(self) -> bytes:
        return self.take(self.number())


def read_entries(data: bytes, password: str) -> JksEntries:
    """All entries. An empty password leaves the seal unchecked, as Java does for trust stores.

    Raises:
        KeyStoreError: damage, or a wrong password.
    """
    body, seal = data[:-_SHA1_BYTES], data[-_SHA1_BYTES:]
    if password and _sha1(password.encode("utf-16-be"), _SEAL_WORDS, body) != seal:
        raise KeyStoreError(_WRONG_PASSWORD)
    reader, entries = _Reader(body), JksEntries()
    reader.take(len(MAGIC))
    version = reader.number()
    for _ in range(reader.number()):
        kind = reader.number()
        reader.text()  # its alias
        reader.take(8)  # its date
        if kind == _KEY:
            hidden = reader.block()
            entries.keys.append((hidden, [_certificate(reader, version) for _ in range(reader.number())]))
        elif kind == _TRUSTED:
            entries.trusted.append(_certificate(reader, version))
        else:
            raise KeyStoreError(f"an entry of kind {kind}, which is neither a key nor a certificate")
    return entries


def _certificate(reader: _Reader, version: int) -> bytes:
    if version > 1:
        reader.text()  # its kind: X.509
    return reader.block()


def uncover_key(hidden: bytes, password: str) -> PrivateKeyTypes:
    """The key of an entry. Raises KeyStoreError."""
    # An EncryptedPrivateKeyInfo: a sequence of an algorithm and an octet string.
    sealed = _last_element(hidden)
    salt, covered, check = sealed[:_SHA1_BYTES], sealed[_SHA1_BYTES:-_SHA1_BYTES], sealed[-_SHA1_BYTES:]
    secret = password.encode("utf-16-be")
    plain, digest = bytearray(), salt
    for start in range(0, len(covered), _SHA1_BYTES):
        digest = _sha1(secret, digest)
        plain += bytes(one ^ two for one, two in zip(covered[start : start + _SHA1_BYTES], digest, strict=False))
    if _sha1(secret, bytes(plain)) != check:
        raise KeyStoreError("the password does not open its key; Java's JKS may have a second one for the key")
    try:
        return load_der_private_key(bytes(plain), None)
    except ValueError as error:
        raise KeyStoreError(f"its key cannot be read: {error}") from error


def _last_element(sequence: bytes) -> bytes:
    """The contents of the second element of a DER sequence."""
    first, _ = element(sequence, 0)
    _, second = element(sequence, first)
    start, end = element(sequence, second)
    return sequence[start:end]


def _sha1(*pieces: bytes) -> bytes:
    return hashlib.sha1(b"".join(pieces), usedforsecurity=False).digest()
