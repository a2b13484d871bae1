"""The tree as a stream of bytes and back: the body of a snapshot, from the sessions to the end mark.

A walk shows the tree as it was when the walk began, whatever is applied between two chunks: a znode that is about to
change, and that the walk may still have to show, is kept aside (`Tree.preserve`). The snapshot writer, SNAP to a
learner and backups all pull from it. Source: docs/protocol/storage.md sections 4.2 to 4.4.
"""

from collections.abc import Generator, Iterator
from struct import Struct

from zlib_ng.zlib_ng import crc32

from pyzk.codec.jute import INT32, Reader, pack_buffer, pack_int32, pack_int64
from pyzk.codec.records import ACL, ACLS
from pyzk.errors import DecodeError
from pyzk.tree import usage
from pyzk.tree.digest import DIGESTED, TREE_DIGEST_MASK, ZOOKEEPER_PREFIX, data_crc
from pyzk.tree.node import LEAF_TAIL, LEAF_TAIL_SIZE, Node, is_session, wrap_int32
from pyzk.tree.paths import parent_of
from pyzk.tree.tree import Tree

CHUNK_BYTES = 32 * 1024
"""A chunk is given out as soon as it is this long; one znode alone may be longer."""
NODES_PER_CHUNK_MAX = 200

STORED = Struct(">qqqqqiiiqq")
"""ACL index, czxid, mzxid, ctime, mtime, version, cversion, aversion, owner, pzxid."""

END_MARK = pack_buffer(b"/")


class Walk(Iterator[bytes]):
    """Chunks of the tree as it was at `zxid`; `close` it if it is not read to its end.

    Args:
        tree: may change meanwhile.
        nodes_per_chunk: at most.

    Attributes:
        zxid: last txn applied when the walk began.
        digest: digest of the tree at that zxid.
    """

    def __init__(self, tree: Tree, nodes_per_chunk: int = NODES_PER_CHUNK_MAX) -> None:
        self._nodes_per_chunk = nodes_per_chunk
        self.zxid = tree.last_zxid
        self.digest = tree.digest
        self._tree = tree
        self._kept: dict[bytes, bytes] = {}
        self._paths = list(tree.nodes)
        self._chunks = self._generate(_head(tree))
        tree.walks.append(self)

    def __iter__(self) -> "Walk":
        return self

    def __next__(self) -> bytes:
        return next(self._chunks)

    def keep(self, path: bytes, node: Node) -> None:
        """Remember a znode that is about to change or to go."""
        if path not in self._kept:
            self._kept[path] = encode_node(path, node)

    def close(self) -> None:
        """End the walk, so that nothing is kept aside for it any more."""
        if self in self._tree.walks:
            self._tree.walks.remove(self)
        self._kept.clear()
        self._chunks.close()

    def _generate(self, head: bytes) -> Generator[bytes]:
        nodes, kept = self._tree.nodes, self._kept
        parts, size = [head], len(head)
        for path in self._paths:
            encoded = kept.pop(path, None) or encode_node(path, nodes[path])
            parts.append(encoded)
            size += len(encoded)
            if size >= CHUNK_BYTES or len(parts) > self._nodes_per_chunk:
                yield b"".join(parts)
                parts, size = [], 0
        self._tree.walks.remove(self)
        yield b"".join([*parts, END_MARK])


def walk(tree: Tree, nodes_per_chunk: int = NODES_PER_CHUNK_MAX) -> Walk:
    """Begin a walk."""
    return Walk(tree, nodes_per_chunk)


def _head(tree: Tree) -> bytes:
    sessions = [pack_int64(session_id) + pack_int32(timeout_ms) for session_id, timeout_ms in tree.sessions.items()]
    lists = [pack_int64(index) + ACLS.write(acl) for index, acl in tree.acls]
    return b"".join([pack_int32(len(sessions)), *sessions, pack_int32(len(lists)), *lists])


def encode_node(path: bytes, node: Node) -> bytes:
    """One znode as a snapshot has it."""
    name = b"" if path == b"/" else path
    if isinstance(node, bytes):
        tail = LEAF_TAIL.unpack_from(node, len(node) - LEAF_TAIL_SIZE)
        czxid, mzxid, ctime, mtime, version, _, aversion, _, _, _, pzxid, owner, acl, _, cversion = tail
        stored = STORED.pack(acl, czxid, mzxid, ctime, mtime, version, cversion, aversion, owner, pzxid)
        return INT32.pack(len(name)) + name + node[:-LEAF_TAIL_SIZE] + stored
    stored = STORED.pack(
        node.acl,
        node.czxid,
        node.mzxid,
        node.ctime,
        node.mtime,
        node.version,
        node.cversion,
        node.aversion,
        node.owner,
        node.pzxid,
    )
    return pack_buffer(name) + pack_buffer(node.data) + stored


def load(reader: Reader) -> Tree:
    """The tree of a snapshot's body; `reader` stands behind the file header and is left behind the end mark.

    `finish_load` must follow once the log is replayed. Raises DecodeError for damage.
    """
    tree = Tree(empty=True)
    for _ in range(_count(reader)):
        session_id = reader.int64()
        tree.sessions[session_id] = reader.int32()
    for _ in range(_count(reader)):
        restore_acl(tree, reader.int64(), ACLS.read(reader))
    position, missing = load_nodes(tree, reader.source, reader.position, reader.end, reader.string_max)
    if missing:
        raise DecodeError(f"the snapshot ends within a znode at offset {position}")
    reader.take(position - reader.position)
    return tree


def _count(reader: Reader) -> int:
    count = reader.int32()
    if count < 0 or count > reader.remaining:
        raise DecodeError(f"count {count} at offset {reader.position - 4}")
    return count


def restore_acl(tree: Tree, index: int, acl: list[ACL] | None) -> None:
    """Put in an ACL list of a snapshot. Raises DecodeError."""
    if acl is None:
        raise DecodeError(f"ACL list {index} is null")
    tree.acls.restore(index, acl)


def load_nodes(tree: Tree, source: bytes, position: int, end: int, string_max: int) -> tuple[int, int]:
    """Take znodes from `source[position:end]`, as many as are whole; straight from the bytes: a start waits for it.

    Returns the offset behind what was taken, and how many bytes from there must be at hand before it can go on:
    0 when the end mark was taken. Raises DecodeError.
    """
    unpack = INT32.unpack_from
    while True:
        path_at = position + 4
        if path_at > end:
            return position, 4
        (length,) = unpack(source, position)
        data_at = path_at + length
        if not 0 <= length <= string_max:
            raise DecodeError(f"a path of {length} bytes at offset {position}")
        if data_at > end:
            return position, data_at - position
        path = source[path_at:data_at]
        if path == b"/":
            break
        if data_at + 4 > end:
            return position, data_at + 4 - position
        (size,) = unpack(source, data_at)
        if not -1 <= size <= string_max:
            raise DecodeError(f"data of {size} bytes at offset {data_at}, in znode {path!r}")
        stored_at = data_at + 4 + max(0, size)
        if stored_at + STORED.size > end:
            return position, stored_at + STORED.size - position
        _load_node(tree, path or b"/", source[data_at:stored_at], STORED.unpack_from(source, stored_at))
        position = stored_at + STORED.size
    if b"/" not in tree.nodes:
        raise DecodeError("the snapshot has no root")
    return data_at, 0


def _load_node(tree: Tree, path: bytes, data: bytes, stored: tuple[int, ...]) -> None:
    """Plant one znode; `data` with its length in front, as both snapshot and leaf have it."""
    acl, czxid, mzxid, ctime, mtime, version, cversion, aversion, owner, pzxid = stored
    _require_place(tree, path)
    try:
        tree.acls.use(acl)
    except KeyError as error:
        raise DecodeError(f"znode {path!r} has the ACL index {acl}, which is not in the map") from error
    digest = 0
    if not path.startswith(ZOOKEEPER_PREFIX):
        numbers = DIGESTED.pack(czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion, owner)
        digest = crc32(numbers, data_crc(path, data[4:]))
    wire_owner = owner if is_session(owner) else 0
    stat = (
        czxid,
        mzxid,
        ctime,
        mtime,
        version,
        wrap_int32(2 * cversion),
        aversion,
        wire_owner,
        len(data) - 4,
        0,
        pzxid,
    )
    leaf = data + LEAF_TAIL.pack(*stat, owner, acl, digest, cversion)
    if path == b"/":
        tree.put(path, leaf, owner)
    else:
        tree.add(path, leaf, owner)
    tree.digest = tree.digest + digest & TREE_DIGEST_MASK


def _require_place(tree: Tree, path: bytes) -> None:
    """Let a new path pass whose parent is there. Raises DecodeError."""
    if path in tree.nodes:
        raise DecodeError(f"znode {path!r} stands there twice")
    if path != b"/" and (path[:1] != b"/" or parent_of(path) not in tree.nodes):
        raise DecodeError(f"znode {path!r} stands before its parent")


def finish_load(tree: Tree) -> None:
    """What can only be done when snapshot and log are both in: unused ACL lists, quotas, znodes that old files lack."""
    tree.acls.drop_unused()
    tree.plant_reserved()
    usage.rebuild(tree)
