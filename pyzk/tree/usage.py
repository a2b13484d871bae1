"""How the tree reacts to quota znodes: which paths have limits, and how much each of them uses.

The usage is kept in the data of the stats znodes, changed in place: no Stat field moves, nothing is logged, no watch
fires, and the digest does not cover it. Source: docs/protocol/data-model.md section 3.
"""

from pyzk.tree.node import LEAF_TAIL, LEAF_TAIL_SIZE, Branch, data_length_of, data_of, pack_leaf
from pyzk.tree.quota import QUOTA_PREFIX, QUOTA_ROOT, Quota, limits_path, path_of_limits, path_of_stats, stats_path
from pyzk.tree.tree import Tree


def created(tree: Tree, path: bytes, length: int) -> None:
    """A znode with `length` bytes of data was created."""
    if path.startswith(QUOTA_PREFIX):
        covered = path_of_limits(path)
        if covered:
            tree.quotas.add(covered)
        covered = path_of_stats(path)
        if covered:
            recompute(tree, covered)
    changed(tree, path, 1, length)


def deleted(tree: Tree, path: bytes, length: int) -> None:
    """A znode with `length` bytes of data was deleted."""
    if path.startswith(QUOTA_PREFIX):
        covered = path_of_limits(path)
        if covered:
            tree.quotas.remove(covered)
    changed(tree, path, -1, -length)


def changed(tree: Tree, path: bytes, count: int, size_bytes: int) -> None:
    """Move the usage of the deepest quota that covers `path`; the outer ones stay as they are, as in Apache."""
    covered = tree.quotas.find(path)
    if covered is None:
        return
    stats = stats_path(covered)
    node = tree.nodes.get(stats)
    if node is None:
        return
    usage = Quota.parse(data_of(node))
    if usage is None or b"count" not in usage.values or b"bytes" not in usage.values:
        # Differs from Apache: unparsable stats are reckoned anew; a server of Apache stops for good.
        recompute(tree, covered)
        return
    usage.add(count, size_bytes)
    _write(tree, stats, usage)


def recompute(tree: Tree, covered: bytes) -> None:
    """Count the subtree of `covered`, itself included, and write that into its stats znode."""
    stats = stats_path(covered)
    if stats not in tree.nodes:
        return
    count = size_bytes = 0
    pending = [covered] if covered in tree.nodes else []
    while pending:
        node = tree.nodes[pending.pop()]
        count += 1
        size_bytes += data_length_of(node)
        if isinstance(node, Branch):
            pending.extend(node.children)
    _write(tree, stats, Quota({b"count": count, b"bytes": size_bytes}))


def _write(tree: Tree, stats: bytes, usage: Quota) -> None:
    tree.preserve(stats)
    data = usage.encode()
    node = tree.nodes[stats]
    tree.data_bytes += len(data) - data_length_of(node)
    if isinstance(node, Branch):
        node.data = data
        return
    tail = LEAF_TAIL.unpack_from(node, len(node) - LEAF_TAIL_SIZE)
    czxid, mzxid, ctime, mtime, version, _, aversion, _, _, _, pzxid, owner, acl, digest, cversion = tail
    tree.nodes[stats] = pack_leaf(
        data, czxid, mzxid, ctime, mtime, version, cversion, aversion, owner, pzxid, acl, digest
    )


def rebuild(tree: Tree) -> None:
    """After loading: find all limits and reckon all stats anew."""
    tree.quotas.clear()
    pending = [QUOTA_ROOT] if QUOTA_ROOT in tree.nodes else []
    while pending:
        path = pending.pop()
        node = tree.nodes[path]
        if isinstance(node, Branch):
            pending.extend(node.children)
        covered = path_of_limits(path)
        if covered:
            tree.quotas.add(covered)
            recompute(tree, covered)


def limits_of(tree: Tree, path: bytes) -> tuple[Quota, Quota] | None:
    """Limits and usage of the deepest quota that covers `path`; None if there is none or either cannot be read."""
    covered = tree.quotas.find(path)
    if covered is None:
        return None
    limits_node, stats_node = tree.nodes.get(limits_path(covered)), tree.nodes.get(stats_path(covered))
    if limits_node is None or stats_node is None:
        return None
    limits, usage = Quota.parse(data_of(limits_node)), Quota.parse(data_of(stats_node))
    return None if limits is None or usage is None else (limits, usage)
