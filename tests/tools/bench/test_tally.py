"""What is counted while a workload runs, and how the counts of several processes become one."""

from itertools import pairwise

import pytest
from hypothesis import given, strategies

from pyzk.tools.bench.tally import GAPS_MAX, Gaps, Outcome, Tally, Usage, merged

moments = strategies.lists(strategies.integers(0, 1000), max_size=60).map(sorted)


def tally_of(successes, begin=0.0, end=1000.0):
    tally = Tally(begin)
    for moment in successes:
        tally.succeed(moment, moment)
    tally.finish(end)
    return tally


def longest_gap(successes, begin=0, end=1000):
    edges = [begin, *successes, end]
    return max(after - before for before, after in pairwise(edges))


def length(gaps):
    begin, end = gaps.longest()
    return end - begin


def test_what_was_due_while_warming_up_is_not_counted():
    tally = Tally(begin=10.0)
    tally.succeed(due=9.0, now=11.0)
    tally.fail(9.5, "ConnectionLostError")
    tally.succeed(due=10.0, now=12.0)
    tally.finish(20.0)
    assert tally.operations == 1
    assert not tally.errors
    assert tally.per_second == 0.1
    assert tally.gaps.longest() == (12.0, 20.0)


def test_a_latency_counts_from_the_moment_the_operation_was_due():
    tally = Tally(begin=1.0)
    tally.succeed(due=2.0, now=5.0)
    assert tally.histogram.max_us == 3_000_000


def test_a_workload_without_a_success_is_one_gap():
    assert tally_of([]).gaps.longest() == (0.0, 1000.0)


@given(moments)
def test_the_longest_gap_is_found_at_the_beginning_between_and_at_the_end(successes):
    assert length(tally_of([float(moment) for moment in successes]).gaps) == longest_gap(successes)


@given(moments, moments)
def test_of_several_processes_only_common_silence_is_a_gap(first, second):
    outcomes = [Outcome("get", tally_of([float(at) for at in successes]), []) for successes in (first, second)]
    assert length(merged(outcomes).tally.gaps) == longest_gap(sorted([*first, *second]))


def test_only_the_longest_gaps_are_kept():
    gaps = Gaps()
    for number in range(GAPS_MAX * 3):
        gaps.add(0.0, float(number))
    assert len(gaps.kept) == GAPS_MAX
    assert min(gaps.kept)[0] == GAPS_MAX * 2


def test_counts_of_several_processes_are_added():
    first, second = tally_of([1.0, 2.0]), tally_of([3.0], end=1200.0)
    first.fail(5.0, "NoNodeError")
    second.fail(5.0, "NoNodeError")
    second.unsent = 7
    outcome = merged([Outcome("set", first, [Usage(10.0, 2.0, 1.0)]), Outcome("set", second, [Usage(10.0, 9.0, 0.5)])])
    assert outcome.workload == "set"
    assert outcome.tally.operations == 3
    assert outcome.tally.errors == {"NoNodeError": 2}
    assert outcome.tally.unsent == 7
    assert outcome.tally.seconds == 1200.0
    assert outcome.cores == pytest.approx(1.1)
    assert outcome.busiest.busy_share == pytest.approx(0.95)


def test_a_process_that_has_not_measured_has_used_nothing():
    assert Usage(0, 0).busy_share == 0
