"""Who belongs to a simulated ensemble: servers change their roles, leave, and come back, and operators see to it.

A server that has left goes on without a vote, and does not start again: its list of servers does not have it. Who is to
come back is started with a list in which it is, and asked for when it has had time to follow.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from pyzk.codec.opcodes import OpCode
from pyzk.codec.requests import ReconfigRequest
from pyzk.errors import StorageError
from pyzk.zab.membership import parse_text

if TYPE_CHECKING:
    from pyzk.sim.faults import Faults
    from pyzk.sim.host import Host
    from pyzk.sim.world import World

VOTERS_MIN = 3
LEAVING_SHARE = 0.4
"""How many of those that change leave."""
IN_A_ROW_SHARE = 0.2
"""How often the same client asks for the opposite right behind it: a leader refuses that."""
REGROUP_SHARE = 0.5
"""How often somebody gives the voters groups and weights a little later, or takes them away."""
WEIGHTS = 1, 1, 1, 2, 3
OPERATORS_SECONDS = 1.0
"""How often operators look, once nothing goes wrong any more."""


def reconfigure(faults: Faults) -> None:
    """A voter becomes an observer or the other way round, leaves, or comes back meanwhile; three voters are left."""
    world, rng = faults.world, faults.rng
    if not world.settings.reconfig_enabled:
        return
    configuration = world.checker.sequence.configuration
    may_leave = len(configuration.voter_ids) > VOTERS_MIN
    names = [number for number in world.hosts if may_leave or number not in configuration.voter_ids]
    if not names:
        return
    number = rng.choice(names)
    if configuration.find(number) is None:
        _come_back(faults, world.hosts[number])
        return
    leaves, chance = rng.random() < LEAVING_SHARE, rng.random()
    role = "observer" if number in configuration.voter_ids else "participant"
    _ask(world, _leaving(number) if leaves else _joining(number, role), chance)
    if rng.random() < IN_A_ROW_SHARE:
        _ask(world, _joining(number, role) if leaves else _leaving(number), chance)
    if rng.random() > 1 - REGROUP_SHARE:
        draw = Random(rng.getrandbits(32))
        faults.later(1.0, lambda: _regroup(world, draw, chance))


def _line(number: int, role: str) -> str:
    return f"server.{number}=10.0.0.{number}:2888:3888:{role};2181"


def _joining(number: int, role: str) -> ReconfigRequest:
    return ReconfigRequest(_line(number, role).encode(), None, None, -1)


def _leaving(number: int) -> ReconfigRequest:
    return ReconfigRequest(None, b"%d" % number, None, -1)


def _regroup(world: World, rng: Random, chance: float) -> None:
    """Ask for groups and weights, unless that could not do without a server whose disk is damaged."""
    text = _regrouped(world, rng)
    membership = parse_text(text)
    sound = [host.server_id for host in world.hosts.values() if not (host.may_doubt or host.is_damaged)]
    if membership.quorum().contains_quorum(sound):
        world.checker.sequence.expect(membership)
        _ask(world, ReconfigRequest(None, None, text.encode(), -1), chance)


def _regrouped(world: World, rng: Random) -> str:
    """The same servers: with one group or two of voters that have weights, or as a plain majority."""
    configuration = world.checker.sequence.configuration
    lines = [f"server.{server.server_id}={server.canonical()}" for server in configuration.servers]
    voters = sorted(configuration.voter_ids)
    if not configuration.group_of or rng.random() < 0.5:
        half = len(voters) // 2
        groups = [voters[:half], voters[half:]] if half > 1 and rng.random() < 0.3 else [voters]
        lines += [f"group.{number}={':'.join(map(str, group))}" for number, group in enumerate(groups, 1)]
        lines += [f"weight.{number}={rng.choice(WEIGHTS)}" for number in voters]
    return "\n".join(lines)


def _ask(world: World, request: ReconfigRequest, chance: float) -> None:
    clients = [client for client in world.clients if client.is_connected]
    if clients:
        clients[int(chance * len(clients))].ask(OpCode.RECONFIG, request)


def _come_back(faults: Faults, host: Host) -> None:
    world, chance = faults.world, faults.rng.random()
    request = _joining(host.server_id, faults.rng.choice(("participant", "observer")))
    if host.is_up and host.opened is None:
        host.crash(has_no_power=False)
    if not host.is_up:
        _enlist(host)
    faults.later(2.0, lambda: _ask(world, request, chance))


def _enlist(host: Host) -> None:
    """Write the servers that there are, and this one, into its zoo.cfg, and start it, unless its disk fails."""
    configuration = host.world.checker.sequence.configuration
    lines = configuration.lines()
    if configuration.find(host.server_id) is None:
        lines.append(_line(host.server_id, "participant"))
    assert host.config_files is not None
    try:
        host.config_files.begin_anew(lines)
    except StorageError:
        return
    host.world.start(host.server_id)


def see_to_members(world: World) -> None:
    """From now on operators start members that do not start by themselves, and stop who is no member any more.

    Who is in a configuration that was only proposed counts: who has that in its log may not lead without it. So does
    who is in one that is committed no more, as long as another server acts by it: nobody may have heard of the
    newer one.
    """
    if not world.settings.reconfig_enabled:
        return
    for host in world.hosts.values():
        is_member = world.checker.sequence.may_be_member(host.server_id) or _is_counted_on(host)
        if is_member and not host.is_up:
            _enlist(host)
        elif host.is_up and not is_member:
            host.crash(has_no_power=False)
    world.after(OPERATORS_SECONDS, lambda: see_to_members(world))


def _is_counted_on(host: Host) -> bool:
    """Whether another server that runs acts by a configuration that has this one in it."""
    others = [other for other in host.world.hosts.values() if other is not host and other.is_up]
    return any(other.state.membership.find(host.server_id) is not None for other in others)
