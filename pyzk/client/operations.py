"""Requests from what users write (str paths, modes), and what users get from replies.

An operation is a pair of opcode and record: what `Client` sends, and what a multi or multiRead is made of.
"""

import base64
import hashlib
from collections.abc import Sequence

from pyzk.client.calls import request_error
from pyzk.codec.opcodes import TTL_MODES, CreateMode, OpCode, Perms
from pyzk.codec.record import Record
from pyzk.codec.records import ACL, Stat, open_acl
from pyzk.codec.replies import ChildrenReply, DataReply, ErrorReply, PathReply, PathStatReply, StatReply
from pyzk.codec.requests import (
    CreateRequest,
    CreateTTLRequest,
    PathVersionRequest,
    PathWatchRequest,
    SetDataRequest,
)
from pyzk.errors import RequestError, RuntimeInconsistencyError

Operation = tuple[OpCode, Record]
Result = str | Stat | tuple[str, Stat] | tuple[bytes | None, Stat] | list[str] | RequestError | None

VERSION_ANY = -1


def to_bytes(text: str) -> bytes:
    """UTF-8. Bytes that came as invalid UTF-8 go back as they came."""
    return text.encode("utf-8", "surrogateescape")


def to_text(raw: bytes | None) -> str:
    """The str of raw UTF-8; "" for null."""
    return (raw or b"").decode("utf-8", "surrogateescape")


def make_acl(perms: int = Perms.ALL, scheme: str = "world", id: str = "anyone") -> ACL:  # noqa: A002 the wire's name
    """One ACL entry."""
    return ACL(int(perms), to_bytes(scheme), to_bytes(id))


def digest_acl(user: str, password: str, perms: int = Perms.ALL) -> ACL:
    """An ACL entry for whoever authenticates with `add_auth("digest", "user:password")`."""
    digest = hashlib.sha1(to_bytes(f"{user}:{password}")).digest()  # noqa: S324 the protocol says SHA-1
    return make_acl(perms, "digest", f"{user}:{base64.b64encode(digest).decode()}")


def create(
    path: str,
    data: bytes | None = b"",
    *,
    mode: CreateMode = CreateMode.PERSISTENT,
    ttl_ms: int | None = None,
    acl: Sequence[ACL] | None = None,
    stat: bool = False,
) -> Operation:
    """Create a znode. The opcode follows from the mode, because the server stores what the opcode says.

    Args:
        path: its path; sequential modes append ten digits.
        data: its data; None is stored as null.
        mode: persistent, ephemeral, sequential, container, with TTL.
        ttl_ms: for modes with TTL: how long it may stay unchanged.
        acl: who may do what; everybody everything by default.
        stat: whether to answer with (path, Stat) or with the path alone; containers and TTL nodes always do the first.
    """
    if (ttl_ms is not None) != (mode in TTL_MODES):
        raise ValueError("ttl_ms belongs to the modes PERSISTENT_WITH_TTL and PERSISTENT_SEQUENTIAL_WITH_TTL")
    acls = open_acl() if acl is None else list(acl)
    if ttl_ms is not None:
        return OpCode.CREATE_TTL, CreateTTLRequest(to_bytes(path), data, acls, mode, ttl_ms)
    opcode = OpCode.CREATE2 if stat else OpCode.CREATE
    if mode is CreateMode.CONTAINER:
        opcode = OpCode.CREATE_CONTAINER
    return opcode, CreateRequest(to_bytes(path), data, acls, mode)


def delete(path: str, version: int = VERSION_ANY) -> Operation:
    """Delete a znode if it has this version."""
    return OpCode.DELETE, PathVersionRequest(to_bytes(path), version)


def set_data(path: str, data: bytes | None, version: int = VERSION_ANY) -> Operation:
    """Replace the data of a znode if it has this version."""
    return OpCode.SET_DATA, SetDataRequest(to_bytes(path), data, version)


def check(path: str, version: int = VERSION_ANY) -> Operation:
    """Let a multi fail unless the znode exists and has this version."""
    return OpCode.CHECK, PathVersionRequest(to_bytes(path), version)


def get_data(path: str) -> Operation:
    """Data and Stat, in a multiRead."""
    return OpCode.GET_DATA, PathWatchRequest(to_bytes(path), watch=False)


def get_children(path: str) -> Operation:
    """Names of the children, in a multiRead."""
    return OpCode.GET_CHILDREN, PathWatchRequest(to_bytes(path), watch=False)


def result_of(operation: Operation, reply: Record) -> Result:
    """What a user gets for one op of a multi or multiRead; for one that failed or was undone, its exception."""
    match reply:
        case ErrorReply(err):
            return _error_of(operation, err)
        case PathStatReply(path, stat):
            return to_text(path), stat
        case PathReply(path):
            return to_text(path)
        case StatReply(stat):
            return stat
        case DataReply(data, stat):
            return data, stat
        case ChildrenReply(children):
            return [to_text(name) for name in children or []]
        case _:
            return None


def _error_of(operation: Operation, err: int) -> RequestError:
    opcode, record = operation
    what = f"{opcode.name.lower()} {to_text(getattr(record, 'path', None))}"
    if err in {0, RuntimeInconsistencyError.code}:
        # Code 0 stands for an op before the one that failed, -2 for one behind it. Neither has happened.
        return RuntimeInconsistencyError(f"{what}: not done, because another op of the multi failed")
    return request_error(err, what)


def first_failure(results: Sequence[Result]) -> RequestError | None:
    """The error because of which a multi failed, if it did."""
    failures = [result for result in results if isinstance(result, RequestError)]
    causes = [error for error in failures if not isinstance(error, RuntimeInconsistencyError)]
    return next(iter(causes or failures), None)
