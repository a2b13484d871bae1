"""Sessions on a learner: how they come and go, who tells the leader of them, and what becomes of them with the role."""

from random import Random

from pyzk.codec.jute import pack_buffer
from pyzk.codec.quorum import PacketReader, PacketType, unpack_touches
from pyzk.service.forwarding import Forwarding
from pyzk.service.touches import TOUCHES_PER_PING_MAX
from tests.service.ensemble import Ensemble, Learner


def touches_of(learner: Learner) -> dict[int, int]:
    (packet,) = PacketReader(1 << 20).feed(learner.forwarding.pinged(7))
    assert (packet.type, packet.zxid) == (PacketType.PING, 7)
    assert packet.data is not None
    return unpack_touches(packet.data)


def test_a_session_moves_from_server_to_server() -> None:
    ensemble = Ensemble()
    first, second = ensemble.learners
    client = first.client()
    client.ask(client.create(b"/e", flags=1))
    client.hang_up()
    for server in (second, ensemble.leader, first):
        moved = server.resume(client.session_id, timeout_ms=20_000)
        assert moved.response is not None
        assert (moved.session_id, moved.response.timeout_ms) == (client.session_id, 20_000)
        assert moved.ask(moved.set_data(b"/e", b"")).err == 0
        moved.hang_up()


def test_what_is_pipelined_behind_the_handshake_waits_for_the_leaders_word() -> None:
    ensemble = Ensemble()
    first, second = ensemble.learners
    client = first.client()
    client.hang_up()
    second.lagging = True
    moved = second.resume(client.session_id)
    moved.send(moved.create(b"/a"), moved.exists(b"/a"))
    assert (moved.response, moved.reading, moved.frames) == (None, False, [])
    second.catch_up()
    assert moved.session_id == client.session_id
    assert moved.errors == [0, 0]
    assert moved.reading


def test_a_session_that_the_leader_does_not_know_is_refused() -> None:
    ensemble = Ensemble()
    moved = ensemble.learners[0].resume(0x200000000009999)
    assert moved.session_id == 0
    assert moved.closed


def test_row_14_a_wrong_password_is_refused_without_asking_anybody() -> None:
    ensemble = Ensemble()
    first, second = ensemble.learners
    client = first.client()
    for server in (first, second):
        thief = server.client(open_session=False)
        thief.connect(session_id=client.session_id, password=bytes(16))
        assert thief.session_id == 0
        assert not server.inbox
    assert client.ask(client.create(b"/a")).err == 0


def test_the_old_connection_of_a_session_stays_until_the_leader_has_said_yes() -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    client = learner.client()
    learner.lagging = True
    again = learner.resume(client.session_id)
    assert client.closed is None
    learner.catch_up()
    assert client.closed
    assert again.session_id == client.session_id


def test_two_connections_that_ask_for_one_session_are_answered_in_order() -> None:
    ensemble = Ensemble()
    client = ensemble.leader.client()
    learner = ensemble.learners[0]
    learner.lagging = True
    first, gone, second = (learner.resume(client.session_id) for _ in range(3))
    gone.hang_up()
    learner.catch_up()
    assert first.closed
    assert gone.response is None
    assert second.session_id == client.session_id
    assert second.closed is None


def test_a_session_may_act_where_its_creation_has_not_arrived_yet() -> None:
    ensemble = Ensemble()
    first, second = ensemble.learners
    second.lagging = True
    client = first.client()
    moved = second.resume(client.session_id)
    second.inbox.rotate(1)
    second.inbox.popleft()()
    ensemble.settle()
    assert client.session_id not in second.tree.sessions
    assert moved.ask(moved.exists(b"/")).err == 0
    assert client.session_id in touches_of(second)
    second.catch_up()
    assert moved.ask(moved.create(b"/a")).err == 0


def test_a_session_that_has_moved_away_is_told_with_its_next_write_and_read_until_then() -> None:
    ensemble = Ensemble()
    first, second = ensemble.learners
    client = first.client()
    moved = second.resume(client.session_id)
    assert client.ask(client.exists(b"/")).err == 0
    client.send(client.create(b"/stale"))
    assert len(client.replies) == 1, "no reply to the write"
    assert "moved to another server" in str(client.closed)
    assert b"/stale" not in ensemble.leader.tree.nodes
    assert moved.ask(moved.create(b"/a")).err == 0
    assert first.service.outstanding == 0


def test_a_client_that_closes_its_session_is_answered_and_its_ephemerals_are_gone_everywhere() -> None:
    ensemble = Ensemble()
    first, second = ensemble.learners
    client, watcher = first.client(), second.client()
    client.send(client.create(b"/e", flags=1), client.create(b"/f", flags=1))
    watcher.ask(watcher.exists(b"/e", watch=True))
    client.send(client.close_session(), client.create(b"/late"))
    assert client.errors == [0, 0, 0]
    assert client.closed == "the session is closed"
    assert [event.path for event in watcher.events] == [b"/e"]
    for server in ensemble.servers:
        assert client.session_id not in server.tree.sessions
        assert not {b"/e", b"/f", b"/late"} & set(server.tree.nodes)


def test_a_session_closed_elsewhere_ends_its_connection_here() -> None:
    ensemble = Ensemble()
    first, second = ensemble.learners
    client = first.client()
    moved = second.resume(client.session_id)
    moved.send(moved.close_session())
    assert moved.closed
    assert client.closed


def test_only_the_leader_ends_sessions_and_learners_tell_it_who_lives() -> None:
    ensemble = Ensemble()
    first, second = ensemble.learners
    lively, silent = first.client(timeout_ms=4000), second.client(timeout_ms=4000)
    for _ in range(10):
        lively.send(lively.ping())
        ensemble.ping()
        ensemble.tick(1.0)
    assert lively.closed is None
    assert silent.closed == "the session has expired"
    assert ensemble.leader.service.counters.sessions_expired == 1
    assert second.service.counters.sessions_expired == 0
    assert list(second.tree.sessions) == [lively.session_id]


def test_the_reply_to_a_ping_names_who_has_shown_life_once() -> None:
    ensemble = Ensemble()
    first, second = ensemble.learners
    client = first.client(timeout_ms=5000)
    assert touches_of(first) == touches_of(second) == {client.session_id: 5000}, "a new session is told by everybody"
    assert touches_of(first) == touches_of(second) == {}
    client.send(client.ping(), client.ping())
    assert (touches_of(first), touches_of(second)) == ({client.session_id: 5000}, {})


def test_a_reply_to_a_ping_is_never_longer_than_a_peer_accepts() -> None:
    learner = Ensemble().learners[0]
    learner.forwarding.touched(dict.fromkeys(range(TOUCHES_PER_PING_MAX + 5), 4000))
    assert len(touches_of(learner)) == TOUCHES_PER_PING_MAX
    assert len(touches_of(learner)) == 5


def test_losing_the_leader_closes_all_clients_and_forgets_what_was_under_way() -> None:
    ensemble = Ensemble()
    learner = ensemble.learners[0]
    client, other, handshaking = learner.client(), learner.client(), learner.client(open_session=False)
    other.ask(other.exists(b"/a", watch=True))
    ensemble.held = True
    client.send(client.create(b"/a"), client.exists(b"/a"), client.sync())
    handshaking.connect()
    learner.service.close_all("the leader is lost")
    ensemble.settle()
    assert {client.closed, other.closed, handshaking.closed} == {"the leader is lost"}
    assert client.replies == []
    assert (learner.service.outstanding, learner.service.watches.total) == (0, 0)
    assert not learner.service.connections
    assert client.session_id in learner.tree.sessions
    late = learner.client(open_session=False)
    late.connect()
    assert "not serving" in str(late.closed)
    # The next role.
    learner.forwarding = Forwarding(learner.service, learner.link, 77)
    learner.service.open(learner.forwarding, learner.now)
    ensemble.commit()
    assert learner.resume(client.session_id).session_id == client.session_id


def test_row_18_sessions_that_move_about_get_their_own_replies_and_nobody_elses(rng: Random) -> None:
    """Every request creates a path of its own, xids start again at each connection, and a reply must name its path."""
    ensemble = Ensemble()
    clients = [server.client() for server in ensemble.servers]
    asked: dict[int, list[bytes]] = {id(client): [] for client in clients}
    paths = iter(range(10_000))
    everybody = list(clients)
    for _ in range(400):
        ensemble.held = rng.random() < 0.6
        for learner in ensemble.learners:
            learner.lagging = rng.random() < 0.4
        number = rng.randrange(len(clients))
        client = clients[number]
        if client.closed is not None or (client.response is not None and rng.random() < 0.2):
            moved = rng.choice(ensemble.servers).resume(client.session_id)
            asked[id(moved)] = []
            clients[number] = moved
            everybody.append(moved)
        elif client.response is not None:
            path = b"/%d" % next(paths)
            asked[id(client)].append(path)
            client.send(client.create(path))
        if ensemble.held:
            ensemble.commit(rng.randrange(len(ensemble.orders) + 1))
    ensemble.held = False
    for learner in ensemble.learners:
        learner.catch_up()
    answered = 0
    for client in everybody:
        answered += len(client.replies)
        for reply in client.replies:
            assert (reply.err, reply.body) == (0, pack_buffer(asked[id(client)][reply.xid - 1]))
        if client.closed is None:
            assert len(client.replies) == len(asked[id(client)])
    assert answered > 50
    assert len(ensemble.digests) == 1
