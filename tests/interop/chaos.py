"""Faults at random on ensembles of three and five servers under load, then the promises: --minutes in all, from --seed.

kill -9 of some servers, of the leader, of all at once; SIGSTOP of one for longer than syncLimit; partitions, one-way
losses and a leader that only its clients reach (network namespaces, where this machine lets us make them). In between
everything heals and the load has to go on. At the end: no acknowledged write lost, sessions alive, ephemerals gone only
with their sessions, all trees, digests and files alike.

`--kinds java39` runs it on Apache's servers; the kinds are taken in turn.
"""

import argparse
import contextlib
import itertools
import logging
import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.integration.ensemble import SYNC_LIMIT_S, Ensemble
from tests.integration.load import WORKERS, Load
from tests.integration.namespaces import Network
from tests.interop.apache import UnavailableError
from tests.interop.mixed import GONE_WRONG
from tests.interop.mixed_cases import reckoning
from tests.interop.results import FAILED, PASSED, SKIPPED, Result

SIZES = (3, 5)
WRITES_BETWEEN = 100
# The load's workers pause, so that ten minutes leave a tree that can be compared in seconds.
PAUSE_S = 0.02
FAULT_SECONDS = (0.2, 3.0)


class Chaos:
    """One ensemble and the faults that it gets, each undone before the next; `network` is None without namespaces."""

    def __init__(self, ensemble: Ensemble, network: Network | None, rng: random.Random) -> None:
        self.ensemble = ensemble
        self.network = network
        self.rng = rng
        self.done: Counter[str] = Counter()
        self.faults: list[Callable[[], None]] = [
            self.kill_some,
            self.kill_leader,
            self.kill_all,
            self.pause_one,
            self.pause_leader,
        ]
        if network is not None:
            self.faults += [self.part, self.isolate_leader, self.lose_one_way]

    def one_fault(self) -> str:
        fault = self.rng.choice(self.faults)
        fault()
        self.done[fault.__name__] += 1
        return fault.__name__

    def kill_some(self) -> None:
        sids = list(self.ensemble.members)
        self._kill(*self.rng.sample(sids, self.rng.randint(1, len(sids) - 1)))

    def kill_leader(self) -> None:
        self._kill(self.ensemble.leader())

    def kill_all(self) -> None:
        self._kill(*self.ensemble.members)

    def _kill(self, *sids: int) -> None:
        self.ensemble.kill(*sids)
        self._wait(self.rng.uniform(*FAULT_SECONDS))
        for sid in self.rng.sample(sids, len(sids)):
            self.ensemble[sid].launch()

    def pause_one(self) -> None:
        self._pause(self.rng.choice(list(self.ensemble.members)))

    def pause_leader(self) -> None:
        self._pause(self.ensemble.leader())

    def _pause(self, sid: int) -> None:
        self.ensemble[sid].pause()
        self._wait(SYNC_LIMIT_S + self.rng.uniform(*FAULT_SECONDS))
        self.ensemble[sid].resume()

    def part(self) -> None:
        """Two sides, one with a quorum."""
        sids = self.rng.sample(list(self.ensemble.members), len(self.ensemble.members))
        smaller = self.rng.randint(1, (len(sids) - 1) // 2)
        self._drop(itertools.product(sids[:smaller], sids[smaller:]), both_ways=True)

    def isolate_leader(self) -> None:
        leader = self.ensemble.leader()
        self._drop(((leader, other) for other in self.ensemble.members if other != leader), both_ways=True)

    def lose_one_way(self) -> None:
        one, other = self.rng.sample(list(self.ensemble.members), 2)
        self._drop([(one, other)], both_ways=False)

    def _drop(self, pairs: object, *, both_ways: bool) -> None:
        assert self.network is not None
        for one, other in pairs:  # type: ignore[attr-defined]
            self.network.drop(one, other)
            if both_ways:
                self.network.drop(other, one)
        self._wait(SYNC_LIMIT_S + self.rng.uniform(*FAULT_SECONDS))
        self.network.heal()

    @staticmethod
    def _wait(seconds: float) -> None:
        threading.Event().wait(seconds)


def run(options: argparse.Namespace) -> list[Result]:
    seed = options.seed if options.seed is not None else random.randrange(2**32)
    kinds = (options.kinds or "pyzk").split(",")
    print(f"chaos: {options.minutes} minutes, seed {seed}", flush=True)
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    results = []
    for size in SIZES:
        name = f"{size} servers of {' '.join(kinds)}"
        chosen = [kind for kind, _ in zip(itertools.cycle(kinds), range(size), strict=False)]
        results += ensemble_under(name, chosen, options.minutes * 60 / len(SIZES), seed)
    return results


def ensemble_under(name: str, kinds: list[str], seconds: float, seed: int) -> list[Result]:
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    results = []
    with contextlib.ExitStack() as stack:
        network: Network | None = Network(len(kinds))
        try:
            stack.enter_context(network)
        except UnavailableError as missing:
            results.append(Result("chaos", f"{name}: partitions", SKIPPED, str(missing)))
            network = None
        try:
            broken = storm(folder, kinds, network, seconds, random.Random(seed))
        except UnavailableError as missing:
            return [Result("chaos", name, SKIPPED, str(missing))]
        except GONE_WRONG as error:
            broken = [f"{type(error).__name__}: {error}"]
    if broken:
        return [*results, Result("chaos", name, FAILED, "\n".join([f"seed {seed}, files in {folder}", *broken]))]
    shutil.rmtree(folder)
    return [*results, Result("chaos", name, PASSED)]


def storm(folder: Path, kinds: list[str], network: Network | None, seconds: float, rng: random.Random) -> list[str]:
    ends = time.monotonic() + seconds
    with Ensemble(folder, kinds, hosts=network.hosts if network else None) as ensemble:
        if network is not None:
            network.enter(ensemble)
        ensemble.start()
        chaos = Chaos(ensemble, network, rng)
        with Load(ensemble.hosts(), rng.randrange(2**32), WORKERS, PAUSE_S) as load:
            while time.monotonic() < ends:
                load.wait_for(WRITES_BETWEEN)
                began = time.monotonic()
                fault = chaos.one_fault()
                load.wait_for(WRITES_BETWEEN)
                ensemble.wait_until_serving(*ensemble.members)
                gap = load.longest_gap_s(since=began)
                print(f"    {time.monotonic() - began:6.1f} s  {fault:16} no write for {gap:.2f} s", flush=True)
        counts = ", ".join(f"{name} {count}" for name, count in sorted(chaos.done.items()))
        print(f"    {len(kinds)} servers: {load.summary()}; {counts}", flush=True)
        return reckoning(ensemble, load)
