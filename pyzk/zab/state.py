"""What the roles of one server share: who it is, what it has promised, what its log holds, and where effects go."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pyzk.zab.effects import Append, Close, Effect, Note, SaveEpoch, Send
from pyzk.zab.events import Entry
from pyzk.zab.history import History
from pyzk.zab.membership import Membership
from pyzk.zab.quorum import Quorum
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
    _last_token: int = 0
    _last_link: int = 0

    def next_token(self) -> int:
        """A token for an effect on the disk."""
        self._last_token += 1
        return self._last_token

    def new_link(self) -> int:
        """A number for a link that we dial."""
        self._last_link += 1
        return self._last_link

    def quorums(self) -> tuple[Quorum, ...]:
        """What must agree: the committed configuration, and a newer one that is proposed."""
        if self.last_seen.version > self.membership.version:
            return self.membership.quorum(), self.last_seen.quorum()
        return (self.membership.quorum(),)

    def append(self, entries: Sequence[Entry]) -> int:
        """Log these txns; returns the token."""
        token = self.next_token()
        self.history.append(entries, token)
        self.effects.append(Append(entries, token))
        return token

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
