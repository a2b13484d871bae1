"""Ensembles in which everything goes wrong at random. PYZK_SIM_SEEDS=N runs more seeds, PYZK_SIM_SEED=S from S on."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from pyzk.sim.run import plan_of, run_plan, run_seed
from pyzk.sim.sequence import BrokenInvariantError
from pyzk.storage import compression

SEEDS = int(os.environ.get("PYZK_SIM_SEEDS", "40"))
FIRST = int(os.environ.get("PYZK_SIM_SEED", "0"))
CHUNKS = 4
CLIENTS = 4
SECONDS = 15.0
HAPPENS = ("commits", "elections", "crashes", "syncs", "trees", "log reads", "truncates", "torn works")
HAPPENS_TO_CLIENTS = ("session moves", "sessions abandoned", "sessions closed", "watches", "refused")


@pytest.mark.timeout(0 if SEEDS > 1000 else 300)
@pytest.mark.parametrize("clients", [0, CLIENTS])
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_promise_is_broken_whatever_goes_wrong(chunk, clients):
    tally = Counter()
    for seed in range(FIRST + chunk, FIRST + SEEDS, CHUNKS):
        try:
            tally += run_seed(seed, SECONDS, clients=clients)
        except BrokenInvariantError as error:
            pytest.fail(f"seed {seed}: {error}")
    print(dict(tally))
    # What never happens is not tested.
    for what in HAPPENS + (HAPPENS_TO_CLIENTS if clients else ()):
        assert tally[what] or SEEDS < 400, what


def remembered():
    lines = (Path(__file__).parent / "seeds.txt").read_text(encoding="utf-8").splitlines()
    return [tuple(map(int, line.split()[:3])) for line in lines if not line.startswith("#")]


@pytest.mark.parametrize(("seed", "seconds", "clients"), remembered())
@pytest.mark.parametrize("is_plain", [True, False])
def test_a_seed_that_has_failed_once_does_not_fail_again(seed, seconds, clients, is_plain):
    run_seed(seed, seconds, clients=clients, is_plain=is_plain)


def trace_of(seed, clients):
    lines = []
    run_seed(seed, 5.0, lambda line: lines.append(str(line)), clients)
    return lines


@pytest.mark.parametrize("clients", [0, CLIENTS])
def test_the_same_seed_is_the_same_run(clients):
    seed = Random(FIRST).randrange(1 << 30)
    assert trace_of(seed, clients) == trace_of(seed, clients)


def test_the_same_seed_is_the_same_run_without_the_snappy_extra(monkeypatch):
    def trace():
        lines = []
        run_plan(plan_of(31, 20.0), lambda line: lines.append(str(line)))
        return lines

    assert plan_of(31, 20.0).compression == "snappy"
    with_extra = trace()
    monkeypatch.setattr(compression, "find_cramjam", lambda: None)
    assert trace() == with_extra


PROGRAM = """
from zlib import crc32
from pyzk.sim.run import run_seed
sum = 0
def add(line):
    global sum
    sum = crc32(str(line).encode(), sum)
run_seed(5, 5.0, add)
run_seed(5, 5.0, add, 4)
print(sum)
"""


def test_the_same_seed_is_the_same_run_in_another_process():
    def run(hash_seed):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, capture_output=True).stdout

    assert run("1") == run("2")
