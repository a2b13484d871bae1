"""How a znode is held in memory.

A znode without children is one bytes object, a *leaf*: the body of its getData reply followed by what only the server
needs. A read of a leaf copies bytes and builds nothing. A znode with children is a `Branch`, whose data and stat are
kept apart, so that creating a child beneath a megabyte of data copies nothing.

    leaf = length i32, data, Stat (68 bytes), owner i64, ACL index i64, digest u32, cversion i32

The wire Stat loses two things that the tail keeps: the kind of owner (container, TTL) and the stored cversion, which
counts creates alone. Source: docs/protocol/data-model.md section 1, 2; storage.md section 4.9.
"""

from dataclasses import dataclass, field
from struct import Struct

from zlib_ng.zlib_ng import crc32

from pyzk.codec.jute import INT32, INT64, NULL, pack_buffer
from pyzk.codec.records import ACL
from pyzk.tree.digest import DIGESTED, ZOOKEEPER_PREFIX, data_crc

LEAF_TAIL = Struct(">qqqqiiiqiiqqqIi")
"""Wire Stat, then owner, ACL index, digest, stored cversion."""
LEAF_TAIL_SIZE = LEAF_TAIL.size
PRIVATE_SIZE = 24
"""Bytes at the end of a leaf that no client sees."""
ACL_OFFSET = 16
"""The ACL index begins so many bytes before the end of a leaf."""
LEAF_BEFORE = Struct(">8s8x8s8xi4s4s8si4x8s8sqI4s")
"""LEAF_TAIL as a setData reads it: of what it only copies the bytes, as numbers version, length, ACL index, digest."""
Before = tuple[bytes, bytes, int, bytes, bytes, bytes, int, bytes, bytes, int, int, bytes]
"""What LEAF_BEFORE finds: czxid, ctime, version, wire cversion, aversion, wire owner, length, pzxid, owner, ACL index,
digest, cversion."""
LEAF_AFTER = Struct(">8sq8sqi4s4s8si4x8s8sqI4s")
"""The same, with new mzxid and mtime. There are no children."""
DIGESTED_AFTER = Struct(">8sq8s8sqi4s4s8s")
"""As DIGESTED."""
WIRE_STAT = Struct(">qqqqiiiqiiq")

OPEN = -1
"""ACL index of world:anyone:cdrwa."""

OWNER_CONTAINER = -0x8000000000000000
TTL_MS_MAX = 0xFFFFFFFFFF
OWNER_TTL = -0x0100000000000000
"""0xFF00000000000000: the owner of a znode with a TTL is this plus the TTL in ms."""


def is_ttl(owner: int) -> bool:
    """Whether a stored owner means a TTL."""
    return OWNER_TTL <= owner < 0


def is_session(owner: int) -> bool:
    """Whether a stored owner is a session, that is, whether the znode is ephemeral."""
    return owner != 0 and not OWNER_TTL <= owner < 0 and owner != OWNER_CONTAINER


def wrap_int32(value: int) -> int:
    """Two's complement overflow of a 32-bit counter, as Java's int."""
    return (value + 0x80000000 & 0xFFFFFFFF) - 0x80000000


@dataclass(slots=True)
class NodeState:
    """A znode as prepare sees it: committed, or as a txn not yet applied will leave it. Stored values, not wire values.

    `data_crc` is -1 until somebody needs it; `writer` is the zxid of the txn that will leave it so, 0 if committed.
    """

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    owner: int
    pzxid: int
    acl: list[ACL] | None
    digest: int
    data_crc: int
    data_length: int
    child_count: int
    writer: int = 0

    def copy(self) -> "NodeState":
        """Another one, to be changed."""
        return NodeState(
            self.czxid,
            self.mzxid,
            self.ctime,
            self.mtime,
            self.version,
            self.cversion,
            self.aversion,
            self.owner,
            self.pzxid,
            self.acl,
            self.digest,
            self.data_crc,
            self.data_length,
            self.child_count,
            self.writer,
        )


class Gone:
    """Stands for a znode that a txn not yet applied deletes."""

    __slots__ = ()


Pending = NodeState | bytes | Gone
"""What a txn not yet applied makes of a znode: numbers, the very leaf that it will be, or nothing."""

Written = tuple[bytes, Pending, Pending | None, int]
"""One znode that a txn changes: path, what it makes of it, what was pending there before, change of the digest."""


@dataclass(slots=True)
class Branch:
    """A znode that has, or had, children. `children` holds the tree's own key objects in the order of creation."""

    data: bytes | None
    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    owner: int
    pzxid: int
    acl: int
    digest: int
    data_crc: int
    children: dict[bytes, None] = field(default_factory=dict)

    def stat(self) -> bytes:
        """The 68 bytes that a client sees."""
        return WIRE_STAT.pack(
            self.czxid,
            self.mzxid,
            self.ctime,
            self.mtime,
            self.version,
            wrap_int32(2 * self.cversion - len(self.children)),
            self.aversion,
            self.owner if is_session(self.owner) else 0,
            len(self.data or b""),
            len(self.children),
            self.pzxid,
        )

    def body(self) -> bytes:
        """Body of a getData reply."""
        return pack_buffer(self.data) + self.stat()


Node = bytes | Branch


def pack_leaf(
    data: bytes | None,
    czxid: int,
    mzxid: int,
    ctime: int,
    mtime: int,
    version: int,
    cversion: int,
    aversion: int,
    owner: int,
    pzxid: int,
    acl: int,
    digest: int,
) -> bytes:
    """A leaf of this data and these stored numbers."""
    length = 0 if data is None else len(data)
    wire_cversion = wrap_int32(2 * cversion)
    wire_owner = owner if is_session(owner) else 0
    stat = (czxid, mzxid, ctime, mtime, version, wire_cversion, aversion, wire_owner, length, 0, pzxid)
    tail = LEAF_TAIL.pack(*stat, owner, acl, digest, cversion)
    return (NULL if data is None else INT32.pack(length) + data) + tail


def new_leaf(path: bytes, data: bytes | None, zxid: int, time_ms: int, owner: int, acl: int) -> tuple[bytes, int]:
    """The leaf that a create makes, and its digest."""
    digest = 0
    if not path.startswith(ZOOKEEPER_PREFIX):
        numbers = DIGESTED.pack(zxid, zxid, zxid, time_ms, time_ms, 0, 0, 0, owner)
        digest = crc32(numbers, crc32(data or b"", crc32(path)))
    head = NULL if data is None else INT32.pack(len(data)) + data
    wire_owner = owner if owner and is_session(owner) else 0
    length = len(head) - 4
    return head + LEAF_TAIL.pack(
        zxid, zxid, time_ms, time_ms, 0, 0, 0, wire_owner, length, 0, zxid, owner, acl, digest, 0
    ), digest


def rewritten_leaf(
    path: bytes, before: Before, data: bytes | None, zxid: int, time_ms: int, version: int
) -> tuple[bytes, int]:
    """The leaf with other data, and by how much its digest changes; `before` is what stood behind the old data."""
    czxid, ctime, _, wire_cversion, aversion, wire_owner, _, pzxid, owner, acl, old, cversion = before
    digest = 0
    if not path.startswith(ZOOKEEPER_PREFIX):
        numbers = DIGESTED_AFTER.pack(czxid, zxid, pzxid, ctime, time_ms, version, cversion, aversion, owner)
        digest = crc32(numbers, crc32(data or b"", crc32(b"" if path == b"/" else path)))
    head = NULL if data is None else INT32.pack(len(data)) + data
    return head + LEAF_AFTER.pack(
        czxid,
        zxid,
        ctime,
        time_ms,
        version,
        wire_cversion,
        aversion,
        wire_owner,
        len(head) - 4,
        pzxid,
        owner,
        acl,
        digest,
        cversion,
    ), digest - old


def acl_index_of_leaf(leaf: bytes) -> int:
    """Index of a leaf's ACL list."""
    index: int = INT64.unpack_from(leaf, len(leaf) - ACL_OFFSET)[0]
    return index


def with_acl_index(leaf: bytes, index: int) -> bytes:
    """The same leaf with another ACL list."""
    return leaf[:-ACL_OFFSET] + INT64.pack(index) + leaf[8 - ACL_OFFSET :]


def branch_from_leaf(path: bytes, leaf: bytes) -> Branch:
    """The same znode, ready to take children."""
    tail = LEAF_TAIL.unpack_from(leaf, len(leaf) - LEAF_TAIL_SIZE)
    czxid, mzxid, ctime, mtime, version, _, aversion, _, _, _, pzxid, owner, acl, digest, cversion = tail
    data = leaf_data(leaf)
    crc = data_crc(path, data)
    return Branch(data, czxid, mzxid, ctime, mtime, version, cversion, aversion, owner, pzxid, acl, digest, crc)


def leaf_data(leaf: bytes) -> bytes | None:
    """Data of a leaf; None for null data."""
    return None if leaf[0] == 0xFF else leaf[4:-LEAF_TAIL_SIZE]


def data_of(node: Node) -> bytes | None:
    """Data of a znode; None for null data."""
    return leaf_data(node) if isinstance(node, bytes) else node.data


def data_length_of(node: Node) -> int:
    """Bytes of data, 0 for null."""
    if isinstance(node, bytes):
        return len(node) - LEAF_TAIL_SIZE - 4
    return len(node.data or b"")


def body_of(node: Node) -> bytes:
    """Body of a getData reply: data and Stat."""
    return node[:-PRIVATE_SIZE] if isinstance(node, bytes) else node.body()


def stat_of(node: Node) -> bytes:
    """The 68 bytes of the Stat that a client sees."""
    if isinstance(node, bytes):
        return node[-LEAF_TAIL_SIZE:-PRIVATE_SIZE]
    return node.stat()
