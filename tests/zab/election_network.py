"""A small network in memory, on which the elections of several servers run: delays, broken links, crashes.

Time is virtual. A server that follows a leader who does not lead, or leads without a quorum of followers, looks for a
leader again after a while: what the rest of the agreement would do.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from pyzk.codec.election import Notification, ServerState, parse_notification
from pyzk.zab.connections import Connections, ConnectionSettings
from pyzk.zab.effects import Close, Dial, Effect, Send
from pyzk.zab.election import Election, ElectionSettings
from pyzk.zab.membership import Membership
from pyzk.zab.votes import Vote

ROLE_TRIAL_SECONDS = 2.0


@dataclass
class Machine:
    """One server: its links, its election and the vote that it begins with."""

    server_id: int
    initial: Vote
    connections: Connections
    election: Election
    effects: list[Effect]
    is_up: bool = True
    trial_ends: float = 0.0

    def deadline(self) -> float:
        deadlines = [self.election.deadline(), self.connections.deadline()]
        return min((deadline for deadline in deadlines if deadline is not None), default=float("inf"))


@dataclass
class End:
    """One side of a link, the other side, and when the last of what was sent to it arrives."""

    server_id: int
    link: int
    other: "End | None" = None
    busy_until: float = 0.0


@dataclass
class Network:
    """Servers h1, h2, ... and what is under way between them.

    Args:
        loss: probability that a link breaks with what is sent.
        trace: what was sent, as (time, from, to, what).
    """

    membership: Membership
    rng: random.Random
    delay: tuple[float, float] = (0.001, 0.001)
    loss: float = 0.0
    now: float = 0.0
    machines: dict[int, Machine] = field(default_factory=dict)
    ends: dict[tuple[int, int], End] = field(default_factory=dict)
    trace: list[tuple[float, int, int, bytes]] = field(default_factory=list)
    elected: list[tuple[float, int, Vote]] = field(default_factory=list)
    dials: list[tuple[float, int, int]] = field(default_factory=list)
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: count = field(default_factory=count)
    _accepted: count = field(default_factory=lambda: count(1))

    def add(self, server_id: int, initial: Vote, settings: ElectionSettings | None = None) -> Machine:
        """Set up a server; it is `started` apart from that."""
        effects: list[Effect] = []
        connections = Connections(server_id, effects, count(1).__next__, ConnectionSettings())
        connections.membership = self.membership
        election = Election(server_id, connections, effects, settings or ElectionSettings())
        machine = Machine(server_id, initial, connections, election, effects)
        self.machines[server_id] = machine
        return machine

    def start(self, *server_ids: int) -> None:
        for server_id in server_ids:
            machine = self.machines[server_id]
            machine.election.start(machine.initial, self.now)
            self.perform(machine)

    def crash(self, server_id: int) -> None:
        """All links of the server end; its process is gone."""
        self.machines[server_id].is_up = False
        for key in [key for key in self.ends if key[0] == server_id]:
            end = self.ends.pop(key)
            self.disconnect(end.other)

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass, until something is so; whether it is."""
        end = self.now + seconds
        while not until():
            wakes = [(machine.deadline(), machine.server_id) for machine in self.machines.values() if machine.is_up]
            wake, server_id = min(wakes, default=(float("inf"), 0))
            arrival = self._agenda[0][0] if self._agenda else float("inf")
            if min(wake, arrival) > end:
                self.now = end
                return until()
            if arrival <= wake:
                self.now, _, action = heapq.heappop(self._agenda)
                action()
            else:
                self.now = wake
                machine = self.machines[server_id]
                machine.election.wake(self.now)
                machine.connections.wake(self.now)
                self.perform(machine)
        return True

    # What the shell does.

    def perform(self, machine: Machine) -> None:
        if machine.election.winner is not None:
            self.take_role(machine)
        effects = list(machine.effects)
        machine.effects.clear()
        for effect in effects:
            if isinstance(effect, Dial):
                self.dial(machine, effect)
            elif isinstance(effect, Send):
                self.send(machine, effect)
            elif isinstance(effect, Close):
                end = self.ends.pop((machine.server_id, effect.link), None)
                self.disconnect(end.other if end else None)

    def after(self, delay: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + delay, next(self._numbers), action))

    def dial(self, machine: Machine, dial: Dial) -> None:
        target_id = int(dial.addresses[0][0].removeprefix("h"))
        self.dials.append((self.now, machine.server_id, target_id))

        def arrive() -> None:
            if not machine.is_up or not machine.connections.owns(dial.link):
                return
            target = self.machines.get(target_id)
            if target is None or not target.is_up:
                machine.connections.disconnected(dial.link)
            else:
                near, far = End(machine.server_id, dial.link), End(target_id, -next(self._accepted))
                near.other, far.other = far, near
                self.ends[near.server_id, near.link] = near
                self.ends[far.server_id, far.link] = far
                target.connections.accepted(far.link, f"h{machine.server_id}:1", self.now)
                machine.connections.connected(dial.link)
                self.perform(target)
            self.perform(machine)

        self.after(self.rng.uniform(*self.delay), arrive)

    def send(self, machine: Machine, send: Send) -> None:
        end = self.ends.get((machine.server_id, send.link))
        if end is None or end.other is None:
            return
        other = end.other
        self.trace.append((self.now, machine.server_id, other.server_id, send.data))
        if self.rng.random() < self.loss:
            for side in (end, other):
                self.disconnect(side)
            return
        self.arrange(other, lambda: self.deliver(other, send.data))

    def arrange(self, end: End, action: Callable[[], None]) -> None:
        """What happens to one side of a link happens in order."""
        end.busy_until = max(end.busy_until, self.now + self.rng.uniform(*self.delay))
        self.after(end.busy_until - self.now, action)

    def deliver(self, end: End, data: bytes) -> None:
        machine = self.machines[end.server_id]
        if not machine.is_up or not machine.connections.owns(end.link):
            return
        for sender, body in machine.connections.received(end.link, data):
            machine.election.notified(sender, body, self.now)
        self.perform(machine)

    def disconnect(self, end: End | None) -> None:
        def arrive() -> None:
            machine = self.machines[end.server_id]
            self.ends.pop((end.server_id, end.link), None)
            if machine.is_up and machine.connections.owns(end.link):
                if machine.connections.disconnected(end.link):
                    machine.election.unheard(self.now)
                self.perform(machine)

        if end is not None:
            self.arrange(end, arrive)

    # What the rest of the agreement does.

    def take_role(self, machine: Machine) -> None:
        winner, machine.election.winner = machine.election.winner, None
        assert winner is not None
        self.elected.append((self.now, machine.server_id, winner))
        machine.trial_ends = self.now + ROLE_TRIAL_SECONDS
        self.after(ROLE_TRIAL_SECONDS, lambda: self.judge(machine))

    def judge(self, machine: Machine) -> None:
        if machine.is_up and machine.election.state is not ServerState.LOOKING and self.now >= machine.trial_ends:
            if self.is_established(machine.election.current.leader):
                self.after(ROLE_TRIAL_SECONDS, lambda: self.judge(machine))
            else:
                self.start(machine.server_id)

    def is_established(self, leader: int) -> bool:
        machine = self.machines[leader]
        if not machine.is_up or machine.election.state is not ServerState.LEADING:
            return False
        return self.membership.quorum().contains_quorum(self.led_by(leader))

    def led_by(self, leader: int) -> set[int]:
        """Who is in a role under a leader, itself included."""
        return {
            machine.server_id
            for machine in self.machines.values()
            if machine.is_up
            and machine.election.state is not ServerState.LOOKING
            and machine.election.current.leader == leader
        }

    # What a test asks.

    def is_settled(self) -> bool:
        """Whether all that run agree on one leader who leads."""
        up = [machine for machine in self.machines.values() if machine.is_up]
        leaders = {machine.election.current.leader for machine in up}
        return len(leaders) == 1 and len(self.led_by(next(iter(leaders)))) == len(up)

    def notifications(self, sender: int, receiver: int) -> list[Notification]:
        """What one server has sent another, without hellos."""
        found = []
        for _, source, target, data in self.trace:
            if (source, target) == (sender, receiver) and data[:1] == b"\x00":
                notification = parse_notification(data[4:])
                assert notification is not None
                found.append(notification)
        return found

    def hellos(self) -> list[tuple[int, int]]:
        return [(source, target) for _, source, target, data in self.trace if data[:1] == b"\xff"]
