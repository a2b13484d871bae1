"""What can happen to the agreement of one server.

Links are numbers: those that `Dial` asked for are positive and chosen by the core, those that others opened are
negative and chosen by the shell. A link that was closed by either side is not mentioned again, and its number is not
used again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from pyzk.errors import StorageError
from pyzk.tree.tree import Tree

Entry = tuple[int, bytes]
"""A txn for the log: zxid and payload."""


class Port(IntEnum):
    """What a link is for: the port on which it was accepted, or to which it is dialed."""

    ELECTION = 0
    QUORUM = 1
    OBSERVER_MASTER = 2


# From the network.


@dataclass(slots=True)
class Accepted:
    """Somebody has connected to one of our ports; `label` is the address, for the log."""

    link: int
    port: Port
    label: str


@dataclass(slots=True)
class Connected:
    """A dial has succeeded."""

    link: int


@dataclass(slots=True)
class Received:
    """Bytes have arrived on a link: everything of one wake-up."""

    link: int
    data: bytes


@dataclass(slots=True)
class Disconnected:
    """A dial has failed, or the other side has closed a link. Links closed by the core are not reported."""

    link: int
    reason: str


# From the disk.


@dataclass(slots=True)
class Done:
    """What the effect with this token asked of the disk is durable; tokens come back in the order of the effects."""

    token: int


@dataclass(slots=True)
class Unwritten:
    """The log could not take anything from this token on, because the disk is full; it is as it was before."""

    token: int
    error: StorageError


@dataclass(slots=True)
class Reloaded:
    """A `Truncate` is durable, and the tree, which had held more, was loaded anew up to `zxid`.

    Args:
        token: of the effect.
        zxid: of the tree, and the end of the log.
        recent: the last txns that the tree holds, oldest first.
        doubt: what is lost by that, if nothing older was there to load from.
    """

    token: int
    zxid: int
    recent: Sequence[Entry]
    doubt: str = ""


@dataclass(slots=True)
class Uncut:
    """A `Truncate` was not done, because nothing that old would have been left; everything is as it was."""

    token: int


@dataclass(slots=True)
class LogRead:
    """The txns that `ReadLog` asked for, in order; None if the log does not reach back that far or has too many."""

    token: int
    entries: Sequence[Entry] | None


# From time.


@dataclass(slots=True)
class Wake:
    """The deadline has passed."""


@dataclass(slots=True)
class OracleSays:
    """The oracle of a two-server ensemble has been asked (`oraclePath`)."""

    lead_alone: bool


# From service.


@dataclass(slots=True)
class Propose:
    """The leader's service has prepared these txns, in order."""

    entries: Sequence[Entry]


@dataclass(slots=True)
class Sync:
    """Tell us (`Synced(tag)`) when everything proposed so far is committed and we are known to lead still.

    Args:
        link: of the learner whose client asked, 0 for a client of our own.
        tag: a number that service chooses for its own; 0 for learners, who match by order.
    """

    link: int
    tag: int = 0


@dataclass(slots=True)
class StepDown:
    """The leader's service can go on no more in this epoch, because its zxids are used up."""

    reason: str


@dataclass(slots=True)
class Replace:
    """An operator wants this tree in place of all that the ensemble has; who does not lead ignores it."""

    tree: Tree


@dataclass(slots=True)
class Answer:
    """Service's encoded packets for the other end of a link: REQUESTs for the leader, REVALIDATEs, replies to PING."""

    link: int
    data: bytes


Event = (
    Accepted
    | Connected
    | Received
    | Disconnected
    | Done
    | Unwritten
    | Reloaded
    | Uncut
    | LogRead
    | Wake
    | OracleSays
    | Propose
    | Sync
    | StepDown
    | Replace
    | Answer
)
