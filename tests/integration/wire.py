"""Raw frames of the client protocol, for what no library would send. Source: docs/protocol/client-protocol.md."""

import contextlib
import socket
import struct
from typing import Self

HEADER = struct.Struct(">iqi")
CREATE, GET_DATA, PING, CLOSE_SESSION = 1, 4, 11, -11
OPEN_ACL = struct.pack(">ii", 1, 31) + struct.pack(">i5si6s", 5, b"world", 6, b"anyone")


def string(text: bytes) -> bytes:
    return struct.pack(">i", len(text)) + text


def frame(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def connect_frame(timeout_ms: int = 10000, session: int = 0, password: bytes = bytes(16), last_zxid: int = 0) -> bytes:
    return frame(struct.pack(">iqiq", 0, last_zxid, timeout_ms, session) + string(password) + b"\0")


def request_frame(xid: int, kind: int, body: bytes = b"") -> bytes:
    return frame(struct.pack(">ii", xid, kind) + body)


def create_frame(xid: int, path: bytes, data: bytes = b"", flags: int = 0) -> bytes:
    return request_frame(xid, CREATE, string(path) + string(data) + OPEN_ACL + struct.pack(">i", flags))


def get_frame(xid: int, path: bytes) -> bytes:
    return request_frame(xid, GET_DATA, string(path) + b"\0")


class Wire:
    """A blocking connection that has had its handshake; `behind` is sent without waiting for the answer to it."""

    def __init__(
        self,
        port: int,
        timeout_ms: int = 10000,
        session: int = 0,
        password: bytes = bytes(16),
        behind: bytes = b"",
    ) -> None:
        with contextlib.ExitStack() as unless_refused:
            self.socket = unless_refused.enter_context(socket.create_connection(("127.0.0.1", port), 20))
            self.socket.sendall(connect_frame(timeout_ms, session, password) + behind)
            body = self.receive()
            if not body:
                raise ConnectionRefusedError("closed without an answer to the handshake")
            _, self.timeout_ms, self.session = struct.unpack_from(">iiq", body)
            self.password = body[20:36]
            unless_refused.pop_all()

    def receive(self) -> bytes:
        """The body of the next frame; empty when the server has closed the connection."""
        length = self._exactly(4)
        return self._exactly(struct.unpack(">i", length)[0]) if length else b""

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self.socket.recv(count - len(data))
            if not chunk:
                return b""
            data += chunk
        return data

    def call(self, request: bytes) -> tuple[int, int, int, bytes]:
        """Send a frame; xid, zxid, error and body of what comes back."""
        self.socket.sendall(request)
        reply = self.receive()
        return (*HEADER.unpack_from(reply), reply[HEADER.size :])

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
