"""What the roles of one server share: who it is, what it has promised, what its log holds, and where effects go."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyzk.faultpoints import NONE, FaultPoints
from pyzk.tree.tree import Tree
from pyzk.zab.effects import Append, Close, Deliver, Doubt, Effect, Install, Note, SaveEpoch, Send
from pyzk.zab.events import Entry
from pyzk.zab.history import History
from pyzk.zab.membership import Membership
from pyzk.zab.quorum import Majority, MajorityOrOracle, Oracle, Quorum
from pyzk.zab.settings import AgreementSettings

ACCEPTED = "acceptedEpoch"
CURRENT = "currentEpoch"


@dataclass(slots=True)
class State:
    """The state of one server's agreement.

    Attributes:
        membership: the committed configuration.
        last_seen: the newest proposed one; the same object as `membership` when there is no newer one.
        accepted_epoch: the newest epoch that was promised to a leader, durably.
        current_epoch: the epoch whose history the log holds, durably.
        designated: the leader that a new configuration has named, if that changes our role; None if not.
        election_restarts: whether a new configuration has other members, so that all election links are made anew.
        doubt: why this server has lost acknowledged data, or may have; empty if it has not. It does not vote, count or
            acknowledge until an established leader has given everything back.
        effects: what is to be done, in order.
        done_token: the newest disk effect that is durable.
        seen_epoch: the newest epoch that a voter which we could not lead has promised.
        diffs_sent: learners that were brought up without the whole tree.
        points: of the simulator.
    """

    server_id: int
    settings: AgreementSettings
    membership: Membership
    last_seen: Membership
    history: History
    accepted_epoch: int = 0
    current_epoch: int = 0
    designated: int | None = None
    election_restarts: bool = False
    doubt: str = ""
    effects: list[Effect] = field(default_factory=list)
    done_token: int = 0
    oracle: Oracle = field(default_factory=Oracle)
    seen_epoch: int = 0
    diffs_sent: int = 0
    points: FaultPoints = NONE
    _last_token: int = 0
    _last_link: int = 0
    _pending: deque[int] = field(default_factory=deque)
    _trees: deque[tuple[int, int, Sequence[Entry]]] = field(default_factory=deque)

    @property
    def keeps_log(self) -> bool:
        """Whether txns are logged here: an observer may do without, unless it votes in a configuration to come."""
        is_observer = self.server_id in self.membership.observer_ids and self.server_id not in self.last_seen.voter_ids
        return self.settings.observer_sync_enabled or not is_observer

    @property
    def is_settled(self) -> bool:
        """Whether everything that was asked of the disk is done."""
        return not self._pending

    def next_token(self) -> int:
        """A token for an effect that changes the disk."""
        self._last_token += 1
        self._pending.append(self._last_token)
        return self._last_token

    def new_read(self) -> int:
        """A token for an effect that only reads: it says nothing about durability."""
        self._last_token += 1
        return self._last_token

    def durable(self, token: int) -> None:
        """What this token and those before it asked for is durable."""
        while self._pending and self._pending[0] <= token:
            self._pending.popleft()
        self.done_token = max(self.done_token, token)
        self.history.durable(token)
        while self._trees and self._trees[0][0] <= token:
            _, zxid, tail = self._trees.popleft()
            self.history.reset(zxid, tail=tail)

    def unwritten(self) -> None:
        """The log took nothing of what is under way."""
        self._pending.clear()
        self.history.unwritten()

    def new_link(self) -> int:
        """A number for a link that we dial."""
        self._last_link += 1
        return self._last_link

    def quorum(self) -> Quorum:
        """Who can decide in the committed configuration."""
        return self._quorum_of(self.membership)

    def quorums(self) -> tuple[Quorum, ...]:
        """What must agree: the committed configuration, and a newer one that is proposed."""
        if self.last_seen.version > self.membership.version:
            return self.quorum(), self._quorum_of(self.last_seen)
        return (self.quorum(),)

    def _quorum_of(self, membership: Membership) -> Quorum:
        quorum = membership.quorum()
        if self.settings.oracle_enabled and isinstance(quorum, Majority) and len(quorum.voters) == 2:
            return MajorityOrOracle(quorum, self.oracle)
        return quorum

    def append(self, entries: Sequence[Entry]) -> int:
        """Log these txns; returns the token."""
        token = self.next_token()
        self.history.append(entries, token)
        self.effects.append(Append(entries, token))
        return token

    def deliver(self, entries: Sequence[Entry]) -> None:
        """These txns are committed: the tree moves."""
        half = len(entries) // 2 if len(entries) > 1 and self.points.fires("delivery in two") else 0
        for part in (entries[:half], entries[half:]):
            if part:
                self.effects.append(Deliver(part[-1][0], part))

    def install(self, tree: Tree, tail: Sequence[Entry] = ()) -> int:
        """Take another tree, and a log that goes on behind it; returns the token, with which the history is that."""
        token = self.next_token()
        self._trees.append((token, tree.last_zxid, tail))
        self.effects.append(Install(tree, token, tail))
        return token

    def doubt_own_data(self, reason: str) -> None:
        """We have lost acknowledged data."""
        self.doubt = reason
        self.effects.append(Doubt(reason, self.next_token()))

    def save_epoch(self, name: str, epoch: int) -> int:
        """Write an epoch file, and from now on act by it; returns the token, before which nobody is told."""
        if name == ACCEPTED:
            self.accepted_epoch = epoch
        else:
            self.current_epoch = epoch
        token = self.next_token()
        self.effects.append(SaveEpoch(name, epoch, token))
        return token

    def send(self, link: int, data: bytes) -> None:
        """Send on a link."""
        self.effects.append(Send(link, data))

    def close(self, link: int, reason: str) -> None:
        """Close a link."""
        self.effects.append(Close(link, reason))

    def note(self, event: str, *, is_warning: bool = False, **fields: object) -> None:
        """Tell the operator."""
        self.effects.append(Note(event, fields, is_warning))
