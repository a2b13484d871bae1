"""What is insecure in a configuration, setting by setting."""

from pathlib import Path

import pytest

from pyzk.server.config.insecure import insecurities, is_loopback
from tests.server.config_folder import LIMITS, Folder

SECURE = (
    "secureClientPort=2281\nssl.keyStore.location=/k.pem\nssl.trustStore.location=/t.pem\nadmin.enableServer=false\n"
)
QUORUM = "sslQuorum=true\nssl.quorum.keyStore.location=/k.pem\nssl.quorum.trustStore.location=/t.pem\n"
MEMBERS = f"server.1=a:2888:3888\nserver.2=b:2888:3888\nserver.3=c:2888:3888\n{LIMITS}"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_tls_only_with_certificates_on_both_sides_is_secure(folder: Folder) -> None:
    assert list(insecurities(folder.load(SECURE))) == []
    assert list(insecurities(folder.load(SECURE + QUORUM + MEMBERS, myid="1"))) == []


def test_a_server_that_nobody_else_can_reach_is_secure(folder: Folder) -> None:
    assert list(insecurities(folder.load("clientPort=2181\nclientPortAddress=127.0.0.1\n"))) == []
    assert list(insecurities(folder.load(f"{SECURE}secureClientPortAddress=::1\nssl.clientAuth=none\n"))) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("clientPort=2181\n", "clientPort=2181 takes plain connections"),
        (f"clientPort=2181\nclient.portUnification=true\n{SECURE}", "takes plain connections beside TLS"),
        (f"{SECURE}ssl.clientAuth=want\n", "clients need not say who they are"),
        (f"{SECURE}skipACL=yes\n", "skipACL=yes"),
        (f"{SECURE}{MEMBERS}", "servers talk to each other without TLS"),
        (f"{SECURE}{MEMBERS}{QUORUM}portUnification=true\n", "plain links beside TLS"),
        (f"{SECURE}{MEMBERS}{QUORUM}ssl.quorum.clientAuth=none\n", "ssl.quorum.clientAuth is not need"),
        (f"{SECURE}{MEMBERS}{QUORUM}ssl.quorum.hostnameVerification=false\n", "ssl.quorum.hostnameVerification=false"),
        (f"{SECURE}{MEMBERS}{QUORUM}ssl.quorum.clientHostnameVerification=false\n", "clientHostnameVerification=false"),
        (f"{SECURE}admin.enableServer=true\nadmin.serverAddress=0.0.0.0\n", "the admin server is open"),
        (f"{SECURE}4lw.commands.whitelist=*\n", "4lw.commands.whitelist"),
        (f"{SECURE}ssl.enabledProtocols=TLSv1.1,TLSv1.2\n", "versions of TLS that are broken"),
        (f"{SECURE}ssl.protocol=TLSv1\n", "versions of TLS that are broken"),
        ("secureClientPort=2281\nssl.keyStore.location=/k.pem\n", "ssl.trustStore.location is not set"),
    ],
)
def test_what_is_insecure_is_named(folder: Folder, text: str, found: str) -> None:
    sentences = list(insecurities(folder.load(text, myid="1")))
    assert any(found in sentence for sentence in sentences), sentences


def test_who_must_log_in_need_show_no_certificate(folder: Folder) -> None:
    text = f"{SECURE}ssl.clientAuth=none\nenforce.auth.enabled=true\nenforce.auth.schemes=digest\n"
    assert list(insecurities(folder.load(text))) == []


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), (None, False)]
)
def test_loopback_is_what_others_cannot_reach(host: str | None, *, expected: bool) -> None:
    assert is_loopback(host) is expected
