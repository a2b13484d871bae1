"""The fault points: all of them are in the code, once each, and off unless somebody hands in others."""

import re
from collections import Counter
from pathlib import Path
from random import Random

from pyzk.faultpoints import NONE, POINTS
from pyzk.sim.points import DrawnPoints, draw_chances, tally_name
from pyzk.sim.run import plan_of

ROOT = Path(__file__).resolve().parents[2]
USE = re.compile(r'\.fires\("([^"]+)"\)')


def test_each_point_is_at_one_place_of_the_code_and_in_the_docs():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "pyzk").rglob("*.py")]
    used = Counter(name for source in sources for name in USE.findall(source))
    assert used == Counter(POINTS.keys())
    page = (ROOT / "docs" / "simulation.md").read_text(encoding="utf-8")
    assert [name for name in POINTS if f"| {name} | {POINTS[name]} |" not in page] == []


def test_nothing_fires_in_production():
    assert not any(NONE.fires(name) for name in POINTS)


def test_points_fire_as_often_as_the_plan_says_and_are_counted():
    tally = Counter()
    points = DrawnPoints(Random(1), {"ping left out": 0.5}, tally)
    fired = sum(points.fires("ping left out") for _ in range(1000))
    assert 400 < fired < 600
    assert tally == {tally_name("ping left out"): fired}
    assert not any(points.fires("whole tree sent") for _ in range(1000))


def test_the_seed_says_which_points_fire():
    assert plan_of(7, 60.0).points == plan_of(7, 60.0).points
    drawn = [draw_chances(Random(seed)) for seed in range(50)]
    assert {name for chances in drawn for name in chances} == set(POINTS)
    assert all(len(chances) < len(POINTS) for chances in drawn)
