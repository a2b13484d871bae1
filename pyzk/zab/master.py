"""A server that has learners: the leader, or a follower that serves observers in its place.

Links, the conversations on them (`serving`), and what is decided alike in both cases. What a conversation waits for,
and what is heard behind its end, is up to `leading` and `mastering`. Source: docs/protocol/zab.md sections 3 to 5, 10.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pyzk.codec.quorum import PacketType, packet, packets_of_txns
from pyzk.errors import DecodeError, PeerError
from pyzk.zab.catchup import plan
from pyzk.zab.effects import LearnerLeft
from pyzk.zab.serving import Learner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyzk.codec.quorum import Packet
    from pyzk.zab.catchup import Plan
    from pyzk.zab.events import Entry
    from pyzk.zab.state import State

LEARNERS_MAX = 1000
"""Links to learners at a time; more are not taken."""


class Master(ABC):
    """Learners and how they are brought up.

    Attributes:
        epoch: the epoch that learners are told, 0 before it is known.
        learners: by link.
        log_reads: what came back from the log files, by token.
        tick: ticks since this began.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.settings = state.settings
        self.learners: dict[int, Learner] = {}
        self.log_reads: dict[int, Sequence[Entry] | None] = {}
        self.epoch = 0
        self.tick = 0
        self._invented = 0

    # What conversations wait for, and tell.

    @abstractmethod
    def has_epoch(self) -> bool:
        """Whether the epoch can be told."""

    @abstractmethod
    def may_synchronise(self) -> bool:
        """Whether learners can be brought up."""

    @abstractmethod
    def is_established(self) -> bool:
        """Whether what learners are sent is committed."""

    @abstractmethod
    def learner_offers(self, learner: Learner, accepted_epoch: int) -> None:
        """A learner has told the epoch it has accepted."""

    @abstractmethod
    def learner_promises(self, learner: Learner, current_epoch: int, last_zxid: int) -> None:
        """A learner has promised the epoch. Raises PeerError for one that has more than we."""

    @abstractmethod
    def learner_synced(self, learner: Learner) -> None:
        """A learner has acknowledged NEWLEADER: our history is durable there."""

    @abstractmethod
    def outstanding(self, learner: Learner) -> list[Entry]:
        """What is proposed and not committed, as far as this learner is to know."""

    @abstractmethod
    def hear(self, learner: Learner, packets: list[Packet], now: float) -> None:
        """What a learner says once it is up to date. Raises PeerError and DecodeError."""

    # Links.

    def invent_id(self) -> int:
        """An id for a learner that does not tell its own: -1, -2 and so on."""
        self._invented -= 1
        return self._invented

    def accept(self, link: int, label: str, now: float) -> None:
        """A learner has connected."""
        if len(self.learners) >= LEARNERS_MAX and not self._make_room():
            self.state.close(link, f"{LEARNERS_MAX} learners are connected already")
            return
        self.learners[link] = Learner(self, link, label, now)

    def _make_room(self) -> bool:
        """Close the oldest link that has not said whose it is: whoever keeps silent keeps nobody out."""
        silent = next((learner for learner in self.learners.values() if learner.server_id < 0), None)
        if silent is not None:
            self.drop(silent, f"{LEARNERS_MAX} links are open, and it has not said who it is")
        return silent is not None

    def name_learner(self, learner: Learner, server_id: int) -> None:
        """A learner has said who it is; an older link of the same server that is silent is closed. Raises PeerError.

        Differs from Apache: while the older link follows and is heard, the newer one is refused. Two servers with one
        id, or somebody who plays one, would push a good follower out again and again.
        """
        if server_id == self.state.server_id:
            raise PeerError(f"it says it is server {server_id}, as we are: two servers have the same id (myid)")
        older = [other for other in self.learners.values() if other.server_id == server_id and other is not learner]
        for other in older:
            silent_seconds = learner.heard_at - other.heard_at
            # A busy server may miss a ping or two, and is still the one.
            if other.is_established and silent_seconds < self.settings.sync_seconds / 2:
                raise PeerError(f"server {server_id} is connected already, from {other.label}, and was heard just now")
            self.drop(other, "the server has connected again")
        learner.server_id = server_id

    def receive(self, link: int, data: bytes, now: float) -> None:
        """A learner has sent something."""
        learner = self.learners.get(link)
        if learner is None:
            return
        learner.heard_at = now
        learner.deadline_tick = max(learner.deadline_tick, self.tick + self.settings.sync_ticks)
        try:
            packets = learner.packets.feed(data)
            if learner.conversation.is_over:
                self.hear(learner, packets, now)
            else:
                learner.conversation.take(packets)
                self._converse(learner, now)
        except (PeerError, DecodeError) as error:
            self.drop(learner, str(error))
        self.go_on(now)

    def _converse(self, learner: Learner, now: float) -> None:
        """What came behind the end of the conversation is for the tables."""
        conversation = learner.conversation
        conversation.go_on()
        if conversation.is_over and conversation.inbox:
            packets = list(conversation.inbox)
            conversation.inbox.clear()
            self.hear(learner, packets, now)

    def go_on(self, now: float) -> None:
        """Something has changed that conversations may wait for."""
        for learner in list(self.learners.values()):
            if not learner.conversation.is_over and learner.link in self.learners:
                try:
                    self._converse(learner, now)
                except (PeerError, DecodeError) as error:
                    self.drop(learner, str(error))

    def left(self, link: int, reason: str) -> None:
        """A learner's link is gone."""
        learner = self.learners.get(link)
        if learner is not None:
            self.forget(learner, reason)

    def drop(self, learner: Learner, reason: str) -> None:
        """Close a learner's link."""
        if learner.link in self.learners:
            self.state.close(learner.link, reason)
            self.forget(learner, reason)

    def forget(self, learner: Learner, reason: str) -> None:
        """A learner is gone."""
        del self.learners[learner.link]
        learner.conversation.close()
        self.state.note("learner_left", is_warning=True, learner=str(learner), reason=reason)
        self.state.effects.append(LearnerLeft(learner.link))

    def drop_all(self, reason: str) -> None:
        """Close all links, because this is over."""
        for learner in self.learners.values():
            self.state.close(learner.link, reason)
            learner.conversation.close()
        self.learners.clear()

    # Bringing learners up.

    def committed_window(self) -> list[Entry]:
        """What learners may be sent as committed: until we are established, all that is in our log."""
        history = self.state.history
        return [*history.window, *([] if self.is_established() else history.tail)]

    def behind_tree(self) -> list[Entry]:
        """What is part of our history and not in our tree."""
        return [] if self.is_established() else list(self.state.history.tail)

    def plan(self, learner_zxid: int) -> Plan | None:
        """How to bring a learner up; None: the log files have to be asked."""
        history = self.state.history
        reached = history.committed_zxid if self.is_established() else history.last_zxid
        return plan(learner_zxid, reached, self.committed_window())

    def limit_syncs(self, learner: Learner, kind: PacketType) -> None:
        """Raises PeerError when too many observers are brought up at once; followers always are."""
        settings = self.settings
        most = settings.snap_syncs_max if kind == PacketType.SNAP else settings.diff_syncs_max
        under_way = sum(other.forwards and not other.is_synced for other in self.learners.values())
        if learner.is_observer and under_way >= most:
            raise PeerError(f"{under_way} learners are brought up at the moment; it may try again")

    def begin_forwarding(self, learner: Learner, found: Plan) -> None:
        """Send the committed txns of a plan, then what is outstanding; from now on the learner gets everything."""
        committed = [
            packet(PacketType.PROPOSAL, zxid, payload) + packet(PacketType.COMMIT, zxid)
            for zxid, payload in found.entries
        ]
        self.state.diffs_sent += found.kind != PacketType.SNAP
        after = found.entries[-1][0] if found.entries else found.forward_after
        outstanding = [entry for entry in self.outstanding(learner) if entry[0] > after]
        out = b"".join([*committed, packets_of_txns(PacketType.PROPOSAL, outstanding)])
        if out:
            self.state.send(learner.link, out)
        learner.forwards = True

    def ping(self, learner: Learner, zxid: int) -> None:
        """Ask a learner whether it is there."""
        self.state.send(learner.link, packet(PacketType.PING, zxid))
