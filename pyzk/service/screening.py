"""Writes that an ACL forbids are refused where they come in, and take no txn (enableEagerACLCheck).

Source: docs/protocol/client-protocol.md section 9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.codec.opcodes import OpCode, Perms
from pyzk.codec.requests import CreateRequest, SetACLRequest
from pyzk.errors import BadArgumentsError, InvalidAclError, NoAuthError, RequestError
from pyzk.service.door import read_request
from pyzk.service.wire import reply
from pyzk.service.writes import body_of
from pyzk.tree.paths import parent_of
from pyzk.tree.query import find

if TYPE_CHECKING:
    from pyzk.service.connection import Connection
    from pyzk.service.service import Service
    from pyzk.service.writes import Write, Writes

PERMS = {
    OpCode.CREATE: Perms.CREATE,
    OpCode.CREATE2: Perms.CREATE,
    OpCode.DELETE: Perms.DELETE,
    OpCode.SET_DATA: Perms.WRITE,
    OpCode.SET_ACL: Perms.ADMIN,
}
"""What is looked at, as in Apache: not what a multi has in it, nor creates of containers and with a TTL."""
OF_THE_PARENT = Perms.CREATE | Perms.DELETE


def screened(writes: Writes) -> Writes:
    """The table of handlers with this check in front."""
    return {**writes, **{opcode: _screen(writes[opcode]) for opcode in PERMS}}


def _screen(write: Write) -> Write:
    def screen(service: Service, state: Connection, xid: int, opcode: int, frame: bytes, now: float) -> None:
        # Differs from Apache: what the session has under way may change the ACL, so the leader decides about the rest.
        refused = 0 if state.queue else _verdict(service, state, opcode, frame)
        if refused:
            service.send(state, reply(xid, 0, refused))
        else:
            write(service, state, xid, opcode, frame, now)

    return screen


def _verdict(service: Service, state: Connection, opcode: int, frame: bytes) -> int:
    """The code of what the ACLs of this server's tree say; 0 where the leader is to look at it."""
    try:
        _check(service, state, opcode, frame)
    except (NoAuthError, InvalidAclError) as error:
        return error.code
    except RequestError:
        return 0
    return 0


def _check(service: Service, state: Connection, opcode: int, frame: bytes) -> None:
    record = read_request(opcode, body_of(service, frame))
    if isinstance(record, CreateRequest | SetACLRequest):
        service.access.fix_up(record.acl, state.identities)
    path: bytes | None = record.path  # type: ignore[attr-defined]
    perms = PERMS[OpCode(opcode)]
    if path is not None and perms & OF_THE_PARENT:
        if b"/" not in path:
            raise BadArgumentsError("no slash in the path")
        path = parent_of(path)
    find(service.tree, service.access, path, perms, state.identities)
