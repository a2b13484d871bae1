"""What the shell (or the simulator), or service, must do, in list order.

The first group is for the network, the second for the disk, the third for service. Effects on the disk are performed
one after the other, and each has a token that comes back when what it asked for is durable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyzk.codec.quorum import Forwarded
from pyzk.tree.tree import Tree
from pyzk.zab.events import Entry, Port

# For the network.


@dataclass(slots=True)
class Dial:
    """Connect to the first of these (host, port) that answers; then `Connected(link)`, else `Disconnected(link)`."""

    link: int
    port: Port
    addresses: Sequence[tuple[str, int]]
    timeout_ms: int


@dataclass(slots=True)
class Send:
    """Send bytes on a link; one of them may have been closed meanwhile, then nothing happens."""

    link: int
    data: bytes


@dataclass(slots=True)
class SendTree:
    """Send the tree as it is now (`tree.walk`) on a link, as fast as the other end takes it.

    What is sent on the link after this effect goes out behind the tree.
    """

    link: int


@dataclass(slots=True)
class Close:
    """Close a link, at once, with what was sent before going out first."""

    link: int
    reason: str


# For the disk.


@dataclass(slots=True)
class Append:
    """Write these txns to the log, make them durable, and answer with `Done(token)`."""

    entries: Sequence[Entry]
    token: int


@dataclass(slots=True)
class SaveEpoch:
    """Write an epoch file (`acceptedEpoch`, `currentEpoch`), durably; then `Done(token)`."""

    name: str
    epoch: int
    token: int


@dataclass(slots=True)
class Truncate:
    """Remove all txns above `zxid` from log and snapshots, durably.

    `Done(token)` follows if the tree in memory holds nothing above it, else the tree is loaded anew: `Reloaded(token)`.
    If no snapshot is old enough to load, nothing is removed: `Uncut(token)`.
    """

    zxid: int
    token: int


@dataclass(slots=True)
class Install:
    """Take this tree in place of our own, and answer with `Done(token)` when that is durable.

    The tree is written as a snapshot, and `tail`, the txns behind it, in place of the log: both or neither.
    """

    tree: Tree
    token: int
    tail: Sequence[Entry] = ()

    @property
    def last_zxid(self) -> int:
        """Where the log ends then."""
        return self.tail[-1][0] if self.tail else self.tree.last_zxid


@dataclass(slots=True)
class ReadLog:
    """Read the txns behind `after` up to `until` from the files; then `LogRead(token)`.

    Args:
        after: the last txn that a learner has: it must be in the log itself, or be where a snapshot stands.
        until: the last txn wanted.
        size_factor: not if the bytes to be read are more than this share of the newest snapshot (snapshotSizeFactor).
    """

    after: int
    until: int
    size_factor: float
    token: int


@dataclass(slots=True)
class Heal:
    """An established leader has given back what this server had lost: forget the doubt, durably; then `Done(token)`."""

    token: int


@dataclass(slots=True)
class Doubt:
    """This server has lost acknowledged data: remember it, durably, until `Heal`; then `Done(token)`."""

    reason: str
    token: int


@dataclass(slots=True)
class SaveConfig:
    """Write the ensemble's configuration: the committed one, or (`is_next`) one that is proposed. No answer.

    Args:
        text: as in /zookeeper/config, with the version.
    """

    text: str
    is_next: bool


# For service.


@dataclass(slots=True)
class Deliver:
    """These txns are committed, in their order; all up to `zxid`."""

    zxid: int
    entries: Sequence[Entry]


@dataclass(slots=True)
class Opened:
    """This server is established in a role: serve clients.

    Args:
        is_leader: whether we lead; then the next txn has `zxid` + 1.
        is_observer: whether we follow without a vote.
        link: to the leader, 0 if that is us.
        zxid: of the tree: what a leader has delivered, or the first zxid of its epoch.
    """

    is_leader: bool
    is_observer: bool
    link: int
    zxid: int


@dataclass(slots=True)
class Closed:
    """This server has left its role: close all clients, forget what is outstanding.

    Attributes:
        reason: why.
        is_handover: a new configuration has named who leads: the next role follows without an election.
    """

    reason: str
    is_handover: bool = False


@dataclass(slots=True)
class Requests:
    """(leader) A learner has forwarded these requests of its clients, in order."""

    link: int
    requests: Sequence[Forwarded]


@dataclass(slots=True)
class Revalidate:
    """(leader) A client has come to a learner with its session: `service` answers with a REVALIDATE packet."""

    link: int
    session_id: int
    timeout_ms: int


@dataclass(slots=True)
class Touched:
    """(leader) Sessions that have shown life at a learner, with their timeouts in ms."""

    touches: Mapping[int, int]


@dataclass(slots=True)
class LearnerLeft:
    """(leader) A learner's link is gone."""

    link: int


@dataclass(slots=True)
class Revalidated:
    """(learner) The leader's answer about a session."""

    session_id: int
    is_valid: bool


@dataclass(slots=True)
class Pinged:
    """(learner) The leader wants a reply to a PING: `service` sends it with what it has touched."""

    link: int
    zxid: int


@dataclass(slots=True)
class Synced:
    """A `Sync` of one of our own clients is confirmed: that with this tag on the leader, the oldest on a learner."""

    tag: int = 0


@dataclass(slots=True)
class ConfigChanged:
    """The committed configuration is another one: its text for /zookeeper/config and for the client port."""

    text: str
    version: int


# For the operator.


@dataclass(slots=True)
class Note:
    """Something for the log: a snake_case phrase, and fields."""

    event: str
    fields: Mapping[str, object] = field(default_factory=dict)
    is_warning: bool = False


Effect = (
    Dial
    | Send
    | SendTree
    | Close
    | Append
    | SaveEpoch
    | Truncate
    | Install
    | ReadLog
    | Heal
    | Doubt
    | SaveConfig
    | Deliver
    | Opened
    | Closed
    | Requests
    | Revalidate
    | Touched
    | LearnerLeft
    | Revalidated
    | Pinged
    | Synced
    | ConfigChanged
    | Note
)
