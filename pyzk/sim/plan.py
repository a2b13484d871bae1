"""What a run is made of, as data: an ensemble, its clients, and everything that will go wrong, with its time.

A plan is drawn from a seed. It can be cut afterwards: a run with some of its faults left out is a run too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from pyzk.sim.extras import Extras, draw_extras
from pyzk.sim.points import draw_chances
from pyzk.zab.settings import AgreementSettings

CALM_SHARES = 0.05, 0.15
"""Between two storms nothing new goes wrong for such a share of a run, so that something is done that can be lost."""
CALM_SECONDS_MAX = 10.0
STORM_FAULTS = 3, 6, 12, 20
"""How many faults a storm of a run has at most."""
ENDLESS_CHANCE = 0.05
"""How often there is no calm at all."""
REQUESTS = 1000, 2000
"""For so many by all clients there is time in a run, if servers serve half of it; most of them write."""
WRITES = 300
WRITES_A_SECOND = 4.0
"""So many are wanted in a run, and in a long one so many a second: the pauses of clients follow from that."""
PAUSE_SECONDS = 0.05, 0.5
"""The pause of a client between two requests lies in these bounds, however long the run is."""

OBSERVER_MASTER_PORT = 2191
"""On which followers serve observers in some runs."""

READ_ONLY_CHANCE = 0.2
"""In so many runs servers serve reads while they have no leader."""

ALWAYS = "power cut in a write"
"""The first fault of each run, and one of those that come again: without it a run proves little."""


@dataclass(slots=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        at: simulated seconds.
        kind: a name of `faults.ALL_KINDS`.
        seed: says the rest: whom it hits, how hard, how long.
    """

    at: float
    kind: str
    seed: int

    def __str__(self) -> str:
        return f"{self.at:9.3f} s  {self.kind} ({self.seed})"


@dataclass(slots=True)
class Plan:
    """A whole run.

    Attributes:
        seed: of everything that is chance and not in the plan.
        seconds: simulated, during which things may go wrong.
        membership: text of the configuration.
        settings: of every server.
        clients: how many; without any, servers have no service, and leaders make up txns.
        client_pause_seconds: mean time between two requests of one client, while as much is written as is wanted.
        disk_seconds: (least, most) time that a disk takes for one thing.
        clock_drift: how much faster or slower a clock may go.
        has_blackout: whether all servers lose power at the end, before everything must be well.
        compression: of snapshots, empty for none.
        read_only_enabled: whether servers without a leader serve reads to clients that want no more.
        faults: by time.
        points: how often each fault point of the code fires, by name, of those that do.
        extras: what it has beside the plain ensemble.
    """

    seed: int
    seconds: float
    membership: str
    settings: AgreementSettings
    clients: int
    client_pause_seconds: float = 0.2
    disk_seconds: tuple[float, float] = (0.0005, 0.004)
    clock_drift: float = 0.001
    has_blackout: bool = False
    compression: str = ""
    read_only_enabled: bool = False
    faults: list[Fault] = field(default_factory=list)
    points: dict[str, float] = field(default_factory=dict)
    extras: Extras = field(default_factory=Extras)

    @property
    def writes_a_second(self) -> float:
        """That are wanted."""
        return max(WRITES / self.seconds, WRITES_A_SECOND)


def draw_plan(
    seed: int, seconds: float, kinds: list[str], clients: int, servers: int = 0, extras: Extras | None = None
) -> Plan:
    """Everything that is decided before a run.

    Args:
        seed: says all.
        seconds: simulated.
        kinds: what can go wrong.
        clients: how many.
        servers: with a vote; 0 draws 3 or 5.
        extras: what it has beside the plain ensemble; None: what the seed says.
    """
    rng = Random(seed)
    voters = servers or rng.choice((3, 5))
    settings, membership = _agreement(rng, voters, clients)
    plan = Plan(
        seed,
        seconds,
        membership,
        settings,
        clients,
        client_pause_seconds=_pause_seconds(rng, seconds, clients),
        disk_seconds=rng.choice(((0.0005, 0.004), (0.005, 0.05))),
        clock_drift=rng.choice((0.001, 0.001, 0.02)),
        has_blackout=rng.random() < 0.5,
        faults=_faults(rng, seconds, kinds),
        points=draw_chances(rng),
        compression=rng.choice(("", "", "gz")),
        read_only_enabled=Random(f"{seed} read-only").random() < READ_ONLY_CHANCE,
        extras=draw_extras(seed) if extras is None else extras,
    )
    plan.compression = plan.extras.compression or plan.compression
    may_change = clients > 0 and "group" not in membership
    settings.reconfig_enabled = settings.reconfig_enabled or (plan.extras.reconfigs and may_change)
    return plan


def _agreement(rng: Random, voters: int, clients: int) -> tuple[AgreementSettings, str]:
    """Settings of every server, and the text of the configuration."""
    settings = AgreementSettings(
        tick_ms=rng.choice((200, 500, 1000)),
        init_ticks=rng.choice((5, 10)),
        sync_ticks=rng.choice((3, 5)),
        window_txns=rng.choice((5, 50, 500)),
        snapshot_size_factor=rng.choice((-1.0, 0.33, 100.0)),
        force_snapshot_sync=rng.random() < 0.15,
    )
    membership = _membership(rng, voters, rng.choice((0, 0, 1)))
    settings.observer_master_port = rng.choice((0, OBSERVER_MASTER_PORT))
    settings.observer_sync_enabled = rng.random() < 0.7
    settings.reconfig_enabled = rng.random() < 0.3 and voters > 3 and clients > 0 and "group" not in membership
    return settings, membership


def membership_lines(voters: int, observers: int) -> list[str]:
    """A configuration in which server N has the address 10.0.0.N."""
    roles = ["participant"] * voters + ["observer"] * observers
    return [f"server.{number}=10.0.0.{number}:2888:3888:{role}" for number, role in enumerate(roles, 1)]


def _membership(rng: Random, voters: int, observers: int) -> str:
    lines = membership_lines(voters, observers)
    shape = rng.random()
    if shape < 0.1:
        # One server has more weight than each of the others; none of them has none.
        lines += ["group.1=" + ":".join(str(number) for number in range(1, voters + 1))]
        lines += [f"weight.{number}={2 if number == 1 else 1}" for number in range(1, voters + 1)]
    elif shape < 0.15 and voters >= 5:
        lines += ["group.1=1:2:3", "group.2=" + ":".join(str(number) for number in range(4, voters + 1))]
        lines += [f"weight.{number}=1" for number in range(1, voters + 1)]
    return "\n".join(lines)


def _faults(rng: Random, seconds: float, kinds: list[str]) -> list[Fault]:
    chosen = [ALWAYS, *rng.sample(kinds, rng.randrange(4, len(kinds) + 1))]
    mean_seconds, storm_faults_max = rng.choice((0.1, 0.3, 1.0, 2.0)), rng.choice(STORM_FAULTS)
    is_endless = rng.random() < ENDLESS_CHANCE
    faults: list[Fault] = []
    kind, at = ALWAYS, _calm_seconds(rng, seconds)
    while at < seconds:
        for _ in range(rng.randrange(storm_faults_max) + 1):
            faults.append(Fault(at, kind, rng.getrandbits(32)))
            kind = rng.choice(chosen)
            at += rng.expovariate(1 / mean_seconds)
        at += 0.0 if is_endless else _calm_seconds(rng, seconds)
    return [fault for fault in faults if fault.at < seconds]


def _calm_seconds(rng: Random, seconds: float) -> float:
    return min(rng.uniform(*CALM_SHARES) * seconds, CALM_SECONDS_MAX)


def _pause_seconds(rng: Random, seconds: float, clients: int) -> float:
    least, most = PAUSE_SECONDS
    return min(max(clients * seconds / 2 / rng.choice(REQUESTS), least), most)
