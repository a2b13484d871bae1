"""Two trees, znode by znode."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pyzk.tools.javatext import text_of
from pyzk.tools.log.entries import acl_value, data_line
from pyzk.tools.snapshot.znodes import Znode
from pyzk.tree.tree import Tree

COUNTED = ("czxid", "mzxid", "pzxid", "ctime", "mtime", "version", "cversion", "aversion", "owner")
"""Numbers of a znode that are compared besides its data and ACL."""


@dataclass(slots=True)
class Difference:
    """One znode that is not the same on both sides."""

    path: bytes
    left: Znode | None
    right: Znode | None
    changed: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """`only left`, `only right` or `changed`."""
        if self.right is None:
            return "only left"
        return "only right" if self.left is None else "changed"

    def line(self) -> str:
        """For people: + only right, - only left, ~ changed."""
        mark = {"only left": "-", "only right": "+", "changed": "~"}[self.kind]
        one = self.left or self.right
        assert one is not None
        if self.left is None or self.right is None:
            kind = f"  {one.kind}" if one.kind else ""
            return f"{mark} {text_of(self.path)}  {data_line(one.data)}{kind}"
        what = ", ".join(_change(name, self.left, self.right) for name in self.changed)
        return f"{mark} {text_of(self.path)}  {what}"

    def value(self) -> dict[str, object]:
        """For JSON."""
        sides = {"left": self.left, "right": self.right}
        shown = {side: None if znode is None else znode.value() for side, znode in sides.items()}
        return {"path": text_of(self.path), "difference": self.kind, "changed": self.changed, **shown}


def _change(name: str, left: Znode, right: Znode) -> str:
    if name == "data":
        return f"data {data_line(left.data)} -> {data_line(right.data)}"
    if name == "acl":
        return f"acl {','.join(acl_value(left.acl))} -> {','.join(acl_value(right.acl))}"
    before, after = getattr(left.state, name), getattr(right.state, name)
    return f"{name} {before:#x} -> {after:#x}" if "zxid" in name else f"{name} {before} -> {after}"


def differences(left: Tree, right: Tree, *, numbers: bool) -> Iterator[Difference]:
    """Every znode that differs, in order of its path; `numbers`: also when only numbers of its stat do."""
    for path in sorted(left.nodes.keys() | right.nodes.keys()):
        ours = Znode.of(left, path) if path in left.nodes else None
        theirs = Znode.of(right, path) if path in right.nodes else None
        if ours is None or theirs is None:
            yield Difference(path, ours, theirs)
            continue
        changed = list(_changed(ours, theirs, numbers=numbers))
        if changed:
            yield Difference(path, ours, theirs, changed)


def _changed(left: Znode, right: Znode, *, numbers: bool) -> Iterator[str]:
    if left.data != right.data:
        yield "data"
    if left.acl != right.acl:
        yield "acl"
    for name in COUNTED if numbers else ("czxid", "owner"):
        if getattr(left.state, name) != getattr(right.state, name):
            yield name
