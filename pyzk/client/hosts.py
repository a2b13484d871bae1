"""Which server to try next: the connection string and the order of its servers."""

from random import Random

Address = tuple[str, int]
"""Host and port. The session machine never looks inside: a simulator may use any names."""

PORT_DEFAULT = 2181

RETRY_FIRST_S = 0.05
"""Longest wait after the first lost connection; doubles with every round in which no server answered."""

RETRY_MAX_S = 1.0


def parse_hosts(text: str) -> tuple[list[Address], str]:
    """Servers and chroot of a connection string such as `a:2181,[::1]:2182/app`.

    Raises ValueError that says what is wrong. The chroot is "" when there is none.
    """
    hosts, slash, rest = text.partition("/")
    chroot = (slash + rest).rstrip("/")
    if "//" in chroot:
        raise ValueError(f"empty name in the chroot of {text!r}")
    addresses = [_parse_address(host.strip()) for host in hosts.split(",") if host.strip()]
    if not addresses:
        raise ValueError(f"no server in {text!r}: write host:port, several with commas between them")
    return addresses, chroot


def _parse_address(text: str) -> Address:
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError(f"server {text!r}: write an IPv6 address as [address]:port")
        port = port[1:]
    elif text.count(":") > 1:
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    if not host:
        raise ValueError(f"server {text!r} has no host name")
    return host, _parse_port(port, text)


def _parse_port(port: str, text: str) -> int:
    if not port:
        return PORT_DEFAULT
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"server {text!r}: the port must be a number from 1 to 65535")
    return int(port)


class Rotation:
    """The servers in random order, one after the other, with a growing random wait between attempts.

    Shuffled and with jitter, so that the clients of a failed server do not all arrive at its neighbour at once.
    """

    def __init__(self, addresses: list[Address], rng: Random) -> None:
        if not addresses:
            raise ValueError("a session needs at least one server")
        self._addresses = rng.sample(addresses, len(addresses))
        self._rng = rng
        self._position = 0
        self._failures = 0

    def __len__(self) -> int:
        return len(self._addresses)

    def take(self) -> Address:
        """The next server; counts as failed until `succeeded` is called."""
        address = self._addresses[self._position]
        self._position = (self._position + 1) % len(self._addresses)
        self._failures += 1
        return address

    def succeeded(self) -> None:
        """The server taken last gave us our session."""
        self._failures = 0

    def prefer(self, address: Address) -> None:
        """Let `address` be the next one taken."""
        self._position = self._addresses.index(address)

    def others(self, current: Address) -> list[Address]:
        """Every server but `current`, the next one to be taken first."""
        order = self._addresses[self._position :] + self._addresses[: self._position]
        return [address for address in order if address != current]

    def wait_s(self) -> float:
        """How long to wait before the next attempt, seconds."""
        rounds = min(self._failures // len(self._addresses), 16)
        return self._rng.uniform(0, min(RETRY_MAX_S, RETRY_FIRST_S * 2**rounds))
