"""Throttles: writes in line, requests that waited too long, large requests, and how fast sessions are opened."""

from random import Random

import pytest

from pyzk.codec.opcodes import OpCode
from pyzk.codec.requests import EmptyRequest
from pyzk.errors import ThrottledOpError
from pyzk.service.outbox import Settings
from pyzk.service.service import TURN_BYTES_MAX
from pyzk.service.throttle import ConnectionThrottle, RequestLimits, SessionWeights, TokenRates
from pyzk.tree.request import Request
from tests.service.harness import World


def world_with(**limits: int | bool) -> World:
    world = World(Settings(requests=RequestLimits(**limits)))
    world.first, world.second = world.client(), world.client()
    world.held = True
    return world


def test_no_more_writes_are_under_way_than_allowed_and_the_others_follow_in_order():
    world = world_with(requests_max=2)
    world.first.send(*[world.first.create(b"/n%d" % number) for number in range(5)])
    assert len(world.outstanding) == 2
    while world.outstanding:
        world.commit(1)
        assert len(world.outstanding) <= 2
    assert [reply.err for reply in world.first.replies] == [0] * 5
    assert [reply.xid for reply in world.first.replies] == [1, 2, 3, 4, 5]


def requests_of(*sizes, session_id=0):
    opcode, record = OpCode.CLOSE_SESSION, EmptyRequest()
    return [Request(session_id, xid, opcode, record, frame_bytes=size) for xid, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "turns"),
    [
        ([100] * 3000, [2000, 1000]),
        ([TURN_BYTES_MAX // 2] * 5, [2, 2, 1]),
        ([TURN_BYTES_MAX * 2, 100, 100], [1, 2]),
        ([0] * 5000, [2000, 2000, 1000]),
    ],
    ids=["small ones", "large ones", "one that is too large for a turn", "sessions that expire"],
)
def test_a_turn_takes_as_many_writes_as_do_not_keep_others_waiting(sizes, turns):
    service = World().service
    service.outbox.submitted = requests_of(*sizes)
    taken = [[request.cxid for request in service.next_requests(2000, 0, 1000.0)] for _ in turns]
    assert [len(turn) for turn in taken] == turns
    assert [xid for turn in taken for xid in turn] == list(range(len(sizes)))
    assert service.next_requests(2000, 0, 1000.0) == []


def test_the_ends_of_sessions_with_many_ephemerals_are_spread_over_turns():
    world = World()
    clients = [world.client() for _ in range(3)]
    for number, client in enumerate(clients):
        client.send(*[client.create(b"/%d-%d" % (number, child), flags=1) for child in range(1500)])
    service = world.service
    service.outbox.submitted = [
        request for client in clients for request in requests_of(0, session_id=client.session_id)
    ]
    assert [len(service.next_requests(2000, 0, 1000.0)) for _ in range(3)] == [1, 1, 1]


def test_write_that_waited_too_long_is_answered_in_its_turn_and_never_executed():
    world = world_with(requests_max=1, wait_ms_max=500)
    first, second = world.first, world.second
    first.send(first.create(b"/a"))
    second.send(second.create(b"/b"), second.exists(b"/b"))
    world.now += 0.6
    world.commit()
    assert [reply.err for reply in first.replies] == [0]
    assert [reply.err for reply in second.replies] == [ThrottledOpError.code, -101]
    assert world.service.outstanding == 0


def test_throttled_write_waits_behind_the_earlier_write_of_its_session():
    world = world_with(requests_max=1, wait_ms_max=500)
    client = world.first
    client.send(client.create(b"/a"), client.create(b"/b"), client.get_data(b"/a"))
    world.now += 0.6
    world.commit()
    assert [(reply.xid, reply.err) for reply in client.replies] == [(1, 0), (2, ThrottledOpError.code), (3, 0)]


def test_stale_write_of_a_closed_connection_is_dropped():
    world = world_with(requests_max=1)
    world.first.send(world.first.create(b"/a"))
    world.second.send(world.second.create(b"/b"))
    world.second.hang_up()
    world.commit()
    world.commit()
    assert b"/b" not in world.tree.nodes
    assert b"/a" in world.tree.nodes


def test_stale_write_is_kept_when_the_operator_wants_it():
    world = world_with(requests_max=1, drop_stale=False)
    world.first.send(world.first.create(b"/a"))
    world.second.send(world.second.create(b"/b"))
    world.second.hang_up()
    world.commit()
    world.commit()
    assert b"/b" in world.tree.nodes


def test_write_older_than_its_session_is_stale_when_latency_counts():
    world = world_with(requests_max=1, stale_when_expired=True)
    world.first.send(world.first.create(b"/a"))
    world.second.send(world.second.create(b"/b"))
    world.now += 11.0
    world.commit()
    assert world.second.closed
    assert b"/b" not in world.tree.nodes


def test_end_of_a_session_is_never_throttled():
    world = world_with(requests_max=1, wait_ms_max=1)
    world.first.send(world.first.create(b"/a"))
    world.second.send(world.second.close_session())
    world.now += 5.0
    world.commit()
    world.commit()
    assert [reply.err for reply in world.second.replies] == [0]


def test_large_requests_beyond_the_total_close_the_connection_and_small_ones_pass():
    world = world_with(large_bytes=1000, large_total_bytes_max=5000)
    client, other = world.first, world.second
    client.send(client.create(b"/a", bytes(3000)))
    other.send(other.create(b"/b", bytes(3000)))
    assert "largeRequestMaxBytes" in (other.closed or "")
    client.send(client.create(b"/c", bytes(100)))
    world.commit()
    assert [reply.err for reply in client.replies] == [0, 0]
    assert world.service.large_bytes == 0


def test_large_request_is_refused_when_only_its_length_is_known():
    world = world_with(large_bytes=1000, large_total_bytes_max=5000)
    world.first.give(world.first.create(b"/a", bytes(9000))[:20])
    world.settle()
    assert "largeRequestMaxBytes" in (world.first.closed or "")


def test_large_bytes_are_given_back_when_a_connection_goes():
    world = world_with(large_bytes=1000, large_total_bytes_max=5000)
    world.first.send(world.first.create(b"/a", bytes(3000)))
    world.first.hang_up()
    assert world.service.large_bytes == world.service.outstanding == 0


def test_connect_requests_beyond_the_tokens_are_closed_without_an_answer_until_tokens_come_back():
    throttle = ConnectionThrottle(TokenRates(tokens_max=2, fill_time_ms=1000, fill_count=1), Random(1))
    world = World(throttle=throttle)
    clients = [world.client() for _ in range(3)]
    assert [client.response is not None for client in clients] == [True, True, False]
    assert "connection_throttle_tokens" in (clients[2].closed or "")
    world.now += 1.5
    assert world.client().response is not None


def test_session_that_comes_back_takes_its_own_weight():
    throttle = ConnectionThrottle(TokenRates(tokens_max=5, fill_time_ms=1_000_000), Random(1))
    world = World(Settings(session_weights=SessionWeights(new=3, renewed=2)), throttle=throttle)
    first = world.client()
    assert first.response is not None
    again = world.client(open_session=False)
    again.connect(session_id=first.response.session_id, password=first.response.password)
    assert again.response is not None
    assert throttle.tokens == 0


def test_empty_bucket_raises_the_drop_probability_and_a_full_one_lowers_it():
    rates = TokenRates(1, 100, 1, freeze_time_ms=10, drop_increase=0.5, drop_decrease=0.25, decrease_ratio=0.0)
    throttle = ConnectionThrottle(rates, Random(3))
    assert throttle.admits(1, 1.0)
    throttle.admits(1, 1.02)
    assert throttle.drop_probability == pytest.approx(0.5)
    throttle.admits(1, 2.0)
    assert throttle.drop_probability == pytest.approx(0.25)
