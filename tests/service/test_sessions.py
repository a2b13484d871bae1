import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pyzk.codec.records import ConnectResponse
from pyzk.service.sessions import SessionIds, SessionTracker, password, password_matches

VECTORS = Path(__file__).parents[1] / "vectors" / "client.jsonl"
CONTAINER_OWNER = -(2**63)


def captured_sessions() -> list[tuple[int, bytes]]:
    sessions = []
    for line in VECTORS.read_text().splitlines():
        vector = json.loads(line)
        reply = bytes.fromhex(vector["reply_hex"] or "")[4:]
        if vector["op"] == "connect" and len(reply) in {36, 37}:
            response = ConnectResponse.from_bytes(reply)
            if response.timeout_ms and response.password:
                sessions.append((response.session_id, response.password))
    return sessions


def test_passwords_are_those_that_apache_gave_out() -> None:
    sessions = captured_sessions()
    assert len(sessions) >= 10
    for session_id, expected in sessions:
        assert password(session_id) == expected
    print(f"{len(sessions)} captured passwords compared")


def test_only_the_right_password_of_a_real_session_passes() -> None:
    assert password_matches(-5, password(-5))
    assert not password_matches(-5, password(5))
    assert not password_matches(-5, None)
    assert not password_matches(0, password(0))


def test_ids_begin_with_server_and_time_and_count_up() -> None:
    ids = SessionIds(wall_ms=0x123456789A, server_id=1)
    assert [ids.next(), ids.next()] == [0x0112_3456_789A_0000, 0x0112_3456_789A_0001]


def test_ids_of_a_high_server_are_negative_numbers() -> None:
    assert SessionIds(wall_ms=0, server_id=255).next() == -(1 << 56)


@pytest.mark.parametrize(("wall_ms", "server_id", "first"), [(0, 0, 1), (0, 128, CONTAINER_OWNER + 1)])
def test_zero_and_the_container_mark_are_never_handed_out(wall_ms: int, server_id: int, first: int) -> None:
    assert SessionIds(wall_ms, server_id).next() == first


@given(st.integers(0, 2**50), st.integers(0, 255))
def test_every_id_fits_the_wire_and_names_its_server(wall_ms: int, server_id: int) -> None:
    session_id = SessionIds(wall_ms, server_id).next()
    assert -(2**63) < session_id < 2**63
    assert (session_id >> 56) & 0xFF == server_id


def tracker_with(session: int = 7, timeout_ms: int = 4000, now: float = 0.0) -> SessionTracker:
    tracker = SessionTracker(tick_ms=2000)
    tracker.add(session, timeout_ms, now)
    return tracker


def test_a_session_expires_between_its_timeout_and_one_tick_more() -> None:
    tracker = tracker_with(now=100.5)
    deadline = tracker.deadline()
    assert deadline is not None
    assert 104.5 <= deadline <= 106.5
    assert tracker.expired(deadline - 0.001) == []
    assert tracker.expired(deadline) == [7]


def test_an_expired_session_is_closing_and_expires_once() -> None:
    tracker = tracker_with()
    assert tracker.expired(100.0) == [7]
    assert tracker.expired(200.0) == []
    assert tracker.deadline() is None
    assert tracker.is_closing(7)
    assert not tracker.is_open(7)
    assert not tracker.touch(7, 4000, 100.0)
    assert tracker.timeout_of(7) == 4000
    tracker.remove(7)
    assert not tracker.is_closing(7)
    assert tracker.timeout_of(7) is None


def test_a_touch_counts_from_now_with_the_timeout_of_the_connection() -> None:
    tracker = tracker_with(timeout_ms=10000)
    assert tracker.touch(7, 10000, 8.0)
    assert tracker.deadline() == 20.0
    assert tracker.touch(7, 4000, 8.0)
    assert tracker.deadline() == 14.0
    assert tracker.timeout_of(7) == 10000


def test_a_session_that_is_not_known_cannot_be_touched() -> None:
    assert not SessionTracker(2000).touch(7, 4000, 0.0)


def test_a_closing_session_does_not_expire_and_can_be_added_again() -> None:
    tracker = tracker_with()
    tracker.set_closing(7)
    tracker.set_closing(99)
    assert tracker.is_closing(7)
    assert not tracker.is_closing(99)
    assert tracker.expired(1000.0) == []
    tracker.add(7, 4000, 1000.0)
    assert tracker.is_open(7)
    assert tracker.expired(1006.0) == [7]


def test_a_stall_moves_every_deadline() -> None:
    tracker = tracker_with()
    tracker.shift(3.25)
    assert tracker.deadline() == 9.25
    assert tracker.expired(9.2) == []
    assert tracker.expired(9.25) == [7]


def test_buckets_are_shown_in_order_of_their_time() -> None:
    tracker = tracker_with(1, 10000)
    tracker.add(2, 4000, 0.0)
    tracker.add(3, 4100, 0.0)
    assert list(tracker.buckets()) == [(6.0, [2, 3]), (12.0, [1])]
    assert (len(tracker), 2 in tracker, 9 in tracker, list(tracker)) == (3, True, False, [1, 2, 3])


class TrackerAgainstModel(RuleBasedStateMachine):
    """The model: a list of exact deadlines, rounded up to the tick, in time that stops during stalls."""

    sessions = st.integers(1, 5)
    timeouts = st.integers(1, 9000)

    def __init__(self) -> None:
        super().__init__()
        self.tracker = SessionTracker(tick_ms=1000)
        self.deadline_ms: dict[int, int] = {}
        self.closing: set[int] = set()
        self.now_ms = 0
        self.stalled_ms = 0

    def rounded(self, timeout_ms: int) -> int:
        return ((self.now_ms - self.stalled_ms + timeout_ms) // 1000 + 1) * 1000

    @rule(session=sessions, timeout_ms=timeouts)
    def add(self, session: int, timeout_ms: int) -> None:
        self.tracker.add(session, timeout_ms, self.now_ms / 1000)
        self.closing.discard(session)
        self.deadline_ms[session] = self.rounded(timeout_ms)

    @rule(session=sessions, timeout_ms=timeouts)
    def touch(self, session: int, timeout_ms: int) -> None:
        assert self.tracker.touch(session, timeout_ms, self.now_ms / 1000) is (session in self.deadline_ms)
        if session in self.deadline_ms:
            self.deadline_ms[session] = self.rounded(timeout_ms)

    @rule(session=sessions)
    def close(self, session: int) -> None:
        self.tracker.set_closing(session)
        if self.deadline_ms.pop(session, None) is not None:
            self.closing.add(session)

    @rule(session=sessions)
    def remove(self, session: int) -> None:
        self.tracker.remove(session)
        self.closing.discard(session)
        self.deadline_ms.pop(session, None)

    # Times are whole multiples of 125 ms, which floats hold exactly.
    @rule(eighths=st.integers(0, 160))
    def stall(self, eighths: int) -> None:
        self.now_ms += eighths * 125
        self.stalled_ms += eighths * 125
        self.tracker.shift(eighths / 8)

    @rule(eighths=st.integers(1, 40))
    def wait(self, eighths: int) -> None:
        self.now_ms += eighths * 125
        gone = {s for s, deadline in self.deadline_ms.items() if deadline <= self.now_ms - self.stalled_ms}
        assert set(self.tracker.expired(self.now_ms / 1000)) == gone
        self.closing |= gone
        for session in gone:
            del self.deadline_ms[session]

    @invariant()
    def agree(self) -> None:
        earliest = min(self.deadline_ms.values(), default=None)
        deadline = self.tracker.deadline()
        assert deadline == (None if earliest is None else pytest.approx((earliest + self.stalled_ms) / 1000))
        assert {s for s in range(1, 6) if self.tracker.is_closing(s)} == self.closing
        assert {s for s in range(1, 6) if self.tracker.is_open(s)} == set(self.deadline_ms)
        assert sorted(s for _, bucket in self.tracker.buckets() for s in bucket) == sorted(self.deadline_ms)


TestTrackerAgainstModel = TrackerAgainstModel.TestCase
