"""Differences between servers that are documented, so that a program which shows one of them is no finding.

Only the first difference of a program is looked at: what follows from it is not compared. So programs leave out what
pyzk does otherwise on purpose, and this table stays short for pyzk; the long part is Apache 3.8 beside 3.9
(docs/protocol/client-protocol.md section 11), which shows that the runner sees what is there to be seen.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.interop.differential_steps import AnyStep


@dataclass
class Difference:
    """Where two servers part: the step (None behind the last one) and the first line that is not the same."""

    index: int
    step: AnyStep | None
    left: str
    right: str

    def starts(self, left: str, right: str) -> bool:
        """Do the lines begin like this?"""
        return self.left.startswith(left) and self.right.startswith(right)

    def errors(self, left: int, right: int) -> bool:
        """Are these the errors?"""
        return f" err {left}" in self.left and f" err {right}" in self.right


@dataclass
class Known:
    """A documented difference between a server on the left, or several alike, and one on the right."""

    reason: str
    left: frozenset[str]
    right: str
    matches: Callable[[Difference], bool]


NEW = frozenset({"3.9", "pyzk"})


def _consumes_zxid(difference: Difference) -> bool:
    return difference.errors(-5, -5) and difference.left.split(" zxid ")[0] == difference.right.split(" zxid ")[0]


def _old(reason: str, matches: Callable[[Difference], bool]) -> Known:
    return Known(f"3.8: {reason}", NEW, "3.8", matches)


KNOWN: list[Known] = [
    _old("exists needs no permission", lambda d: d.starts("exists", "exists") and d.errors(-102, 0)),
    _old("bad create flags in a multi are a result", lambda d: d.starts("multi ", "multi ") and d.errors(-5, 0)),
    _old("create2 in a multi is answered as create", lambda d: d.starts("multi ", "multi ") and "15: " in d.left),
    _old("no watcher types 4 and 5", lambda d: "watches" in d.left[:14] and " err -5" in d.right),
    _old("checkWatches finds persistent watches by type 1 and 2", lambda d: "watches" in d.left[:14]),
    _old("a check outside a multi is never answered", lambda d: d.starts("check xid", "silence")),
    _old("IPv6 is no ACL id", lambda d: " err -114" in d.right or ": err=-114" in d.right),
    _old("a body that cannot be decoded takes a zxid", _consumes_zxid),
    _old("modes of watches replace each other", lambda d: "event " in d.left or "event " in d.right),
]


def find_known(difference: Difference, servers: tuple[str, str]) -> str | None:
    """The documented reason of a difference, if there is one."""
    for known in KNOWN:
        if servers[0] in known.left and servers[1] == known.right and known.matches(difference):
            return known.reason
    return None
