"""What can happen to the agreement of one server."""

from collections.abc import Sequence
from dataclasses import dataclass

Entry = tuple[int, bytes]
"""A txn for the log: zxid and payload."""


@dataclass(slots=True)
class Propose:
    """The leader's service has prepared these txns, in order."""

    entries: Sequence[Entry]


@dataclass(slots=True)
class Done:
    """What the effect with this token asked of the disk is durable."""

    token: int


Event = Propose | Done
