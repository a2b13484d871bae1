"""The leader's role: finds the epoch, brings learners up, and is established when a quorum has its history.

Three things must come from a quorum, one after the other: the epochs that servers have accepted, their promise of the
new one, and their acknowledgement of NEWLEADER. Each is a condition that the learners' conversations (`serving`) wait
for. Once established, txns are in `proposals`, syncs in `syncs`, and what learners say in `listening`.
Source: docs/protocol/zab.md sections 3.2, 4, 6.1 and 9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.codec.quorum import PacketType, packet
from pyzk.errors import (
    PeerError,
)
from pyzk.zab.configuring import activate_config, stamp_config
from pyzk.zab.effects import Opened, Synced
from pyzk.zab.listening import hear
from pyzk.zab.master import Master
from pyzk.zab.proposals import Proposals
from pyzk.zab.state import ACCEPTED, CURRENT
from pyzk.zab.syncs import Syncs, Waiting

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyzk.codec.quorum import Packet
    from pyzk.tree.tree import Tree
    from pyzk.zab.catchup import Plan
    from pyzk.zab.events import Entry, Sync
    from pyzk.zab.serving import Learner
    from pyzk.zab.state import State

EPOCH_LEAP_MAX = 10_000
"""How much newer than ours the epoch of a server may be; each failed attempt to lead makes it one newer."""
SYNC_PACKET = packet(PacketType.SYNC, 0)


class Leading(Master):
    """One term of a leader.

    Attributes:
        proposals: txns on their way.
        established: whether a quorum has our history.
        began_at: when it began, monotonic seconds.
        ended: why the term is over, empty while it is not.
        acks_ms: how often a voter, by its id, took so many ms to acknowledge a proposal; of those of one moment, one
            is measured.
    """

    def __init__(self, state: State, now: float) -> None:
        super().__init__(state)
        self.established = False
        self.ended = ""
        self.acks_ms: dict[int, dict[int, int]] = {}
        self.began_at = now
        state.oracle.is_alone = True
        self.proposals = Proposals(self)
        self.syncs = Syncs(state.server_id, state.quorums())
        self._summary = (state.current_epoch, state.history.last_zxid)
        self._wanted_epoch = state.seen_epoch + 1
        self._offers: dict[int, None] = {}
        self._promises: dict[int, None] = {}
        self._synced: dict[int, None] = {}
        self._left_out_since: dict[int, float] = {}
        self._accepted_token = self._current_token = self._replaced_token = 0
        self._replacement: Tree | None = None
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

    # The three quorums: each in the configuration that is in force and in a newer one that is proposed.
    # Differs from Apache: it asks the one in force alone for the first two, but the other may be committed already.

    def _is_quorum(self, servers: Collection[int]) -> bool:
        return all(quorum.contains_quorum(servers) for quorum in self.state.quorums())

    def _offer(self, server_id: int, accepted_epoch: int) -> None:
        if self.epoch or accepted_epoch < 0:
            return
        self._wanted_epoch = max(self._wanted_epoch, accepted_epoch + 1)
        self._offers[server_id] = None
        if self._is_quorum(self._offers):
            self.epoch = self._wanted_epoch
            self._accepted_token = self.state.save_epoch(ACCEPTED, self.epoch)

    def learner_offers(self, learner: Learner, accepted_epoch: int) -> None:
        """A learner has told the epoch it has accepted."""
        if accepted_epoch - self.state.accepted_epoch > EPOCH_LEAP_MAX:
            raise PeerError(f"it claims to have accepted epoch {accepted_epoch}, and ours is {self.epoch}")
        if self.epoch and accepted_epoch > self.epoch and learner.server_id in self.state.membership.voter_ids:
            self._left_out(learner, accepted_epoch)
        self._offer(learner.server_id, accepted_epoch)

    def _left_out(self, learner: Learner, accepted_epoch: int) -> None:
        """A voter has promised a newer epoch than ours, so that it cannot follow us.

        Differs from Apache: there it is left out until there is another election. Here we give way to a newer epoch;
        once established, only when the voter has come again and again for initLimit, because anybody can claim this.
        """
        since = self._left_out_since.setdefault(learner.server_id, learner.heard_at)
        if not self.established or learner.heard_at - since >= self.settings.init_seconds:
            self.state.seen_epoch = max(self.state.seen_epoch, accepted_epoch)
            self.end(f"{learner} has promised epoch {accepted_epoch}: only a newer one lets it in")

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
        if own in self._promises and self._is_quorum(self._promises):
            self._current_token = self.state.save_epoch(CURRENT, self.epoch)
            self.proposals.last_zxid = self.epoch << 32
            stamp_config(self.state, self.epoch)

    def learner_synced(self, learner: Learner) -> None:
        """A learner has acknowledged NEWLEADER: our history is durable there."""
        learner.is_synced = True
        learner.deadline_tick = self.tick + self.settings.sync_ticks
        if learner.counts:
            self._sync(learner.server_id)

    def _sync(self, server_id: int) -> None:
        self._synced[server_id] = None
        if not self.established and self._is_quorum(self._synced):
            self._establish()

    def _establish(self) -> None:
        """Everything in our log is committed by this."""
        state, history = self.state, self.state.history
        committed = history.commit(history.last_zxid)
        if committed:
            state.deliver(committed)
        history.begin_epoch(self.epoch)
        self.established = True
        is_led_by_another = activate_config(state, state.last_seen, state.server_id, state.server_id)
        self.share_quorums()
        state.effects.append(Opened(is_leader=True, is_observer=False, link=0, zxid=self.epoch << 32))
        if is_led_by_another:
            # Differs from Apache: there it leads on, and nothing is committed any more.
            self.end("the configuration that is in force by our epoch has another role for us")

    def share_quorums(self) -> None:
        """The configurations in force have changed."""
        self.proposals.broadcast.quorums = self.syncs.quorums = self.state.quorums()

    # Another tree.

    def replace(self, tree: Tree) -> None:
        """Give everybody this tree in place of what we have: when it is durable here, the term ends.

        Its zxid is above all that anybody can have logged, so this server wins the election that follows. No log leads
        up to it, so all others are sent the whole tree before the new term is established. If another server is elected
        all the same, this one gives the tree up as it would a txn that no quorum has.
        """
        self.proposals.is_closed = True
        self._replacement = tree

    def _go_on_replacing(self) -> None:
        """What was proposed before is committed first; the tree is then alone on its way to the disk."""
        state, tree = self.state, self._replacement
        if self._replaced_token:
            if state.done_token >= self._replaced_token:
                self.end("an operator has replaced the data")
        elif tree is not None and state.is_settled and not state.history.tail:
            tree.last_zxid = self.proposals.given_zxid + 1
            self._replaced_token = state.install(tree)

    # Learners.

    def outstanding(self, learner: Learner) -> list[Entry]:
        """Observers are only told of what is committed."""
        return [] if learner.is_observer else list(self.proposals.broadcast.outstanding)

    def begin_forwarding(self, learner: Learner, found: Plan) -> None:
        """From now on we are not alone, unless it is an observer that comes."""
        super().begin_forwarding(learner, found)
        self._look_for_company()

    def _look_for_company(self) -> None:
        followers = (learner for learner in self.learners.values() if not learner.is_observer)
        self.state.oracle.is_alone = not any(follower.forwards for follower in followers)

    def hear(self, learner: Learner, packets: list[Packet], now: float) -> None:
        """See `listening`."""
        hear(self, learner, packets, now)

    def go_on(self, now: float) -> None:
        """Our own promise and history count too, once they are durable."""
        if self.has_epoch() and self.state.server_id not in self._promises:
            self._promise(self.state.server_id)
        if self.may_synchronise() and self.state.server_id not in self._synced:
            self._sync(self.state.server_id)
        self._go_on_replacing()
        super().go_on(now)

    def forget(self, learner: Learner, reason: str) -> None:
        """What a learner has acknowledged and answered counts no more."""
        super().forget(learner, reason)
        self._look_for_company()
        self.proposals.broadcast.forget(learner.server_id)
        self.syncs.left(learner.server_id)
        self._synced.pop(learner.server_id, None)

    # Syncs.

    def sync(self, event: Sync) -> None:
        """A client wants to see everything that was committed before now."""
        self.syncs.ask(event.link, event.tag, self.proposals.given_zxid)
        self._begin_round()

    def _begin_round(self) -> None:
        if self.syncs.wants_round:
            self.syncs.begin_round()
            self._ping_all(voters_only=True)
            self.syncs.confirm()
        self.answer_syncs()

    def sync_answered(self, learner: Learner) -> None:
        """A learner has answered a PING."""
        self.syncs.answered(learner.server_id)
        self._begin_round()

    def answer_syncs(self) -> None:
        """Tell those whose sync is confirmed by now, behind the COMMITs that it waited for."""
        for waiting in self.syncs.ready(self.state.history.committed_zxid):
            self.answer_sync(waiting)

    def answer_sync(self, waiting: Waiting) -> None:
        """Tell whoever has asked."""
        if not waiting.link:
            self.state.effects.append(Synced(waiting.tag))
        elif waiting.link in self.learners:
            self.state.send(waiting.link, SYNC_PACKET)

    # Time.

    def _ping_all(self, *, voters_only: bool = False) -> None:
        for learner in self.learners.values():
            if learner.forwards and not (voters_only and learner.is_observer):
                self.ping(learner, self.proposals.last_zxid)
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
        if not self.state.points.fires("ping left out"):
            self._ping_all()
        for learner in list(self.learners.values()):
            self._judge(learner, now, was_late=was_late)
        self._half_ticks += 1
        self._go_on_replacing()
        if self._half_ticks % 2 == 0 and not was_late:
            self.tick += 1
            self._require_quorum(now)

    def _judge(self, learner: Learner, now: float, *, was_late: bool) -> None:
        """Drop a learner that was silent, or owes an ack, for too long; not if it is we who were away, or not ready."""
        if was_late or (learner.is_synced and not self.established):
            learner.heard_at = now
            learner.deadline_tick = self.tick + self.settings.sync_ticks
            learner.overdue = None
            return
        limit = self.settings.sync_seconds if learner.is_synced else self.settings.init_seconds
        if now - learner.heard_at > limit:
            self.drop(learner, f"nothing heard for {now - learner.heard_at:.1f} s")
        elif learner.is_synced and learner.overdue is not None:
            zxid, since = learner.overdue
            if now - since > self.settings.sync_seconds:
                self.drop(learner, f"the ack of 0x{zxid:x} is missing for {now - since:.1f} s (syncLimit)")

    def _require_quorum(self, now: float) -> None:
        if not self.established:
            return
        # An oracle may allow what nobody has acknowledged or answered.
        self.proposals.retry(now)
        self.syncs.confirm()
        self._begin_round()
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
        self.drop_all(f"we do not lead any more: {self.ended}")
