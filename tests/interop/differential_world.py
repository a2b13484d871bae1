"""Runs a program against one server, over raw sockets, and writes down what came back.

Between steps every other connection is pinged: what a server queued for it before the ping's reply is part of the
step's outcome, so the order in which events reach different connections does not matter, but each one's does.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, groupby
from typing import Self

from pyzk.codec.framing import FrameBuffer, frame
from pyzk.codec.jute import INT64
from pyzk.codec.opcodes import XID_PING, OpCode
from pyzk.codec.records import ConnectRequest, ReplyHeader, RequestHeader
from pyzk.codec.replies import AclReply, Children2Reply, DataReply
from pyzk.codec.requests import REQUESTS, AuthRequest, PathRequest, PathVersionRequest, PathWatchRequest
from tests.interop.differential_masks import Masks, is_event
from tests.interop.differential_steps import (
    FUTURE_ZXID,
    LAST_ZXID,
    ROOT,
    AnyStep,
    Connect,
    Drop,
    Expire,
    Program,
    Raw,
    Request,
    Resume,
    Send,
    root_of,
)

REPLY_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0
EXPIRY_TIMEOUT_S = 10.0
EXPIRY_POLL_S = 0.05
HANGING_UP = {-115, -124}
UNIMPLEMENTED = -6
SERVED = REQUESTS.keys() - {OpCode.CHECK}
SUPER = b"super:test"
SUPER_DIGEST = "super:D/InIHSb7yEEbrWz8b9l71RjZJU="
PING = Request(OpCode.PING, b"", XID_PING)

Transcript = list[list[str]]
"""For each step, one line per thing that came back."""


class Wire:
    """A socket that speaks in frames."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), REPLY_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = FrameBuffer(frame_bytes_max=None)
        self._frames: list[bytes] = []
        self._xids = count(1)
        self.last_zxid = 0

    def send(self, data: bytes) -> None:
        """Send in two pieces, so that frames come in parts; a server that has hung up is noticed by reading."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data[:6])
            self._socket.sendall(data[6:])

    def encode(self, request: Request) -> bytes:
        """The request with the next xid, as a frame."""
        xid = next(self._xids) if request.xid is None else request.xid
        return frame(RequestHeader(xid, request.opcode).encode() + request.body)

    def read(self, timeout_s: float = REPLY_TIMEOUT_S) -> bytes | None:
        """The next frame; None if the server has hung up. Raises TimeoutError."""
        self._socket.settimeout(timeout_s)
        while not self._frames:
            try:
                data = self._socket.recv(1 << 18)
            except ConnectionError:
                return None
            if not data:
                return None
            self._frames = self._buffer.feed(data)
        return self._frames.pop(0)

    def ask(self, request: Request) -> bytes:
        """Send one request and return the body of its reply; for the runner's own needs, without events or errors."""
        return self.ask_all([request])[0]

    def ask_all(self, requests: list[Request]) -> list[bytes]:
        """Send requests at once and return the bodies of their replies, empty for those that failed."""
        self.send(b"".join([self.encode(request) for request in requests]))
        bodies = []
        for _ in requests:
            reply = self.read()
            assert reply is not None, "the server hung up on the runner"
            header = ReplyHeader.from_bytes(reply)
            self.last_zxid = max(header.zxid, self.last_zxid)
            bodies.append(b"" if header.err else reply[16:])
        return bodies

    def close(self) -> None:
        self._socket.close()


@dataclass
class Slot:
    """A connection of a program: its socket, if open, and the session it had last."""

    wire: Wire | None = None
    session_id: int = 0
    password: bytes | None = None
    last_zxid: int = 0


class World:
    """One server. Programs run one after the other, each below a root of its own that is removed behind it.

    Args:
        port: where it listens on loopback.
        masks: options of Masks.
    """

    def __init__(self, port: int, **masks: bool) -> None:
        self._port = port
        self._masks = masks
        self._admin = self._connect_admin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._admin.ask(Request(OpCode.CLOSE_SESSION, b""))
        self._admin.close()

    def _connect_admin(self) -> Wire:
        wire = Wire(self._port)
        wire.send(frame(ConnectRequest(0, 0, 40000, 0, bytes(16), read_only=False).encode()))
        assert wire.read() is not None
        wire.ask(Request(OpCode.AUTH, AuthRequest(0, b"digest", SUPER).encode(), -4))
        return wire

    def run(self, program: Program, run_number: int) -> Transcript:
        """Run a program below the root of `run_number`, and clean up. The last two entries are the final trees."""
        run, transcript = self._begin(program, run_number)
        transcript.append(self._tree(run))
        transcript.append(run.finish())
        transcript.append(self._tree(run))
        self._clean(run)
        return transcript

    def run_and_keep(self, program: Program, run_number: int, *, sessions: bool) -> None:
        """Run a program and leave its znodes behind, and its sessions too if `sessions`."""
        run, _ = self._begin(program, run_number)
        if not sessions:
            run.finish()

    def _begin(self, program: Program, run_number: int) -> tuple["Run", Transcript]:
        root, base = root_of(run_number), self._last_zxid()
        run = Run(self._port, base, Masks(root, base, **self._masks), self._last_zxid)
        return run, [run.step(step) for step in program.steps]

    def _last_zxid(self) -> int:
        self._admin.ask(PING)
        return self._admin.last_zxid

    def everything(self) -> dict[bytes, tuple[DataReply, AclReply]]:
        """The whole tree, as the super user sees it."""
        found = {}
        level = [b"/"]
        while level:
            bodies = self._admin.ask_all(_reads(level))
            for path, data, acl in zip(level, bodies, bodies[len(level) :], strict=False):
                if data and acl:
                    found[path] = DataReply.from_bytes(data), AclReply.from_bytes(acl)
            level = self._children(level)
        return found

    def _tree(self, run: "Run") -> list[str]:
        """Data, ACL and Stat of everything below the program's root and its quotas."""
        lines: list[str] = []
        level = [run.root, b"/zookeeper/quota" + run.root]
        while level:
            bodies = self._admin.ask_all(_reads(level))
            below = self._children(level)
            for path, data, acl in zip(level, bodies, bodies[len(level) :], strict=False):
                if data:
                    found = run.masks.record(DataReply.from_bytes(data))
                    listed = AclReply.from_bytes(acl)
                    lines.append(f"tree {run.masks.path(path)} {found} {run.masks.acl(listed.acl)}")
            level = below
        return lines

    def _children(self, level: list[bytes]) -> list[bytes]:
        requests = [Request(OpCode.GET_CHILDREN2, PathWatchRequest(path, watch=False).encode()) for path in level]
        below = []
        for path, body in zip(level, self._admin.ask_all(requests), strict=True):
            names = Children2Reply.from_bytes(body).children if body else []
            below += sorted(path.rstrip(b"/") + b"/" + name for name in names or [])
        return below

    def _clean(self, run: "Run") -> None:
        levels = [[run.root, b"/zookeeper/quota" + run.root]]
        while levels[-1]:
            levels.append(self._children(levels[-1]))
        paths = [path for level in reversed(levels) for path in level]
        self._admin.ask_all([Request(OpCode.DELETE, PathVersionRequest(path, -1).encode()) for path in paths])


def _reads(paths: list[bytes]) -> list[Request]:
    """Data and Stat of all paths, then the ACL of all."""
    requests = [Request(OpCode.GET_DATA, PathWatchRequest(path, watch=False).encode()) for path in paths]
    return requests + [Request(OpCode.GET_ACL, PathRequest(path).encode()) for path in paths]


class Run:
    """The course of one program on one server."""

    def __init__(self, port: int, base_zxid: int, masks: Masks, last_zxid: Callable[[], int]) -> None:
        self.root = masks.root
        self._last_zxid = last_zxid
        self.masks = masks
        self._port = port
        self._base = base_zxid
        self._slots: dict[int, Slot] = {}
        self._sessions: dict[int, bytes | None] = {}

    def step(self, step: AnyStep) -> list[str]:
        """Do one step; what came back on its own connection, then on the others."""
        slot = self._slots.setdefault(step.connection, Slot())
        lines = self._do(step, slot)
        for number, other in sorted(self._slots.items()):
            if other is not slot and other.wire:
                lines += [
                    f"on {number}: {line}" for line in self._exchange(other, (PING,)) if not line.startswith("ping")
                ]
        return _in_any_order(lines) if _closes_session(step) else lines

    def finish(self) -> list[str]:
        """Close every session that the program has left behind, also those without a connection."""
        close = (Request(OpCode.CLOSE_SESSION, b""),)
        lines = []
        for number, slot in sorted(self._slots.items()):
            if slot.wire:
                lines += self.step(Send(number, close))
        for session_id, password in list(self._sessions.items()):
            self._slots[-1] = Slot(session_id=session_id, password=password)
            lines += self.step(Resume(-1, 30000, last_zxid=0))
            lines += self.step(Send(-1, close))
        return lines

    def _do(self, step: AnyStep, slot: Slot) -> list[str]:
        match step:
            case Connect():
                return self._connect(step, slot)
            case Resume():
                return self._resume(step, slot)
            case Drop():
                return self._drop(slot)
            case Expire():
                return self._expire(step, slot)
            case Send():
                return self._exchange(slot, step.requests) if slot.wire else ["not connected"]
            case Raw():
                return self._send_raw(slot, step.data)

    def _connect(self, step: Connect, slot: Slot) -> list[str]:
        lines = self._drop(slot) if slot.wire else []
        request = ConnectRequest(0, self._zxid(step.last_zxid, slot), step.timeout_ms, 0, bytes(16), step.read_only)
        lines += self._shake_hands(slot, request, step.eager)
        return lines + (self._collect(slot, (PING,)) if step.eager and slot.wire else [])

    def _resume(self, step: Resume, slot: Slot) -> list[str]:
        if not slot.session_id:
            return ["no session to resume"]
        before = slot.wire
        lines = self._drop(slot) if before and step.drop_first else []
        password = bytes(16) if step.wrong_password else slot.password
        zxid = self._zxid(step.last_zxid, slot)
        request = ConnectRequest(0, zxid, step.timeout_ms, slot.session_id, password, read_only=False)
        lines += self._shake_hands(slot, request)
        if before and not step.drop_first:
            lines += [f"old socket: {line}" for line in self._read_to_end(before)]
        return lines

    def _zxid(self, zxid: int, slot: Slot) -> int:
        return {LAST_ZXID: slot.last_zxid, FUTURE_ZXID: self._base + (1 << 20)}.get(zxid, zxid)

    def _expire(self, step: Expire, slot: Slot) -> list[str]:
        """Nothing else goes on, so the next zxid is that of the closeSession."""
        if not slot.session_id:
            return ["no session to expire"]
        if step.drop_first:
            self._drop(slot)
        before, deadline = self._last_zxid(), time.monotonic() + EXPIRY_TIMEOUT_S
        while (now := self._last_zxid()) == before and time.monotonic() < deadline:
            threading.Event().wait(EXPIRY_POLL_S)
        self._sessions.pop(slot.session_id, None)
        # Whether the client still gets the events about its own ephemerals is a race in Apache.
        end = self._wait_for_end(slot)[-1:] if slot.wire else []
        return [f"zxid {self.masks.zxid(now)}", *end]

    def _shake_hands(self, slot: Slot, request: ConnectRequest, eager: bool = False) -> list[str]:
        wire = slot.wire = Wire(self._port)
        wire.send(frame(request.encode()) + (wire.encode(PING) if eager else b""))
        reply = self._read(slot)
        if isinstance(reply, str):
            return [reply]
        line, response = self.masks.connect(reply)
        if response is None or response.timeout_ms == 0:
            return [line, *self._wait_for_end(slot)]
        slot.session_id, slot.password = response.session_id, response.password
        self._sessions[response.session_id] = response.password
        return [line]

    def _drop(self, slot: Slot) -> list[str]:
        if slot.wire:
            slot.wire.close()
        slot.wire = None
        return []

    def _send_raw(self, slot: Slot, data: bytes) -> list[str]:
        if slot.wire is None:
            return ["not connected"]
        slot.wire.send(data)
        return self._wait_for_end(slot)

    def _exchange(self, slot: Slot, requests: tuple[Request, ...]) -> list[str]:
        """Send requests in one piece and read until each has its reply or the server hangs up."""
        assert slot.wire is not None
        slot.wire.send(b"".join([slot.wire.encode(self._fill_in(request, slot)) for request in requests]))
        return self._collect(slot, requests)

    def _collect(self, slot: Slot, requests: tuple[Request, ...]) -> list[str]:
        lines: list[str] = []
        waiting = list(requests)
        while waiting:
            reply = self._read(slot)
            if isinstance(reply, str):
                return [*lines, reply]
            if is_event(reply):
                lines.append(self.masks.event(reply))
                continue
            lines.append(self.masks.reply(waiting[0], reply))
            if self._ends(waiting.pop(0), slot, ReplyHeader.from_bytes(reply)):
                return lines + self._wait_for_end(slot)
        return lines

    def _ends(self, request: Request, slot: Slot, header: ReplyHeader) -> bool:
        """Is the server expected to hang up behind this reply?"""
        slot.last_zxid = max(header.zxid, slot.last_zxid)
        if request.opcode == OpCode.CLOSE_SESSION and header.err == 0:
            self._sessions.pop(slot.session_id, None)
            slot.session_id = 0
            return True
        return header.err in HANGING_UP or (header.err == UNIMPLEMENTED and request.opcode not in SERVED)

    def _fill_in(self, request: Request, slot: Slot) -> Request:
        body = request.body.replace(ROOT, self.root).replace(INT64.pack(LAST_ZXID), INT64.pack(slot.last_zxid))
        return Request(request.opcode, body, request.xid)

    def _read(self, slot: Slot) -> bytes | str:
        """The next frame, or how it came that there is none."""
        assert slot.wire is not None
        try:
            reply = slot.wire.read()
        except TimeoutError:
            reply, why = None, "silence"
        else:
            why = "hung up"
        if reply is None:
            self._drop(slot)
            return why
        return reply

    def _wait_for_end(self, slot: Slot) -> list[str]:
        assert slot.wire is not None
        lines = self._read_to_end(slot.wire)
        if lines[-1] == "hung up":
            self._drop(slot)
        return lines

    def _read_to_end(self, wire: Wire) -> list[str]:
        lines = []
        try:
            while (data := wire.read(CLOSE_TIMEOUT_S)) is not None:
                lines.append(self.masks.event(data) if is_event(data) else data.hex())
        except TimeoutError:
            return [*lines, "stays open"]
        return [*lines, "hung up"]


def _closes_session(step: AnyStep) -> bool:
    return isinstance(step, Expire) or (
        isinstance(step, Send) and any(request.opcode == OpCode.CLOSE_SESSION for request in step.requests)
    )


def _in_any_order(lines: list[str]) -> list[str]:
    """The ephemerals of a closed session go in no particular order: sort the events of each connection."""
    runs = groupby(lines, lambda line: line.partition("event")[0] if "event" in line else None)
    return [line for prefix, run in runs for line in (run if prefix is None else sorted(run))]
