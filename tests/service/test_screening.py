"""enableEagerACLCheck: what an ACL forbids is refused by the server that is asked, and takes no txn."""

import pytest

from pyzk.codec.opcodes import OpCode, Perms
from pyzk.codec.record import Record
from pyzk.codec.records import ACL, OPEN_ACL
from pyzk.codec.requests import CreateRequest, CreateTTLRequest, MultiRequest, PathVersionRequest, SetACLRequest
from pyzk.codec.requests import SetDataRequest as SetData
from pyzk.errors import InvalidAclError, NoAuthError, NoNodeError, NotReadOnlyError
from pyzk.service.outbox import Settings
from pyzk.service.roles import ReadOnly
from pyzk.tree.acl import digest_id
from tests.service.ensemble import Ensemble, Server
from tests.service.harness import Client, Reply, World

SERVERS = [0, 1]
"""The leader and a learner."""
MINE = [ACL(Perms.ALL, b"digest", digest_id(b"somebody:else"))]
FORBIDDEN: list[tuple[int, Record]] = [
    (OpCode.CREATE, CreateRequest(b"/mine/a", b"", OPEN_ACL, 0)),
    (OpCode.CREATE2, CreateRequest(b"/mine/a", b"", OPEN_ACL, 0)),
    (OpCode.DELETE, PathVersionRequest(b"/mine/there", -1)),
    (OpCode.SET_DATA, SetData(b"/mine", b"x", -1)),
    (OpCode.SET_ACL, SetACLRequest(b"/mine", OPEN_ACL, -1)),
]
OTHERS: list[tuple[int, Record]] = [
    (OpCode.CREATE_TTL, CreateTTLRequest(b"/mine/a", b"", OPEN_ACL, 5, 1000)),
    (OpCode.MULTI, MultiRequest([(OpCode.SET_DATA, SetData(b"/mine", b"x", -1))])),
]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Server:
    ensemble = Ensemble(Settings(eager_acl_check=True))
    server: Server = ensemble.servers[request.param]
    plant(server.client())
    return server


def plant(client: Client) -> None:
    client.send(client.create(b"/mine"), client.create(b"/mine/there"), client.create(b"/ours"))
    assert ask(client, OpCode.SET_ACL, SetACLRequest(b"/mine", MINE, -1)).err == 0


def ask(client: Client, opcode: int, record: Record) -> Reply:
    return client.ask(client.request(opcode, record))


@pytest.mark.parametrize(("opcode", "record"), FORBIDDEN)
def test_what_is_forbidden_takes_no_txn_and_is_answered_without_a_zxid(
    server: Server, opcode: int, record: Record
) -> None:
    client = server.client()
    before = server.tree.last_zxid
    reply = ask(client, opcode, record)
    assert (reply.err, reply.zxid, reply.body) == (NoAuthError.code, 0, b"")
    assert server.tree.last_zxid == before
    assert client.ask(client.set_data(b"/ours", b"x")).err == 0


@pytest.mark.parametrize("acl", [[], [ACL(Perms.ALL, b"nonsense", b"x")]])
def test_a_list_that_cannot_be_is_refused_in_the_same_way(server: Server, acl: list[ACL]) -> None:
    client = server.client()
    before = server.tree.last_zxid
    reply = ask(client, OpCode.CREATE, CreateRequest(b"/new", b"", acl, 0))
    assert (reply.err, reply.zxid) == (InvalidAclError.code, 0)
    assert server.tree.last_zxid == before


@pytest.mark.parametrize(("opcode", "record"), OTHERS)
def test_the_leader_looks_at_all_others(server: Server, opcode: int, record: Record) -> None:
    client = server.client()
    before = server.tree.last_zxid
    reply = ask(client, opcode, record)
    assert reply.zxid == server.tree.last_zxid == before + 1


def test_what_is_missing_or_nonsense_is_for_the_leader_to_say(server: Server) -> None:
    client = server.client()
    assert client.ask(client.create(b"/not/there")).err == NoNodeError.code
    assert client.ask(client.create(b"slashless")).zxid > 0
    assert client.ask(client.set_data(b"/not", b"")).zxid > 0


def test_a_write_behind_one_that_changes_the_list_is_for_the_leader_to_judge(server: Server) -> None:
    client = server.client()
    closes = client.request(OpCode.SET_ACL, SetACLRequest(b"/ours", MINE, -1))
    client.send(closes, client.set_data(b"/ours", b"x"))
    assert client.errors == [0, NoAuthError.code]
    assert client.replies[-1].zxid == server.tree.last_zxid


def test_a_read_only_server_refuses_all_writes_alike(server: Server) -> None:
    server.service.close_all("no quorum")
    server.service.open(ReadOnly(server.service), server.now)
    client = server.client(open_session=False)
    client.connect(read_only=True)
    for opcode, record in FORBIDDEN:
        assert ask(client, opcode, record).err == NotReadOnlyError.code


def test_a_standalone_server_judges_once_as_apaches_does() -> None:
    world = World(Settings(eager_acl_check=True))
    client = world.client()
    plant(client)
    reply = client.ask(client.set_data(b"/mine", b"x"))
    assert (reply.err, reply.zxid) == (NoAuthError.code, world.service.tree.last_zxid)
