"""Limits and use of quotas by top-level znode, as far as there are any."""

from pyzk.service.counters import namespace_of
from pyzk.tree.node import data_of
from pyzk.tree.quota import Quota, limits_path, stats_path
from pyzk.tree.tree import Tree

QUOTA_NAMES = ("quota_count_limit", "quota_bytes_limit", "quota_count_usage", "quota_bytes_usage")


def numbers(tree: Tree) -> dict[str, dict[str, float]]:
    """By name of the metric and top-level znode; -1 for a limit that is not set."""
    found: dict[str, dict[str, float]] = {f"{name}_per_namespace": {} for name in QUOTA_NAMES}
    for path in tree.quotas:
        if path.count(b"/") != 1:
            continue
        limits, usage = (_quota(tree, place(path)) for place in (limits_path, stats_path))
        if limits is None:
            continue
        usage = usage or Quota()
        values = (
            limits.count_hard if limits.count_hard >= 0 else limits.count,
            limits.size_hard if limits.size_hard >= 0 else limits.size,
            usage.count,
            usage.size,
        )
        for table, value in zip(found.values(), values, strict=True):
            table[namespace_of(path)] = value
    return found


def _quota(tree: Tree, path: bytes) -> Quota | None:
    node = tree.nodes.get(path)
    return None if node is None else Quota.parse(data_of(node))
