"""What stops Apache's servers touches nothing here; tests are named after rows of docs/protocol/apache-defects.md."""

import pytest

from pyzk.codec.framing import frame
from pyzk.codec.opcodes import CreateMode, OpCode
from pyzk.codec.records import OPEN_ACL, RequestHeader
from pyzk.codec.requests import (
    CreateRequest,
    CreateTTLRequest,
    MultiRequest,
    PathVersionRequest,
    ReconfigRequest,
    SetDataRequest,
)
from pyzk.errors import BadArgumentsError, MarshallingError, ReconfigDisabledError, UnimplementedError
from tests.service.harness import Client, World

WRITES = [
    OpCode.CREATE,
    OpCode.CREATE2,
    OpCode.CREATE_CONTAINER,
    OpCode.CREATE_TTL,
    OpCode.DELETE,
    OpCode.SET_DATA,
    OpCode.SET_ACL,
    OpCode.RECONFIG,
]
QUOTA = b"/zookeeper/quota"


def undecodable(opcode: int) -> bytes:
    return frame(RequestHeader(9, opcode).encode() + b"\0")


def assert_untouched(world: World, client: Client, encoded: bytes, code: int) -> None:
    """The request fails with `code`, takes no zxid, and everything goes on."""
    zxid, digest, count = world.tree.last_zxid, world.tree.digest, world.tree.node_count
    reply = client.ask(encoded)
    assert (reply.err, reply.body) == (code, b"")
    assert (world.tree.last_zxid, world.tree.digest, world.tree.node_count) == (zxid, digest, count)
    assert client.closed is None
    assert client.ask(client.create(b"/still-alive")).err == 0
    assert world.client().response is not None


@pytest.mark.parametrize("opcode", WRITES)
def test_row_1_a_write_that_cannot_be_decoded(opcode: int) -> None:
    world = World()
    assert_untouched(world, world.client(), undecodable(opcode), MarshallingError.code)


@pytest.mark.parametrize("flags", range(5))
def test_row_2_a_create_ttl_without_a_ttl(flags: int) -> None:
    world = World()
    client = world.client()
    request = client.request(OpCode.CREATE_TTL, CreateTTLRequest(b"/a", b"", OPEN_ACL, flags, -1))
    assert_untouched(world, client, request, BadArgumentsError.code)


@pytest.mark.parametrize("flags", [0, CreateMode.CONTAINER])
def test_row_2_inside_a_multi_it_is_a_plain_create(flags: int) -> None:
    world = World()
    client = world.client()
    ops = MultiRequest([(OpCode.CREATE_TTL, CreateTTLRequest(b"/a", b"", OPEN_ACL, flags, -1))])
    assert client.ask(client.request(OpCode.MULTI, ops)).err == 0
    assert b"/a" in world.tree.nodes
    assert world.tree.ttls == {}


def test_row_3_a_quota_on_the_root() -> None:
    world = World()
    client = world.client()
    request = client.create(QUOTA + b"/zookeeper_limits", b"count=5,bytes=-1")
    assert_untouched(world, client, request, BadArgumentsError.code)


def test_row_3_a_quota_on_the_root_inside_a_multi() -> None:
    world = World()
    client = world.client()
    ops = MultiRequest([(OpCode.CREATE, CreateRequest(QUOTA + b"/zookeeper_limits", b"count=5", OPEN_ACL, 0))])
    assert_untouched(world, client, client.request(OpCode.MULTI, ops), BadArgumentsError.code)


def with_quota(client: Client, stats: bytes) -> None:
    for path, data in ((b"/a", b""), (QUOTA + b"/a", b""), (QUOTA + b"/a/zookeeper_limits", b"count=5,bytes=-1")):
        assert client.ask(client.create(path, data)).err == 0
    assert client.ask(client.create(QUOTA + b"/a/zookeeper_stats", stats)).err == 0


def test_row_3_quota_stats_that_cannot_be_parsed() -> None:
    world = World()
    client = world.client()
    with_quota(client, b"")
    stats = QUOTA + b"/a/zookeeper_stats"
    request = SetDataRequest(stats, b"nonsense", -1)
    assert_untouched(world, client, client.request(OpCode.SET_DATA, request), BadArgumentsError.code)
    ops = client.request(OpCode.MULTI, MultiRequest([(OpCode.SET_DATA, request)]))
    assert client.ask(ops).err == BadArgumentsError.code
    create = client.create(QUOTA + b"/b/zookeeper_stats", b"nonsense")
    assert client.ask(create).err == BadArgumentsError.code


def test_row_3_stats_without_numbers_are_reckoned_anew() -> None:
    world = World()
    client = world.client()
    with_quota(client, b"")
    assert client.ask(client.set_data(QUOTA + b"/a/zookeeper_stats", b"")).err == 0
    assert client.ask(client.create(b"/a/b", b"12345")).err == 0
    assert b"count=2,bytes=5" in client.ask(client.get_data(QUOTA + b"/a/zookeeper_stats")).body


def test_row_4_a_check_outside_a_multi() -> None:
    world = World()
    client, other = world.client(), world.client()
    zxid = world.tree.last_zxid
    reply = client.ask(client.request(OpCode.CHECK, PathVersionRequest(b"/", -1)))
    assert (reply.err, reply.zxid) == (UnimplementedError.code, -1)
    assert client.closed is not None
    assert world.tree.last_zxid == zxid
    assert other.ask(other.create(b"/a")).err == 0


def test_row_5_a_reconfig_that_cannot_be_decoded() -> None:
    world = World()
    assert_untouched(world, world.client(), undecodable(OpCode.RECONFIG), MarshallingError.code)


@pytest.mark.parametrize("leaving", [b"nonsense", b"", None, b"\xff"])
def test_row_5_a_reconfig_with_nonsense_in_it(leaving: bytes | None) -> None:
    world = World()
    client = world.client()
    reply = client.ask(client.request(OpCode.RECONFIG, ReconfigRequest(b"server.x=", leaving, None, -1)))
    assert reply.err == ReconfigDisabledError.code
    assert client.ask(client.create(b"/still-alive")).err == 0


@pytest.mark.parametrize(
    "op",
    [
        (OpCode.CREATE, CreateRequest(None, b"", OPEN_ACL, 0)),
        (OpCode.DELETE, PathVersionRequest(None, -1)),
        (OpCode.SET_DATA, SetDataRequest(None, b"", -1)),
        (OpCode.CHECK, PathVersionRequest(None, -1)),
    ],
)
def test_row_17_a_null_path_inside_a_multi(op: tuple[int, CreateRequest]) -> None:
    """The whole multi fails, as an error txn of its own: no zxid without a txn."""
    world = World()
    client = world.client()
    zxid = world.tree.last_zxid
    ops = MultiRequest([(OpCode.CREATE, CreateRequest(b"/before", b"", OPEN_ACL, 0)), op])
    reply = client.ask(client.request(OpCode.MULTI, ops))
    assert (reply.err, reply.body, reply.zxid) == (MarshallingError.code, b"", zxid + 1)
    assert b"/before" not in world.tree.nodes
    assert world.tree.last_zxid == zxid + 1
    assert client.ask(client.exists(b"/")).err == 0


def test_a_multi_that_cannot_be_decoded_fails_under_a_zxid_of_its_own() -> None:
    world = World()
    client = world.client()
    zxid = world.tree.last_zxid
    reply = client.ask(undecodable(OpCode.MULTI))
    assert (reply.err, reply.body, reply.zxid) == (MarshallingError.code, b"", zxid + 1)
    assert world.tree.last_zxid == zxid + 1


def test_a_create_without_acl_inside_a_multi_is_answered_at_the_door() -> None:
    world = World()
    client = world.client()
    ops = MultiRequest([(OpCode.CREATE, CreateRequest(b"/a", b"", None, 0))])
    assert_untouched(world, client, client.request(OpCode.MULTI, ops), MarshallingError.code)


@pytest.mark.parametrize("flags", [5, 7, -1])
def test_flags_that_fail_a_multi_come_before_a_missing_acl_behind_them(flags: int) -> None:
    world = World()
    client = world.client()
    zxid = world.tree.last_zxid
    ops = MultiRequest(
        [
            (OpCode.CREATE, CreateRequest(b"/a", b"", OPEN_ACL, flags)),
            (OpCode.CREATE, CreateRequest(b"/b", b"", None, 0)),
        ]
    )
    reply = client.ask(client.request(OpCode.MULTI, ops))
    assert (reply.err, reply.zxid) == (MarshallingError.code, zxid + 1)


def test_writes_are_refused_while_the_disk_is_full_and_reads_are_served() -> None:
    world = World()
    client = world.client()
    world.service.writes_refused = True
    client.send(client.create(b"/a"), client.exists(b"/"), client.close_session(), client.ping())
    assert client.errors == [-1, 0, -1, 0]
    world.service.writes_refused = False
    assert client.ask(client.create(b"/a")).err == 0
