"""What goes wrong in a simulated ensemble by chance, and how a whole run is drawn from one seed."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, ClassVar

from pyzk.sim.checker import BrokenInvariantError
from pyzk.sim.world import World
from pyzk.zab.settings import AgreementSettings

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from pyzk.sim.host import Host

HEALING_SECONDS_MAX = 90.0
"""Once nothing is wrong any more, an ensemble has to be well within that time."""


class Faults:
    """Makes things go wrong in a world, and lets its clients write and sync meanwhile.

    Attributes:
        mean_seconds: mean time between two faults.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = world.rng
        self.is_over = False
        self.mean_seconds = self.rng.choice((0.1, 0.5, 1.0, 4.0))
        kinds = list(self._KINDS)
        usual_delay_seconds = self.rng.choice(((0.0005, 0.004), (0.005, 0.05)))
        for host in world.hosts.values():
            host.machine.delay_seconds = host.machine.usual_delay_seconds = usual_delay_seconds
        self.kinds = self.rng.sample(kinds, self.rng.randrange(2, len(kinds) + 1))

    def begin(self) -> None:
        """From now on things go wrong."""
        self._next_fault()
        self._next_clients()

    def end(self) -> None:
        """Mend everything."""
        self.is_over = True
        self.world.network.heal()
        for host in self.world.hosts.values():
            self._mend_disk(host)
            host.dies_after = None
            if host.is_frozen:
                host.thaw()
        self.world.start()

    def _next_fault(self) -> None:
        self.world.after(self.rng.expovariate(1 / self.mean_seconds), self._strike)

    def _strike(self) -> None:
        if self.is_over:
            return
        kind = self.rng.choice(self.kinds)
        self.world.trace(0, f"fault: {kind}")
        self.world.tally[kind] += 1
        self._KINDS[kind](self)
        self._next_fault()

    def _some_host(self) -> Host:
        leader = self.world.leader
        if leader is not None and self.rng.random() < 0.4:
            return leader
        return self.rng.choice(list(self.world.hosts.values()))

    def _later(self, mean_seconds: float, action: Callable[[], None]) -> None:
        self.world.after(self.rng.expovariate(1 / mean_seconds), action)

    # Servers.

    def _crash(self) -> None:
        self._end(self._some_host())

    def _end(self, host: Host) -> None:
        if self.is_over:
            return
        host.crash(has_no_power=self.rng.random() < 0.5)
        self._later(2.0, lambda: self._restart(host))

    def _restart(self, host: Host) -> None:
        if not host.is_up and not self.is_over:
            self._mend_disk(host)
            self.world.start(host.server_id)

    def _crash_between_effects(self) -> None:
        host = self._some_host()
        host.dies_after = self.rng.randrange(12)
        self._later(4.0, lambda: self._restart(host))

    def _vanish(self) -> None:
        """A leader that has just begun to propose is not heard any more, or ends."""
        leader = self.world.leader
        if leader is None:
            return
        leader.propose(self.rng.randrange(1, 5))
        if self.rng.random() < 0.5:
            self.world.after(self.rng.uniform(0, 0.05), lambda: self._end(leader))
        else:
            self.world.cut_off(leader.server_id)
            self._later(4.0, self.world.network.heal)

    def _crash_all(self) -> None:
        for host in self.world.hosts.values():
            self._end(host)

    def _freeze(self) -> None:
        host = self._some_host()
        if host.is_up and not host.is_frozen:
            host.freeze()
            self._later(self.rng.choice((0.5, 3.0, 15.0)), lambda: self._thaw(host))

    def _thaw(self, host: Host) -> None:
        if host.is_frozen:
            host.thaw()

    # Network.

    def _cut_off(self) -> None:
        self.world.cut_off(self._some_host().server_id)
        self._later(4.0, self.world.network.heal)

    def _split(self) -> None:
        ids = list(self.world.hosts)
        self.world.cut_off(*self.rng.sample(ids, self.rng.randrange(1, len(ids))))
        self._later(4.0, self.world.network.heal)

    def _block_one_way(self) -> None:
        self.world.network.block(*self.rng.sample(list(self.world.hosts), 2))
        self._later(4.0, self.world.network.heal)

    def _break_link(self) -> None:
        links = self.world.network.links
        if links:
            self.world.network.break_link(self.rng.choice(links), both_notice=self.rng.random() < 0.7)

    def _slow_network(self) -> None:
        network = self.world.network
        network.delay_seconds = self.rng.choice(((0.0005, 0.005), (0.001, 0.3), (0.0001, 0.0002)))

    # Disks.

    def _slow_disk(self) -> None:
        host = self._some_host()
        host.machine.delay_seconds = self.rng.choice(((0.01, 1.5), (0.001, 0.2), (0.0001, 0.0002)))
        self._later(5.0, lambda: self._mend_disk(host))

    def _full_disk(self) -> None:
        host = self._some_host()
        room = host.disk.capacity_bytes - host.disk.free_bytes("")
        host.disk.capacity_bytes = room + self.rng.randrange(2000)
        self._later(3.0, lambda: self._mend_disk(host))

    def _mend_disk(self, host: Host) -> None:
        host.disk.capacity_bytes = 1 << 50
        host.machine.delay_seconds = host.machine.usual_delay_seconds

    def _take_snapshot(self) -> None:
        self._some_host().machine.take_snapshot()

    # Clients.

    def _next_clients(self) -> None:
        self._later(0.1, self._speak)

    def _speak(self) -> None:
        if self.is_over:
            return
        host = self._some_host()
        if host.is_up:
            # A write that waits in a frozen server would keep a sync behind it from being answered too early.
            if host.is_frozen or self.rng.random() < 0.3:
                host.sync()
            else:
                host.propose(self.rng.choice((1, 1, 2, 10)))
            self.world.checker.step(host)
        self._next_clients()

    _KINDS: ClassVar[dict[str, Callable[[Faults], None]]] = {
        "crash": _crash,
        "crash between effects": _crash_between_effects,
        "crash of all": _crash_all,
        "vanishing leader": _vanish,
        "freeze": _freeze,
        "cut off": _cut_off,
        "split": _split,
        "block one way": _block_one_way,
        "broken link": _break_link,
        "slow network": _slow_network,
        "slow disk": _slow_disk,
        "full disk": _full_disk,
        "snapshot": _take_snapshot,
    }


def draw_world(rng: Random, tracer: Callable[[str], None] | None = None, clients: int = 0) -> World:
    """An ensemble of 3 or 5 voters, perhaps with an observer, and its settings."""
    settings = AgreementSettings(
        tick_ms=rng.choice((200, 500, 2000)),
        init_ticks=rng.choice((5, 10)),
        sync_ticks=rng.choice((3, 5)),
        window_txns=rng.choice((5, 50, 500)),
        snapshot_size_factor=rng.choice((-1.0, 0.33, 100.0)),
    )
    return World(rng, rng.choice((3, 3, 5)), rng.choice((0, 0, 1)), settings, tracer, clients)


def run_seed(
    seed: int, seconds: float = 30.0, tracer: Callable[[str], None] | None = None, clients: int = 0
) -> Counter[str]:
    """One run: things go wrong for so long, then nothing does, and all must be well. Raises BrokenInvariantError.

    Args:
        seed: says all about the run.
        seconds: simulated.
        tracer: is given each line of the trace.
        clients: how many; without any, the servers have no service, and leaders make up txns.
    """
    world = draw_world(Random(seed), tracer, clients)
    faults = Faults(world)
    world.start()
    faults.begin()
    world.run(seconds)
    faults.end()
    world.settle(HEALING_SECONDS_MAX)
    if clients:
        world.write(HEALING_SECONDS_MAX)
    else:
        world.commit(3, HEALING_SECONDS_MAX)
    world.checker.finished()
    return world.tally


__all__ = ["BrokenInvariantError", "Faults", "draw_world", "run_seed"]
