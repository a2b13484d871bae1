"""Key stores and trust stores as keytool, openssl and others write them."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, pkcs12

from pyzk.errors import KeyStoreError
from pyzk.server.tls.jks import read_entries
from pyzk.server.tls.stores import read_store, sealed_pem
from tests.server.tls.certificates import VECTORS, Authority, certificate_in

PASSWORD = "sesame-1"


def test_a_java_key_store_has_a_key_and_its_chain() -> None:
    store = read_store(str(VECTORS / "key.jks"), PASSWORD)
    assert isinstance(store.key, RSAPrivateKey)
    assert store.chain == [certificate_in(VECTORS / "certificate.pem")]
    assert store.chain[0].public_key().public_numbers() == store.key.public_key().public_numbers()
    assert store.trusted == []


def test_a_java_key_store_may_be_pkcs12_under_its_old_name() -> None:
    store = read_store(str(VECTORS / "key-pkcs12.jks"), PASSWORD)
    assert isinstance(store.key, EllipticCurvePrivateKey)
    assert len(store.chain) == 1


@pytest.mark.parametrize("name", ["trust.jks", "trust.p12"])
def test_a_trust_store_has_certificates_and_no_key(name: str) -> None:
    store = read_store(str(VECTORS / name), PASSWORD)
    assert (store.key, store.chain) == (None, [])
    assert store.trusted == [certificate_in(VECTORS / "certificate.pem")]


def test_a_java_trust_store_opens_without_its_password() -> None:
    assert len(read_store(str(VECTORS / "trust.jks"), "").trusted) == 1


@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [
        ("key.jks", "wrong", "the password does not open it"),
        ("key.jks", "", "the password does not open its key"),
        ("key-of-its-own.jks", PASSWORD, "may have a second one for the key"),
        ("key-pkcs12.jks", "wrong", "the password does not open it"),
        ("key.jceks", PASSWORD, "JCEKS"),
        ("names.txt", "", "no PEM file"),
        ("missing", "", "cannot be read"),
    ],
)
def test_a_store_that_cannot_be_used_says_why(name: str, password: str, reason: str) -> None:
    with pytest.raises(KeyStoreError, match=reason) as caught:
        read_store(str(VECTORS / name), password)
    assert str(VECTORS / name) in str(caught.value)


@pytest.mark.parametrize("name", ["key.jks", "trust.jks"])
def test_a_damaged_store_is_refused_wherever_the_damage_is(tmp_path: Path, name: str, rng) -> None:
    whole = (VECTORS / name).read_bytes()
    damaged = tmp_path / name
    for _ in range(200):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        damaged.write_bytes(data[: rng.choice([len(data), rng.randrange(len(data))])])
        with pytest.raises(KeyStoreError):
            read_store(str(damaged), PASSWORD)


def test_damage_behind_an_unchecked_seal_ends_in_an_error_too(rng) -> None:
    whole = (VECTORS / "key.jks").read_bytes()
    for _ in range(300):
        data = bytearray(whole)
        data[rng.randrange(4, 40)] ^= rng.randrange(1, 256)
        try:
            read_entries(bytes(data), "")
        except KeyStoreError as error:
            assert str(error)


def test_a_pem_file_has_key_and_chain_in_any_order(tmp_path: Path) -> None:
    path = Authority(tmp_path).issue("server")
    store = read_store(str(path), "")
    assert store.key is not None
    text = path.read_text()
    end = text.index("-----BEGIN CERTIFICATE")
    turned = tmp_path / "turned.pem"
    turned.write_text(text[end:] + text[:end])
    assert read_store(str(turned), "").chain == store.chain


def test_a_pem_key_under_a_password(tmp_path: Path) -> None:
    store = read_store(str(Authority(tmp_path).issue("server")), "")
    sealed = tmp_path / "sealed.pem"
    sealed.write_bytes(sealed_pem(store, b"secret"))
    assert read_store(str(sealed), "secret").chain == store.chain
    for wrong in ("", "wrong"):
        with pytest.raises(KeyStoreError, match="password"):
            read_store(str(sealed), wrong)


@pytest.mark.parametrize("password", ["secret", ""])
def test_pkcs12_chains_are_put_in_order(tmp_path: Path, password: str) -> None:
    authority = Authority(tmp_path)
    between = authority.ca.create_child_ca()
    leaf = between.issue_cert("localhost")
    pem = tmp_path / "chain.pem"
    pem.write_bytes(
        leaf.private_key_pem.bytes()
        + b"".join(one.bytes() for one in leaf.cert_chain_pems)
        + authority.trust.read_bytes()
    )
    store = read_store(str(pem), "")
    certificate, issuer, root = store.chain
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    path = tmp_path / "chain.p12"
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"x", store.key, certificate, [root, issuer], encryption))
    assert read_store(str(path), password).chain == [certificate, issuer, root]


def test_a_store_without_a_key_is_no_key_store() -> None:
    with pytest.raises(KeyStoreError, match="no private key"):
        sealed_pem(read_store(str(VECTORS / "trust.jks"), PASSWORD), b"x")
