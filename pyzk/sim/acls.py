"""Who may do what, as the reference model sees it: small enough to be seen to be right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.codec.opcodes import OpCode, Perms
from pyzk.tree.acl import SUPER
from pyzk.tree.paths import parent_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyzk.codec.records import ACL
    from pyzk.tree.acl import Identity

AcList = tuple["ACL", ...]
ADDRESS = "10.1.0.1"
"""Of every client."""
NETWORK = b"10.1."
"""Every entry of scheme ip means clients that have it in front, or nobody."""
ABOVE = frozenset({OpCode.CREATE, OpCode.CREATE2, OpCode.CREATE_CONTAINER, OpCode.CREATE_TTL, OpCode.DELETE})
"""What is decided by the ACL of the znode above."""
NEEDED = {
    OpCode.SET_DATA: Perms.WRITE,
    OpCode.SET_ACL: Perms.ADMIN,
    OpCode.DELETE: Perms.DELETE,
    OpCode.CREATE: Perms.CREATE,
    OpCode.CREATE2: Perms.CREATE,
    OpCode.CREATE_CONTAINER: Perms.CREATE,
    OpCode.CREATE_TTL: Perms.CREATE,
    OpCode.GET_DATA: Perms.READ,
    OpCode.GET_CHILDREN: Perms.READ,
    OpCode.GET_CHILDREN2: Perms.READ,
    OpCode.GET_ALL_CHILDREN_NUMBER: Perms.READ,
    OpCode.GET_ACL: Perms.READ | Perms.ADMIN,
}


def permits(acl: Collection[ACL], perms: int, identities: Collection[Identity]) -> bool:
    """Whether somebody who is all these may do what any bit of `perms` stands for."""
    is_super = any(scheme == SUPER for scheme, _ in identities)
    return is_super or any(entry.perms & perms and _is_meant(entry, identities) for entry in acl)


def _is_meant(entry: ACL, identities: Collection[Identity]) -> bool:
    if entry.scheme == b"ip":
        return (entry.id or b"").startswith(NETWORK)
    return entry.scheme == b"world" or (entry.scheme, entry.id) in identities


def guarded_path(opcode: int, path: bytes) -> bytes:
    """The znode whose ACL decides about a request."""
    return parent_of(path) if opcode in ABOVE and path != b"/" else path
