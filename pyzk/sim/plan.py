"""What a run is made of, as data: an ensemble, its clients, and everything that will go wrong, with its time.

A plan is drawn from a seed. It can be cut afterwards: a run with some of its faults left out is a run too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from pyzk.zab.settings import AgreementSettings

QUIET_SECONDS = 5.0
"""Now and then nothing goes wrong for so long, so that something gets done that can be lost afterwards."""

ALWAYS = ("power cut in a write",)
"""Without these a run proves little."""


@dataclass(slots=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        at: simulated seconds.
        kind: a name of `faults.KINDS`.
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
        client_pause_seconds: mean time between two requests of one client.
        disk_seconds: (least, most) time that a disk takes for one thing.
        clock_drift: how much faster or slower a clock may go.
        has_blackout: whether all servers lose power at the end, before everything must be well.
        faults: by time.
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
    faults: list[Fault] = field(default_factory=list)


def draw_plan(seed: int, seconds: float, kinds: list[str], clients: int, servers: int = 0) -> Plan:
    """Everything that is decided before a run.

    Args:
        seed: says all.
        seconds: simulated.
        kinds: what can go wrong.
        clients: how many.
        servers: with a vote; 0 draws 3 or 5.
    """
    rng = Random(seed)
    voters = servers or rng.choice((3, 5))
    settings = AgreementSettings(
        tick_ms=rng.choice((200, 500, 1000)),
        init_ticks=rng.choice((5, 10)),
        sync_ticks=rng.choice((3, 5)),
        window_txns=rng.choice((5, 50, 500)),
        snapshot_size_factor=rng.choice((-1.0, 0.33, 100.0)),
        force_snapshot_sync=rng.random() < 0.15,
    )
    membership = _membership(rng, voters, rng.choice((0, 0, 1)))
    settings.reconfig_enabled = rng.random() < 0.3 and voters > 3 and clients > 0 and "group" not in membership
    plan = Plan(
        seed,
        seconds,
        membership,
        settings,
        clients,
        client_pause_seconds=rng.choice((0.05, 0.1, 0.2)),
        disk_seconds=rng.choice(((0.0005, 0.004), (0.005, 0.05))),
        clock_drift=rng.choice((0.001, 0.001, 0.02)),
        has_blackout=rng.random() < 0.5,
        faults=_faults(rng, seconds, kinds),
    )
    settings.observer_sync_enabled = rng.random() < 0.7
    return plan


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
    chosen = [*ALWAYS, *rng.sample(kinds, rng.randrange(4, len(kinds) + 1))]
    mean_seconds = rng.choice((0.3, 1.0, 2.0, 3.0))
    faults: list[Fault] = []
    at = rng.expovariate(1 / mean_seconds)
    while at < seconds:
        faults.append(Fault(at, rng.choice(chosen), rng.getrandbits(32)))
        at += QUIET_SECONDS if rng.random() < 0.05 else rng.expovariate(1 / mean_seconds)
    return faults
