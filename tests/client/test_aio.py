"""The asyncio client against the fake ensemble on a real port."""

import asyncio
from random import Random

import pytest
import uvloop

from pyzk import errors
from pyzk.client.aio import Client
from pyzk.client.aio_shell import Shell
from pyzk.client.aio_watch import Watch, WatchEvent, WatchOverflowError
from pyzk.client.effects import State
from pyzk.codec.opcodes import CreateMode, EventType, OpCode
from pyzk.errors import AuthFailedError, ConnectionLostError, NoNodeError, SessionClosedError, SessionExpiredError
from tests.client.fake_server import FakeServer


@pytest.fixture
async def client(server):
    async with Client(server.hosts, random=Random(1)) as connected:
        yield connected


async def until(client, state):
    """Wait for a state of the client."""
    reached = asyncio.Event()
    stop = client.listen(lambda new: reached.set() if new is state else None)
    await reached.wait()
    stop()


async def test_client_is_connected_inside_the_block_and_closed_behind_it(server):
    states = []
    client = Client(server.hosts)
    client.listen(states.append)
    async with client:
        assert client.state is State.CONNECTED
        assert client.session_id in server.ensemble.sessions
        assert client.timeout_ms == 10_000
    assert client.state is State.CLOSED
    assert server.ensemble.sessions == {}
    assert states == [State.CONNECTED, State.CLOSED]


async def test_paths_and_data_go_there_and_back(client):
    assert await client.create("/ä", b"one") == "/ä"
    path, stat = await client.create2("/ä/b", None, mode=CreateMode.EPHEMERAL)
    assert (path, stat.ephemeral_owner) == ("/ä/b", client.session_id)
    assert (await client.get("/ä"))[0] == b"one"
    assert (await client.get("/ä/b"))[0] is None
    assert await client.get_children("/ä") == ["b"]
    assert (await client.get_children2("/"))[0] == ["ä"]
    assert (await client.set("/ä", b"two")).version == 1
    assert await client.sync("/ä") == "/ä"
    await client.delete("/ä/b")
    assert await client.exists("/ä/b") is None
    assert client.last_zxid_seen > 0


async def test_requests_of_one_turn_leave_together_and_come_back_in_order(client):
    await client.create("/n", b"0")
    writes = [client.set("/n", b"%d" % number) for number in range(1, 101)]
    stats = await asyncio.gather(*writes)
    assert [stat.version for stat in stats] == list(range(1, 101))


async def test_error_is_the_exception_of_its_code_and_names_the_request(client):
    with pytest.raises(NoNodeError, match=r"get_data /none"):
        await client.get("/none")


async def test_callable_is_told_before_the_reply_that_shows_the_change(client):
    seen = []
    await client.get("/", watch=seen.append)
    await client.set("/", b"x")
    assert [(event.type, event.path) for event in seen] == [(EventType.NODE_DATA_CHANGED, "/")]


async def test_what_a_callable_raises_hurts_nobody_else(client):
    problems, seen = [], []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context["exception"]))

    def broken(event):
        raise LookupError(event.path)

    await client.get("/", watch=broken)
    await client.exists("/", watch=seen.append)
    await client.set("/", b"x")
    assert len(seen) == 1
    assert isinstance(problems[0], LookupError)


async def test_watch_survives_the_connection(client, server):
    watch = Watch()
    await client.get("/", watch=watch)
    server.cut()
    await until(client, State.CONNECTED)
    server.change(b"/")
    assert (await anext(watch)).type is EventType.NODE_DATA_CHANGED


async def test_change_while_disconnected_is_told_after_the_reconnect(client, server):
    watch = Watch()
    await client.get("/", watch=watch)
    server.cut()
    server.ensemble.zxid += 1
    server.ensemble.set_data(b"/", b"changed")
    assert (await anext(watch)).type is EventType.NODE_DATA_CHANGED


async def test_persistent_watch_tells_of_everything_and_of_the_reconnect(client, server):
    async with client.watch("/", recursive=True) as events:
        await client.create("/a")
        await client.set("/a", b"x")
        server.cut()
        await until(client, State.CONNECTED)
        await client.delete("/a")
        told = [await anext(events) for _ in range(4)]
    assert [(event.type.name, event.path) for event in told] == [
        ("NODE_CREATED", "/a"),
        ("NODE_DATA_CHANGED", "/a"),
        ("NONE", ""),
        ("NODE_DELETED", "/a"),
    ]
    assert told[2].state is State.CONNECTED


async def test_watch_block_removes_its_watch_at_the_end(client, server):
    async with client.watch("/") as events, client.watch("/"):
        pass
    assert [event async for event in events] == []
    assert server.ensemble.connections[0].requests[-1][1] == OpCode.REMOVE_WATCHES
    removals = [opcode for _, opcode, _ in server.ensemble.connections[0].requests if opcode == OpCode.REMOVE_WATCHES]
    assert len(removals) == 1, "only the last watcher of a path ends the watch at the server"


async def test_watchers_are_told_of_remove_watches(client):
    watch = Watch()
    await client.add_watch("/", watch)
    await client.remove_watches("/")
    assert (await anext(watch)).type is EventType.PERSISTENT_WATCH_REMOVED


async def test_requests_in_flight_fail_when_the_connection_is_cut(client, server):
    server.ensemble.connections[0].mute = True
    reads = [asyncio.ensure_future(client.get("/")) for _ in range(3)]
    ready = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(ready.set_result, None)
    await ready
    server.cut()
    results = await asyncio.gather(*reads, return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionLostError] * 3
    assert (await client.get("/"))[0] == b""


async def test_session_that_has_expired_fails_everything(client, server):
    watch = Watch()
    await client.add_watch("/", watch)
    server.ensemble.expire(client.session_id)
    server.flush()
    await until(client, State.CONNECTING)
    with pytest.raises(SessionExpiredError):
        await client.get("/")
    with pytest.raises(SessionExpiredError):
        [event async for event in watch]
    assert client.state is State.EXPIRED
    with pytest.raises(SessionExpiredError):
        await client.get("/")
    with pytest.raises(SessionClosedError, match="expired"):
        await client.wait_connected()


async def test_iteration_ends_when_the_client_is_closed(server):
    watch = Watch()
    async with Client(server.hosts) as client:
        await client.add_watch("/", watch)
    assert [event async for event in watch] == []
    with pytest.raises(SessionClosedError):
        await client.get("/")


async def test_cancelled_request_that_still_waits_is_not_sent(client, server):
    server.listener.close()
    server.cut()
    await until(client, State.CONNECTING)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await client.create("/never")
    assert b"/never" not in server.ensemble.nodes
    assert not client._session._dialogue._backlog


async def test_start_gives_up_after_its_timeout():
    client = Client("127.0.0.1:1", connect_timeout_s=0.2)
    with pytest.raises(
        ConnectionLostError, match=r"no session from 127\.0\.0\.1:1 .*; last: 127\.0\.0\.1:1: .*[Cc]onnect"
    ):
        await client.start()
    assert client.state is State.CLOSED


async def test_unknown_host_is_like_a_server_that_is_down(server):
    async with Client(f"no-such-host.invalid,{'x' * 70}.invalid,{server.hosts}", connect_timeout_s=60) as client:
        assert client.state is State.CONNECTED


async def test_request_before_the_start_says_what_is_missing():
    with pytest.raises(SessionClosedError, match="not started"):
        await Client("a:1").get("/")
    await Client("a:1").close()


async def test_refused_identity_raises_and_the_session_goes_on(client):
    with pytest.raises(AuthFailedError):
        await client.add_auth("digest", b"bad")
    assert (await client.get("/"))[0] == b""
    await client.add_auth("digest", b"bob:good")


async def test_idle_client_pings(server, monkeypatch):
    server.ensemble.timeout_ms = 300
    async with Client(server.hosts) as client:
        pinged = asyncio.get_running_loop().create_future()
        kind = type(server.ensemble.connections[0])
        serve = kind._serve

        def noticing(connection, body):
            serve(connection, body)
            if connection.requests[-1][1] == OpCode.PING and not pinged.done():
                pinged.set_result(None)

        # On any connection: where the machine stands still for longer than the timeout, the first one is left.
        monkeypatch.setattr(kind, "_serve", noticing)
        await pinged
        await client.ping()


async def test_silent_server_is_left(server):
    server.ensemble.timeout_ms = 90
    async with Client(server.hosts) as client:
        server.ensemble.connections[0].mute = True
        await until(client, State.CONNECTING)
        await until(client, State.CONNECTED)


async def test_client_on_a_read_only_server_moves_when_it_serves_writes(server):
    server.ensemble.read_only = True
    async with Client(server.hosts, read_only=True) as client:
        assert client.state is State.CONNECTED_READ_ONLY
        assert (await client.get("/"))[0] == b""


async def test_client_moves_from_a_read_only_server_to_a_writable_one(server):
    server.ensemble.read_only = True
    async with FakeServer() as other:
        other.ensemble.read_only = True
        async with Client(f"{server.hosts},{other.hosts}", read_only=True) as client:
            assert client.state is State.CONNECTED_READ_ONLY
            elsewhere = other if server.ensemble.handshakes else server
            elsewhere.ensemble.read_only = False
            await until(client, State.CONNECTED)
            assert client.session_id in elsewhere.ensemble.sessions


async def test_raw_request_shows_header_and_body(client):
    header, body = await client.raw(OpCode.GET_DATA, b"\0\0\0\1/\0")
    assert (header.err, len(body)) == (0, 4 + 68)
    header, body = await client.raw(99)
    assert (header.err, header.zxid, body) == (errors.UnimplementedError.code, -1, b"")


async def test_watch_that_nobody_reads_overflows_and_says_so():
    watch = Watch(events_max=2)
    for number in range(3):
        watch(WatchEvent(EventType.NODE_CREATED, f"/{number}", State.CONNECTED, number))
    assert [(await anext(watch)).path for _ in range(2)] == ["/0", "/1"]
    with pytest.raises(WatchOverflowError, match="events_max"):
        await anext(watch)


async def test_client_leaves_no_task_and_no_connection(server):
    before = asyncio.all_tasks()
    async with Client(server.hosts) as client:
        await client.get("/")
    assert asyncio.all_tasks() == before
    assert client._started._links == set()


class SessionInAHurry:
    """Always has something to do at once."""

    def __init__(self, loop):
        self._loop = loop
        self.ticked = asyncio.Event()

    def start(self, _now):
        return []

    def tick(self, _now):
        self.ticked.set()
        return []

    def deadline(self):
        return None if self.ticked.is_set() else self._loop.time()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_what_is_due_at_once_is_done_on_every_loop(run):
    async def drive():
        session = SessionInAHurry(asyncio.get_running_loop())
        shell = Shell(session, print, print)
        shell.start()
        shell.start()  # the second time there is a timer already
        async with asyncio.timeout(5):
            await session.ticked.wait()

    run(drive())
