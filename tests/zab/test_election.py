"""docs/protocol/election.md sections 3 to 7 and 9: what one server makes of what it hears."""

from dataclasses import replace

import pytest

from pyzk.codec.election import NOBODY, Notification, ServerState, parse_notification
from pyzk.zab.effects import Effect, Note
from pyzk.zab.election import Election, ElectionSettings
from pyzk.zab.membership import Membership, parse_text
from pyzk.zab.votes import DATA_LOST, Electorate, Vote

LOOKING, FOLLOWING, LEADING, OBSERVING = ServerState
EPOCH = 1 << 32


def members(*voters: int, version: int = 0, more: tuple[str, ...] = ()) -> Membership:
    lines = [f"server.{server_id}=h{server_id}:2888:3888:participant" for server_id in voters]
    return parse_text("\n".join([*lines, *more, f"version={version:x}"]))


class Links:
    """Stands for the connections: keeps what was sent."""

    def __init__(self, membership: Membership) -> None:
        self.membership = membership
        self.last_seen: Membership | None = None
        self.any_queue_empty = True
        self.sent: list[tuple[int, Notification]] = []
        self.dials = 0

    def send(self, server_id: int, message: bytes) -> None:
        notification = parse_notification(message[4:])
        assert notification is not None
        self.sent.append((server_id, notification))

    def connect_all(self) -> None:
        self.dials += 1


class Server:
    """Server 2, looking for a leader, and what it says."""

    def __init__(
        self,
        membership: Membership | None = None,
        initial: Vote | None = None,
        settings: ElectionSettings | None = None,
        last_seen: Membership | None = None,
    ) -> None:
        self.now = 100.0
        self.effects: list[Effect] = []
        self.links = Links(membership or members(1, 2, 3))
        self.links.last_seen = last_seen
        self.election = Election(2, self.links, self.effects, settings or ElectionSettings())
        self.election.start(initial or Vote(2, EPOCH, 0, 1), self.now)

    def said(self) -> list[tuple[int, int, int, int, int, int]]:
        """(receiver, state, leader, zxid, round, epoch) since the last look."""
        sent = [(to, n.state, n.leader, n.zxid, n.round, n.peer_epoch) for to, n in self.links.sent]
        self.links.sent.clear()
        return sent

    def hear(self, sender: int, state: int, vote: Vote, config: bytes | None = None) -> None:
        sent = Notification(state, vote.leader, vote.zxid, vote.round, vote.peer_epoch, config=config)
        self.election.notified(sender, sent.encode()[4:], self.now)

    def wait(self) -> float:
        """Let it wake; how long it has slept, in ms."""
        deadline = self.election.deadline()
        assert deadline is not None
        slept_ms = round((deadline - self.now) * 1000)
        self.now = deadline
        self.election.wake(self.now)
        return slept_ms

    @property
    def winner(self) -> Vote | None:
        return self.election.winner


def vote_of(leader: int, zxid: int = EPOCH, *, in_round: int = 1, epoch: int = 1) -> Vote:
    return Vote(leader, zxid, in_round, epoch)


# The order of votes, and when two are the same.


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
