"""From bytes to requests: any splitting is the same, order of a session, what closes a connection."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyzk.codec.framing import JUTE_MAX_BUFFER_DEFAULT, frame
from pyzk.codec.jute import INT32
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ConnectRequest, RequestHeader
from pyzk.codec.requests import AuthRequest, EmptyRequest, PathRequest
from pyzk.errors import MarshallingError, NoNodeError, UnimplementedError
from pyzk.service.connection import WAITING_MAX
from pyzk.service.intake import TURN_REPLY_BYTES_MAX
from pyzk.service.outbox import Settings
from tests.service.harness import Client, World

PATHS = [b"/a", b"/b", b"/a/c", b"/missing", b""]


def connect_request() -> bytes:
    return frame(ConnectRequest(0, 0, 10_000, 0, bytes(16), read_only=False).encode())


def conversation(client: Client, rng: Random) -> bytes:
    """A connect request and many requests of all kinds behind it."""
    makers = [
        lambda: client.create(rng.choice(PATHS), rng.randbytes(rng.randrange(40)), rng.choice([0, 0, 1, 2])),
        lambda: client.set_data(rng.choice(PATHS), rng.randbytes(9)),
        lambda: client.delete(rng.choice(PATHS)),
        lambda: client.get_data(rng.choice(PATHS), watch=rng.random() < 0.3),
        lambda: client.exists(rng.choice(PATHS), watch=rng.random() < 0.3),
        lambda: client.get_children(rng.choice(PATHS), watch=rng.random() < 0.3),
        lambda: client.request(OpCode.GET_ACL, PathRequest(rng.choice(PATHS))),
        lambda: client.request(OpCode.AUTH, AuthRequest(0, b"digest", b"u:p"), -4),
        client.sync,
        client.ping,
        lambda: frame(RequestHeader(7, OpCode.GET_DATA).encode() + b"\0"),
    ]
    return connect_request() + b"".join(rng.choice(makers)() for _ in range(rng.randrange(1, 25)))


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 2000), max_size=12))
def test_any_splitting_of_the_stream_gives_the_same_replies(seed: int, cuts: list[int]) -> None:
    """Whole, in pieces, and byte by byte; with the auth packets left in the order in which nothing overtakes."""
    streams = []
    for pieces in ([], sorted(cuts), range(2000)):
        world = World()
        client = world.client(open_session=False)
        data = conversation(client, Random(seed))
        for start, end in zip([0, *pieces], [*pieces, len(data)], strict=True):
            client.send(data[start:end])
        assert client.closed is None
        streams.append((client.sent_in_order, world.tree.digest, sorted(world.tree.nodes)))
    assert streams[0] == streams[1] == streams[2]


def test_a_long_frame_in_small_pieces_is_joined_once() -> None:
    client = World().client()
    data = client.create(b"/long", bytes(500_000))
    for start in range(0, len(data), 1000):
        client.send(data[start : start + 1000])
    assert client.errors == [0]


def test_the_longest_frame_is_served_and_a_longer_one_closes() -> None:
    world = World()
    client = world.client()
    overhead = len(client.create(b"/a")) - 4
    assert client.ask(client.create(b"/a", bytes(JUTE_MAX_BUFFER_DEFAULT - overhead))).err == 0
    client.send(client.create(b"/b", bytes(JUTE_MAX_BUFFER_DEFAULT - overhead + 1))[:100])
    assert "jute.maxbuffer" in str(client.closed)
    assert len(client.replies) == 1


@pytest.mark.parametrize("length", [-(2**31), -1, 0, 1, 7, JUTE_MAX_BUFFER_DEFAULT + 1, 2**31 - 1])
def test_a_length_that_cannot_be_closes_after_the_replies_before_it(length: int) -> None:
    client = World().client()
    client.send(client.exists(b"/"), INT32.pack(length) + bytes(20))
    assert client.errors == [0]
    assert client.closed is not None


def test_bytes_behind_a_request_record_are_ignored() -> None:
    client = World().client()
    body = client.exists(b"/")[4:] + b"junk!"
    assert client.ask(frame(body)).err == 0


def test_a_body_that_cannot_be_read_is_answered_and_the_connection_stays() -> None:
    client = World().client()
    for opcode in (OpCode.GET_DATA, OpCode.EXISTS, OpCode.CREATE, OpCode.SET_WATCHES, OpCode.ADD_WATCH):
        reply = client.ask(frame(RequestHeader(1, opcode).encode() + b"\0"))
        assert (reply.err, reply.body) == (MarshallingError.code, b"")
    assert client.closed is None


@pytest.mark.parametrize(
    "opcode", [0, -1, OpCode.CHECK, 10, 23, 99, 108, 1000, -10, OpCode.DELETE_CONTAINER, -(2**31), 2**31 - 1]
)
def test_an_opcode_that_is_not_served_is_answered_and_closes(opcode: int) -> None:
    world = World()
    client = world.client()
    zxid = world.tree.last_zxid
    client.send(client.request(opcode, PathRequest(b"/"), 5), client.create(b"/behind"))
    assert [(reply.xid, reply.zxid, reply.err) for reply in client.replies] == [(5, -1, UnimplementedError.code)]
    assert client.closed is not None
    assert world.tree.last_zxid == zxid


def test_xids_are_echoed_whatever_they_are() -> None:
    client = World().client()
    for xid in (0, -2, -3, 5, 5, 2**31 - 1, -(2**31)):
        assert client.ask(client.request(OpCode.SYNC, PathRequest(b"/"), xid)).xid == xid
    assert client.ask(client.request(OpCode.PING, EmptyRequest(), 77)).xid == -2


def test_reads_wait_behind_the_writes_of_their_session() -> None:
    world = World(held=True)
    client, other = world.client(), world.client()
    world.commit()
    client.send(client.create(b"/a", b"1"), client.get_data(b"/a"), client.ping(), client.set_data(b"/a", b"2"))
    client.send(client.get_data(b"/a"), client.sync())
    other.send(other.exists(b"/a"))
    assert other.errors == [NoNodeError.code]
    assert client.replies == []
    world.commit(1)
    assert [reply.xid for reply in client.replies] == [1, 2, -2]
    world.commit()
    assert [reply.xid for reply in client.replies] == [1, 2, -2, 3, 4, 5]
    assert client.replies[1].body[:5] == b"\0\0\0\x011"
    assert client.replies[4].body[:5] == b"\0\0\0\x012"


def test_a_refused_write_is_answered_in_its_turn() -> None:
    world = World(held=True)
    client = world.client()
    world.commit()
    bad = frame(RequestHeader(50, OpCode.CREATE).encode() + b"\0")
    client.send(bad, client.create(b"/a"), bad, client.get_data(b"/a"), client.create(b"/b"))
    assert [reply.xid for reply in client.replies] == [50]
    world.commit()
    assert [(reply.xid, reply.err) for reply in client.replies] == [(50, -5), (1, 0), (50, -5), (2, 0), (3, 0)]


def test_requests_behind_a_close_session_take_no_effect() -> None:
    world = World()
    client = world.client()
    client.send(client.create(b"/mine", flags=1))
    client.send(client.close_session(), client.create(b"/late", flags=1), client.get_data(b"/mine"))
    assert client.errors == [0, 0]
    assert client.closed is not None
    assert world.tree.ephemerals == {}
    assert b"/late" not in world.tree.nodes


def test_requests_of_an_expired_session_are_dropped() -> None:
    world = World(held=True)
    client = world.client()
    world.commit()
    world.tick(60.0)
    client.send(client.create(b"/late"), client.exists(b"/"))
    world.commit()
    assert client.frames == []
    assert client.closed == "the session has expired"
    assert b"/late" not in world.tree.nodes


def test_reading_pauses_above_the_limit_and_goes_on_below_it() -> None:
    world = World(Settings(outstanding_max=10), held=True)
    flooding, modest = world.client(), world.client()
    world.commit()
    modest.send(modest.create(b"/m"))
    flooding.send(*[flooding.set_data(b"/", b"x") for _ in range(20)])
    assert (flooding.reading, modest.reading) == (False, True)
    assert world.service.outstanding == 21
    world.commit(11)
    assert not flooding.reading
    world.commit(1)
    assert flooding.reading
    world.commit()
    assert world.service.outstanding == 0
    assert flooding.errors == [0] * 20


def test_a_paused_connection_reads_on_when_the_one_that_flooded_is_gone() -> None:
    world = World(Settings(outstanding_max=10), held=True)
    flooding, modest = world.client(), world.client()
    world.commit()
    flooding.send(*[flooding.set_data(b"/", b"x") for _ in range(20)])
    modest.send(modest.create(b"/m"))
    assert not modest.reading
    world.outstanding.clear()
    flooding.hang_up()
    assert modest.reading


def test_a_request_is_a_touch_and_silence_is_not() -> None:
    world = World(Settings(tick_ms=1000))
    talking, silent = world.client(timeout_ms=4000), world.client(timeout_ms=4000)
    for _ in range(6):
        world.tick(2.0)
        talking.send(talking.ping())
    assert silent.closed is not None
    assert talking.closed is None
    assert list(world.tree.sessions) == [talking.session_id]


def test_long_train_of_large_reads_is_answered_a_turn_at_a_time_and_in_order():
    world = World()
    client = world.client()
    assert client.ask(client.create(b"/big", bytes(300_000))).err == 0
    client.give(b"".join([client.get_data(b"/big") for _ in range(50)]))
    assert len(world.service.take(client.number)) < TURN_REPLY_BYTES_MAX + 301_000
    assert client.number in world.service.outbox.unfinished
    turns = 1
    while client.number in world.service.outbox.unfinished:
        world.service.outbox.unfinished.clear()
        world.service.go_on(client.number, world.now)
        client.take(world.service.take(client.number))
        turns += 1
    assert turns > 10
    xids = [reply.xid for reply in client.replies]
    assert xids[1:] == sorted(xids[1:])
    assert xids[-1] == 51


def test_large_reads_behind_a_write_are_answered_a_turn_at_a_time_before_any_later_request():
    world = World(held=True)
    client = world.client()
    world.commit()
    client.give(client.create(b"/big", bytes(300_000)) + b"".join([client.get_data(b"/big") for _ in range(50)]))
    world.settle()
    world.service.deliver([world.outstanding.pop()], world.now)
    turns = 0
    while encoded := world.service.take(client.number):
        assert len(encoded) < TURN_REPLY_BYTES_MAX + 301_000
        client.take(encoded)
        if not turns:
            client.give(client.delete(b"/big") + client.ping())
        world.service.outbox.unfinished.clear()
        world.service.go_on(client.number, world.now)
        turns += 1
    assert turns > 10
    assert client.errors == [0] * 51
    world.settle()
    world.commit()
    assert [reply.xid for reply in client.replies] == [*range(1, 53), -2]


def test_no_more_than_a_hundred_reads_wait_behind_a_write_and_the_rest_is_not_taken():
    world = World(held=True)
    client = world.client()
    world.commit()
    client.send(client.create(b"/a"), *[client.get_data(b"/a") for _ in range(450)], client.set_data(b"/a", b"new"))
    state = world.service.connections[client.number]
    assert (len(state.queue), state.waiting, client.reading) == (1 + WAITING_MAX, WAITING_MAX, False)
    client.send(client.get_data(b"/a"))
    assert len(state.queue) == 1 + WAITING_MAX
    world.commit()
    assert (len(client.replies), client.reading) == (451, True)
    world.commit()
    assert [reply.xid for reply in client.replies] == list(range(1, 454))
    assert client.replies[-1].body[4:7] == b"new"
    assert (len(state.queue), state.waiting, world.service.paused) == (0, 0, {})


def test_refusals_that_wait_behind_a_write_are_counted_with_the_reads():
    world = World(held=True)
    client = world.client()
    world.commit()
    refused = frame(RequestHeader(7, OpCode.CREATE).encode() + b"\0")
    client.send(client.create(b"/a"), refused * 450)
    assert len(world.service.connections[client.number].queue) == 1 + WAITING_MAX
    world.commit()
    assert client.errors == [0] + [MarshallingError.code] * 450


def test_a_count_of_everything_below_is_one_request_a_turn():
    world = World()
    client = world.client()
    count = client.request(OpCode.GET_ALL_CHILDREN_NUMBER, PathRequest(b"/"))
    client.give(count * 3 + client.ping())
    turns = 0
    while encoded := world.service.take(client.number):
        client.take(encoded)
        turns += 1
        world.service.outbox.unfinished.clear()
        world.service.go_on(client.number, world.now)
    assert turns == len(client.replies) == 4


@pytest.mark.parametrize(
    ("received", "what"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "this is HTTP"),
        (bytes.fromhex("16030100fa010000f6"), "this is TLS"),
        (b"\xff\xff\xff\xff", "first bytes are ffffffff"),
    ],
)
def test_log_says_what_came_in_instead_of_a_frame(received: bytes, what: str):
    client = World().client(open_session=False)
    client.send(received)
    assert what in (client.closed or "")
    assert "jute.maxbuffer" in (client.closed or "")
