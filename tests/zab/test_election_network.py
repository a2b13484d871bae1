"""docs/protocol/election.md section 8: captured sequences, and elections on networks that lose and delay."""

import json
import random
from pathlib import Path

import pytest

from pyzk.codec.election import NOBODY, ServerState
from pyzk.zab.election import ElectionSettings
from pyzk.zab.membership import parse_text
from pyzk.zab.votes import DATA_LOST, Vote
from tests.zab.election_network import Machine, Network

LOOKING, FOLLOWING, LEADING, OBSERVING = ServerState
NOBODYS_VOTE = Vote(NOBODY, NOBODY, 0, NOBODY)
PEER = Path(__file__).parent.parent / "vectors" / "peer.jsonl"
VECTORS = {line["name"]: line for line in map(json.loads, PEER.read_text().splitlines())}


def ensemble(rng: random.Random, voters: int = 3, observers: int = 0, **arguments: object) -> Network:
    roles = ["participant"] * voters + ["observer"] * observers
    lines = [f"server.{number}=h{number}:2888:3888:{role}" for number, role in enumerate(roles, 1)]
    network = Network(parse_text("\n".join([*lines, "version=0"])), rng, **arguments)
    for number, role in enumerate(roles, 1):
        network.add(number, Vote(number, 0, 0, 0) if role == "participant" else NOBODYS_VOTE)
    return network


def states(network: Network) -> list[ServerState]:
    return [machine.election.state for machine in network.machines.values() if machine.is_up]


def votes(network: Network, sender: int, receiver: int) -> list[tuple[int, ...]]:
    """(state, leader, zxid, round, epoch) of the notifications sent."""
    return [
        (sent.state, sent.leader, sent.zxid, sent.round, sent.peer_epoch)
        for sent in network.notifications(sender, receiver)
    ]


def established(network: Network, epoch: int = 1) -> None:
    """Let the servers that run elect, and establish the epoch."""
    assert network.run(10, network.is_settled)
    for machine in network.machines.values():
        if machine.is_up:
            machine.election.refresh(epoch)


# Captured sequences.


def test_two_of_three_new_servers_elect_the_one_with_the_larger_id(rng: random.Random) -> None:
    network = ensemble(rng)
    network.crash(2)
    network.crash(3)
    network.start(1)
    network.run(1.5)
    dialed_at = sorted({round(at, 2) for at, _, _ in network.dials})
    assert dialed_at == [0.0, 0.2, 0.6, 1.4], "200, 400 and 800 ms apart"
    network.machines[2].is_up = True
    network.start(2)
    began = network.now
    assert network.run(5, network.is_settled)
    assert states(network) == [FOLLOWING, LEADING]
    assert network.hellos() == [(2, 1)], "2 is larger and dials"
    assert votes(network, 2, 1)[0] == (LOOKING, 2, 0, 1, 0)
    assert votes(network, 1, 2) == [(LOOKING, 1, 0, 1, 0), (LOOKING, 2, 0, 1, 0)]
    assert all(0.2 <= at - began < 0.25 for at, _, _ in network.elected), "after 200 ms of silence"


def test_a_late_joiner_follows_without_waiting(rng: random.Random) -> None:
    network = ensemble(rng)
    network.crash(3)
    network.start(1, 2)
    established(network)
    network.machines[3].is_up = True
    network.start(3)
    began = network.now
    assert network.run(5, network.is_settled)
    assert network.now - began < 0.1
    assert states(network) == [FOLLOWING, LEADING, FOLLOWING]
    assert [hello for hello in network.hellos() if 3 in hello] == [(3, 1), (3, 2)]
    assert votes(network, 1, 3)[-1] == (FOLLOWING, 2, 0, 1, 1)
    assert votes(network, 2, 3)[-1] == (LEADING, 2, 0, 1, 1)


def test_a_smaller_server_that_dials_a_larger_one_is_dialed_back(rng: random.Random) -> None:
    network = ensemble(rng)
    network.crash(3)
    network.machines[2].election.state = FOLLOWING  # and dials nobody
    network.start(1)
    network.run(0.1)
    assert network.hellos() == [(1, 2), (2, 1)]
    assert votes(network, 1, 2) == [(LOOKING, 1, 0, 1, 0)]


def test_those_left_elect_a_new_leader_while_the_old_one_still_says_that_it_leads(rng: random.Random) -> None:
    network = ensemble(rng)
    network.crash(3)
    network.start(1, 2)
    established(network)
    network.machines[3].is_up = True
    network.start(3)
    assert network.run(5, network.is_settled)
    for server_id in (1, 3):
        network.machines[server_id].initial = Vote(server_id, 0x10000000E, 0, 1)
    network.start(1, 3)
    network.run(1.0)
    assert states(network) == [FOLLOWING, LEADING, LEADING], "2 is not aware"
    assert network.machines[1].election.current == Vote(3, 0x10000000E, 2, 1)
    assert (LEADING, 2, 0, 1, 1) in votes(network, 2, 3)


def test_the_bytes_on_the_link_are_those_that_were_captured(rng: random.Random) -> None:
    text = VECTORS["election.notification.looking.first"]["decoded"]["config"]
    network = Network(parse_text(text.replace("127.0.0.1", "h1")), rng)
    network.membership = parse_text(text)
    machine = network.add(2, Vote(2, 0, 0, 0))
    machine.election.start(machine.initial, 0.0)
    machine.connections.connected(1)
    sent = [effect.data.hex() for effect in machine.effects if hasattr(effect, "data")]
    names = ["election.initial.v1", "election.notification.looking.first"]
    assert sent == [VECTORS[name]["hex"] for name in names]


def test_an_observer_finds_the_leader_and_never_votes(rng: random.Random) -> None:
    network = ensemble(rng, voters=3, observers=1)
    network.start(1, 2, 3, 4)
    established(network)
    assert states(network) == [FOLLOWING, FOLLOWING, LEADING, OBSERVING]
    assert all(4 not in machine.election.electors for machine in network.machines.values())


def test_an_observer_alone_with_one_of_three_voters_elects_nobody(rng: random.Random) -> None:
    network = ensemble(rng, voters=3, observers=2)
    for server_id in (2, 3):
        network.crash(server_id)
    network.start(1, 4, 5)
    network.run(300)
    assert states(network) == [LOOKING] * 3


def test_a_server_alone_in_its_ensemble_elects_itself(rng: random.Random) -> None:
    network = ensemble(rng, voters=1)
    network.start(1)
    network.run(0.25)
    assert states(network) == [LEADING]


def test_servers_that_do_not_agree_who_votes_do_not_answer_each_other_without_end(rng: random.Random) -> None:
    network = ensemble(rng)
    for server_id in (2, 3):
        network.crash(server_id)
    joiner = network.add(4, Vote(4, 0, 0, 0))
    joiner.connections.membership = parse_text("server.1=h1:1:3888\nserver.4=h4:1:3888\nserver.5=h5:1:3888\nversion=0")
    joiner.election.logical_clock = 9
    network.start(1, 4)
    network.run(10)
    assert states(network) == [LOOKING, LOOKING]
    assert len(network.trace) < 50


def test_a_server_outside_the_configuration_finds_the_leader(rng: random.Random) -> None:
    network = ensemble(rng)
    network.start(1, 2, 3)
    established(network)
    joiner = network.add(4, Vote(NOBODY, 0, 0, 0))
    joiner.connections.membership = parse_text(network.membership.text() + "\nserver.4=h4:2888:3888:observer")
    network.start(4)
    assert network.run(2, network.is_settled)
    assert joiner.election.state is FOLLOWING
    assert joiner.election.current.leader == 3


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_server_that_has_lost_data_joins_a_leader_that_others_have_elected(rng: random.Random, lost: int) -> None:
    network = ensemble(rng)
    network.machines[lost].initial = Vote(lost, DATA_LOST, 0, 7)
    network.start(1, 2, 3)
    established(network)
    assert network.machines[1].election.current.leader == (2 if lost == 3 else 3)
    assert all(lost not in network.machines[leader].election.electors for leader in (1, 2, 3) if leader != lost)


def test_two_servers_of_which_one_has_lost_data_elect_nobody(rng: random.Random) -> None:
    network = ensemble(rng)
    network.machines[1].initial = Vote(1, DATA_LOST, 0, 7)
    network.crash(3)
    network.start(1, 2)
    network.run(200)
    assert states(network) == [LOOKING, LOOKING]


def test_one_of_two_leads_when_the_oracle_says_so(rng: random.Random) -> None:
    network = ensemble(rng, voters=2)
    machine = network.add(1, Vote(1, 0, 0, 0), ElectionSettings(oracle_enabled=True))
    network.crash(2)
    network.start(1)
    network.run(1.0)
    assert states(network) == [LOOKING]
    machine.election.oracle_says = True
    network.run(5)
    assert states(network) == [LEADING]


# Random networks.


def rank(machine: Machine) -> tuple[int, int, int]:
    return machine.initial.peer_epoch, machine.initial.zxid, machine.server_id


def assert_leaders_are_best_of_a_quorum(network: Network) -> None:
    for _, server_id, vote in network.elected:
        if vote.leader == server_id:
            ranks = [rank(network.machines[voter]) for voter in sorted(network.membership.voter_ids)]
            below = sum(other <= rank(network.machines[server_id]) for other in ranks)
            assert 2 * below > len(ranks), f"{server_id} was elected over a quorum that knows more"


@pytest.mark.parametrize("number", range(30))
@pytest.mark.parametrize("voters", [3, 5])
def test_random_networks_converge_to_one_leader_that_knows_most_of_a_quorum(
    rng: random.Random, voters: int, number: int
) -> None:
    observers = number % 3
    network = ensemble(rng, voters, observers, delay=(0.0, rng.choice([0.002, 0.05, 0.3])), loss=0.0)
    for machine in network.machines.values():
        if machine.server_id <= voters:
            epoch = rng.randrange(3)
            machine.initial = Vote(machine.server_id, epoch << 32 | rng.randrange(3), 0, epoch)
    network.loss = rng.choice([0.0, 0.02, 0.2])
    for server_id in rng.sample(range(1, voters + 1), rng.randrange((voters + 1) // 2)):
        network.crash(server_id)
    for machine in list(network.machines.values()):
        if machine.is_up:
            network.after(rng.uniform(0, 2), lambda server_id=machine.server_id: network.start(server_id))
    network.run(20)
    network.loss = 0.0
    assert network.run(400, network.is_settled), states(network)
    leader = network.machines[next(iter(network.machines))]
    assert network.is_established(next(m for m in network.machines.values() if m.is_up).election.current.leader), leader
    assert_leaders_are_best_of_a_quorum(network)


def test_the_same_seed_gives_the_same_election(seed: int) -> None:
    traces = []
    for _ in range(2):
        network = ensemble(random.Random(seed), 5, 2, delay=(0.0, 0.3), loss=0.1)
        network.start(*network.machines)
        network.run(20)
        traces.append((network.trace, network.dials, network.elected))
    assert traces[0] == traces[1]


@pytest.mark.parametrize("number", range(10))
def test_when_leaders_crash_one_after_the_other_those_left_elect_again(rng: random.Random, number: int) -> None:
    network = ensemble(rng, 5, number % 2, delay=(0.0, 0.02), loss=rng.choice([0.0, 0.05]))
    network.start(*network.machines)
    for epoch in (1, 2, 3):
        assert network.run(200, network.is_settled)
        alive = [machine for machine in network.machines.values() if machine.is_up]
        leader = alive[0].election.current.leader
        assert network.is_established(leader)
        for machine in alive:
            machine.election.refresh(epoch)
            if machine.server_id <= 5:
                machine.initial = Vote(machine.server_id, epoch << 32 | rng.randrange(5), 0, epoch)
        if epoch < 3:
            network.crash(leader)
            network.elected.clear()
            for machine in alive:
                if machine.is_up:
                    network.after(rng.uniform(0, 1), lambda server_id=machine.server_id: network.start(server_id))
            network.run(1.1)
    assert_leaders_are_best_of_a_quorum(network)
