"""The rules of docs/protocol/client-protocol.md section 2."""

import pytest

from pyzk.codec.framing import frame
from pyzk.codec.records import ConnectRequest, ConnectResponse
from pyzk.service.outbox import Settings
from pyzk.service.sessions import password
from tests.service.harness import FIRST_SESSION, World

NOT_VALID = ConnectResponse(0, 0, 0, bytes(16), read_only=False)


def test_a_new_session_is_answered_when_its_txn_is_applied() -> None:
    world = World(held=True)
    client = world.client()
    assert client.response is None
    world.commit()
    assert client.response == ConnectResponse(0, 10_000, FIRST_SESSION, password(FIRST_SESSION), read_only=False)
    assert world.tree.sessions == {FIRST_SESSION: 10_000}


def test_a_client_that_sends_more_before_it_has_a_session_is_not_read_from_meanwhile() -> None:
    world = World(held=True)
    client = world.client()
    assert client.reading
    client.send(client.exists(b"/"))
    assert (client.reading, client.frames) == (False, [])
    world.commit()
    assert (client.reading, client.errors) == (True, [0])


def test_the_read_only_byte_is_sent_only_to_those_who_sent_it() -> None:
    world = World()
    old, new = world.client(open_session=False), world.client(open_session=False)
    old.connect(read_only=None)
    new.connect(read_only=True)
    assert (len(old.sent), len(new.sent)) == (4 + 36, 4 + 37)
    assert new.response is not None
    assert new.response.read_only is False


@pytest.mark.parametrize(
    ("asked", "granted"), [(30_000, 30_000), (0, 4000), (-5, 4000), (4001, 4001), (40_001, 40_000), (2**31 - 1, 40_000)]
)
def test_the_timeout_is_negotiated_between_the_limits(asked: int, granted: int) -> None:
    client = World().client(timeout_ms=asked)
    assert client.response is not None
    assert client.response.timeout_ms == granted


@pytest.mark.parametrize("given", [None, b"", b"x", bytes(16), bytes(40)])
def test_any_password_is_accepted_for_a_new_session(given: bytes | None) -> None:
    client = World().client(open_session=False)
    client.connect(password=given)
    assert client.session_id == FIRST_SESSION


def test_the_protocol_version_is_ignored() -> None:
    client = World().client(open_session=False)
    client.send(frame(ConnectRequest(77, 0, 10_000, 0, bytes(16), read_only=False).encode()))
    assert client.session_id == FIRST_SESSION


def test_a_client_that_has_seen_more_than_we_is_closed_without_a_word() -> None:
    world = World()
    world.client()
    client = world.client(open_session=False)
    client.connect(last_zxid_seen=world.tree.last_zxid + 1)
    assert client.sent == b""
    assert "another server" in str(client.closed)


def test_a_client_that_has_seen_just_as_much_is_served() -> None:
    world = World()
    world.client()
    client = world.client(open_session=False)
    client.connect(last_zxid_seen=world.tree.last_zxid)
    assert client.closed is None
    assert client.response is not None


def test_a_session_comes_back_with_the_timeout_of_the_new_request() -> None:
    world = World()
    first = world.client(timeout_ms=30_000)
    first.hang_up()
    second = world.client(open_session=False)
    second.connect(session_id=first.session_id, password=password(first.session_id), timeout_ms=20_000)
    assert second.response == ConnectResponse(0, 20_000, first.session_id, password(first.session_id), read_only=False)


def test_a_session_that_is_not_known_is_refused() -> None:
    client = World().client(open_session=False)
    client.connect(session_id=0x77, password=password(0x77))
    assert client.response == NOT_VALID
    assert client.closed is not None


def test_an_expired_session_is_refused() -> None:
    world = World()
    first = world.client()
    first.hang_up()
    world.tick(60.0)
    client = world.client(open_session=False)
    client.connect(session_id=first.session_id, password=password(first.session_id))
    assert client.response == NOT_VALID


def test_a_session_that_is_being_closed_is_refused() -> None:
    world = World()
    first = world.client()
    first.hang_up()
    world.held = True
    world.tick(60.0)
    client = world.client(open_session=False)
    client.connect(session_id=first.session_id, password=password(first.session_id))
    assert client.response == NOT_VALID
    world.commit()


def test_the_old_connection_of_a_session_that_moves_is_closed() -> None:
    world = World()
    first = world.client()
    second = world.client(open_session=False)
    second.connect(session_id=first.session_id, password=password(first.session_id))
    assert "moved" in str(first.closed)
    assert second.ask(second.create(b"/a")).err == 0
    first.send(first.create(b"/b"))
    assert b"/b" not in world.tree.nodes


def test_row_14_a_wrong_password_cuts_nobody_else() -> None:
    world = World()
    owner = world.client()
    thief = world.client(open_session=False)
    thief.connect(session_id=owner.session_id, password=bytes(16))
    assert thief.response == NOT_VALID
    assert thief.closed is not None
    assert owner.closed is None
    assert owner.ask(owner.ping()).err == 0


def test_requests_behind_the_connect_request_wait_for_the_session() -> None:
    world = World(held=True)
    client = world.client(open_session=False)
    connect = frame(ConnectRequest(0, 0, 10_000, 0, bytes(16), read_only=False).encode())
    client.send(connect, client.create(b"/a"), client.get_data(b"/a"))
    client.send(client.ping())
    assert client.sent == b""
    world.commit()
    assert client.response is not None
    assert client.replies == []
    world.commit()
    assert [(reply.xid, reply.err) for reply in client.replies] == [(1, 0), (2, 0), (-2, 0)]


@pytest.mark.parametrize("data", [frame(b"short"), frame(b""), b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"HTTP/1.1"])
def test_what_is_no_connect_request_is_closed_without_a_word(data: bytes) -> None:
    client = World().client(open_session=False)
    client.send(data)
    assert client.closed is not None
    assert client.sent == b""


def test_with_a_full_disk_sessions_come_back_but_none_is_made() -> None:
    world = World()
    first = world.client()
    first.hang_up()
    world.service.writes_refused = True
    assert "no space" in str(world.client().closed)
    second = world.client(open_session=False)
    second.connect(session_id=first.session_id, password=password(first.session_id))
    assert second.response is not None
    assert second.response.session_id == first.session_id


def test_a_session_without_a_connection_lives_until_its_timeout() -> None:
    world = World(Settings(tick_ms=1000))
    client = world.client(timeout_ms=5000)
    client.hang_up()
    world.tick(4.9)
    assert client.session_id in world.tree.sessions
    world.tick(1.2)
    assert world.tree.sessions == {}
    assert world.service.counters.sessions_expired == 1
