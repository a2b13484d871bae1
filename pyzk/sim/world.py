"""A simulated ensemble: what happens next is taken from a heap, and everything that is chance from one generator.

A test moves it by commands (`start`, `crash`, `block`, `run`), the random faults of `pyzk.sim.faults` by the same ones.
"""

from __future__ import annotations

import heapq
from collections import Counter
from random import Random
from typing import TYPE_CHECKING
from zlib import crc32

from pyzk.sim.checker import Checker
from pyzk.sim.client import Client
from pyzk.sim.host import Host
from pyzk.sim.member_host import MemberHost
from pyzk.sim.network import Network
from pyzk.sim.points import DrawnPoints
from pyzk.sim.sequence import BrokenInvariantError
from pyzk.sim.trace import TraceLine
from pyzk.sim.txns import TxnMaker
from pyzk.sim.workload import create
from pyzk.zab import effects, events
from pyzk.zab.membership import parse_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.sim.plan import Plan

STEPS_AT_ONCE_MAX = 100_000
"""So many steps without time going on are a loop."""


class World:
    """Servers, network, time.

    Args:
        plan: what it is made of.
        tracer: is given each line of the trace.

    Attributes:
        now: seconds since the beginning.
        tally: what was done and what went wrong, counted.
        settings, compression, read_only_enabled: of every server.
        extras: what the run has beside the plain ensemble.
        points: the fault points of the code, for all servers.
        is_mended: whether nothing goes wrong any more.
        quiet_until: up to when clients ask for nothing.
    """

    def __init__(self, plan: Plan, tracer: Callable[[TraceLine], None] | None = None) -> None:
        self.seed = plan.seed
        self.rng = Random(f"{plan.seed} world")
        self.now = 0.0
        self.tally: Counter[str] = Counter()
        self.quiet_until = 0.0
        self.points = DrawnPoints(Random(f"{plan.seed} points"), plan.points, self.tally)
        self.settings = plan.settings
        self.compression = plan.compression
        self.read_only_enabled = plan.read_only_enabled
        self.extras = plan.extras
        self.is_mended = False
        self.clock_drift = plan.clock_drift
        self.membership = parse_text(plan.membership)
        self.network = Network(self)
        self.checker = Checker(self)
        self.txns = TxnMaker(self.rng)
        self._tracer = tracer
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._pushed = 0
        make = MemberHost if plan.clients else Host
        self.hosts: dict[int, Host] = {}
        for server in sorted(self.membership.servers, key=lambda server: server.server_id):
            self.hosts[server.server_id] = make(self, server.server_id)
        for host in self.hosts.values():
            host.machine.delay_seconds = host.machine.usual_delay_seconds = plan.disk_seconds
        self._connections = 0
        self.clients = [Client(self, number) for number in range(plan.clients)]

    def trace(self, server_id: int, what: str, subject: object = "") -> None:
        """One line of the trace."""
        if self._tracer is None:
            return
        host = self.hosts.get(server_id)
        history = host.state.history if host is not None and host.is_up else None
        role, epoch = (host.role_letter, host.state.current_epoch) if host is not None and history else ("-", 0)
        zxids = (history.last_zxid, history.committed_zxid) if history is not None else (0, 0)
        line = f"{what} {_shown(subject)}".rstrip()
        self._tracer(TraceLine(self.now, server_id, self.tally["steps"], role, epoch, *zxids, line))

    @property
    def member_hosts(self) -> dict[int, MemberHost]:
        """The servers, as those that have clients."""
        return {number: host for number, host in self.hosts.items() if isinstance(host, MemberHost)}

    def new_connection(self) -> int:
        """A number for a client's connection."""
        self._connections += 1
        return self._connections

    # Time.

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do something at a time."""
        self._pushed += 1
        heapq.heappush(self._heap, (time, self._pushed, action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later."""
        self.at(self.now + seconds, action)

    @property
    def is_quiet(self) -> bool:
        """Whether clients ask for nothing at the moment."""
        return self.now < self.quiet_until

    def be_quiet(self, seconds: float) -> None:
        """Let clients ask for nothing, so that nothing new covers what is left of old."""
        self.quiet_until = max(self.quiet_until, self.now + seconds)

    def run(self, seconds: float) -> None:
        """Let time go on. Raises BrokenInvariantError."""
        end = self.now + seconds
        at_once = 0
        while self._heap and self._heap[0][0] <= end:
            time, _, action = heapq.heappop(self._heap)
            at_once = at_once + 1 if time <= self.now else 0
            if at_once > STEPS_AT_ONCE_MAX:
                raise BrokenInvariantError("nobody runs in circles", f"at {self.now}")
            self.now = max(self.now, time)
            action()
            self.tally["steps"] += 1
        self.now = end

    def run_until(self, condition: Callable[[], bool], seconds_max: float, what: str = "liveness") -> None:
        """Let time go on until something holds. Raises BrokenInvariantError if it does not in that time."""
        end = self.now + seconds_max
        while not condition():
            if self.now >= end:
                raise BrokenInvariantError(what, f"not within {seconds_max} s")
            self.run(0.05)

    # What happens to servers.

    def tell_now(self, server_id: int, event: events.Event) -> None:
        """An event reaches a server, if it is up."""
        host = self.hosts[server_id]
        if host.is_up:
            host.receive(event)
            self.checker.step(host)

    def tell(self, server_id: int, boot: int, event: events.Event) -> None:
        """The same, if the process is still the one that it was meant for."""
        if self.hosts[server_id].boot == boot:
            self.tell_now(server_id, event)

    def start(self, *server_ids: int) -> None:
        """Start these servers, or all that are down."""
        for host in self.hosts.values():
            if not host.is_up and (not server_ids or host.server_id in server_ids):
                self._start(host)

    def _start(self, host: Host) -> None:
        host.start()
        if host.is_up:
            self.checker.step(host)

    def crash(self, *server_ids: int, has_no_power: bool = True) -> None:
        """These servers end at once."""
        for server_id in server_ids:
            self.hosts[server_id].crash(has_no_power=has_no_power)

    def cut_off(self, *server_ids: int) -> None:
        """These servers hear nobody of the others, nor are they heard."""
        for inside in server_ids:
            for outside in self.hosts:
                if outside not in server_ids:
                    self.network.block(inside, outside)
                    self.network.block(outside, inside)

    def let_in(self, *server_ids: int) -> None:
        """They hear everybody again, and are heard."""
        for sender, receiver in list(self.network.blocked):
            if sender in server_ids or receiver in server_ids:
                self.network.unblock(sender, receiver)

    # What is seen from outside.

    @property
    def leader(self) -> Host | None:
        """The established leader with the newest epoch."""
        leading = [host for host in self.hosts.values() if host.opened is not None and host.opened.is_leader]
        return max(leading, key=lambda host: host.opened.zxid if host.opened else 0, default=None)

    def settle(self, seconds_max: float = 60) -> Host:
        """Run until every server that is up serves in the newest epoch; returns the leader."""
        self.run_until(self._is_settled, seconds_max, "all servers serve under one leader")
        assert self.leader is not None
        return self.leader

    def _is_settled(self) -> bool:
        up = [host for host in self.hosts.values() if host.is_up]
        epochs = {host.peer.role.epoch for host in up if host.peer is not None and host.peer.role is not None}
        return all(host.opened is not None for host in up) and len(epochs) == 1 and self.leader is not None

    def commit(self, count: int = 1, seconds_max: float = 30) -> None:
        """The leader's clients write, and every server that is up comes to have it."""
        leader = self.settle()
        leader.propose(count)
        wanted = self.checker.mark() + count
        self.run_until(lambda: self.checker.mark() >= wanted, seconds_max, "a proposal is committed")
        self.run_until(self.is_equal, seconds_max, "all servers come to have what is committed")

    def write(self, seconds_max: float) -> None:
        """Clients write until each has had an answer, wherever it is, and every server that is up comes to have it."""
        before = [client.written for client in self.clients]

        def is_answered() -> bool:
            waiting = [client for client, count in zip(self.clients, before, strict=True) if client.written == count]
            for client in waiting:
                create(client)
            self.run(0.5)
            return not waiting

        self.run_until(is_answered, seconds_max, "writes succeed")
        self.run_until(self.is_equal, seconds_max, "all servers come to have what is committed")

    def is_equal(self) -> bool:
        """Whether every server that is up has what is committed."""
        last = self.checker.sequence.committed[-1]
        return all(self.checker.logs[host.server_id].applied == last for host in self.hosts.values() if host.is_up)


def _shown(subject: object) -> str:
    """An event or effect in a line: bytes and trees by their size and checksum."""
    if isinstance(subject, effects.Install):
        return f"Install(0x{subject.tree.last_zxid:x}, token={subject.token})"
    if isinstance(subject, effects.Send | events.Received | events.Answer):
        size, checksum = len(subject.data), crc32(subject.data)
        return f"{type(subject).__name__}(link={subject.link}, {size} bytes, {checksum:08x})"
    if isinstance(subject, effects.Deliver | effects.Append):
        return f"{type(subject).__name__}({', '.join([f'0x{zxid:x}' for zxid, _ in subject.entries])})"
    return str(subject)
