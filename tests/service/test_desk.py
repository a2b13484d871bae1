"""The leader's desk: one order for everybody's requests, one txn for each, and who may speak for a session."""

import pytest

from pyzk.codec.jute import INT32
from pyzk.codec.opcodes import CreateMode, OpCode
from pyzk.codec.quorum import Forwarded, pack_revalidated
from pyzk.codec.records import OPEN_ACL
from pyzk.codec.requests import (
    CreateRequest,
    CreateSessionRequest,
    CreateTTLRequest,
    MultiRequest,
    PathRequest,
    PathVersionRequest,
    SetDataRequest,
)
from pyzk.codec.txns import CreateSessionTxn, CreateTxn, ErrorTxn, SetDataTxn, Txn, TxnHeader, decode_txn
from pyzk.errors import (
    BadArgumentsError,
    MarshallingError,
    SessionExpiredError,
    SessionMovedError,
    UnimplementedError,
)
from pyzk.service.desk import COUNTER_MAX, Desk, Order
from pyzk.service.outbox import Settings
from pyzk.zab.events import Propose, Sync
from tests.service.ensemble import FIRST_ZXID, LEADER_ID, Ensemble
from tests.service.harness import WALL_MS, Client

CREATE = CreateRequest(b"/a", b"", OPEN_ACL, 0).encode()
UNKNOWN_SESSION = 0x900000000000001


def take(ensemble: Ensemble, *requests: Forwarded, link: int = -2) -> list[Order]:
    return ensemble.desk.take_forwarded(link, requests, ensemble.now, WALL_MS)


def txns(orders: list[Order]) -> list[Txn]:
    return [decode_txn(payload) for order in orders if isinstance(order, Propose) for _, payload in order.entries]


def forwarded(client: Client, opcode: int = OpCode.CREATE, body: bytes = CREATE, cxid: int = 5) -> Forwarded:
    return Forwarded(client.session_id, cxid, opcode, body, ((b"ip", b"127.0.0.1"),))


def error_of(orders: list[Order]) -> int:
    (txn,) = txns(orders)
    assert isinstance(txn.record, ErrorTxn)
    return txn.record.err


# One txn for each request.

NULL_PATH = MultiRequest([(OpCode.SET_DATA, SetDataRequest(None, b"", -1))]).encode()
BAD_TTL = CreateTTLRequest(b"/t", b"", OPEN_ACL, CreateMode.PERSISTENT, -1).encode()
ROOT_QUOTA = CreateRequest(b"/zookeeper/quota/zookeeper_limits", b"", OPEN_ACL, 0).encode()
POISON = [
    (OpCode.CREATE, b"\1", MarshallingError),
    (OpCode.SET_DATA, b"", MarshallingError),
    (OpCode.MULTI, b"\1", MarshallingError),
    (OpCode.MULTI, NULL_PATH, MarshallingError),
    (OpCode.RECONFIG, b"\0\0", MarshallingError),
    (OpCode.CREATE_SESSION, b"\0", MarshallingError),
    (OpCode.CHECK, PathVersionRequest(b"/", 0).encode(), UnimplementedError),
    (OpCode.DELETE_CONTAINER, PathRequest(b"/a").encode(), UnimplementedError),
    (OpCode.GET_DATA, b"", UnimplementedError),
    (-1, b"", UnimplementedError),
    (77, b"", UnimplementedError),
    (OpCode.CREATE_TTL, BAD_TTL, BadArgumentsError),
    (OpCode.CREATE, ROOT_QUOTA, BadArgumentsError),
]


@pytest.mark.parametrize(("opcode", "body", "error"), POISON)
def test_rows_1_4_5_17_whatever_a_learner_forwards_gives_one_txn_with_a_zxid_of_its_own(
    opcode: int, body: bytes, error: type[MarshallingError]
) -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    zxid = ensemble.proposer.zxid
    orders = take(ensemble, forwarded(client, opcode, body, cxid=99))
    (txn,) = txns(orders)
    assert txn.record == ErrorTxn(error.code)
    assert txn.header == TxnHeader(client.session_id, 99, zxid + 1, WALL_MS, OpCode.ERROR)
    ensemble.orders += orders
    ensemble.settle()
    assert client.ask(client.create(b"/after")).zxid == zxid + 2
    assert len(ensemble.digests) == 1


def test_a_request_without_ids_is_nobodys() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    orders = take(ensemble, Forwarded(client.session_id, 1, OpCode.CREATE, CREATE, None))
    assert isinstance(txns(orders)[0].record, CreateTxn)


def test_a_sync_comes_out_in_its_place() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    sync = forwarded(client, OpCode.SYNC, b"anything")
    write = forwarded(client)
    orders = take(ensemble, write, write, sync, write, sync, sync)
    kinds = [len(order.entries) if isinstance(order, Propose) else order.link for order in orders]
    assert kinds == [2, -2, 1, -2, -2]


def test_syncs_of_our_own_clients_have_tags() -> None:
    ensemble = Ensemble()
    client = ensemble.leader.client()
    ensemble.held = True
    client.send(client.create(b"/a"), client.sync(), client.sync())
    propose, first, second = ensemble.orders
    assert isinstance(propose, Propose)
    assert isinstance(first, Sync)
    assert isinstance(second, Sync)
    assert first.link == second.link == 0
    assert first.tag != second.tag
    ensemble.commit(1)
    assert len(client.replies) == 1
    ensemble.commit(1)
    assert len(client.replies) == 2
    ensemble.commit()
    assert client.errors == [0, 0, 0]


def test_a_sync_through_the_leader_waits_for_its_confirmation() -> None:
    """apache-defects.md, row 10: a deposed leader never gets it."""
    ensemble = Ensemble()
    client = ensemble.leader.client()
    ensemble.held = True
    client.send(client.sync(b"/a"), client.get_children(b"/"))
    assert client.replies == []
    ensemble.leader.service.close_all("the leader has lost its quorum")
    ensemble.settle()
    assert client.replies == []
    assert client.closed


def test_a_late_confirmation_of_a_sync_is_nobodys() -> None:
    ensemble = Ensemble()
    client = ensemble.leader.client()
    ensemble.held = True
    client.send(client.sync())
    client.hang_up()
    ensemble.commit()
    ensemble.desk.synced(12345, ensemble.now)
    assert ensemble.leader.service.outstanding == 0


# Who may speak for a session.


def test_a_request_of_a_session_that_came_through_another_learner_is_refused() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    assert error_of(take(ensemble, forwarded(client), link=-3)) == SessionMovedError.code


def test_a_request_of_our_own_client_whose_session_has_moved_is_refused_and_closes_it() -> None:
    ensemble = Ensemble()
    client = ensemble.leader.client()
    client.ask(client.create(b"/mine"))
    moved = ensemble.learners[0].resume(client.session_id)
    client.send(client.create(b"/stale"))
    assert "moved to another server" in str(client.closed)
    assert b"/stale" not in ensemble.leader.tree.nodes
    assert moved.ask(moved.create(b"/fresh")).err == 0


def test_a_session_that_comes_to_the_leader_is_the_leaders() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    moved = ensemble.leader.resume(client.session_id)
    assert moved.ask(moved.create(b"/fresh")).err == 0
    assert error_of(take(ensemble, forwarded(client))) == SessionMovedError.code


def test_requests_of_a_session_that_nobody_knows_are_refused() -> None:
    ensemble = Ensemble()
    unknown = Forwarded(UNKNOWN_SESSION, 1, OpCode.CREATE, CREATE, None)
    assert error_of(take(ensemble, unknown)) == SessionExpiredError.code


def test_requests_behind_the_end_of_their_session_are_refused_before_it_is_committed() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    orders = take(ensemble, forwarded(client), forwarded(client, OpCode.CLOSE_SESSION, b""), forwarded(client))
    assert [txn.header.type for txn in txns(orders)] == [OpCode.CREATE, OpCode.CLOSE_SESSION, OpCode.ERROR]
    assert txns(orders)[2].record == ErrorTxn(SessionExpiredError.code)
    ensemble.orders += orders
    ensemble.settle()
    assert client.session_id not in ensemble.desk.owners
    assert error_of(take(ensemble, forwarded(client))) == SessionExpiredError.code


def test_requests_of_our_own_client_ahead_of_its_farewell_are_served() -> None:
    ensemble = Ensemble()
    client = ensemble.leader.client()
    client.send(client.create(b"/a"), client.close_session())
    assert client.errors == [0, 0]
    assert b"/a" in ensemble.leader.tree.nodes


def test_a_session_is_closed_once_more_without_harm() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    farewell = forwarded(client, OpCode.CLOSE_SESSION, b"")
    orders = take(ensemble, farewell, farewell)
    assert [txn.header.type for txn in txns(orders)] == [OpCode.CLOSE_SESSION] * 2


def test_after_an_election_a_session_belongs_to_whoever_it_comes_through_first() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    service = ensemble.leader.service
    service.close_all("the quorum is lost")
    ensemble.desk = Desk(service, ensemble.proposer, 2 << 32, LEADER_ID)
    service.open(ensemble.desk, ensemble.now)
    assert txns(take(ensemble, forwarded(client), link=-3))[0].header.zxid == (2 << 32) + 1
    assert error_of(take(ensemble, forwarded(client), link=-2)) == SessionMovedError.code


def test_the_sessions_of_a_learner_that_has_left_are_free() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    ensemble.desk.learner_left(-2)
    assert txns(take(ensemble, forwarded(client), link=-3))[0].header.type == OpCode.CREATE


def test_a_session_is_valid_until_it_is_closing() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    desk, session_id = ensemble.desk, client.session_id
    assert desk.revalidate(-3, session_id, 5000, ensemble.now) == pack_revalidated(session_id, is_valid=True)
    assert desk.owners[session_id] == -3
    take(ensemble, forwarded(client, OpCode.CLOSE_SESSION, b""))
    assert desk.revalidate(-2, session_id, 5000, ensemble.now) == pack_revalidated(session_id, is_valid=False)
    assert desk.revalidate(-2, UNKNOWN_SESSION, 5000, ensemble.now) == pack_revalidated(UNKNOWN_SESSION, is_valid=False)


# Time.


def test_a_new_leader_gives_every_session_its_whole_timeout() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client(timeout_ms=4000)
    service = ensemble.leader.service
    service.close_all("the quorum is lost")
    ensemble.now += 1000.0
    ensemble.desk = Desk(service, ensemble.proposer, 2 << 32, LEADER_ID)
    service.open(ensemble.desk, ensemble.now)
    ensemble.tick(3.9)
    assert client.session_id in ensemble.leader.tree.sessions
    ensemble.tick(2.2)
    assert client.session_id not in ensemble.leader.tree.sessions


def test_a_touch_through_a_learner_keeps_a_session_alive() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client(timeout_ms=4000)
    for _ in range(5):
        ensemble.tick(3.0)
        ensemble.desk.touched({client.session_id: 4000, UNKNOWN_SESSION: 4000}, ensemble.now)
    assert client.session_id in ensemble.leader.tree.sessions


def test_row_19_a_pause_of_the_leader_ends_nobody() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client(timeout_ms=4000)
    ensemble.leader.service.tracker.shift(60.0)
    ensemble.tick(62.0)
    assert client.session_id in ensemble.leader.tree.sessions


def test_a_session_whose_creation_is_committed_late_is_not_opened_again() -> None:
    ensemble = Ensemble(held=True)
    learner = ensemble.learners[0]
    learner.client(timeout_ms=4000)
    ensemble.tick(10.0)
    ensemble.commit(1)
    (session_id,) = ensemble.leader.tree.sessions
    assert learner.resume(session_id).session_id == 0
    ensemble.commit()
    assert ensemble.leader.tree.sessions == {}
    assert len(ensemble.leader.service.tracker) == 0


def test_requests_before_the_expiry_of_their_session_are_served_and_its_ephemerals_go() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client(timeout_ms=4000)
    ensemble.held = True
    client.send(client.create(b"/e", flags=1))
    ensemble.tick(10.0)
    client.send(client.create(b"/late", flags=1))
    ensemble.held = False
    ensemble.settle()
    assert client.closed == "the session has expired"
    for server in ensemble.servers:
        assert not {b"/e", b"/late"} & set(server.tree.nodes)


# Zxids.


def test_the_first_txn_of_an_epoch_is_number_one() -> None:
    ensemble = Ensemble()
    assert ensemble.leader.tree.last_zxid == 0
    ensemble.leader.client()
    assert ensemble.leader.tree.last_zxid == FIRST_ZXID + 1


def test_an_epoch_ends_before_its_counter_overflows() -> None:
    ensemble = Ensemble(counter=COUNTER_MAX - 2)
    session = 0x200000000000001
    create_session = Forwarded(session, 0, OpCode.CREATE_SESSION, CreateSessionRequest(4000).encode(), None)
    create = Forwarded(session, 1, OpCode.CREATE, CREATE, None)
    orders = take(ensemble, create_session)
    assert not ensemble.desk.epoch_exhausted
    orders += take(ensemble, create, create, create)
    assert ensemble.desk.epoch_exhausted
    assert [txn.header.zxid & 0xFFFFFFFF for txn in txns(orders)] == [0xFFFFFFFD, 0xFFFFFFFE]
    client = ensemble.leader.client()
    assert client.response is None


def test_a_txn_above_the_limit_of_peers_is_refused() -> None:
    ensemble = Ensemble()
    ensemble.proposer.txn_bytes_max = 1000
    client = ensemble.learners[0].client()
    assert client.ask(client.create(b"/a", bytes(2000))).err == BadArgumentsError.code
    assert client.ask(client.create(b"/a")).err == 0


def test_row_20_a_session_with_more_ephemerals_than_fit_is_closed_without_their_list() -> None:
    ensemble = Ensemble()
    ensemble.proposer.txn_bytes_max = 1000
    client = ensemble.learners[0].client()
    client.send(*[client.create(b"/ephemeral-with-a-long-name-%d" % number, flags=1) for number in range(50)])
    client.send(client.close_session())
    assert client.errors == [0] * 51
    for server in ensemble.servers:
        assert server.tree.ephemerals == {}
    assert len(ensemble.digests) == 1


def test_txns_of_an_earlier_epoch_are_delivered_before_ours() -> None:
    ensemble = Ensemble()
    desk = ensemble.desk
    session = 0x200000000000001
    earlier = [
        Txn(TxnHeader(session, 0, 5, WALL_MS, OpCode.CREATE_SESSION), CreateSessionTxn(4000)),
        Txn(
            TxnHeader(session, 0, 6, WALL_MS, OpCode.CREATE),
            CreateTxn(b"/tail", b"", OPEN_ACL, ephemeral=False, parent_cversion=1),
        ),
        Txn(TxnHeader(session, 0, 7, WALL_MS, OpCode.SET_DATA), SetDataTxn(b"/tail", b"x", 1)),
    ]
    own = take(ensemble, Forwarded(UNKNOWN_SESSION, 1, OpCode.CREATE, CREATE, None))
    assert isinstance(own[0], Propose)
    entries = [*[(txn.header.zxid, txn.encode()) for txn in earlier], *own[0].entries]
    desk.deliver(own[0].entries[-1][0], entries, ensemble.now)
    tree = ensemble.leader.tree
    assert (tree.last_zxid, len(desk.outstanding)) == (FIRST_ZXID + 1, 0)
    assert b"/tail" in tree.nodes
    assert tree.sessions == {session: 4000}


def test_ephemerals_without_a_session_go_when_a_leader_begins() -> None:
    ensemble = Ensemble()
    client = ensemble.leader.client()
    client.ask(client.create(b"/e", flags=1))
    service = ensemble.leader.service
    service.close_all("the quorum is lost")
    for server in ensemble.servers:
        del server.tree.sessions[client.session_id]
    ensemble.desk = Desk(service, ensemble.proposer, 2 << 32, LEADER_ID)
    service.open(ensemble.desk, ensemble.now)
    ensemble.settle()
    for server in ensemble.servers:
        assert b"/e" not in server.tree.nodes


def test_what_was_outstanding_is_forgotten_with_the_role() -> None:
    ensemble = Ensemble()
    client = ensemble.leader.client()
    ensemble.held = True
    client.send(client.create(b"/never"), client.sync())
    service = ensemble.leader.service
    service.close_all("the quorum is lost")
    ensemble.settle()
    assert client.closed
    assert (len(ensemble.desk.outstanding), len(ensemble.proposer.overlay), service.outstanding) == (0, 0, 0)
    assert len(ensemble.desk.waiting_syncs) == 0


def test_a_request_that_waited_too_long_is_answered_and_a_sync_too() -> None:
    settings = Settings()
    settings.requests.wait_ms_max = 100
    ensemble = Ensemble(settings)
    for server in (ensemble.leader, ensemble.learners[0]):
        client = server.client()
        client.give(client.create(b"/a") + client.sync())
        server.service.outbox.submitted[0].received_at -= 1
        server.service.outbox.submitted[1].received_at -= 1
        ensemble.settle()
        assert client.errors == [-127, -127]
        assert server.service.outstanding == 0


def test_a_forwarded_body_is_read_whatever_stands_behind_the_record() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    (txn,) = txns(take(ensemble, forwarded(client, body=CREATE + INT32.pack(7))))
    assert txn.header.type == OpCode.CREATE
