"""The learner's side of discovery and synchronisation: docs/protocol/zab.md sections 3.1, 5 and 14."""

import pytest

from pyzk.codec.quorum import STREAM_SIGNATURE, PacketType, packet
from pyzk.tree.tree import Tree
from pyzk.tree.walk import walk
from pyzk.zab.catchup import plan
from pyzk.zab.effects import Append, Close, Dial, Install, Opened, SaveConfig, SaveEpoch, Truncate
from pyzk.zab.events import Port
from pyzk.zab.learning import Call, Learning
from pyzk.zab.membership import parse_text
from tests.zab.bench import TEXT, LearnerBench, commits, entries, new_state, proposals

NEWLEADER = packet(PacketType.NEWLEADER, 2 << 32, b"")
UPTODATE = packet(PacketType.UPTODATE, -1)
EPOCH = 2 << 32
LOGGED = entries(1, 1, 3)


def diff(zxid):
    return packet(PacketType.DIFF, zxid)


def followed(logged=LOGGED):
    """A learner that follows."""
    learner = LearnerBench(logged=logged)
    learner.discover()
    learner.hear(diff(logged[-1][0]) + NEWLEADER)
    learner.all_done()
    learner.hear(UPTODATE)
    assert learner.role.established
    return learner


def test_the_promise_of_an_epoch_is_durable_before_the_leader_hears_of_it():
    learner = LearnerBench(logged=LOGGED)
    learner.hear(packet(PacketType.LEADERINFO, EPOCH, b"\x00\x01\x00\x00"))
    assert [(effect.name, effect.epoch) for effect in learner.asked] == [("acceptedEpoch", 2)]
    assert [kind for _, kind, _ in learner.said] == [PacketType.FOLLOWERINFO]
    learner.done()
    assert learner.said[-1][1:] == (PacketType.ACKEPOCH, LOGGED[-1][0])


def test_zookeeper_3911_4646_4643_and_4785_the_log_is_durable_then_the_epoch_then_newleader_is_acknowledged():
    learner = LearnerBench(logged=LOGGED)
    learner.discover()
    lacking = entries(1, 4, 6)
    learner.hear(diff(lacking[-1][0]) + proposals(lacking) + commits(lacking) + NEWLEADER)
    assert [type(effect) for effect in learner.asked] == [Append]
    assert learner.done().entries == lacking
    assert learner.acks() == []
    assert [(effect.name, effect.epoch) for effect in learner.asked] == [("currentEpoch", 2)]
    learner.done()
    assert learner.acks() == [EPOCH]


def test_zookeeper_4394_a_commit_between_newleader_and_uptodate_finds_the_proposal_from_before_newleader():
    learner = LearnerBench(logged=LOGGED)
    learner.discover()
    outstanding = entries(2, 1, 2)
    learner.hear(diff(LOGGED[-1][0]) + proposals(outstanding) + NEWLEADER)
    learner.all_done()
    learner.hear(commits(outstanding[:1]))
    assert learner.delivered == []
    learner.hear(UPTODATE)
    assert learner.delivered == [outstanding[0][0]]
    assert learner.kinds(Opened)
    learner.hear(commits(outstanding[1:]))
    assert learner.delivered == [zxid for zxid, _ in outstanding]
    assert not learner.role.ended


def test_what_the_leader_calls_committed_before_newleader_needs_no_ack_and_what_it_does_not_gets_one():
    learner = LearnerBench(logged=LOGGED)
    learner.discover()
    lacking, outstanding = entries(1, 4, 5), entries(2, 1, 1)
    learner.hear(diff(lacking[-1][0]) + proposals(lacking) + commits(lacking) + proposals(outstanding) + NEWLEADER)
    learner.all_done()
    assert learner.acks() == [EPOCH, outstanding[0][0]]


def test_the_tree_does_not_move_before_the_leader_is_established():
    learner = LearnerBench(logged=LOGGED)
    learner.discover()
    lacking = entries(1, 4, 6)
    learner.hear(diff(lacking[-1][0]) + proposals(lacking) + commits(lacking) + NEWLEADER)
    learner.all_done()
    assert learner.delivered == []
    learner.hear(UPTODATE)
    assert learner.delivered == [zxid for zxid, _ in lacking]


@pytest.mark.parametrize("bad", [entries(1, 3, 3), entries(1, 2, 2)])
def test_a_txn_that_is_not_behind_the_last_one_ends_the_conversation(bad):
    learner = LearnerBench(logged=LOGGED)
    learner.discover()
    learner.hear(diff(LOGGED[-1][0]) + proposals(bad) + NEWLEADER)
    assert "cannot follow" in learner.role.ended
    assert learner.asked == []


def test_a_proposal_is_acknowledged_when_it_is_durable_and_applied_when_it_is_committed():
    learner = followed()
    txns = entries(2, 1, 3)
    learner.hear(proposals(txns) + commits(txns[:1]))
    assert learner.acks() == [EPOCH, EPOCH]
    assert learner.delivered == [txns[0][0]]
    learner.all_done()
    assert learner.acks()[2:] == [zxid for zxid, _ in txns]


def test_a_learner_leaves_a_leader_that_is_silent_for_sync_limit():
    learner = followed()
    assert learner.role.deadline() == learner.now + 5
    learner.role.wake(learner.now + 4.9)
    assert not learner.role.ended
    learner.role.wake(learner.now + 5.0)
    assert "nothing heard from the leader" in learner.role.ended


def test_a_learner_waits_for_init_limit_before_it_is_in_sync():
    learner = LearnerBench(logged=LOGGED)
    learner.role.wake(learner.now + 9.9)
    assert not learner.role.ended
    learner.role.wake(learner.now + 10.0)
    assert learner.role.ended


def test_a_follower_does_not_go_back_behind_its_promise_but_an_observer_may():
    older = packet(PacketType.LEADERINFO, EPOCH, b"\x00\x01\x00\x00")
    follower = LearnerBench(logged=LOGGED, accepted=3)
    follower.hear(older)
    assert "older than 3" in follower.role.ended
    observer = LearnerBench(logged=LOGGED, accepted=3, is_observer=True)
    observer.hear(older)
    assert observer.said[-1][1] == PacketType.ACKEPOCH
    assert observer.asked == []


def test_an_end_of_the_log_that_was_never_committed_is_cut_before_anything_else():
    learner = LearnerBench(logged=LOGGED)
    learner.discover()
    learner.state.append(entries(1, 4, 5))
    learner.collect()
    learner.all_done()
    learner.hear(packet(PacketType.TRUNC, LOGGED[-1][0]) + proposals(entries(2, 1, 1)) + NEWLEADER)
    assert [type(effect) for effect in learner.asked] == [Truncate]
    learner.done()
    assert [type(effect) for effect in learner.asked] == [Append]
    learner.done()
    assert [type(effect) for effect in learner.asked] == [SaveEpoch]


@pytest.mark.parametrize("logged", [LOGGED, []])
def test_a_leader_whose_epoch_committed_nothing_cuts_what_it_has_proposed_and_is_not_in_doubt(logged):
    end = logged[-1][0] if logged else 0
    learner = LearnerBench(logged=logged)
    learner.state.history.begin_epoch(2)
    learner.state.accepted_epoch = learner.state.current_epoch = 2
    learner.state.append(entries(2, 1, 2))
    learner.collect()
    learner.all_done()
    learner.hear(packet(PacketType.LEADERINFO, 3 << 32, b"\x00\x01\x00\x00"))
    learner.all_done()
    learner.hear(packet(PacketType.TRUNC, end))
    assert [type(effect) for effect in learner.asked] == [Truncate]
    learner.done()
    assert not learner.role.ended
    assert learner.state.history.last_zxid == end


def sent_a_tree(**state):
    """Its log has two txns behind the tree that a leader sends it; these follow, and one more."""
    learner = LearnerBench(logged=LOGGED, **state)
    learner.state.append(entries(1, 4, 5))
    learner.all_done()
    learner.discover()
    tree = Tree()
    tree.last_zxid = LOGGED[-1][0]
    learner.hear(packet(PacketType.SNAP, tree.last_zxid) + b"".join(walk(tree)) + STREAM_SIGNATURE)
    learner.hear(proposals(entries(1, 4, 6)))
    return learner


def test_a_tree_takes_the_place_of_a_log_only_with_all_that_was_acknowledged_behind_it():
    learner = sent_a_tree()
    assert (learner.asked, learner.state.history.last_zxid) == ([], 1 << 32 | 5)
    learner.hear(NEWLEADER)
    (install,) = learner.asked
    assert isinstance(install, Install)
    assert (install.tree.last_zxid, list(install.tail)) == (LOGGED[-1][0], entries(1, 4, 6))
    assert learner.acks() == []
    learner.all_done()
    history = learner.state.history
    assert (history.committed_zxid, history.durable_zxid) == (1 << 32 | 3, 1 << 32 | 6)
    assert list(history.tail) == install.tail
    assert learner.acks() == [EPOCH, 1 << 32 | 4, 1 << 32 | 5, 1 << 32 | 6]
    learner.hear(commits(entries(1, 4, 6)) + UPTODATE)
    assert learner.delivered == [zxid for zxid, _ in entries(1, 4, 6)]


def test_a_tree_whose_leader_goes_before_newleader_leaves_everything_as_it_was():
    learner = sent_a_tree()
    learner.role.end("the leader is gone")
    assert learner.kinds(Install) == []
    assert learner.state.history.last_zxid == 1 << 32 | 5


@pytest.mark.parametrize("bad", [3, 4, 6])
def test_a_txn_that_cannot_stand_behind_the_tree_ends_the_conversation(bad):
    learner = sent_a_tree()
    learner.hear(proposals(entries(1, bad, bad)))
    assert "cannot follow" in learner.role.ended


def test_an_observer_without_a_log_keeps_what_comes_behind_a_tree_in_memory():
    learner = sent_a_tree(is_observer=True, observer_sync_enabled=False)
    learner.hear(NEWLEADER)
    (install,) = learner.asked
    assert install.tail == ()
    learner.done()
    history = learner.state.history
    assert (history.durable_zxid, list(history.tail)) == (LOGGED[-1][0], entries(1, 4, 6))


def asked_to_cut_its_only_tree():
    """Its tree holds a txn that the leader does not have, and nothing older is in its files."""
    learner = LearnerBench(logged=LOGGED)
    learner.discover()
    learner.hear(packet(PacketType.TRUNC, LOGGED[-1][0] - 1))
    learner.refuse_cut()
    learner.hear(packet(PacketType.LEADERINFO, EPOCH, b"\x00\x01\x00\x00"))
    return learner


def test_a_learner_that_cannot_cut_keeps_what_it_has_and_asks_the_same_leader_for_the_whole_tree():
    learner = asked_to_cut_its_only_tree()
    assert (learner.state.history.last_zxid, learner.state.doubt) == (LOGGED[-1][0], "")
    assert learner.kinds(Close)[0].link != learner.role.link
    assert learner.said[-1] == (learner.role.link, PacketType.ACKEPOCH, 3 << 32)
    assert plan(3 << 32, EPOCH, LOGGED).kind == plan(3 << 32, LOGGED[-2][0], LOGGED[:-1]).kind == PacketType.SNAP


@pytest.mark.parametrize("how", [PacketType.DIFF, PacketType.TRUNC])
def test_nothing_but_the_whole_tree_helps_a_learner_that_cannot_cut(how):
    learner = asked_to_cut_its_only_tree()
    learner.hear(packet(how, LOGGED[-1][0]))
    assert "we need the whole tree" in learner.role.ended
    assert learner.asked == []


def test_a_learner_that_cannot_cut_tells_a_newer_epoch_what_it_really_has():
    learner = LearnerBench(logged=LOGGED)
    learner.discover()
    learner.hear(packet(PacketType.TRUNC, LOGGED[-1][0] - 1))
    learner.refuse_cut()
    learner.hear(packet(PacketType.LEADERINFO, 3 << 32, b"\x00\x01\x00\x00"))
    learner.all_done()
    assert learner.said[-1][1:] == (PacketType.ACKEPOCH, LOGGED[-1][0])


def test_while_a_tree_becomes_durable_any_number_of_txns_may_come():
    learner = LearnerBench()
    learner.discover()
    learner.hear(diff(0))
    txns = entries(2, 1, 6000)
    learner.hear(NEWLEADER)
    for txn in txns:
        learner.hear(proposals([txn]) + commits([txn]))
    assert not learner.role.ended
    learner.all_done()
    learner.hear(UPTODATE)
    learner.all_done()
    assert len(learner.delivered) == len(txns)


# An observer that keeps no log (syncEnabled=false).


def observed_without_log():
    observer = LearnerBench(logged=LOGGED, is_observer=True, observer_sync_enabled=False)
    observer.discover()
    observer.hear(diff(EPOCH | 1) + proposals([(EPOCH | 1, b"txn")]) + commits([(EPOCH | 1, b"txn")]) + NEWLEADER)
    observer.all_done()
    observer.hear(UPTODATE)
    assert observer.role.established
    return observer


def test_an_observer_without_log_serves_what_it_is_told_and_logs_nothing():
    observer = observed_without_log()
    observer.hear(packet(PacketType.INFORM, EPOCH | 2, b"next"))
    assert observer.delivered == [EPOCH | 1, EPOCH | 2]
    assert observer.kinds(Append) == []


def test_a_log_without_the_beginning_of_an_epoch_is_not_called_one_of_that_epoch():
    observer = observed_without_log()
    assert [(effect.name, effect.epoch) for effect in observer.kinds(SaveEpoch)] == [("acceptedEpoch", 2)]
    assert observer.state.history.last_zxid == EPOCH | 1
    assert observer.state.history.durable_zxid == LOGGED[-1][0]


def test_an_observer_without_log_does_not_acknowledge_an_epoch_in_which_it_is_to_vote():
    """Its ack would count in the proposed configuration, and what it acknowledges is nowhere on its disk."""
    observer = LearnerBench(logged=LOGGED, is_observer=True, observer_sync_enabled=False, reconfig_enabled=True)
    observer.discover()
    proposed = packet(PacketType.NEWLEADER, EPOCH, f"{TEXT}\nversion=200000001".encode())
    observer.hear(diff(EPOCH | 1) + proposals([(EPOCH | 1, b"txn")]) + proposed)
    observer.all_done()
    assert "must be in our log first" in observer.role.ended
    assert EPOCH not in observer.acks()


def test_an_observer_without_log_that_has_all_on_disk_takes_the_epoch():
    observer = LearnerBench(logged=LOGGED, is_observer=True, observer_sync_enabled=False)
    observer.discover()
    observer.hear(diff(LOGGED[-1][0]) + NEWLEADER)
    observer.all_done()
    assert [effect.name for effect in observer.kinds(SaveEpoch)] == ["acceptedEpoch", "currentEpoch"]


# A configuration that is only proposed.


@pytest.mark.parametrize(
    ("version", "is_in_force"), [("200000000", True), ("200000001", False)], ids=["before this epoch", "in this epoch"]
)
def test_a_configuration_is_in_force_with_uptodate_only_if_it_is_committed(version, is_in_force):
    learner = LearnerBench(logged=LOGGED, reconfig_enabled=True)
    learner.discover()
    newleader = packet(PacketType.NEWLEADER, EPOCH, f"{TEXT}\nversion={version}".encode())
    learner.hear(diff(LOGGED[-1][0]) + newleader)
    learner.all_done()
    learner.hear(UPTODATE)
    assert learner.role.established
    assert learner.state.last_seen.version == int(version, 16)
    assert (learner.state.membership is learner.state.last_seen) is is_in_force


def test_what_was_proposed_before_and_the_leader_does_not_know_is_neither_in_force_nor_kept():
    learner = LearnerBench(logged=LOGGED, reconfig_enabled=True)
    learner.state.last_seen = parse_text(f"{TEXT}\nversion=100000009")
    learner.discover()
    learner.hear(diff(LOGGED[-1][0]) + packet(PacketType.NEWLEADER, EPOCH, f"{TEXT}\nversion=100000001".encode()))
    learner.all_done()
    learner.hear(UPTODATE)
    assert learner.role.established
    assert learner.state.membership.version == learner.state.last_seen.version == 0x100000001
    saved = learner.kinds(SaveConfig)[-1]
    assert saved.is_next
    assert saved.text.endswith("version=100000001")


# When it dials.


def test_a_learner_that_is_to_wait_dials_afterwards_and_has_its_full_time_then():
    state = new_state(1)
    role = Learning(state, Call(3, 1, Port.QUORUM, [("10.0.0.3", 2888)], True, 0.5), 100.0)
    assert state.effects == []
    role.wake(role.deadline())
    assert [type(effect) for effect in state.effects] == [Dial]
    assert role.deadline() == 100.5 + state.settings.connect_seconds
