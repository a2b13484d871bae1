"""The leader's side: docs/protocol/zab.md sections 3.2, 4, 6.1 and 9."""

import gc
import weakref

import pytest

from pyzk.codec.opcodes import OpCode
from pyzk.codec.quorum import LearnerInfo, PacketType, pack_epoch, packet
from pyzk.codec.txns import SetDataTxn, Txn, TxnHeader
from pyzk.tree.tree import Tree
from pyzk.zab.effects import Append, Install, Opened, Synced
from pyzk.zab.events import Sync
from pyzk.zab.master import LEARNERS_MAX
from pyzk.zab.membership import parse_text
from tests.zab.bench import LeaderBench, entries

LOGGED = entries(1, 1, 3)
LAST = LOGGED[-1][0]


def test_an_epoch_above_all_that_a_quorum_has_accepted_is_durable_before_anybody_hears_of_it():
    leader = LeaderBench(logged=LOGGED)
    leader.role.accept(-1, "server-1", leader.now)
    leader.hear(-1, packet(PacketType.FOLLOWERINFO, 6 << 32, LearnerInfo(1).encode()))
    assert [(effect.name, effect.epoch) for effect in leader.asked] == [("acceptedEpoch", 7)]
    assert leader.heard_by(-1) == []
    leader.done()
    assert leader.heard_by(-1) == [("LEADERINFO", 7 << 32)]


def test_a_follower_with_more_than_the_leader_is_not_led_by_it():
    leader = LeaderBench(logged=LOGGED)
    leader.bring_up(-1, 1, LAST + 1)
    assert leader.is_closed(-1)
    assert leader.asked == []


def test_one_that_has_promised_already_is_not_counted_twice():
    leader = LeaderBench(logged=LOGGED)
    leader.bring_up(-1, 1, LAST, current=-1)
    assert leader.state.current_epoch == 1
    leader.bring_up(-2, 2, LAST, current=1)
    assert leader.state.current_epoch == 2


def test_a_leader_is_established_by_a_quorum_of_acks_of_newleader():
    leader = LeaderBench(logged=LOGGED)
    leader.bring_up(-1, 1, LAST)
    assert leader.heard_by(-1) == [("LEADERINFO", 2 << 32), ("DIFF", LAST), ("NEWLEADER", 2 << 32)]
    assert not leader.kinds(Opened)
    leader.acknowledge(-1, 2 << 32)
    assert [effect.zxid for effect in leader.kinds(Opened)] == [2 << 32]
    assert leader.heard_by(-1)[-1][0] == "UPTODATE"


def test_zookeeper_4685_the_ack_of_a_proposal_that_overtakes_that_of_newleader_is_neither_taken_for_it_nor_lost():
    leader = LeaderBench(logged=LOGGED)
    leader.establish()
    leader.bring_up(-2, 2, LAST)
    (txn,) = entries(2, 1, 1)
    leader.role.proposals.propose([txn], leader.now)
    leader.collect()
    leader.acknowledge(-2, txn[0])
    assert leader.heard_by(-2)[-1] == ("PROPOSAL", txn[0])
    assert leader.delivered == []
    leader.acknowledge(-2, 2 << 32)
    assert "UPTODATE" in [kind for kind, _ in leader.heard_by(-2)]
    leader.all_done()
    assert leader.delivered == [txn[0]], "our own log and theirs are a quorum"


def test_tla_1_and_3_who_is_being_brought_up_gets_proposals_and_commits_from_then_on():
    leader = LeaderBench(logged=LOGGED)
    leader.establish()
    first, second = entries(2, 1, 2)
    leader.role.proposals.propose([first], leader.now)
    leader.collect()
    leader.bring_up(-2, 2, LAST)
    leader.role.proposals.propose([second], leader.now)
    leader.collect()
    leader.all_done()
    leader.acknowledge(-1, first[0], second[0])
    assert leader.heard_by(-2)[1:] == [
        ("DIFF", LAST),
        ("PROPOSAL", first[0]),
        ("NEWLEADER", 2 << 32),
        ("PROPOSAL", second[0]),
        ("COMMIT", first[0]),
        ("COMMIT", second[0]),
    ]


def test_tla_2_nobody_gets_a_proposal_twice():
    leader = LeaderBench(logged=LOGGED)
    leader.establish()
    txns = entries(2, 1, 4)
    for txn in txns:
        leader.role.proposals.propose([txn], leader.now)
    leader.collect()
    leader.all_done()
    leader.acknowledge(-1, txns[1][0])
    leader.bring_up(-2, 2, LAST)
    proposed = [zxid for kind, zxid in leader.heard_by(-2) if kind == "PROPOSAL"]
    assert proposed == [zxid for zxid, _ in txns]


def test_zookeeper_1277_when_the_zxids_of_an_epoch_are_used_up_the_leader_makes_room_for_the_next():
    leader = LeaderBench(logged=LOGGED)
    leader.establish()
    leader.role.proposals.propose([(2 << 32 | 0xFFFFFFFE, b"the last one")], leader.now)
    assert not leader.role.ended
    leader.collect()
    leader.all_done()
    leader.role.proposals.propose([(2 << 32 | 0xFFFFFFFF, b"one more")], leader.now)
    leader.collect()
    assert "used up" in leader.role.ended
    assert len(leader.kinds(Append)) == 1


def test_a_leader_without_a_quorum_steps_down_within_sync_limit():
    leader = LeaderBench(logged=LOGGED)
    leader.establish()
    leader.pass_time(4.0)
    assert not leader.role.ended
    leader.pass_time(3.0)
    assert "no quorum" in leader.role.ended


def test_a_follower_whose_acks_are_missing_loses_its_link_and_nobody_else_does():
    leader = LeaderBench(logged=LOGGED)
    leader.establish()
    leader.bring_up(-2, 2, LAST)
    leader.acknowledge(-2, 2 << 32)
    (txn,) = entries(2, 1, 1)
    leader.role.proposals.propose([txn], leader.now)
    leader.collect()
    leader.all_done()
    leader.acknowledge(-1, txn[0])
    for _ in range(12):
        leader.pass_time(0.5)
        for link in (-1, -2):
            leader.hear(link, packet(PacketType.PING, txn[0]))
    assert leader.is_closed(-2)
    assert not leader.is_closed(-1)
    assert not leader.role.ended


def test_followers_that_wait_for_others_to_be_brought_up_are_not_dropped_for_their_silence():
    leader = LeaderBench(logged=LOGGED)
    leader.state.membership = leader.state.last_seen = five_servers()
    leader.role = type(leader.role)(leader.state, leader.now)
    for link, server_id in ((-1, 1), (-2, 2)):
        leader.greet(link, server_id)
    for link in (-1, -2):
        leader.hear(link, packet(PacketType.ACKEPOCH, LAST, pack_epoch(1)))
    leader.all_done()
    leader.acknowledge(-1, 2 << 32)
    leader.pass_time(9.0)
    assert not leader.is_closed(-1)
    leader.acknowledge(-2, 2 << 32)
    assert leader.role.established
    leader.pass_time(2.0)
    assert not leader.role.ended


def five_servers(version=0):
    lines = [f"server.{number}=10.0.0.{number}:2888:3888:participant" for number in range(1, 6)]
    return parse_text("\n".join([*lines, f"version={version:x}"]))


def test_an_epoch_is_promised_by_a_quorum_of_the_configuration_in_force_and_of_a_proposed_one():
    leader = LeaderBench(logged=LOGGED)
    leader.state.last_seen = five_servers(version=LAST)
    leader.role = type(leader.role)(leader.state, leader.now)
    leader.greet(-1, 1)
    assert leader.role.epoch == 0, "two of the three in force, but not three of the five that are proposed"
    leader.greet(-4, 4)
    assert leader.role.epoch == 2
    leader.hear(-1, packet(PacketType.ACKEPOCH, LAST, pack_epoch(1)))
    leader.all_done()
    assert leader.state.current_epoch == 1
    leader.hear(-4, packet(PacketType.ACKEPOCH, LAST, pack_epoch(1)))
    leader.all_done()
    assert leader.state.current_epoch == 2


def test_a_voter_that_has_promised_a_newer_epoch_makes_the_leader_give_way_to_one():
    leader = LeaderBench(logged=LOGGED)
    leader.establish()
    leader.greet(-2, 2, accepted=9)
    assert not leader.role.ended, "anybody can claim this once"
    for second in range(10):
        leader.now += 1
        leader.acknowledge(-1, 2 << 32)
        leader.greet(-3 - second, 2, accepted=9)
    assert "promised epoch 9" in leader.role.ended
    leader.effects.clear()
    leader.role = type(leader.role)(leader.state, leader.now)
    leader.greet(-20, 1)
    assert leader.role.epoch == 10, "the next term begins above it, whoever comes first"


def test_apache_defect_10_a_sync_is_answered_when_a_quorum_has_answered_a_ping_sent_behind_it():
    leader = LeaderBench(logged=LOGGED)
    leader.establish()
    leader.pass_time(0.5)
    leader.role.sync(Sync(-1))
    leader.collect()
    assert leader.heard_by(-1)[-1][0] == "PING"
    leader.hear(-1, packet(PacketType.PING, 2 << 32))
    assert "SYNC" not in [kind for kind, _ in leader.heard_by(-1)], "this answers the ping of before"
    leader.hear(-1, packet(PacketType.PING, 2 << 32))
    assert leader.heard_by(-1)[-1][0] == "SYNC"


def test_an_epoch_that_nobody_can_have_reached_is_not_believed():
    leader = LeaderBench(logged=LOGGED)
    leader.greet(-1, 1, accepted=0x7FFFFFFF)
    assert leader.is_closed(-1)
    leader.greet(-2, 1)
    assert leader.role.epoch == 2


def test_a_second_link_of_a_server_that_follows_and_is_heard_is_refused():
    leader = LeaderBench(logged=LOGGED)
    leader.establish()
    leader.greet(-2, 1)
    assert leader.is_closed(-2)
    assert not leader.is_closed(-1)
    leader.now += 2.4
    leader.greet(-3, 1)
    assert leader.is_closed(-3), "a busy server may be silent for a while"
    leader.now += 0.2
    leader.greet(-4, 1)
    assert leader.is_closed(-1), "half of syncLimit: the server has lost it"
    assert not leader.is_closed(-4)


def test_a_link_that_is_gone_leaves_nothing_behind_for_the_garbage_collector():
    leader = LeaderBench(logged=LOGGED)
    gc.disable()
    try:
        for link, server_id, end in ((-1, 1, "left"), (-2, 2, "junk"), (-3, 7, "over")):
            leader.greet(link, server_id)
            learner = weakref.ref(leader.role.learners[link])
            if end == "left":
                leader.role.left(link, "closed by the other side")
            elif end == "junk":
                leader.hear(link, b"\xff" * 100)
            else:
                leader.role.stop()
            assert learner() is None, end
    finally:
        gc.enable()


def test_links_that_say_nothing_keep_no_learner_out():
    leader = LeaderBench(logged=LOGGED)
    leader.establish()
    for link in range(-100, -100 - LEARNERS_MAX, -1):
        leader.role.accept(link, "somebody", leader.now)
    leader.collect()
    assert len(leader.role.learners) == LEARNERS_MAX
    leader.bring_up(-2, 2, LAST)
    leader.acknowledge(-2, 2 << 32)
    assert leader.heard_by(-2)[-1][0] == "UPTODATE"
    assert not leader.is_closed(-1)
    assert [leader.is_closed(link) for link in (-100, -101, -102)] == [True, True, False]


def test_a_learner_that_comes_when_all_links_have_their_server_is_refused():
    leader = LeaderBench(logged=LOGGED)
    leader.establish()
    for number in range(LEARNERS_MAX - 1):
        leader.greet(-100 - number, 100 + number)
    leader.role.accept(-2, "somebody", leader.now)
    leader.collect()
    assert leader.is_closed(-2)
    assert not leader.is_closed(-100)


def test_the_acks_of_servers_that_are_no_voters_are_not_measured():
    leader = LeaderBench(logged=LOGGED)
    leader.establish()
    leader.bring_up(-2, 77, LAST)
    leader.acknowledge(-2, 2 << 32)
    (txn,) = entries(2, 1, 1)
    leader.role.proposals.propose([txn], leader.now)
    leader.collect()
    for link in (-1, -2):
        leader.acknowledge(link, txn[0])
    assert list(leader.role.acks_ms) == [1]


def test_two_servers_with_one_id_are_told_apart():
    leader = LeaderBench(logged=LOGGED)
    leader.greet(-1, 3)
    assert leader.is_closed(-1)
    leader.greet(-2, 1)
    leader.greet(-3, 1)
    assert leader.is_closed(-2)
    assert not leader.is_closed(-3)


def test_a_sync_is_answered_before_the_commit_of_what_was_proposed_behind_it():
    """Apache's learners match answers with their requests in order: one that is overtaken waits for ever."""
    leader = LeaderBench(logged=LOGGED)
    leader.establish()
    first, second = entries(2, 1, 1), entries(2, 2, 3)
    leader.role.proposals.propose(first, leader.now)
    leader.role.sync(Sync(-1))
    leader.role.proposals.propose(second, leader.now)
    leader.collect()
    leader.all_done()
    leader.said.clear()
    leader.acknowledge(-1, *[zxid for zxid, _ in [*first, *second]])
    told = [(kind, zxid) for kind, zxid in leader.heard_by(-1) if kind in {"COMMIT", "SYNC"}]
    assert told == [("COMMIT", first[0][0]), ("SYNC", 0), *[("COMMIT", zxid) for zxid, _ in second]]


# Reconfiguration.

WITHOUT_2 = """server.1=10.0.0.1:2888:3888:participant
server.2=10.0.0.2:2888:3888:observer
server.3=10.0.0.3:2888:3888:participant"""


def reconfiguring(zxid):
    """A txn that takes server 2 its vote."""
    data = f"{WITHOUT_2}\nversion={zxid:x}".encode()
    return zxid, Txn(TxnHeader(1, 1, zxid, 0, OpCode.RECONFIG), SetDataTxn(b"/zookeeper/config", data, -1)).encode()


def test_what_is_behind_a_configuration_is_proposed_when_that_is_in_force():
    """Else who has no vote before it is committed could have more than all who may lead (seed 64776112)."""
    leader = LeaderBench(logged=LOGGED, reconfig_enabled=True)
    leader.establish()
    before, behind, later = entries(2, 1, 1), entries(2, 3, 4), entries(2, 5, 5)
    change = reconfiguring(2 << 32 | 2)
    leader.said.clear()
    leader.role.proposals.propose([*before, change, *behind], leader.now)
    leader.role.sync(Sync(-1))
    leader.role.proposals.propose(later, leader.now)
    leader.collect()
    leader.all_done()
    assert [zxid for kind, zxid in leader.heard_by(-1) if kind == "PROPOSAL"] == [before[0][0], change[0]]
    leader.acknowledge(-1, change[0])
    leader.all_done()
    leader.acknowledge(-1, later[-1][0])
    told = [found for found in leader.heard_by(-1) if found[0] in {"PROPOSAL", "COMMITANDACTIVATE", "SYNC"}][2:]
    proposed = [("PROPOSAL", zxid) for zxid, _ in [*behind, *later]]
    assert told == [("COMMITANDACTIVATE", change[0]), *proposed, ("SYNC", 0)]
    assert leader.state.history.committed_zxid == later[-1][0]


# Two voters and an oracle.

TWO_VOTERS = """server.1=10.0.0.1:2888:3888:participant
server.2=10.0.0.2:2888:3888:observer
server.3=10.0.0.3:2888:3888:participant"""


def left_alone_by(leader, oracle_says):
    """The other voter goes, and a tick passes."""
    leader.role.left(-1, "killed")
    leader.state.oracle.lead_alone = oracle_says
    leader.pass_time(1.0)


@pytest.mark.parametrize("oracle_says", [True, False])
def test_one_of_two_voters_goes_on_alone_if_its_oracle_says_so(oracle_says):
    leader = LeaderBench(logged=LOGGED, text=TWO_VOTERS, oracle_enabled=True)
    leader.establish()
    (txn,) = entries(2, 1, 1)
    leader.role.proposals.propose([txn], leader.now)
    leader.collect()
    leader.all_done()
    assert leader.delivered == []
    left_alone_by(leader, oracle_says)
    assert leader.delivered == ([txn[0]] if oracle_says else [])
    assert bool(leader.role.ended) is not oracle_says


def test_the_oracle_has_no_say_while_there_are_two():
    leader = LeaderBench(logged=LOGGED, text=TWO_VOTERS, oracle_enabled=True)
    leader.establish()
    leader.state.oracle.lead_alone = True
    leader.role.proposals.propose(entries(2, 1, 1), leader.now)
    leader.collect()
    leader.all_done()
    leader.pass_time(1.0)
    assert leader.delivered == []


def test_an_observer_is_no_company_for_one_of_two_voters():
    leader = LeaderBench(logged=LOGGED, text=TWO_VOTERS, oracle_enabled=True)
    leader.establish()
    leader.role.accept(-2, "server-2", leader.now)
    leader.hear(-2, packet(PacketType.OBSERVERINFO, 1 << 32, LearnerInfo(2).encode()))
    leader.hear(-2, packet(PacketType.ACKEPOCH, LAST, pack_epoch(1)))
    leader.acknowledge(-2, 2 << 32)
    assert leader.heard_by(-2)[-1][0] == "UPTODATE"
    left_alone_by(leader, oracle_says=True)
    assert not leader.role.ended


def test_a_sync_that_the_other_of_two_has_not_answered_is_answered_when_the_oracle_says_so():
    leader = LeaderBench(logged=LOGGED, text=TWO_VOTERS, oracle_enabled=True)
    leader.establish()
    leader.role.sync(Sync(0, 7))
    leader.collect()
    assert leader.kinds(Synced) == []
    left_alone_by(leader, oracle_says=True)
    leader.role.sync(Sync(0, 8))
    leader.collect()
    assert [effect.tag for effect in leader.kinds(Synced)] == [7, 8]


# Another tree.


def test_a_tree_in_place_of_everything_waits_for_what_is_proposed_and_ends_the_term_when_it_is_durable():
    leader = LeaderBench(logged=LOGGED)
    leader.establish()
    (txn,) = entries(2, 1, 1)
    leader.role.proposals.propose([txn], leader.now)
    leader.collect()
    tree = Tree()
    leader.role.replace(tree)
    leader.role.go_on(leader.now)
    leader.collect()
    leader.role.proposals.propose(entries(2, 2, 2), leader.now)
    leader.done()
    assert not leader.kinds(Install), "only our own log has it"
    leader.acknowledge(-1, txn[0])
    leader.pass_time(1)
    assert leader.delivered == [txn[0]]
    (install,) = leader.kinds(Install)
    assert install.tree is tree
    assert tree.last_zxid == txn[0] + 1, "above all that anybody can have logged"
    assert not leader.role.ended
    leader.all_done()
    assert "replaced" in leader.role.ended
    assert leader.state.history.last_zxid == tree.last_zxid
    assert [effect.entries for effect in leader.kinds(Append)] == [[txn]], "nothing was proposed behind it"


def test_a_term_that_ends_before_takes_the_tree_with_it():
    leader = LeaderBench(logged=LOGGED)
    leader.establish()
    leader.role.proposals.propose(entries(2, 1, 1), leader.now)
    leader.role.replace(Tree())
    leader.role.go_on(leader.now)
    leader.role.end("no quorum follows any more")
    leader.collect()
    leader.all_done()
    assert not leader.kinds(Install)
