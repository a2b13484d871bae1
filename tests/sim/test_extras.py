"""What a run may have beside the plain ensemble: rarer requests, strangers, servers that log in, files that change."""

from dataclasses import replace
from random import Random

import pytest

from pyzk.service.throttle import RequestLimits
from pyzk.sim.configfiles import ConfigFiles
from pyzk.sim.disk import SimulatedDisk
from pyzk.sim.extras import Extras, draw_extras
from pyzk.sim.leftovers import LEFTOVERS, draw_leftovers
from pyzk.sim.mishaps import MISHAPS, draw_mishaps
from pyzk.sim.plan import Fault, membership_lines
from pyzk.sim.run import plan_of, run_plan
from pyzk.zab.effects import SaveConfig
from pyzk.zab.membership import parse_text

SECONDS = 8.0
BUSY = Extras(rare_share=0.5, sweep_ticks=1, never_used_max_ms=2000, has_quotas=True)


def calm(seed, extras):
    """A run in which nothing goes wrong but what the extras bring."""
    plan = plan_of(seed, SECONDS, clients=4, servers=3)
    return run_plan(replace(plan, faults=[], points={}, has_blackout=False, extras=extras))


def test_half_of_all_runs_are_plain_and_the_seed_says_which():
    drawn = [draw_extras(seed) for seed in range(200)]
    assert 70 < drawn.count(Extras()) < 130
    assert drawn == [draw_extras(seed) for seed in range(200)]
    for name in Extras.__dataclass_fields__:
        assert len({str(getattr(extras, name)) for extras in drawn}) > 1, name


def test_clients_ask_for_what_is_rare_and_what_goes_by_itself_goes():
    tally = calm(3, BUSY).tally
    assert tally["swept"] > 0
    assert tally["watches"] > 0


def test_servers_prove_who_they_are_before_they_speak_of_anything_else():
    world = calm(4, Extras(peers_log_in=True))
    assert world.tally["logins of servers"] > 0
    assert world.leader is not None


@pytest.mark.parametrize("login", ["sasl", "required"])
def test_clients_log_in(login):
    world = calm(5, Extras(rare_share=0.2, login=login))
    users = {identity for claims in world.checker.model.claims.values() for identity in claims}
    assert (b"sasl", b"user1") in users


def test_local_sessions_become_global_when_they_need_to():
    world = calm(6, Extras(local_sessions=True, local_sessions_upgrade=True))
    assert len(world.checker.model.begun) > 0
    assert world.checker.model.sessions.keys() <= world.checker.model.begun.keys()


def test_strangers_are_sent_away_and_an_operator_finds_nothing_wrong():
    world = calm(7, replace(BUSY, has_strangers=True, has_operator=True, is_audited=True))
    assert world.tally["strangers"] > 0
    assert sum(world.checker.audited.values()) > 0


def test_a_throttle_of_one_request_at_a_time_lets_all_of_them_through():
    world = calm(8, Extras(requests=RequestLimits(requests_max=1), outstanding_max=2))
    assert world.tally["acknowledged"] > 50


def configuration(version, role="participant"):
    lines = membership_lines(3, 0)
    lines[2] = lines[2].replace("participant", role)
    return "\n".join([*lines, f"version={version:x}"])


def test_configuration_files_hold_what_was_saved_last():
    files = ConfigFiles(SimulatedDisk(), 1, parse_text(configuration(0)), Random(1))
    assert files.load() == (parse_text(configuration(0)), parse_text(configuration(0)))
    assert files.save(SaveConfig(configuration(5, "observer"), is_next=True), may_be_cut=False)
    assert files.load() == (parse_text(configuration(0)), parse_text(configuration(5, "observer")))
    assert files.save(SaveConfig(configuration(5, "observer"), is_next=False), may_be_cut=False)
    assert files.load() == (parse_text(configuration(5, "observer")), parse_text(configuration(5, "observer")))


def test_a_configuration_that_was_being_written_is_the_old_one_or_the_new_one(rng):
    cut = 0
    for _ in range(200):
        disk = SimulatedDisk()
        files = ConfigFiles(disk, 1, parse_text(configuration(0)), rng)
        files.load()
        if not files.save(SaveConfig(configuration(5), is_next=False), may_be_cut=True):
            cut += 1
            disk.crash(rng)
            assert files.load()[0].version in {0, 5}
    assert cut > 0


@pytest.mark.parametrize("kind", [*MISHAPS, *LEFTOVERS])
def test_an_ensemble_gets_over_what_goes_wrong_with_files(kind):
    plan = plan_of(9, SECONDS, clients=4, servers=3)
    faults = [Fault(2.0, kind, 1), Fault(4.0, kind, 2)]
    extras = Extras(rare_share=0.1, snapshot_txns=20, has_log_directory=True, autocreate=False)
    membership = "\n".join(membership_lines(3, 1))
    changes = {"faults": faults, "points": {}, "has_blackout": False, "extras": extras, "membership": membership}
    world = run_plan(replace(plan, **changes))
    assert world.tally[kind] == 2
    assert world.tally["snapshots"] > 0


def test_mishaps_come_only_with_extras_and_in_their_order():
    for draw, kinds in ((draw_mishaps, set(MISHAPS)), (draw_leftovers, set(LEFTOVERS))):
        drawn = [draw(seed, 60.0) for seed in range(50)]
        assert {fault.kind for faults in drawn for fault in faults} == kinds
        assert not {fault.kind for fault in plan_of(3, 60.0, is_plain=True).faults} & kinds
    times = [fault.at for fault in plan_of(3, 60.0).faults]
    assert times == sorted(times)


def test_intruders_on_the_ports_of_servers_change_nothing():
    world = calm(10, Extras(has_strangers=True))
    assert world.tally["intruders"] > 0
    assert world.tally["acknowledged"] > 0
