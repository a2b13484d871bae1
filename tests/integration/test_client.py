"""Our own client against a real server: every request, every promise about watches, and the pages of docs/client.md."""

import ast
import asyncio
import re
from pathlib import Path

import pytest

from pyzk import errors
from pyzk.client import operations
from pyzk.client.aio import Client, Identity
from pyzk.client.aio_watch import Watch
from pyzk.client.effects import State
from pyzk.client.operations import digest_acl, make_acl
from pyzk.codec.opcodes import CreateMode, EventType, OpCode, Perms, WatcherType
from pyzk.codec.records import Stat

MANUAL = Path(__file__).parent.parent.parent / "docs" / "client.md"


@pytest.fixture
def folder(request):
    """A path of this test's own on the shared server."""
    return "/" + re.sub(r"\W+", "-", request.node.name)


@pytest.fixture
async def zookeeper(shared_server, folder):
    """A client that has this folder as its chroot."""
    async with Client(shared_server.hosts) as outside:
        await outside.create(folder)
    # A busy machine may need longer than usual to put ten thousand requests together.
    async with Client(shared_server.hosts + folder, timeout_ms=40_000) as inside:
        yield inside


async def names(watch, count):
    return [(event.type.name, event.path) for event in [await anext(watch) for _ in range(count)]]


# Requests


async def test_create_returns_the_path_and_create2_the_stat_too(zookeeper):
    assert await zookeeper.create("/a", b"1") == "/a"
    assert await zookeeper.create("/a/s-", mode=CreateMode.PERSISTENT_SEQUENTIAL) == "/a/s-0000000000"
    path, stat = await zookeeper.create2("/a/e", None, mode=CreateMode.EPHEMERAL)
    assert (path, stat.ephemeral_owner, stat.data_length) == ("/a/e", zookeeper.session_id, 0)
    assert (await zookeeper.get("/a/e"))[0] is None
    assert await zookeeper.create("/c", mode=CreateMode.CONTAINER) == "/c"


async def test_ttl_nodes_are_refused_where_they_are_not_enabled(zookeeper):
    with pytest.raises(errors.UnimplementedError):
        await zookeeper.create("/t", mode=CreateMode.PERSISTENT_WITH_TTL, ttl_ms=1_000)


async def test_ttl_nodes_are_created_where_they_are_enabled(make_server):
    server = make_server(extendedTypesEnabled="true")
    async with Client(server.hosts) as client:
        path, stat = await client.create2("/t", mode=CreateMode.PERSISTENT_WITH_TTL, ttl_ms=60_000)
        assert (path, stat.ephemeral_owner) == ("/t", 0)
        sequential = CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL
        assert await client.create("/t-", mode=sequential, ttl_ms=60_000) == "/t-0000000001"


async def test_data_and_acl_change_only_with_the_right_version(zookeeper):
    await zookeeper.create("/a", b"0")
    assert (await zookeeper.set("/a", b"1", 0)).version == 1
    assert (await zookeeper.set("/a", None)).version == 2
    assert (await zookeeper.set_acl("/a", [make_acl()], 0)).aversion == 1
    for request in (zookeeper.set("/a", b"x", 1), zookeeper.set_acl("/a", [make_acl()], 0), zookeeper.delete("/a", 0)):
        with pytest.raises(errors.BadVersionError):
            await request
    await zookeeper.delete("/a", 2)
    assert await zookeeper.exists("/a") is None


async def test_children_and_descendants_are_listed(zookeeper):
    for path in ("/a", "/a/x", "/a/y", "/a/x/z"):
        await zookeeper.create(path)
    assert sorted(await zookeeper.get_children("/a")) == ["x", "y"]
    children, stat = await zookeeper.get_children2("/a")
    assert (len(children), stat.num_children) == (2, 2)
    assert await zookeeper.get_all_children_number("/a") == 3


async def test_ephemerals_of_the_session_are_listed_without_chroot(zookeeper):
    for name in ("e-1", "e-2", "f"):
        await zookeeper.create(f"/{name}", mode=CreateMode.EPHEMERAL)
    assert sorted(await zookeeper.get_ephemerals()) == ["/e-1", "/e-2", "/f"]
    assert sorted(await zookeeper.get_ephemerals("/e")) == ["/e-1", "/e-2"]


async def test_sync_and_ping_are_answered(zookeeper):
    assert await zookeeper.sync("/any/path") == "/any/path"
    await zookeeper.ping()


@pytest.mark.parametrize(
    ("error", "request_of"),
    [
        (errors.NoNodeError, lambda client: client.get("/none")),
        (errors.NodeExistsError, lambda client: client.create("/a")),
        (errors.NotEmptyError, lambda client: client.delete("/a")),
        (errors.NoChildrenForEphemeralsError, lambda client: client.create("/e/x")),
        (errors.InvalidAclError, lambda client: client.create("/b", acl=[])),
        (errors.BadArgumentsError, lambda client: client.create("/a/.")),
        (errors.NoWatcherError, lambda client: client.remove_watches("/a")),
        (errors.ReconfigDisabledError, lambda client: client.reconfig(joining="server.9=x:1:2;3")),
    ],
)
async def test_refusals_are_raised_as_their_error(zookeeper, error, request_of):
    await zookeeper.create("/a")
    await zookeeper.create("/a/x")
    await zookeeper.create("/e", mode=CreateMode.EPHEMERAL)
    with pytest.raises(error):
        await request_of(zookeeper)


# Several at once


async def test_transaction_does_all(zookeeper):
    await zookeeper.create("/a", b"0")
    async with zookeeper.transaction() as transaction:
        transaction.check("/a", 0).create("/a/s-", mode=CreateMode.PERSISTENT_SEQUENTIAL)
        transaction.create("/c", mode=CreateMode.CONTAINER).set("/a", b"1").delete("/c")
    check, path, container, stat, deleted = transaction.results
    assert (check, path, deleted) == (None, "/a/s-0000000000", None)
    assert container[0] == "/c"
    assert isinstance(stat, Stat)
    assert stat.version == 1


async def test_transaction_does_nothing_when_one_operation_fails(zookeeper):
    with pytest.raises(errors.NoNodeError, match=r"delete /none"):
        async with zookeeper.transaction() as transaction:
            transaction.create("/a").delete("/none").create("/b")
    assert await zookeeper.get_children("/") == []
    results = await zookeeper.multi([operations.create("/a"), operations.delete("/none"), operations.create("/b")])
    assert [type(result) for result in results] == [
        errors.RuntimeInconsistencyError,
        errors.NoNodeError,
        errors.RuntimeInconsistencyError,
    ]


async def test_transaction_block_that_raises_sends_nothing(zookeeper):
    async def give_up():
        async with zookeeper.transaction() as transaction:
            transaction.create("/a")
            raise LookupError

    with pytest.raises(LookupError):
        await give_up()
    assert await zookeeper.exists("/a") is None


async def test_multi_read_gives_each_its_result_or_error(zookeeper):
    await zookeeper.create("/a", b"1")
    operations_read = [operations.get_data("/a"), operations.get_children("/"), operations.get_data("/none")]
    (data, _), children, error = await zookeeper.multi_read(operations_read)
    assert (data, children) == (b"1", ["a"])
    assert isinstance(error, errors.NoNodeError)


# Watches


async def test_one_shot_watches_fire_once(zookeeper):
    watch = Watch()
    assert await zookeeper.exists("/a", watch) is None
    await zookeeper.create("/a")
    assert await names(watch, 1) == [("NODE_CREATED", "/a")]
    await zookeeper.get("/a", watch)
    await zookeeper.get_children("/", watch)
    await zookeeper.delete("/a")
    assert await names(watch, 2) == [("NODE_DELETED", "/a"), ("NODE_CHILDREN_CHANGED", "/")]


async def test_persistent_and_recursive_watches_tell_until_they_are_dropped(zookeeper):
    async with zookeeper.watch("/") as here, zookeeper.watch("/", recursive=True) as below:
        await zookeeper.create("/a")
        await zookeeper.create("/a/b")
        await zookeeper.set("/a/b", b"x")
        await zookeeper.set("/", b"x")
        assert await names(here, 2) == [("NODE_CHILDREN_CHANGED", "/"), ("NODE_DATA_CHANGED", "/")]
        assert await names(below, 4) == [
            ("NODE_CREATED", "/a"),
            ("NODE_CREATED", "/a/b"),
            ("NODE_DATA_CHANGED", "/a/b"),
            ("NODE_DATA_CHANGED", "/"),
        ]
        assert await zookeeper.check_watches("/", WatcherType.PERSISTENT)
        assert await zookeeper.check_watches("/", WatcherType.PERSISTENT_RECURSIVE)
    assert not await zookeeper.check_watches("/")


async def test_removed_watch_is_told_and_tells_no_more(zookeeper):
    watch = Watch()
    await zookeeper.get("/", watch)
    await zookeeper.remove_watches("/", WatcherType.DATA)
    await zookeeper.set("/", b"x")
    watch.end()
    assert [event.type async for event in watch] == [EventType.DATA_WATCH_REMOVED]


# Sessions


async def test_session_watches_and_identities_survive_a_restart_of_the_server(server):
    async with Client(server.hosts) as client:
        once, states = Watch(), []
        client.listen(states.append)
        await client.add_auth("digest", b"ann:secret")
        await client.create("/e", mode=CreateMode.EPHEMERAL)
        await client.create("/private", acl=[digest_acl("ann", "secret")])
        await client.get("/private", once)
        async with client.watch("/", recursive=True) as events:
            session_id = client.session_id
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await client.set("/private", b"x")
            assert (await anext(events)).type is EventType.NONE
            assert await names(events, 1) == [("NODE_DATA_CHANGED", "/private")]
        assert await names(once, 1) == [("NODE_DATA_CHANGED", "/private")]
        assert client.session_id == session_id
        assert await client.get_ephemerals() == ["/e"]
        assert states == [State.CONNECTING, State.CONNECTED]


async def test_ephemerals_vanish_with_the_client(zookeeper, shared_server, folder):
    async with Client(shared_server.hosts + folder) as other:
        await other.create("/e", mode=CreateMode.EPHEMERAL)
        gone = Watch()
        assert await zookeeper.exists("/e", gone) is not None
    assert await names(gone, 1) == [("NODE_DELETED", "/e")]


async def test_identities_open_what_others_may_not_read(zookeeper, shared_server, folder):
    await zookeeper.add_auth("digest", b"ann:secret")
    await zookeeper.create("/p", b"secret", acl=[digest_acl("ann", "secret"), make_acl(Perms.WRITE)])
    assert Identity("digest", "ann") in await zookeeper.whoami()
    acl, _ = await zookeeper.get_acl("/p")
    assert acl[0] == digest_acl("ann", "secret")
    async with Client(shared_server.hosts + folder) as stranger:
        with pytest.raises(errors.NoAuthError):
            await stranger.get("/p")
        with pytest.raises(errors.AuthFailedError):
            await stranger.add_auth("nonsense", b"")
        await stranger.set("/p", b"x")


async def test_sasl_without_configuration_answers_null(zookeeper):
    assert await zookeeper.sasl(b"token") is None


async def test_raw_requests_are_answered_as_they_are(zookeeper):
    header, body = await zookeeper.raw(OpCode.EXISTS, b"\0")
    assert (header.err, body) == (errors.MarshallingError.code, b"")
    header, body = await zookeeper.raw(OpCode.PING)
    assert (header.xid, body) == (-2, b"")


async def test_ten_thousand_pipelined_writes_are_answered_in_order(zookeeper):
    await zookeeper.create("/n", b"")
    stats = await asyncio.gather(*[zookeeper.set("/n", b"%d" % number) for number in range(10_000)])
    assert [stat.version for stat in stats] == list(range(1, 10_001))


# The manual


async def run(code, namespace):
    """Run statements that may await; `async with Client(...)` at the top works as in a function."""
    compiled = compile(code, str(MANUAL), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    waiting = eval(compiled, namespace)
    if waiting is not None:
        await waiting


async def test_every_example_of_the_manual_runs(server):
    first, *others = re.findall(r"```python\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.DOTALL)
    namespace = {}
    await run(first.replace("127.0.0.1:2181", server.hosts), namespace)
    assert namespace["data"] == b"hello"
    async with Client(server.hosts) as client:
        namespace = {"client": client}
        for example in others:
            await run(example, namespace)
        assert await client.get_children("/app/jobs") == ["1"]
        assert (namespace["gone"], namespace["event"].path) == (None, "/app/new")
