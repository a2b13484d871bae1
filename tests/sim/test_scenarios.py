"""What has gone wrong in ensembles before: docs/protocol/zab.md section 15 and apache-defects.md, each as a story.

The checker of the world looks on in all of them: logs without holes, commits on a quorum, equal trees.
"""

import pytest

from pyzk.sim.faults import Faults
from pyzk.sim.plan import Plan, membership_lines
from pyzk.sim.world import World
from pyzk.storage.member import DOUBT
from pyzk.zab.settings import AgreementSettings


class Story(World):
    """A world with a memory of what was said."""

    def __init__(self, voters=3, observers=0, seed=1, **settings):
        self.lines = []
        settings = AgreementSettings(**{"tick_ms": 500, **settings})
        membership = "\n".join(membership_lines(voters, observers))
        plan = Plan(seed, 0.0, membership, settings, clients=0)
        super().__init__(plan, lambda line: self.lines.append(str(line)))
        self.network.split_chance = 0.0

    def was_said(self, *words, server_id=None):
        who = "" if server_id is None else f" {server_id} "
        return any(who in line[12:16] and all(word in line for word in words) for line in self.lines)

    def lose_data(self, host):
        Faults(self, Plan(0, 0.0, "", AgreementSettings(), 0)).lose_data(host)

    def others(self, server_id):
        return [other for other in self.hosts if other != server_id]

    def isolated_write(self, count=1):
        """The leader proposes what nobody else hears; returns it."""
        leader = self.settle()
        self.cut_off(leader.server_id)
        leader.propose(count)
        self.run(0.1)
        return leader

    def has(self, server_id, zxid):
        return zxid in self.checker.logs[server_id].zxids


def begun(voters=3, observers=0, **settings):
    story = Story(voters, observers, **settings)
    story.start()
    story.commit(5)
    return story


def end_well(story):
    story.network.heal()
    story.start()
    story.settle()
    story.commit(3)
    story.checker.finished()


def test_three_servers_elect_a_leader_and_agree():
    story = begun()
    end_well(story)
    assert story.now < 2


def test_zookeeper_1549_and_defect_7_a_txn_that_was_never_committed_is_cut_and_not_brought_back_by_a_snapshot():
    story = begun()
    old = story.isolated_write()
    lost = story.checker.logs[old.server_id].end
    story.crash(old.server_id)
    story.settle()
    story.start(old.server_id)
    story.network.heal()
    assert old.tree.last_zxid == lost, "what a server finds in its log it takes into its tree"
    old.machine.take_snapshot()
    story.settle()
    old.machine.take_snapshot()
    story.run(1)
    assert story.was_said("Truncate(", server_id=old.server_id)
    assert not story.has(old.server_id, lost)
    assert f"snapshot.{lost:x}" not in old.disk.names(old.machine.places.snapshots)
    end_well(story)


def test_zookeeper_1549_a_leader_that_is_not_established_takes_no_snapshot_of_its_tail():
    story = begun()
    old = story.isolated_write()
    lost = story.checker.logs[old.server_id].end
    story.crash(*story.hosts)
    story.network.heal()
    story.start(old.server_id, story.others(old.server_id)[0])
    story.run_until(lambda: story.was_said("leads", server_id=old.server_id), 20)
    old.machine.take_snapshot()
    story.crash(*story.hosts)
    assert f"snapshot.{lost:x}" not in old.disk.names(old.machine.places.snapshots)
    end_well(story)


def test_zookeeper_2845_a_vote_speaks_of_the_log_and_not_of_the_tree():
    story = Story(5)
    story.start()
    story.commit(3)
    leader = story.settle()
    with_tail, *without = story.others(leader.server_id)
    for server_id in without:
        story.network.block(leader.server_id, server_id)
    leader.propose(1)
    proposed = story.checker.logs[leader.server_id].end
    story.run(0.1)
    story.crash(leader.server_id)
    story.network.heal()
    assert story.has(with_tail, proposed)
    assert story.hosts[with_tail].tree.last_zxid < proposed
    assert story.settle().server_id == with_tail
    assert proposed in story.checker.sequence.committed
    end_well(story)


@pytest.mark.parametrize("effects", range(0, 60, 3))
@pytest.mark.parametrize("is_empty", [False, True])
def test_zookeeper_3911_4643_4646_and_4785_a_follower_may_lose_power_anywhere_while_it_is_brought_up(effects, is_empty):
    story = Story(3, seed=effects, window_txns=3 if is_empty else 500)
    first, *rest = story.hosts
    story.start(*rest) if is_empty else story.start()
    story.commit(4)
    story.crash(first)
    story.commit(6)
    story.hosts[first].dies_after = effects
    story.start(first)
    story.run(2)
    story.hosts[first].dies_after = None
    # It is needed with what it says that it has.
    story.crash(story.settle().server_id)
    story.start(first)
    end_well(story)


def test_zookeeper_4712_no_vote_while_the_log_of_the_last_role_is_not_written():
    story = begun()
    leader = story.settle()
    slow = story.hosts[story.others(leader.server_id)[0]]
    slow.machine.delay_seconds = 3.0, 3.0
    leader.propose(2)
    story.run(0.1)
    story.crash(leader.server_id, has_no_power=False)
    story.run(1)
    assert slow.opened is None
    assert not slow.peer.is_looking
    story.run(3)
    assert slow.peer.is_looking or slow.opened
    slow.machine.delay_seconds = 0.001, 0.001
    end_well(story)


def test_zookeeper_4925_what_came_by_a_diff_is_passed_on_by_a_diff_without_a_hole():
    story = begun()
    third = story.settle().server_id
    first, second = story.others(third)
    story.crash(first, second)
    story.start(second)
    story.commit(3)
    story.crash(second)
    story.start(first)
    story.commit(3)
    story.crash(third)
    story.start(second)
    story.settle()
    assert story.tally["trees"] == 0
    end_well(story)


@pytest.mark.parametrize("boot", ["goes on", "restarts"])
def test_zookeeper_3642_and_3104_half_a_tree_is_thrown_away(boot):
    story = Story(3, window_txns=3, force_snapshot_sync=True)
    first, *rest = story.hosts
    story.start(*rest)
    story.commit(2000)
    story.network.delay_seconds = 0.02, 0.02
    story.start(first)
    story.run_until(lambda: story.was_said("synchronises", "SNAP", server_id=first), 10)
    story.run(0.03)
    assert story.hosts[first].tree.last_zxid == 0
    for end in story.network.links:
        if end[0] == first:
            story.network.break_link(end)
    story.run(0.001)
    if boot == "restarts":
        story.crash(first)
    assert story.checker.logs[first].end == 0
    end_well(story)


def test_zookeeper_1732_and_1805_who_comes_late_joins_whatever_elections_there_were():
    story = Story(5)
    story.start(1, 2, 3)
    story.commit(1)
    for _ in range(3):
        leader = story.settle().server_id
        story.crash(leader)
        story.run(3)
        story.start(leader)
        story.commit(1)
    story.start(4, 5)
    story.settle(10)
    end_well(story)


def test_zookeeper_2678_an_election_reads_nothing_from_the_disk():
    story = begun()
    leader = story.settle()
    boots = {number: host.boot for number, host in story.hosts.items()}
    story.cut_off(leader.server_id)
    story.run(10)
    story.network.heal()
    story.settle()
    assert {number: host.boot for number, host in story.hosts.items()} == boots
    assert story.tally["reloads"] == 0
    end_well(story)


def test_defect_8_a_server_that_has_lost_its_disk_does_not_count_until_a_leader_has_given_everything_back():
    story = begun()
    leader = story.settle().server_id
    lost, other = story.others(leader)
    story.crash(*story.hosts)
    damaged = story.hosts[lost]
    story.lose_data(damaged)
    story.start(lost, other)
    story.run(60)
    assert story.leader is None, "it would be a quorum, and neither may know what was acknowledged"
    assert DOUBT in damaged.disk.names(damaged.machine.places.snapshots)
    story.start(leader)
    story.settle()
    assert not damaged.state.doubt
    assert DOUBT not in damaged.disk.names(damaged.machine.places.snapshots)
    story.crash(other)
    end_well(story)


def test_defect_10_a_sync_answered_by_a_deposed_leader_that_was_paused_shows_nothing_old():
    story = begun()
    old = story.settle()
    old.freeze()
    story.run_until(lambda: story.leader is not old and story.leader is not None, 20)
    story.leader.propose(3)
    story.run(1)
    old.sync()
    old.thaw()
    story.run(0.3)
    answered = story.tally["syncs"]
    story.settle()
    assert answered == 0
    old.sync()
    story.run(1)
    assert story.tally["syncs"] == 1
    end_well(story)
