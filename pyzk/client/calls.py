"""Requests on their way: their xids, their frames, and which of them a reply answers.

Source: docs/protocol/client-protocol.md section 3.
"""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from struct import Struct
from typing import Any

from pyzk import errors
from pyzk.codec.opcodes import XID_PING, OpCode
from pyzk.codec.record import Record
from pyzk.codec.records import ReplyHeader
from pyzk.errors import DecodeError, RequestError

XID_MAX = 0x7FFFFFFF
_FRAME_AND_HEADER = Struct(">iii")


@dataclass(slots=True)
class Identity:
    """Credentials, sent on every connection. `token` is answered once; `accepted` from then on."""

    scheme: bytes
    auth: bytes
    token: Any
    accepted: bool = False


@dataclass(slots=True)
class Call:
    """A request. `record` is None for raw ones; those of the session's `own` have no token and fail unnoticed."""

    opcode: int
    body: bytes
    token: Any = None
    record: Record | None = None
    watcher: Hashable = None
    identity: Identity | None = None
    own: bool = False
    xid: int = 0


class Outstanding:
    """What was sent on the present connection and has no reply yet, in order."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()
        self._xid = 0

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Call) -> bytes:
        """Append the call and return its frame."""
        if call.opcode == OpCode.PING:
            call.xid = XID_PING  # the reply has this one, whatever is sent
        elif not call.xid:
            # Xids start again with every connection, as kazoo's do: no reply outlives its connection, and servers must
            # cope with it (design.md section 3, rule 8), so our own tests should exercise it.
            self._xid = call.xid = self._xid % XID_MAX + 1
        self._calls.append(call)
        return _FRAME_AND_HEADER.pack(8 + len(call.body), call.xid, call.opcode) + call.body

    def match(self, header: ReplyHeader) -> Call:
        """Take out the call that this answers: the oldest, unless the reply was made ahead of the server's queue.

        Such replies (auth, sasl, refusals) have zxid 0 or -1. Raises DecodeError for any other reply out of order.
        """
        if self._calls and self._calls[0].xid == header.xid:
            return self._calls.popleft()
        for index, call in enumerate(self._calls):
            if call.xid == header.xid and header.zxid <= 0:
                del self._calls[index]
                return call
        expected = self._calls[0].xid if self._calls else "none"
        raise DecodeError(f"reply to xid {header.xid}, expected {expected}")

    def take_all(self) -> list[Call]:
        """The connection has ended: everything without a reply, in order. The next xid is 1."""
        calls, self._calls, self._xid = list(self._calls), deque(), 0
        return calls


def request_error(err: int, what: str) -> RequestError:
    """The exception of a wire code; `what` says which request failed."""
    kind = errors.BY_CODE.get(err)
    return kind(what) if kind is not None else errors.SystemRequestError(f"{what}: unknown error {err}")
