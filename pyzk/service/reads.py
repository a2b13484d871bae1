"""Reads and everything else that is answered without a txn: one function per opcode, found through a table.

A handler takes the service, the connection, the body of the request and the identities to check, and answers the body
of the reply; it raises RequestError or DecodeError. Source: docs/protocol/client-protocol.md sections 5.6 to 5.8, 6.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.codec.jute import pack_buffer
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ClientInfo
from pyzk.codec.replies import WhoAmIReply
from pyzk.codec.requests import MultiRequest
from pyzk.errors import NoNodeError
from pyzk.service import watching
from pyzk.service.watches import Watches
from pyzk.tree import query

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.codec.jute import Reader
    from pyzk.service.connection import Connection
    from pyzk.service.service import Service
    from pyzk.tree.acl import Identity

    Identities = tuple[Identity, ...]
    Handler = Callable[[Service, Connection, Reader, Identities], bytes]


def _exists(service: Service, state: Connection, body: Reader, identities: Identities) -> bytes:
    """Exists leaves its watch also where there is no znode."""
    path, watch = body.buffer(), body.boolean()
    try:
        stat = query.exists(service.tree, service.access, path, identities)
    except NoNodeError:
        if watch and path is not None:
            service.watches.add_data(state.id, path)
        raise
    if watch and path is not None:
        service.watches.add_data(state.id, path)
    return stat


def _plain(read: query.Read) -> Handler:
    """A read of a path that leaves no watch."""

    def handle(service: Service, state: Connection, body: Reader, identities: Identities) -> bytes:  # noqa: ARG001
        return read(service.tree, service.access, body.buffer(), identities)

    return handle


def _watching(read: query.Read, add_watch: Callable[[Watches, int, bytes], None]) -> Handler:
    """A read of a path that leaves a watch when it succeeds and is asked to."""

    def handle(service: Service, state: Connection, body: Reader, identities: Identities) -> bytes:
        path, watch = body.buffer(), body.boolean()
        found = read(service.tree, service.access, path, identities)
        if watch and path is not None:
            add_watch(service.watches, state.id, path)
        return found

    return handle


def _get_ephemerals(service: Service, state: Connection, body: Reader, identities: Identities) -> bytes:  # noqa: ARG001
    return query.get_ephemerals(service.tree, state.session_id, body.buffer())


def _multi_read(service: Service, state: Connection, body: Reader, identities: Identities) -> bytes:  # noqa: ARG001
    return query.multi_read(service.tree, service.access, MultiRequest.decode(body), identities)


def _sync(service: Service, state: Connection, body: Reader, identities: Identities) -> bytes:  # noqa: ARG001
    return pack_buffer(body.buffer())


def _ping(service: Service, state: Connection, body: Reader, identities: Identities) -> bytes:  # noqa: ARG001
    return b""


def _who_am_i(service: Service, state: Connection, body: Reader, identities: Identities) -> bytes:  # noqa: ARG001
    infos = [ClientInfo(scheme, _user(scheme, name)) for scheme, name in identities]
    return WhoAmIReply(infos).encode()


def _user(scheme: bytes, name: bytes) -> bytes:
    if scheme == b"super":
        return b""
    return name.split(b":", 1)[0] if scheme == b"digest" else name


READS: dict[int, Handler] = {
    OpCode.EXISTS: _exists,
    OpCode.GET_DATA: _watching(query.get_data, Watches.add_data),
    OpCode.GET_CHILDREN: _watching(query.get_children, Watches.add_child),
    OpCode.GET_CHILDREN2: _watching(query.get_children2, Watches.add_child),
    OpCode.GET_ACL: _plain(query.get_acl),
    OpCode.GET_ALL_CHILDREN_NUMBER: _plain(query.get_all_children_number),
    OpCode.GET_EPHEMERALS: _get_ephemerals,
    OpCode.MULTI_READ: _multi_read,
    OpCode.SYNC: _sync,
    OpCode.PING: _ping,
    OpCode.WHO_AM_I: _who_am_i,
    OpCode.CHECK_WATCHES: watching.check_watches,
    OpCode.REMOVE_WATCHES: watching.remove_watches,
    OpCode.ADD_WATCH: watching.add_watch,
    OpCode.SET_WATCHES: watching.set_watches,
    OpCode.SET_WATCHES2: watching.set_watches2,
}
