"""Ensembles of pyzk and Apache's 3.8 and 3.9 in every mixture: the cases of mixed_cases.py, each with its kinds.

    scripts/interop mixed --repeat 10                          # all cases, ten times in a row
    scripts/interop mixed --only rolling
    scripts/interop mixed --kinds java38,java38,java39         # the first kind in the place of pyzk: a baseline

The first of `--kinds` is the one in question, the others are its partners: each case runs with every partner, in
either direction where the two have sides.
"""

import argparse
import logging
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from pathlib import Path

from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError

from pyzk.errors import PyzkError
from tests.integration.processes import NotServingError
from tests.interop import mixed_cases as cases
from tests.interop.apache import UnavailableError
from tests.interop.mixed_cases import Arena
from tests.interop.mixed_restored import restored
from tests.interop.results import FAILED, PASSED, SKIPPED, Result

KINDS = ("pyzk", "java38", "java39")
SERVERS = 3
# What a case may end with when the servers do not do what it waits for.
GONE_WRONG = (NotServingError, AssertionError, KazooException, KazooTimeoutError, PyzkError, TimeoutError, OSError)
TWO_SIDED: tuple[tuple[str, Callable[[Arena, str, str], list[str]]], ...] = (
    ("followers restart", cases.follower_restarts),
    ("observes", cases.observer),
    ("takes DIFF", cases.diff),
    ("takes DIFF from files", cases.log_diff),
    ("takes SNAP", cases.snap),
    ("takes TRUNC", cases.trunc),
    ("joins empty", cases.empty),
    ("client failover", cases.client_failover),
    ("local sessions", cases.local_sessions),
    ("reconfig", cases.reconfig),
    ("observer master", cases.observer_master),
    ("tls", cases.tls),
    ("two networks", cases.two_networks),
    ("oracle", cases.oracle),
    ("SASL", cases.quorum_sasl),
    ("SASL rolls in", cases.quorum_sasl_rolls_in),
)


@dataclass(slots=True)
class Case:
    name: str
    run: Callable[[Arena], list[str]]
    seconds: list[float] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)


def run(options: argparse.Namespace) -> list[Result]:
    kinds = options.kinds.split(",") if options.kinds else KINDS
    seed = options.seed if options.seed is not None else random.randrange(2**32)
    words = (options.only or "").split(",")
    chosen = [case for case in all_cases(kinds) if any(word in case.name for word in words)]
    print(f"mixed: {len(chosen)} cases, {options.repeat} times, seed {seed}", flush=True)
    # kazoo warns of each lost connection, and here they are lost on purpose.
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    results = [one(case, seed + number) for number in range(options.repeat) for case in chosen]
    print(summary(chosen))
    return results


def all_cases(kinds: Sequence[str]) -> Iterator[Case]:
    subject, partners = kinds[0], list(dict.fromkeys(kinds[1:] or kinds))
    for mixture in mixtures(subject, partners):
        yield Case(
            f"failover: {mixture[2]} leads {mixture[1]} and {mixture[0]}",
            lambda arena, m=mixture: cases.failover(arena, m),
        )
    for partner in partners:
        for leads, learns in dict.fromkeys([(partner, subject), (subject, partner)]):
            for name, body in TWO_SIDED:
                yield Case(
                    f"{name}: {leads} leads, {learns}", lambda arena, b=body, one=leads, two=learns: b(arena, one, two)
                )
        if subject == "pyzk":
            yield Case(
                f"restored: {subject} leads, {partner}",
                lambda arena, one=subject, two=partner: restored(arena, one, two),
            )
        yield Case(
            f"rolling: {partner} to {subject} and back",
            lambda arena, one=partner, two=subject: cases.rolling(arena, one, two),
        )


def mixtures(subject: str, partners: Sequence[str]) -> list[tuple[str, ...]]:
    """The kinds of servers 1 to 3 for each mixture with the subject in it and each kind that may lead it as server 3.

    Server 2 leads next, and is of another kind than the first where there is one.
    """
    found: dict[tuple[str, ...], None] = {}
    for mixture in combinations_with_replacement(dict.fromkeys([subject, *partners]), SERVERS):
        if subject in mixture:
            for leads in mixture:
                rest = list(mixture)
                rest.remove(leads)
                found[*sorted(rest, key=lambda kind, leads=leads: (kind != leads, kind)), leads] = None
    return list(found)


def one(case: Case, seed: int) -> Result:
    """Run a case in a folder of its own, which stays where it is when the case fails."""
    folder = Path(tempfile.mkdtemp(prefix="mixed-"))
    began = time.monotonic()
    try:
        broken = case.run(Arena(folder, seed))
    except UnavailableError as missing:
        shutil.rmtree(folder)
        return Result("mixed", case.name, SKIPPED, str(missing))
    except GONE_WRONG as error:
        broken = [f"{type(error).__name__}: {error}"]
    outcome = FAILED if broken else PASSED
    case.seconds.append(time.monotonic() - began)
    case.outcomes.append(outcome)
    print(f"    {case.seconds[-1]:6.1f} s  {outcome}  {case.name}", flush=True)
    if broken:
        print("\n".join(["", *broken]).replace("\n", "\n             "), flush=True)
        return Result("mixed", case.name, outcome, "\n".join([f"seed {seed}, files in {folder}", *broken]))
    shutil.rmtree(folder)
    return Result("mixed", case.name, outcome)


def summary(chosen: Sequence[Case]) -> str:
    """One line a case: how often it passed and failed, and its seconds (median)."""
    lines = [f"{'':60} {PASSED:>7} {FAILED:>7} {'seconds':>8}"]
    for case in chosen:
        counts = f"{case.outcomes.count(PASSED):7} {case.outcomes.count(FAILED):7}"
        seconds = f"{statistics.median(case.seconds):8.1f}" if case.seconds else f"{'-':>8}"
        lines.append(f"{case.name:60} {counts} {seconds}")
    return "\n".join(lines)
