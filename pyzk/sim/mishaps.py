"""Rarer things that go wrong with the files of a server; they come only in runs with extras."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from pyzk.sim.plan import Fault
from pyzk.storage import names
from pyzk.storage.disk import replace
from pyzk.storage.epochs import ACCEPTED, CURRENT
from pyzk.storage.switch import PENDING
from pyzk.zab.history import begins_epoch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.sim.faults import Faults
    from pyzk.sim.host import Host

MISHAPS_MAX = 4
RECONFIGS_MAX = 10


def draw_mishaps(seed: int, seconds: float, *, reconfigs: bool = False) -> list[Fault]:
    """Those of a run, by time; with reconfigurations among them, if they are enabled."""
    rng = Random(f"{seed} mishaps")
    times = sorted(rng.uniform(0.1, 0.95) * seconds for _ in range(rng.randrange(MISHAPS_MAX + 1)))
    found = [Fault(at, rng.choice(list(MISHAPS)), rng.getrandbits(32)) for at in times]
    count = rng.randrange(RECONFIGS_MAX + 1) if reconfigs else 0
    found += [Fault(rng.uniform(0.05, 0.95) * seconds, "reconfig", rng.getrandbits(32)) for _ in range(count)]
    return sorted(found, key=lambda fault: fault.at)


def victim(faults: Faults) -> Host | None:
    """Somebody who may lose what it has, ended. Who has nothing but epochs must keep them: nobody would miss them."""
    host = faults.some_host()
    if not faults.may_lose_data(host) or not names.snapshots(host.disk.names(host.machine.places.snapshots)):
        return None
    host.may_doubt = host.is_damaged = True
    faults.crash(host)
    return host


def _damage_small_file(faults: Faults) -> None:
    """One that has a number or a name in it. The epochs are never both gone: nobody would know that there were any."""
    host = victim(faults)
    if host is None:
        return
    directory, rng = host.machine.places.snapshots, faults.rng
    name, content = rng.choice((ACCEPTED, CURRENT, PENDING)), rng.choice((b"", b"x", b"-7", b"99999999999", None))
    if content is not None:
        replace(host.disk, directory, name, content)
    elif name in host.disk.names(directory):
        host.disk.remove(f"{directory}/{name}")
        host.disk.sync_directory(directory)


def _lose_files(faults: Faults) -> None:
    """All snapshots, or logs, are gone, or a snapshot ends in the middle.

    Not the newest log, and none before the beginning of an epoch: nobody could tell that there were any.
    """
    host = victim(faults)
    if host is None:
        return
    rng, disk, places = faults.rng, host.disk, host.machine.places
    logs = names.logs(disk.names(places.logs))
    lost, behind = rng.choice((([], []), (logs[1:-1][:1], logs[2:3]), (logs[:-1], logs[-1:])))
    paths = [f"{places.logs}/{name}" for _, name in lost]
    snapshots = [f"{places.snapshots}/{name}" for _, name in names.snapshots(disk.names(places.snapshots))]
    if not lost or any(begins_epoch(zxid - 1) for zxid, _ in behind):
        paths = snapshots
    if rng.random() < 0.3:
        for path in snapshots[-1:]:
            file = disk.open(path)
            file.truncate(rng.randrange(disk.size(path)))
            file.sync()
            file.close()
    else:
        for path in paths:
            disk.remove(path)
        disk.sync_directory(places.logs)
        disk.sync_directory(places.snapshots)


def _cut_install(faults: Faults) -> None:
    """A server that has lost its disk is sent a tree, and the power fails while it takes that in."""
    host = faults.some_host()
    if faults.may_lose_data(host):
        faults.crash(host, restart_seconds=0.2)
        faults.lose_data(host)
        doom_change(faults, host)


def _cut_truncate(faults: Faults) -> None:
    """A leader has a tail that nobody else has; the power fails while that is cut off."""
    leader, world = faults.world.leader, faults.world
    if leader is None or leader.is_frozen:
        return
    world.cut_off(leader.server_id)
    leader.propose(faults.rng.randrange(1, 4))
    faults.soon(0.1, lambda: faults.crash(leader, restart_seconds=2.0))
    faults.soon(0.1, faults.heal_network)
    doom_change(faults, leader)


def doom_change(faults: Faults, host: Host) -> None:
    """The power fails in the middle of the next tree that a server takes in, or tail that it cuts; it comes back."""
    host.machine.dooms_change = True
    for seconds in (3.0, 6.0):
        faults.soon(seconds, lambda: faults.restart(host))


MISHAPS: dict[str, Callable[[Faults], None]] = {
    "damaged small file": _damage_small_file,
    "lost files": _lose_files,
    "power cut in an install": _cut_install,
    "power cut in a truncate": _cut_truncate,
}
