"""docs/protocol/zab.md section 13: which sets of servers can decide."""

from collections.abc import Mapping
from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.zab.quorum import Hierarchical, Majority, Quorum

THREE = frozenset({1, 2, 3})
NINE = frozenset(range(1, 10))
THREE_GROUPS = {server_id: (server_id - 1) // 3 for server_id in NINE}


def hierarchical(group_of: Mapping[int, int], weights: Mapping[int, int] | None = None) -> Hierarchical:
    return Hierarchical(group_of, weights or {}, frozenset(group_of))


@pytest.mark.parametrize(
    ("voters", "servers", "decides"),
    [
        ({1}, {1}, True),
        ({1, 2}, {1}, False),
        ({1, 2}, {1, 2}, True),
        ({1, 2, 3}, {1, 3}, True),
        ({1, 2, 3, 4}, {1, 3}, False),
        ({1, 2, 3, 4, 5}, {1, 3, 5}, True),
        (set(), set(), False),
    ],
)
def test_more_than_half_of_the_voters_decide(voters: set[int], servers: set[int], decides: bool) -> None:
    assert Majority(frozenset(voters)).contains_quorum(servers) == decides


@pytest.mark.parametrize("quorum", [Majority(THREE), Hierarchical({1: 1, 2: 1, 3: 1, 8: 1}, {8: 9}, THREE)])
def test_observers_and_strangers_never_count(quorum: Quorum) -> None:
    assert not quorum.contains_quorum({1, 7, 8, 9})
    assert quorum.contains_quorum([1, 2])
    assert quorum.weight_of(8) == 0


def test_a_server_that_is_named_twice_counts_once() -> None:
    assert not Majority(THREE).contains_quorum([1, 1])
    assert not hierarchical(dict.fromkeys(THREE, 1)).contains_quorum([1, 1])


@pytest.mark.parametrize(
    ("servers", "decides"),
    [({1, 2, 4, 5}, True), ({1, 2, 3, 4, 5, 6}, True), ({1, 2, 3, 4, 7}, False), ({1, 4, 7}, False), (set(), False)],
)
def test_more_than_half_of_the_groups_decide(servers: set[int], decides: bool) -> None:
    assert hierarchical(THREE_GROUPS).contains_quorum(servers) == decides


def test_weights_decide_within_a_group() -> None:
    quorum = hierarchical(dict.fromkeys(THREE, 1), {1: 3})
    assert quorum.contains_quorum({1})
    assert not quorum.contains_quorum({2, 3})
    assert [quorum.weight_of(server_id) for server_id in (1, 2, 3)] == [3, 1, 1]


def test_half_of_an_even_weight_does_not_decide() -> None:
    quorum = hierarchical({1: 1, 2: 1}, {1: 2, 2: 2})
    assert not quorum.contains_quorum({1})


def test_groups_that_weigh_nothing_are_no_groups() -> None:
    quorum = hierarchical(THREE_GROUPS, dict.fromkeys((7, 8, 9), 0))
    assert not quorum.contains_quorum({1, 2, 3, 7, 8, 9})
    assert quorum.contains_quorum({1, 2, 4, 5})
    assert quorum.weight_of(7) == 0


def test_without_any_weight_nobody_decides() -> None:
    assert not hierarchical({1: 1, 2: 2}, {1: 0, 2: 0}).contains_quorum({1, 2})


def test_an_observer_in_a_group_adds_no_weight() -> None:
    quorum = Hierarchical({1: 1, 2: 1, 9: 1}, {9: 50}, frozenset({1, 2}))
    assert quorum.contains_quorum({1, 2})


@st.composite
def quorums(draw: st.DrawFn) -> Quorum:
    """Rules over up to six servers, some of them observers."""
    server_ids = range(draw(st.integers(1, 6)))
    voters = frozenset(draw(st.sets(st.sampled_from(server_ids), min_size=1)))
    if draw(st.booleans()):
        return Majority(voters)
    group_of = {server_id: draw(st.integers(0, 3)) for server_id in server_ids}
    weights = {server_id: draw(st.integers(0, 4)) for server_id in server_ids if draw(st.booleans())}
    return Hierarchical(group_of, weights, voters)


def deciding_sets(quorum: Quorum) -> list[set[int]]:
    subsets = chain.from_iterable(combinations(range(6), size) for size in range(7))
    return [set(servers) for servers in subsets if quorum.contains_quorum(servers)]


@given(quorums())
def test_any_two_quorums_have_a_voter_in_common(quorum: Quorum) -> None:
    decided = deciding_sets(quorum)
    assert all(quorum.voters & one & other for one in decided for other in decided)


@given(quorums(), st.sets(st.integers(0, 8)))
def test_more_servers_never_decide_less(quorum: Quorum, more: set[int]) -> None:
    assert all(quorum.contains_quorum(servers | more) for servers in deciding_sets(quorum))


@given(quorums())
def test_all_voters_decide_unless_none_has_weight(quorum: Quorum) -> None:
    assert quorum.contains_quorum(quorum.voters) == any(map(quorum.weight_of, quorum.voters))
