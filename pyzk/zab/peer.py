"""One server of an ensemble: looks for a leader, then leads or follows, and looks again.

`receive` takes one event and answers what is to be done; `deadline` says when it wants to be woken. The peer owns a
role and hands events to it; between two roles it waits until everything that the last one sent to the log is there, so
that a vote never speaks of what is not durable (ZOOKEEPER-4712).
Source: docs/protocol/election.md section 6, docs/protocol/zab.md sections 9 and 14.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyzk.codec.election import NOBODY, ServerState
from pyzk.zab import events
from pyzk.zab.configuring import activate_config
from pyzk.zab.connections import Connections
from pyzk.zab.effects import Closed, Effect, Truncate
from pyzk.zab.election import Election
from pyzk.zab.events import Port
from pyzk.zab.leading import Leading
from pyzk.zab.learning import Call, Learning
from pyzk.zab.mastering import Mastering
from pyzk.zab.membership import parse_text
from pyzk.zab.votes import Vote

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from pyzk.zab.connections import ConnectionSettings
    from pyzk.zab.election import ElectionSettings
    from pyzk.zab.state import State

    Handler = Callable[["Peer", Any, float], None]

FAILURES_MAX = 10
"""Roles in succession that came to nothing; more make the pause between them no longer."""
EARLY_LINKS_MAX = 100
"""Learners that may connect while we do not know yet that we lead."""
EARLY_BYTES_MAX = 4096
"""What each of them may say."""


class Peer:
    """The agreement of one server.

    Args:
        state: who it is and what it has; shared with its roles.
        is_observer: whether it follows without a vote (peerType, or the server list).
        rng: spreads the pauses of observers.
    """

    def __init__(
        self,
        state: State,
        connection_settings: ConnectionSettings,
        election_settings: ElectionSettings,
        rng: Random,
    ) -> None:
        self.state = state
        self.role: Leading | Learning | None = None
        self.connections = Connections(state.server_id, state.effects, state.new_link, connection_settings)
        self.election = Election(state.server_id, self.connections, state.effects, election_settings, state.points)
        self._rng = rng
        self._early: dict[int, tuple[str, bytes]] = {}
        self._looks_at: float | None = None
        self._is_looking = self._is_refreshed = False
        self._failures = 0
        self._share_membership()
        self._handlers = self._table()

    @property
    def is_observer(self) -> bool:
        """Whether we follow without a vote."""
        return self.state.server_id in self.state.membership.observer_ids

    @property
    def is_looking(self) -> bool:
        """Whether we take part in an election."""
        return self._is_looking

    def _share_membership(self) -> None:
        """Let the election know the configurations; with other members, all its links are made anew."""
        state, connections = self.state, self.connections
        connections.membership, connections.last_seen = state.membership, state.last_seen
        if state.election_restarts:
            state.election_restarts = False
            connections.drop_all()

    def start(self, now: float) -> list[Effect]:
        """Begin to look for a leader."""
        self._looks_at = now
        self._advance(now)
        return self._take_effects()

    def receive(self, event: events.Event, now: float) -> list[Effect]:
        """What is to be done after an event, in list order."""
        self._handlers[type(event)](self, event, now)
        self._advance(now)
        return self._take_effects()

    def _take_effects(self) -> list[Effect]:
        """The list itself stays: everybody appends to it."""
        effects = self.state.effects
        taken = effects[:]
        effects.clear()
        return taken

    def deadline(self) -> float | None:
        """When to be woken, monotonic seconds."""
        hello, own = self.connections.deadline(), self._own_deadline()
        if hello is None or own is None:
            return hello if own is None else own
        return min(hello, own)

    def _own_deadline(self) -> float | None:
        if self.role is not None:
            return self.role.deadline()
        if self._is_looking:
            return self.election.deadline()
        # Until the log is still there is nothing to wake up for.
        return self._looks_at if self.state.is_settled else None

    # From role to role.

    def _advance(self, now: float) -> None:
        """Leave a role that is over, look for a leader, take the role that was found; as far as it goes."""
        role = self.role
        if role is not None and not isinstance(role, Learning):
            self._watch_electors(role, now)
        if role is not None and role.ended:
            self._leave(role, now)
        elif role is not None and role.established and not self._is_refreshed:
            self._is_refreshed = True
            self.election.refresh(role.epoch)
        self._share_membership()
        if self.role is None and not self._is_looking:
            self._look(now)
        if self._is_looking and self.election.newer_config is not None:
            self._adopt(self.election.newer_config, now)
        if self._is_looking and self.election.winner is not None:
            self._enter(self.election.winner, now)

    def _watch_electors(self, leading: Leading, now: float) -> None:
        """Do not wait for long for the epoch of a voter that has changed its mind (ZOOKEEPER-3109)."""
        wait_ms_max = self.state.settings.epoch_wait_ms_max
        is_left = not self.election.electors.isdisjoint(self.election.looking_heard)
        self.election.looking_heard.clear()
        if wait_ms_max >= 0 and is_left and not leading.epoch and (now - leading.began_at) * 1000 > wait_ms_max:
            leading.end("one of those who elected us looks for a leader again")

    def _leave(self, role: Leading | Learning, now: float) -> None:
        state = self.state
        state.note("role_ended", is_warning=True, reason=role.ended)
        role.stop()
        state.effects.append(Closed(role.ended, is_handover=state.designated is not None))
        self.role = None
        # Nobody is to hear of the role that is over while we wait for the log, or for a pause to end.
        self.election.set_state(ServerState.LOOKING)
        self._looks_at = now + self._pause_seconds(role)

    def _pause_seconds(self, role: Leading | Learning) -> float:
        """How long to wait before we look again: who fails again and again, or is one of many observers, waits."""
        settings = self.state.settings
        self._failures = 0 if role.established else self._failures + 1
        pause_ms = max(0, min(self._failures, FAILURES_MAX) - 1) * settings.redial_delay_ms
        if isinstance(role, Learning) and role.is_observer:
            pause_ms += int(self._rng.random() * settings.observer_election_delay_ms)
        return pause_ms / 1000

    def _look(self, now: float) -> None:
        """Begin an election, once the log is still."""
        if self._looks_at is None or now < self._looks_at:
            return
        if self.state.is_settled and not self.state.history.is_durable:
            self._forget_unlogged()
        if not self.state.is_settled:
            return
        self._looks_at, self._is_looking = None, True
        if self.state.designated is not None:
            self._follow_designation(self.state.designated, now)
            return
        self.election.set_state(ServerState.LOOKING)
        self.election.start(self._vote(), now)

    def _forget_unlogged(self) -> None:
        """We were an observer that keeps no log: what is not committed goes, and all of it if we are to vote now."""
        self.state.history.unwritten()
        if self.state.keeps_log:
            self._go_back_to_log()

    def _follow_designation(self, leader: int, now: float) -> None:
        """A new configuration names its leader: no election is needed."""
        state, election = self.state, self.election
        state.designated = None
        election.current = Vote(leader, state.history.last_zxid, election.logical_clock, state.current_epoch)
        self._enter(election.current, now)

    def _vote(self) -> Vote:
        state = self.state
        if self.is_observer:
            return Vote(NOBODY, NOBODY, 0, NOBODY)
        leader = state.server_id if state.server_id in state.membership.voter_ids else NOBODY
        if state.doubt:
            return Vote(leader, -1, 0, -1)
        return Vote(leader, state.history.last_zxid, 0, state.current_epoch)

    def _adopt(self, text: str, now: float) -> None:
        """Another server has a newer configuration: take it, and look again."""
        state = self.state
        self.election.newer_config = None
        membership = parse_text(text)
        if membership.version <= state.membership.version:
            return
        activate_config(state, membership, state.server_id, state.server_id)
        self._share_membership()
        self._is_looking, self._looks_at = False, now
        self._look(now)

    def _enter(self, winner: Vote, now: float) -> None:
        """The election is over."""
        self._is_looking = self._is_refreshed = False
        state = self.state
        if winner.leader == state.server_id:
            self.election.set_state(ServerState.LEADING)
            state.note("leads", epoch=state.current_epoch, zxid=hex(state.history.last_zxid))
            leading = self.role = Leading(state, now)
            self._admit_early(leading, now)
        else:
            self.election.set_state(ServerState.OBSERVING if self.is_observer else ServerState.FOLLOWING)
            state.note("follows", leader=winner.leader)
            self.role = Learning(state, self._call(winner), now)
            for link in self._early:
                state.close(link, "we do not lead")
        self._early.clear()
        self._go_on(now)

    def _call(self, winner: Vote) -> Call:
        """How to reach a leader, or, for an observer, one of those who serve observers in its place."""
        membership, master_port = self.state.membership, self.state.settings.observer_master_port
        port, addresses = Port.QUORUM, membership.quorum_addresses(winner.leader)
        # Differs from Apache: every fourth time the leader itself, which may wait for us: a proposed configuration may
        # have made us a voter, and followers serve nobody before their leader is established.
        if self.is_observer and master_port and self._failures % 4 != 3:
            voters = [server.quorum_addresses for server in membership.voters]
            port, addresses = Port.OBSERVER_MASTER, [(host, master_port) for voter in voters for host, _ in voter]
            self._rng.shuffle(addresses)
        return Call(winner.leader, winner.peer_epoch, port, addresses, self.is_observer, self._dial_pause_seconds())

    def _dial_pause_seconds(self) -> float:
        """Many observers do not dial at once; those who serve them in the leader's place share the first calls."""
        settings = self.state.settings
        if not self.is_observer or (settings.observer_master_port and not self._failures):
            return 0.0
        return self._rng.random() * settings.observer_reconnect_delay_ms / 1000

    def _keep_early(self, link: int, data: bytes) -> None:
        """A learner speaks before we know that we lead: it has no more to say than who it is."""
        label, received = self._early[link]
        if len(received) + len(data) > EARLY_BYTES_MAX:
            del self._early[link]
            reason = f"{label}: it says too much before it is asked"
            self.state.note("peer_link_refused", is_warning=True, reason=reason)
            self.state.close(link, reason)
        else:
            self._early[link] = label, received + data

    def _admit_early(self, leading: Leading, now: float) -> None:
        for link, (label, received) in self._early.items():
            leading.accept(link, label, now)
            if received:
                leading.receive(link, received, now)

    def _go_on(self, now: float) -> None:
        if isinstance(self.role, Leading):
            self.role.go_on(now)
        elif self.role is not None:
            self.role.go_on()

    # Events.

    def _accepted(self, event: events.Accepted, now: float) -> None:
        if event.port == Port.ELECTION:
            self.connections.accepted(event.link, event.label, now)
        elif event.port == Port.OBSERVER_MASTER:
            self._accept_observer(event, now)
        elif isinstance(self.role, Leading):
            self.role.accept(event.link, event.label, now)
        elif self.role is None and len(self._early) < EARLY_LINKS_MAX:
            self._early[event.link] = event.label, b""
        else:
            self.state.close(event.link, "we do not lead")

    def _accept_observer(self, event: events.Accepted, now: float) -> None:
        mastering = self._mastering
        if mastering is not None:
            mastering.accept(event.link, event.label, now)
        else:
            self.state.close(event.link, "we do not follow, so we serve no observers")

    @property
    def _mastering(self) -> Mastering | None:
        return self.role.mastering if isinstance(self.role, Learning) else None

    def _connected(self, event: events.Connected, now: float) -> None:
        if self.connections.owns(event.link):
            self.connections.connected(event.link)
        elif isinstance(self.role, Learning) and event.link == self.role.link:
            self.role.connect(now)
        else:
            self.state.close(event.link, "it is not needed any more")

    def _received(self, event: events.Received, now: float) -> None:
        role = self.role
        if self.connections.owns(event.link):
            for sender, body in self.connections.received(event.link, event.data):
                self.election.notified(sender, body, now)
        elif isinstance(role, Learning) and event.link == role.link:
            role.receive(event.data, now)
        elif isinstance(role, Leading):
            role.receive(event.link, event.data, now)
        elif event.link in self._early:
            self._keep_early(event.link, event.data)
        elif self._mastering is not None:
            self._mastering.receive(event.link, event.data, now)

    def _disconnected(self, event: events.Disconnected, now: float) -> None:
        self._early.pop(event.link, None)
        if self.connections.owns(event.link):
            if self.connections.disconnected(event.link):
                self.election.unheard(now)
        elif isinstance(self.role, Leading):
            self.role.left(event.link, event.reason)
        elif isinstance(self.role, Learning) and event.link == self.role.link:
            self.role.left(event.reason, now)
        elif self._mastering is not None:
            self._mastering.left(event.link, event.reason)

    def _done(self, event: events.Done, now: float) -> None:
        self.state.durable(event.token)
        self._after_disk(now)

    def _after_disk(self, now: float) -> None:
        role = self.role
        if isinstance(role, Learning):
            role.done()
        elif role is not None:
            if role.established:
                role.proposals.acknowledge(self.state.server_id, self.state.history.durable_zxid, now)
            role.go_on(now)

    def _unwritten(self, event: events.Unwritten, now: float) -> None:  # noqa: ARG002
        """The disk is full: what was on its way is gone, and with it the role that counted on it."""
        self._go_back_to_log()
        if self.role is not None:
            self.role.end(f"the log could not be written: {event.error}")

    def _go_back_to_log(self) -> None:
        """A quorum of others has what we could not log: our tree must not be ahead of our log."""
        state = self.state
        state.unwritten()
        if state.history.committed_zxid > state.history.durable_zxid:
            state.effects.append(Truncate(state.history.durable_zxid, state.next_token()))

    def _reloaded(self, event: events.Reloaded, now: float) -> None:
        state = self.state
        state.durable(event.token)
        state.history.reset(event.zxid, event.recent)
        if event.doubt:
            state.doubt = event.doubt
        self._after_disk(now)

    def _uncut(self, event: events.Uncut, now: float) -> None:
        self.state.durable(event.token)
        if isinstance(self.role, Learning) and not self.role.ended:
            self.role = self.role.ask_for_tree(now)

    def _log_read(self, event: events.LogRead, now: float) -> None:
        master = self.role if isinstance(self.role, Leading) else self._mastering
        if master is not None:
            master.log_reads[event.token] = event.entries
            master.go_on(now)

    def _wake(self, event: events.Wake, now: float) -> None:  # noqa: ARG002
        self.connections.wake(now)
        if self._is_looking:
            self.election.wake(now)
        if self.role is not None:
            self.role.wake(now)

    def _oracle_says(self, event: events.OracleSays, now: float) -> None:  # noqa: ARG002
        self.election.oracle_says = self.state.oracle.lead_alone = event.lead_alone

    def _propose(self, event: events.Propose, now: float) -> None:
        if isinstance(self.role, Leading) and self.role.established:
            self.role.proposals.propose(event.entries, now)

    def _sync(self, event: events.Sync, now: float) -> None:  # noqa: ARG002
        if isinstance(self.role, Leading) and self.role.established:
            self.role.sync(event)

    def _step_down(self, event: events.StepDown, now: float) -> None:  # noqa: ARG002
        if isinstance(self.role, Leading):
            self.role.end(event.reason)

    def _replace(self, event: events.Replace, now: float) -> None:
        if isinstance(self.role, Leading) and self.role.established:
            self.role.replace(event.tree)
            self.role.go_on(now)

    def _answer(self, event: events.Answer, now: float) -> None:  # noqa: ARG002
        role = self.role
        master = role if isinstance(role, Leading) else self._mastering
        is_to_leader = isinstance(role, Learning) and event.link == role.link
        if is_to_leader or (master is not None and event.link in master.learners):
            self.state.send(event.link, event.data)

    @classmethod
    def _table(cls) -> dict[type, Handler]:
        """A method, because in the body of a class that is compiled its methods are not there yet."""
        return {
            events.Accepted: cls._accepted,
            events.Connected: cls._connected,
            events.Received: cls._received,
            events.Disconnected: cls._disconnected,
            events.Done: cls._done,
            events.Unwritten: cls._unwritten,
            events.Reloaded: cls._reloaded,
            events.Uncut: cls._uncut,
            events.LogRead: cls._log_read,
            events.Wake: cls._wake,
            events.OracleSays: cls._oracle_says,
            events.Propose: cls._propose,
            events.Sync: cls._sync,
            events.StepDown: cls._step_down,
            events.Replace: cls._replace,
            events.Answer: cls._answer,
        }
