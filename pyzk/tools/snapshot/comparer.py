"""Apache's SnapshotComparer, without its interactive mode."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from pyzk.tools.javatext import string_order, text_of
from pyzk.tools.snapshot.znodes import walk
from pyzk.tree.node import data_of
from pyzk.tree.tree import Tree


@dataclass(slots=True)
class Counted:
    """A znode and what is below it."""

    label: str
    size: int
    count: int = 0


class TreeInfo:
    """A tree by depth, with sums."""

    def __init__(self, tree: Tree) -> None:
        self.levels: list[list[Counted]] = []
        found = list(walk(tree))
        by_path: dict[bytes, Counted] = {}
        for depth, path in found:
            counted = Counted("" if path == b"/" else text_of(path), len(data_of(tree.nodes[path]) or b""))
            by_path[path] = counted
            if depth == len(self.levels):
                self.levels.append([])
            self.levels[depth].append(counted)
        for _, path in reversed(found[1:]):
            parent, child = by_path[path[: path.rindex(b"/")] or b"/"], by_path[path]
            parent.size += child.size
            parent.count += child.count + 1
        for level in self.levels:
            level.sort(key=lambda counted: string_order(counted.label))

    def lines(self) -> Iterator[str]:
        """The tree in numbers."""
        yield f"Node count: {sum(map(len, self.levels))}"
        yield f"Total size: {self.levels[0][0].size}"
        yield f"Max depth: {len(self.levels)}"
        for depth, level in enumerate(self.levels):
            yield f"Count of nodes at depth {depth}: {len(level)}"
        yield ""


@dataclass(slots=True)
class Comparison:
    """What to report: above these many bytes or znodes; `debug` also the rest."""

    bytes_max: int
    count_max: int
    debug: bool

    def lines(self, left: TreeInfo, right: TreeInfo) -> Iterator[str]:
        """The analysis, level by level."""
        limits = f"larger than {self.bytes_max} bytes or node count difference larger than {self.count_max}"
        yield f"Printing analysis for nodes difference {limits}."
        for depth, (ours, theirs) in enumerate(zip_longest(left.levels, right.levels, fillvalue=list[Counted]())):
            yield f"Analysis for depth {depth}"
            yield from self._level(ours, theirs)
        yield "All layers compared."

    def _level(self, left: list[Counted], right: list[Counted]) -> Iterator[str]:
        at_left = at_right = 0
        while at_left < len(left) or at_right < len(right):
            ours = left[at_left] if at_left < len(left) else None
            theirs = right[at_right] if at_right < len(right) else None
            order = 0
            if ours is not None and theirs is not None:
                first, second = string_order(ours.label), string_order(theirs.label)
                order = (first > second) - (first < second)
                if self.debug:
                    yield f"Comparing {ours.label} to {theirs.label}"
                    yield {-1: "left is less", 0: "same", 1: "right is less"}[order]
            if ours is not None and theirs is not None and order == 0:
                yield from self._both(ours, theirs)
                at_left, at_right = at_left + 1, at_right + 1
            elif ours is not None and (theirs is None or order < 0):
                yield from self._one("left", ours)
                at_left += 1
            elif theirs is not None:
                yield from self._one("right", theirs)
                at_right += 1

    def _one(self, side: str, node: Counted) -> Iterator[str]:
        if node.size > self.bytes_max or node.count > self.count_max:
            sums = f"Descendant size: {node.size}. Descendant count: {node.count}"
            yield f"Node {node.label} found only in {side} tree. {sums}"
        elif self.debug:
            yield f"Filtered {side} node {node.label} of size {node.size}"

    def _both(self, left: Counted, right: Counted) -> Iterator[str]:
        size, count = right.size - left.size, right.count - left.count
        if abs(size) > self.bytes_max or abs(count) > self.count_max:
            yield f"Node {left.label} found in both trees. Delta: {size} bytes, {count} descendants"
        elif self.debug:
            yield f"Filtered node {left.label} of left size {left.size}, right size {right.size}"
