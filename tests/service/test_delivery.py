"""What follows from a committed txn: events ahead of the reply, one order for everybody, nobody left waiting."""

from random import Random

from pyzk.codec.opcodes import AddWatchMode, EventType, OpCode
from pyzk.codec.records import ACL
from pyzk.codec.requests import AuthRequest, MultiRequest, PathTypeRequest, SetACLRequest, SetDataRequest
from pyzk.errors import NoNodeError
from pyzk.service.service import DIGEST_INTERVAL
from pyzk.tree.acl import digest_id
from tests.service.harness import WALL_MS, Client, Event, Reply, World


def kinds(client: Client) -> list[tuple[str, bytes | int]]:
    return [("event", item.path) if isinstance(item, Event) else ("reply", item.xid) for item in client]


def watch(client: Client, path: bytes, mode: int = AddWatchMode.PERSISTENT_RECURSIVE) -> None:
    assert client.ask(client.request(OpCode.ADD_WATCH, PathTypeRequest(path, mode), -8)).err == 0
    client.frames.clear()


def test_an_event_comes_before_the_reply_to_the_write_that_fired_it() -> None:
    world = World()
    client = world.client()
    client.send(client.exists(b"/a", watch=True), client.get_children(b"/", watch=True), client.create(b"/a"))
    assert kinds(client) == [("reply", 1), ("reply", 2), ("event", b"/a"), ("event", b"/"), ("reply", 3)]
    events, reply = client.events, client.replies[-1]
    assert [event.type for event in events] == [EventType.NODE_CREATED, EventType.NODE_CHILDREN_CHANGED]
    assert {event.zxid for event in events} == {reply.zxid}


def test_an_event_comes_before_the_read_that_shows_the_change() -> None:
    world = World(held=True)
    reader, writer = world.client(), world.client()
    world.commit()
    reader.send(reader.get_data(b"/", watch=True))
    writer.send(writer.set_data(b"/", b"new"))
    reader.send(reader.get_data(b"/"))
    world.commit()
    reader.send(reader.get_data(b"/"))
    assert kinds(reader) == [("reply", 1), ("reply", 2), ("event", b"/"), ("reply", 3)]
    assert b"new" in reader.replies[-1].body


def test_reads_behind_a_write_are_answered_as_without_it() -> None:
    world = World()
    client = world.client()
    client.send(client.create(b"/a", b"one"), client.create(b"/a/b"), client.create(b"/c"))
    world.held = True
    reads = [client.get_data(b"/a", watch=True), client.get_data(b"/c"), client.exists(b"/none", watch=True)]
    reads += [client.exists(b"/c"), client.get_children(b"/a"), client.ping(), client.get_data(b"/none")]
    before = len(client.replies)
    client.send(client.set_data(b"/a/b", b"two"), *reads)
    assert len(client.replies) == before, "they wait for the write"
    world.now += 0.25
    world.commit()
    behind = client.replies[before + 1 :]
    assert world.service.counters.waiting_reads.total == 250 * len(reads)
    assert world.service.watches.total == 2
    client.send(*reads)
    alone = client.replies[before + 1 + len(reads) :]
    assert behind == alone
    assert [reply.err for reply in alone] == [0, 0, NoNodeError.code, 0, 0, 0, NoNodeError.code]


def test_events_of_other_writes_stand_where_their_txns_are() -> None:
    """A client sees its replies and all events in the order of the zxids."""
    rng = Random(5)
    world = World(held=True)
    clients = [world.client() for _ in range(4)]
    world.commit()
    for client in clients:
        watch(client, b"/")
    for number in range(200):
        client = rng.choice(clients)
        client.send(client.create(b"/%d" % number), client.get_data(b"/"))
        if rng.random() < 0.2:
            world.commit(rng.randrange(len(world.outstanding) + 1))
    world.commit()
    for client in clients:
        zxids = [item.zxid for item in client]
        assert zxids == sorted(zxids)
        assert len(client.events) == 200


def test_a_multi_fires_in_the_order_of_its_ops() -> None:
    world = World()
    client = world.client()
    watch(client, b"/")
    ops = MultiRequest([(OpCode.SET_DATA, SetDataRequest(b"/", data, -1)) for data in (b"1", b"2")])
    client.send(client.request(OpCode.MULTI, ops))
    assert kinds(client) == [("event", b"/"), ("event", b"/"), ("reply", 1)]


def test_whoever_may_not_read_a_node_is_not_told_of_it() -> None:
    world = World()
    owner, stranger = world.client(), world.client()
    for client in (owner, stranger):
        watch(client, b"/secret")
    assert owner.ask(owner.request(OpCode.AUTH, AuthRequest(0, b"digest", b"u:p"), -4)).err == 0
    owner.send(owner.create(b"/secret"))
    acl = [ACL(31, b"digest", digest_id(b"u:p", "SHA1"))]
    assert owner.ask(owner.request(OpCode.SET_ACL, SetACLRequest(b"/secret", acl, -1))).err == 0
    owner.send(owner.set_data(b"/secret", b"x"))
    assert [event.type for event in owner.events] == [EventType.NODE_CREATED, EventType.NODE_DATA_CHANGED]
    assert [event.type for event in stranger.events] == [EventType.NODE_CREATED]


def test_ephemerals_of_a_closing_session_are_told_to_its_own_watches_first() -> None:
    world = World()
    client = world.client()
    client.send(client.create(b"/mine", flags=1))
    watch(client, b"/mine")
    client.send(client.close_session())
    assert kinds(client) == [("event", b"/mine"), ("reply", 2)]
    assert client.closed == "the session is closed"


def test_a_connection_that_is_closed_is_told_nothing_more() -> None:
    world = World()
    client, other = world.client(), world.client()
    watch(client, b"/")
    client.give(client.request(999, PathTypeRequest(b"/", 0)))
    other.send(other.create(b"/a"))
    assert client.events == []
    assert world.service.watches.total == 0


def test_a_reply_to_a_connection_that_is_gone_goes_nowhere() -> None:
    world = World(held=True)
    client, other = world.client(), world.client()
    world.commit()
    client.send(client.create(b"/a"), client.create(b"/b"))
    client.hang_up()
    other.send(other.create(b"/c"))
    world.commit()
    assert other.errors == [0]
    assert world.service.outstanding == 0
    assert {b"/a", b"/b", b"/c"} <= set(world.tree.nodes)


def test_a_failed_write_has_a_zxid_of_its_own() -> None:
    world = World()
    client = world.client()
    zxid = world.tree.last_zxid
    client.send(client.create(b"/a"), client.create(b"/a"), client.delete(b"/missing"), client.create(b"/b"))
    assert [(reply.zxid - zxid, reply.err) for reply in client.replies] == [(1, 0), (2, -110), (3, -101), (4, 0)]


# The log could not be written.


def test_a_failed_log_closes_those_who_wait_and_leaves_the_tree_alone() -> None:
    world = World(held=True)
    waiting, idle = world.client(), world.client()
    world.commit()
    waiting.send(waiting.create(b"/a"))
    world.fail_log()
    assert "log" in str(waiting.closed)
    assert waiting.frames == []
    assert idle.closed is None
    assert b"/a" not in world.tree.nodes
    idle.send(idle.create(b"/a"))
    world.commit()
    assert idle.errors == [0]
    assert world.service.outstanding == 0


def test_a_failed_log_closes_those_whose_request_was_not_even_proposed() -> None:
    world = World(held=True)
    client, new = world.client(), world.client(open_session=False)
    world.commit()
    client.give(client.create(b"/a"))
    assert world.service.outbox.submitted
    world.fail_log()
    assert client.closed is not None
    new.connect()
    world.fail_log()
    assert new.closed is not None
    assert new.sent == b""
    assert world.service.outstanding == 0


def test_a_session_that_could_not_be_closed_expires_again() -> None:
    for proposed in (True, False):
        world = World()
        client = world.client()
        client.send(client.create(b"/mine", flags=1))
        client.hang_up()
        world.held = True
        world.now += 60.0
        world.service.tick(world.now)
        if proposed:
            world.settle()
        world.fail_log()
        assert b"/mine" in world.tree.nodes
        world.held = False
        world.tick(60.0)
        assert b"/mine" not in world.tree.nodes
        assert world.tree.sessions == {}


def test_a_paused_connection_reads_on_after_the_log_has_failed() -> None:
    world = World(held=True)
    world.service.settings.outstanding_max = 5
    flooding, modest = world.client(), world.client()
    world.commit()
    modest.send(modest.create(b"/first"))
    flooding.send(*[flooding.set_data(b"/", b"x") for _ in range(20)])
    modest.send(modest.exists(b"/"))
    assert not modest.reading
    world.commit(1)
    world.fail_log()
    assert flooding.closed is not None
    assert modest.reading


# Start.


def test_sessions_have_their_whole_timeout_after_a_start() -> None:
    world = World()
    world.client(timeout_ms=20_000)
    again = World(tree=world.tree)
    again.tick(19.9)
    assert len(again.tree.sessions) == 1
    again.tick(3.0)
    assert again.tree.sessions == {}


def test_ephemerals_of_a_session_that_nobody_knows_go_at_the_start() -> None:
    world = World()
    client = world.client()
    client.send(client.create(b"/mine", flags=1))
    world.tree.sessions.clear()
    again = World(tree=world.tree)
    again.settle()
    assert b"/mine" not in again.tree.nodes


# Counting.


def test_the_digest_of_each_128th_txn_is_kept() -> None:
    world = World()
    client = world.client()
    seen = {}
    for number in range(300):
        client.send(client.set_data(b"/", b"%d" % number, -1 if number % 3 else 12345))
        seen[world.tree.last_zxid] = world.tree.digest
    assert list(world.service.digests) == [(zxid, seen[zxid]) for zxid in (DIGEST_INTERVAL, 2 * DIGEST_INTERVAL)]


def test_what_was_received_sent_and_how_long_it_took_is_counted() -> None:
    world = World(held=True)
    client = world.client()
    world.now += 0.25
    world.commit()
    client.send(client.exists(b"/"), client.create(b"/a"), client.get_data(b"/a"), client.get_data(b"/b"))
    world.now += 0.5
    world.commit()
    counters, state = world.service.counters, world.service.connections[client.number]
    assert (counters.received, counters.sent, state.stats.received, state.stats.sent) == (5, 5, 5, 5)
    assert (counters.reads.count, counters.reads.most, counters.writes.count) == (3, 500, 2)
    assert (counters.writes.least, counters.writes.most) == (250, 500)
    assert counters.sent_bytes == len(client.sent)
    assert (counters.latency.count, state.stats.count) == (5, 5)
    assert (state.last_xid, state.last_zxid, state.last_latency_ms) == (4, 2, 500)
    client.send(client.ping())
    assert (state.last_xid, state.last_opcode) == (4, OpCode.PING)


def test_events_are_counted_with_their_bytes() -> None:
    world = World()
    clients = [world.client() for _ in range(3)]
    for client in clients:
        watch(client, b"/app/a", AddWatchMode.PERSISTENT)
    clients[0].send(clients[0].create(b"/app"), clients[0].create(b"/app/a"))
    counters = world.service.counters
    assert (counters.watches_created.count, counters.watches_created.total) == (1, 3)
    assert counters.watch_bytes == 3 * 34  # 34 for a path of 6 bytes, as Apache counts
    counters.reset()
    assert (counters.watch_bytes, counters.watches_created.total, counters.received) == (0, 0, 0)


def test_times_of_txns_come_from_the_wall_clock_that_is_handed_in() -> None:
    world = World()
    client = world.client()
    client.send(client.create(b"/a"))
    item = client.frames[0]
    assert isinstance(item, Reply)
    state = world.tree.state(b"/a")
    assert state is not None
    assert state.ctime == WALL_MS
