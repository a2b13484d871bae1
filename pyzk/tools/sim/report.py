"""What is said about runs: how much happened in them, and what broke in the one that failed."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from pyzk.faultpoints import POINTS
from pyzk.sim.faults import ALL_KINDS
from pyzk.sim.plan import Plan
from pyzk.sim.points import tally_name
from pyzk.sim.run import Outcome

COLUMNS: dict[str, Callable[[Outcome], int]] = {
    "committed writes": lambda outcome: outcome.tally["writes"],
    "faults": lambda outcome: outcome.faults,
    "kinds of faults": lambda outcome: outcome.kinds,
    "leaders": lambda outcome: outcome.tally["elections"],
    "crashes": lambda outcome: outcome.tally["crashes"],
    "crashes with unsynced data": lambda outcome: outcome.tally["crashes with unsynced data"],
    "session moves": lambda outcome: outcome.tally["session moves"],
    "watches fired": lambda outcome: outcome.tally["watches"],
    "sessions left to expire": lambda outcome: outcome.tally["sessions abandoned"],
    "steps": lambda outcome: outcome.steps,
}
KINDS_PER_LINE = 3


def distribution(outcomes: Sequence[Outcome], first: int, wall_seconds: float) -> str:
    """A table of what happened in the runs: smallest, middle and greatest number, and the sum."""
    counted = sum(outcome.counts for outcome in outcomes)
    failed = sum(bool(outcome.invariant) for outcome in outcomes)
    simulated = sum(outcome.seconds for outcome in outcomes)
    tally = sum((outcome.tally for outcome in outcomes), Counter[str]())
    wall = max(wall_seconds, 1e-3)
    rates = f"{len(outcomes) / wall:.2f} seeds and {tally['commits'] / wall:.0f} commits a second"
    lines = [
        f"{len(outcomes)} seeds from {first}: {counted} count, {failed} failed",
        f"{wall:.1f} s of wall time: {rates}, {simulated / wall / 60:.2f} simulated hours a minute",
        "",
        f"{'':28}{'least':>10}{'median':>10}{'most':>10}{'sum':>12}",
    ]
    for name, column in COLUMNS.items():
        values = sorted(map(column, outcomes))
        middle = values[len(values) // 2]
        lines.append(f"{name:28}{values[0]:>10}{middle:>10}{values[-1]:>10}{sum(values):>12}")
    return "\n".join([*lines, "", *_table(tally, {kind: kind for kind in ALL_KINDS}), "", *_points(tally)])


def _points(tally: Counter[str]) -> list[str]:
    return ["fault points in the code:", *_table(tally, {name: tally_name(name) for name in POINTS})]


def _table(tally: Counter[str], names: Mapping[str, str]) -> list[str]:
    cells = [f"{name:24}{tally[counted]:>8}" for name, counted in names.items()]
    return ["   ".join(cells[at : at + KINDS_PER_LINE]) for at in range(0, len(cells), KINDS_PER_LINE)]


def describe_failure(failure: Outcome, plan: Plan, shorter: Plan, shortest: Outcome, command: str) -> str:
    """What broke, where, and the shortest plan that was found in which it breaks too."""
    blackout = ", then all lose power" if shorter.has_blackout else ""
    points = "".join(f", {name!r} at {chance:g}" for name, chance in shorter.points.items())
    length = f"{len(shorter.faults)} of {len(plan.faults)} faults, {shorter.seconds:.3f} s{blackout}{points}"
    lines = [
        "",
        f"seed {failure.seed} FAILED at step {failure.steps}, {failure.seconds:.3f} s: {failure.invariant}",
        f"  {failure.details}",
        f"  {'a promise of the ensemble is broken' if failure.is_caught else 'the code has raised this'}",
        f"run it again: {command}",
        f"shortest reproduction: {length}; step {shortest.steps}: {shortest.details}",
    ]
    return "\n".join([*lines, *(f"  {fault}" for fault in shorter.faults)])


def outcome_json(outcome: Outcome) -> dict[str, object]:
    """For scripts."""
    return {
        "seed": outcome.seed,
        "counts": outcome.counts,
        "invariant": outcome.invariant,
        "caught": outcome.is_caught,
        "details": outcome.details,
        "steps": outcome.steps,
        "tally": dict(outcome.tally),
    }
