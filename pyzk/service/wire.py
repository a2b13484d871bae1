"""Reply and event frames, encoded in one step. Source: docs/protocol/client-protocol.md sections 3 and 7."""

from struct import Struct

from pyzk.codec.opcodes import STATE_SYNC_CONNECTED, XID_NOTIFICATION, EventType

REPLY = Struct(">iiqi")
"""Frame length, xid, zxid, err."""
REPLY_HEADER_SIZE = 16
EVENT = Struct(">iiqiiii")
"""Frame length, xid, zxid, err, type, state, length of the path."""
EVENT_SIZE = 28

CATCH_UP_ZXID = -1
"""Zxid of the events with which setWatches tells what was missed."""


def reply(xid: int, zxid: int, err: int, body: bytes = b"") -> bytes:
    """A reply frame; an error has no body (one exception: client-protocol.md section 6.3)."""
    return REPLY.pack(REPLY_HEADER_SIZE + len(body), xid, zxid, err) + body


def event(event_type: EventType, path: bytes, zxid: int) -> bytes:
    """A notification frame."""
    size = EVENT_SIZE + len(path)
    return EVENT.pack(size, XID_NOTIFICATION, zxid, 0, event_type, STATE_SYNC_CONNECTED, len(path)) + path
