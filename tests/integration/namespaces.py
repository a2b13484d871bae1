"""A network of its own for each server of an ensemble, and partitions between them: Linux network namespaces.

Every server has an address on one bridge, which the clients of this machine reach too. A partition is a route that
drops what one server sends to another, so nobody is told: packets vanish, as on a network. Needs root.

    with Network(5) as network:
        ensemble = Ensemble(folder, kinds, hosts=network.hosts)
        network.enter(ensemble)
        network.part({1, 2}, {3, 4, 5})
        network.heal()

With `peer_networks` the servers have networks of their own besides, each of which can go down for all of them or for
one (`Ensemble(..., hosts=network.hosts, peer_hosts=network.peer_hosts)`).
"""

import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Collection, Mapping
from typing import Self

from tests.integration.ensemble import Ensemble
from tests.interop.apache import UnavailableError

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000  # linux/sched.h
# Addresses for documentation and benchmarks, which nobody else uses (RFC 2544).
SUBNETS = [f"198.18.{number}" for number in range(256)]
# Nothing of this machine is on these, so that every test may have the same.
PEER_SUBNETS = [f"198.19.{number}" for number in range(256)]


def ip(*words: str) -> None:
    """Run iproute2's `ip`. Raises CalledProcessError."""
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def leave_the_machine() -> None:
    """Give this process, and all that it starts, networks and mounts of their own for the rest of its life.

    Nothing of them is left on the machine afterwards, nor seen from it, and every address is free. Call it before any
    thread is started.

    Raises:
        UnavailableError: when this machine does not let us.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        raise UnavailableError(f"network namespaces are not permitted here: {os.strerror(ctypes.get_errno())}")
    try:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True, capture_output=True, text=True)
        ip("link", "set", "lo", "up")
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnavailableError(f"network namespaces are not permitted here: {error}") from None


class Network:
    """A bridge and one namespace a server, for the length of a `with`.

    Args:
        servers: how many, with addresses that nobody else uses.
        hosts: or the address of each, all below one /24; in a network of this process's own (`leave_the_machine`).
        peer_networks: further bridges, on which only the servers are.

    Attributes:
        hosts: the address of each sid that clients reach too.
        peer_hosts: its addresses on the further bridges.

    Raises:
        UnavailableError: on entering, when this machine does not let us make them.
    """

    def __init__(self, servers: int = 0, peer_networks: int = 0, hosts: Mapping[int, str] | None = None) -> None:
        self.tag = f"zk{os.getpid() % 100000:x}"
        self.bridge = f"{self.tag}br"
        subnet = SUBNETS[os.getpid() % len(SUBNETS)]
        self.hosts = dict(hosts or {sid: f"{subnet}.{sid}" for sid in range(1, servers + 1)})
        self.gateway = f"{next(iter(self.hosts.values())).rpartition('.')[0]}.254"
        subnets = PEER_SUBNETS[1 : peer_networks + 1]
        self.peer_hosts = {sid: [f"{subnet}.{sid}" for subnet in subnets] for sid in self.hosts}
        self._peer_bridges = [f"{self.bridge}{number}" for number in range(1, peer_networks + 1)]
        self._dropped: set[tuple[int, int]] = set()

    def __enter__(self) -> Self:
        if shutil.which("ip") is None:
            raise UnavailableError("iproute2 is not installed")
        try:
            self._build()
        except subprocess.CalledProcessError as error:
            self._remove()
            raise UnavailableError(f"network namespaces are not permitted here: {error.stderr.strip()}") from None
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def enter(self, ensemble: Ensemble) -> None:
        """Have the ensemble's servers start inside their namespaces."""
        for sid, member in ensemble.members.items():
            member.prefix = self.inside(sid)

    def inside(self, sid: int) -> tuple[str, ...]:
        """What goes before a command that shall run on this server's host."""
        return ("ip", "netns", "exec", self._name(sid))

    def drop(self, sender: int, receiver: int) -> None:
        """From now on nothing that `sender` sends to `receiver` arrives; the other direction stays as it is."""
        if (sender, receiver) not in self._dropped:
            self._dropped.add((sender, receiver))
            self._inside(sender, "route", "add", "blackhole", f"{self.hosts[receiver]}/32")

    def part(self, *sides: Collection[int]) -> None:
        """Nothing passes between these groups of servers, in either direction. Clients reach them all."""
        for one, other in itertools.permutations(sides, 2):
            for sender, receiver in itertools.product(one, other):
                self.drop(sender, receiver)

    def heal(self) -> None:
        for sender, receiver in self._dropped:
            self._inside(sender, "route", "del", "blackhole", f"{self.hosts[receiver]}/32")
        self._dropped.clear()

    def silence(self, network: int) -> None:
        """The peers' network of this number (from 1) is down, and no server is told: what they send vanishes."""
        ip("link", "set", self._peer_bridges[network - 1], "down")

    def restore(self, network: int) -> None:
        ip("link", "set", self._peer_bridges[network - 1], "up")

    def unplug(self, sid: int, network: int) -> None:
        """The server's link to a peers' network is down, as it can see."""
        self._inside(sid, "link", "set", f"eth{network}", "down")

    def plug_in(self, sid: int, network: int) -> None:
        self._inside(sid, "link", "set", f"eth{network}", "up")

    def _name(self, sid: int) -> str:
        return f"{self.tag}-{sid}"

    def _inside(self, sid: int, *words: str) -> None:
        ip("-n", self._name(sid), *words)

    def _build(self) -> None:
        self._add_bridge(self.bridge)
        ip("address", "add", f"{self.gateway}/24", "dev", self.bridge)
        for bridge in self._peer_bridges:
            self._add_bridge(bridge)
        for sid, host in self.hosts.items():
            ip("netns", "add", self._name(sid))
            self._inside(sid, "link", "set", "lo", "up")
            bridges = zip([self.bridge, *self._peer_bridges], [host, *self.peer_hosts[sid]], strict=True)
            for number, (bridge, address) in enumerate(bridges):
                self._connect(sid, number, bridge, address)

    @staticmethod
    def _add_bridge(name: str) -> None:
        ip("link", "add", name, "type", "bridge")
        ip("link", "set", name, "up")

    def _connect(self, sid: int, number: int, bridge: str, address: str) -> None:
        """Give a server the interface ethN with this address on a bridge."""
        inside, outside = f"eth{number}", f"{self.tag}v{sid}{number or ''}"
        ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", self._name(sid))
        ip("link", "set", outside, "master", bridge, "up")
        self._inside(sid, "address", "add", f"{address}/24", "dev", inside)
        self._inside(sid, "link", "set", inside, "up")

    def _remove(self) -> None:
        for sid in self.hosts:
            for number in range(len(self._peer_bridges) + 1):
                self._delete("link", f"{self.tag}v{sid}{number or ''}")
            self._delete("netns", self._name(sid))
        for bridge in [self.bridge, *self._peer_bridges]:
            self._delete("link", bridge)

    @staticmethod
    def _delete(what: str, name: str) -> None:
        subprocess.run(["ip", what, "del", name], check=False, capture_output=True)
