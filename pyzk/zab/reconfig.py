"""What a reconfiguration asks for: the membership that a request makes of the current one.

Source: docs/protocol/zab.md section 12.3, the checks that need nothing but the two memberships. The others (is another
one under way, is a quorum of the new membership in sync, may the client write) are the leader's.
"""

from ipaddress import ip_address

import attrs

from pyzk.errors import BadArgumentsError, ConfigError
from pyzk.zab.entries import ConfigEntry, parse_long
from pyzk.zab.membership import Membership, parse_text
from pyzk.zab.servers import ServerSpec, parse_server

_SOURCE = "reconfig request"


def propose_membership(
    current: Membership,
    joining: str | None,
    leaving: str | None,
    new_members: str | None,
    *,
    standalone_enabled: bool,
    multi_address_enabled: bool,
) -> Membership:
    """The membership that a request asks for, still with the current version: its own is the zxid of its txn.

    Args:
        current: the last membership seen.
        joining: server lines with commas between them; each replaces the server of its id.
        leaving: ids with commas between them; they leave before others join.
        new_members: all lines, with commas or newlines between them; then the other two do not count.
        standalone_enabled: if so, at least two servers must vote, else one.
        multi_address_enabled: whether a server may have several addresses.

    Raises:
        BadArgumentsError: it cannot be read, or breaks a rule.
    """
    try:
        if new_members is not None:
            text = new_members.replace(",", "\n")
            proposed = parse_text(text, _SOURCE, multi_address_enabled=multi_address_enabled)
        else:
            proposed = _changed(current, _items(joining), _items(leaving), multi_address_enabled=multi_address_enabled)
    except ConfigError as error:
        raise BadArgumentsError(str(error)) from error
    voters_needed = 2 if standalone_enabled else 1
    if len(proposed.voters) < voters_needed:
        raise BadArgumentsError(f"Reconfig failed - new configuration must include at least {voters_needed} voters")
    return attrs.evolve(proposed, version=current.version)


def _items(text: str | None) -> list[str]:
    return [item for item in map(str.strip, (text or "").split(",")) if item]


def _changed(current: Membership, joining: list[str], leaving: list[str], *, multi_address_enabled: bool) -> Membership:
    if current.group_of:
        raise BadArgumentsError("Servers cannot join or leave one by one where quorums are hierarchical")
    servers = {server.server_id: server for server in current.servers}
    for text in leaving:
        servers.pop(_parse_leaving(text), None)
    for text in joining:
        joiner = _parse_joiner(text, multi_address_enabled=multi_address_enabled)
        for other in servers.values():
            if other.server_id != joiner.server_id:
                _check_apart(joiner, other)
        servers[joiner.server_id] = joiner
    return Membership(tuple(servers[server_id] for server_id in sorted(servers)))


def _parse_leaving(text: str) -> int:
    try:
        return parse_long(text)
    except ValueError as error:
        raise BadArgumentsError(f'For input string: "{text}"') from error


def _parse_joiner(text: str, *, multi_address_enabled: bool) -> ServerSpec:
    """The server of `server.N=...`; of the key, only what is behind the last dot counts."""
    parts = [part for part in map(str.strip, text.split("=")) if part]
    if len(parts) != 2:
        raise BadArgumentsError(f"Wrong format of server string: {text}")
    key = f"server.{parts[0].rpartition('.')[2]}"
    joiner = parse_server(ConfigEntry(key, parts[1], _SOURCE), multi_address_enabled=multi_address_enabled)
    if joiner.client is None:
        message = "Wrong format of server string - each server should have 3 ports specified"
        raise BadArgumentsError(f"{message}: {text}")
    return joiner


def _check_apart(one: ServerSpec, other: ServerSpec) -> None:
    """No two servers have a port of the same host, except on loopback."""
    # Differs from Apache: host names are compared as they are written, because nothing is resolved here.
    common = _ports(one) & _ports(other)
    if common:
        host, port = min(common)
        raise BadArgumentsError(f"{host}:{port} of server.{one.server_id} is one of server.{other.server_id} too")


def _ports(server: ServerSpec) -> set[tuple[str, int]]:
    addresses = [*server.quorum_addresses, *server.election_addresses, *([server.client] if server.client else [])]
    return {(host.lower(), port) for host, port in addresses if not _is_nowhere_in_particular(host)}


def _is_nowhere_in_particular(host: str) -> bool:
    """Loopback and wildcard addresses: they are another place on each machine."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    return address.is_loopback or address.is_unspecified
