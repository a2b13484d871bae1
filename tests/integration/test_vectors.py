"""Every captured exchange of a standalone Apache 3.9.5, replayed on a real server: the answers must be the same.

Only what varies by nature is masked: times, session ids, passwords, the order of children and identities. The server is
brought to the zxid that the captured one had, so zxids are compared too.
Source: tests/vectors/client.jsonl, docs/protocol/client-protocol.md section 12.
"""

import contextlib
import json
import socket
import struct
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

import pytest

from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import OpCode
from pyzk.codec.record import Record
from pyzk.codec.records import ConnectResponse, ReplyHeader, Stat, WatcherEvent
from pyzk.codec.replies import REPLIES, MultiReply
from tests.integration.conftest import MakeServer
from tests.integration.processes import ServerProcess
from tests.integration.wire import Wire, create_frame, request_frame, string

VECTORS = Path(__file__).parents[1] / "vectors" / "client.jsonl"
LINES = [json.loads(line) for line in VECTORS.read_text().splitlines()]
TARGET = [line for line in LINES if line["server"] == "3.9.5"]
NAMES = [line["name"] for line in TARGET]
BY_NAME = {line["name"]: line for line in TARGET}

SUPER_DIGEST = "super:D/InIHSb7yEEbrWz8b9l71RjZJU="
FIRST_ZXID = 0x10
CONNECT_NEW = BY_NAME["connect_new"]["request_hex"]

# Where we differ on purpose: docs/differences.md.
OURS = {"deleteContainer_jute", "deleteContainer_raw", "createSession_from_client"}
# What a standalone server without SASL cannot show.
ELSEWHERE = [
    name
    for name in NAMES
    if name.startswith(("ensemble_", "reconfig_", "sasl_", "readonly_", "local_session_", "connect_readonly_mode"))
    and name not in {"reconfig_disabled", "sasl_not_configured"}
] + ["event_config_changed", "session_moved_write", "create_throttled"]

MAIN = NAMES[NAMES.index("ping") : NAMES.index("reconfig_disabled") + 1]
QUOTA = [name for name in NAMES if name.startswith("quota_")]
CONNECT = [name for name in NAMES if name.startswith("connect_") and name not in ELSEWHERE]
SINGLE = ["sasl_not_configured", "auth_sasl_scheme", "opcode_10", "opcode_0_notification", "check_top_level"]
FRAMING = [name for name in NAMES if name.startswith("frame_")]
CLOSING = ["closeSession", "event_after_closeSession", "closeSession_with_body"]


class Raw:
    """A connection that takes frames as they are."""

    def __init__(self, port: int, connect_hex: str | None = CONNECT_NEW) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.next_xid = 1
        self.response = b""
        if connect_hex is not None:
            self.send(connect_hex)
            self.response = self.frame()

    def send(self, frames_hex: str) -> None:
        self.socket.sendall(bytes.fromhex(frames_hex))

    def frame(self) -> bytes:
        """The next frame with its length; empty once the server has closed."""
        head = self._exactly(4)
        return head + self._exactly(struct.unpack(">i", head)[0]) if head else b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                chunk = self.socket.recv(count - len(data))
            except ConnectionResetError:
                return b""
            if not chunk:
                return b""
            data += chunk
        return data


def header(frame: bytes) -> tuple[int, int]:
    """xid and opcode of a request frame."""
    xid, opcode = struct.unpack_from(">ii", frame, 4)
    return xid, opcode


def comparable(frame: bytes, opcode: int, *, mask_zxids: bool = False) -> Any:
    """A reply or event, decoded, without what varies by nature."""
    reader = Reader(frame, 4)
    reply = ReplyHeader.decode(reader)
    if mask_zxids and reply.zxid > 0:
        reply.zxid = 0
    if reply.xid == -1:
        return reply, WatcherEvent.decode(reader)
    if reply.err and not reader.remaining:
        return reply, None
    body = (MultiReply if reply.err else REPLIES[opcode]).decode(reader)
    assert not reader.remaining
    return reply, masked(body, mask_zxids=mask_zxids)


def masked(record: Any, *, mask_zxids: bool) -> Any:
    if isinstance(record, Stat):
        record.ctime = record.mtime = 0
        record.ephemeral_owner = min(1, abs(record.ephemeral_owner))
        if mask_zxids:
            record.czxid = record.mzxid = record.pzxid = 0
    elif isinstance(record, MultiReply):
        record.results = [(kind, masked(result, mask_zxids=mask_zxids)) for kind, result in record.results]
    elif isinstance(record, Record):
        for part in fields(record):
            setattr(record, part.name, masked(getattr(record, part.name), mask_zxids=mask_zxids))
    elif isinstance(record, list):
        return sorted(record, key=repr)  # children, ephemerals, identities: the order is free
    return record


def check(line: dict[str, Any], connection: Raw, *, mask_zxids: bool = False) -> None:
    """Send the request of a line and compare everything that comes back."""
    connection.send(line["request_hex"])
    _, opcode = header(bytes.fromhex(line["request_hex"]))
    expected = [*line.get("before_hex", []), *([line["reply_hex"]] if line["reply_hex"] else [])]
    for frame_hex in expected:
        got = connection.frame()
        assert comparable(got, opcode, mask_zxids=mask_zxids) == comparable(
            bytes.fromhex(frame_hex), opcode, mask_zxids=mask_zxids
        ), f"{line['name']}: {got.hex()} instead of {frame_hex}"
    if line.get("closed"):
        assert connection.frame() == b"", f"{line['name']}: the connection stays open"


def advance(port: int, zxid: int) -> None:
    """Use zxids up, by deletes that fail, until the server's last one is `zxid`."""
    with Wire(port, 40000) as wire:
        last_zxid = 0
        while last_zxid != zxid:
            _, last_zxid, _, _ = wire.call(request_frame(1, OpCode.DELETE, string(b"/none") + struct.pack(">i", -1)))
            assert last_zxid <= zxid


def connections_of(port: int, stack: contextlib.ExitStack) -> Iterator[tuple[dict[str, Any], Raw]]:
    """Lines of the main run with the connection that each used: see client-protocol.md section 12."""

    def connection() -> Raw:
        return stack.enter_context(Raw(port))

    main = second = connection()
    for name in MAIN:
        line = BY_NAME[name]
        xid, _ = header(bytes.fromhex(line["request_hex"]))
        if name in {"auth_unknown_scheme", "auth_ip", "auth_world"}:
            yield line, connection()
        elif xid in {main.next_xid, -2, 500}:
            main.next_xid += xid == main.next_xid
            yield line, main
        else:
            if second is main or xid == -4 or (xid == 1 and second.next_xid != 1):
                if second is not main:
                    second.send("00000008000003e8fffffff5")
                    second.frame()
                second = connection()
            second.next_xid = max(second.next_xid, xid + 1)
            yield line, second


def test_every_line_is_replayed_or_named():
    replayed = {*MAIN, *QUOTA, *CONNECT, *SINGLE, *FRAMING, *CLOSING}
    assert set(NAMES) == replayed | OURS | set(ELSEWHERE)


def test_main_run_is_answered_as_by_apache(make_server: MakeServer):
    server = make_server(extendedTypesEnabled="true", **{"DigestAuthenticationProvider.superDigest": SUPER_DIGEST})
    advance(server.port, FIRST_ZXID)
    exact = True
    with contextlib.ExitStack() as stack:
        for line, connection in connections_of(server.port, stack):
            check(line, connection, mask_zxids=not exact)
            exact = exact and line["name"] != "multi_noauth"  # sessions that were not recorded come behind it
    print(f"{MAIN.index('multi_noauth') + 1} lines compared with their zxids, {len(MAIN)} in all")


def test_quota_lines_are_answered_as_by_apache(make_server: MakeServer):
    server = make_server(enforceQuota="true")
    with Raw(server.port) as connection:
        for path, data in ((b"/q", b""), (b"/q/a", b"123456"), (b"/zookeeper/quota/q", b"")):
            connection.send(create_frame(1, path, data).hex())
            assert connection.frame()[16:20] == bytes(4)
        for name in QUOTA:
            check(BY_NAME[name], connection, mask_zxids=True)


def test_connect_lines_are_answered_as_by_apache(server: ServerProcess):
    with Raw(server.port) as live:
        session_and_password = live.response[12:40].hex()
        for name in CONNECT:
            line = BY_NAME[name]
            with Raw(server.port, None) as connection:
                if name.startswith("connect_renew"):
                    connection.send(line["request_hex"][:40] + session_and_password + "00")
                else:
                    connection.send(line["request_hex"])
                got = connection.frame()
                assert connect_comparable(got, name) == connect_comparable(
                    bytes.fromhex(line["reply_hex"] or ""), name
                ), name
                if line.get("closed"):
                    assert connection.frame() == b"", name
                if line.get("old_connection_closed"):
                    assert live.frame() == b""
                    connection.send("0000000800000001fffffff5")
                    assert connection.frame()[16:20] == bytes(4)


def connect_comparable(frame: bytes, name: str) -> Any:
    """A ConnectResponse without session id and password, unless these say that there is no session."""
    if not frame:
        return None
    response = ConnectResponse.from_bytes(frame[4:])
    if response.timeout_ms:
        assert response.session_id, name
        assert len(response.password or b"") == 16, name
        response.session_id, response.password = 0, None
    return response


@pytest.mark.parametrize("name", SINGLE)
def test_line_of_a_connection_of_its_own_is_answered_as_by_apache(shared_server: ServerProcess, name: str):
    with Raw(shared_server.port) as connection:
        check(BY_NAME[name], connection, mask_zxids=True)


@pytest.mark.parametrize("name", FRAMING)
def test_frame_of_a_length_that_is_not_allowed_closes_the_connection(shared_server: ServerProcess, name: str):
    with Raw(shared_server.port) as connection:
        connection.send(BY_NAME[name]["request_hex"])
        assert connection.frame() == b""


def test_close_of_a_session_is_answered_and_seen_as_by_apache(server: ServerProcess):
    event = BY_NAME["event_after_closeSession"]
    path = WatcherEvent.decode(Reader(bytes.fromhex(event["reply_hex"]), 20)).path
    with Raw(server.port) as closing, Raw(server.port) as watching, Raw(server.port) as with_body:
        closing.send(create_frame(1, b"/v").hex())
        closing.send(create_frame(2, path, flags=1).hex())
        assert closing.frame()
        assert closing.frame()[16:20] == bytes(4)
        watching.send(request_frame(1, OpCode.EXISTS, string(path) + b"\1").hex())
        assert watching.frame()[16:20] == bytes(4)
        check(BY_NAME["closeSession"], closing, mask_zxids=True)
        expected = comparable(bytes.fromhex(event["reply_hex"]), 0, mask_zxids=True)
        assert comparable(watching.frame(), 0, mask_zxids=True) == expected
        check(BY_NAME["closeSession_with_body"], with_body, mask_zxids=True)


@pytest.mark.parametrize("name", sorted(OURS))
def test_request_that_only_servers_make_is_refused_when_a_client_sends_it(shared_server: ServerProcess, name: str):
    with Raw(shared_server.port) as connection:
        connection.send(BY_NAME[name]["request_hex"])
        assert connection.frame()[8:] == struct.pack(">qi", -1, -6)
        assert connection.frame() == b""
