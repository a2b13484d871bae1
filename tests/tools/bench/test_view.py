"""Outcomes as people and scripts read them."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from pyzk.tools.bench.access import Access
from pyzk.tools.bench.options import Options
from pyzk.tools.bench.servers import Server, ask_servers, read_srvr
from pyzk.tools.bench.tally import Outcome, Tally, Usage
from pyzk.tools.bench.view import as_value, draw, draw_servers, milliseconds, notes

CAPTURED = Path(__file__).parents[2] / "vectors" / "fourletter"
OPTIONS = Options(Access("a:2181", 10_000))


def outcome_of(name="get", latencies_ms=(0.3, 0.4, 4.0), seconds=2.0, cpu_s=0.5, waited_s=0.0):
    tally = Tally(10.0)
    for number, latency in enumerate(latencies_ms):
        tally.succeed(due=10.1 + number / 10 - latency / 1000, now=10.1 + number / 10)
    tally.finish(10.0 + seconds)
    return Outcome(name, tally, [Usage(seconds, cpu_s, waited_s)])


def drawn(renderable, width=160):
    console = Console(width=width, file=io.StringIO())
    console.print(renderable)
    return console.file.getvalue()


def test_the_table_has_rates_latencies_gap_and_cores():
    lines = drawn(draw(OPTIONS, [outcome_of()])).splitlines()
    row = next(line for line in lines if line.startswith("get")).split()
    assert row[:4] == ["get", "3", "2", "0"]
    assert [float(word) for word in row[4:9]] == pytest.approx([0.4, 4, 4, 4, 4], rel=1 / 50)
    assert row[9:] == ["1.700", "0.25"]


def test_one_workload_is_drawn_as_bars():
    lines = drawn(draw(OPTIONS, [outcome_of()])).splitlines()
    bars = [line for line in lines if line.startswith("to ")]
    assert [line.split()[1] for line in bars] == ["0.5", "1", "2", "5"]
    assert [line.count("█") for line in bars] == [50, 0, 0, 25]


def test_several_workloads_are_drawn_one_below_the_other():
    outcomes = [outcome_of("get"), outcome_of("set", (30.0,)), outcome_of("multi", ())]
    lines = drawn(draw(OPTIONS, outcomes)).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("ms, up to"))
    assert lines[first].split()[3:] == ["0.5", "1", "2", "5", "10", "20", "50"]
    assert [line.split()[0] for line in lines[first + 1 : first + 3]] == ["get", "set"]
    assert lines[first + 2].rstrip().endswith("██")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_any_width_of_a_terminal_will_do(width):
    assert "get" in drawn(draw(OPTIONS, [outcome_of(), outcome_of("set")]), width)


def test_errors_and_the_longest_gap_are_told():
    outcome = outcome_of()
    outcome.tally.errors["ConnectionLostError"] = 5
    assert notes(OPTIONS, [outcome]) == [
        "get: 5 ConnectionLostError",
        "get: no success for 1.700 s, 0.3 s after the beginning",
    ]
    assert notes(OPTIONS, [outcome_of(latencies_ms=())]) == ["get: no success at all"]


def test_a_rate_that_was_not_reached_is_told():
    outcome = outcome_of()
    outcome.tally.unsent = 17
    [note] = notes(replace(OPTIONS, rate=100.0), [outcome])
    assert note.startswith("get: 2 of 100 operations/s were reached; 17 were due and not sent")


@pytest.mark.parametrize(("cpu_s", "waited_s", "told"), [(1.96, 0.0, "get 98 % + 0 %"), (0.4, 1.5, "get 20 % + 75 %")])
def test_a_generator_without_time_to_spare_is_told_whoever_has_taken_it(cpu_s, waited_s, told):
    first, second = notes(OPTIONS, [outcome_of(cpu_s=cpu_s, waited_s=waited_s), outcome_of("set")])
    assert told in first
    assert "set" not in first
    assert "--jobs 2" in second


def test_milliseconds_have_the_digits_that_matter():
    assert [milliseconds(value) for value in (0.1234, 1.234, 12.34, 123.4, 1234.5)] == [
        "0.123",
        "1.23",
        "12.3",
        "123.4",
        "1234",
    ]


def test_json_has_everything():
    value = json.loads(json.dumps(as_value(OPTIONS, [Server("a:2181", "leader", "3.9.5")], [outcome_of()])))
    assert value["servers"] == [{"address": "a:2181", "mode": "leader", "version": "3.9.5", "problem": ""}]
    [workload] = value["workloads"]
    assert workload["operations"] == 3
    assert workload["latency_ms"]["max"] == 4.0
    assert workload["longest_gap_s"] == {"after": 0.3, "length": 1.7}
    assert sum(count for _, count in workload["histogram_us"]) == 3
    assert value["load"]["connections"] == OPTIONS.connections


@pytest.mark.parametrize("state", ["leader", "follower", "observer", "standalone", "read-only"])
def test_mode_and_version_come_from_srvr(state):
    server = read_srvr("a:2181", (CAPTURED / f"srvr.{state}.txt").read_text())
    assert (server.mode, server.problem) == (state, "")
    assert server.version.startswith("3.9.5-")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("srvr is not executed because it is not in the whitelist.\n", "4lw.commands.whitelist"),
        ("This ZooKeeper instance is not currently serving requests\n", "not serving"),
        ("HTTP/1.1 400\n", "is it a ZooKeeper server?"),
        ("", "is it a ZooKeeper server?"),
    ],
)
def test_a_server_that_says_nothing_of_itself_is_told_why(answer, problem):
    server = read_srvr("a:2181", answer)
    assert problem in server.problem
    assert problem in drawn(draw_servers([server]))


async def test_a_server_on_this_machine_shares_its_cores():
    [gone, unknown] = await ask_servers("127.0.0.1:1,[::1]:1", None)
    assert gone.is_here
    assert "Connect call failed" in gone.problem
    assert unknown.address == "[::1]:1"
    assert "on this machine" in drawn(draw_servers([gone]))
