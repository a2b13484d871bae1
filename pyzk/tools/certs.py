"""`pyzk certs`: a CA and certificates for an ensemble and its clients, as PEM files that Java reads too.

The folder is the state: the CA is made once, and asked again for the same name it makes a new certificate (renewal), at
which servers that watch their files take the new one. docs/security.md goes through it.
"""

import argparse
import datetime as dt
import os
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pyzk.tools.output import ToolError, say

EXAMPLES = """\
examples:
  pyzk certs certs zk1.example.com zk2.example.com zk3.example.com --client admin
  pyzk certs certs zk1,10.0.0.1                 a server with a name and an address: the file is certs/zk1.pem
  pyzk certs certs --client app --days 30       one more client, by the CA that is there

The lines of zoo.cfg:
  ssl.keyStore.location=certs/zk1.example.com.pem        ssl.quorum.keyStore.location=...
  ssl.trustStore.location=certs/ca.pem                   ssl.quorum.trustStore.location=...
"""
CA_NAME = "ca"
CA_DAYS = 3650
DAYS = 825
"""Some clients take no certificate that is valid for longer."""
GRACE = dt.timedelta(hours=1)
"""Clocks of other machines may be behind."""
PROPERTIES = """\
# Java's client, and pyzk-cli -client-configuration
zookeeper.client.secure=true
zookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty
zookeeper.ssl.keyStore.location={folder}/{name}.pem
zookeeper.ssl.trustStore.location={folder}/{ca}.pem
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code. Raises PyzkError."""
    options = _parser().parse_args(arguments)
    folder = Path(options.folder)
    if not options.hosts and not options.client:
        raise ToolError("name at least one server, or a client with --client")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        authority = Authority(folder)
        for hosts in options.hosts:
            say(f"{authority.issue_server(hosts.split(','), options.days)}: {hosts}")
        for name in options.client:
            path, subject = authority.issue_client(name, options.days)
            say(f"{path}: x509:{subject}")
    except OSError as error:
        raise ToolError(f"{error.filename or folder}: {error.strerror or error}") from error
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyzk certs",
        description="Make a CA and certificates: PEM files with key and chain.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="FOLDER", help="where the files are; the CA in it is taken, or made")
    parser.add_argument("hosts", metavar="HOST[,HOST...]", nargs="*", help="a server's names and addresses")
    parser.add_argument("--client", metavar="NAME", action="append", default=[], help="a client; may be repeated")
    parser.add_argument("--days", type=int, default=DAYS, help=f"how long certificates are valid (default: {DAYS})")
    return parser


class Authority:
    """The CA of a folder: `ca.pem`, which everybody may have, and `ca.key.pem`, which nobody may."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        certificate, key = folder / f"{CA_NAME}.pem", folder / f"{CA_NAME}.key.pem"
        if certificate.exists() != key.exists():
            raise ToolError(f"{folder} has one of {certificate.name} and {key.name}, and not the other")
        if certificate.exists():
            self._load(certificate, key)
        else:
            self._make(certificate, key)

    def _load(self, certificate: Path, key: Path) -> None:
        try:
            self._certificate = x509.load_pem_x509_certificate(certificate.read_bytes())
            loaded = load_pem_private_key(key.read_bytes(), None)
        except (ValueError, TypeError) as error:
            raise ToolError(f"{self._folder}: the CA cannot be read: {error}") from error
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise ToolError(f"{key}: this CA was not made by pyzk certs")
        self._key = loaded

    def _make(self, certificate: Path, key: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([_part(NameOID.COMMON_NAME, f"pyzk CA {os.urandom(4).hex()}")])
        builder = _builder(name, name, self._key, CA_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(of_a_ca=True), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())
        _write_secret(key, _pem(self._key))
        certificate.write_bytes(self._certificate.public_bytes(Encoding.PEM))
        say(f"{certificate}: a new CA")

    def issue_server(self, hosts: Sequence[str], days: int) -> Path:
        """Key and certificate of a server, which is both sides of a link; the file has its first name."""
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._issue(hosts[0], x509.Name([_part(NameOID.COMMON_NAME, hosts[0])]), names, purposes, days)

    def issue_client(self, name: str, days: int) -> tuple[Path, str]:
        """Key and certificate of a client with the properties of Java's client; and its id in ACLs."""
        subject = x509.Name([_part(NameOID.COMMON_NAME, name)])
        path = self._issue(name, subject, None, [ExtendedKeyUsageOID.CLIENT_AUTH], days)
        text = PROPERTIES.format(folder=self._folder.absolute(), name=name, ca=CA_NAME)
        path.with_suffix(".properties").write_text(text)
        return path, subject.rfc4514_string()

    def _issue(
        self,
        file_name: str,
        subject: x509.Name,
        names: x509.SubjectAlternativeName | None,
        purposes: list[x509.ObjectIdentifier],
        days: int,
    ) -> Path:
        if file_name in {CA_NAME, f"{CA_NAME}.key"} or "/" in file_name:
            raise ToolError(f"{file_name!r} cannot be the name of a file here")
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, self._certificate.subject, key, days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(of_a_ca=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        path = self._folder / f"{file_name}.pem"
        _write_secret(path, _pem(key) + certificate.public_bytes(Encoding.PEM))
        return path


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - GRACE,
        not_valid_after=now + dt.timedelta(days=days),
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _usage(*, of_a_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not of_a_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=of_a_ca,
        crl_sign=of_a_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _part(kind: x509.ObjectIdentifier, text: str) -> x509.NameAttribute[str]:
    try:
        return x509.NameAttribute(kind, text)
    except ValueError as error:
        raise ToolError(f"{text!r} cannot be a name in a certificate: {error}") from error


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError as error:
        raise ToolError(f"{host!r} is no host name: {error}") from error


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS#8: Java reads keys in no other form."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_secret(path: Path, data: bytes) -> None:
    """For its owner alone, and whole or not at all: servers may be watching the old file."""
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    new.replace(path)
