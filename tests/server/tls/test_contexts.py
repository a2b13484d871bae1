"""Contexts out of settings and files; what cannot be used is refused by its key."""

import os
import ssl
from pathlib import Path

import pytest

from pyzk.errors import ConfigError
from pyzk.server.config.fields_security import TlsSettings
from pyzk.server.tls.ciphers import versions_of
from pyzk.server.tls.contexts import Contexts
from tests.server.tls.certificates import VECTORS, Authority

PASSWORD = "sesame-1"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def loaded(**settings: object) -> Contexts:
    contexts = Contexts(TlsSettings(**settings), "ssl.", dials=True)
    contexts.load()
    return contexts


def files(authority: Authority) -> dict[str, object]:
    return {
        "key_store_location": str(authority.issue("server")),
        "trust_store_location": str(authority.trust),
    }


def test_defaults_are_tls_1_2_and_1_3_with_certificates_on_both_sides(authority: Authority) -> None:
    contexts = loaded(**files(authority))
    for context in (contexts.accepting, contexts.dialing):
        assert context is not None
        assert (context.minimum_version, context.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("settings", "versions"),
    [
        ({"protocol": "tlsv1.2"}, ("TLSv1.2",)),
        ({"protocol": "tls"}, ("TLSv1.2", "TLSv1.3")),
        ({"enabled_protocols": ("TLSv1.3",)}, ("TLSv1.3",)),
        ({"protocol": "tlsv1.2", "enabled_protocols": ("TLSv1.3", "TLSv1.2")}, ("TLSv1.3", "TLSv1.2")),
    ],
)
def test_versions_are_those_of_the_list_or_up_to_the_protocol(settings: dict[str, object], versions: object) -> None:
    assert versions_of(TlsSettings(**settings)) == versions


@pytest.mark.parametrize(
    ("word", "mode"), [("none", "CERT_NONE"), ("want", "CERT_OPTIONAL"), ("need", "CERT_REQUIRED")]
)
def test_client_auth_is_about_those_who_connect(authority: Authority, word: str, mode: str) -> None:
    contexts = loaded(**files(authority), client_auth=word)
    assert contexts.accepting.verify_mode is getattr(ssl, mode)
    assert contexts.dialing is not None
    assert contexts.dialing.verify_mode is ssl.CERT_REQUIRED


def test_java_stores_with_a_password_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")
    contexts = loaded(
        key_store_location=str(VECTORS / "key.jks"),
        key_store_password="ignored",
        key_store_password_path=str(secret),
        trust_store_location=str(VECTORS / "trust.p12"),
        trust_store_password=PASSWORD,
    )
    assert len(contexts.accepting.get_ca_certs()) <= 1  # trusted without being a CA, so not counted as one


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"key_store_location": "/missing.pem"}, "ssl.keyStore.location"),
        ({"key_store_password_path": "/missing"}, "ssl.keyStore.passwordPath"),
        ({"key_store_type": "bcfks"}, "ssl.keyStore.type"),
        ({"trust_store_location": "/missing.pem"}, "ssl.trustStore.location"),
        ({"trust_store_location": os.devnull}, "ssl.trustStore.location"),
        ({"cipher_suites": ("TLS_NO_SUCH",)}, "ssl.ciphersuites"),
        ({"crl": True, "crl_file": "/missing.pem"}, "ssl.crlFile"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_key(authority: Authority, settings: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(**{**files(authority), **settings})
    assert caught.value.setting == key


def test_a_certificate_that_is_not_of_its_key_is_refused(authority: Authority, tmp_path: Path) -> None:
    one, two = authority.issue("one").read_text(), authority.issue("two").read_text()
    mixed = tmp_path / "mixed.pem"
    at = one.index("-----BEGIN CERTIFICATE")
    mixed.write_text(one[:at] + two[two.index("-----BEGIN CERTIFICATE") :])
    with pytest.raises(ConfigError, match=r"ssl\.keyStore\.location"):
        loaded(**{**files(authority), "key_store_location": str(mixed)})


async def test_files_that_cannot_be_used_any_more_change_nothing(authority: Authority) -> None:
    contexts = loaded(**files(authority))
    before = contexts.accepting
    authority.trust.write_text("nothing")
    await contexts.reload()
    assert contexts.accepting is before
    authority.trust.write_bytes(authority.ca.cert_pem.bytes())
    await contexts.reload()
    assert contexts.accepting is not before


def test_no_key_is_left_behind(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    loaded(**files(authority))
    assert list(folder.iterdir()) == []
