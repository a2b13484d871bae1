"""docs/protocol/election.md sections 5.1 and 5.2: which of two votes is better, and which are the same."""

from dataclasses import replace

import pytest

from pyzk.codec.election import NOBODY
from pyzk.zab.votes import Electorate, Vote
from tests.zab.election_server import FOLLOWING, LEADING, members, vote_of


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (vote_of(1, 5, epoch=2), vote_of(3, 9, epoch=1)),
        (vote_of(1, 6), vote_of(3, 5)),
        (vote_of(3, 5), vote_of(2, 5)),
        (vote_of(1, -5, epoch=-2), Vote(2, NOBODY, 1, NOBODY)),
    ],
)
def test_epoch_then_zxid_then_id_decide_and_all_are_signed(new: Vote, old: Vote) -> None:
    electorate = Electorate(members(1, 2, 3), None, leads_alone=False)
    assert electorate.is_better(new, old)
    assert not electorate.is_better(old, new)
    assert not electorate.is_better(new, new)


def test_a_server_without_weight_is_never_better() -> None:
    membership = members(1, 2, 3, more=("group.1=1:2:3", "weight.3=0"))
    electorate = Electorate(membership, None, leads_alone=False)
    assert not electorate.is_better(vote_of(3, 9, epoch=9), vote_of(1))
    assert electorate.is_better(vote_of(2), vote_of(1))


def test_a_voter_that_is_only_proposed_can_be_better() -> None:
    electorate = Electorate(members(1, 2, 3), members(1, 2, 4, version=5), leads_alone=False)
    assert electorate.is_better(vote_of(4), vote_of(3))
    assert not electorate.is_better(vote_of(9), vote_of(3))


def test_votes_of_an_election_are_the_same_only_in_every_number() -> None:
    vote = vote_of(3)
    assert vote.agrees_with(vote_of(3))
    for other in (vote_of(2), vote_of(3, 7), vote_of(3, in_round=2), vote_of(3, epoch=2)):
        assert not vote.agrees_with(other)
        assert not vote.agrees_with(replace(other, state=FOLLOWING))


def test_votes_of_those_who_have_a_role_are_the_same_by_leader_and_epoch() -> None:
    vote = Vote(3, 5, 1, 7, FOLLOWING, 2)
    assert vote.agrees_with(Vote(3, 9, 4, 7, LEADING, 2))
    assert not vote.agrees_with(Vote(2, 5, 1, 7, LEADING, 2))
    assert not vote.agrees_with(Vote(3, 5, 1, 8, LEADING, 2))
    assert vote.agrees_with(Vote(3, 5, 1, 8, LEADING, 0)), "too old to tell the epoch"
    assert not Vote(3, 5, 1, 7, FOLLOWING, 0).agrees_with(Vote(3, 5, 1, 8, LEADING, 0))
