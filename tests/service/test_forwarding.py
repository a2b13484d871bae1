"""A learner's clients: their writes go to the leader, and each is told what became of its own."""

from random import Random

import pytest

from pyzk.codec.jute import INT32, pack_buffer
from pyzk.codec.opcodes import CreateMode, OpCode
from pyzk.codec.records import ACL, OPEN_ACL
from pyzk.codec.requests import (
    CreateRequest,
    CreateSessionRequest,
    EmptyRequest,
    MultiRequest,
    PathRequest,
    PathVersionRequest,
    ReconfigRequest,
    SetDataRequest,
)
from pyzk.codec.txns import (
    CreateTxn,
    ErrorTxn,
    SetDataTxn,
    Txn,
    TxnDigest,
    TxnHeader,
)
from pyzk.errors import MarshallingError, NoNodeError, ReconfigDisabledError, UnimplementedError
from pyzk.service.connection import WAITING_MAX, Syncing
from pyzk.service.forwarding import Forwarding
from pyzk.service.intake import TURN_REPLY_BYTES_MAX
from tests.service.ensemble import Ensemble
from tests.service.harness import WALL_MS, Client, Event, Reply


def kinds(client: Client) -> list[str]:
    return ["event" if isinstance(item, Event) else "reply" for item in client]


# Writes.


def test_a_write_through_a_learner_is_answered_with_its_zxid_and_is_everywhere() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    created = client.ask(client.create(b"/a", b"data"))
    assert (created.err, created.zxid) == (0, 0x100000002)
    for server in ensemble.servers:
        other = server.client()
        assert other.ask(other.get_data(b"/a")).body.startswith(pack_buffer(b"data"))
    assert len(ensemble.digests) == 1


def test_the_body_travels_as_the_client_sent_it() -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    client = learner.client()
    record = CreateRequest(b"/a", None, OPEN_ACL, 0).encode() + b"behind the record"
    client.send(INT32.pack(8 + len(record)) + INT32.pack(5) + INT32.pack(OpCode.CREATE) + record)
    assert client.errors == [0]
    assert learner.sent[-1].body == record
    assert learner.sent[-1].identities == ((b"ip", b"127.0.0.1"),)


def test_a_create_session_is_forwarded_with_its_timeout_without_ids_and_with_cxid_0() -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    client = learner.client(timeout_ms=12_345)
    (request,) = learner.sent
    assert (request.session_id, request.cxid, request.opcode) == (client.session_id, 0, OpCode.CREATE_SESSION)
    assert (request.body, request.identities) == (CreateSessionRequest(12_345).encode(), None)


def test_reads_wait_behind_the_writes_of_their_session_and_for_no_others() -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    client, other = learner.client(), learner.client()
    ensemble.held = True
    client.send(client.create(b"/a"), client.exists(b"/a"), client.create(b"/b"), client.exists(b"/b"), client.ping())
    assert client.replies == []
    assert other.ask(other.exists(b"/a")).err == NoNodeError.code
    ensemble.commit(1)
    assert [reply.xid for reply in client.replies] == [1, 2]
    ensemble.commit()
    assert [reply.xid for reply in client.replies] == [1, 2, 3, 4, -2]
    assert client.errors == [0] * 5


def test_a_failed_write_comes_back_with_the_zxid_of_its_error_txn() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    reply = client.ask(client.delete(b"/missing"))
    assert (reply.err, reply.zxid) == (NoNodeError.code, 0x100000002)


def test_an_event_comes_before_the_reply_on_a_learner_too() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    client.ask(client.exists(b"/a", watch=True))
    client.send(client.create(b"/a"))
    assert kinds(client) == ["reply", "event", "reply"]


def test_an_event_tells_of_writes_through_other_servers_before_a_read_shows_them() -> None:
    ensemble = Ensemble()
    learner, elsewhere = ensemble.learners
    watcher, writer = learner.client(), elsewhere.client()
    watcher.ask(watcher.exists(b"/a", watch=True))
    learner.lagging = True
    writer.ask(writer.create(b"/a"))
    assert watcher.events == []
    learner.catch_up()
    watcher.send(watcher.exists(b"/a"))
    assert kinds(watcher) == ["reply", "event", "reply"]


def test_a_write_whose_client_is_gone_is_only_applied() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    ensemble.held = True
    client.send(client.create(b"/a"))
    client.hang_up()
    ensemble.commit()
    assert b"/a" in ensemble.learners[0].tree.nodes
    assert not ensemble.learners[0].forwarding.pending


@pytest.mark.parametrize("first_cxid", [-1, 2**31 - 1, -(2**31), 0])
def test_our_cxids_go_round_and_leave_out_zero(first_cxid: int) -> None:
    learner = Ensemble().learners[0]
    learner.forwarding = Forwarding(learner.service, learner.link, first_cxid)
    learner.service.open(learner.forwarding, learner.now)
    client = learner.client()
    client.send(client.create(b"/a"), client.create(b"/b"))
    cxids = [request.cxid for request in learner.sent[1:]]
    assert 0 not in cxids
    assert len(set(cxids)) == 2
    assert client.errors == [0, 0]


def test_row_18_xids_that_start_again_after_a_move_never_get_another_connections_reply() -> None:
    ensemble = Ensemble()
    first, second = ensemble.learners
    client = first.client()
    ensemble.held = True
    client.send(client.create(b"/first"))
    client.hang_up()
    moved = second.resume(client.session_id)
    assert moved.session_id == client.session_id
    moved.send(moved.create(b"/second"))
    ensemble.commit(1)
    assert moved.replies == []
    ensemble.commit()
    assert [(reply.xid, reply.body) for reply in moved.replies] == [(1, pack_buffer(b"/second"))]


def test_row_18_the_same_after_a_reconnect_to_the_same_server() -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    client = learner.client()
    ensemble.held = True
    client.send(client.create(b"/first"))
    again = learner.resume(client.session_id)
    assert "moved to another connection" in str(client.closed)
    again.send(again.create(b"/second"))
    ensemble.commit(1)
    assert again.replies == []
    ensemble.commit()
    assert [reply.body for reply in again.replies] == [pack_buffer(b"/second")]


def test_a_request_that_the_leader_forgot_does_not_hold_up_those_behind_it() -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    forgotten, client = learner.client(), learner.client()
    ensemble.held = True
    forgotten.send(forgotten.create(b"/forgotten"))
    ensemble.orders.popleft()
    client.send(client.create(b"/a"))
    ensemble.desk.outstanding.popleft()
    ensemble.commit()
    assert client.errors == [0]
    assert "has not answered" in str(forgotten.closed)


def test_a_txn_of_another_kind_is_nobodys_reply() -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    client = learner.client()
    ensemble.held = True
    client.send(client.request(OpCode.MULTI, MultiRequest([])))
    cxid = learner.sent[-1].cxid
    header = TxnHeader(client.session_id, cxid, 0x100000009, WALL_MS, OpCode.CREATE)
    payload = Txn(header, CreateTxn(b"/odd", b"", OPEN_ACL, ephemeral=False, parent_cversion=1)).encode()
    learner.forwarding.deliver(header.zxid, [(header.zxid, payload)], learner.now)
    assert client.replies == []
    assert b"/odd" in learner.tree.nodes


def test_a_session_that_the_leader_refuses_ends_its_connection() -> None:
    ensemble = Ensemble(held=True)
    learner = ensemble.learners[0]
    client = learner.client()
    header = TxnHeader(learner.sent[0].session_id, 0, 0x100000001, WALL_MS, OpCode.ERROR)
    learner.forwarding.deliver(header.zxid, [(header.zxid, Txn(header, ErrorTxn(-1)).encode())], learner.now)
    ensemble.settle()
    assert "refused the session" in str(client.closed)


def test_the_reply_of_a_reconfig_holds_the_configuration_and_its_stat() -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    client = learner.client()
    assert (
        client.ask(client.request(OpCode.RECONFIG, ReconfigRequest(b"server.4=h:1:2;3", None, None, -1))).err
        == ReconfigDisabledError.code
    )
    ensemble.held = True
    client.send(client.request(OpCode.RECONFIG, ReconfigRequest(b"server.4=h:1:2;3", None, None, -1)))
    header = TxnHeader(client.session_id, learner.sent[-1].cxid, 0x100000009, WALL_MS, OpCode.RECONFIG)
    payload = Txn(header, SetDataTxn(b"/zookeeper/config", b"text", -1)).encode()
    learner.forwarding.deliver(header.zxid, [(header.zxid, payload)], learner.now)
    ensemble.settle()
    reply = client.replies[-1]
    assert (reply.err, len(reply.body)) == (0, 4 + 4 + 68)


def test_a_digest_that_differs_is_counted_and_changes_nothing() -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    for number, digest in ((1, 5), (2, 6)):
        header = TxnHeader(0, 0, 0x100000000 + number, WALL_MS, OpCode.CREATE)
        record = CreateTxn(b"/%d" % number, b"", OPEN_ACL, ephemeral=False, parent_cversion=number)
        payload = Txn(header, record, TxnDigest(2, digest)).encode()
        learner.forwarding.deliver(header.zxid, [(header.zxid, payload)], learner.now)
    assert learner.service.digest_mismatches == 2
    assert learner.service.first_mismatch_zxid == 0x100000001
    assert b"/2" in learner.tree.nodes


def test_digests_say_nothing_while_the_tree_may_be_ahead_of_its_zxid() -> None:
    """A leader of Apache's goes on while it sends its tree; what it has sent behind that is in it already, in part."""
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    learner.service.inexact_until = 0x100000080
    for counter in (0x7F, 0x80, 0x81, 0x100):
        header = TxnHeader(0, 0, 0x100000000 + counter, WALL_MS, OpCode.CREATE)
        record = CreateTxn(b"/%d" % counter, b"", OPEN_ACL, ephemeral=False, parent_cversion=counter)
        payload = Txn(header, record, TxnDigest(2, 5)).encode()
        learner.forwarding.deliver(header.zxid, [(header.zxid, payload)], learner.now)
    assert (learner.service.digest_mismatches, learner.service.first_mismatch_zxid) == (2, 0x100000081)
    assert [zxid for zxid, _ in learner.service.digests] == [0x100000100]


# The door.

NULL_ID = [ACL(31, b"digest", None)]
REFUSED_MULTIS = [
    MultiRequest([(OpCode.CREATE, CreateRequest(None, b"", OPEN_ACL, 0))]),
    MultiRequest([(OpCode.DELETE, PathVersionRequest(None, -1))]),
    MultiRequest([(OpCode.CREATE, CreateRequest(b"/a", b"", OPEN_ACL, CreateMode.PERSISTENT_WITH_TTL))]),
    MultiRequest([(OpCode.CREATE, CreateRequest(b"/a", b"", NULL_ID, 0))]),
    MultiRequest([(OpCode.GET_DATA, EmptyRequest())]),
]


@pytest.mark.parametrize("multi", REFUSED_MULTIS)
def test_row_17_a_multi_that_a_leader_may_never_answer_does_not_go_there(multi: MultiRequest) -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    client = learner.client()
    before, zxid = len(learner.sent), learner.tree.last_zxid
    reply = client.ask(client.request(OpCode.MULTI, multi))
    assert (reply.err, reply.zxid, reply.body) == (MarshallingError.code, zxid, b"")
    assert len(learner.sent) == before


@pytest.mark.parametrize("opcode", [OpCode.CREATE, OpCode.RECONFIG, OpCode.MULTI, OpCode.SET_DATA, OpCode.SYNC])
def test_rows_1_and_5_what_cannot_be_decoded_does_not_go_to_the_leader(opcode: OpCode) -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    client = learner.client()
    before = len(learner.sent)
    reply = client.ask(INT32.pack(9) + INT32.pack(3) + INT32.pack(opcode) + b"\1")
    assert (reply.xid, reply.err) == (3, MarshallingError.code)
    assert len(learner.sent) == before


def test_row_4_a_lone_check_does_not_go_to_the_leader() -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    client = learner.client()
    before = len(learner.sent)
    client.send(client.request(OpCode.CHECK, PathVersionRequest(b"/", 0)))
    assert client.errors == [UnimplementedError.code]
    assert client.closed
    assert len(learner.sent) == before


def test_what_is_refused_at_the_door_is_answered_in_its_turn() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    ensemble.held = True
    client.send(client.create(b"/a"), client.request(OpCode.MULTI, REFUSED_MULTIS[0]))
    assert client.replies == []
    ensemble.commit()
    assert client.errors == [0, MarshallingError.code]


# sync.


def test_a_sync_shows_what_was_committed_before_the_leader_had_it() -> None:
    ensemble = Ensemble()
    learner, elsewhere = ensemble.learners
    client, writer = learner.client(), elsewhere.client()
    learner.lagging = True
    writer.ask(writer.create(b"/a"))
    client.send(client.sync(b"/some path"), client.exists(b"/a"))
    assert client.replies == []
    learner.catch_up()
    assert client.errors == [0, 0]
    assert client.replies[0].body == pack_buffer(b"/some path")
    assert client.replies[0].zxid == learner.tree.last_zxid


def test_syncs_are_answered_in_the_order_in_which_they_were_sent() -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    first, second = learner.client(), learner.client()
    ensemble.held = True
    first.send(first.sync(b"1"))
    second.send(second.sync(b"2"), second.sync(b"3"))
    ensemble.commit(1)
    assert (len(first.replies), len(second.replies)) == (1, 0)
    ensemble.commit(1)
    assert [reply.body for reply in second.replies] == [pack_buffer(b"2")]
    ensemble.commit()
    assert [reply.body for reply in second.replies] == [pack_buffer(b"2"), pack_buffer(b"3")]


def test_the_sync_of_a_connection_that_is_gone_keeps_its_place() -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    gone, client = learner.client(), learner.client()
    ensemble.held = True
    gone.send(gone.sync())
    gone.hang_up()
    client.send(client.sync())
    ensemble.commit(1)
    assert client.replies == []
    ensemble.commit()
    assert client.errors == [0]
    assert learner.service.outstanding == 0


def test_no_more_than_a_hundred_syncs_and_reads_wait_for_the_leader_and_the_rest_is_not_taken() -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    client = learner.client()
    ensemble.held = True
    client.send(*[client.sync() + client.ping() for _ in range(120)], client.create(b"/a"))
    state = learner.service.connections[client.number]
    assert (len(state.queue), state.waiting, client.reading) == (WAITING_MAX, WAITING_MAX, False)
    assert learner.service.outstanding == WAITING_MAX // 2
    while ensemble.orders:
        ensemble.commit()
    assert client.errors == [0] * 241
    assert [reply.xid for reply in client.replies if reply.xid > 0] == list(range(1, 122))
    assert (len(state.queue), state.waiting, client.reading) == (0, 0, True)
    assert learner.service.outstanding == 0


def test_large_reads_behind_a_sync_are_answered_a_turn_at_a_time() -> None:
    """A client that does not take them holds nobody up: its other syncs are not under way any more."""
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    client = learner.client()
    client.ask(client.create(b"/big", bytes(300_000)))
    ensemble.held = True
    reads = [client.sync() + b"".join([client.get_data(b"/big") for _ in range(5)]) for _ in range(10)]
    client.send(*reads)
    service, state = learner.service, learner.service.connections[client.number]
    for waiting in learner.forwarding.waiting_syncs:
        assert isinstance(waiting, Syncing)
        service.synced(waiting, ensemble.now)
    assert service.outstanding == 0
    assert state.full
    turns = 0
    while encoded := service.take(client.number):
        assert len(encoded) < TURN_REPLY_BYTES_MAX + 301_000
        client.take(encoded)
        service.outbox.unfinished.clear()
        service.go_on(client.number, ensemble.now)
        turns += 1
    assert turns > 10
    assert {reply.err for reply in client.replies} == {0}
    assert len(client.replies) == 61
    assert (state.waiting, state.full, state.sated, service.outstanding) == (0, False, False, 0)


def test_a_client_that_leaves_with_a_confirmed_sync_unanswered_is_not_counted_twice() -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    client = learner.client()
    client.ask(client.create(b"/big", bytes(300_000)))
    ensemble.held = True
    client.send(client.sync(), *[client.get_data(b"/big") for _ in range(50)], client.sync())
    for _ in range(2):
        learner.forwarding.synced(ensemble.now)
    assert len(learner.service.connections[client.number].queue) > 0
    client.hang_up()
    assert learner.service.outstanding == 0


def test_a_sync_behind_a_write_waits_for_both() -> None:
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    ensemble.held = True
    client.send(client.create(b"/a"), client.sync(), client.exists(b"/a"))
    ensemble.commit(1)
    assert [reply.xid for reply in client.replies] == [1]
    ensemble.commit()
    assert client.errors == [0, 0, 0]


def test_a_write_behind_a_sync_can_be_committed_first_and_confirms_it() -> None:
    """The read between them does not see the write."""
    ensemble = Ensemble()
    client = ensemble.learners[0].client()
    ensemble.held = True
    client.send(client.sync(), client.exists(b"/a"), client.create(b"/a"), client.sync(), client.exists(b"/a"))
    sync = ensemble.orders.popleft()
    ensemble.commit(1)
    assert [(reply.xid, reply.err) for reply in client.replies] == [(1, 0), (2, NoNodeError.code), (3, 0)]
    ensemble.orders.appendleft(sync)
    ensemble.commit(1)
    assert len(client.replies) == 3, "the second sync has not been confirmed by the answer to the first"
    ensemble.commit()
    assert client.errors == [0, NoNodeError.code, 0, 0, 0]


def random_request(client: Client, rng: Random) -> bytes:
    path = rng.choice([b"/a", b"/b", b"/a/c", b"/missing/x"])
    makers = [
        lambda: client.create(path, rng.randbytes(5), rng.choice([0, 0, 1, 2, 3])),
        lambda: client.set_data(path, rng.randbytes(5)),
        lambda: client.delete(path),
        lambda: client.get_data(path, watch=rng.random() < 0.3),
        lambda: client.get_children(path, watch=rng.random() < 0.3),
        client.sync,
        lambda: client.request(
            OpCode.MULTI,
            MultiRequest(
                [(OpCode.SET_DATA, SetDataRequest(path, b"m", -1)), (OpCode.CHECK, PathVersionRequest(path, 1))]
            ),
        ),
        lambda: client.request(OpCode.GET_ACL, PathRequest(path)),
    ]
    return rng.choice(makers)()


def test_whatever_clients_do_every_request_is_answered_in_order_and_all_trees_are_equal(rng: Random) -> None:
    ensemble = Ensemble()
    clients = [server.client() for server in ensemble.servers for _ in range(3)]
    for _ in range(300):
        ensemble.held = rng.random() < 0.5
        for learner in ensemble.learners:
            learner.lagging = rng.random() < 0.5
        client = rng.choice(clients)
        client.send(*[random_request(client, rng) for _ in range(rng.randrange(1, 5))])
        if ensemble.held:
            ensemble.commit(rng.randrange(len(ensemble.orders) + 1))
    ensemble.held = False
    for learner in ensemble.learners:
        learner.catch_up()
    for client in clients:
        xids = [item.xid for item in client if isinstance(item, Reply)]
        assert xids == list(range(1, client._next_xid))
    assert len(ensemble.digests) == 1
    assert [server.service.outstanding for server in ensemble.servers] == [0, 0, 0]
    assert [learner.service.digest_mismatches for learner in ensemble.learners] == [0, 0]
    assert len(ensemble.proposer.overlay) == 0
