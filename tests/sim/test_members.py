"""Servers that leave an ensemble and come back, and what operators do about it."""

from dataclasses import replace
from random import Random

import pytest

from pyzk.sim.faults import Faults
from pyzk.sim.members import reconfigure, see_to_members
from pyzk.sim.plan import membership_lines
from pyzk.sim.run import plan_of
from pyzk.sim.workload import Workload
from pyzk.sim.world import World


@pytest.fixture
def world():
    """Four voters, one of which may leave, and clients."""
    plan = plan_of(1, 60.0, clients=4, servers=4, is_plain=True)
    plan = replace(plan, membership="\n".join(membership_lines(4, 0)), faults=[], points={}, has_blackout=False)
    plan.settings.reconfig_enabled = True
    world = World(plan)
    world.faults = Faults(world, plan)
    world.start()
    world.settle()
    Workload(world.clients, plan)
    world.run(2.0)
    return world


def members(world):
    return {server.server_id for server in world.checker.sequence.configuration.servers}


class Always:
    """Draws the least, and the choices that are given to it."""

    def __init__(self, *chosen):
        self.chosen = list(chosen)
        self.offered = []

    def choice(self, among):
        self.offered.append(list(among))
        wanted = self.chosen.pop(0)
        assert wanted in among
        return wanted

    def random(self):
        return 0.0

    def expovariate(self, rate):
        return 1 / rate


def left(world, number=4):
    world.faults.rng = Always(number)
    reconfigure(world.faults)
    world.run_until(lambda: number not in members(world), 5.0, "it leaves")
    world.run(1.0)
    return world.hosts[number]


def test_a_server_that_leaves_does_not_start_again(world):
    host = left(world)
    host.crash(has_no_power=True)
    world.start()
    assert not host.is_up
    assert world.tally["starts of no member"] == 1
    world.settle()


@pytest.mark.parametrize("role", ["participant", "observer"])
def test_its_operator_has_it_come_back(world, role):
    host = left(world)
    host.crash(has_no_power=False)
    world.faults.rng = Always(4, role)
    reconfigure(world.faults)
    assert host.is_up
    world.run_until(lambda: 4 in members(world), 5.0, "it is a member again")
    assert (4 in world.checker.sequence.configuration.voter_ids) == (role == "participant")
    world.run_until(lambda: host.opened is not None, 5.0, "it serves")
    world.run_until(lambda: host.tree.last_zxid >= world.leader.tree.last_zxid, 5.0, "it has what all have")


def test_an_operator_can_do_nothing_while_the_disk_fails(world):
    host = left(world)
    host.crash(has_no_power=False)
    host.disk.failing_writes = True
    world.faults.rng = Always(4, "observer")
    reconfigure(world.faults)
    assert not host.is_up
    host.disk.stop_failing()
    world.settle()


def test_in_the_end_members_run_and_nobody_else_does(world):
    gone, down = left(world), world.hosts[1]
    assert gone.is_up
    down.crash(has_no_power=True)
    see_to_members(world)
    assert not gone.is_up
    assert down.is_up


def test_three_voters_are_left(world):
    host = left(world)
    host.crash(has_no_power=False)
    drawn = world.faults.rng = Always(4, "observer")
    reconfigure(world.faults)
    assert drawn.offered[0] == [4]


def test_voters_are_given_groups_and_weights(world):
    world.faults.rng = Random(3)
    while not world.checker.sequence.configuration.group_of:
        reconfigure(world.faults)
        world.run(5.0)
        assert world.now < 200
    configuration = world.checker.sequence.configuration
    assert set(configuration.group_of) == set(configuration.voter_ids)
    world.settle()
