"""Whatever comes in at the client port, every other client keeps working and memory stays bounded."""

import contextlib
import random
import socket
import ssl
import struct
from collections.abc import Callable, Iterator

import pytest

from tests.integration.processes import PyzkServer, ServerProcess
from tests.integration.test_limits import resident_bytes
from tests.integration.wire import Wire, connect_frame, create_frame, frame, get_frame, request_frame

GROWTH_BYTES_MAX = 64 << 20


@pytest.fixture
def witness(shared_server: ServerProcess) -> Iterator[Wire]:
    """A well-behaved client that was there before, and must be served after."""
    with Wire(shared_server.port) as wire:
        wire.call(create_frame(1, b"/witness", b"fine"))
        before = resident_bytes(shared_server)
        yield wire
        assert wire.call(get_frame(2, b"/witness"))[3][4:8] == b"fine"
        assert resident_bytes(shared_server) - before < GROWTH_BYTES_MAX
    with Wire(shared_server.port) as newcomer:
        assert newcomer.call(get_frame(1, b"/witness"))[2] == 0
    assert "Traceback" not in shared_server.log_path.read_text(errors="replace")


def attack(server: ServerProcess, data: bytes, *, handshake: bool) -> None:
    """Send this, end the connection's sending side, and wait until the server has closed the other one."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall((connect_frame() if handshake else b"") + data)
        # Not a ConnectionError where the server was faster: "transport endpoint is not connected".
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while connection.recv(65536):
                pass


LENGTHS = (-1, -(2**31), 2**31 - 1, 0, 1, 7, 0x100000, 0x7FFF0000)
STRANGERS = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /commands HTTP/1.1\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    b"\xff\xf4\xff\xfd\x06",
    b"ruok" * 1000,
    b"xxxx",
    b"",
    b"\0",
)


@pytest.mark.parametrize("handshake", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
def test_senseless_lengths(shared_server: ServerProcess, witness: Wire, length: int, handshake: bool) -> None:  # noqa: ARG001
    for rest in (b"", b"x" * 100):
        attack(shared_server, struct.pack(">i", length) + rest, handshake=handshake)


@pytest.mark.parametrize("data", STRANGERS)
def test_other_protocols_on_this_port(shared_server: ServerProcess, witness: Wire, data: bytes) -> None:  # noqa: ARG001
    attack(shared_server, data, handshake=False)
    attack(shared_server, data, handshake=True)


def test_a_tls_client_on_the_plain_port(shared_server: ServerProcess, witness: Wire) -> None:  # noqa: ARG001
    context = ssl.create_default_context()
    plain = socket.create_connection(("127.0.0.1", shared_server.port), 10)
    with plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain, server_hostname="localhost")


def random_bytes(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(1, 2000))


def random_frames(rng: random.Random) -> bytes:
    return b"".join(frame(rng.randbytes(rng.randrange(60))) for _ in range(rng.randrange(1, 20)))


def random_requests(rng: random.Random) -> bytes:
    kinds = (*range(-12, 25), *range(99, 109), rng.randrange(-(2**31), 2**31))
    bodies = (rng.randbytes(rng.randrange(80)) for _ in range(rng.randrange(1, 20)))
    return b"".join(request_frame(rng.randrange(-10, 100), rng.choice(kinds), body) for body in bodies)


def spoilt_create(rng: random.Random) -> bytes:
    data = bytearray(create_frame(1, b"/spoilt/" + rng.randbytes(5), rng.randbytes(20)))
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(4, len(data))] = rng.randrange(256)
    return bytes(data)


def cut_short(rng: random.Random) -> bytes:
    data = create_frame(1, b"/cut", rng.randbytes(100))
    return data[: rng.randrange(len(data))]


@pytest.mark.parametrize("make", [random_bytes, random_frames, random_requests, spoilt_create, cut_short])
def test_random_input(
    shared_server: ServerProcess,
    witness: Wire,  # noqa: ARG001
    rng: random.Random,
    make: Callable[[random.Random], bytes],
) -> None:
    for _ in range(100):
        attack(shared_server, make(rng), handshake=rng.random() < 0.8)


def test_a_hundred_connections_that_say_nothing(shared_server: ServerProcess, witness: Wire) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", shared_server.port), 10))
        assert witness.call(get_frame(3, b"/witness"))[2] == 0


def test_a_huge_frame_that_never_ends_is_not_kept_for_many(shared_server: ServerProcess, witness: Wire) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", shared_server.port), 10))
            connection.sendall(connect_frame() + struct.pack(">i", 0xFFFFF) + b"x" * 500_000)
        assert witness.call(get_frame(3, b"/witness"))[2] == 0


def test_the_log_says_what_came_in(shared_server: ServerProcess) -> None:
    if not isinstance(shared_server, PyzkServer):
        pytest.skip("Apache's log is switched off here")
    attack(shared_server, struct.pack(">i", -7), handshake=True)
    attack(shared_server, b"GET / HTTP/1.1\r\n\r\n", handshake=False)
    with Wire(shared_server.port):
        text = shared_server.log_path.read_text()
    assert "-7" in text
    assert "HTTP" in text or str(struct.unpack(">i", b"GET ")[0]) in text
