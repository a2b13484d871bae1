"""Limits: large values, jute.maxbuffer, connections by address and in all, many of them at once."""

import contextlib
import resource
import struct
from pathlib import Path

import pytest

from tests.integration.conftest import Connect, MakeServer
from tests.integration.processes import ServerProcess, eventually, four_letter_word
from tests.integration.wire import PING, Wire, create_frame, get_frame, request_frame

JUTE_MAXBUFFER = 0xFFFFF
CONNECTIONS = 1000


def resident_bytes(server: ServerProcess) -> int:
    pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_a_value_of_a_megabyte_is_kept(server: ServerProcess, connect: Connect) -> None:
    client = connect(server)
    value = bytes(range(256)) * 4000
    client.create("/big", value)
    client.set("/big", value[::-1])
    client.stop()
    server.restart()
    assert connect(server).get("/big")[0] == value[::-1]


def test_a_frame_of_exactly_the_limit_is_served_and_one_more_byte_is_not(server: ServerProcess) -> None:
    empty_frame_bytes = len(create_frame(1, b"/full"))
    fits = b"x" * (JUTE_MAXBUFFER - (empty_frame_bytes - 4))
    with Wire(server.port) as wire:
        assert wire.call(create_frame(1, b"/full", fits))[2] == 0
        wire.socket.sendall(struct.pack(">i", JUTE_MAXBUFFER + 1))
        assert wire.receive() == b""
    with Wire(server.port) as wire:
        assert len(wire.call(get_frame(1, b"/full"))[3]) == 4 + len(fits) + 68


def test_the_limit_is_a_setting(make_server: MakeServer) -> None:
    server = make_server(**{"jute.maxbuffer": 4000})
    with Wire(server.port) as wire:
        assert wire.call(create_frame(1, b"/small", b"x" * 3000))[2] == 0
        with contextlib.suppress(ConnectionError):
            wire.socket.sendall(create_frame(2, b"/large", b"x" * 5000))
            assert wire.receive() == b""
    with Wire(server.port) as wire:
        assert wire.call(get_frame(1, b"/large"))[2] == -101


def test_replies_may_be_longer_than_the_limit_of_requests(server: ServerProcess) -> None:
    names = [b"n" * 200 + b"%05d" % number for number in range(6000)]
    with Wire(server.port) as wire:
        assert wire.call(create_frame(1, b"/many"))[2] == 0
        wire.socket.sendall(b"".join(create_frame(number, b"/many/" + name) for number, name in enumerate(names, 2)))
        for _ in names:
            wire.receive()
        body = wire.call(request_frame(9, 8, struct.pack(">i", 5) + b"/many" + b"\0"))[3]
    assert len(body) > JUTE_MAXBUFFER
    assert struct.unpack_from(">i", body)[0] == len(names)


def is_refused(port: int) -> bool:
    try:
        with Wire(port) as wire:
            return wire.call(request_frame(-2, PING))[0] != -2
    except ConnectionError:
        return True


@pytest.mark.parametrize("setting", ["maxClientCnxns", "maxCnxns"])
def test_no_more_connections_than_allowed(make_server: MakeServer, setting: str) -> None:
    server = make_server(**{setting: 5})
    eventually(lambda: "Connections: 1\n" in four_letter_word(server.port, "srvr"), "only this word's own connection")
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(server.port)) for _ in range(5)]
        assert is_refused(server.port)
        assert all(wire.call(request_frame(-2, PING))[0] == -2 for wire in wires)
    eventually(lambda: not is_refused(server.port), "free places, once the server has seen the connections end")


def test_many_connections_are_served_side_by_side(server: ServerProcess) -> None:
    before = resident_bytes(server)
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(server.port)) for _ in range(CONNECTIONS)]
        for wire in wires:
            wire.socket.sendall(request_frame(-2, PING))
        assert all(wire.receive()[:4] == b"\xff\xff\xff\xfe" for wire in wires)
        each = (resident_bytes(server) - before) / CONNECTIONS
        # The word's own connection counts too, as in Apache.
        assert f"Connections: {CONNECTIONS + 1}\n" in four_letter_word(server.port, "srvr")
        print(f"{CONNECTIONS} connections: {each:.0f} bytes each")
    assert each < 64 * 1024


def test_a_client_that_does_not_read_holds_nobody_up(server: ServerProcess) -> None:
    with Wire(server.port) as lazy, Wire(server.port) as busy:
        assert busy.call(create_frame(1, b"/big", b"x" * 1_000_000))[2] == 0
        before = resident_bytes(server)
        lazy.socket.settimeout(1)
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(400):
                lazy.socket.sendall(b"".join(get_frame(xid, b"/big") for xid in range(50)))
        for xid in range(100):
            assert busy.call(get_frame(xid, b"/zookeeper"))[2] == 0
        # It asked for 20 GB. A turn answers about a megabyte, and no other begins before that is taken.
        assert resident_bytes(server) - before < 40 << 20


def test_a_request_may_come_byte_by_byte(server: ServerProcess) -> None:
    with Wire(server.port) as wire:
        for byte in create_frame(1, b"/slow"):
            wire.socket.sendall(bytes([byte]))
        assert wire.receive()[-5:] == b"/slow"
