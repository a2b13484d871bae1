"""Who leaves whom, and when: docs/protocol/zab.md section 9."""

import pytest

from tests.sim.test_scenarios import Story, begun, end_well

SYNC_SECONDS = 2.5
INIT_SECONDS = 5.0


def test_a_leader_that_hears_nobody_steps_down_and_the_others_have_another():
    story = begun()
    old = story.settle()
    story.cut_off(old.server_id)
    story.run(SYNC_SECONDS + 1.5)
    assert old.opened is None
    story.run_until(lambda: story.leader is not None, INIT_SECONDS)
    assert story.leader is not old
    end_well(story)


def test_followers_leave_a_leader_that_they_do_not_hear_though_it_hears_them():
    story = begun()
    old = story.settle()
    for server_id in story.others(old.server_id):
        story.network.block(old.server_id, server_id)
    story.run(SYNC_SECONDS + 0.5)
    for server_id in story.others(old.server_id):
        assert story.was_said("role_ended", "nothing heard from the leader", server_id=server_id)
    end_well(story)


def test_a_follower_with_a_slow_disk_loses_its_link_and_nobody_else_does():
    story = begun()
    leader = story.settle()
    slow, quick = (story.hosts[server_id] for server_id in story.others(leader.server_id))
    slow.machine.delay_seconds = 4.0, 4.0
    epoch = leader.opened.zxid
    leader.propose(1)
    story.run(SYNC_SECONDS + 1)
    assert story.was_said("learner_left", f"server {slow.server_id}", "ack", server_id=leader.server_id)
    assert quick.opened is not None
    assert leader.opened.zxid == epoch
    slow.machine.delay_seconds = 0.001, 0.001
    end_well(story)
    assert story.leader.opened.zxid == epoch


def test_a_question_that_was_lost_with_dead_links_is_asked_again_soon():
    story = Story(3, observers=1, seed=1)
    story.start()
    story.commit(5)
    voters = story.others(4)
    story.crash(*voters)
    story.run(52)  # by now the observer asks once a minute, on links of machines that have no power
    story.start(*voters)
    story.settle(20)
    end_well(story)


@pytest.mark.parametrize("seed", range(6))
def test_a_leader_that_was_frozen_longer_than_sync_limit_finds_itself_deposed(seed):
    story = Story(3, seed=seed)
    story.start()
    story.commit(5)
    old = story.settle()
    old.freeze()
    story.run(SYNC_SECONDS + INIT_SECONDS)
    assert story.leader is not old
    story.leader.propose(5)
    story.run(1)
    old.propose(3)
    old.thaw()
    story.run(SYNC_SECONDS + 1)
    assert not (old.opened and old.opened.is_leader)
    end_well(story)


def test_a_server_that_could_not_write_does_not_come_back_at_once_and_again():
    story = begun()
    leader = story.settle()
    full = story.hosts[story.others(leader.server_id)[0]]
    full.disk.capacity_bytes = full.disk.capacity_bytes - full.disk.free_bytes("") + 10
    leader.propose(3)
    story.run(10)
    attempts = sum("Unwritten" in line for line in story.lines)
    assert 2 < attempts < 30
    assert leader.opened is not None
    full.disk.capacity_bytes = 1 << 50
    end_well(story)


def test_a_voter_that_has_promised_an_epoch_which_never_began_is_let_in():
    story = begun()
    leader = story.settle()
    late = story.others(leader.server_id)[0]
    story.crash(late)
    story.hosts[late].machine.files.save_epoch("acceptedEpoch", 9)
    story.checker.logs[late].accepted = 9
    story.start(late)
    story.settle(20)
    assert story.leader.opened.zxid == 10 << 32
    end_well(story)


def test_a_voter_that_has_lost_its_data_and_promised_an_epoch_which_never_began_is_let_in():
    story = begun()
    leader = story.settle()
    late = story.hosts[story.others(leader.server_id)[0]]
    story.crash(late.server_id)
    late.machine.files.save_epoch("acceptedEpoch", 9)
    story.checker.logs[late.server_id].accepted = 9
    story.lose_data(late)
    story.start(late.server_id)
    story.settle(20)
    assert story.leader.opened.zxid == 10 << 32
    end_well(story)


def test_the_end_of_the_zxids_is_the_beginning_of_an_epoch():
    story = begun()
    leader = story.settle()
    leader.peer.role.proposals.last_zxid = 0x1FFFFFFF0
    leader.propose(10)
    story.run(1)
    assert len(story.checker.sequence.committed) == 15
    leader.propose(10)
    story.run(1)
    assert story.settle().opened.zxid == 2 << 32
    assert len(story.checker.sequence.committed) == 15
    end_well(story)
