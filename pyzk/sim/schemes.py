"""Faults that take several steps: what chance alone would rarely bring about, and what has broken ensembles before.

Each is drawn like any other fault, and what else goes wrong meanwhile goes wrong. docs/protocol/zab.md section 15.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.sim.faults import Faults
    from pyzk.sim.host import Host

PLACES_TO_DIE = ("acceptedEpoch", "currentEpoch", "Install", "Truncate", "Append", "Opened", "Deliver")


def _others(faults: Faults, host: Host | None) -> list[Host]:
    """Everybody else, in an order that is drawn."""
    hosts = [other for other in faults.world.hosts.values() if other is not host]
    return faults.rng.sample(hosts, len(hosts))


def _vanish(faults: Faults) -> None:
    """A leader that has just begun to propose is not heard any more, or ends."""
    leader = faults.world.leader
    if leader is None:
        return
    leader.propose(faults.rng.randrange(1, 5))
    if faults.rng.random() < 0.5:
        faults.soon(faults.rng.uniform(0, 0.05), lambda: faults.crash(leader))
    else:
        faults.world.cut_off(leader.server_id)
        faults.later(4.0, faults.heal_network)


def _ambush(faults: Faults) -> None:
    """Several servers end at the same point of the way to a new leader, and that leader's predecessor ends now."""
    leader, rng = faults.world.leader, faults.rng
    place, is_behind = rng.choice(PLACES_TO_DIE), rng.random() < 0.5
    for host in _others(faults, leader)[: rng.randrange(1, len(faults.world.hosts))]:
        if rng.random() < 0.3:
            place, is_behind = rng.choice(PLACES_TO_DIE), rng.random() < 0.5
        host.dies_at = place, is_behind
        faults.later(rng.choice((1.0, 3.0)), lambda host=host: _call_off(faults, host))  # type: ignore[misc]
    if leader is not None and rng.random() < 0.8:
        faults.crash(leader, restart_seconds=rng.choice((0.5, 3.0)))


def _call_off(faults: Faults, host: Host) -> None:
    host.dies_at = None
    faults.restart(host)


def _roll(faults: Faults) -> None:
    """All servers are restarted one after the other, with something written in between; quorums change on the way."""
    at = 0.0
    for host in _others(faults, None):
        at += faults.rng.uniform(0.2, 2.0)
        faults.soon(at, lambda host=host: faults.crash(host, restart_seconds=1.0))  # type: ignore[misc]
        for _ in range(faults.rng.randrange(3)):
            faults.soon(at + faults.rng.uniform(0.1, 1.0), lambda: _write(faults))


def _write(faults: Faults) -> None:
    leader = faults.world.leader
    if leader is not None and not leader.is_frozen:
        leader.propose(faults.rng.randrange(1, 4))


def _relay(faults: Faults) -> None:
    """Each server in turn is away while the rest write, so that all have gaps to be filled by another leader."""
    at = 0.0
    for host in _others(faults, faults.world.leader) + [host for host in [faults.world.leader] if host is not None]:
        faults.soon(at, lambda host=host: host.crash(has_no_power=False))  # type: ignore[misc]
        for _ in range(3):
            at += faults.rng.uniform(0.1, 0.5)
            faults.soon(at, lambda: _write(faults))
        faults.soon(at, lambda host=host: faults.restart(host))  # type: ignore[misc]
        at += faults.rng.uniform(0.1, 1.0)


def _sleeping_leader(faults: Faults) -> None:
    """A leader sleeps while its answers pile up and another one is elected; then it is asked for a sync."""
    leader, world = faults.world.leader, faults.world
    if leader is None or leader.is_frozen:
        return
    for other in world.hosts:
        if other != leader.server_id:
            world.network.block(other, leader.server_id)
    faults.soon(world.settings.tick_ms / 1000, leader.freeze)
    limit = (world.settings.sync_ticks + 2) * world.settings.tick_ms / 1000
    faults.soon(limit, lambda: _write(faults))
    faults.soon(limit + 0.5, leader.sync)
    faults.soon(limit + 0.6, faults.heal_network)
    faults.soon(limit + 1.0, lambda: faults.thaw(leader))


def _deposed_leader(faults: Faults) -> None:
    """A leader sleeps while another one is elected, and serves for a while when it wakes: clients of the other come."""
    leader, world = faults.world.leader, faults.world
    if leader is None or leader.is_frozen:
        return
    world.cut_off(leader.server_id)
    leader.freeze()
    limit_seconds = (world.settings.sync_ticks + 2) * world.settings.tick_ms / 1000
    faults.soon(limit_seconds, lambda: _write(faults))
    faults.soon(limit_seconds + 0.4, lambda: faults.thaw(leader))
    for client in world.clients:
        go = faults.rng.uniform(0.4, 0.6)
        faults.soon(limit_seconds + go, lambda client=client: client.go_to(leader.server_id))  # type: ignore[misc]
    faults.soon(limit_seconds + 1.2, faults.heal_network)


def _late_acks(faults: Faults) -> None:
    """Most disks are slow; the quick follower loses its own while what it has acknowledged waits for the others."""
    leader, rng = faults.world.leader, faults.rng
    if leader is None:
        return
    quick, *slow = _others(faults, leader)
    if not faults.may_lose_data(quick):
        return
    for host in slow:
        host.machine.delay_seconds = 0.5, 1.5
        faults.later(4.0, lambda host=host: faults.mend_disk(host))  # type: ignore[misc]
    leader.propose(rng.randrange(1, 4))
    faults.soon(rng.uniform(0.02, 0.3), lambda: _lose(faults, quick))


def _lose(faults: Faults, host: Host) -> None:
    if faults.may_lose_data(host):
        faults.crash(host, restart_seconds=0.2)
        faults.lose_data(host)


def _tail(faults: Faults) -> None:
    """A leader writes what nobody else hears of, ends, and comes back to a leader that has nothing newer."""
    leader, world, rng = faults.world.leader, faults.world, faults.rng
    if leader is None or leader.is_frozen:
        return
    world.cut_off(leader.server_id)
    leader.propose(rng.randrange(1, 4))
    end_at = rng.uniform(0.03, 0.2)
    faults.soon(end_at, lambda: world.be_quiet(4.0))
    faults.soon(end_at, lambda: faults.crash(leader, restart_seconds=rng.choice((0.5, 2.0))))
    faults.soon(end_at, faults.heal_network)


def _false_dawn(faults: Faults) -> None:
    """A leader with a tail that nobody else has dies, leads again, and gives its tail to one follower before it dies.

    The others go on without either of them.
    """
    leader, world = faults.world.leader, faults.world
    if leader is None or leader.is_frozen or len(world.hosts) < 5:
        return
    world.cut_off(leader.server_id)
    leader.propose(faults.rng.randrange(1, 4))
    taker, *rest = _others(faults, leader)
    helpers = rest[: len(world.membership.voter_ids) // 2 - 1]
    faults.soon(0.1, lambda: _dawn(faults, leader, taker, helpers))
    faults.soon(0.1, lambda: world.be_quiet(12.0))
    hosts = [leader, taker, *helpers]
    faults.soon(0.1 + faults.rng.uniform(1.0, 3.0), lambda: _dusk(faults, hosts, [*helpers, *rest]))


def _dawn(faults: Faults, leader: Host, taker: Host, helpers: list[Host]) -> None:
    for host in faults.world.hosts.values():
        host.crash(has_no_power=False)
    faults.heal_network()
    for host in (leader, taker, *helpers):
        faults.restart(host)
    taker.dies_at = "Install", True
    leader.dies_at = "Opened", False
    for host in helpers:
        host.dies_at = faults.rng.choice(("Install", "Append", "Truncate", "currentEpoch")), False


def _dusk(faults: Faults, down: list[Host], up: list[Host]) -> None:
    for host in down:
        host.dies_at = None
        host.crash(has_no_power=False)
        faults.soon(faults.rng.uniform(3.0, 6.0), lambda host=host: faults.restart(host))  # type: ignore[misc]
    for host in up:
        faults.restart(host)


def _two_promises(faults: Faults) -> None:
    """A follower has promised an epoch to one leader, and another one of that or an older epoch is short of promises.

    The first one has two followers: one ends when it has promised, one before. The second one is elected without those
    who have promised, and its followers have slow disks: so it would gladly count who comes from the first.
    """
    world = faults.world
    voters = [host for host in world.hosts.values() if host.server_id in world.membership.voter_ids]
    if len(voters) < 5:
        return
    world.be_quiet(2 * world.settings.init_seconds)
    for host in world.hosts.values():
        host.crash(has_no_power=False)
    faults.heal_network()
    logs = world.checker.logs
    order = sorted(faults.rng.sample(voters, 3), key=lambda host: (logs[host.server_id].end, host.server_id))
    promised = faults.rng.choice(order[:2])
    later = [host for host in voters if host not in (promised, order[2])]
    _first_promise(faults, order, promised, later, faults.rng.choice((1, 2)))


def _first_promise(faults: Faults, order: list[Host], promised: Host, later: list[Host], rounds: int) -> None:
    """The last of three leads; one of the others ends when it has promised, one before. A second round is newer."""
    for host in order:
        host.crash(has_no_power=False)
        faults.restart(host)
        host.dies_at = None if host is order[2] else ("acceptedEpoch", host is promised)
    if rounds > 1:
        faults.soon(0.8, lambda: _first_promise(faults, order, promised, later, rounds - 1))
    else:
        faults.soon(0.8, lambda: _second_promise(faults, order[2], promised, later))


def _second_promise(faults: Faults, first: Host, promised: Host, later: list[Host]) -> None:
    limit_seconds = faults.world.settings.init_seconds
    for host in (first, promised):
        host.crash(has_no_power=False)
    for number, host in enumerate(later):
        host.crash(has_no_power=False)
        faults.restart(host)
        slow_seconds = limit_seconds * (0.3 + 0.2 * number)
        host.machine.delay_seconds = slow_seconds, slow_seconds
        host.dies_at = None
        faults.soon(2 * limit_seconds, lambda host=host: faults.mend_disk(host))  # type: ignore[misc]
    # Whoever leads writes quickly: it is the one with the longest log, and the largest id.
    logs = faults.world.checker.logs
    leader = max(later, key=lambda host: (logs[host.server_id].end, host.server_id))
    faults.mend_disk(leader)
    faults.soon(faults.rng.uniform(0.3, 0.6), lambda: faults.restart(promised))
    faults.soon(2 * limit_seconds, lambda: faults.restart(first))


SCHEMES: dict[str, Callable[[Faults], None]] = {
    "vanishing leader": _vanish,
    "ambush": _ambush,
    "rolling restart": _roll,
    "relay of absences": _relay,
    "sleeping leader": _sleeping_leader,
    "deposed leader": _deposed_leader,
    "late acks": _late_acks,
    "tail": _tail,
    "two promises": _two_promises,
    "false dawn": _false_dawn,
}
