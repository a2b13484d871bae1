"""The ports for clients with TLS: who is let in, who he is then, and what the others are told."""

import asyncio
import shutil
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from structlog.testing import capture_logs

from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ACL
from pyzk.codec.replies import WhoAmIReply
from pyzk.codec.requests import AuthRequest, CreateRequest, EmptyRequest
from pyzk.errors import AuthFailedError, ConfigError
from pyzk.server.config.fields_security import TlsSettings
from pyzk.server.standalone import Server
from tests.server.shell import Wire, ask_word, running, until
from tests.server.tls.certificates import Authority

Run = Callable[[Coroutine[None, None, None]], None]
SUBJECT = "CN=alice,OU=Testing,O=Example"


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    loop_runner: Run = request.param
    return loop_runner


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def alice(authority: Authority) -> Path:
    return authority.issue("alice", organization_unit_name="Testing")


@asynccontextmanager
async def secure(authority: Authority, tls: dict[str, object] | None = None, **settings: Any) -> AsyncIterator[Server]:
    """A server with a plain port and one with TLS."""
    files = {"key_store_location": str(authority.issue("server")), "trust_store_location": str(authority.trust)}
    fields = {"secure_client_port": 0, "secure_client_port_address": "127.0.0.1", **settings}
    async with running(client_tls=TlsSettings(**{**files, **(tls or {})}), **fields) as server:
        yield server


async def dial(port: int, context: ssl.SSLContext | None, host: str = "127.0.0.1") -> Wire:
    return Wire(*await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=context and host))


async def is_shut_out(port: int, context: ssl.SSLContext | None, first: bytes = b"") -> bool:
    """Whether a connection ends before anything is answered. TLS 1.3 tells a client only when it reads."""
    try:
        wire = await dial(port, context)
    except (ssl.SSLError, ConnectionError):
        return True
    wire.send(first)
    try:
        return await wire.rest() == b""
    except ssl.SSLError:
        return True
    finally:
        wire.writer.transport.abort()


async def who(wire: Wire) -> set[tuple[bytes | None, bytes | None]]:
    reply = await wire.ask(wire.request(OpCode.WHO_AM_I, EmptyRequest()))
    found = WhoAmIReply.from_bytes(reply.body).identities
    return {(info.scheme, info.user) for info in found or []}


def test_a_client_with_a_certificate_has_a_session_and_its_name(run: Run, authority: Authority) -> None:
    async def talk() -> None:
        async with secure(authority) as server:
            wire = await Wire.greet(await dial(server.secure_port, authority.client_context(alice(authority))))
            assert (await wire.ask(wire.create(b"/a", bytes(900_000)))).err == 0
            assert len((await wire.ask(wire.get_data(b"/a"))).body) > 900_000
            assert await who(wire) == {(b"ip", b"127.0.0.1"), (b"x509", SUBJECT.encode())}
            auth = wire.request(OpCode.AUTH, AuthRequest(0, b"x509", b""), -4)
            assert (await wire.ask(auth)).err == 0
            await wire.close()

    run(talk())


def test_the_name_of_the_certificate_is_what_acls_ask_for(run: Run, authority: Authority) -> None:
    async def talk() -> None:
        async with secure(
            authority, {"client_auth": "want"}, x509_super_user=SUBJECT.replace("alice", "root")
        ) as server:
            certificates = [alice(authority), authority.issue("root", organization_unit_name="Testing"), None]
            wires = [
                await Wire.greet(await dial(server.secure_port, authority.client_context(certificate)))
                for certificate in certificates
            ]
            mine = [ACL(31, b"x509", SUBJECT.encode())]
            made = wires[0].request(OpCode.CREATE, CreateRequest(b"/mine", b"", mine, 0))
            assert (await wires[0].ask(made)).err == 0
            by_auth = wires[0].request(OpCode.CREATE, CreateRequest(b"/auth", b"", [ACL(31, b"auth", b"")], 0))
            assert (await wires[0].ask(by_auth)).err == 0
            for path in (b"/mine", b"/auth"):
                assert [(await wire.ask(wire.get_data(path))).err for wire in wires] == [0, 0, -102]
            wrong = wires[2].request(OpCode.CREATE, CreateRequest(b"/x", b"", [ACL(31, b"x509", b"no name")], 0))
            assert (await wires[2].ask(wrong)).err == -114
            auth = wires[2].request(OpCode.AUTH, AuthRequest(0, b"x509", b""), -4)
            assert (await wires[2].ask(auth)).err == AuthFailedError.code
            for wire in wires:
                await wire.close()

    run(talk())


def test_who_shows_no_certificate_or_somebody_elses_is_shut_out(run: Run, authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger").issue("alice")

    async def talk() -> None:
        async with secure(authority) as server:
            for certificate in (None, stranger):
                with capture_logs() as told:
                    assert await is_shut_out(server.secure_port, authority.client_context(certificate))
                    await until(lambda: told, "the failure is told")
                assert told[0]["event"] == "tls_handshake_failed"
                expected = "clientAuth=need" if certificate is None else "the certificate is not trusted"
                assert expected in told[0]["reason"]
                server.statistics.handshakes.failed = 0
                _forget_told(server)
            assert server.peer.clients == {}

    run(talk())


def _forget_told(server: Server) -> None:
    """As if a second had passed since the last line."""
    assert server.client_ports is not None
    assert server.client_ports._secure is not None
    listener = server.client_ports._secure.close.__self__  # type: ignore[attr-defined]
    listener._told_at = float("-inf")


def test_without_client_auth_no_certificate_is_asked_for(run: Run, authority: Authority) -> None:
    async def talk() -> None:
        async with secure(authority, {"client_auth": "none"}) as server:
            wire = await Wire.greet(await dial(server.secure_port, authority.client_context()))
            assert await who(wire) == {(b"ip", b"127.0.0.1")}
            assert [client.is_secure for client in server.peer.clients.values()] == [True]
            await wire.close()

    run(talk())


def test_plain_bytes_on_the_port_for_tls_are_named(run: Run, authority: Authority) -> None:
    async def talk() -> None:
        async with secure(authority) as server:
            with capture_logs() as told:
                assert await is_shut_out(server.secure_port, None, b"ruok")
            assert "plain bytes on a port for TLS" in told[0]["reason"]
            assert server.statistics.handshakes.failed == 1

    run(talk())


def test_tls_on_the_plain_port_is_named(run: Run, authority: Authority) -> None:
    async def talk() -> None:
        async with secure(authority) as server:
            with capture_logs() as told:
                assert await is_shut_out(server.port, authority.client_context(), b"ruok")
                await until(lambda: told, "it is told")
            assert "this is TLS, on a port that is not" in told[0]["reason"]

    run(talk())


def test_a_unified_port_takes_both(run: Run, authority: Authority) -> None:
    async def talk() -> None:
        async with secure(authority, client_port_unification=True, secure_client_port=None) as server:
            assert await ask_word(server, b"ruok") == b"imok"
            plain = await Wire.session(server)
            encrypted = await Wire.greet(await dial(server.port, authority.client_context(alice(authority))))
            assert (await plain.ask(plain.create(b"/a"))).err == 0
            assert (await encrypted.ask(encrypted.exists(b"/a"))).err == 0
            assert len(await who(plain)) == 1
            assert len(await who(encrypted)) == 2
            assert server.secure_port == 0
            for wire in (plain, encrypted):
                await wire.close()

    run(talk())


def test_words_are_answered_over_tls(run: Run, authority: Authority) -> None:
    async def talk() -> None:
        async with secure(authority) as server:
            wire = await dial(server.secure_port, authority.client_context(alice(authority)))
            wire.send(b"conf")
            assert f"secureClientPort={server.secure_port}\n".encode() in await wire.rest()
            await wire.close()

    run(talk())


def test_a_client_must_be_where_its_certificate_says_if_that_is_asked_for(run: Run, authority: Authority) -> None:
    async def talk() -> None:
        async with secure(authority, {"client_hostname_verification": True}) as server:
            here = await Wire.greet(await dial(server.secure_port, authority.client_context(alice(authority))))
            assert len(await who(here)) == 2
            await here.close()
            elsewhere = authority.issue("elsewhere", "elsewhere.example.com")
            with capture_logs() as told:
                assert await is_shut_out(server.secure_port, authority.client_context(elsewhere))
                await until(lambda: told, "it is told")
            assert "made out to elsewhere.example.com, and its address is 127.0.0.1" in told[0]["reason"]

    run(talk())


def test_a_name_of_dns_will_do_if_that_is_asked_for(run: Run, authority: Authority) -> None:
    name = socket.gethostbyaddr("127.0.0.1")[0]

    async def talk() -> None:
        tls = {"client_hostname_verification": True, "allow_reverse_dns_lookup": True}
        async with secure(authority, tls) as server:
            named = await Wire.greet(
                await dial(server.secure_port, authority.client_context(authority.issue("named", name)))
            )
            assert len(await who(named)) == 2
            await named.close()
            assert await is_shut_out(server.secure_port, authority.client_context(authority.issue("not", "x.example")))

    run(talk())


def test_revoked_certificates_are_shut_out(run: Run, authority: Authority) -> None:
    good, revoked = alice(authority), authority.issue("revoked")
    listed = authority.revoke(revoked)

    async def talk() -> None:
        async with secure(authority, {"crl": True, "crl_file": str(listed)}) as server:
            wire = await Wire.greet(await dial(server.secure_port, authority.client_context(good)))
            await wire.close()
            assert await is_shut_out(server.secure_port, authority.client_context(revoked))

    run(talk())


def test_changed_files_hold_for_the_next_handshake_and_sessions_stay(
    run: Run, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyzk.server.tls.contexts.WATCH_SECONDS", 0.01)
    other = Authority(tmp_path / "other")

    async def talk() -> None:
        async with secure(authority) as server:
            old = await Wire.greet(await dial(server.secure_port, authority.client_context(alice(authority))))
            assert server.client_ports is not None
            assert server.client_ports.security is not None
            contexts = server.client_ports.security.contexts
            before = contexts.accepting
            replace(authority, other)
            await until(lambda: contexts.accepting is not before, "the files are read again")
            new = await Wire.greet(await dial(server.secure_port, other.client_context(other.issue("alice"))))
            for wire in (old, new):
                assert (await wire.ask(wire.exists(b"/"))).err == 0
                await wire.close()

    run(talk())


def replace(authority: Authority, other: Authority) -> None:
    """New files under the old names: another CA's."""
    (authority.folder / "server.pem").write_bytes(other.issue("server").read_bytes())
    authority.trust.write_bytes(other.trust.read_bytes())


async def test_a_key_store_that_cannot_be_used_stops_the_start(authority: Authority) -> None:
    with pytest.raises(ConfigError, match=r"ssl\.keyStore\.location: /missing cannot be read"):
        async with secure(authority, {"key_store_location": "/missing"}):
            pass


async def test_a_busy_port_is_named_by_its_setting(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"secureClientPort={number}, secureClientPortAddress=127.0.0.1"):
            async with secure(authority, secure_client_port=number):
                pass


# Limits.


def test_who_says_nothing_is_given_up(run: Run, authority: Authority) -> None:
    async def talk() -> None:
        async with secure(authority, {"handshake_detection_timeout_ms": 30}) as server:
            silent = await dial(server.secure_port, None)
            assert await silent.rest() == b""
            await silent.close()
            assert (server.statistics.handshakes.under_way, server.statistics.handshakes.failed) == (0, 1)

    run(talk())


def test_a_handshake_byte_by_byte_ends_at_its_deadline(run: Run, authority: Authority) -> None:
    async def talk() -> None:
        async with secure(authority, handshake_timeout_ms=100) as server:
            slow = await dial(server.secure_port, None)
            slow.send(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03")  # a hello of 16 kB
            await until(lambda: server.statistics.handshakes.under_way == 1, "it has begun")
            while server.statistics.handshakes.failed == 0:
                slow.send(b"\x00")
                await asyncio.sleep(0)
            await until(lambda: server.statistics.handshakes.under_way == 0, "it is gone")
            slow.writer.transport.abort()

    run(talk())


def test_handshakes_under_way_are_limited_on_the_port_and_for_an_address(run: Run, authority: Authority) -> None:
    async def talk() -> None:
        for limit in ({"handshakes_max": 3}, {"max_client_connections_per_address": 3}):
            async with secure(authority, **limit) as server:
                waiting = [await dial(server.secure_port, None) for _ in range(3)]
                handshakes = server.statistics.handshakes
                await until(lambda: handshakes.under_way == 3, "three are under way")  # noqa: B023
                assert await is_shut_out(server.secure_port, None)
                assert handshakes.refused == 1
                for wire in waiting:
                    await wire.close()
                await until(lambda: handshakes.under_way == 0, "they are gone")  # noqa: B023
                assert (await ask_word(server, b"ruok")) == b"imok"

    run(talk())


def test_noise_and_floods_leave_the_port_as_it_was(run: Run, authority: Authority, rng) -> None:
    async def talk() -> None:
        async with secure(authority, max_client_connections_per_address=0) as server:
            for _ in range(60):
                wire = await dial(server.secure_port, None)
                begin = rng.choice([b"\x16", b"\x16\x03\x01", b"", bytes(4)])
                wire.send(begin + rng.randbytes(rng.randrange(1, 3000)))
                if rng.random() < 0.5:
                    wire.writer.transport.abort()
                else:
                    wire.writer.write_eof()
                    await wire.rest()
                    await wire.close()
            await until(lambda: server.statistics.handshakes.under_way == 0, "all are gone")
            good = await Wire.greet(await dial(server.secure_port, authority.client_context(alice(authority))))
            assert (await good.ask(good.exists(b"/"))).err == 0
            await good.close()
            await until(lambda: not server.peer.clients, "nobody is left")

    run(talk())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program is not installed")
async def test_renegotiation_is_refused(authority: Authority) -> None:
    """A client that could ask for it would have the server sign again and again on one connection."""
    async with secure(authority) as server:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.secure_port}", "-tls1_2", "-state"]
        command += ["-cert", str(alice(authority)), "-key", str(alice(authority)), "-CAfile", str(authority.trust)]
        pipes = {
            "stdin": asyncio.subprocess.PIPE,
            "stdout": asyncio.subprocess.PIPE,
            "stderr": asyncio.subprocess.STDOUT,
        }
        client = await asyncio.create_subprocess_exec(*command, **pipes)
        said, _ = await asyncio.wait_for(client.communicate(b"R\n"), 20)
        assert b"RENEGOTIATING" in said
        assert b"no renegotiation" in said
        await until(lambda: not server.peer.clients, "it is gone")


def test_who_opens_no_session_is_closed_over_tls_too(run: Run, authority: Authority) -> None:
    async def talk() -> None:
        async with secure(authority, sessionless_timeout_ms=100) as server:
            idle = await dial(server.secure_port, authority.client_context(alice(authority)))
            assert await idle.rest() == b""
            assert server.peer.service.counters.sessionless_expired == 1
            await idle.close()

    run(talk())


def test_a_server_that_stops_gives_handshakes_up(run: Run, authority: Authority) -> None:
    async def talk() -> None:
        async with secure(authority) as server:
            waiting = await dial(server.secure_port, None)
            await until(lambda: server.statistics.handshakes.under_way == 1, "one is under way")
        assert await waiting.rest() == b""
        await until(lambda: server.statistics.handshakes.under_way == 0, "it is gone")
        await waiting.close()

    run(talk())


async def test_who_leaves_without_a_word_leaves_no_socket_behind(authority: Authority) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        async with secure(authority, client_port_unification=True) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
    assert [str(warning.message) for warning in told] == []


async def test_who_connects_in_the_moment_of_the_end_is_closed(authority: Authority) -> None:
    """The task that would greet him is cancelled before it begins."""
    async with secure(authority) as server:
        with socket.create_connection(("127.0.0.1", server.secure_port)) as late:
            await until(lambda: server.statistics.handshakes.under_way == 1, "he is accepted")
            assert server.client_ports is not None
            server.client_ports.close()
            late.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(late, 1) == b""


def test_errors_of_a_flood_are_told_once_a_second(run: Run, authority: Authority) -> None:
    async def talk() -> None:
        async with secure(authority) as server:
            with capture_logs() as told:
                for _ in range(20):
                    assert await is_shut_out(server.secure_port, None, b"ruok")
            assert server.statistics.handshakes.failed == 20
            assert 1 <= len(told) < 20

    run(talk())
