"""The leader's role: finds the epoch, brings learners up, and is established when a quorum has its history.

Three things must come from a quorum, one after the other: the epochs that servers have accepted, their promise of the
new one, and their acknowledgement of NEWLEADER. Each is a condition that the learners' conversations (`serving`) wait
for. Once established, proposals are in `broadcast`, syncs in `syncs`, and what learners say in `listening`.
Source: docs/protocol/zab.md sections 3.2, 4, 6.1 and 9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.codec.quorum import PacketType, packet
from pyzk.errors import PeerError
from pyzk.zab.broadcast import Broadcast
from pyzk.zab.catchup import plan
from pyzk.zab.configuring import activate_config, stamp_config
from pyzk.zab.effects import Deliver, LearnerLeft, Opened, Synced
from pyzk.zab.history import COUNTER_MASK, epoch_of
from pyzk.zab.listening import hear
from pyzk.zab.serving import Learner
from pyzk.zab.state import ACCEPTED, CURRENT
from pyzk.zab.syncs import Syncs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyzk.zab.catchup import Plan
    from pyzk.zab.events import Entry, Sync
    from pyzk.zab.state import State

LEARNERS_MAX = 1000
"""Links to learners at a time; more are not taken."""
SYNC_PACKET = packet(PacketType.SYNC, 0)


class Leading:
    """One term of a leader.

    Attributes:
        epoch: the new epoch, 0 before it is found.
        learners: by link.
        log_reads: what came back from the log files, by token.
        proposed_zxid: the last zxid given out.
        established: whether a quorum has our history.
        ended: why the term is over, empty while it is not.
    """

    def __init__(self, state: State, now: float) -> None:
        self.state = state
        self.settings = state.settings
        self.learners: dict[int, Learner] = {}
        self.log_reads: dict[int, Sequence[Entry] | None] = {}
        self.epoch = 0
        self.proposed_zxid = 0
        self.established = False
        self.ended = ""
        self.tick = 0
        self.broadcast = Broadcast(*state.quorums())
        self.syncs = Syncs(state.server_id, state.quorums())
        self._summary = (state.current_epoch, state.history.last_zxid)
        self._invented = 0
        self._wanted_epoch = state.seen_epoch + 1
        self._offers: dict[int, None] = {}
        self._promises: dict[int, None] = {}
        self._synced: dict[int, None] = {}
        self._accepted_token = self._current_token = 0
        self._half_ticks = 0
        self._due = now + self.settings.tick_ms / 2000
        self._give_up_at = now + self.settings.init_seconds
        self._offer(state.server_id, state.accepted_epoch)

    # Conditions.

    def has_epoch(self) -> bool:
        """Whether the new epoch is found, and our own promise durable."""
        return self._accepted_token != 0 and self.state.done_token >= self._accepted_token

    def may_synchronise(self) -> bool:
        """Whether a quorum has promised, and the epoch is our current one, durably."""
        return self._current_token != 0 and self.state.done_token >= self._current_token

    def is_established(self) -> bool:
        """Whether a quorum has our history."""
        return self.established

    # The three quorums.

    def _offer(self, server_id: int, accepted_epoch: int) -> None:
        if self.epoch or accepted_epoch < 0:
            return
        self._wanted_epoch = max(self._wanted_epoch, accepted_epoch + 1)
        self._offers[server_id] = None
        if self.state.membership.quorum().contains_quorum(self._offers):
            self.epoch = self._wanted_epoch
            self._accepted_token = self.state.save_epoch(ACCEPTED, self.epoch)

    def learner_offers(self, learner: Learner, accepted_epoch: int) -> None:
        """A learner has told the epoch it has accepted."""
        if learner.server_id in self.state.membership.voter_ids:
            self.state.seen_epoch = max(self.state.seen_epoch, accepted_epoch)
            if self.epoch and accepted_epoch > self.epoch:
                # Differs from Apache: there such a server is left out until there is another election.
                self.end(f"{learner} has promised epoch {accepted_epoch}: only a newer one lets it in")
        self._offer(learner.server_id, accepted_epoch)

    def learner_promises(self, learner: Learner, current_epoch: int, last_zxid: int) -> None:
        """A learner has promised the new epoch. Raises PeerError for one that has more than we."""
        learner.counts = last_zxid >= 0
        if self._current_token or current_epoch == -1 or last_zxid < 0:
            return
        if (current_epoch, last_zxid) > self._summary:
            raise PeerError(f"it is ahead of us: epoch {current_epoch}, zxid 0x{last_zxid:x}")
        self._promise(learner.server_id)

    def _promise(self, server_id: int) -> None:
        self._promises[server_id] = None
        own = self.state.server_id
        if own in self._promises and self.state.membership.quorum().contains_quorum(self._promises):
            self._current_token = self.state.save_epoch(CURRENT, self.epoch)
            self.proposed_zxid = self.epoch << 32
            stamp_config(self.state, self.epoch)

    def learner_synced(self, learner: Learner) -> None:
        """A learner has acknowledged NEWLEADER: our history is durable there."""
        learner.is_synced = True
        learner.deadline_tick = self.tick + self.settings.sync_ticks
        if learner.counts:
            self._sync(learner.server_id)

    def _sync(self, server_id: int) -> None:
        self._synced[server_id] = None
        if not self.established and all(quorum.contains_quorum(self._synced) for quorum in self.state.quorums()):
            self._establish()

    def _establish(self) -> None:
        """Everything in our log is committed by this."""
        state, history = self.state, self.state.history
        committed = history.commit(history.last_zxid)
        if committed:
            state.effects.append(Deliver(history.committed_zxid, committed))
        history.begin_epoch(self.epoch)
        self.established = True
        activate_config(state, state.server_id, state.server_id)
        self.broadcast.quorums = self.syncs.quorums = state.quorums()
        state.effects.append(Opened(is_leader=True, is_observer=False, link=0, zxid=self.epoch << 32))

    # Learners.

    def invent_id(self) -> int:
        """An id for a learner that does not tell its own: -1, -2 and so on."""
        self._invented -= 1
        return self._invented

    def accept(self, link: int, label: str, now: float) -> None:
        """A learner has connected."""
        if len(self.learners) >= LEARNERS_MAX:
            self.state.close(link, f"{LEARNERS_MAX} learners are connected already")
            return
        self.learners[link] = Learner(self, link, label, now)

    def name_learner(self, learner: Learner, server_id: int) -> None:
        """A learner has said who it is; an older link of the same server is closed. Raises PeerError."""
        if server_id == self.state.server_id:
            raise PeerError(f"it says it is server {server_id}, as we are: two servers have the same id (myid)")
        older = [other for other in self.learners.values() if other.server_id == server_id and other is not learner]
        for other in older:
            self._drop(other, "the server has connected again")
        learner.server_id = server_id

    def committed_window(self) -> list[Entry]:
        """What learners may be sent as committed: until we are established, all that is in our log."""
        history = self.state.history
        return [*history.window, *([] if self.established else history.tail)]

    def behind_tree(self) -> list[Entry]:
        """What is part of our history and not in our tree."""
        return [] if self.established else list(self.state.history.tail)

    def plan(self, learner_zxid: int) -> Plan | None:
        """How to bring a learner up; None: the log files have to be asked."""
        history = self.state.history
        reached = history.committed_zxid if self.established else history.last_zxid
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
        out = [
            packet(PacketType.PROPOSAL, zxid, payload) + packet(PacketType.COMMIT, zxid)
            for zxid, payload in found.entries
        ]
        after = found.entries[-1][0] if found.entries else found.forward_after
        if not learner.is_observer:
            outstanding = [entry for entry in self.broadcast.outstanding if entry[0] > after]
            out += [packet(PacketType.PROPOSAL, zxid, payload) for zxid, payload in outstanding]
        if out:
            self.state.send(learner.link, b"".join(out))
        learner.forwards = True

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
                hear(self, learner, packets, now)
            else:
                learner.conversation.take(packets)
                self._converse(learner, now)
        except PeerError as error:
            self._drop(learner, str(error))
        self.go_on(now)

    def _converse(self, learner: Learner, now: float) -> None:
        """What came behind the end of the conversation is for the tables."""
        conversation = learner.conversation
        conversation.go_on()
        if conversation.is_over and conversation.inbox:
            packets = list(conversation.inbox)
            conversation.inbox.clear()
            hear(self, learner, packets, now)

    def go_on(self, now: float) -> None:
        """Something has changed that conversations may wait for."""
        if self.has_epoch() and self.state.server_id not in self._promises:
            self._promise(self.state.server_id)
        if self.may_synchronise() and self.state.server_id not in self._synced:
            self._sync(self.state.server_id)
        for learner in list(self.learners.values()):
            if not learner.conversation.is_over and learner.link in self.learners:
                try:
                    self._converse(learner, now)
                except PeerError as error:
                    self._drop(learner, str(error))

    def left(self, link: int, reason: str) -> None:
        """A learner's link is gone."""
        learner = self.learners.get(link)
        if learner is not None:
            self._forget(learner, reason)

    def _drop(self, learner: Learner, reason: str) -> None:
        if learner.link in self.learners:
            self.state.close(learner.link, reason)
            self._forget(learner, reason)

    def _forget(self, learner: Learner, reason: str) -> None:
        del self.learners[learner.link]
        self.broadcast.forget(learner.server_id)
        self.syncs.left(learner.server_id)
        self._synced.pop(learner.server_id, None)
        self.state.note("learner_left", is_warning=True, learner=str(learner), reason=reason)
        self.state.effects.append(LearnerLeft(learner.link))

    # Txns.

    def propose(self, entries: Sequence[Entry], now: float) -> None:
        """Service has prepared these txns: to all followers, and to our own log."""
        if entries[-1][0] & COUNTER_MASK == COUNTER_MASK or epoch_of(entries[-1][0]) != self.epoch:
            # The first zxid behind them would be of the next epoch, which is not ours (ZOOKEEPER-1277).
            self.end("the zxids of this epoch are used up")
            return
        self.proposed_zxid = entries[-1][0]
        self.broadcast.propose(entries)
        out = b"".join([packet(PacketType.PROPOSAL, zxid, payload) for zxid, payload in entries])
        for learner in self.learners.values():
            if learner.forwards and not learner.is_observer:
                self.state.send(learner.link, out)
                if learner.is_synced and learner.overdue is None:
                    learner.overdue = (self.proposed_zxid, now)
        self.state.append(entries)

    def acknowledge(self, server_id: int, zxid: int) -> None:
        """A server has everything up to `zxid` durably."""
        if zxid > self.state.history.committed_zxid:
            self._commit(self.broadcast.acknowledge(server_id, zxid))

    def _commit(self, entries: list[Entry]) -> None:
        if not entries:
            return
        commits = b"".join([packet(PacketType.COMMIT, zxid) for zxid, _ in entries])
        informs = b""
        for learner in self.learners.values():
            if learner.forwards and learner.is_observer:
                informs = informs or b"".join([packet(PacketType.INFORM, zxid, payload) for zxid, payload in entries])
                self.state.send(learner.link, informs)
            elif learner.forwards:
                self.state.send(learner.link, commits)
        self.state.history.commit(entries[-1][0])
        self.state.effects.append(Deliver(entries[-1][0], entries))
        self.answer_syncs()

    # Syncs.

    def sync(self, event: Sync) -> None:
        """A client wants to see everything that was committed before now."""
        self.syncs.ask(event.link, event.tag, self.proposed_zxid)
        self._begin_round()

    def _begin_round(self) -> None:
        if self.syncs.wants_round:
            self.syncs.begin_round()
            self._ping(voters_only=True)
            self.syncs.confirm()
        self.answer_syncs()

    def sync_answered(self, learner: Learner) -> None:
        """A learner has answered a PING."""
        self.syncs.answered(learner.server_id)
        self._begin_round()

    def answer_syncs(self) -> None:
        """Tell those whose sync is confirmed by now, behind the COMMITs that it waited for."""
        for waiting in self.syncs.ready(self.state.history.committed_zxid):
            if not waiting.link:
                self.state.effects.append(Synced(waiting.tag))
            elif waiting.link in self.learners:
                self.state.send(waiting.link, SYNC_PACKET)

    # Time.

    def _ping(self, *, voters_only: bool = False) -> None:
        ping = packet(PacketType.PING, self.proposed_zxid)
        for learner in self.learners.values():
            if learner.forwards and not (voters_only and learner.is_observer):
                self.state.send(learner.link, ping)
                if learner.is_established:
                    # Before UPTODATE a learner does not answer.
                    self.syncs.pinged(learner.server_id)

    def deadline(self) -> float:
        """When something must be done."""
        return self._due if self.established else min(self._due, self._give_up_at)

    def wake(self, now: float) -> None:
        """Half a tick has passed: ping, look who is still there."""
        if not self.established and now >= self._give_up_at:
            self.end("no quorum of followers within initLimit")
            return
        if now < self._due:
            return
        half_tick = self.settings.tick_ms / 2000
        was_late = now - self._due > 2 * half_tick
        self._due = now + half_tick
        self._ping()
        for learner in list(self.learners.values()):
            self._judge(learner, now, was_late=was_late)
        self._half_ticks += 1
        if self._half_ticks % 2 == 0 and not was_late:
            self.tick += 1
            self._require_quorum()

    def _judge(self, learner: Learner, now: float, *, was_late: bool) -> None:
        """Drop a learner that was silent, or owes an ack, for too long; not if it is we who were away, or not ready."""
        if was_late or (learner.is_synced and not self.established):
            learner.heard_at = now
            learner.deadline_tick = self.tick + self.settings.sync_ticks
            learner.overdue = None
            return
        limit = self.settings.sync_seconds if learner.is_synced else self.settings.init_seconds
        if now - learner.heard_at > limit:
            self._drop(learner, f"nothing heard for {now - learner.heard_at:.1f} s")
        elif learner.is_synced and learner.overdue is not None:
            zxid, since = learner.overdue
            if now - since > self.settings.sync_seconds:
                self._drop(learner, f"the ack of 0x{zxid:x} is missing for {now - since:.1f} s (syncLimit)")

    def _require_quorum(self) -> None:
        if not self.established:
            return
        following = [learner for learner in self.learners.values() if learner.is_synced]
        present = [learner.server_id for learner in following if self.tick <= learner.deadline_tick]
        for quorum in self.state.quorums():
            if not quorum.contains_quorum([self.state.server_id, *present]):
                self.end(f"no quorum follows any more: only {sorted(present)}")
                return

    def end(self, reason: str) -> None:
        """The term is over."""
        self.ended = self.ended or reason

    def stop(self) -> None:
        """Close all links."""
        for learner in list(self.learners.values()):
            self.state.close(learner.link, f"we do not lead any more: {self.ended}")
        self.learners.clear()
