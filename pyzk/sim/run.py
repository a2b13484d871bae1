"""A whole run from one seed, what came out of it, and the shortest plan that still fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Protocol

from pyzk.errors import PyzkError
from pyzk.sim.extras import Extras
from pyzk.sim.faults import HARMLESS, KINDS, Faults
from pyzk.sim.intruders import Intruders
from pyzk.sim.leftovers import draw_leftovers
from pyzk.sim.mishaps import draw_mishaps
from pyzk.sim.operator import Operator
from pyzk.sim.plan import Plan, draw_plan
from pyzk.sim.sequence import BrokenInvariantError
from pyzk.sim.strangers import Strangers
from pyzk.sim.workload import Workload
from pyzk.sim.world import World
from pyzk.storage import compression
from pyzk.zab.effects import Opened

if TYPE_CHECKING:
    from pyzk.sim.plan import Fault
    from pyzk.sim.trace import TraceLine

CLIENTS = 4
HEALING_SECONDS_MAX = 90.0
"""Once nothing is wrong any more, an ensemble has to be well within that time."""
EXPIRY_TICKS_MAX = 40
"""The session of a client that has gone has to end within so many ticks then: the longest timeout is 20."""
WRITES_MIN, FAULTS_MIN, KINDS_MIN = 200, 5, 3


@dataclass(slots=True)
class Outcome:
    """What came out of a run.

    Attributes:
        tally: what was done and what went wrong, counted.
        kinds: how many kinds of faults there were, and `faults` of them.
        steps: up to the end, or to the failure.
        seconds: simulated.
        invariant: which promise was broken, empty if none was; for an exception of the code under test, its name.
        is_caught: whether a checker found it, and not the code under test.
    """

    seed: int
    tally: Counter[str] = field(default_factory=Counter)
    kinds: int = 0
    faults: int = 0
    steps: int = 0
    seconds: float = 0.0
    invariant: str = ""
    details: str = ""
    is_caught: bool = False

    @property
    def counts(self) -> bool:
        """Whether enough has happened in the run for it to say something."""
        tally = self.tally
        has_enough = tally["writes"] >= WRITES_MIN and self.faults >= FAULTS_MIN and self.kinds >= KINDS_MIN
        has_all = tally["elections"] > 1 and tally["crashes with unsynced data"] and tally["session moves"]
        return not self.invariant and has_enough and bool(has_all)


def plan_of(seed: int, seconds: float, clients: int = CLIENTS, servers: int = 0, *, is_plain: bool = False) -> Plan:
    """What a seed says, or what it would say without any extras."""
    plan = draw_plan(seed, seconds, list(KINDS), clients, servers, Extras() if is_plain else None)
    if plan.extras != Extras():
        plan.faults = sorted(
            [
                *plan.faults,
                *draw_mishaps(seed, seconds, reconfigs=plan.settings.reconfig_enabled),
                *draw_leftovers(seed, seconds),
            ],
            key=lambda fault: fault.at,
        )
    return plan


def run_plan(plan: Plan, tracer: Callable[[TraceLine], None] | None = None) -> World:
    """Things go wrong as planned, then nothing does, and all must be well. Raises BrokenInvariantError."""
    world = World(plan, tracer)
    _run(world, plan)
    return world


@contextmanager
def _own_snappy() -> Iterator[None]:
    """The same seed is the same run with the extra `snappy` and without."""
    find, compression.find_cramjam = compression.find_cramjam, cache(lambda: None)
    try:
        yield
    finally:
        compression.find_cramjam = find


@_own_snappy()
def _run(world: World, plan: Plan) -> None:
    faults = Faults(world, plan)
    world.start()
    workload = Workload(world.clients, plan) if plan.clients else Speakers(world, faults)
    others = [kind(world) for kind, is_there in _OTHERS if plan.clients and is_there(plan.extras)]
    world.run(plan.seconds)
    faults.end()
    for somebody in (workload, *others):
        somebody.is_over = True
    if plan.has_blackout:
        world.crash(*world.hosts)
        world.start()
    world.settle(HEALING_SECONDS_MAX)
    if plan.clients:
        world.write(HEALING_SECONDS_MAX)
        seconds_max = EXPIRY_TICKS_MAX * plan.settings.tick_ms / 1000
        world.run_until(world.checker.are_expired, seconds_max, "sessions without a client expire")
        world.run_until(world.is_equal, HEALING_SECONDS_MAX, "all servers come to have what is committed")
    else:
        world.commit(3, HEALING_SECONDS_MAX)
    world.checker.finished()


class Somebody(Protocol):
    """Who does something in a world until it is over."""

    is_over: bool


_OTHERS: tuple[tuple[Callable[[World], Somebody], Callable[[Extras], bool]], ...] = (
    (Operator, lambda extras: extras.has_operator),
    (Strangers, lambda extras: extras.has_strangers),
    (Intruders, lambda extras: extras.has_strangers and not extras.peers_log_in),
)


class Speakers:
    """Lets the servers of a world without clients propose and sync.

    Attributes:
        is_over: whether nobody asks for anything any more.
    """

    def __init__(self, world: World, faults: Faults) -> None:
        self.world = world
        self.faults = faults
        self.is_over = False
        self._opened: dict[int, Opened | None] = {}
        self._next()

    def _next(self) -> None:
        self.world.after(self.world.rng.expovariate(1 / 0.1), self._speak)

    def _speak(self) -> None:
        if self.is_over:
            return
        self._ask_newcomers()
        rng = self.world.rng
        host = self.world.leader if rng.random() < 0.4 else None
        host = host or rng.choice(list(self.world.hosts.values()))
        if host.is_up and not self.world.is_quiet:
            # A write that waits in a frozen server would keep a sync behind it from being answered too early.
            if host.is_frozen or rng.random() < 0.3:
                host.sync()
            else:
                host.propose(rng.choice((1, 1, 2, 10)))
            self.world.checker.step(host)
        self._next()

    def _ask_newcomers(self) -> None:
        """Who has begun to serve is asked for a sync before the next write shows it what it may have missed."""
        for host in self.world.hosts.values():
            if host.opened is not self._opened.get(host.server_id):
                self._opened[host.server_id] = host.opened
                host.sync()


def try_plan(plan: Plan, tracer: Callable[[TraceLine], None] | None = None) -> Outcome:
    """Run a plan, whatever comes of it."""
    world = World(plan, tracer)
    outcome = Outcome(plan.seed, world.tally)
    try:
        _run(world, plan)
    except BrokenInvariantError as error:
        outcome.invariant, outcome.details, outcome.is_caught = error.invariant, error.details, True
    except (PyzkError, AssertionError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as thrown:
        outcome.invariant, outcome.details = type(thrown).__name__, str(thrown)
    kinds = {fault.kind for fault in plan.faults} - HARMLESS
    outcome.kinds = sum(world.tally[kind] > 0 for kind in kinds)
    outcome.faults = sum(world.tally[kind] for kind in kinds)
    outcome.steps, outcome.seconds = world.tally["steps"], world.now
    return outcome


def run_seed(
    seed: int,
    seconds: float = 30.0,
    tracer: Callable[[TraceLine], None] | None = None,
    clients: int = 0,
    *,
    is_plain: bool = False,
) -> Counter[str]:
    """One run. Raises BrokenInvariantError.

    Args:
        seed: says all about the run.
        seconds: simulated.
        tracer: is given each line of the trace.
        clients: how many; without any, the servers have no service, and leaders make up txns.
        is_plain: without any extras.
    """
    return run_plan(plan_of(seed, seconds, clients, is_plain=is_plain), tracer).tally


def shrink(plan: Plan, failure: Outcome, runs_max: int = 100) -> tuple[Plan, Outcome]:
    """A plan as short as possible in which the same invariant is broken, and how; `runs_max` runs are tried.

    First the time behind the failure is cut, then faults: halves, quarters and so on down to single ones.
    """
    best, outcome, runs = plan, failure, 0

    def fails(shorter: Plan) -> bool:
        nonlocal best, outcome, runs
        runs += 1
        tried = try_plan(shorter)
        if tried.invariant != failure.invariant:
            return False
        best, outcome = shorter, tried
        return True

    fails(replace(plan, seconds=min(plan.seconds, failure.seconds), faults=_before(plan.faults, failure.seconds)))
    if plan.has_blackout:
        fails(replace(best, has_blackout=False))
    fails(replace(best, extras=Extras()))
    if not fails(replace(best, points={})):
        for name in plan.points:
            fails(replace(best, points={other: best.points[other] for other in best.points if other != name}))
    size = len(best.faults) // 2
    while size and runs < runs_max:
        at = 0
        while at < len(best.faults) and runs < runs_max:
            if not fails(replace(best, faults=best.faults[:at] + best.faults[at + size :])):
                at += size
        size //= 2
    fails(replace(best, seconds=min(best.seconds, max((fault.at for fault in best.faults), default=0.0) + 1.0)))
    return best, outcome


def _before(faults: list[Fault], seconds: float) -> list[Fault]:
    return [fault for fault in faults if fault.at <= seconds]
