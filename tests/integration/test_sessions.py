"""Sessions: expiry, reconnects, take-over, and what survives the server."""

import pytest
from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import NoNodeError

from tests.integration.conftest import Connect
from tests.integration.processes import ServerProcess, eventually
from tests.integration.wire import CLOSE_SESSION, HEADER, PING, Wire, create_frame, get_frame, request_frame

EPHEMERAL = 1


def test_a_silent_session_expires_and_its_ephemerals_with_it(client: KazooClient, shared_server: ServerProcess) -> None:
    with Wire(shared_server.port, timeout_ms=4000) as silent:
        assert silent.call(create_frame(1, f"{client.chroot}/silent".encode(), flags=EPHEMERAL))[2] == 0
        assert client.exists("/silent").ephemeralOwner == silent.session
        eventually(lambda: client.exists("/silent") is None, "the expiry of a session of 4 s")
        assert silent.receive() == b""
    with Wire(shared_server.port, session=silent.session, password=silent.password) as again:
        assert (again.timeout_ms, again.session, again.receive()) == (0, 0, b"")


def test_a_session_that_pings_does_not_expire(client: KazooClient, shared_server: ServerProcess) -> None:
    with Wire(shared_server.port, timeout_ms=4000) as quiet, Wire(shared_server.port, timeout_ms=4000) as silent:
        silent.call(create_frame(1, f"{client.chroot}/silent".encode(), flags=EPHEMERAL))
        quiet.call(create_frame(1, f"{client.chroot}/quiet".encode(), flags=EPHEMERAL))

        def silent_is_gone() -> bool:
            assert quiet.call(request_frame(-2, PING))[0] == -2
            return client.exists("/silent") is None

        eventually(silent_is_gone, "the expiry of a session of 4 s")
        assert client.exists("/quiet") is not None


def test_a_lost_connection_keeps_the_session_until_it_returns(
    client: KazooClient, shared_server: ServerProcess
) -> None:
    with Wire(shared_server.port) as first:
        first.call(create_frame(1, f"{client.chroot}/mine".encode(), flags=EPHEMERAL))
    with Wire(shared_server.port, session=first.session, password=first.password) as second:
        assert second.session == first.session
        assert second.call(get_frame(1, f"{client.chroot}/mine".encode()))[2] == 0
        assert second.call(request_frame(2, CLOSE_SESSION))[2] == 0
        assert second.receive() == b""
    assert client.exists("/mine") is None


def test_a_wrong_password_opens_nothing(shared_server: ServerProcess) -> None:
    with (
        Wire(shared_server.port) as first,
        Wire(shared_server.port, session=first.session, password=b"x" * 16) as stranger,
    ):
        assert (stranger.timeout_ms, stranger.session, stranger.receive()) == (0, 0, b"")


@pytest.mark.parametrize(("asked_ms", "given_ms"), [(-1, 4000), (0, 4000), (9999, 9999), (2**31 - 1, 40000)])
def test_timeouts_are_negotiated(shared_server: ServerProcess, asked_ms: int, given_ms: int) -> None:
    with Wire(shared_server.port, timeout_ms=asked_ms) as wire:
        assert wire.timeout_ms == given_ms


def test_requests_sent_behind_the_handshake_are_answered_in_order(shared_server: ServerProcess) -> None:
    pipelined = b"".join(get_frame(xid, b"/zookeeper") for xid in range(1, 1001))
    with Wire(shared_server.port, behind=pipelined) as wire:
        answered = [HEADER.unpack_from(wire.receive())[0] for _ in range(1000)]
    assert answered == list(range(1, 1001))


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_everything_survives_a_restart(server: ServerProcess, connect: Connect, how: str) -> None:
    client = connect(server, timeout=30.0)
    states: list[str] = []
    client.add_listener(states.append)
    session = client.client_id
    client.create("/data", b"kept")
    client.create("/queue/n-", sequence=True, makepath=True)
    client.create("/ephemeral", ephemeral=True)
    client.delete(client.create("/queue/n-", sequence=True))
    getattr(server, how)()
    server.start()
    eventually(lambda: client.connected and len(states) >= 2, "the client's return")
    assert states[:2] == [KazooState.SUSPENDED, KazooState.CONNECTED]
    assert client.client_id == session
    assert client.get("/data")[0] == b"kept"
    assert client.exists("/ephemeral").ephemeralOwner == session[0]
    assert client.create("/queue/n-", sequence=True) == "/queue/n-0000000002"


def test_a_session_expires_across_a_restart(server: ServerProcess, connect: Connect) -> None:
    with Wire(server.port, timeout_ms=4000) as gone:
        gone.call(create_frame(1, b"/gone", flags=EPHEMERAL))
    server.kill()
    server.start()
    client = connect(server)
    eventually(lambda: client.exists("/gone") is None, "the expiry of a session of 4 s")


def test_zxids_and_times_go_on_after_a_restart(server: ServerProcess, connect: Connect) -> None:
    before = connect(server).create("/before", include_data=True)[1]
    server.restart()
    after = connect(server).create("/after", include_data=True)[1]
    assert after.czxid > before.czxid
    assert after.ctime >= before.ctime


def test_deleted_nodes_stay_deleted(server: ServerProcess, connect: Connect) -> None:
    client = connect(server)
    for number in range(100):
        client.create(f"/node-{number}")
    for number in range(0, 100, 2):
        client.delete(f"/node-{number}")
    client.stop()
    server.kill()
    server.start()
    again = connect(server)
    assert len([name for name in again.get_children("/") if name.startswith("node-")]) == 50
    with pytest.raises(NoNodeError):
        again.get("/node-0")
