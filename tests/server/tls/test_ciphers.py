"""Java's names of cipher suites in OpenSSL."""

import shutil
import ssl
import subprocess

import pytest

from pyzk.server.tls.ciphers import DEFAULT, LATER_SUITES, choose, openssl_name

APACHES = [
    "TLS_AES_256_GCM_SHA384",
    "TLS_AES_128_GCM_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
]


def earlier_names(context: ssl.SSLContext) -> list[str]:
    return [suite["name"] for suite in context.get_ciphers() if suite["name"] not in LATER_SUITES]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program is not installed")
def test_names_are_openssls_own() -> None:
    listed = subprocess.run(["openssl", "ciphers", "-stdname", "ALL"], capture_output=True, text=True, check=True)
    pairs = [line.split()[:3:2] for line in listed.stdout.splitlines()]
    compared = 0
    for name, own in pairs:
        if name.startswith(("TLS_ECDHE_RSA", "TLS_ECDHE_ECDSA", "TLS_DHE_RSA", "TLS_RSA_WITH")) and "ARIA" not in name:
            assert openssl_name(name) == own
            compared += 1
    assert compared > 30


def test_apaches_own_list_is_known() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert choose(context, APACHES) == []
    assert earlier_names(context) == [openssl_name(name) for name in APACHES if name not in LATER_SUITES]


def test_unknown_suites_are_told_and_left_out() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert choose(context, ["TLS_NO_SUCH", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]) == ["TLS_NO_SUCH"]
    assert earlier_names(context) == ["ECDHE-RSA-AES128-GCM-SHA256"]
    with pytest.raises(ssl.SSLError):
        choose(context, ["TLS_NO_SUCH"])


def test_the_default_has_forward_secrecy_and_no_sha1() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(DEFAULT)
    names = earlier_names(context)
    assert names
    assert all(name.startswith("ECDHE-") and not name.endswith("-SHA") for name in names)
