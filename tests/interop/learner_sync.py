"""How long a learner takes to be in step, and what clients notice of it: `scripts/interop learner-sync`.

Three servers under a steady write load; the third has been away for 100,000 txns, then another time has an empty disk
and joins a tree of 200,000 znodes. Figures: seconds from its start until it serves and is level, and the latency of the
clients' writes before and during that. `--kinds java38` for Apache's figures; `--kinds pyzk,pyzk,java39`: the third is
the learner.
"""

import argparse
import logging
import shutil
import statistics
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from kazoo.client import KazooClient

from tests.integration.ensemble import Ensemble
from tests.interop.apache import UnavailableError
from tests.interop.mixed import GONE_WRONG
from tests.interop.results import FAILED, PASSED, SKIPPED, Result

TREE_ZNODES = 200_000
AWAY_TXNS = 100_000
DATA = b"x" * 100
FOLDERS = 100
OUTSTANDING_MAX = 500
SYNC_TIMEOUT_S = 120.0
BEFORE_S = 5.0
CLIENTS = 4
PACE_S = 0.01
# A gap between two answers to one client that would be a fault of its own, and not only a slow write.
PAUSE_MAX_S = 3.0
SETTINGS = {"initLimit": 120, "preAllocSize": 4096}


class Paced:
    """A client that sets one znode every PACE_S seconds and notes when and how long each took, for a `with`."""

    def __init__(self, client: KazooClient, index: int) -> None:
        self.client = client
        self.path = f"/paced-{index}"
        self.taken: list[tuple[float, float]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def start(self) -> None:
        self.client.ensure_path(self.path)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(SYNC_TIMEOUT_S)
        self.client.stop()
        self.client.close()

    def _write(self) -> None:
        while not self._stopping.wait(PACE_S):
            began = time.monotonic()
            self.client.retry(self.client.set, self.path, DATA)
            self.taken.append((began, time.monotonic() - began))


def run(options: argparse.Namespace) -> list[Result]:
    kinds = (options.kinds or "pyzk").split(",")
    kinds = kinds if len(kinds) == 3 else [kinds[0]] * 3
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="learner-sync-"))
    try:
        results = measure(folder, kinds)
    except UnavailableError as missing:
        return [Result("learner-sync", "all", SKIPPED, str(missing))]
    except GONE_WRONG as error:
        return [Result("learner-sync", "all", FAILED, f"files in {folder}\n{type(error).__name__}: {error}")]
    shutil.rmtree(folder)
    return results


def measure(folder: Path, kinds: list[str]) -> list[Result]:
    with Ensemble(folder, kinds, SETTINGS) as ensemble:
        ensemble.start(first=2)
        fill(ensemble, "/tree", TREE_ZNODES)
        ensemble.wait_until_level()
        print(f"    {TREE_ZNODES} znodes on {' '.join(kinds)}", flush=True)
        ensemble.stop(3)
        fill(ensemble, "/away", AWAY_TXNS)
        results = [joins(ensemble, f"away for {AWAY_TXNS} txns")]
        ensemble.stop(3)
        shutil.rmtree(ensemble[3].data_dir / "version-2")
        results.append(joins(ensemble, "empty disk"))
        broken = ensemble.unlike(reading=False)
    return [*results, Result("learner-sync", "alike", FAILED if broken else PASSED, "\n".join(broken))]


def fill(ensemble: Ensemble, top: str, count: int) -> None:
    """`count` znodes below `top`, as many under way as a server likes to have."""
    with ensemble.talking(1, 2) as client:
        for number in range(FOLDERS):
            client.ensure_path(f"{top}/{number}")
        asked: deque[Any] = deque()
        for number in range(count):
            asked.append(client.create_async(f"{top}/{number % FOLDERS}/{number}", DATA))
            if len(asked) > OUTSTANDING_MAX:
                asked.popleft().get(timeout=SYNC_TIMEOUT_S)
        for answer in asked:
            answer.get(timeout=SYNC_TIMEOUT_S)


def joins(ensemble: Ensemble, how: str) -> Result:
    """Start server 3 under load and wait until it is level; the line of figures, and whether clients were disturbed."""
    clients = [Paced(ensemble.client(1, 2), index) for index in range(CLIENTS)]
    for paced in clients:
        paced.start()
    threading.Event().wait(BEFORE_S)
    began = time.monotonic()
    ensemble[3].launch()
    ensemble.wait_until_serving(3, timeout_s=SYNC_TIMEOUT_S)
    serving = time.monotonic()
    with ensemble.talking(3) as client:
        client.sync("/")
    level = time.monotonic()
    for paced in clients:
        paced.stop()
    taken = [write for paced in clients for write in paced.taken]
    before = [seconds for moment, seconds in taken if moment < began]
    during = [seconds for moment, seconds in taken if began <= moment < level]
    figures = f"serving after {serving - began:.2f} s, level after {level - began:.2f} s; "
    figures += f"writes before: {latencies(before)}; during: {latencies(during)}"
    print(f"    {how}: {figures}", flush=True)
    slowest = max(during)
    outcome = PASSED if slowest < PAUSE_MAX_S else FAILED
    return Result("learner-sync", how, outcome, f"a write took {slowest:.2f} s: {figures}")


def latencies(seconds: list[float]) -> str:
    cuts = statistics.quantiles(seconds, n=100)
    return f"p50 {cuts[49] * 1000:.1f} p99 {cuts[98] * 1000:.1f} max {max(seconds) * 1000:.0f} ms ({len(seconds)})"
