"""What a reply to a read must show: exactly the state at its zxid, and to nobody whom an ACL keeps out.

One function per kind of reply, found through a table. Source: docs/protocol/client-protocol.md section 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pyzk.codec.opcodes import OpCode, Perms
from pyzk.codec.replies import (
    AclReply,
    Children2Reply,
    ChildrenReply,
    CountReply,
    DataReply,
    EphemeralsReply,
    ErrorReply,
    MultiReply,
    StatReply,
    WhoAmIReply,
)
from pyzk.codec.requests import MultiRequest
from pyzk.sim.acls import NEEDED, permits
from pyzk.sim.model import RESERVED, ROOT
from pyzk.sim.sequence import require

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.codec.record import Record
    from pyzk.codec.records import ACL
    from pyzk.sim.promises import Asked, Promises

    Check = Callable[[Promises, Asked, bytes, int, Record], None]

Reply = TypeVar("Reply", bound="Record")
INVARIANT = "a read shows the state at its zxid"


def check(promises: Promises, asked: Asked, reply: Record, place: int) -> None:
    """A read is answered with the state at a place."""
    _check_one(promises, asked, asked.path, place, reply)
    needed = NEEDED.get(asked.opcode)
    if needed is not None:
        what = f"{promises.name}: {asked.opcode.name} of {asked.path!r} at {place}"
        require(promises.may(needed, asked.path, place), "ACLs keep strangers out", what)


def _check_one(promises: Promises, asked: Asked, path: bytes, place: int, reply: Record) -> None:
    found = CHECKS.get(type(reply))
    if found is not None:
        found(promises, asked, path, place, reply)


def _require(promises: Promises, holds: bool, what: str) -> None:  # noqa: FBT001 - a statement, not a flag
    require(holds, INVARIANT, f"{promises.name}: {what}")


def _data(promises: Promises, asked: Asked, path: bytes, place: int, reply: DataReply) -> None:
    node = promises.model.node(path, place)
    is_same = node is not None and (node.data, node.version) == (reply.data, reply.stat.version)
    _require(promises, is_same, f"{path!r} at {place}: {reply.data!r} {reply.stat.version}, not {node}")
    _stat(promises, asked, path, place, StatReply(reply.stat))


def _stat(promises: Promises, asked: Asked, path: bytes, place: int, reply: StatReply) -> None:  # noqa: ARG001
    node, stat = promises.model.node(path, place), reply.stat
    is_same = node is not None and (node.version, node.owner) == (stat.version, stat.ephemeral_owner)
    _require(promises, is_same, f"{path!r} at {place}: {stat}, not {node}")


def _children(promises: Promises, asked: Asked, path: bytes, place: int, reply: ChildrenReply | Children2Reply) -> None:
    names = tuple(sorted({name or b"" for name in reply.children or ()} - ({RESERVED[1:]} if path == ROOT else set())))
    found = promises.model.children(path, place)
    _require(promises, names == found, f"{path!r} at {place}: {names}, not {found}")
    if isinstance(reply, Children2Reply):
        _stat(promises, asked, path, place, StatReply(reply.stat))


def _acl(promises: Promises, asked: Asked, path: bytes, place: int, reply: AclReply) -> None:
    """Who may not administer the znode does not see the hashes."""
    shown, acl = list(reply.acl or ()), promises.model.acl(path, place)
    is_hidden = shown == list(map(_without_hash, acl)) and not permits(acl, Perms.ADMIN, asked.identities)
    is_plain = shown == list(acl) and promises.may(Perms.ADMIN, path, place)
    _require(promises, is_hidden or is_plain, f"the ACL of {path!r} at {place}: {shown}, not {acl}")


def _without_hash(entry: ACL) -> ACL:
    if entry.scheme != b"digest":
        return entry
    return type(entry)(entry.perms, entry.scheme, (entry.id or b"").partition(b":")[0] + b":x")


def _ephemerals(promises: Promises, asked: Asked, path: bytes, place: int, reply: EphemeralsReply) -> None:
    found = [owned for owned in promises.model.ephemerals(asked.session_id, place) if owned.startswith(path)]
    shown = sorted(found_path or b"" for found_path in reply.paths or ())
    _require(promises, shown == found, f"ephemerals below {path!r} at {place}: {shown}, not {found}")


def _count(promises: Promises, asked: Asked, path: bytes, place: int, reply: CountReply) -> None:  # noqa: ARG001
    found = len(promises.model.below(path, place))
    if path == ROOT:
        return  # with all that is the servers' own
    _require(promises, reply.count == found, f"below {path!r} at {place}: {reply.count}, not {found}")


def _identities(promises: Promises, asked: Asked, path: bytes, place: int, reply: WhoAmIReply) -> None:  # noqa: ARG001
    shown = {(info.scheme, info.user) for info in reply.identities or ()}
    least, most = ({_user(*identity) for identity in known} for known in (asked.identities, promises.identities))
    is_right = least <= shown <= most
    require(is_right, "clients are who they have shown to be", f"{promises.name}: {shown}, not {least} to {most}")


def _user(scheme: bytes, name: bytes) -> tuple[bytes, bytes]:
    return scheme, name.partition(b":")[0] if scheme == b"digest" else name


def _multi(promises: Promises, asked: Asked, path: bytes, place: int, reply: MultiReply) -> None:  # noqa: ARG001
    """Each read of its own; what failed was not there, or not for this client."""
    if asked.opcode != OpCode.MULTI_READ:
        return
    assert isinstance(asked.record, MultiRequest)
    for (opcode, read), (_, result) in zip(asked.record.ops, reply.results, strict=True):
        inner: bytes = getattr(read, "path", b"")
        if not isinstance(result, ErrorReply):
            _check_one(promises, asked, inner, place, result)
            _require(promises, promises.may(NEEDED[OpCode(opcode)], inner, place), f"{inner!r} is not for it")
            continue
        is_hidden = not permits(promises.model.acl(inner, place), NEEDED[OpCode(opcode)], asked.identities)
        is_gone = promises.model.node(inner, place) is None
        _require(promises, is_gone or is_hidden, f"{inner!r} at {place} in a multiRead: {result.err}")


CHECKS: dict[type, Callable[..., None]] = {
    AclReply: _acl,
    Children2Reply: _children,
    ChildrenReply: _children,
    CountReply: _count,
    DataReply: _data,
    EphemeralsReply: _ephemerals,
    MultiReply: _multi,
    StatReply: _stat,
    WhoAmIReply: _identities,
}
