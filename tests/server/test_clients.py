"""The client port: who is let in, who is put out, and that one client cannot spoil it for the others."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine

import pytest
import uvloop

from pyzk.codec.opcodes import AddWatchMode, OpCode
from pyzk.codec.requests import EmptyRequest, PathTypeRequest
from pyzk.server.clients import ClientLimits
from pyzk.server.standalone import Server
from pyzk.service.intake import TURN_REPLY_BYTES_MAX
from tests.integration.processes import free_port
from tests.server.shell import Wire, ask_word, running, until
from tests.service.harness import Event

Run = Callable[[Coroutine[None, None, None]], None]
MEGABYTE = 1 << 20


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine: what depends on the transport must hold on both loops."""
    loop_runner: Run = request.param
    return loop_runner


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with running() as server:
        yield server


def slow_socket() -> socket.socket:
    """A client whose buffers are small, so that what it does not read piles up at the server."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    return connection


async def slow_session(server: Server) -> Wire:
    """A session over such a socket."""
    connection = slow_socket()
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", server.port))
    return await Wire.greet(Wire(*await asyncio.open_connection(sock=connection, limit=4096)))


def waiting_bytes(server: Server, number: int) -> int:
    size: int = server.peer.clients[number]._transport.get_write_buffer_size()  # type: ignore[attr-defined]
    return size


# Who connects.


@pytest.mark.parametrize("wanted", [False, True])
def test_the_system_asks_silent_clients_whether_they_live_where_that_is_set(run: Run, *, wanted: bool) -> None:
    async def check() -> None:
        async with running(client_tcp_keep_alive=wanted) as server:
            wire = await Wire.session(server)
            (client,) = server.peer.clients.values()
            raw = client._transport.get_extra_info("socket")  # type: ignore[attr-defined]
            assert bool(raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) is wanted
            await wire.close()

    run(check())


def test_those_who_connect_at_the_same_time_are_taken_several_a_turn(run: Run) -> None:
    async def check() -> None:
        async with running() as server:
            clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(12)]
            turns = 0
            while len(server.peer.clients) < len(clients):
                await asyncio.sleep(0)
                turns += 1
            for client in clients:
                client.close()
            assert turns < len(clients)

    run(check())


def test_a_stopped_server_takes_no_connections(run: Run) -> None:
    async def check() -> None:
        async with running() as server:
            port = server.port
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    run(check())


# Addresses.


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::", None])
def test_all_addresses_are_those_of_ipv4_and_of_ipv6(run: Run, everywhere: str | None) -> None:
    if not has_ipv6():
        pytest.skip("no IPv6 here")

    async def check() -> None:
        async with running(client_port=free_port(), client_port_address=everywhere) as server:
            for host in ("127.0.0.1", "::1"):
                reader, writer = await asyncio.open_connection(host, server.port)
                wire = await Wire.greet(Wire(reader, writer))
                identities = (await wire.ask(wire.request(OpCode.WHO_AM_I, EmptyRequest()))).body
                assert {"127.0.0.1": b"127.0.0.1", "::1": b"0:0:0:0:0:0:0:1"}[host] in identities
                await wire.close()

    run(check())


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


# Limits.


async def test_one_address_gets_so_many_connections() -> None:
    async with running(max_client_connections_per_address=2) as server:
        first, second = await Wire.session(server), await Wire.session(server)
        third = await Wire.open(server)
        assert await third.rest() == b""
        assert server.statistics.connections_rejected == 1
        await first.close()
        await until(lambda: len(server.peer.clients) == 1, "the first is gone")
        fourth = await Wire.session(server)
        assert (await fourth.ask(fourth.ping())).err == 0
        assert (await second.ask(second.ping())).err == 0
        for wire in (second, third, fourth):
            await wire.close()


async def test_the_server_has_so_many_connections() -> None:
    async with running(max_connections=1, max_client_connections_per_address=0) as server:
        first, second = await Wire.session(server), await Wire.open(server)
        assert await second.rest() == b""
        assert (await first.ask(first.ping())).err == 0
        for wire in (first, second):
            await wire.close()


async def test_limits_count_each_address_for_itself(server: Server) -> None:
    limits = ClientLimits(2, 3, 0, server.statistics)
    assert [limits.admit(address) is None for address in ("a", "a", "a", "b", "c")] == [True, True, False, True, False]
    limits.leave("a")
    assert limits.admit("c") is None
    assert "maxCnxns" in str(limits.admit("d"))
    assert dict(limits.by_address) == {"a": 1, "b": 1, "c": 1}


async def test_a_connection_that_sends_nothing_is_closed_and_a_session_is_not() -> None:
    async with running(sessionless_timeout_ms=50) as server:
        session = await Wire.session(server)
        silent, three_bytes, half_a_request = [await Wire.open(server) for _ in range(3)]
        three_bytes.send(b"ruo")
        half_a_request.send(b"\0\0\0\x2d\0\0")
        for wire in (silent, three_bytes, half_a_request):
            assert await wire.rest() == b""
            await wire.close()
        assert server.peer.service.counters.sessionless_expired == 3
        assert (await session.ask(session.ping())).err == 0
        await session.close()


# Noise.


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"\xff" * 100,
        b"\0\0\0\0" * 20,
        b"\0\0\0\x08" + b"\xff" * 8,
        b"\x7f\xff\xff\xff" + bytes(MEGABYTE),
    ],
    ids=["http", "tls", "ones", "empty frames", "bad connect request", "huge length"],
)
async def test_noise_closes_its_own_connection_only(server: Server, noise: bytes) -> None:
    session = await Wire.session(server)
    wire = await Wire.open(server)
    wire.send(noise)
    assert await wire.rest() == b""
    await wire.close()
    assert (await session.ask(session.create(b"/a"))).err == 0
    await session.close()


async def test_random_bytes_leave_the_server_as_it_was(server: Server, rng) -> None:
    session = await Wire.session(server)
    for number in range(60):
        wire = await (Wire.session(server) if number % 2 else Wire.open(server))
        size = rng.randrange(1, 3000)
        wire.send(size.to_bytes(4, "big") * rng.randrange(2) + rng.randbytes(size))
        wire.writer.write_eof()
        await wire.rest()
        await wire.close()
    assert (await session.ask(session.exists(b"/"))).err == 0
    await until(lambda: len(server.peer.clients) == 1, "only the session is left")
    assert list(server.peer.service.connections) == list(server.peer.clients)
    await session.close()


# Those who do not read.


def test_who_never_reads_its_events_is_put_out_and_the_others_go_on(run: Run) -> None:
    async def talk() -> None:
        async with running(client_out_buffer_bytes_max=65_536) as server:
            slow = await slow_session(server)
            watching, writing = await Wire.session(server), await Wire.session(server)
            path = b"/" + b"x" * 100_000
            for wire in (slow, watching):
                await wire.ask(wire.request(OpCode.ADD_WATCH, PathTypeRequest(path, AddWatchMode.PERSISTENT)))
            slow.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await writing.ask(writing.create(path))
            while 1 in server.peer.clients:
                assert waiting_bytes(server, 1) <= 65_536 + 2 * len(path) + 100
                assert isinstance(await watching.next(), Event)
                await writing.ask(writing.set_data(path, b""))
            assert (await watching.ask(watching.ping())).err == 0
            assert list(server.peer.service.connections) == [2, 3]
            for wire in (slow, watching, writing):
                await wire.close()

    run(talk())


def test_who_asks_for_much_more_than_it_reads_is_served_as_it_reads(run: Run) -> None:
    """Six thousand requests for a megabyte each: only what one turn may answer is in memory."""

    async def talk() -> None:
        async with running() as server:
            owner = await Wire.session(server)
            await owner.ask(owner.create(b"/big", bytes(1_000_000)))
            slow = await Wire.session(server)
            slow.reader._transport.pause_reading()  # type: ignore[attr-defined]
            slow.send(*[slow.get_data(b"/big") for _ in range(6000)])
            await until(lambda: waiting_bytes(server, 2) > 0, "replies wait")
            for _ in range(20):
                assert (await owner.ask(owner.exists(b"/big"))).err == 0
                assert waiting_bytes(server, 2) < TURN_REPLY_BYTES_MAX + 2 * 1_000_100
            slow.reader._transport.resume_reading()  # type: ignore[attr-defined]
            assert [reply.xid for reply in await slow.replies(40)] == list(range(1, 41))
            for wire in (slow, owner):
                await wire.close()

    run(talk())


def test_a_closed_connection_that_does_not_read_its_last_replies_is_not_kept_for_ever(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyzk.server.clients.LINGER_SECONDS", 0.05)

    async def talk() -> None:
        settings = {"tick_time_ms": 50, "min_session_timeout_ms": 100, "max_session_timeout_ms": 200}
        async with running(**settings) as server:
            slow = await slow_session(server)
            slow.reader._transport.pause_reading()  # type: ignore[attr-defined]
            slow.send(slow.create(b"/big", bytes(1_000_000)), *[slow.get_data(b"/big") for _ in range(20)])
            await until(lambda: waiting_bytes(server, 1) > 0, "replies wait")
            await until(lambda: not server.peer.clients, "the session has expired and its connection is gone")
            assert server.peer.service.connections == {}
            await slow.close()

    run(talk())


def test_replies_of_a_closing_session_go_out_before_the_end(run: Run) -> None:
    async def talk() -> None:
        async with running() as server:
            wire = await Wire.session(server)
            data = bytes(1_000_000)
            wire.send(wire.create(b"/big", data), *[wire.get_data(b"/big") for _ in range(20)], wire.close_session())
            replies = await wire.replies(22)
            assert [len(reply.body) > 1_000_000 for reply in replies[1:21]] == [True] * 20
            assert await wire.rest() == b""
            await wire.close()

    run(talk())


def test_requests_of_a_client_that_closes_its_side_are_answered(run: Run) -> None:
    async def talk() -> None:
        async with running() as server:
            wire = await Wire.session(server)
            wire.send(*[wire.exists(b"/") for _ in range(100)])
            wire.writer.write_eof()
            assert [reply.err for reply in await wire.replies(100)] == [0] * 100
            assert await wire.rest() == b""
            await wire.close()

    run(talk())


# Throttles.


async def test_a_flood_of_writes_is_answered_in_order_under_a_small_limit() -> None:
    async with running(global_outstanding_limit=5) as server:
        flooding, modest = await Wire.session(server), await Wire.session(server)
        count = 20_000
        flooding.send(*[flooding.set_data(b"/", b"x") for _ in range(count)])
        assert (await modest.ask(modest.create(b"/a"))).err == 0
        replies = await flooding.replies(count)
        assert [reply.xid for reply in replies] == list(range(1, count + 1))
        assert (await modest.ask(modest.create(b"/b"))).err == 0
        assert server.peer.service.outstanding == 0
        for wire in (flooding, modest):
            await wire.close()


async def test_what_comes_with_the_connect_request_is_served_after_it(server: Server) -> None:
    wire = await Wire.open(server)
    await Wire.greet(wire, behind=wire.create(b"/a") + wire.get_data(b"/a"))
    assert [(reply.xid, reply.err) for reply in await wire.replies(2)] == [(1, 0), (2, 0)]
    await wire.close()


async def test_words_and_sessions_share_the_port(server: Server) -> None:
    wire = await Wire.session(server)
    assert await ask_word(server, b"ruok") == b"imok"
    wire.send(wire.request(OpCode.EXISTS, PathTypeRequest(b"ruok", 0)))
    assert (await wire.replies(1))[0].err == -101
    await wire.close()
