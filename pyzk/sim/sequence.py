"""Which txn stands behind which in a simulated ensemble, and which of them are committed: one sequence for all servers.

A txn is named by its zxid; the first zxid of an epoch stands for the end of the log that the leader of that epoch was
established with.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, TypeAlias

from pyzk.sim.model import Model
from pyzk.zab.configuring import is_reconfig, membership_of
from pyzk.zab.history import begins_epoch, epoch_of

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Collection

    from pyzk.zab.membership import Membership

Details: TypeAlias = "str | Callable[[], str]"
"""What is said about a broken promise, or what makes it."""


class BrokenInvariantError(Exception):
    """A promise of agreement was broken; `invariant` says which."""

    def __init__(self, invariant: str, details: str) -> None:
        super().__init__(f"{invariant}: {details}")
        self.invariant = invariant
        self.details = details


def require(holds: bool, invariant: str, details: Details = "") -> None:  # noqa: FBT001 - a statement, not a flag
    """Something must be so. Raises BrokenInvariantError; details that come often are written only then."""
    if not holds:
        raise BrokenInvariantError(invariant, details if isinstance(details, str) else details())


class TxnSequence:
    """All txns that leaders have proposed, and the one order in which some of them are committed.

    Args:
        tally: what is counted.
        membership: the first configuration.

    Attributes:
        previous: the txn behind which each txn stands.
        payloads: of each txn.
        bases: the txn that each epoch begins behind.
        committed: zxids of all committed txns, in order.
        places: where in `committed` each of them stands, from 1 on.
        model: what the committed txns make of the tree.
        configuration: the last one that is committed.
    """

    def __init__(self, tally: Counter[str], membership: Membership) -> None:
        self._tally = tally
        self.previous: dict[int, int] = {}
        self.payloads: dict[int, bytes] = {}
        self.bases: dict[int, int] = {0: 0}
        self.committed: list[int] = []
        self.places: dict[int, int] = {0: 0}
        self.model = Model(tally, require)
        self.configuration = membership
        self._proposed: list[Membership] = []
        self._expected: list[Membership] = []

    @property
    def last(self) -> int:
        """The last committed txn, 0 if there is none."""
        return self.committed[-1] if self.committed else 0

    def last_before(self, epoch: int) -> int:
        """The last committed txn that was proposed before an epoch began, 0 if there is none."""
        count = bisect_left(self.committed, epoch << 32)
        return self.committed[count - 1] if count else 0

    def real(self, zxid: int) -> int:
        """The txn that a zxid stands for."""
        if not begins_epoch(zxid):
            return zxid
        require(epoch_of(zxid) in self.bases, "no zxid names an epoch without a leader", f"{zxid:x}")
        return self.bases[epoch_of(zxid)]

    def chain(self, zxid: int) -> list[int]:
        """All txns up to this one, oldest first."""
        found = []
        zxid = self.real(zxid)
        while zxid:
            found.append(zxid)
            zxid = self.previous[zxid]
        return found[::-1]

    def place_of(self, zxid: int) -> int:
        """How much was committed with the txn that a zxid stands for; -1 if it is not committed."""
        if begins_epoch(zxid) and epoch_of(zxid) not in self.bases:
            return -1
        return self.places.get(self.real(zxid), -1)

    def is_known(self, zxid: int) -> bool:
        """Whether a txn was proposed, or committed."""
        return self.real(zxid) in self.places or self.real(zxid) in self.previous

    def propose(self, zxid: int, payload: bytes, last: int) -> None:
        """A leader proposes a txn behind `last`."""
        require(zxid not in self.previous, "a zxid is given out once", f"{zxid:x}")
        self.previous[zxid] = self.real(last)
        self.payloads[zxid] = payload
        if is_reconfig(payload):
            self._proposed.append(membership_of(payload))

    def commit(self, zxid: int, having: Collection[int], who: str) -> None:
        """A txn is committed, which is durable on the servers `having`; `who` says so."""
        what = f"{who} commits {zxid:x} behind {self.last:x}"
        require(self.previous[zxid] == self.last, "committed txns are one sequence", what)
        needed = [self.configuration, *self._brought_by(zxid)]
        require(
            all(membership.quorum().contains_quorum(having) for membership in needed),
            "what is committed is durable on a quorum",
            f"{what}, and only {having} have it",
        )
        self.committed.append(zxid)
        self.places[zxid] = len(self.committed)
        self.model.apply(self.payloads[zxid])
        self._tally["reconfigurations"] += needed[-1] is not self.configuration
        self.configuration = needed[-1]
        self._tally["commits"] += 1

    def _brought_by(self, zxid: int) -> list[Membership]:
        """The configuration that a txn brings, if it does."""
        return [membership for membership in self._proposed if membership.version == zxid]

    def expect(self, membership: Membership) -> None:
        """Somebody asks for this configuration, and may be heard whenever that is."""
        self._expected.append(membership)

    def may_vote(self, server_id: int) -> bool:
        """Whether a server has a vote in the configuration that is committed, or in one that may be."""
        return any(server_id in membership.voter_ids for membership in self._possible)

    def may_be_member(self, server_id: int) -> bool:
        """Whether a server is in the configuration that is committed, or in one that may be, whatever its role."""
        return any(membership.find(server_id) is not None for membership in self._possible)

    def can_decide(self, servers: Collection[int]) -> bool:
        """Whether these are a quorum, in the configuration that is committed or in one that may be."""
        return any(membership.quorum().contains_quorum(servers) for membership in self._possible)

    def all_can_decide(self, servers: Collection[int]) -> bool:
        """Whether these are a quorum in each that there has been, or was asked for with other weights.

        A server may act by one that is committed no more, or be the only one that knows of a newer one.
        """
        needed = [self.configuration, *self._proposed, *self._expected]
        return all(membership.quorum().contains_quorum(servers) for membership in needed)

    @property
    def _possible(self) -> list[Membership]:
        """The configuration that is committed, and those that may be."""
        newer = [membership for membership in self._proposed if membership.version > self.configuration.version]
        return [self.configuration, *newer]
