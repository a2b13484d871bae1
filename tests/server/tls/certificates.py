"""Certificates for tests, by a CA of the test's own."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "tls"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Authority:
    """A CA, and PEM files of what it signs, in a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.ca = trustme.CA(organization_name=name)
        self.trust = folder / f"{name}.pem"
        self.trust.write_bytes(self.ca.cert_pem.bytes())

    def issue(self, name: str, *hosts: str, **details: Any) -> Path:
        """One file with key and certificate; its subject is `O=Example,OU=...,CN=name` unless told otherwise."""
        leaf = self.ca.issue_cert(
            *(hosts or LOOPBACK), **{"common_name": name, "organization_name": "Example", **details}
        )
        path = self.folder / f"{name}.pem"
        # Java reads keys in no other form.
        key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
        written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(written + b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        return path

    def revoke(self, *paths: Path) -> Path:
        """A list of revoked certificates."""
        now = datetime.now(UTC)
        issuer = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject).last_update(now)
        builder = builder.next_update(now + timedelta(days=1))
        for path in paths:
            serial_number = certificate_in(path).serial_number
            revoked = x509.RevokedCertificateBuilder().serial_number(serial_number).revocation_date(now).build()
            builder = builder.add_revoked_certificate(revoked)
        key: Any = load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        listed = self.folder / "crl.pem"
        listed.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return listed

    def settings(self, server: Path, prefix: str = "ssl.") -> dict[str, str]:
        """The lines of zoo.cfg that name a server's files."""
        return {f"{prefix}keyStore.location": str(server), f"{prefix}trustStore.location": str(self.trust)}

    def client_context(self, certificate: Path | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.trust))
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context


def certificate_in(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file."""
    return x509.load_pem_x509_certificates(path.read_bytes())[0]


def encoded(path: Path) -> bytes:
    return certificate_in(path).public_bytes(Encoding.DER)
