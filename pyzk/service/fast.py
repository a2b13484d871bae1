"""The reads that make up most of the traffic, served from the bytes of the frame without building a record.

Each handler answers the whole reply frame, or None for whatever is not plain: an error, an ACL to check, a null path.
The general way through `reads` then gives the same answer. Nothing here may be slower than needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pyzk.codec.jute import INT32, INT64
from pyzk.codec.opcodes import XID_PING, OpCode
from pyzk.service.wire import REPLY, REPLY_HEADER_SIZE
from pyzk.tree.node import ACL_OFFSET, LEAF_TAIL_SIZE, PRIVATE_SIZE

if TYPE_CHECKING:
    from pyzk.service.connection import Connection
    from pyzk.service.counters import Namespaces
    from pyzk.service.service import Service

Fast = Callable[["Service", "Connection", int, bytes, int, int], bytes | None]
"""Service, connection, xid, received bytes, where the body begins, where the frame ends."""


def get_data(service: Service, state: Connection, xid: int, data: bytes, start: int, stop: int) -> bytes | None:
    """GetData of a leaf."""
    if stop - start < 5:
        return None
    (length,) = INT32.unpack_from(data, start)
    if length != stop - start - 5:
        return None
    tree = service.tree
    path = data[start + 4 : stop - 1]
    leaf = tree.nodes.get(path)
    if not isinstance(leaf, bytes) or INT64.unpack_from(leaf, len(leaf) - ACL_OFFSET)[0] not in tree.acls.open:
        return None
    if data[stop - 1]:
        service.watches.add_data(state.id, path)
    size = len(leaf) - PRIVATE_SIZE
    return REPLY.pack(REPLY_HEADER_SIZE + size, xid, tree.last_zxid, 0) + leaf[:size]


def exists(service: Service, state: Connection, xid: int, data: bytes, start: int, stop: int) -> bytes | None:
    """Exists of a leaf."""
    if stop - start < 5:
        return None
    (length,) = INT32.unpack_from(data, start)
    if length != stop - start - 5:
        return None
    tree = service.tree
    path = data[start + 4 : stop - 1]
    leaf = tree.nodes.get(path)
    if not isinstance(leaf, bytes) or INT64.unpack_from(leaf, len(leaf) - ACL_OFFSET)[0] not in tree.acls.open:
        return None
    if data[stop - 1]:
        service.watches.add_data(state.id, path)
    head = REPLY.pack(REPLY_HEADER_SIZE + LEAF_TAIL_SIZE - PRIVATE_SIZE, xid, tree.last_zxid, 0)
    return head + leaf[-LEAF_TAIL_SIZE:-PRIVATE_SIZE]


def ping(service: Service, state: Connection, xid: int, data: bytes, start: int, stop: int) -> bytes | None:  # noqa: ARG001
    """ping: the reply carries xid -2, whatever came."""
    return REPLY.pack(REPLY_HEADER_SIZE, XID_PING, service.tree.last_zxid, 0)


def _counting(handler: Fast, namespaces: Namespaces) -> Fast:
    def count(service: Service, state: Connection, xid: int, data: bytes, start: int, stop: int) -> bytes | None:
        encoded = handler(service, state, xid, data, start, stop)
        if encoded is not None:
            path = data[start + 4 : stop - 1]
            namespaces.note_read(path, len(path) + len(encoded) - REPLY_HEADER_SIZE)
        return encoded

    return count


def counting_fast(namespaces: Namespaces) -> dict[int, Fast]:
    """The same handlers, with what they read counted."""
    return {
        opcode: handler if opcode == OpCode.PING else _counting(handler, namespaces) for opcode, handler in FAST.items()
    }


FAST: dict[int, Fast] = {OpCode.GET_DATA: get_data, OpCode.EXISTS: exists, OpCode.PING: ping}
NOTHING: dict[int, Fast] = {}
"""For clients that must authenticate first: all that they ask is looked at."""
