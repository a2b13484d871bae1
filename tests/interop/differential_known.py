"""Differences between servers that are documented, so that a program which shows one of them is no finding."""

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


@dataclass
class Known:
    """A documented difference between two servers, by their names in any order."""

    reason: str
    servers: frozenset[str]
    matches: Callable[[Difference], bool]


KNOWN: list[Known] = []


def find_known(difference: Difference, servers: tuple[str, str]) -> str | None:
    """The documented reason of a difference, if there is one."""
    for known in KNOWN:
        if known.servers == frozenset(servers) and known.matches(difference):
            return known.reason
    return None
