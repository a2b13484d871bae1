"""The state that every server of an ensemble holds alike: znodes, sessions, ACL lists, quotas, digest, last zxid.

`Tree` keeps these consistent with one another; what a txn means is in `apply`, what a snapshot holds in `walk`.
The root's only name here is b"/". Source: docs/protocol/data-model.md sections 1 to 3 and 6.4.
"""

from typing import TYPE_CHECKING

from pyzk.codec.records import ACL
from pyzk.tree.acl import AclTable
from pyzk.tree.digest import data_crc, node_digest
from pyzk.tree.listing import ListingCache
from pyzk.tree.node import (
    LEAF_TAIL,
    LEAF_TAIL_SIZE,
    OPEN,
    OWNER_CONTAINER,
    Branch,
    Node,
    NodeState,
    acl_index_of_leaf,
    branch_from_leaf,
    data_length_of,
    data_of,
    is_session,
    is_ttl,
    pack_leaf,
)
from pyzk.tree.paths import parent_of
from pyzk.tree.quota import QuotaTrie

if TYPE_CHECKING:
    from pyzk.tree.walk import Walk

CONFIG_PATH = b"/zookeeper/config"
QUOTA_PATH = b"/zookeeper/quota"
RESERVED_PATHS = frozenset({b"/", b"/zookeeper", QUOTA_PATH, CONFIG_PATH})
"""Made with the tree, never by a txn, and never deleted."""


class Tree:
    """The replicated state.

    Attributes:
        nodes: every znode by its path; parents always stand before their children.
        sessions: timeout in ms by session id.
        ephemerals: paths of the ephemeral znodes by session id.
        last_zxid: the last txn applied.
        digest: sum of the digests of all znodes that count, modulo 2**64.
    """

    def __init__(self, *, empty: bool = False) -> None:
        """A fresh tree with the four znodes that every server starts with; without them if `empty` (for loading)."""
        self.nodes: dict[bytes, Node] = {}
        self.sessions: dict[int, int] = {}
        self.ephemerals: dict[int, dict[bytes, None]] = {}
        self.containers: dict[bytes, None] = {}
        self.ttls: dict[bytes, None] = {}
        self.acls = AclTable()
        self.quotas = QuotaTrie()
        self.listings = ListingCache()
        self.walks: list[Walk] = []
        self.last_zxid = 0
        self.digest = 0
        self.data_bytes = 0
        if not empty:
            self.plant_reserved()

    def plant_reserved(self) -> None:
        """Make those of the first znodes that are missing: snapshots from before 3.5 have no config znode."""
        for path in (b"/", b"/zookeeper", QUOTA_PATH):
            if path not in self.nodes:
                self.plant(path, b"", OPEN)
        if CONFIG_PATH not in self.nodes:
            self.plant(CONFIG_PATH, b"", self.acls.intern([ACL(1, b"world", b"anyone")]), aversion=-1)

    def plant(self, path: bytes, data: bytes, acl: int, aversion: int = 0) -> None:
        """Make one of the znodes that no txn creates: all numbers zero but `aversion`."""
        digest = node_digest(path, data_crc(path, data), 0, 0, 0, 0, 0, 0, 0, aversion, 0)
        leaf = pack_leaf(data, 0, 0, 0, 0, 0, 0, aversion, 0, 0, acl, digest)
        if path == b"/":
            self.put(path, leaf, 0)
        else:
            self.add(path, leaf, 0)
        self.digest += digest

    def set_config(self, text: bytes, version: int, time_ms: int) -> None:
        """Let the config znode show the ensemble's configuration, without a txn, as every member does when it starts.

        Its version stays -1 and its mzxid is that of the configuration; it does not count for the digest.
        """
        node = self.nodes[CONFIG_PATH]
        if data_of(node) == text:
            return
        self.preserve(CONFIG_PATH)
        self.data_bytes += len(text) - data_length_of(node)
        self.nodes[CONFIG_PATH] = pack_leaf(text, 0, version, 0, time_ms, -1, 0, -1, 0, 0, acl_index_of(node), 0)

    @property
    def node_count(self) -> int:
        """Znodes as Apache counts them: the root has two names there."""
        return len(self.nodes) + 1

    @property
    def ephemeral_count(self) -> int:
        """Ephemeral znodes of all sessions."""
        return sum(map(len, self.ephemerals.values()))

    def branch(self, path: bytes) -> Branch:
        """The znode at `path`, which must exist, as one that can take children."""
        node = self.nodes[path]
        if isinstance(node, Branch):
            return node
        branch = self.nodes[path] = branch_from_leaf(path, node)
        return branch

    def add(self, path: bytes, node: bytes, owner: int, parent_path: bytes = b"") -> Branch:
        """Put a new leaf into the tree; its parent must exist and is returned. Some callers have its path at hand."""
        self.put(path, node, owner)
        parent_path = parent_path or parent_of(path)
        parent = self.nodes[parent_path]
        if isinstance(parent, bytes):
            parent = self.branch(parent_path)
        parent.children[path] = None
        self.listings.discard(parent_path)
        return parent

    def put(self, path: bytes, node: bytes, owner: int) -> None:
        """Put a new leaf into the tree without telling its parent: the root, which has none, or a step of `add`."""
        self.nodes[path] = node
        self.data_bytes += len(path) + len(node) - LEAF_TAIL_SIZE - 4
        if owner:
            self._owned(path, owner)

    def _owned(self, path: bytes, owner: int) -> None:
        if owner == OWNER_CONTAINER:
            self.containers[path] = None
        elif is_ttl(owner):
            self.ttls[path] = None
        else:
            self.ephemerals.setdefault(owner, {})[path] = None

    def remove(self, path: bytes, length: int, owner: int, parent_path: bytes) -> None:
        """Take a znode without children, of `length` bytes of data, out of the tree."""
        del self.nodes[path]
        self.data_bytes -= len(path) + length
        if owner:
            self._disowned(path, owner)
        del self.branch(parent_path).children[path]
        self.listings.discard(parent_path)
        self.listings.discard(path)

    def _disowned(self, path: bytes, owner: int) -> None:
        if is_session(owner):
            paths = self.ephemerals[owner]
            del paths[path]
            if not paths:
                del self.ephemerals[owner]
        else:
            self.containers.pop(path, None)
            self.ttls.pop(path, None)

    def preserve(self, path: bytes) -> None:
        """Keep the znode as it is for every walk under way, because it is about to change."""
        for walk in self.walks:
            walk.keep(path, self.nodes[path])

    def state(self, path: bytes) -> NodeState | None:
        """The numbers of a znode as committed; None if it does not exist."""
        node = self.nodes.get(path)
        if node is None:
            return None
        if isinstance(node, bytes):
            return self.leaf_state(node)
        return NodeState(
            node.czxid,
            node.mzxid,
            node.ctime,
            node.mtime,
            node.version,
            node.cversion,
            node.aversion,
            node.owner,
            node.pzxid,
            self.acl_of(node),
            node.digest,
            node.data_crc,
            len(node.data or b""),
            len(node.children),
        )

    def leaf_state(self, leaf: bytes) -> NodeState:
        """The numbers of a leaf."""
        tail = LEAF_TAIL.unpack_from(leaf, len(leaf) - LEAF_TAIL_SIZE)
        czxid, mzxid, ctime, mtime, version, _, aversion, _, length, _, pzxid, owner, acl, digest, cversion = tail
        acl_list = None if acl in self.acls.open else self.acls.get(acl)
        return NodeState(
            czxid, mzxid, ctime, mtime, version, cversion, aversion, owner, pzxid, acl_list, digest, -1, length, 0
        )

    def acl_of(self, node: Node) -> list[ACL] | None:
        """ACL list of a znode; None if it allows everything to everybody."""
        index = acl_index_of(node)
        return None if index in self.acls.open else self.acls.get(index)


def acl_index_of(node: Node) -> int:
    """Index of a znode's ACL list."""
    return acl_index_of_leaf(node) if isinstance(node, bytes) else node.acl


def owner_of(node: Node) -> int:
    """Stored owner of a znode: a session, container, TTL, or 0."""
    if isinstance(node, bytes):
        owner: int = LEAF_TAIL.unpack_from(node, len(node) - LEAF_TAIL_SIZE)[11]
        return owner
    return node.owner
