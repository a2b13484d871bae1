"""Sessions that only one server knows, in an ensemble, and those of a read-only server."""

from random import Random

import pytest

from pyzk.codec.opcodes import CreateMode, OpCode
from pyzk.codec.records import OPEN_ACL
from pyzk.codec.requests import CreateRequest, MultiRequest, PathVersionRequest
from pyzk.errors import EphemeralOnLocalSessionError, MarshallingError, NotReadOnlyError, SessionExpiredError
from pyzk.service.outbox import Settings
from pyzk.service.roles import ReadOnly
from pyzk.service.sessions import password
from pyzk.service.throttle import ConnectionThrottle, SessionWeights, TokenRates
from tests.service.ensemble import Ensemble, Server
from tests.service.harness import Client

SERVERS = [0, 1]
"""The leader and a learner."""


def ensemble_with(*, upgrade: bool = True) -> Ensemble:
    return Ensemble(Settings(local_sessions=True, local_sessions_upgrade=upgrade))


def multi(client: Client, flags: int) -> bytes:
    ops = [(OpCode.CHECK, PathVersionRequest(b"/", 0)), (OpCode.CREATE, CreateRequest(b"/m", b"", OPEN_ACL, flags))]
    return client.request(OpCode.MULTI, MultiRequest(ops))


@pytest.mark.parametrize("at", SERVERS)
def test_a_local_session_takes_no_txn_and_is_in_no_tree(at: int) -> None:
    ensemble = ensemble_with()
    client = ensemble.servers[at].client()
    assert client.session_id >> 56 == at + 1
    assert client.reading
    assert ensemble.leader.tree.last_zxid == 0
    assert client.ask(client.exists(b"/")).err == 0
    assert all(server.tree.sessions == {} for server in ensemble.servers)


@pytest.mark.parametrize("at", SERVERS)
def test_a_local_session_writes_as_any_other(at: int) -> None:
    ensemble = ensemble_with()
    client = ensemble.servers[at].client()
    client.send(client.create(b"/a"), client.set_data(b"/a", b"x"), client.sync(), client.delete(b"/a"))
    assert client.errors == [0, 0, 0, 0]
    assert all(server.tree.sessions == {} for server in ensemble.servers)


@pytest.mark.parametrize("at", SERVERS)
def test_a_local_session_expires_where_it_lives(at: int) -> None:
    ensemble = ensemble_with()
    server = ensemble.servers[at]
    silent, lively = server.client(timeout_ms=4000), server.client(timeout_ms=4000)
    for _ in range(4):
        lively.send(lively.ping())
        ensemble.tick(2.0)
    assert silent.closed == "the session has expired"
    assert lively.closed is None
    assert ensemble.leader.tree.last_zxid == 0


@pytest.mark.parametrize("at", SERVERS)
def test_the_end_of_a_local_session_is_local_and_comes_in_its_turn(at: int) -> None:
    ensemble = ensemble_with()
    client = ensemble.servers[at].client()
    ensemble.held = True
    client.send(client.create(b"/a"), client.close_session(), client.exists(b"/a"))
    assert client.replies == []
    assert ensemble.servers[at].resume(client.session_id).session_id == 0
    ensemble.commit()
    assert [(reply.xid, reply.err) for reply in client.replies] == [(1, 0), (2, 0)]
    assert client.closed == "the session is closed"
    assert ensemble.leader.tree.last_zxid & 0xFF == 1
    assert ensemble.servers[at].resume(client.session_id).session_id == 0


@pytest.mark.parametrize("at", SERVERS)
def test_a_local_session_with_nothing_under_way_ends_at_once(at: int) -> None:
    client = ensemble_with().servers[at].client()
    client.send(client.close_session())
    assert client.errors == [0]
    assert client.closed


def test_a_client_that_leaves_with_its_farewell_unanswered_leaves_nothing() -> None:
    ensemble = ensemble_with()
    server = ensemble.learners[0]
    client = server.client()
    ensemble.held = True
    client.send(client.create(b"/a"), client.close_session())
    client.hang_up()
    ensemble.commit()
    assert len(server.service.tracker) == 0


@pytest.mark.parametrize("at", SERVERS)
def test_a_local_session_comes_back_to_its_server_only(at: int) -> None:
    ensemble = ensemble_with()
    server = ensemble.servers[at]
    client = server.client()
    for other in ensemble.servers:
        if other is not server:
            assert other.resume(client.session_id).session_id == 0
    again = server.resume(client.session_id)
    assert again.session_id == client.session_id
    assert client.closed
    assert again.ask(again.create(b"/a")).err == 0


@pytest.mark.parametrize("at", SERVERS)
@pytest.mark.parametrize("kind", ["create", "create2", "multi"])
def test_the_first_ephemeral_makes_a_session_global(at: int, kind: str) -> None:
    ensemble = ensemble_with()
    server = ensemble.servers[at]
    client = server.client()
    create2 = client.request(OpCode.CREATE2, CreateRequest(b"/m", b"", OPEN_ACL, CreateMode.EPHEMERAL_SEQUENTIAL), 1)
    request = {"create": client.create(b"/m", flags=1), "create2": create2, "multi": multi(client, 1)}[kind]
    ensemble.held = True
    client.send(request)
    assert client.closed is None
    client.send(client.ping())
    ensemble.held = False
    ensemble.settle()
    assert client.errors == [0, 0]
    for member in ensemble.servers:
        assert member.tree.sessions == {client.session_id: 10_000}
        assert list(member.tree.ephemerals) == [client.session_id]
    # It moves as any other now.
    client.hang_up()
    for member in ensemble.servers:
        moved = member.resume(client.session_id)
        assert moved.session_id == client.session_id
        moved.hang_up()
    last = server.resume(client.session_id)
    last.send(last.close_session())
    assert last.errors == [0]
    assert ensemble.leader.tree.ephemerals == {}


def test_a_session_that_was_upgraded_is_expired_by_the_leader() -> None:
    ensemble = ensemble_with()
    client = ensemble.learners[0].client(timeout_ms=4000)
    client.send(client.create(b"/e", flags=1))
    client.hang_up()
    ensemble.tick(10.0)
    assert all(b"/e" not in server.tree.nodes for server in ensemble.servers)


@pytest.mark.parametrize("at", SERVERS)
def test_without_upgrading_an_ephemeral_is_refused(at: int) -> None:
    ensemble = ensemble_with(upgrade=False)
    client = ensemble.servers[at].client()
    client.send(client.create(b"/e", flags=1), multi(client, 3), multi(client, 0), client.create(b"/p"))
    code = EphemeralOnLocalSessionError.code
    assert client.errors == [code, code, 0, 0]


def test_a_create_that_is_refused_at_the_door_upgrades_nothing() -> None:
    ensemble = ensemble_with()
    client = ensemble.learners[0].client()
    reply = client.ask(client.request(OpCode.CREATE, PathVersionRequest(b"/e", 1)))
    assert reply.err == MarshallingError.code
    assert ensemble.leader.tree.sessions == {}


def test_local_sessions_are_not_told_to_the_leader() -> None:
    ensemble = ensemble_with()
    learner = ensemble.learners[0]
    client = learner.client()
    client.send(client.ping())
    assert learner.forwarding.pinged(1)[-8:-4] == bytes(4), "no data"


def test_a_leader_takes_no_ephemeral_of_somebody_elses_local_session() -> None:
    """A learner of another make may forward one inside a multi."""
    ensemble = ensemble_with()
    learner = ensemble.learners[0]
    client = learner.client()
    learner.service.writes = learner.forwarding.writes
    client.send(client.create(b"/e", flags=1), client.create(b"/p"))
    assert client.errors == [EphemeralOnLocalSessionError.code, 0]


def test_a_leader_without_local_sessions_knows_none() -> None:
    ensemble = ensemble_with()
    client = ensemble.learners[0].client()
    ensemble.leader.service.local_sessions = None
    assert client.ask(client.create(b"/p")).err == SessionExpiredError.code


def test_a_new_local_session_has_a_weight_of_its_own_for_the_throttle() -> None:
    ensemble = ensemble_with()
    server = ensemble.learners[0]
    server.service.settings.session_weights = SessionWeights(new=100, renewed=100, local=2)
    server.service.throttle = ConnectionThrottle(TokenRates(tokens_max=5, fill_time_ms=1 << 40), Random(1))
    clients = [server.client() for _ in range(3)]
    assert [client.closed is None for client in clients] == [True, True, False]


# Read-only.


def read_only_server(*, local_sessions: bool = False) -> Server:
    """A learner that has lost its leader, with a znode and a global session."""
    ensemble = Ensemble(Settings(local_sessions=local_sessions))
    server = ensemble.learners[0]
    client = ensemble.leader.client()
    client.ask(client.create(b"/a", b"data"))
    server.service.close_all("the leader is lost")
    ensemble.settle()
    server.service.open(ReadOnly(server.service), server.now)
    return server


def reader(server: Server) -> Client:
    client = server.client(open_session=False)
    client.connect(read_only=True)
    return client


def test_a_read_only_server_says_so_and_serves_reads() -> None:
    server = read_only_server()
    assert server.service.read_only
    client = reader(server)
    assert client.response is not None
    assert client.response.read_only is True
    assert client.ask(client.get_data(b"/a", watch=True)).body.startswith(b"\0\0\0\4data")
    assert client.ask(client.ping()).err == 0


@pytest.mark.parametrize("wish", [False, None])
def test_clients_that_do_not_ask_for_a_read_only_server_are_closed_without_a_word(wish: bool | None) -> None:
    client = read_only_server().client(open_session=False)
    client.connect(read_only=wish)
    assert client.sent == b""
    assert "read-only" in str(client.closed)


@pytest.mark.parametrize("local_sessions", [False, True])
def test_writes_and_sync_are_refused_there_and_change_nothing(local_sessions: bool) -> None:
    server = read_only_server(local_sessions=local_sessions)
    client = reader(server)
    zxid = server.tree.last_zxid
    client.send(
        client.create(b"/b"), client.create(b"/e", flags=1), multi(client, 1), client.sync(), client.delete(b"/a")
    )
    assert client.errors == [NotReadOnlyError.code] * 5
    assert {reply.zxid for reply in client.replies} == {zxid}
    assert not server.service.outbox.submitted


def test_sessions_of_a_read_only_server_are_its_own() -> None:
    server = read_only_server()
    client = reader(server)
    client.hang_up()
    again = server.client(open_session=False)
    assert client.response is not None
    again.connect(session_id=client.session_id, password=client.response.password, read_only=True)
    assert again.session_id == client.session_id
    again.send(again.close_session())
    assert again.errors == [0]
    assert again.closed
    silent = reader(server)
    server.service.tick(server.now + 60)
    server.settle()
    assert silent.closed == "the session has expired"


def test_a_session_of_the_ensemble_is_sent_away_by_a_read_only_server() -> None:
    server = read_only_server()
    (session_id,) = server.tree.sessions
    client = server.client(open_session=False)
    client.connect(session_id=session_id, password=password(session_id), read_only=True)
    assert client.sent == b""
    assert "read-only" in str(client.closed)


@pytest.mark.parametrize("local_sessions", [False, True])
def test_a_session_that_a_read_only_server_does_not_know_may_live_and_is_let_in(local_sessions: bool) -> None:
    server = read_only_server(local_sessions=local_sessions)
    client = server.client(open_session=False)
    client.connect(session_id=5, password=password(5), read_only=True)
    assert client.session_id == 5
    assert client.response is not None
    assert client.response.read_only is True
    assert client.ask(client.get_data(b"/a", watch=False)).err == 0
    stranger = server.client(open_session=False)
    stranger.connect(session_id=6, password=password(5), read_only=True)
    assert stranger.session_id == 0
    assert stranger.closed
