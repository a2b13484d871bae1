"""The session machine, one sentence at a time, against the fake ensemble."""

from random import Random

import pytest

from pyzk import errors
from pyzk.client.effects import Connect, Disconnect, Failed, Notified, Probe, Send, State, StateChanged
from pyzk.client.session import Session
from pyzk.codec.framing import frame
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ConnectResponse, ReplyHeader, open_acl
from pyzk.codec.replies import DataReply, EmptyReply, PathReply, StatReply
from pyzk.codec.requests import CreateRequest, EmptyRequest, PathRequest, PathWatchRequest, SetDataRequest
from pyzk.errors import ConnectionLostError, SessionClosedError, SessionExpiredError
from tests.client.fake import FakeEnsemble
from tests.client.harness import ADDRESSES, Harness

ROOT = PathWatchRequest(b"/", watch=False)


def connected(**options):
    harness = Harness(**options)
    harness.connect()
    assert harness.session.state is State.CONNECTED
    return harness


# Handshake


def test_session_asks_for_a_new_session_first():
    harness = connected(timeout_ms=7_000, read_only=True)
    request = harness.ensemble.handshakes[0]
    assert (request.session_id, request.password, request.timeout_ms) == (0, bytes(16), 7_000)
    assert request.last_zxid_seen == 0
    assert request.read_only is True


def test_session_takes_the_timeout_that_the_server_grants():
    harness = connected(ensemble=FakeEnsemble(timeout_ms=4_000), timeout_ms=30_000)
    assert harness.session.timeout_ms == 4_000
    harness.lose()
    harness.connect()
    assert harness.ensemble.handshakes[1].timeout_ms == 30_000


def test_session_comes_back_with_its_id_password_and_zxid():
    harness = connected()
    harness.ask(OpCode.SET_DATA, SetDataRequest(b"/", b"x", -1))
    session_id = harness.session.session_id
    harness.lose()
    harness.connect()
    request = harness.ensemble.handshakes[1]
    assert (request.session_id, request.password) == (session_id, session_id.to_bytes(16))
    assert request.last_zxid_seen == harness.ensemble.zxid
    assert harness.states == [State.CONNECTED, State.CONNECTING, State.CONNECTED]


def test_session_ends_when_the_server_says_that_it_has_expired():
    harness = connected()
    harness.ask(OpCode.GET_DATA, PathWatchRequest(b"/", watch=True), "watcher")
    harness.ensemble.expire(harness.session.session_id)
    harness.lose()
    harness.submit("waiting", OpCode.EXISTS, ROOT)
    harness.connect()
    assert harness.states[-1] is State.EXPIRED
    assert isinstance(harness.results["waiting"], SessionExpiredError)
    assert harness.events[-1][1] == ("watcher",)
    assert harness.session.deadline() is None
    harness.submit("late", OpCode.EXISTS, ROOT)
    assert isinstance(harness.results["late"], SessionExpiredError)


def test_session_tries_the_next_server_when_one_hangs_up_without_a_word():
    harness = connected()
    harness.ask(OpCode.SET_DATA, SetDataRequest(b"/", b"x", -1))
    harness.lose()
    present, harness.ensemble.zxid = harness.ensemble.zxid, 1  # a server that is behind
    harness.connect()
    assert harness.session.state is State.CONNECTING
    harness.ensemble.zxid = present
    harness.connect()
    assert harness.session.state is State.CONNECTED


def test_session_goes_on_when_a_server_gives_out_no_sessions():
    harness = Harness()
    harness.accept()
    harness.perform(harness.session.receive(frame(ReplyHeader(0, 0, -119).encode()), 0.0))
    assert isinstance(harness.log[-1], Disconnect)
    harness.connect()
    assert harness.session.state is State.CONNECTED


def test_session_does_not_take_the_refusal_of_a_new_session_for_expiry():
    harness = Harness()
    harness.accept()
    refusal = ConnectResponse(0, 0, 0, bytes(16), read_only=False)
    harness.perform(harness.session.receive(frame(refusal.encode()), 0.0))
    assert harness.session.state is State.CONNECTING


# Servers


def test_session_tries_every_server_once_in_each_round():
    harness = Harness()
    tried = []
    for _ in range(6):
        while harness.wanted is None:
            harness.wait_for_deadline()
        tried.append(harness.wanted)
        harness.lose()
    assert sorted(tried[:3]) == sorted(ADDRESSES)
    assert tried[3:] == tried[:3]


def test_sessions_begin_with_different_servers():
    first = {Session(ADDRESSES, Random(seed)).start(0.0)[0].address for seed in range(50)}
    assert first == set(ADDRESSES)


def test_session_waits_longer_with_every_round_but_never_longer_than_a_second():
    harness = Harness()
    waits = []
    for _ in range(60):
        while harness.wanted is None:
            harness.wait_for_deadline()
        before = harness.now
        harness.lose()
        waits.append(harness.session.deadline() - before)
    assert max(waits[:2]) <= 0.05
    assert 0.5 < max(waits) <= 1.0


def test_session_gives_a_server_its_share_of_the_timeout_to_answer():
    harness = Harness(timeout_ms=9_000)
    assert harness.session.deadline() == pytest.approx(3.0)
    harness.accept()
    harness.wait_for_deadline()
    assert isinstance(harness.log[-1], Disconnect)
    assert harness.now == pytest.approx(3.0)


# Requests


def test_requests_wait_for_the_session_and_go_out_in_order():
    harness = Harness()
    for token in range(3):
        harness.submit(token, OpCode.GET_DATA, ROOT)
    assert not harness.to_server
    harness.connect()
    assert list(harness.results) == [0, 1, 2]
    assert all(isinstance(result, DataReply) for result in harness.results.values())


def test_xids_begin_at_one_on_every_connection():
    harness = connected()
    harness.ask(OpCode.GET_DATA, ROOT)
    harness.ask(OpCode.GET_DATA, ROOT)
    first = [xid for xid, _, _ in harness.connection.requests]
    harness.lose()
    harness.connect()
    harness.ask(OpCode.GET_DATA, ROOT)
    assert first == [1, 2]
    assert [xid for xid, _, _ in harness.connection.requests] == [1]


def test_requests_without_an_answer_fail_in_order_when_the_connection_is_lost():
    harness = connected()
    for token in range(5):
        harness.submit(token, OpCode.GET_DATA, ROOT)
    harness.deliver_requests()
    harness.lose()
    assert list(harness.results) == [0, 1, 2, 3, 4]
    assert all(isinstance(error, ConnectionLostError) for error in harness.results.values())
    assert len({id(error) for error in harness.results.values()}) == 5


def test_request_made_while_disconnected_waits_for_the_next_connection():
    harness = connected()
    harness.lose()
    harness.submit("token", OpCode.GET_DATA, ROOT)
    harness.connect()
    assert isinstance(harness.results["token"], DataReply)


def test_withdrawn_request_is_never_sent():
    harness = Harness()
    harness.submit("withdrawn", OpCode.GET_DATA, ROOT)
    harness.submit("kept", OpCode.GET_DATA, ROOT)
    harness.session.withdraw("withdrawn")
    harness.connect()
    assert list(harness.results) == ["kept"]
    assert len(harness.connection.requests) == 1


def test_backlog_is_limited():
    harness = Harness(backlog_max=2)
    for token in range(3):
        harness.submit(token, OpCode.GET_DATA, ROOT)
    assert list(harness.results) == [2]
    assert "backlog_max" in str(harness.results[2])


def test_error_reply_becomes_the_exception_of_its_code():
    harness = connected()
    error = harness.ask(OpCode.GET_DATA, PathWatchRequest(b"/none", watch=False))
    assert isinstance(error, errors.NoNodeError)
    assert str(error) == "get_data /none"


def test_reply_out_of_order_ends_the_connection():
    harness = connected()
    harness.submit("first", OpCode.GET_DATA, ROOT)
    harness.submit("second", OpCode.GET_DATA, ROOT)
    harness.perform(harness.session.receive(frame(ReplyHeader(2, 5, 0).encode()), 0.0))
    assert harness.session.state is State.CONNECTING
    assert list(harness.results) == ["first", "second"]


def test_refusal_made_ahead_of_the_queue_finds_its_request():
    harness = connected()
    harness.submit("first", OpCode.GET_DATA, ROOT)
    harness.submit("second", OpCode.GET_DATA, ROOT)
    harness.perform(harness.session.receive(frame(ReplyHeader(2, -1, -6).encode()), 0.0))
    assert list(harness.results) == ["second"]
    assert harness.session.state is State.CONNECTED


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 8, frame(b"short"), b"\x7f\xff\xff\xff"]
)
def test_bytes_that_are_no_reply_end_the_connection(data):
    harness = connected()
    harness.perform(harness.session.receive(data, 0.0))
    assert harness.session.state is State.CONNECTING


def test_reply_that_cannot_be_decoded_fails_its_request_and_the_connection():
    harness = connected()
    harness.submit("token", OpCode.GET_DATA, ROOT)
    harness.perform(harness.session.receive(frame(ReplyHeader(1, 5, 0).encode() + b"\x00"), 0.0))
    assert isinstance(harness.results["token"], errors.DecodeError)
    assert harness.session.state is State.CONNECTING


def test_reply_that_comes_byte_by_byte_is_understood():
    harness = connected()
    harness.submit("token", OpCode.GET_DATA, ROOT)
    harness.deliver_requests()
    while harness.connection.output:
        assert "token" not in harness.results
        harness.deliver_replies(1)
    assert isinstance(harness.results["token"], DataReply)


def test_raw_request_gets_header_and_body_whatever_the_error():
    harness = connected()
    harness.perform(harness.session.submit_raw("good", OpCode.SYNC, b"\0\0\0\1/", 0.0))
    harness.perform(harness.session.submit_raw("bad", OpCode.GET_DATA, b"\0\0\0\2/x\0", 0.0))
    harness.pump()
    assert harness.results["good"][1] == PathReply(b"/").encode()
    assert harness.results["bad"][0].err == errors.NoNodeError.code


def test_raw_ping_is_answered_among_our_own():
    harness = connected()
    harness.wait_for_deadline()
    harness.perform(harness.session.submit_raw("ping", OpCode.PING, b"", harness.now))
    harness.pump()
    harness.wait_for_deadline()
    harness.pump()
    assert harness.results["ping"][0].xid == -2
    assert [opcode for _, opcode, _ in harness.connection.requests] == [OpCode.PING] * 3


# Keeping it alive


def test_session_pings_when_it_has_sent_nothing_for_a_third_of_its_timeout():
    harness = connected(ensemble=FakeEnsemble(timeout_ms=6_000))
    assert harness.session.deadline() == pytest.approx(2.0)
    harness.wait_for_deadline()
    harness.pump()
    assert harness.connection.requests == [(-2, OpCode.PING, EmptyRequest())]
    assert harness.session.deadline() == pytest.approx(4.0)


def test_session_does_not_ping_while_it_sends_requests():
    harness = connected()
    harness.now = 1.0
    harness.ask(OpCode.GET_DATA, ROOT)
    assert harness.session.deadline() == pytest.approx(1.0 + 10 / 3)
    assert harness.session.tick(harness.now) == []


def test_session_leaves_a_server_that_is_silent_for_two_thirds_of_the_timeout():
    harness = connected(ensemble=FakeEnsemble(timeout_ms=6_000))
    harness.connection.mute = True
    harness.submit("token", OpCode.GET_DATA, ROOT)
    while harness.session.state is State.CONNECTED:
        harness.wait_for_deadline()
        if harness.to_server:
            harness.deliver_requests()
    assert harness.now == pytest.approx(4.0)
    assert isinstance(harness.results["token"], ConnectionLostError)
    harness.connect()
    assert harness.session.state is State.CONNECTED


def test_session_is_never_due_again_at_once(rng):
    harness = Harness(ensemble=FakeEnsemble(timeout_ms=6_000, read_only=True), read_only=True)
    for _ in range(3_000):
        before = harness.session.deadline()
        assert before >= harness.now, "a deadline in the past"
        harness.wait_for_deadline()
        after = harness.session.deadline()
        assert after > before or harness.log[-1] == Connect(harness.wanted) or isinstance(harness.log[-1], StateChanged)
        if harness.wanted is not None and rng.random() < 0.7:
            harness.accept()
        if harness.connection is not None and rng.random() < 0.7:
            harness.pump()
    assert State.CONNECTED_READ_ONLY in harness.states
    assert harness.now > 600


# Identities


def test_identities_are_sent_again_before_anything_else():
    harness = connected()
    harness.perform(harness.session.add_auth("auth", b"digest", b"bob:pw", 0.0))
    harness.pump()
    assert harness.results["auth"] == EmptyReply()
    harness.ask(OpCode.GET_DATA, PathWatchRequest(b"/", watch=True))
    harness.lose()
    harness.submit("read", OpCode.GET_DATA, ROOT)
    harness.connect()
    assert [(xid, opcode) for xid, opcode, _ in harness.connection.requests] == [
        (-4, OpCode.AUTH),
        (-8, OpCode.SET_WATCHES),
        (1, OpCode.GET_DATA),
    ]


def test_identity_added_while_disconnected_is_answered_after_the_reconnect():
    harness = Harness()
    harness.perform(harness.session.add_auth("auth", b"digest", b"bob:pw", 0.0))
    assert harness.results == {}
    harness.connect()
    assert harness.results["auth"] == EmptyReply()


def test_identity_whose_answer_was_lost_is_answered_after_the_reconnect():
    harness = connected()
    harness.perform(harness.session.add_auth("auth", b"digest", b"bob:pw", 0.0))
    harness.lose()
    assert harness.results == {}
    harness.connect()
    assert harness.results["auth"] == EmptyReply()


def test_identity_that_is_added_again_is_sent_once():
    harness = connected()
    for number in range(3):
        harness.perform(harness.session.add_auth(number, b"digest", b"bob:pw", 0.0))
    harness.perform(harness.session.add_auth("other", b"digest", b"ann:pw", 0.0))
    harness.pump()
    assert list(harness.results) == [0, 1, 2, "other"]
    harness.lose()
    harness.connect()
    assert harness.connection.identities == [(b"digest", b"bob:pw"), (b"digest", b"ann:pw")]


def test_refused_identity_fails_alone_and_is_not_sent_again():
    harness = connected()
    harness.perform(harness.session.add_auth("auth", b"digest", b"bad", 0.0))
    harness.pump()
    assert isinstance(harness.results["auth"], errors.AuthFailedError)
    assert harness.session.state is State.CONNECTING
    harness.connect()
    assert harness.session.state is State.CONNECTED
    assert harness.connection.identities == []


def test_session_ends_when_an_identity_is_refused_that_was_good_before():
    harness = connected()
    harness.perform(harness.session.add_auth("auth", b"digest", b"bob:pw", 0.0))
    harness.pump()
    harness.lose()
    harness.submit("read", OpCode.GET_DATA, ROOT)
    harness.wait_for_deadline()
    harness.accept()
    harness.deliver_requests()
    harness.deliver_replies()
    harness.perform(harness.session.receive(frame(ReplyHeader(-4, 0, -115).encode()), 0.0))
    assert harness.session.state is State.AUTH_FAILED
    assert isinstance(harness.results["read"], errors.AuthFailedError)
    harness.submit("late", OpCode.EXISTS, ROOT)
    assert isinstance(harness.results["late"], errors.AuthFailedError)


# Closing


def test_close_is_behind_the_replies_to_what_was_sent():
    harness = connected()
    harness.submit("read", OpCode.GET_DATA, ROOT)
    harness.perform(harness.session.close(0.0))
    harness.submit("late", OpCode.GET_DATA, ROOT)
    harness.pump()
    assert isinstance(harness.results["read"], DataReply)
    assert isinstance(harness.results["late"], SessionClosedError)
    assert harness.states[-1] is State.CLOSED
    assert harness.ensemble.sessions == {}
    assert harness.session.deadline() is None


def test_close_without_a_connection_ends_at_once():
    harness = Harness()
    harness.submit("read", OpCode.GET_DATA, ROOT)
    harness.perform(harness.session.close(0.0))
    assert harness.states == [State.CLOSED]
    assert isinstance(harness.results["read"], SessionClosedError)
    assert harness.session.close(0.0) == []


@pytest.mark.parametrize("how", ["lost", "silent"])
def test_close_ends_even_if_no_answer_comes(how):
    harness = connected()
    harness.connection.mute = True
    harness.perform(harness.session.close(0.0))
    harness.deliver_requests()
    if how == "lost":
        harness.lose()
    else:
        harness.wait_for_deadline()
    assert harness.states[-1] is State.CLOSED
    assert harness.session.deadline() is None


def test_identity_that_still_waits_fails_when_the_session_is_closed():
    harness = Harness()
    harness.perform(harness.session.add_auth("auth", b"digest", b"bob:pw", 0.0))
    harness.perform(harness.session.close(0.0))
    assert isinstance(harness.results["auth"], SessionClosedError)
    harness.perform(harness.session.add_auth("late", b"digest", b"bob:pw", 0.0))
    assert isinstance(harness.results["late"], SessionClosedError)


# Read-only servers


def test_session_on_a_read_only_server_looks_for_another_one():
    harness = Harness(ensemble=FakeEnsemble(read_only=True), read_only=True)
    harness.connect()
    assert harness.session.state is State.CONNECTED_READ_ONLY
    harness.wait_for_deadline()
    probed = [effect.address for effect in harness.log if isinstance(effect, Probe)]
    assert sorted([*probed, harness.session.address]) == sorted(ADDRESSES)
    harness.ensemble.read_only = False
    harness.perform(harness.session.found_writable(probed[1], harness.now))
    while harness.wanted is None:
        harness.wait_for_deadline()
    assert harness.wanted == probed[1]
    harness.connect()
    assert harness.session.state is State.CONNECTED


def test_session_looks_for_a_writable_server_less_and_less_often():
    harness = Harness(ensemble=FakeEnsemble(read_only=True, timeout_ms=600_000), timeout_ms=600_000, read_only=True)
    harness.connect()
    waits = []
    for _ in range(12):
        before = harness.now
        harness.wait_for_deadline()
        waits.append(round(harness.now - before, 1))
    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(waits) <= 60.0


def test_session_of_a_read_only_server_is_not_shown_to_others():
    harness = Harness(ensemble=FakeEnsemble(read_only=True), read_only=True)
    harness.connect()
    harness.lose()
    harness.connect()
    assert [request.session_id for request in harness.ensemble.handshakes] == [0, 0]


# Chroot


def test_paths_are_below_the_chroot_on_the_wire_and_without_it_for_the_user():
    harness = connected(chroot=b"/app")
    harness.ensemble.create(b"/app")
    created = harness.ask(OpCode.CREATE, CreateRequest(b"/x", b"", open_acl(), 0))
    assert created == PathReply(b"/x")
    assert b"/app/x" in harness.ensemble.nodes
    assert isinstance(harness.ask(OpCode.GET_DATA, PathWatchRequest(b"/", watch=True), "root"), DataReply)
    harness.ensemble.set_data(b"/app", b"new")
    harness.pump()
    assert [(notification.path, watchers) for notification, watchers in harness.events] == [(b"/", ("root",))]


def test_errors_name_the_path_as_the_user_wrote_it():
    harness = connected(chroot=b"/app")
    assert str(harness.ask(OpCode.GET_ALL_CHILDREN_NUMBER, PathRequest(b"/x"))) != "get_data /app/x"
    harness.connect()
    assert str(harness.ask(OpCode.GET_DATA, PathWatchRequest(b"/x", watch=False))) == "get_data /x"


# Order


def test_event_is_told_before_the_reply_that_shows_the_change():
    harness = connected()
    harness.ask(OpCode.GET_DATA, PathWatchRequest(b"/", watch=True), "watcher")
    harness.log.clear()
    harness.ask(OpCode.SET_DATA, SetDataRequest(b"/", b"x", -1))
    assert [type(effect).__name__ for effect in harness.log] == ["Notified", "Answered"]


def test_effects_of_the_reconnect_are_in_order():
    harness = connected()
    harness.ask(OpCode.EXISTS, PathWatchRequest(b"/", watch=True), "watcher")
    harness.lose()
    harness.submit("read", OpCode.GET_DATA, ROOT)
    harness.wait_for_deadline()
    harness.session.opened(harness.now)
    welcome = ConnectResponse(0, 10_000, harness.session.session_id, bytes(16), read_only=False)
    effects = harness.session.receive(frame(welcome.encode()), harness.now)
    assert [type(effect) for effect in effects] == [Send, StateChanged, Send]


def test_failures_come_before_the_state_that_explains_them():
    harness = connected()
    harness.submit("read", OpCode.GET_DATA, ROOT)
    effects = harness.session.lost(0.0)
    assert [type(effect) for effect in effects] == [Failed, StateChanged]


def test_first_effect_is_to_connect():
    assert isinstance(Session(ADDRESSES, Random(1)).start(0.0)[0], Connect)


def test_unknown_event_type_ends_the_connection():
    harness = connected()
    event = ReplyHeader(-1, 5, 0).encode() + b"\0\0\0\x09\0\0\0\3\0\0\0\1/"
    harness.perform(harness.session.receive(frame(event), 0.0))
    assert harness.session.state is State.CONNECTING


def test_event_without_a_watcher_is_still_reported():
    harness = connected()
    harness.ask(OpCode.GET_DATA, PathWatchRequest(b"/", watch=True))
    harness.ensemble.set_data(b"/", b"x")
    harness.pump()
    assert isinstance(harness.log[-1], Notified)
    assert harness.events[-1][1] == (None,)


def test_every_request_comes_back_once_and_in_order_whenever_connections_are_lost(rng):
    for _ in range(300):
        seed = rng.getrandbits(32)
        print(f"walk {seed}")
        walk = Random(seed)
        harness = connected(seed=seed)
        for token in range(walk.randint(1, 30)):
            harness.submit(token, OpCode.SET_DATA, SetDataRequest(b"/", b"%d" % token, -1))
            for _ in range(walk.randint(0, 3)):
                jostle(harness, walk)
        while harness.connection is None:
            harness.connect()
        harness.pump()
        assert list(harness.results) == list(range(len(harness.results)))
        assert len(harness.results) == token + 1
        versions = [reply.stat.version for reply in harness.results.values() if isinstance(reply, StatReply)]
        assert versions == sorted(set(versions)), "no write was made twice, none overtook another"


def jostle(harness, walk):
    if harness.connection is None:
        harness.wait_for_deadline()
        if harness.wanted is not None and walk.random() < 0.5:
            harness.accept()
        return
    step = walk.choice(["serve", "serve", "deliver", "deliver", "lose"])
    if step == "serve":
        harness.deliver_requests()
    elif step == "deliver":
        harness.deliver_replies(walk.choice([walk.randint(1, 100), None]))
    else:
        harness.lose()
