"""Which containers and TTL znodes have had their time. Source: docs/protocol/data-model.md section 2.1."""

from pyzk.tree.node import LEAF_TAIL, LEAF_TAIL_SIZE, OWNER_TTL, Branch, Node
from pyzk.tree.tree import Tree, owner_of


def deletable(tree: Tree, wall_ms: int, never_used_max_ms: int = 0) -> list[bytes]:
    """Containers that had children once, and znodes whose data has not changed for their TTL; all without children.

    A container that never had children goes after `never_used_max_ms`; 0 is never.
    """
    candidates = [*tree.containers, *tree.ttls]
    return [path for path in candidates if is_deletable(tree, path, wall_ms, never_used_max_ms)]


def is_deletable(tree: Tree, path: bytes, wall_ms: int, never_used_max_ms: int = 0) -> bool:
    """Whether `deletable` would name this path."""
    if path in tree.containers:
        return _is_spent(tree.nodes[path], wall_ms, never_used_max_ms)
    return path in tree.ttls and _is_over(tree.nodes[path], wall_ms)


def _is_spent(node: Node, wall_ms: int, never_used_max_ms: int) -> bool:
    mtime, cversion = _numbers(node)
    never_used_too_long = never_used_max_ms != 0 and wall_ms - mtime > never_used_max_ms
    return _is_empty(node) and (cversion > 0 or never_used_too_long)


def _is_over(node: Node, wall_ms: int) -> bool:
    mtime, _ = _numbers(node)
    return _is_empty(node) and wall_ms - mtime > owner_of(node) - OWNER_TTL


def _is_empty(node: Node) -> bool:
    return isinstance(node, bytes) or not node.children


def _numbers(node: Node) -> tuple[int, int]:
    """Mtime and stored cversion."""
    if isinstance(node, Branch):
        return node.mtime, node.cversion
    tail = LEAF_TAIL.unpack_from(node, len(node) - LEAF_TAIL_SIZE)
    return tail[3], tail[14]
