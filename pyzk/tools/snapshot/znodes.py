"""What the tools show of a znode, and the order in which they walk a tree."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pyzk.codec.records import ACL, open_acl
from pyzk.tools.javatext import HASH_SET_CAPACITY, hash_order, hexadecimal, string_hash, text_of
from pyzk.tools.log.entries import acl_value, data_value
from pyzk.tools.output import ToolError
from pyzk.tree.node import (
    OWNER_CONTAINER,
    OWNER_TTL,
    Branch,
    Node,
    NodeState,
    data_length_of,
    data_of,
    is_session,
    is_ttl,
)
from pyzk.tree.tree import Tree, acl_index_of, owner_of


@dataclass(slots=True)
class Znode:
    """One znode of a tree that was read."""

    path: bytes
    data: bytes | None
    state: NodeState
    acl: list[ACL]

    @classmethod
    def of(cls, tree: Tree, path: bytes) -> "Znode":
        """The znode at a path that is in the tree."""
        node, state = tree.nodes[path], tree.state(path)
        assert state is not None
        return cls(path, data_of(node), state, tree.acls.get(acl_index_of(node)) or open_acl())

    @property
    def kind(self) -> str:
        """`ephemeral 0xSESSION`, `container`, `ttl N ms`, or nothing."""
        owner = self.state.owner
        if is_session(owner):
            return f"ephemeral 0x{hexadecimal(owner)}"
        if owner == OWNER_CONTAINER:
            return "container"
        return f"ttl {owner - OWNER_TTL} ms" if is_ttl(owner) else ""

    def value(self) -> dict[str, object]:
        """For JSON; numbers are those that are stored, zxids as text."""
        state = self.state
        return {
            "path": text_of(self.path),
            **data_value(self.data),
            "acl": acl_value(self.acl),
            "kind": self.kind,
            "czxid": f"0x{hexadecimal(state.czxid)}",
            "mzxid": f"0x{hexadecimal(state.mzxid)}",
            "pzxid": f"0x{hexadecimal(state.pzxid)}",
            "ctime_ms": state.ctime,
            "mtime_ms": state.mtime,
            "version": state.version,
            "cversion": state.cversion,
            "aversion": state.aversion,
            "data_length": state.data_length,
            "children": state.child_count,
        }


def children(node: Node) -> list[bytes]:
    """Paths of the children in the order of their creation."""
    return list(node.children) if isinstance(node, Branch) else []


def java_children(node: Node) -> list[bytes]:
    """Paths of the children in the order in which Java's hash set gives them."""
    hashed = ((string_hash(text_of(path.rpartition(b"/")[2])), path) for path in children(node))
    return hash_order(hashed, HASH_SET_CAPACITY)


Order = Callable[[Node], list[bytes]]


def walk(tree: Tree, start: bytes = b"/", order: Order = children) -> Iterator[tuple[int, bytes]]:
    """(depth, path) of a znode and all below it, depth first."""
    waiting = [(0, start)]
    while waiting:
        depth, path = waiting.pop()
        yield depth, path
        waiting += [(depth + 1, child) for child in reversed(order(tree.nodes[path]))]


def require_znode(tree: Tree, path: bytes) -> None:
    """Let a path pass that is in the tree. Raises ToolError."""
    if path not in tree.nodes:
        raise ToolError(f"there is no znode {text_of(path)} in the snapshot")


@dataclass(slots=True)
class Sums:
    """A subtree in numbers: znodes below its top, bytes of data with its top."""

    path: bytes
    depth: int
    znodes: int = 0
    data_bytes: int = 0
    ephemerals: int = 0
    largest: tuple[int, bytes] = field(default=(0, b""))

    def take_in(self, other: "Sums") -> None:
        """Add the subtree of a child."""
        self.znodes += other.znodes + 1
        self.data_bytes += other.data_bytes
        self.ephemerals += other.ephemerals
        self.largest = max(self.largest, other.largest)


def subtree_sums(tree: Tree, start: bytes, order: Order = children) -> list[Sums]:
    """The sums of every znode from `start` down, depth first. Raises ToolError."""
    require_znode(tree, start)
    found = [Sums(path, depth) for depth, path in walk(tree, start, order)]
    by_path = {sums.path: sums for sums in found}
    for sums in reversed(found):
        node = tree.nodes[sums.path]
        size = data_length_of(node)
        sums.data_bytes += size
        sums.largest = max(sums.largest, (size, sums.path))
        sums.ephemerals += is_session(owner_of(node))
        if sums.path != start:
            by_path[sums.path[: sums.path.rindex(b"/")] or b"/"].take_in(sums)
    return found
