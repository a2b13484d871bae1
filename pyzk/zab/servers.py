"""The server list: `server.N`, `group.G` and `weight.N` lines.

Rules and messages: docs/protocol/configuration.md section 3. Host names are kept as text: they are resolved at each
connection, because containers change their addresses.
"""

import attrs

from pyzk.zab.entries import ConfigEntry, parse_decimal, parse_long

PARTICIPANT, OBSERVER = "participant", "observer"
_WRONG_FORMAT = (
    "{} does not have the form server_config or server_config;client_config where server_config is the pipe separated "
    "list of host:port:port or host:port:port:type and client_config is port or host:port"
)
_EXAMPLE = "for example host:2888:3888 or host:2888:3888:observer;2181"
# What Apache writes for a client part that is only a port.
_ANY_ADDRESS = "0.0.0.0"


@attrs.frozen(order=True)
class PeerAddress:
    """One address of a server: where learners connect and where votes go."""

    host: str
    quorum_port: int
    election_port: int


@attrs.frozen
class ServerSpec:
    """One member of the ensemble, as its line says; `client` is (host, port)."""

    server_id: int
    addresses: tuple[PeerAddress, ...]
    role: str = PARTICIPANT
    client: tuple[str, int] | None = None

    @property
    def quorum_addresses(self) -> list[tuple[str, int]]:
        """Where learners connect to it, (host, port)."""
        return [(address.host, address.quorum_port) for address in self.addresses]

    @property
    def election_addresses(self) -> list[tuple[str, int]]:
        """Where votes for it go, (host, port)."""
        return [(address.host, address.election_port) for address in self.addresses]

    @property
    def is_voter(self) -> bool:
        """Observers follow but have no vote."""
        return self.role == PARTICIPANT

    def canonical(self) -> str:
        """The line as /zookeeper/config shows it, without its key: role always there, addresses sorted by host."""
        # Differs from Apache: several addresses on one host keep their ports; Apache pairs quorum and election ports
        # in the order of two hash sets.
        addresses = "|".join(
            f"{_bracketed(address.host)}:{address.quorum_port}:{address.election_port}"
            for address in sorted(self.addresses)
        )
        client = f";{_bracketed(self.client[0])}:{self.client[1]}" if self.client else ""
        return f"{addresses}:{self.role}{client}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def parse_server(line: ConfigEntry, *, multi_address_enabled: bool) -> ServerSpec:
    """The server of a line; ConfigError has Apache's message."""
    server_id = parse_server_id(line)
    parts = _split(line.value, ";")
    if not 1 <= len(parts) <= 2:
        raise line.refused(_WRONG_FORMAT.format(line.value), _EXAMPLE)
    client = _parse_client(line, parts[1]) if len(parts) == 2 else None
    texts = _split(parts[0], "|")
    if len(texts) > 1 and not multi_address_enabled:
        raise line.refused(
            f"Multiple address feature is disabled, but multiple addresses were specified for sid {server_id}",
            "write one address, or set multiAddress.enabled=true",
        )
    parsed = [_parse_address(line, text, server_id) for text in texts]
    return ServerSpec(server_id, tuple(address for address, _ in parsed), _common_role(line, parsed), client)


def parse_server_id(line: ConfigEntry) -> int:
    """The number behind the first dot of server.N, group.N or weight.N."""
    _, _, text = line.key.partition(".")
    try:
        return parse_long(text)
    except ValueError as error:
        raise line.refused(f'For input string: "{text}"', "the key ends in a server's number") from error


def _parse_address(line: ConfigEntry, text: str, server_id: int) -> tuple[PeerAddress, str | None]:
    parts = _split_host(line, text)
    if not 3 <= len(parts) <= 4:
        raise line.refused(_WRONG_FORMAT.format(line.value), _EXAMPLE)
    host = parts[0]
    address = PeerAddress(host, _parse_port(line, host, parts[1]), _parse_port(line, host, parts[2]))
    if address.quorum_port == address.election_port:
        raise line.refused(
            f"Client and election port must be different! Please update the configuration file on server.{server_id}",
            _EXAMPLE,
        )
    return address, _parse_role(line, parts[3]) if len(parts) == 4 else None


def _common_role(line: ConfigEntry, parsed: list[tuple[PeerAddress, str | None]]) -> str:
    roles = [role for _, role in parsed if role is not None]
    for role in roles[1:]:
        if role != roles[0]:
            raise line.refused(f"Multiple addresses should have similar roles: {roles[0]} vs. {role}", _EXAMPLE)
    return roles[0] if roles else PARTICIPANT


def _parse_role(line: ConfigEntry, text: str) -> str:
    role = text.strip().lower()
    if role not in {PARTICIPANT, OBSERVER}:
        raise line.refused(f"Unrecognised peertype: {text}", "write participant or observer")
    return role


def _parse_client(line: ConfigEntry, text: str) -> tuple[str, int]:
    parts = _split_host(line, text)
    if not 1 <= len(parts) <= 2:
        raise line.refused(_WRONG_FORMAT.format(line.value), _EXAMPLE)
    host = parts[0] if len(parts) == 2 else _ANY_ADDRESS
    return host, _parse_port(line, host, parts[-1])


def _parse_port(line: ConfigEntry, host: str, text: str) -> int:
    try:
        port = parse_decimal(text.strip())
    except ValueError as error:
        raise line.refused(f"Address unresolved: {host}:{text}", "a port is a whole number") from error
    if not 0 <= port <= 65535:
        raise line.refused(f"port out of range:{port}", "write a port from 0 to 65535")
    return port


def _split_host(line: ConfigEntry, text: str) -> list[str]:
    """Host and what follows it, split at colons; an IPv6 host is in brackets."""
    text = text.strip()
    if not text.startswith("["):
        return _split(text, ":")
    host, bracket, rest = text[1:].partition("]")
    if not bracket or (rest and not rest.startswith(":")):
        raise line.refused(f"{text} starts with '[' but has no matching ']:'", _EXAMPLE)
    if rest == ":":
        raise line.refused(f"{text} doesn't have a port after colon", _EXAMPLE)
    return [host, *_split(rest[1:], ":")] if rest else [host]


def _split(text: str, separator: str) -> list[str]:
    """Java's String.split: empty parts at the end do not count."""
    parts = text.split(separator)
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return parts
