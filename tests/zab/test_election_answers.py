"""docs/protocol/election.md sections 4 and 6.4: answers in any state, configurations of others, the oracle."""

import pytest

from pyzk.codec.election import NOBODY, Notification
from pyzk.zab.effects import Note
from pyzk.zab.election import ElectionSettings
from pyzk.zab.membership import parse_text
from pyzk.zab.votes import Vote
from tests.zab.election_server import EPOCH, FOLLOWING, LEADING, LOOKING, OBSERVING, Server, members, vote_of

# Answers.


def test_a_server_with_a_role_answers_who_looks_with_its_vote_and_the_round_of_that_vote() -> None:
    server = Server()
    server.hear(3, LOOKING, vote_of(3))
    server.wait()
    server.election.refresh(2)
    server.election.logical_clock = 8
    server.said()
    server.hear(1, LOOKING, vote_of(1, in_round=5))
    server.hear(1, FOLLOWING, vote_of(3))
    assert server.said() == [(1, FOLLOWING, 3, EPOCH, 1, 2)]


def test_a_server_outside_the_configuration_is_answered_with_our_logical_clock_whatever_it_says() -> None:
    server = Server()
    server.hear(3, LOOKING, vote_of(3))
    server.wait()
    server.election.logical_clock = 8
    server.said()
    for state in (LOOKING, OBSERVING, 77):
        server.hear(9, state, Vote(NOBODY, NOBODY, 1, NOBODY))
    assert server.said() == [(9, FOLLOWING, 3, EPOCH, 8, 1)] * 3


def test_the_same_question_of_a_server_outside_gets_the_same_answer_only_after_a_pause() -> None:
    server = Server()
    server.said()
    for pause in (0.0, 0.05, 0.1):
        server.now += pause
        server.hear(9, LOOKING, vote_of(9))
    assert len(server.said()) == 2


def test_before_the_first_election_is_over_those_outside_hear_what_we_began_with() -> None:
    server = Server()
    server.hear(3, LOOKING, vote_of(3))
    server.said()
    server.hear(9, LOOKING, vote_of(9))
    assert server.said() == [(9, LOOKING, 2, EPOCH, 1, 1)]


def test_who_looks_again_tells_those_outside_what_it_begins_with_and_not_whom_it_has_followed() -> None:
    server = Server()
    server.hear(3, LOOKING, vote_of(3))
    server.wait()
    assert server.election.winner is not None
    server.election.start(vote_of(2), server.now)
    server.said()
    server.hear(9, LOOKING, vote_of(9))
    assert server.said() == [(9, LOOKING, 2, EPOCH, 2, 1)]


def test_who_looks_for_a_leader_while_we_lead_is_known() -> None:
    server = Server()
    server.hear(1, LOOKING, vote_of(2))
    server.wait()
    assert server.election.state is LEADING
    server.hear(3, LOOKING, vote_of(3))
    server.hear(9, LOOKING, vote_of(9))
    assert server.election.looking_heard == {3}


@pytest.mark.parametrize("state", [4, -1, 77])
def test_unknown_states_and_what_cannot_be_read_are_dropped(state: int) -> None:
    server = Server()
    server.said()
    server.hear(3, state, vote_of(3))
    server.election.notified(3, b"short", server.now)
    assert server.said() == []
    assert server.election.deadline() == server.now + 0.2


def test_who_had_a_role_still_when_it_heard_our_vote_is_told_again_once_it_looks_itself() -> None:
    server = Server(initial=Vote(2, EPOCH + 1, 0, 1))
    server.said()
    server.hear(1, FOLLOWING, vote_of(2))
    server.hear(3, LOOKING, vote_of(3))
    assert server.said() == [], "server 3 has counted what it heard"
    server.hear(1, LOOKING, vote_of(1))
    assert server.said() == [(1, LOOKING, 2, EPOCH + 1, 1, 1)]
    server.hear(1, LOOKING, vote_of(1))
    assert server.said() == []


def test_who_had_a_role_still_and_has_a_better_vote_is_followed_and_not_told_twice() -> None:
    server = Server()
    server.said()
    server.hear(3, FOLLOWING, vote_of(1))
    server.hear(3, LOOKING, vote_of(3, EPOCH + 1))
    assert [(to, leader) for to, _, leader, *_ in server.said()] == [(1, 3), (3, 3)]


def test_messages_sent_twice_and_late_ones_do_no_harm() -> None:
    server = Server()
    for _ in range(3):
        server.hear(3, LOOKING, vote_of(3))
    server.wait()
    server.said()
    server.hear(3, LEADING, vote_of(3))
    assert server.said() == []
    assert server.winner == vote_of(3)


def test_the_oldest_form_of_a_vote_has_its_epoch_in_the_zxid() -> None:
    server = Server()
    server.said()
    body = Notification(LOOKING, 3, 2 * EPOCH, 1, 0).encode()[4:32]
    server.election.notified(3, body, server.now)
    assert server.said() == [(to, LOOKING, 3, 2 * EPOCH, 1, 2) for to in (1, 3)]


# Configurations of others.

RECONFIG = ElectionSettings(reconfig_enabled=True)


def test_a_newer_configuration_with_other_members_is_reported_and_its_vote_dropped() -> None:
    server = Server(settings=RECONFIG)
    server.said()
    newer = members(2, 3, 4, version=0x100000005).text()
    server.hear(4, LOOKING, vote_of(3), newer.encode())
    assert server.election.newer_config == newer
    assert server.said() == []
    server.links.membership = parse_text(newer)
    server.election.start(vote_of(2), server.now)
    assert server.election.newer_config is None
    assert [said[0] for said in server.said()] == [3, 4]


def test_a_newer_configuration_with_the_same_members_is_reported_and_its_vote_counts() -> None:
    server = Server(settings=RECONFIG)
    newer = members(1, 2, 3, version=5).text()
    server.hear(3, LOOKING, vote_of(3), newer.encode())
    assert server.election.newer_config == newer
    server.wait()
    assert server.winner == vote_of(3)


@pytest.mark.parametrize("version", [0, 4, 5])
def test_a_configuration_that_is_not_newer_is_nothing(version: int) -> None:
    server = Server(members(1, 2, 3, version=5), settings=RECONFIG)
    server.hear(3, LOOKING, vote_of(3), members(3, 4, version=version).text().encode())
    assert server.election.newer_config is None


def test_newer_configurations_are_nothing_without_reconfig_and_in_a_role() -> None:
    newer = members(3, 4, version=5).text().encode()
    server = Server()
    server.hear(3, LOOKING, vote_of(3), newer)
    assert server.election.newer_config is None
    server = Server(settings=RECONFIG)
    server.election.set_state(FOLLOWING)
    server.hear(3, LOOKING, vote_of(3), newer)
    assert server.election.newer_config is None


@pytest.mark.parametrize("config", [b"\xff\xfe", b"server.1=nonsense", b"tickTime=3"])
def test_a_configuration_that_cannot_be_read_is_noted_and_the_vote_counts(config: bytes) -> None:
    server = Server(settings=RECONFIG)
    server.hear(3, LOOKING, vote_of(3), config)
    assert [type(effect) for effect in server.effects] == [Note]
    server.wait()
    assert server.winner == vote_of(3)


# The oracle of two servers.

ORACLE = ElectionSettings(oracle_enabled=True)


def test_one_of_two_is_elected_when_the_oracle_has_changed_its_mind() -> None:
    server = Server(members(1, 2), settings=ORACLE)
    server.wait()
    assert server.winner is None
    server.election.oracle_says = True
    server.wait()
    assert server.election.state is LEADING


def test_the_oracle_counts_for_two_voters_only_and_when_configured_only() -> None:
    for membership, settings in ((members(1, 2, 3), ORACLE), (members(1, 2), ElectionSettings())):
        server = Server(membership, settings=settings)
        server.election.oracle_says = True
        for _ in range(5):
            server.wait()
        assert server.winner is None


def test_one_of_two_follows_a_leader_that_the_oracle_has_chosen() -> None:
    server = Server(members(1, 2), settings=ORACLE)
    server.hear(1, LEADING, vote_of(1, in_round=4, epoch=3))
    assert server.winner == vote_of(1, in_round=4, epoch=3)
    server = Server(members(1, 2), settings=ORACLE)
    server.election.oracle_says = True
    server.hear(1, FOLLOWING, vote_of(2, in_round=4, epoch=3))
    assert server.winner is None
