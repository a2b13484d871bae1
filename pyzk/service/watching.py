"""The opcodes about watches: add, check, remove, and setting them again after a reconnect.

Source: docs/protocol/client-protocol.md section 7, docs/protocol/data-model.md section 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.codec.jute import INT32, INT64
from pyzk.codec.opcodes import AddWatchMode, EventType
from pyzk.codec.records import STRINGS
from pyzk.codec.requests import PathTypeRequest
from pyzk.errors import MarshallingError, NoWatcherError
from pyzk.service.wire import CATCH_UP_ZXID, event
from pyzk.tree.node import stat_of

if TYPE_CHECKING:
    from pyzk.codec.jute import Reader
    from pyzk.service.connection import Connection
    from pyzk.service.service import Service
    from pyzk.tree.acl import Identity

    Identities = tuple[Identity, ...]

MZXID_OFFSET = 8
PZXID_OFFSET = 60
"""Where these stand in a Stat."""


def check_watches(service: Service, state: Connection, body: Reader, identities: Identities) -> bytes:  # noqa: ARG001
    """Is there such a watch of this connection?"""
    request = PathTypeRequest.decode(body)
    if not service.watches.check(state.id, request.path or b"", request.type):
        raise NoWatcherError
    return b""


def remove_watches(service: Service, state: Connection, body: Reader, identities: Identities) -> bytes:  # noqa: ARG001
    """Take such watches of this connection away."""
    request = PathTypeRequest.decode(body)
    if not service.watches.remove(state.id, request.path or b"", request.type):
        raise NoWatcherError
    return b""


def add_watch(service: Service, state: Connection, body: Reader, identities: Identities) -> bytes:  # noqa: ARG001
    """Leave a persistent watch; the znode need not exist."""
    request = PathTypeRequest.decode(body)
    path = request.path or b""
    if request.type == AddWatchMode.PERSISTENT:
        service.watches.add_persistent(state.id, path)
    elif request.type == AddWatchMode.PERSISTENT_RECURSIVE:
        service.watches.add_recursive(state.id, path)
    else:
        raise MarshallingError(f"addWatch mode {request.type}")
    return INT32.pack(0)


def set_watches(service: Service, state: Connection, body: Reader, identities: Identities) -> bytes:  # noqa: ARG001
    """One-shot watches of a client that has reconnected: tell at once what it missed, leave the others."""
    _catch_up(service, state, body.int64(), [_paths(body) for _ in range(3)])
    return b""


def set_watches2(service: Service, state: Connection, body: Reader, identities: Identities) -> bytes:  # noqa: ARG001
    """As setWatches, with persistent ones, for which nothing is told."""
    relative_zxid = body.int64()
    one_shot = [_paths(body) for _ in range(3)]
    persistent, recursive = _paths(body), _paths(body)
    _catch_up(service, state, relative_zxid, one_shot)
    for path in persistent:
        service.watches.add_persistent(state.id, path)
    for path in recursive:
        service.watches.add_recursive(state.id, path)
    return b""


def _paths(body: Reader) -> list[bytes]:
    paths = STRINGS.read(body)
    if paths is None or None in paths:
        raise MarshallingError("a null list or path in setWatches")
    found: list[bytes] = paths
    return found


def _catch_up(service: Service, state: Connection, relative_zxid: int, one_shot: list[list[bytes]]) -> None:
    data, exist, child = one_shot
    for path in data:
        _catch_up_one(service, state, path, relative_zxid, MZXID_OFFSET)
    for path in exist:
        if _stat(service, path) is None:
            service.watches.add_data(state.id, path)
        else:
            service.send(state, event(EventType.NODE_CREATED, path, CATCH_UP_ZXID))
    for path in child:
        _catch_up_one(service, state, path, relative_zxid, PZXID_OFFSET)


def _catch_up_one(service: Service, state: Connection, path: bytes, relative_zxid: int, offset: int) -> None:
    """A data or child watch: `offset` says which zxid of the Stat tells of the change."""
    is_data = offset == MZXID_OFFSET
    stat = _stat(service, path)
    if stat is None:
        service.send(state, event(EventType.NODE_DELETED, path, CATCH_UP_ZXID))
    elif INT64.unpack_from(stat, offset)[0] > relative_zxid:
        changed = EventType.NODE_DATA_CHANGED if is_data else EventType.NODE_CHILDREN_CHANGED
        service.send(state, event(changed, path, CATCH_UP_ZXID))
    elif is_data:
        service.watches.add_data(state.id, path)
    else:
        service.watches.add_child(state.id, path)


def _stat(service: Service, path: bytes) -> bytes | None:
    node = service.tree.nodes.get(path or b"/")
    return None if node is None else stat_of(node)
