"""Names as Java writes them (tests/vectors/tls, written by Java 17), and the hosts of certificates."""

from pathlib import Path

import pytest
from cryptography import x509

from pyzk.server.tls.names import hosts_text, identities, is_made_out_to, subject_of
from tests.server.tls.certificates import VECTORS, Authority, certificate_in, encoded

CERTIFICATES = x509.load_pem_x509_certificates((VECTORS / "names.pem").read_bytes())
NAMES = (VECTORS / "names.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(("certificate", "name"), list(zip(CERTIFICATES, NAMES, strict=True)), ids=range(len(NAMES)))
def test_subjects_are_written_as_java_writes_them(certificate: x509.Certificate, name: str) -> None:
    assert subject_of(certificate).replace("\\", "\\\\").replace("\n", "\\n") == name


def test_a_certificate_proves_its_subject_and_super_if_that_is_set(tmp_path: Path) -> None:
    data = encoded(Authority(tmp_path).issue("admin"))
    (identity,) = identities(data, None)
    assert identity[0] == b"x509"
    assert identities(data, identity[1].decode()) == (identity, (b"super", identity[1]))
    assert identities(data, "CN=somebody") == (identity,)
    assert identities(None, "") == ()


@pytest.mark.parametrize(
    ("hosts", "asked", "expected"),
    [
        (["zk1.example.com"], "zk1.example.com", True),
        (["zk1.example.com"], "ZK1.Example.com.", True),
        (["zk1.example.com"], "zk2.example.com", False),
        (["*.example.com"], "zk1.example.com", True),
        (["*.example.com"], "a.zk1.example.com", False),
        (["*.example.com"], "example.com", False),
        (["10.0.0.1"], "10.0.0.1", True),
        (["10.0.0.1"], "10.0.0.2", False),
        (["::1"], "0:0:0:0:0:0:0:1", True),
        (["fe80::1"], "fe80::1%eth0", True),
        (["zk1.example.com"], "10.0.0.1", False),
        (["a.example.com", "10.0.0.1"], "10.0.0.1", True),
    ],
)
def test_a_certificate_is_made_out_to_its_hosts(
    tmp_path: Path, hosts: list[str], asked: str, *, expected: bool
) -> None:
    certificate = certificate_in(Authority(tmp_path).issue("server", *hosts))
    assert is_made_out_to(certificate, [asked]) is expected
    assert is_made_out_to(certificate, ["other.example.net", asked]) is expected


def test_the_common_name_counts_only_without_alternatives(tmp_path: Path) -> None:
    old = CERTIFICATES[0]
    assert is_made_out_to(old, ["client"])
    assert not is_made_out_to(old, ["127.0.0.1"])
    new = certificate_in(Authority(tmp_path).issue("client", "zk1.example.com"))
    assert not is_made_out_to(new, ["client"])
    assert hosts_text(new) == "zk1.example.com"
