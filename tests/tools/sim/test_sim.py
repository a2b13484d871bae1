"""`pyzk sim`: what it prints, what it writes, and what it does with a seed that fails."""

import json

import pytest

from pyzk.errors import PyzkError
from pyzk.faultpoints import POINTS
from pyzk.sim import run
from pyzk.sim.run import Outcome, plan_of, shrink, try_plan
from pyzk.sim.sequence import BrokenInvariantError
from pyzk.tools.main import main


def sim(capsys, *arguments):
    code = main(["sim", *arguments])
    return code, capsys.readouterr().out


def test_seeds_are_run_one_after_the_other_and_summed_up(capsys):
    code, out = sim(capsys, "--seeds", "3", "--seed", "5", "--seconds", "3")
    assert code == 0
    assert out.startswith("3 seeds from 5:")
    assert "crashes with unsynced data" in out


def test_the_same_seed_prints_the_same_trace(capsys):
    traces = [sim(capsys, "--seed", "8", "--seconds", "2", "--trace")[1] for _ in range(2)]
    assert traces[0] == traces[1]
    assert traces[0].count("\n") > 100


def test_a_trace_in_a_file_is_what_would_have_been_printed(capsys, tmp_path):
    path = str(tmp_path / "run.trace")
    sim(capsys, "--seed", "8", "--seconds", "2", "--trace-file", path)
    _, printed = sim(capsys, "--seed", "8", "--seconds", "2", "--trace")
    assert sim(capsys, "replay", path) == (0, printed)


def test_a_replay_can_be_narrowed_to_a_server_a_time_and_a_text(capsys, tmp_path):
    path = str(tmp_path / "run.trace")
    sim(capsys, "--seed", "13", "--seconds", "3", "--trace-file", path)
    _, out = sim(capsys, "replay", path, "--server", "2", "--from", "1", "--to", "2", "--grep", "Send(")
    lines = out.splitlines()[1:]
    assert lines
    for line in lines:
        fields = line.split()
        assert fields[1] == "2"
        assert 1 <= float(fields[0]) <= 2
        assert "Send(" in line


@pytest.mark.parametrize("content", [b"", b"no trace", b"\x93\x01\x02\x03"])
def test_what_is_no_trace_is_refused_by_its_name(capsys, tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    assert main(["sim", "replay", str(path)]) == 1
    assert str(path) in capsys.readouterr().err


def test_the_number_of_servers_with_a_vote_can_be_chosen():
    for seed in range(4):
        assert plan_of(seed, 1.0, servers=7).membership.count("participant") == 7


def test_json_has_a_line_for_each_seed(capsys):
    _, out = sim(capsys, "--seeds", "2", "--seed", "1", "--seconds", "2", "--json")
    assert [json.loads(line)["seed"] for line in out.splitlines()] == [1, 2]


class Restless(run.Workload):
    """Takes the third crash for a broken promise."""

    def __init__(self, clients, pause_seconds):
        super().__init__(clients, pause_seconds)
        self.world = clients[0].world
        self.world.after(0.1, self._look)

    def _look(self):
        if self.world.tally["crashes"] >= 3:
            raise BrokenInvariantError("nobody crashes three times", "somebody did")
        self.world.after(0.1, self._look)


def test_a_failure_names_seed_step_invariant_and_a_shorter_plan(capsys, monkeypatch):
    monkeypatch.setattr(run, "Workload", Restless)
    code, out = sim(capsys, "--seeds", "5", "--seed", "2", "--seconds", "20")
    assert code == 1
    assert "seed 2 FAILED at step" in out
    assert "nobody crashes three times" in out
    assert "run it again: pyzk sim --seed 2 " in out
    assert "shortest reproduction: " in out


def test_a_plan_is_shrunk_to_the_faults_that_matter(monkeypatch):
    monkeypatch.setattr(run, "Workload", Restless)
    plan = plan_of(2, 30.0)
    failure = try_plan(plan)
    shorter, outcome = shrink(plan, failure)
    assert outcome.invariant == failure.invariant
    assert 0 < len(shorter.faults) <= 3
    assert shorter.seconds <= failure.seconds + 1


def test_an_exception_of_the_code_is_a_failure_that_no_invariant_has_caught(monkeypatch):
    def fail(*_):
        raise PyzkError("damaged")

    monkeypatch.setattr(run.Faults, "end", fail)
    outcome = try_plan(plan_of(1, 1.0))
    assert (outcome.invariant, outcome.is_caught) == ("PyzkError", False)


def test_coverage_says_which_code_the_runs_reach(capfd):
    code = main(["sim", "--seed", "3", "--seconds", "2", "--coverage"])
    out = capfd.readouterr().out
    assert code == 0
    assert "1 seeds from 3" in out
    assert "pyzk/zab/election.py" in out
    assert out.rstrip().endswith("% of lines and branches")


def test_the_summary_says_how_often_each_fault_point_has_fired(capsys):
    out = sim(capsys, "--seeds", "2", "--seed", "5", "--seconds", "3")[1]
    assert all(name in out for name in POINTS)


def test_a_plan_is_shrunk_to_the_fault_points_that_matter(monkeypatch):
    def outcome(plan):
        return Outcome(plan.seed, invariant="x" if "whole tree sent" in plan.points else "")

    monkeypatch.setattr(run, "try_plan", outcome)
    plan = plan_of(7, 60.0)
    plan.points = dict.fromkeys(POINTS, 0.5)
    assert shrink(plan, Outcome(7, invariant="x", seconds=60.0))[0].points == {"whole tree sent": 0.5}
