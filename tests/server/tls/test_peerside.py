"""TLS between servers: they find each other, strangers stay outside, and an ensemble is switched over while it runs."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from structlog.testing import capture_logs

from pyzk.server.config.fields_security import TlsSettings
from tests.server.ensemble import Ensemble
from tests.server.shell import Wire, until
from tests.server.tls.certificates import Authority

Run = Callable[[Coroutine[None, None, None]], None]
PLAIN: dict[str, Any] = {"ssl_quorum": False, "quorum_port_unification": False}
PLAIN_TAKES_BOTH: dict[str, Any] = {"ssl_quorum": False, "quorum_port_unification": True}
TLS_TAKES_BOTH: dict[str, Any] = {"ssl_quorum": True, "quorum_port_unification": True}
TLS: dict[str, Any] = {"ssl_quorum": True, "quorum_port_unification": False}


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    loop_runner: Run = request.param
    return loop_runner


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def files(authority: Authority, **more: object) -> TlsSettings:
    settings: dict[str, object] = {
        "key_store_location": str(authority.issue("server")),
        "trust_store_location": str(authority.trust),
    }
    return TlsSettings(**{**settings, **more})


@asynccontextmanager
async def stopped_at_the_end(members: Ensemble) -> AsyncIterator[Ensemble]:
    try:
        yield members
    finally:
        await members.stop(*members.servers)


async def write(members: Ensemble, server_id: int, path: bytes, size: int = 0) -> None:
    wire = await Wire.session(members[server_id])
    assert (await wire.ask(wire.create(path, bytes(size)))).err == 0
    await wire.close()


def test_servers_agree_over_tls(run: Run, authority: Authority) -> None:
    async def talk() -> None:
        members = Ensemble(3, (3,), **TLS, quorum_tls=files(authority))
        async with stopped_at_the_end(members):
            await members.start(1, 2)
            await members.serving(1, 2)
            for number in range(20):
                await write(members, 1 + number % 2, b"/%d" % number, 200_000)
            await members.start(3)  # takes a tree, for the others have no window that long
            await members.serving(3)
            await write(members, 3, b"/by-the-observer")
            await members.level()

    run(talk())


@pytest.mark.parametrize("first", [b"\x00\x00\x00\x01", b"\xff\xff\xff\xff\xff\xff\x00\x00", b"GET / HTTP/1.0\r\n\r\n"])
async def test_plain_bytes_on_the_ports_of_servers_are_named(authority: Authority, first: bytes) -> None:
    members = Ensemble(1, **TLS, quorum_tls=files(authority), standalone_enabled=False)
    async with stopped_at_the_end(members):
        await members.start()
        await members.serving()
        with capture_logs() as told:
            wire = Wire(*await asyncio.open_connection("127.0.0.1", members.ports[1][1]))
            wire.send(first)
            assert await wire.rest() == b""
            await wire.close()
        assert (told[0]["event"], told[0]["port"]) == ("tls_handshake_failed", "ELECTION")
        assert "plain bytes on a port for TLS" in told[0]["reason"]


async def reaches(port: int, context: ssl.SSLContext) -> bool:
    """Whether a link stays open: TLS 1.3 tells who is not wanted only after its side of the handshake."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="127.0.0.1")
    except OSError:
        return False
    try:
        async with asyncio.timeout(0.5):
            return await reader.read(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False
    finally:
        writer.transport.abort()


async def test_only_servers_of_the_list_are_let_in(authority: Authority, tmp_path: Path) -> None:
    members = Ensemble(1, **TLS, quorum_tls=files(authority), standalone_enabled=False)
    async with stopped_at_the_end(members):
        await members.start()
        await members.serving()
        port = members.ports[1][1]
        assert await reaches(port, authority.client_context(authority.issue("member", "127.0.0.1")))
        with capture_logs() as told:
            assert not await reaches(port, authority.client_context(authority.issue("other", "other.example.com")))
        assert "made out to other.example.com, and the server list, with its address, is 127.0.0.1" in told[0]["reason"]
        assert not await reaches(port, authority.client_context())
        stranger = Authority(tmp_path / "stranger").issue("member", "127.0.0.1")
        assert not await reaches(port, authority.client_context(stranger))
        assert members[1].peer.links.dialer.security.handshakes.failed == 3


@pytest.mark.parametrize("checked", [True, False])
async def test_a_server_that_was_dialed_must_be_the_one(authority: Authority, *, checked: bool) -> None:
    """Server 1 has somebody else's certificate, and lets everybody in."""
    impostor = files(
        authority,
        key_store_location=str(authority.issue("impostor", "impostor.example.com")),
        client_hostname_verification=False,
    )
    members = Ensemble(2, **TLS, quorum_tls=impostor)
    async with stopped_at_the_end(members):
        await members.start(1)
        members.settings["quorum_tls"] = files(
            authority, hostname_verification=checked, client_hostname_verification=False
        )
        with capture_logs() as told:
            await members.start(2)
            if checked:
                await until(lambda: any("impostor.example.com" in str(line) for line in told), "it is told")
                assert not members[2].peer.is_established
            else:
                await members.serving(2)


def test_an_ensemble_is_switched_over_and_back_while_it_runs(run: Run, authority: Authority) -> None:
    async def talk() -> None:
        members = Ensemble(3, **PLAIN, quorum_tls=files(authority))
        async with stopped_at_the_end(members):
            await members.start()
            await members.serving()
            steps = (PLAIN_TAKES_BOTH, TLS_TAKES_BOTH, TLS, TLS_TAKES_BOTH, PLAIN_TAKES_BOTH, PLAIN)
            for number, step in enumerate(steps):
                members.settings |= step
                for server_id in (1, 2, 3):
                    await members.stop(server_id)
                    await members.start(server_id)
                    await members.serving(*members.servers)
                    await write(members, server_id, b"/%d-%d" % (number, server_id))
            await members.level()
            assert members[1].peer.service.tree.node_count >= 18

    run(talk())
