"""docs/protocol/election.md sections 5 and 9: how one server finds a leader by what it hears."""

import pytest

from pyzk.codec.election import NOBODY, Notification, ServerState
from pyzk.zab.election import ROUND_MAX, ElectionSettings
from pyzk.zab.votes import DATA_LOST, Vote
from tests.zab.election_server import EPOCH, FOLLOWING, LEADING, LOOKING, OBSERVING, Server, members, vote_of

# Looking for a leader.


def test_an_election_begins_a_new_round_and_tells_all_voters_of_both_configurations() -> None:
    server = Server(last_seen=members(2, 4))
    assert server.said() == [(to, LOOKING, 2, EPOCH, 1, 1) for to in (1, 3, 4)]
    server.election.start(vote_of(2), server.now)
    assert server.election.logical_clock == 2


def test_the_committed_configuration_goes_with_each_vote() -> None:
    server = Server(last_seen=members(2, 4, version=9))
    assert {sent.config for _, sent in server.links.sent} == {members(1, 2, 3).text().encode()}


def test_a_better_vote_is_taken_over_and_wins_after_silence() -> None:
    server = Server()
    server.said()
    server.hear(3, LOOKING, vote_of(3))
    assert server.said() == [(to, LOOKING, 3, EPOCH, 1, 1) for to in (1, 3)]
    assert server.winner is None
    assert server.wait() == 200
    assert server.winner == server.election.current == vote_of(3)
    assert server.election.state is FOLLOWING
    assert server.election.electors == {2, 3}
    assert server.election.deadline() is None


def test_a_server_wins_when_others_take_over_its_vote() -> None:
    server = Server()
    server.hear(1, LOOKING, vote_of(1))
    assert server.wait() == 200
    assert server.winner is None, "so far nobody has agreed"
    server.hear(1, LOOKING, vote_of(2))
    server.wait()
    assert server.election.state is LEADING


def test_a_better_vote_in_the_last_moment_is_not_missed() -> None:
    server = Server()
    server.hear(1, LOOKING, vote_of(2))
    server.now += 0.199
    server.hear(3, LOOKING, vote_of(3))
    assert server.wait() == 200
    assert server.winner == vote_of(3)


def test_what_is_not_better_prolongs_the_silence_and_changes_nothing() -> None:
    server = Server()
    server.hear(1, LOOKING, vote_of(2))
    server.now += 0.1
    server.hear(3, LOOKING, vote_of(1))
    assert server.wait() == 200
    assert server.election.electors == {1, 2}


def test_a_vote_that_cannot_count_does_not_disturb_the_silence() -> None:
    server = Server()
    server.hear(1, LOOKING, vote_of(2))
    server.hear(3, LOOKING, vote_of(9, 99, epoch=9))
    server.hear(3, LOOKING, vote_of(3, DATA_LOST, epoch=9))
    server.hear(3, LOOKING, vote_of(3, in_round=0))
    server.wait()
    assert server.winner == vote_of(2)


def test_a_later_round_empties_the_ballot_box_and_begins_with_the_better_of_two_votes() -> None:
    server = Server(members(1, 2, 3, 4, 5))
    server.hear(1, LOOKING, vote_of(5, 9 * EPOCH))
    server.said()
    server.hear(3, LOOKING, vote_of(3, in_round=4))
    assert set(server.said()) == {(to, LOOKING, 3, EPOCH, 4, 1) for to in (1, 3, 4, 5)}
    server.hear(3, LOOKING, vote_of(1, in_round=6))
    assert set(server.said()) == {(to, LOOKING, 2, EPOCH, 6, 1) for to in (1, 3, 4, 5)}
    assert server.election.logical_clock == 6


def test_an_earlier_round_is_answered_with_our_proposal_and_does_not_count() -> None:
    server = Server()
    server.election.start(vote_of(2), server.now)
    server.hear(3, LOOKING, vote_of(3, in_round=2))
    server.said()
    server.hear(1, LOOKING, vote_of(3, 9 * EPOCH, in_round=1))
    assert server.said() == [(1, LOOKING, 3, EPOCH, 2, 1)]
    server.wait()
    assert server.election.electors == {2, 3}


def test_waits_double_up_to_the_longest_and_are_not_reset_by_what_is_heard() -> None:
    server = Server(settings=ElectionSettings(interval_ms_max=1000))
    assert [server.wait() for _ in range(3)] == [200, 400, 800]
    server.now += 0.5
    server.hear(1, LOOKING, vote_of(1))
    assert [server.wait() for _ in range(2)] == [1000, 1000]
    server.election.start(vote_of(2), server.now)
    assert server.wait() == 200


def test_it_asks_again_soon_when_a_link_has_ended_on_which_it_may_not_have_been_heard() -> None:
    server = Server()
    assert [server.wait() for _ in range(5)] == [200, 400, 800, 1600, 3200]
    server.election.unheard(server.now)
    server.hear(1, LOOKING, vote_of(1))
    assert [server.wait() for _ in range(2)] == [200, 400]


def test_a_link_that_ends_does_not_prolong_the_silence() -> None:
    server = Server()
    server.hear(3, LOOKING, vote_of(3))
    deadline = server.election.deadline()
    server.election.unheard(server.now + 0.1)
    assert server.election.deadline() == deadline


def test_it_asks_again_if_any_message_left_and_dials_if_none_did() -> None:
    server = Server()
    server.said()
    server.wait()
    assert len(server.said()) == 2
    server.links.any_queue_empty = False
    server.wait()
    assert (server.said(), server.links.dials) == ([], 1)


def test_nothing_happens_before_the_deadline() -> None:
    server = Server()
    server.said()
    server.election.wake(server.now + 0.199)
    assert server.said() == []


@pytest.mark.parametrize(
    "vote", [vote_of(9, 99, epoch=9), Vote(NOBODY, 9 * EPOCH, 1, 9), vote_of(4, 9 * EPOCH)], ids=["9", "nobody", "4"]
)
@pytest.mark.parametrize("state", [LOOKING, FOLLOWING, LEADING])
def test_votes_for_servers_that_have_no_vote_do_not_count(state: ServerState, vote: Vote) -> None:
    server = Server(members(1, 2, 3, more=("server.4=h4:2888:3888:observer",)))
    server.said()
    for sender in (1, 3):
        server.hear(sender, state, vote)
    assert server.said() == []
    assert server.winner is None
    server.wait()
    assert server.winner is None


@pytest.mark.parametrize("state", [LOOKING, FOLLOWING, LEADING, OBSERVING])
def test_votes_of_servers_that_have_no_vote_do_not_count(state: ServerState) -> None:
    server = Server(members(1, 2, 3, more=("server.4=h4:2888:3888:observer",)))
    for sender in (4, 5, 6):
        server.hear(sender, state, vote_of(3))
    server.wait()
    assert server.winner is None
    assert server.election.current.leader == 2


def test_a_quorum_is_needed_in_a_newer_configuration_too() -> None:
    server = Server(members(1, 2, 3), last_seen=members(2, 4, 5, version=5))
    server.hear(1, LOOKING, vote_of(2))
    server.wait()
    assert server.winner is None
    server.hear(4, LOOKING, vote_of(2))
    server.wait()
    assert server.winner == vote_of(2)


def test_an_older_proposed_configuration_need_not_agree() -> None:
    server = Server(members(1, 2, 3, version=5), last_seen=members(2, 4, 5, version=5))
    server.hear(1, LOOKING, vote_of(2))
    server.wait()
    assert server.winner == vote_of(2)


def test_weights_decide_and_who_weighs_nothing_is_not_elected() -> None:
    membership = members(1, 2, 3, more=("group.1=1:2:3", "weight.1=3", "weight.3=0"))
    server = Server(membership)
    server.hear(3, LOOKING, vote_of(3, 9 * EPOCH))
    server.hear(3, LOOKING, vote_of(2))
    server.wait()
    assert server.winner is None
    server.hear(1, LOOKING, vote_of(2))
    server.wait()
    assert server.winner == vote_of(2)


@pytest.mark.parametrize("leader", [NOBODY, 9])
def test_the_round_of_a_vote_that_does_not_count_is_not_taken_over(leader: int) -> None:
    server = Server()
    server.hear(3, LOOKING, vote_of(leader, in_round=5))
    assert server.election.logical_clock == 1


def test_who_has_no_vote_yet_takes_up_the_lower_round_that_others_are_in() -> None:
    server = Server(members(1, 3), Vote(NOBODY, EPOCH, 0, 1), last_seen=members(1, 2, 3, version=9))
    server.election.start(Vote(NOBODY, EPOCH, 0, 1), server.now)
    assert server.election.logical_clock == 2
    server.said()
    server.hear(3, LOOKING, vote_of(3))
    assert server.said()[1:] == [(to, LOOKING, 3, EPOCH, 1, 1) for to in (1, 3)]
    server.hear(1, LOOKING, vote_of(3, 2 * EPOCH, in_round=0))
    assert server.election.logical_clock == 1, "now it shares a round, and none below that one counts"


# Data lost.


def test_the_vote_of_a_server_that_has_lost_data_does_not_count() -> None:
    server = Server()
    server.said()
    server.hear(1, LOOKING, vote_of(1, DATA_LOST, in_round=9, epoch=9))
    server.hear(3, LOOKING, vote_of(3, DATA_LOST, epoch=9))
    assert server.said() == []
    assert server.election.logical_clock == 1


def test_a_server_that_has_lost_data_counts_no_votes_and_leads_nobody() -> None:
    server = Server(initial=Vote(2, DATA_LOST, 0, 1))
    for sender in (1, 3):
        server.hear(sender, LOOKING, vote_of(3))
        server.hear(sender, FOLLOWING, vote_of(2))
    server.wait()
    assert server.winner is None
    assert server.election.logical_clock == 1


def test_a_server_that_has_lost_data_follows_an_established_leader() -> None:
    server = Server(initial=Vote(2, DATA_LOST, 0, 1))
    server.hear(1, FOLLOWING, vote_of(3, in_round=5, epoch=2))
    server.hear(3, LEADING, vote_of(3, in_round=5, epoch=2))
    assert server.winner == vote_of(3, in_round=5, epoch=2)


# Servers that have a role.


def test_a_joiner_follows_at_once_when_a_quorum_and_the_leader_itself_say_so() -> None:
    server = Server()
    server.hear(1, FOLLOWING, vote_of(3, 5, in_round=7, epoch=4))
    assert server.winner is None
    server.hear(3, LEADING, vote_of(3, 9, in_round=7, epoch=4))
    assert server.winner == vote_of(3, 9, in_round=7, epoch=4)
    assert server.election.logical_clock == 7
    assert server.election.state is FOLLOWING


def test_a_leader_is_followed_whoever_had_a_vote_in_a_configuration_that_was_only_proposed() -> None:
    server = Server(members(1, 2, 3), last_seen=members(1, 2, 3, 4, version=5))
    server.hear(1, FOLLOWING, vote_of(3, in_round=7, epoch=4))
    server.hear(3, LEADING, vote_of(3, in_round=7, epoch=4))
    assert server.winner == vote_of(3, in_round=7, epoch=4)


def test_a_leader_that_only_its_followers_speak_of_is_not_followed() -> None:
    server = Server(members(1, 2, 3, 4, 5))
    for sender in (1, 3, 4):
        server.hear(sender, FOLLOWING, vote_of(5, in_round=1))
        server.hear(sender, FOLLOWING, vote_of(5, in_round=3))
    assert server.winner is None
    server.hear(5, FOLLOWING, vote_of(5, in_round=3))
    assert server.winner is None
    server.hear(5, LEADING, vote_of(5, in_round=3))
    assert server.winner is not None


def test_joiners_need_not_see_the_same_zxid_and_round_from_all() -> None:
    server = Server()
    server.hear(3, LEADING, Vote(3, 5, 2, 4))
    server.hear(1, FOLLOWING, Vote(3, 7, 6, 4))
    assert server.winner is not None


def test_two_epochs_of_one_leader_are_no_quorum_and_a_vote_without_epoch_is() -> None:
    server = Server()
    server.hear(3, LEADING, Vote(3, 5, 2, 4))
    server.hear(1, FOLLOWING, Vote(3, 5, 2, 3))
    assert server.winner is None
    old = Notification(FOLLOWING, 3, 5, 2, 0).encode()[4:44]
    server.election.notified(1, old, server.now)
    assert server.winner is not None


def test_the_round_of_an_old_leader_that_is_not_aware_does_not_count() -> None:
    server = Server(members(1, 2, 3))
    server.election.start(vote_of(2), server.now)
    server.hear(1, LEADING, vote_of(1, in_round=1))
    server.hear(3, LOOKING, vote_of(3, in_round=2))
    server.wait()
    assert server.winner == vote_of(3, in_round=2)


def test_a_vote_of_this_round_counts_together_with_those_who_still_look() -> None:
    server = Server()
    server.hear(3, LEADING, vote_of(3))
    assert server.winner is None
    server.hear(1, FOLLOWING, vote_of(3))
    assert server.winner == vote_of(3)


def test_a_server_that_restarts_is_leader_again_only_in_the_round_of_its_followers() -> None:
    for in_round, state in ((1, LEADING), (2, LOOKING)):
        server = Server()
        for sender in (1, 3):
            server.hear(sender, FOLLOWING, vote_of(2, in_round=in_round))
        assert server.election.state is state


def test_observers_say_nothing_that_counts() -> None:
    server = Server()
    server.hear(1, OBSERVING, vote_of(3))
    server.hear(3, LEADING, vote_of(3))
    assert server.winner is None


def test_in_our_own_round_the_leader_alone_decides_who_follows_the_same_one() -> None:
    server = Server()
    server.hear(1, FOLLOWING, vote_of(3, epoch=1))
    server.hear(3, LEADING, vote_of(3, epoch=2))
    assert server.winner == vote_of(3, epoch=2)


def test_nothing_heard_in_an_earlier_round_counts_in_a_later_one() -> None:
    server = Server()
    server.hear(1, FOLLOWING, vote_of(3, epoch=1))
    server.hear(3, LOOKING, vote_of(1, in_round=4))
    server.hear(3, LEADING, vote_of(3, in_round=4, epoch=2))
    assert server.winner is None


def test_nothing_heard_in_an_earlier_election_counts_in_a_later_one() -> None:
    for in_round, epoch in ((1, 2), (7, 1)):
        server = Server()
        server.hear(1, FOLLOWING, vote_of(3, in_round=in_round, epoch=1))
        server.election.start(vote_of(2), server.now)
        server.hear(3, LEADING, vote_of(3, in_round=max(2, in_round), epoch=epoch))
        assert server.winner is None


@pytest.mark.parametrize("state", [FOLLOWING, LOOKING], ids=["in a role", "between a role and the election"])
def test_who_has_lost_the_same_leader_a_moment_before_us_need_not_ask_again(state: ServerState) -> None:
    server = Server()
    server.election.set_state(FOLLOWING)
    server.election.set_state(state)
    server.hear(3, LOOKING, vote_of(3, in_round=2))
    server.said()
    server.now += 0.1
    server.election.set_state(LOOKING)
    server.election.start(vote_of(2), server.now)
    assert (3, LOOKING, 3, EPOCH, 2, 1) in server.said()
    assert server.wait() == 200
    assert server.winner == vote_of(3, in_round=2)


def test_what_was_heard_longer_before_an_election_does_not_count() -> None:
    server = Server()
    server.election.set_state(FOLLOWING)
    server.hear(3, LOOKING, vote_of(3, in_round=2))
    server.said()
    server.now += 0.2
    server.election.set_state(LOOKING)
    server.election.start(vote_of(2), server.now)
    assert server.said() == [(to, LOOKING, 2, EPOCH, 2, 1) for to in (1, 3)]


def test_an_election_that_is_begun_anew_is_not_final_by_the_silence_of_the_old_one() -> None:
    server = Server()
    server.hear(1, LOOKING, vote_of(2))
    server.election.start(vote_of(2), server.now)
    server.wait()
    assert server.winner is None


def test_an_observer_observes_the_winner() -> None:
    membership = members(1, 3, 4, more=("server.2=h2:2888:3888:observer",))
    server = Server(membership, Vote(NOBODY, NOBODY, 0, NOBODY))
    assert {said[2:] for said in server.said()} == {(NOBODY, NOBODY, 1, NOBODY)}
    server.hear(1, LOOKING, vote_of(3))
    server.hear(3, LOOKING, vote_of(3))
    server.wait()
    assert server.winner == vote_of(3)
    assert server.election.state is OBSERVING
    assert server.election.electors == {1, 3}


def test_an_observer_asks_soon_again_while_the_voters_change_their_votes() -> None:
    server = Server(members(1, 3, 4), Vote(NOBODY, NOBODY, 0, NOBODY))
    for slept_ms in (200, 400, 800):
        assert server.wait() == slept_ms
    server.hear(1, LOOKING, vote_of(1))
    assert server.wait() == 200
    server.hear(1, LOOKING, vote_of(1))
    assert server.wait() == 400, "it has heard nothing new"
    server.hear(1, LOOKING, vote_of(3))
    assert server.wait() == 200


def test_an_observer_does_not_ask_sooner_because_of_those_who_follow_somebody_that_it_does_not_hear() -> None:
    server = Server(members(1, 3, 4), Vote(NOBODY, NOBODY, 0, NOBODY))
    for slept_ms in (200, 400, 800, 1600):
        assert server.wait() == slept_ms
        server.hear(1, FOLLOWING, vote_of(3, in_round=7))
        server.hear(4, FOLLOWING, vote_of(3))
    assert server.winner is None


def test_a_round_that_nobody_can_have_reached_is_the_last_and_elections_go_on_in_it() -> None:
    server = Server()
    server.hear(3, LOOKING, vote_of(3, in_round=ROUND_MAX))
    assert server.election.logical_clock == ROUND_MAX
    server.election.set_state(LOOKING)
    server.election.start(vote_of(2), server.now)
    server.hear(3, LOOKING, vote_of(3, in_round=ROUND_MAX))
    server.wait()
    assert server.winner == vote_of(3, in_round=ROUND_MAX)
