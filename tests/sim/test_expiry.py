"""Sessions that end by themselves: when the checker believes a server, and when it does not."""

import pytest

from pyzk.sim.plan import Plan, membership_lines
from pyzk.sim.sequence import BrokenInvariantError
from pyzk.sim.world import World
from pyzk.zab.settings import AgreementSettings

SESSION, TIMEOUT_MS = 0x77, 60_000


@pytest.fixture
def leader():
    """Of an ensemble that knows a session, which a server has heard just now."""
    world = World(Plan(1, 0.0, "\n".join(membership_lines(3, 0)), AgreementSettings(tick_ms=500), clients=1))
    world.start()
    world.settle(20.0)
    world.checker.model.sessions[SESSION] = TIMEOUT_MS
    world.checker.alive[SESSION] = world.now
    return world.leader


def test_a_session_that_shows_life_is_not_given_up(leader):
    with pytest.raises(BrokenInvariantError, match="no session ends that shows life"):
        leader.world.checker.expires(leader, SESSION)


def test_nobody_returns_to_a_session_that_is_given_up_though_its_end_waits_for_other_txns(leader):
    checker = leader.world.checker
    with pytest.raises(BrokenInvariantError, match="only a session that was ended has expired"):
        checker.refused(leader, SESSION)
    checker.alive[SESSION] -= TIMEOUT_MS / 1000
    checker.expires(leader, SESSION)
    checker.refused(leader, SESSION)


def test_the_end_of_a_session_that_waits_in_a_throttle_is_shown_to_the_checker(leader):
    leader.member.service.settings.requests.requests_max = 1
    leader.member.desk.outstanding.extend([None])  # a txn that nobody acknowledges
    leader.member.service.tracker.add(SESSION, 500, leader.now - 2)
    leader.world.checker.alive[SESSION] -= TIMEOUT_MS / 1000
    leader._pass_tick()
    assert SESSION in leader.expiring
    assert leader.member.service.outbox.submitted
