"""Which sets of servers can decide. Any two quorums of one membership have a server in common.

Source: docs/protocol/zab.md section 13.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Quorum(Protocol):
    """The rule by which servers decide. Observers and servers that are no members never count."""

    @property
    def voters(self) -> frozenset[int]:
        """Ids of the servers that vote."""

    def contains_quorum(self, servers: Collection[int]) -> bool:
        """Whether these servers can decide."""

    def weight_of(self, server_id: int) -> int:
        """What a server counts; one that counts 0 is never elected."""


@dataclass(slots=True, frozen=True)
class Majority:
    """More than half of the voters; `voters` are server ids."""

    voters: frozenset[int]

    def contains_quorum(self, servers: Collection[int]) -> bool:
        """Whether these servers can decide."""
        return 2 * len(self.voters.intersection(servers)) > len(self.voters)

    def weight_of(self, server_id: int) -> int:
        """Every voter counts 1, others 0."""
        return 1 if server_id in self.voters else 0


@dataclass(slots=True, frozen=True)
class Hierarchical:
    """More than half of the weight in more than half of the groups; groups that weigh nothing are no groups.

    Args:
        group_of: server id to group.
        weights: server id to weight, 0 or more; a voter that is not there weighs 1.
        voters: server ids.
    """

    group_of: Mapping[int, int]
    weights: Mapping[int, int]
    voters: frozenset[int]
    _group_weights: Mapping[int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_group_weights", self._weigh(self.voters))

    def contains_quorum(self, servers: Collection[int]) -> bool:
        """Whether these servers can decide."""
        present = self._weigh(self.voters.intersection(servers))
        decided = sum(2 * weight > self._group_weights[group] for group, weight in present.items())
        return 2 * decided > len(self._group_weights)

    def weight_of(self, server_id: int) -> int:
        """What was set for a voter, else 1; others count 0."""
        return self.weights.get(server_id, 1) if server_id in self.voters else 0

    def _weigh(self, servers: Collection[int]) -> Mapping[int, int]:
        """Groups to the weight that these voters have in them, without groups of no weight."""
        # Differs from Apache: an observer named in a group adds nothing to the group's weight, as it never decides.
        weights: Counter[int] = Counter()
        for server_id in servers:
            if server_id in self.group_of:
                weights[self.group_of[server_id]] += self.weight_of(server_id)
        return +weights


@dataclass(slots=True)
class Oracle:
    """What an ensemble of two servers asks when one of them is alone (election.md section 6.4).

    Attributes:
        lead_alone: the oracle's word.
        is_alone: whether the leader has no follower.
    """

    lead_alone: bool = False
    is_alone: bool = True


@dataclass(slots=True)
class MajorityOrOracle:
    """Two voters, of which the leader may decide alone while the oracle says so and the other is gone."""

    majority: Majority
    oracle: Oracle

    @property
    def voters(self) -> frozenset[int]:
        """Both."""
        return self.majority.voters

    def contains_quorum(self, servers: Collection[int]) -> bool:
        """Whether these servers can decide."""
        may_lead_alone = self.oracle.lead_alone and self.oracle.is_alone and bool(self.voters.intersection(servers))
        return may_lead_alone or self.majority.contains_quorum(servers)

    def weight_of(self, server_id: int) -> int:
        """1 for both."""
        return self.majority.weight_of(server_id)
