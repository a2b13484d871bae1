"""Which sets of servers can decide."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(slots=True)
class Majority:
    """More than half of the voters; `voters` are server ids."""

    voters: frozenset[int]

    def contains_quorum(self, servers: Collection[int]) -> bool:
        """Whether these servers can decide."""
        return 2 * len(self.voters.intersection(servers)) > len(self.voters)
