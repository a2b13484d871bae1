"""Replies as text, with what varies by nature put in relation: zxids to the program's first, times to their txn,
session ids to the order in which they came.

What cannot be read, or does not encode again to the very bytes that came, is shown in hexadecimal.
"""

from dataclasses import fields
from typing import Any

from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import EventType, OpCode
from pyzk.codec.record import Record
from pyzk.codec.records import ACL, ConnectResponse, ReplyHeader, Stat, WatcherEvent
from pyzk.codec.replies import REPLIES, MultiReply
from pyzk.errors import DecodeError
from pyzk.service.sessions import password
from tests.interop.differential_steps import ROOT, Request, name_of

SORTED_FIELDS = {"children", "paths", "identities"}
"""Lists whose order is not specified."""

_EVENTS = {kind.value: kind.name.lower() for kind in EventType}


class Masks:
    """Names for zxids, times and sessions of one server during one program.

    Args:
        root: the root of the program's own znodes.
        base_zxid: the server's last zxid before the program began.
        absolute: show old zxids and the counters of the initial znodes too (servers with the same history only).
        event_zxids: show the zxid in the header of events, which 3.8 does not send.
    """

    def __init__(self, root: bytes, base_zxid: int, *, absolute: bool = False, event_zxids: bool = True) -> None:
        self.root = root
        self._base = base_zxid
        self._absolute = absolute
        self._event_zxids = event_zxids
        self._sessions: dict[int, str] = {}
        self._times: dict[int, int] = {}

    def session(self, session_id: int) -> str:
        """Sessions are numbered in the order in which they are first seen."""
        return "none" if session_id == 0 else self._sessions.setdefault(session_id, f"S{len(self._sessions)}")

    def zxid(self, zxid: int) -> str:
        """Relative to the program's begin; what is older is not told apart."""
        if zxid in {0, -1}:
            return str(zxid)
        if zxid <= self._base and not self._absolute:
            return "old"
        return f"z{zxid - self._base:+}"

    def reply(self, request: Request, frame: bytes) -> str:
        """One line for a reply."""
        reader = Reader(frame)
        try:
            header = ReplyHeader.decode(reader)
        except DecodeError:
            return f"unreadable {frame.hex()}"
        text = f"{name_of(request.opcode)} xid {header.xid} zxid {self.zxid(header.zxid)} err {header.err}"
        body = frame[reader.position :]
        return text + self._body(request.opcode, header.err, body)

    def _body(self, opcode: int, err: int, body: bytes) -> str:
        kind = REPLIES.get(opcode)
        if not body and (err or kind is None or not kind.FIELDS):
            return ""
        # A multiRead that cannot go on is the one failure that may have a body.
        if kind is None or (err and opcode != OpCode.MULTI_READ):
            return f" body {body.hex()}"
        try:
            record = kind.from_bytes(body)
        except DecodeError:
            return f" unreadable {body.hex()}"
        exact = "" if record.encode() == body else f" raw {body.hex()}"
        return f" {self.record(record)}{exact}"

    def event(self, frame: bytes) -> str:
        """One line for a watch event."""
        reader = Reader(frame)
        header = ReplyHeader.decode(reader)
        event = WatcherEvent.decode(reader)
        kind = _EVENTS.get(event.type, event.type)
        rest = f" and {reader.remaining} more bytes" if reader.remaining else ""
        zxid = self.zxid(header.zxid) if self._event_zxids else "masked"
        state = f"zxid {zxid} err {header.err} state {event.state}"
        return f"event {kind} {self._bytes(event.path)} {state}{rest}"

    def connect(self, frame: bytes) -> tuple[str, ConnectResponse | None]:
        """One line for the answer to a handshake, and the answer itself."""
        try:
            response = ConnectResponse.from_bytes(frame)
        except DecodeError:
            return f"unreadable {frame.hex()}", None
        right = response.password == (password(response.session_id) if response.session_id else bytes(16))
        text = (
            f"session {self.session(response.session_id)} timeout {response.timeout_ms} "
            f"version {response.protocol_version} read_only {response.read_only} "
            f"password {'right' if right else 'wrong'} ({len(frame)} bytes)"
        )
        return text, response

    def record(self, record: Record) -> str:
        """A record's fields, masked."""
        if isinstance(record, Stat):
            return self._stat(record)
        if isinstance(record, MultiReply):
            return " | ".join(f"{opcode}: {self.record(result)}" for opcode, result in record.results) or "no results"
        values = [(field.name, getattr(record, field.name)) for field in fields(record)]
        return " ".join(f"{name}={self._value(name, value)}" for name, value in values)

    def path(self, path: bytes) -> str:
        """A path below the placeholder."""
        return self._bytes(path)

    def acl(self, acl: list[ACL] | None) -> str:
        """An ACL list."""
        return "null" if acl is None else self._list("acl", acl)

    def _value(self, name: str, value: Any) -> str:
        if isinstance(value, list):
            return self._list(name, value)
        if isinstance(value, Record):
            return self.record(value)
        return self._bytes(value) if isinstance(value, bytes) else str(value)

    def _list(self, name: str, values: list[Any]) -> str:
        texts = [self._value("", value) for value in values]
        if name in SORTED_FIELDS:
            texts.sort()
        if name == "acl":
            texts = _sort_runs(values, texts)
        return f"[{', '.join(texts)}]"

    def _bytes(self, value: bytes | None) -> str:
        if value is None:
            return "null"
        return ascii(value.replace(self.root, ROOT).decode("utf-8", "backslashreplace"))

    def _stat(self, stat: Stat) -> str:
        counts = f"v={stat.version} cv={stat.cversion} av={stat.aversion} children={stat.num_children}"
        if stat.czxid == 0 and not self._absolute:
            counts = "of an initial znode"
        return (
            f"stat(c={self.zxid(stat.czxid)} m={self.zxid(stat.mzxid)} p={self.zxid(stat.pzxid)} "
            f"ct={self._time(stat.ctime, stat.czxid)} mt={self._time(stat.mtime, stat.mzxid)} "
            f"owner={self.session(stat.ephemeral_owner)} length={stat.data_length} {counts})"
        )

    def _time(self, time_ms: int, zxid: int) -> str:
        """Every Stat must show the same time for the same txn."""
        if zxid == 0:
            return str(time_ms)
        return "right" if self._times.setdefault(zxid, time_ms) == time_ms else "of another txn"


def _sort_runs(acl: list[ACL], texts: list[str]) -> list[str]:
    """`auth` stands for all digest identities in no particular order: sort neighbours that may come from it."""
    result: list[str] = []
    run: list[str] = []
    perms = None
    for entry, text in zip(acl, texts, strict=True):
        if entry.scheme != b"digest" or entry.perms != perms:
            result += sorted(run)
            run = []
        perms = entry.perms
        run.append(text)
    return result + sorted(run)


def is_event(frame: bytes) -> bool:
    """Does this frame carry a watch event?"""
    return frame[:4] == b"\xff\xff\xff\xff"
