"""Reads: one function per opcode, found through a table. Each answers the body of a reply.

The request comes as the frame's bytes behind the header; watches are the caller's business, who registers them when a
read succeeds (exists: also when there is no znode). Bodies are never bytes of the tree that could change.
Source: docs/protocol/client-protocol.md sections 5.6, 5.8 and 6.3.
"""

from collections.abc import Callable, Collection

from pyzk.codec.jute import INT32, pack_buffer
from pyzk.codec.opcodes import OpCode, Perms
from pyzk.codec.records import ACLS, STRINGS
from pyzk.codec.replies import ErrorReply
from pyzk.codec.requests import MULTI_END, MULTI_REQUESTS, MultiHeader, MultiRequest, PathWatchRequest
from pyzk.errors import BadArgumentsError, MarshallingError, NoAuthError, NoNodeError, RequestError
from pyzk.tree.acl import AccessControl, Identity
from pyzk.tree.node import Branch, Node, body_of, stat_of
from pyzk.tree.tree import Tree, acl_index_of

Identities = Collection[Identity]

MULTI_READ_BYTES_MAX = 16 << 20
"""Results of one multiRead: a request of a megabyte could ask for forty thousand times as much."""


def find(tree: Tree, access: AccessControl, path: bytes | None, perms: int, identities: Identities) -> Node:
    """The znode at `path` ("" is another name of the root), if `identities` may do `perms`.

    Raises:
        MarshallingError: a null path.
        NoNodeError: no such znode.
        NoAuthError: the ACL does not allow it.
    """
    if path is None:
        raise MarshallingError("null path")
    node = tree.nodes.get(path or b"/")
    if node is None:
        raise NoNodeError
    acl = tree.acl_of(node)
    if acl is not None and not access.permits(acl, perms, identities):
        raise NoAuthError
    return node


def exists(tree: Tree, access: AccessControl, path: bytes | None, identities: Identities) -> bytes:
    """The Stat."""
    if path is not None and b"\0" in path:
        raise BadArgumentsError("NUL in the path")
    return stat_of(find(tree, access, path, Perms.READ, identities))


def get_data(tree: Tree, access: AccessControl, path: bytes | None, identities: Identities) -> bytes:
    """Data and Stat."""
    return body_of(find(tree, access, path, Perms.READ, identities))


def get_acl(tree: Tree, access: AccessControl, path: bytes | None, identities: Identities) -> bytes:
    """ACL list, hashes hidden from those who may not administer the znode, and Stat."""
    node = find(tree, access, path, Perms.READ | Perms.ADMIN, identities)
    acl: bytes = ACLS.write(access.shown(tree.acls.get(acl_index_of(node)), identities))
    return acl + stat_of(node)


def get_children(tree: Tree, access: AccessControl, path: bytes | None, identities: Identities) -> bytes:
    """Names of the children."""
    node = find(tree, access, path, Perms.READ, identities)
    return listing(tree, path or b"/", node)


def get_children2(tree: Tree, access: AccessControl, path: bytes | None, identities: Identities) -> bytes:
    """Names of the children, and Stat."""
    node = find(tree, access, path, Perms.READ, identities)
    return listing(tree, path or b"/", node) + stat_of(node)


def get_all_children_number(tree: Tree, access: AccessControl, path: bytes | None, identities: Identities) -> bytes:
    """How many znodes stand below `path`, at any depth."""
    node = find(tree, access, path, Perms.READ, identities)
    return INT32.pack(len(tree.nodes) - 1 if (path or b"/") == b"/" else count_below(tree, node))


def get_ephemerals(tree: Tree, session_id: int, prefix: bytes | None) -> bytes:
    """Ephemeral znodes of a session whose path begins with `prefix`; with null, blank or "/", all of them."""
    paths = tree.ephemerals.get(session_id, {})
    wanted = (prefix or b"").strip()
    every = wanted in (b"", b"/")
    encoded: bytes = STRINGS.write([path for path in paths if every or path.startswith(prefix or b"")])
    return encoded


def listing(tree: Tree, path: bytes, node: Node) -> bytes:
    """The encoded names of a znode's children, from the cache if it is there."""
    if not isinstance(node, Branch) or not node.children:
        return INT32.pack(0)
    encoded = tree.listings.get(path)
    if encoded is None:
        start = 1 if path == b"/" else len(path) + 1
        encoded = INT32.pack(len(node.children)) + b"".join([pack_buffer(child[start:]) for child in node.children])
        tree.listings.put(path, encoded)
    return encoded


def count_below(tree: Tree, node: Node) -> int:
    """Descendants of a znode."""
    count = 0
    pending = [node]
    while pending:
        below = pending.pop()
        if isinstance(below, Branch):
            count += len(below.children)
            pending.extend([tree.nodes[child] for child in below.children])
    return count


def multi_read(tree: Tree, access: AccessControl, request: MultiRequest, identities: Identities) -> bytes:
    """Results of getData and getChildren ops, each for itself; their watch flags are ignored.

    Raises:
        MarshallingError: an op that no multi can hold, or reads and writes together; or too much was asked for.
        UnfinishedMultiError: a write, or a null path; the results so far are in its `body`.
    """
    opcodes = {opcode for opcode, _ in request.ops}
    if not opcodes <= MULTI_REQUESTS.keys() or (opcodes & MULTI_READS.keys() and not opcodes <= MULTI_READS.keys()):
        raise MarshallingError("a multiRead with an op it cannot hold, or reads and writes together")
    parts: list[bytes] = []
    room = MULTI_READ_BYTES_MAX
    for opcode, op in request.ops:
        read = MULTI_READS.get(opcode)
        if read is None or not isinstance(op, PathWatchRequest) or op.path is None:
            raise UnfinishedMultiError(b"".join(parts) + MULTI_END.encode())
        try:
            body = read(tree, access, op.path, identities)
        except RequestError as error:
            parts.append(MultiHeader(-1, done=False, err=error.code).encode() + ErrorReply(error.code).encode())
        else:
            room -= len(body)
            if room < 0:
                raise MarshallingError(f"a multiRead of more than {MULTI_READ_BYTES_MAX} bytes")
            parts.append(MultiHeader(opcode, done=False, err=0).encode() + body)
    return b"".join(parts) + MULTI_END.encode()


class UnfinishedMultiError(MarshallingError):
    """A multiRead that cannot go on: the one error whose reply has a body, the results before it."""

    def __init__(self, body: bytes) -> None:
        super().__init__("a multiRead holds getData and getChildren only, each with a path")
        self.body = body


Read = Callable[[Tree, AccessControl, bytes | None, Identities], bytes]

READS: dict[int, Read] = {
    OpCode.EXISTS: exists,
    OpCode.GET_DATA: get_data,
    OpCode.GET_ACL: get_acl,
    OpCode.GET_CHILDREN: get_children,
    OpCode.GET_CHILDREN2: get_children2,
    OpCode.GET_ALL_CHILDREN_NUMBER: get_all_children_number,
}
"""Reads of one path, which ask for READ on it."""

MULTI_READS: dict[int, Read] = {OpCode.GET_DATA: get_data, OpCode.GET_CHILDREN: get_children}
