"""What a vote is, which of two is better, and whether those who gave it can decide.

Source: docs/protocol/election.md sections 5.1 and 5.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pyzk.codec.election import ServerState
from pyzk.zab.membership import Membership

DATA_LOST = -1
"""The zxid of a server that has lost data: it neither elects nor is elected (docs/protocol/storage.md section 6)."""


@dataclass(slots=True)
class Vote:
    """Who should lead.

    Args:
        leader: server id; NOBODY for observers and for those in no configuration.
        zxid: last one logged by that server.
        round: logical clock of the election in which the vote was given.
        peer_epoch: current epoch of that server.
        state: of the server that gave the vote.
        version: of the notification that brought it.
    """

    leader: int
    zxid: int
    round: int
    peer_epoch: int
    state: ServerState = ServerState.LOOKING
    version: int = 0

    def agrees_with(self, other: "Vote") -> bool:
        """Whether the two count together.

        Zxid and round of members of an established ensemble differ rightly: only leader and epoch are compared, and
        of the epoch nothing is known where one side is too old to tell it.
        """
        if self.leader != other.leader:
            return False
        if ServerState.LOOKING in {self.state, other.state}:
            mine, theirs = (self.zxid, self.round, self.peer_epoch), (other.zxid, other.round, other.peer_epoch)
            return mine == theirs
        return (self.version > 0) != (other.version > 0) or self.peer_epoch == other.peer_epoch


def agreeing(votes: Mapping[int, Vote], wanted: Vote) -> frozenset[int]:
    """Who has given this vote."""
    return frozenset(server_id for server_id, vote in votes.items() if vote.agrees_with(wanted))


@dataclass(slots=True)
class Electorate:
    """Who elects.

    Args:
        membership: the committed configuration.
        last_seen: the newest one proposed, if any.
        leads_alone: the oracle says that one of two voters is enough.
    """

    membership: Membership
    last_seen: Membership | None
    leads_alone: bool

    @property
    def voters(self) -> frozenset[int]:
        """Those who have a vote in either configuration."""
        return self.membership.voter_ids | (self.last_seen.voter_ids if self.last_seen else frozenset())

    def is_better(self, new: Vote, old: Vote) -> bool:
        """The total order of votes; a server without weight is never better."""
        if self._weight(new.leader) == 0:
            return False
        return (new.peer_epoch, new.zxid, new.leader) > (old.peer_epoch, old.zxid, old.leader)

    def _weight(self, server_id: int) -> int:
        if self.last_seen is not None and server_id not in self.membership.voter_ids:
            return self.last_seen.quorum().weight_of(server_id)
        return self.membership.quorum().weight_of(server_id)

    def has_quorum(self, votes: Mapping[int, Vote], wanted: Vote) -> bool:
        """Whether those who gave this vote can decide: in the committed configuration, and in a newer one proposed."""
        servers = agreeing(votes, wanted)
        if self.last_seen is not None and self.last_seen.version > self.membership.version:
            return self._can_decide(self.membership, servers) and self._can_decide(self.last_seen, servers)
        return self._can_decide(self.membership, servers)

    def is_followed(self, votes: Mapping[int, Vote], wanted: Vote) -> bool:
        """Whether those who follow somebody already are a quorum of the committed configuration."""
        return self._can_decide(self.membership, agreeing(votes, wanted))

    def _can_decide(self, membership: Membership, servers: frozenset[int]) -> bool:
        present = servers & membership.voter_ids
        if self.leads_alone and len(membership.voter_ids) == 2 and present:
            return True
        return membership.quorum().contains_quorum(present)
