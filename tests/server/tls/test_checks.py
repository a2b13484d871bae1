"""Whose certificate will do where."""

from pathlib import Path

import pytest

from pyzk.server.config.fields_security import TlsSettings
from pyzk.server.tls.checks import client_check, peer_check
from pyzk.server.tls.listener import accept_all
from tests.server.tls.certificates import Authority, encoded


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def hosts() -> list[str]:
    return ["zk1.example.com", "10.0.0.2"]


@pytest.mark.parametrize("host", ["zk1.example.com", "*.example.com", "10.0.0.2"])
async def test_a_server_of_the_list_may_come_from_anywhere(authority: Authority, host: str) -> None:
    check = peer_check(TlsSettings(), hosts)
    assert await check(encoded(authority.issue("server", host)), "192.0.2.1") == ""


async def test_a_joiner_may_come_from_its_own_address(authority: Authority) -> None:
    joiner = encoded(authority.issue("joiner", "10.0.0.9"))
    check = peer_check(TlsSettings(), hosts)
    assert await check(joiner, "10.0.0.9") == ""
    objection = await check(joiner, "10.0.0.8")
    assert objection.endswith(
        " is made out to 10.0.0.9, and the server list, with its address, is 10.0.0.2, 10.0.0.8, zk1.example.com"
    )


async def test_with_apaches_way_the_list_does_not_count(authority: Authority) -> None:
    check = peer_check(TlsSettings(allow_reverse_dns_lookup=True), hosts)
    assert await check(encoded(authority.issue("server", "127.0.0.1")), "127.0.0.1") == ""
    assert "for which DNS has no name" in await check(encoded(authority.issue("server", "10.0.0.2")), "192.0.2.1")


async def test_the_list_is_asked_anew_each_time(authority: Authority) -> None:
    members = ["zk1.example.com"]
    check = peer_check(TlsSettings(), lambda: members)
    joined = encoded(authority.issue("zk2", "zk2.example.com"))
    assert await check(joined, "192.0.2.1") != ""
    members.append("zk2.example.com")
    assert await check(joined, "192.0.2.1") == ""


def test_checks_can_be_switched_off() -> None:
    assert peer_check(TlsSettings(client_hostname_verification=False), hosts) is accept_all
    assert client_check(TlsSettings()) is accept_all


async def test_who_shows_no_certificate_has_no_host_to_check() -> None:
    """Whether one is needed is said by clientAuth."""
    assert await peer_check(TlsSettings(), hosts)(None, "192.0.2.1") == ""
    assert await client_check(TlsSettings(client_hostname_verification=True))(None, "192.0.2.1") == ""
