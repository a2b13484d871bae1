"""What can go wrong in a simulated ensemble: one function per kind, found by its name in a plan.

Each fault brings its own chance, so that a plan with some of its faults cut out does the rest as before. What takes
several steps to go wrong is in `schemes`.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from pyzk.sim.leftovers import LEFTOVERS
from pyzk.sim.member_host import MemberHost
from pyzk.sim.members import reconfigure, see_to_members
from pyzk.sim.mishaps import MISHAPS
from pyzk.sim.schemes import SCHEMES
from pyzk.storage.epochs import ACCEPTED
from pyzk.storage.member import DOUBT

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.sim.host import Host
    from pyzk.sim.plan import Fault, Plan
    from pyzk.sim.world import World

LOG_END_BYTES = 2048
"""More than the last record of a log and a sector."""


class Faults:
    """Makes things go wrong in a world at the times of a plan.

    Attributes:
        rng: of the fault at hand.
        is_over: whether all is mended.
    """

    def __init__(self, world: World, plan: Plan) -> None:
        self.world = world
        self.rng = Random()
        self.is_over = False
        for fault in plan.faults:
            world.at(fault.at, lambda fault=fault: self._strike(fault))  # type: ignore[misc]

    def _strike(self, fault: Fault) -> None:
        if not self.is_over:
            self.world.trace(0, f"fault: {fault.kind}")
            self.world.tally[fault.kind] += 1
            self.rng = Random(fault.seed)
            ALL_KINDS[fault.kind](self)

    def end(self) -> None:
        """Mend everything."""
        self.is_over = self.world.is_mended = True
        self.world.points.chances.clear()
        self.world.network.mend()
        for host in self.world.hosts.values():
            self.mend_disk(host)
            host.dies_after = host.dies_at = None
            host.machine.is_doomed = host.machine.dooms_change = False
            self.thaw(host)
        self.world.start()
        see_to_members(self.world)

    # For all kinds.

    def some_host(self) -> Host:
        """Anyone, rather the leader."""
        leader = self.world.leader
        if leader is not None and self.rng.random() < 0.4:
            return leader
        return self.rng.choice(list(self.world.hosts.values()))

    def later(self, mean_seconds: float, action: Callable[[], None]) -> None:
        """Do something after a while, unless all is over by then."""
        self.soon(self.rng.expovariate(1 / mean_seconds), action)

    def soon(self, seconds: float, action: Callable[[], None]) -> None:
        """The same at a certain time."""
        self.world.after(seconds, lambda: None if self.is_over else action())

    def crash(self, host: Host, restart_seconds: float = 2.0) -> None:
        """End a server; somebody starts it again, on a disk that works."""
        host.crash(has_no_power=self.rng.random() < 0.5)
        self.mend_disk(host)
        self.later(restart_seconds, lambda: self.restart(host))

    def restart(self, host: Host) -> None:
        """Start a server that is down, on a disk that works."""
        if not host.is_up:
            self.mend_disk(host)
            self.world.start(host.server_id)

    def thaw(self, host: Host) -> None:
        """Let a server that was stopped go on."""
        if host.is_frozen:
            host.thaw()

    def heal_network(self) -> None:
        """Let everything pass again."""
        self.world.network.heal()

    def mend_disk(self, host: Host) -> None:
        """Room, and the usual pace, and no errors."""
        host.disk.capacity_bytes = 1 << 50
        host.disk.stop_failing()
        host.machine.delay_seconds = host.machine.usual_delay_seconds

    def may_lose_data(self, host: Host) -> bool:
        """Whether an ensemble survives it if this server loses what it has: all the others must have theirs.

        Without its epochs nobody would miss the rest, itself included.
        """
        others = [other for other in self.world.hosts.values() if other is not host]
        can_decide = self.world.checker.sequence.all_can_decide([other.server_id for other in others])
        knows_epochs = ACCEPTED in host.disk.names(host.machine.places.snapshots)
        return knows_epochs and can_decide and not any(other.may_doubt or other.is_damaged for other in others)

    def lose_data(self, host: Host) -> None:
        """All logs and snapshots of a server that is down are gone; its epochs are left."""
        host.may_doubt = True
        places = host.machine.places
        for directory in dict.fromkeys((places.logs, places.snapshots)):
            for name in host.disk.names(directory):
                if name.startswith(("log.", "snapshot.", DOUBT)):
                    host.disk.remove(f"{directory}/{name}")
            host.disk.sync_directory(directory)


# Servers.


def _crash(faults: Faults) -> None:
    faults.crash(faults.some_host())


def _crash_between_effects(faults: Faults) -> None:
    host = faults.some_host()
    host.dies_after = faults.rng.randrange(12)
    faults.later(4.0, lambda: faults.restart(host))


def _cut_power_in_a_write(faults: Faults) -> None:
    hosts = faults.rng.sample(list(faults.world.hosts.values()), faults.rng.randrange(3))
    for host in {faults.some_host(): None, **dict.fromkeys(hosts)}:
        host.machine.is_doomed = True
        faults.later(2.0, lambda host=host: faults.restart(host))  # type: ignore[misc]


def _crash_all(faults: Faults) -> None:
    for host in faults.world.hosts.values():
        faults.crash(host)


def _freeze(faults: Faults) -> None:
    host = faults.some_host()
    if host.is_up and not host.is_frozen:
        host.freeze()
        faults.later(faults.rng.choice((0.5, 3.0, 15.0)), lambda: faults.thaw(host))


def _set_clock(faults: Faults) -> None:
    host = faults.some_host()
    if isinstance(host, MemberHost):
        host.wall_step_ms = int(faults.rng.choice((-1, 1)) * faults.rng.expovariate(1 / 60_000))


# Network.


def _cut_off(faults: Faults) -> None:
    faults.world.cut_off(faults.some_host().server_id)
    faults.later(4.0, faults.heal_network)


def _split(faults: Faults) -> None:
    ids = list(faults.world.hosts)
    faults.world.cut_off(*faults.rng.sample(ids, faults.rng.randrange(1, len(ids))))
    faults.later(4.0, faults.heal_network)


def _block_one_way(faults: Faults) -> None:
    faults.world.network.block(*faults.rng.sample(list(faults.world.hosts), 2))
    faults.later(4.0, faults.heal_network)


def _flap(faults: Faults) -> None:
    """A connection between two servers comes and goes."""
    pair = faults.rng.sample(list(faults.world.hosts), 2)
    network, at = faults.world.network, 0.0
    for _ in range(faults.rng.randrange(2, 8)):
        at += faults.rng.uniform(0.05, 1.0)
        faults.soon(at, lambda: network.block(*pair))
        at += faults.rng.uniform(0.05, 1.0)
        faults.soon(at, lambda: network.unblock(*pair))


def _swizzle(faults: Faults) -> None:
    """Servers are cut off one by one, and come back one by one, in another order."""
    world, at = faults.world, 0.0
    ids = faults.rng.sample(list(world.hosts), faults.rng.randrange(2, len(world.hosts) + 1))
    for server_id in ids:
        at += faults.rng.expovariate(1.0)
        faults.soon(at, lambda server_id=server_id: world.cut_off(server_id))  # type: ignore[misc]
    for server_id in faults.rng.sample(ids, len(ids)):
        at += faults.rng.expovariate(1.0)
        faults.soon(at, lambda server_id=server_id: world.let_in(server_id))  # type: ignore[misc]


def _break_link(faults: Faults) -> None:
    links = faults.world.network.links
    if links:
        faults.world.network.break_link(faults.rng.choice(links), both_notice=faults.rng.random() < 0.7)


def _slow_network(faults: Faults) -> None:
    network = faults.world.network
    usual = network.delay_seconds
    network.delay_seconds = faults.rng.choice(((0.0005, 0.005), (0.001, 0.3), (0.0001, 0.0002)))
    faults.later(5.0, lambda: setattr(network, "delay_seconds", usual))


def _slow_link(faults: Faults) -> None:
    pair = tuple(faults.rng.sample(list(faults.world.hosts), 2))
    slow = faults.world.network.slow
    slow[pair] = faults.rng.choice((0.1, 0.5, 2.0))

    def mend() -> None:
        slow.pop(pair, None)

    faults.later(5.0, mend)


# Disks.


def _slow_disk(faults: Faults) -> None:
    host = faults.some_host()
    host.machine.delay_seconds = faults.rng.choice(((0.01, 1.5), (0.001, 0.2), (0.0001, 0.0002)))
    faults.later(5.0, lambda: faults.mend_disk(host))


def _full_disk(faults: Faults) -> None:
    host = faults.some_host()
    room = host.disk.capacity_bytes - host.disk.free_bytes("")
    host.disk.capacity_bytes = room + faults.rng.randrange(2000)
    faults.later(3.0, lambda: faults.mend_disk(host))


def _take_snapshot(faults: Faults) -> None:
    faults.some_host().machine.take_snapshot()


def _corrupt(faults: Faults) -> None:
    """A sector of a file at rest is noise, as the next start finds out.

    Not at the end of a log: nobody can tell a last record that went bad from one that was never whole.
    """
    host = faults.some_host()
    disk = host.disk
    if not faults.may_lose_data(host):
        return
    host.may_doubt = host.is_damaged = True
    faults.crash(host)
    places = host.machine.places
    paths = [
        f"{directory}/{name}"
        for directory in dict.fromkeys((places.logs, places.snapshots))
        for name in disk.names(directory)
        if name.startswith(("log.", "snapshot."))
    ]
    ends = {path: disk.data_bytes(path) - LOG_END_BYTES * ("/log." in path) for path in paths}
    files = [path for path, end in ends.items() if end > 0]
    if files:
        path = faults.rng.choice(files)
        disk.corrupt(path, faults.rng.randrange(ends[path]), faults.rng)


def _lose_disk(faults: Faults) -> None:
    """All logs and snapshots of a server are gone."""
    host = faults.some_host()
    if faults.may_lose_data(host):
        faults.crash(host, restart_seconds=faults.rng.choice((0.05, 2.0)))
        faults.lose_data(host)


KINDS: dict[str, Callable[[Faults], None]] = {
    "crash": _crash,
    "crash between effects": _crash_between_effects,
    "power cut in a write": _cut_power_in_a_write,
    "crash of all": _crash_all,
    "freeze": _freeze,
    "clock set": _set_clock,
    "reconfig": reconfigure,
    "cut off": _cut_off,
    "split": _split,
    "block one way": _block_one_way,
    "flapping link": _flap,
    "swizzle": _swizzle,
    "broken link": _break_link,
    "slow network": _slow_network,
    "slow link": _slow_link,
    "slow disk": _slow_disk,
    "full disk": _full_disk,
    "snapshot": _take_snapshot,
    "corrupt sector": _corrupt,
    "lost disk": _lose_disk,
    **SCHEMES,
}
ALL_KINDS = {**KINDS, **MISHAPS, **LEFTOVERS}
"""With those that are drawn apart."""
HARMLESS = frozenset({"snapshot", "reconfig"})
"""Kinds that do not count as something that goes wrong."""
