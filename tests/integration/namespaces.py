"""A network of its own for each server of an ensemble, and partitions between them: Linux network namespaces.

Every server has an address on one bridge, which the clients of this machine reach too. A partition is a route that
drops what one server sends to another, so nobody is told: packets vanish, as on a network. Needs root.

    with Network(5) as network:
        ensemble = Ensemble(folder, kinds, hosts=network.hosts)
        network.enter(ensemble)
        network.part({1, 2}, {3, 4, 5})
        network.heal()
"""

import itertools
import os
import shutil
import subprocess
from collections.abc import Collection
from typing import Self

from tests.integration.ensemble import Ensemble
from tests.interop.apache import UnavailableError

# Addresses for documentation and benchmarks, which nobody else uses (RFC 2544).
SUBNETS = [f"198.18.{number}" for number in range(256)]


def ip(*words: str) -> None:
    """Run iproute2's `ip`. Raises CalledProcessError."""
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Network:
    """A bridge and one namespace a server, for the length of a `with`.

    Raises:
        UnavailableError: on entering, when this machine does not let us make them.
    """

    def __init__(self, servers: int) -> None:
        self.tag = f"zk{os.getpid() % 100000:x}"
        self.bridge = f"{self.tag}br"
        subnet = SUBNETS[os.getpid() % len(SUBNETS)]
        self.gateway = f"{subnet}.254"
        self.hosts = {sid: f"{subnet}.{sid}" for sid in range(1, servers + 1)}
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
            member.prefix = ("ip", "netns", "exec", self._name(sid))

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

    def _name(self, sid: int) -> str:
        return f"{self.tag}-{sid}"

    def _inside(self, sid: int, *words: str) -> None:
        ip("-n", self._name(sid), *words)

    def _build(self) -> None:
        ip("link", "add", self.bridge, "type", "bridge")
        ip("address", "add", f"{self.gateway}/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")
        for sid, host in self.hosts.items():
            ip("netns", "add", self._name(sid))
            outside = f"{self.tag}v{sid}"
            ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", self._name(sid))
            ip("link", "set", outside, "master", self.bridge, "up")
            self._inside(sid, "address", "add", f"{host}/24", "dev", "eth0")
            self._inside(sid, "link", "set", "eth0", "up")
            self._inside(sid, "link", "set", "lo", "up")

    def _remove(self) -> None:
        for sid in self.hosts:
            subprocess.run(["ip", "link", "del", f"{self.tag}v{sid}"], check=False, capture_output=True)
            subprocess.run(["ip", "netns", "del", self._name(sid)], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", self.bridge], check=False, capture_output=True)
