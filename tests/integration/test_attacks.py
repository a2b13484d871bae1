"""What a client can do that means harm: each attack, what becomes of it, and that others are served meanwhile.

The table is in docs/security.md; the names of the tests are its last column.
"""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.conftest import MakeServer
from tests.integration.processes import ServerProcess, eventually, four_letter_word
from tests.integration.sasl import AUTH
from tests.integration.wire import (
    CLOSE_SESSION,
    OPEN_ACL,
    PING,
    Wire,
    connect_frame,
    create_frame,
    get_frame,
    request_frame,
    string,
)

EXISTS, MULTI, ADD_WATCH = 3, 14, 106
EPHEMERALS = 100_000
HELD_UP_SECONDS_MAX = 10.0
"""Others may wait so long at most; two cores may have other things to do as well."""


@contextmanager
def witness(server: ServerProcess) -> Iterator[list[float]]:
    """Somebody who reads all the while; how long each read took."""
    took: list[float] = []
    begun, over = threading.Event(), threading.Event()

    def read() -> None:
        with Wire(server.port, 40_000) as wire:
            while not over.is_set():
                began_at = time.monotonic()
                assert wire.call(get_frame(1, b"/zookeeper"))[2] == 0
                took.append(time.monotonic() - began_at)
                begun.set()
                over.wait(0.01)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        assert begun.wait(HELD_UP_SECONDS_MAX), "the witness has read nothing yet"
        yield took
    finally:
        over.set()
        thread.join()
        print(f"{len(took)} reads of the witness, the slowest {max(took, default=0) * 1000:.0f} ms")
        assert max(took, default=0) < HELD_UP_SECONDS_MAX


def resident_bytes(server: ServerProcess) -> int:
    with open(f"/proc/{server.pid}/statm", encoding="ascii") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * 4096


def ends(connection: socket.socket) -> bool:
    """Whether the other side closes; what it says before does not count."""
    connection.settimeout(20)
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    return True


def test_who_opens_a_session_byte_by_byte_is_closed_in_time(make_server: MakeServer) -> None:
    server = make_server(**{"nio.sessionlessCnxnTimeout": 1000})
    frame = connect_frame() * 100
    with witness(server), socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.settimeout(0.05)
        began_at = time.monotonic()
        closed = False
        for byte in frame[:40]:
            with contextlib.suppress(TimeoutError):
                slow.sendall(bytes([byte]))
                closed = slow.recv(1) == b""
            if closed or time.monotonic() - began_at > 10:
                break
        assert closed or ends(slow)
        assert time.monotonic() - began_at < 10


def test_who_must_authenticate_and_does_not_is_closed_in_time(make_server: MakeServer) -> None:
    server = make_server(
        **{"enforce.auth.enabled": "true", "enforce.auth.schemes": "digest", "pyzk.authenticationTimeoutMs": 500}
    )
    with Wire(server.port) as idle, Wire(server.port) as known:
        assert known.call(request_frame(-4, AUTH, b"\0\0\0\0" + string(b"digest") + string(b"u:p")))[2] == 0
        idle.socket.sendall(request_frame(-4, AUTH, b"\0\0\0\0" + string(b"ip") + string(b"x")) * 50)
        assert ends(idle.socket)
        assert known.call(request_frame(-2, PING))[2] == 0
    assert "pyzk.authenticationTimeoutMs" in server.log_tail()


def test_who_watches_without_end_is_closed(make_server: MakeServer) -> None:
    server = make_server(**{"pyzk.watchBytesPerConnectionMax": 10_000_000})
    before = resident_bytes(server)
    with witness(server), Wire(server.port) as greedy:
        with contextlib.suppress(ConnectionError):
            for first in range(0, 200_000, 1000):
                paths = [string(b"/%030d" % number) + b"\1" for number in range(first, first + 1000)]
                greedy.socket.sendall(b"".join(request_frame(1, EXISTS, path) for path in paths))
                # The replies are taken, so that nothing but the watches gathers.
                greedy.socket.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while greedy.socket.recv(1 << 20):
                        pass
                greedy.socket.setblocking(True)
        assert ends(greedy.socket)
    assert "pyzk.watchBytesPerConnectionMax" in server.log_path.read_text()
    assert resident_bytes(server) - before < 100 << 20


def multi(ops: bytes) -> bytes:
    return request_frame(1, MULTI, ops + struct.pack(">iBi", -1, 1, -1))


def test_a_multi_as_large_as_a_frame_holds_nobody_up_for_long(server: ServerProcess) -> None:
    create = struct.pack(">iBi", 1, 0, -1)
    ops = b"".join(create + string(b"/m%05d" % number) + string(b"") + OPEN_ACL + bytes(4) for number in range(16_000))
    check = struct.pack(">iBi", 13, 0, -1) + string(b"/") + struct.pack(">i", -1)
    with witness(server), Wire(server.port, 40_000) as bomber:
        bomber.socket.settimeout(60)
        assert bomber.call(multi(ops))[2] == 0
        for _ in range(5):
            assert bomber.call(multi(check * 40_000))[2] == 0


def test_paths_of_two_thousand_levels_are_served(make_server: MakeServer) -> None:
    server = make_server(enforceQuota="true")
    levels = 2000
    with Wire(server.port, 40_000) as watcher, Wire(server.port, 40_000) as digger:
        assert watcher.call(request_frame(1, ADD_WATCH, string(b"/d") + struct.pack(">i", 1)))[2] == 0
        with witness(server):
            path = b""
            for level in range(levels):
                path += b"/d"
                digger.socket.sendall(create_frame(level + 1, path))
            for _ in range(levels):
                assert digger.receive()[12:16] == bytes(4)
        for _ in range(levels):
            assert watcher.receive()[:4] == b"\xff\xff\xff\xff"


@pytest.mark.parametrize("ending", ["close", "expiry"])
def test_a_hundred_thousand_ephemerals_go_at_once(make_server: MakeServer, ending: str) -> None:
    server = make_server(tickTime=500, minSessionTimeout=1000)
    with witness(server):
        owner = Wire(server.port, 40_000 if ending == "close" else 4000)
        owner.socket.settimeout(60)
        for first in range(0, EPHEMERALS, 5000):
            frames = [create_frame(number + 1, b"/e-%d" % number, flags=1) for number in range(first, first + 5000)]
            owner.socket.sendall(b"".join(frames))
            for _ in frames:
                assert owner.receive()[12:16] == bytes(4)
        if ending == "close":
            assert owner.call(request_frame(EPHEMERALS + 1, CLOSE_SESSION))[2] == 0
        owner.close()
        eventually(lambda: "zk_ephemerals_count\t0\n" in four_letter_word(server.port, "mntr"), "all are gone", 60)


def test_a_flood_of_four_letter_words_holds_nobody_up(server: ServerProcess) -> None:
    def ask() -> None:
        for _ in range(300):
            assert four_letter_word(server.port, "mntr").startswith("zk_version")

    with witness(server):
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_more_new_sessions_than_the_bucket_has_tokens_are_sent_away(make_server: MakeServer) -> None:
    server = make_server(
        connection_throttle_tokens=20, connection_throttle_fill_time=1000, connection_throttle_fill_count=1
    )
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Wire(server.port))
        refused = 0
        for _ in range(60):
            with contextlib.suppress(ConnectionRefusedError):
                stack.enter_context(Wire(server.port))
                continue
            refused += 1
        assert refused > 20
        assert first.call(request_frame(-2, PING))[2] == 0
