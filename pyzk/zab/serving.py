"""One learner as its leader sees it: the conversation that brings it up, from its hello to UPTODATE.

What the learner says afterwards is in the tables of `leading`. Source: docs/protocol/zab.md sections 3.2, 4 and 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.codec.quorum import STREAM_SIGNATURE, LearnerInfo, PacketReader, PacketType, pack_epoch, packet, unpack_epoch
from pyzk.errors import PeerError
from pyzk.zab.catchup import Plan, plan_from_log, whole_tree
from pyzk.zab.conversation import NEXT, Conversation
from pyzk.zab.effects import ReadLog, SendTree
from pyzk.zab.history import epoch_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from pyzk.codec.quorum import Packet
    from pyzk.zab.conversation import Condition, Script
    from pyzk.zab.master import Master

PROTOCOL_VERSION = 0x10000
UP_TO_DATE = packet(PacketType.UPTODATE, -1)


class Learner:
    """A link to a learner.

    Attributes:
        server_id: as it says; below 0 for those that say nothing.
        counts: whether it has its data: one that has lost it does not count for an epoch.
        heard_at, connected_at: when it was last heard, and first, monotonic seconds.
        deadline_tick: the tick up to which it counts as following.
        forwards: whether proposals (or INFORMs) are sent to it.
        is_synced: whether it has acknowledged NEWLEADER.
        is_established: whether it has been sent UPTODATE.
        overdue: the proposal whose ack is timed, and since when.
    """

    def __init__(self, master: Master, link: int, label: str, now: float) -> None:
        self.link = link
        self.label = label
        self.server_id = master.invent_id()
        self.is_observer = False
        self.counts = False
        self.heard_at = self.connected_at = now
        self.deadline_tick = master.tick + master.settings.init_ticks + master.settings.sync_ticks
        self.forwards = self.is_synced = self.is_established = False
        self.overdue: tuple[int, float] | None = None
        self.packets = PacketReader(master.settings.packet_bytes_max, joins_runs=True)
        self.conversation = Conversation(bring_up(master, self))

    def __str__(self) -> str:
        return f"server {self.server_id} ({self.label})"


def bring_up(master: Master, learner: Learner) -> Script:
    """The whole conversation."""
    state = master.state
    hello: Packet = yield NEXT
    _introduce(master, learner, hello)
    master.learner_offers(learner, epoch_of(hello.zxid))
    yield master.has_epoch
    state.send(learner.link, packet(PacketType.LEADERINFO, master.epoch << 32, pack_epoch(PROTOCOL_VERSION)))
    answer: Packet = yield NEXT
    if answer.type != PacketType.ACKEPOCH:
        raise PeerError(f"packet {answer.type} where ACKEPOCH was due")
    master.learner_promises(learner, unpack_epoch(answer.data), answer.zxid)
    yield master.may_synchronise
    yield from _synchronise(master, learner, answer.zxid)
    # A proposed configuration is in force with NEWLEADER's quorum, or else with its own COMMIT, and not before.
    config = state.membership if master.is_established() else state.last_seen
    state.send(learner.link, packet(PacketType.NEWLEADER, master.epoch << 32, config.text().encode()))
    yield from _await_ack(master, learner)
    master.learner_synced(learner)
    yield master.is_established
    state.send(learner.link, UP_TO_DATE)
    learner.is_established = True
    state.note("learner_up_to_date", server=learner.server_id)


def _introduce(master: Master, learner: Learner, hello: Packet) -> None:
    if hello.type not in (PacketType.FOLLOWERINFO, PacketType.OBSERVERINFO):
        raise PeerError(f"packet {hello.type} where FOLLOWERINFO or OBSERVERINFO was due")
    learner.is_observer = hello.type == PacketType.OBSERVERINFO
    info = LearnerInfo.decode(hello.data)
    if info is None:
        return
    state = master.state
    if info.config_version > state.membership.version:
        raise PeerError(f"its configuration 0x{info.config_version:x} is newer than ours: it may not be behind")
    master.name_learner(learner, info.server_id)


def _await_ack(master: Master, learner: Learner) -> Generator[Condition, Packet, None]:
    """The ACK of NEWLEADER. Acks of proposals that have overtaken it, as old learners let them, are heard behind it.

    Apache's leader takes the first of them for it, and never has its quorum (ZOOKEEPER-4685).
    """
    overtaking: list[Packet] = []
    while True:
        ack: Packet = yield NEXT  # type: ignore[misc]
        if ack.type == PacketType.ACK and ack.zxid == master.epoch << 32:
            learner.conversation.inbox.extendleft(reversed(overtaking))
            return
        if ack.type != PacketType.ACK:
            raise PeerError(f"packet {ack.type} (0x{ack.zxid:x}) where the ACK of NEWLEADER was due")
        overtaking.append(ack)


def _synchronise(master: Master, learner: Learner, learner_zxid: int) -> Generator[Condition, Packet, None]:
    """Send what the learner lacks, and let it have everything that is proposed from now on; nothing in between."""
    points = master.state.points
    is_forced = master.settings.force_snapshot_sync or points.fires("whole tree sent")
    found = whole_tree() if is_forced else master.plan(learner_zxid)
    if found is None or points.fires("window is too short"):
        found = yield from _plan_from_log(master, learner_zxid)
    master.limit_syncs(learner, found.kind)
    state = master.state
    state.note("learner_synchronises", server=learner.server_id, how=found.kind.name, zxid=hex(learner_zxid))
    if found.kind == PacketType.SNAP:
        found.forward_after = state.history.committed_zxid
        found.entries = master.behind_tree()
        state.send(learner.link, packet(PacketType.SNAP, found.forward_after))
        state.effects.append(SendTree(learner.link))
        state.send(learner.link, STREAM_SIGNATURE)
    else:
        state.send(learner.link, packet(found.kind, found.zxid))
    master.begin_forwarding(learner, found)


def _plan_from_log(master: Master, learner_zxid: int) -> Generator[Condition, Packet, Plan]:
    """The log files tell what a learner lacks that is behind the window, unless there is too much of it."""
    settings, state = master.settings, master.state
    window = master.committed_window()
    if settings.snapshot_size_factor < 0 or learner_zxid < 0 or not window:
        return whole_tree()
    token = state.new_read()
    until = window[-1][0]
    state.effects.append(ReadLog(learner_zxid, until, settings.snapshot_size_factor, token))
    yield lambda: token in master.log_reads
    return plan_from_log(master.log_reads.pop(token), until, master.committed_window())
