"""Key stores and trust stores: PEM files, PKCS#12 and Java's JKS.

What a file holds decides how it is read, not its name: Java's keytool writes PKCS#12 into files that are called .jks.
Source: docs/protocol/configuration.md section 7.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from pyzk.errors import KeyStoreError
from pyzk.server.tls import jks

_PEM_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
_PEM_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_JCEKS_MAGIC = b"\xce\xce\xce\xce"
_DER_SEQUENCE = b"\x30"


@dataclass(slots=True)
class Store:
    """What a file holds.

    Attributes:
        key: the private key, if there is one.
        chain: its certificate, then those that vouch for it.
        trusted: all other certificates; of a PEM file without a key, all.
    """

    key: PrivateKeyTypes | None = None
    chain: list[x509.Certificate] = field(default_factory=list)
    trusted: list[x509.Certificate] = field(default_factory=list)


def read_store(path: str, password: str) -> Store:
    """Read a file of any kind. Raises KeyStoreError, which names it."""
    try:
        return _read(Path(path).read_bytes(), password)
    except OSError as error:
        raise KeyStoreError(f"{path} cannot be read: {error.strerror or error}") from error
    except KeyStoreError as error:
        raise KeyStoreError(f"{path}: {error}") from error
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
    ) as error:  # TypeError: cryptography's for a password too many or too few
        raise KeyStoreError(f"{path}: damaged, or the password does not open it ({error})") from error


def _read(data: bytes, password: str) -> Store:
    if data.startswith(jks.MAGIC):
        return _read_jks(data, password)
    if b"-----BEGIN " in data:
        return _read_pem(data, password)
    if data.startswith(_DER_SEQUENCE):
        return _read_pkcs12(data, password)
    kind = "is a JCEKS store" if data.startswith(_JCEKS_MAGIC) else "is no PEM file, no PKCS#12 and no JKS store"
    raise KeyStoreError(f"{kind}: keytool -importkeystore -deststoretype PKCS12 or openssl makes one")


def _read_pem(data: bytes, password: str) -> Store:
    certificates = x509.load_pem_x509_certificates(data) if _PEM_CERTIFICATE in data else []
    found = _PEM_KEY.search(data)
    if found is None:
        return Store(trusted=certificates)
    secret = password.encode() if password and b"ENCRYPTED" in found[0] else None
    return Store(load_pem_private_key(found[0], secret), certificates)


def _read_pkcs12(data: bytes, password: str) -> Store:
    loaded = pkcs12.load_pkcs12(data, password.encode() if password else None)
    others = [entry.certificate for entry in loaded.additional_certs]
    if loaded.key is None or loaded.cert is None:
        return Store(trusted=others)
    return Store(loaded.key, _chain(loaded.cert.certificate, others), others)


def _chain(certificate: x509.Certificate, others: list[x509.Certificate]) -> list[x509.Certificate]:
    """A certificate, its issuer's, and so on: a file has them in any order, and others besides."""
    chain, by_subject = [certificate], {other.subject: other for other in others}
    while (issuer := by_subject.pop(chain[-1].issuer, None)) is not None:
        chain.append(issuer)
    return chain


def _read_jks(data: bytes, password: str) -> Store:
    entries = jks.read_entries(data, password)
    trusted = [x509.load_der_x509_certificate(one) for one in entries.trusted]
    if not entries.keys:
        return Store(trusted=trusted)
    hidden, chain = entries.keys[0]
    certificates = [x509.load_der_x509_certificate(one) for one in chain]
    return Store(jks.uncover_key(hidden, password), certificates, trusted)


def sealed_pem(store: Store, password: bytes) -> bytes:
    """Key and chain as one PEM file, the key under this password. Raises KeyStoreError if there is no key."""
    if store.key is None or not store.chain:
        raise KeyStoreError("it holds no private key with its certificate")
    key = store.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    return key + b"".join(certificate.public_bytes(Encoding.PEM) for certificate in store.chain)
