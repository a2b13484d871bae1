"""How a learner is brought up to its leader: by what it lacks, by cutting what it has too much, or by the whole tree.

A decision table over zxids, nothing else. Source: docs/protocol/zab.md sections 4.1 and 4.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pyzk.codec.quorum import PacketType
from pyzk.zab.events import Entry
from pyzk.zab.history import begins_epoch, epoch_of


@dataclass(slots=True)
class Plan:
    """What to send to a learner.

    Attributes:
        kind: DIFF, TRUNC or SNAP.
        zxid: of that packet; of no meaning for SNAP.
        entries: committed txns that follow.
        forward_after: the last txn that the learner has then.
    """

    kind: PacketType
    zxid: int
    forward_after: int
    entries: Sequence[Entry] = field(default_factory=list)


def plan(learner_zxid: int, tree_zxid: int, window: Sequence[Entry]) -> Plan | None:
    """What to do for a learner whose log ends with `learner_zxid`; None: only the log files can tell.

    Args:
        learner_zxid: -1 for a server that has lost its data.
        tree_zxid: of the leader: the end of its log, or what it has committed once it is established.
        window: the last committed txns of the leader, oldest first.
    """
    oldest, newest = (window[0][0], window[-1][0]) if window else (tree_zxid, tree_zxid)
    if learner_zxid == tree_zxid:
        return Plan(PacketType.DIFF, learner_zxid, learner_zxid)
    if learner_zxid > newest and not begins_epoch(learner_zxid):
        return Plan(PacketType.TRUNC, newest, newest)
    if oldest <= learner_zxid <= newest:
        return _within(learner_zxid, window)
    return None if learner_zxid < oldest else whole_tree()


def _within(learner_zxid: int, window: Sequence[Entry]) -> Plan:
    """The learner's log ends somewhere in the window, perhaps with a txn that is not in it."""
    newest = window[-1][0]
    missing = [entry for entry in window if entry[0] > learner_zxid]
    previous = window[-1 - len(missing)][0]
    if previous == learner_zxid or begins_epoch(learner_zxid):
        return Plan(PacketType.DIFF, newest, newest, missing)
    if epoch_of(missing[0][0]) != epoch_of(learner_zxid):
        return whole_tree()
    return Plan(PacketType.TRUNC, previous, newest, missing)


def plan_from_log(logged: Sequence[Entry] | None, until: int, window: Sequence[Entry]) -> Plan:
    """The plan for a learner that is behind the window.

    Args:
        logged: what the log files hold behind the learner's last txn, which they hold too, up to `until`; None if they
            do not.
        until: the newest committed txn when the files were asked.
        window: what is committed by now.
    """
    if not logged or logged[-1][0] != until or window[0][0] > until:
        return whole_tree()
    missing = [*logged, *[entry for entry in window if entry[0] > until]]
    newest = missing[-1][0]
    return Plan(PacketType.DIFF, newest, newest, missing)


def whole_tree() -> Plan:
    """A plan that needs nothing of the learner."""
    return Plan(PacketType.SNAP, 0, 0)
