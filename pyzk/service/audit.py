"""The audit log: who changed what, from where, with what result; one record for each write that is answered here.

A record is written when the txn of a request is applied, by the server to which the client is connected. What is
refused at the door has asked for nothing that could have been done, and is not told. Secrets never get here: of a
digest identity only the user's name is told.
Source: docs/protocol/operations.md section 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyzk.codec.opcodes import CreateMode, OpCode, Perms
from pyzk.codec.requests import (
    CreateRequest,
    CreateTTLRequest,
    MultiRequest,
    PathVersionRequest,
    ReconfigRequest,
    SetACLRequest,
    SetDataRequest,
)
from pyzk.tree.acl import SUPER

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from pyzk.codec.record import Record
    from pyzk.codec.records import ACL
    from pyzk.tree.acl import Identity
    from pyzk.tree.apply import Applied
    from pyzk.tree.request import Request

SUCCESS, FAILURE = "success", "failure"
MASK = 0xFFFFFFFFFFFFFFFF
PERMISSIONS = ((Perms.CREATE, "c"), (Perms.DELETE, "d"), (Perms.READ, "r"), (Perms.WRITE, "w"), (Perms.ADMIN, "a"))
EPHEMERAL_ENDED = "ephemeralZNodeDeletionOnSessionCloseOrExpire"
ZNODE_TYPES = {
    CreateMode.PERSISTENT: "persistent",
    CreateMode.EPHEMERAL: "ephemeral",
    CreateMode.PERSISTENT_SEQUENTIAL: "persistent_sequential",
    CreateMode.EPHEMERAL_SEQUENTIAL: "ephemeral_sequential",
    CreateMode.CONTAINER: "container",
    CreateMode.PERSISTENT_WITH_TTL: "persistent_with_ttl",
    CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL: "persistent_sequential_with_ttl",
}


class AuditRecord(NamedTuple):
    """One line; what is empty is left out."""

    operation: str
    result: str
    session: str = ""
    user: str = ""
    ip: str = ""
    znode: str = ""
    znode_type: str = ""
    acl: str = ""

    def text(self) -> str:
        """Fields in Apache's order, with a TAB between them."""
        pairs = (
            ("session", self.session),
            ("user", self.user),
            ("ip", self.ip),
            ("operation", self.operation),
            ("znode", self.znode),
            ("znode_type", self.znode_type),
            ("acl", self.acl),
            ("result", self.result),
        )
        return "\t".join([f"{name}={_one_line(value)}" for name, value in pairs if value])


def _one_line(value: str) -> str:
    """Nobody may write lines of his own into the log by the name of a znode."""
    return value if value.isprintable() else value.encode("unicode_escape").decode("ascii")


class Change(NamedTuple):
    """What one operation says of itself."""

    operation: str
    znode: bytes | None
    znode_type: str = ""
    acl: str = ""


def _create(record: Record) -> Change:
    assert isinstance(record, CreateRequest | CreateTTLRequest)
    return Change("create", record.path, ZNODE_TYPES.get(record.flags, ""))  # type: ignore[call-overload]


def _delete(record: Record) -> Change:
    assert isinstance(record, PathVersionRequest)
    return Change("delete", record.path)


def _set_data(record: Record) -> Change:
    assert isinstance(record, SetDataRequest)
    return Change("setData", record.path)


def _set_acl(record: Record) -> Change:
    assert isinstance(record, SetACLRequest)
    return Change("setAcl", record.path, acl=acl_text(record.acl or []))


def _reconfig(record: Record) -> Change:
    assert isinstance(record, ReconfigRequest)
    return Change("reconfig", None)


CHANGES: dict[int, Callable[[Record], Change]] = {
    OpCode.CREATE: _create,
    OpCode.CREATE2: _create,
    OpCode.CREATE_CONTAINER: _create,
    OpCode.CREATE_TTL: _create,
    OpCode.DELETE: _delete,
    OpCode.SET_DATA: _set_data,
    OpCode.SET_ACL: _set_acl,
    OpCode.RECONFIG: _reconfig,
}


def acl_text(acl: Sequence[ACL]) -> str:
    """Entries without anything between them, as Apache writes them; of a digest only the user."""
    return "".join([f"{_text(entry.scheme)}:{_shown_id(entry)}:{_permissions(entry.perms)}" for entry in acl])


def _shown_id(entry: ACL) -> str:
    """Differs from Apache: the hash of a password is nobody's business in a log."""
    return _user(entry.id) if entry.scheme == b"digest" else _text(entry.id)


def _permissions(perms: int) -> str:
    return "".join([letter for bit, letter in PERMISSIONS if perms & bit])


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "backslashreplace")


def _user(identity: bytes | None) -> str:
    return _text(identity).partition(":")[0]


def users(identities: Collection[Identity]) -> str:
    """Who a client is, one for each scheme it has shown itself in."""
    return ",".join(
        [_user(name) if scheme == b"digest" else _text(name) for scheme, name in identities if scheme != SUPER]
    )


def session_text(session_id: int) -> str:
    """As Apache writes it."""
    return f"0x{session_id & MASK:x}"


def records(request: Request, address: str, err: int, created: Sequence[bytes | None] = ()) -> Iterator[AuditRecord]:
    """What is to be written about a request that was answered.

    Args:
        request: of a client.
        address: where it came from.
        err: 0 if it was granted.
        created: the final paths of what it has created, in order.
    """
    who = (session_text(request.session_id), users(request.identities), address)
    result = FAILURE if err else SUCCESS
    if isinstance(request.record, MultiRequest):
        if err:
            yield AuditRecord("multiOperation", result, *who)
            return
        changes = [CHANGES[opcode](record) for opcode, record in request.record.ops if opcode in CHANGES]
    else:
        make = CHANGES.get(request.opcode)
        changes = [] if make is None else [make(request.record)]
    paths = iter(created)
    for change in changes:
        znode = next(paths, None) or change.znode if change.operation == "create" else change.znode
        yield AuditRecord(change.operation, result, *who, _text(znode), change.znode_type, change.acl)


class Auditor:
    """Tells a server's audit log what its service does.

    Args:
        write: takes the records.
        user: who runs the server.
    """

    def __init__(self, write: Callable[[AuditRecord], None], user: str) -> None:
        self._write = write
        self._user = user

    def answered(self, request: Request, address: str, applied: Applied) -> None:
        """A request is answered."""
        if isinstance(request.record, MultiRequest):
            pairs = zip(request.record.ops, applied.results, strict=False)
            created = [result.path for (opcode, _), result in pairs if CHANGES.get(opcode) is _create]
        else:
            created = [applied.path]
        err = applied.err or next((result.err for result in applied.results if result.err), 0)
        for record in records(request, address, err, created):
            self._write(record)

    def session_ends(self, session_id: int, paths: Collection[bytes]) -> None:
        """A session is closed, or has expired: its ephemerals go."""
        for record in ended_ephemerals(session_id, paths, self._user):
            self._write(record)


def ended_ephemerals(session_id: int, paths: Collection[bytes], user: str) -> Iterator[AuditRecord]:
    """What went with a session."""
    for path in paths:
        yield AuditRecord(EPHEMERAL_ENDED, SUCCESS, session_text(session_id), user, znode=_text(path))
