"""The membership of an ensemble out of its lines, and the rules that a list of servers must keep.

Rules and messages: docs/protocol/configuration.md sections 3 and 4.
"""

import re
from collections.abc import Iterable

import attrs

from pyzk.server.config.kinds import parse_decimal, refused
from pyzk.server.config.servers import ServerSpec, parse_server, parse_server_id
from pyzk.server.config.syntax import Entry

_KEY_PREFIXES = ("server.", "group", "weight")


@attrs.frozen
class Membership:
    """Servers in the order of their ids; groups and weights only where quorums are hierarchical.

    Args:
        servers: all members.
        group_of: server id to group; empty: majority quorums.
        weights: server id to weight; a server that is not there weighs 1.
        version: of the dynamic configuration, 0 when there is none.
    """

    servers: tuple[ServerSpec, ...] = ()
    group_of: dict[int, int] = attrs.field(factory=dict)
    weights: dict[int, int] = attrs.field(factory=dict)
    version: int = 0

    @property
    def voters(self) -> tuple[ServerSpec, ...]:
        """The members that vote."""
        return tuple(server for server in self.servers if server.is_voter)

    def find(self, server_id: int | None) -> ServerSpec | None:
        """The member with that id."""
        return next((server for server in self.servers if server.server_id == server_id), None)


def is_membership_key(key: str) -> bool:
    """True for the keys that a dynamic configuration file may hold."""
    return key.startswith(_KEY_PREFIXES)


def parse_membership(entries: Iterable[Entry], *, multi_address_enabled: bool, version: int = 0) -> Membership:
    """The membership that the lines describe; ConfigError for the first line that is wrong."""
    servers: dict[int, ServerSpec] = {}
    group_of: dict[int, int] = {}
    weights: dict[int, int] = {}
    for entry in entries:
        if entry.key.startswith("server."):
            server = parse_server(entry.key, entry.value, entry.source, multi_address_enabled=multi_address_enabled)
            servers[server.server_id] = server
        elif entry.key.startswith("group"):
            _add_group(entry, group_of)
        else:
            weights[parse_server_id(entry.key, entry.value, entry.source)] = _parse_number(entry)
    ordered = tuple(servers[server_id] for server_id in sorted(servers))
    return Membership(ordered, group_of, weights if group_of else {}, version)


def _add_group(entry: Entry, group_of: dict[int, int]) -> None:
    group = parse_server_id(entry.key, entry.value, entry.source)
    for text in entry.value.split(":"):
        server_id = _parse_number(attrs.evolve(entry, value=text))
        if server_id in group_of:
            raise refused(
                entry.key,
                entry.value,
                f"Server {server_id}is in multiple groups",  # the missing blank is Apache's
                f"{entry.source}: name each server in one group",
            )
        group_of[server_id] = group


def _parse_number(entry: Entry) -> int:
    try:
        return parse_decimal(entry.value)
    except ValueError as error:
        message = f'For input string: "{entry.value}"'
        raise refused(entry.key, entry.value, message, f"{entry.source}: write whole numbers") from error


def check_membership(membership: Membership, *, standalone_enabled: bool) -> list[str]:
    """Warnings about a membership that can be used; ConfigError for one that cannot."""
    voter_count = len(membership.voters)
    observer_count = len(membership.servers) - voter_count
    if voter_count == 0 and not standalone_enabled:
        message = "standaloneEnabled = false then number of participants should be >0"
        raise refused("standaloneEnabled", "false", message, "list the servers, or remove standaloneEnabled")
    is_lone_voter = voter_count == 1 and standalone_enabled
    if observer_count and (voter_count == 0 or is_lone_voter):
        missing = "participants" if voter_count == 0 else "quorum"
        message = f"Observers w/o {missing} is an invalid configuration"
        raise refused("server.N", "observer", message, "add servers that vote, or set standaloneEnabled=false")
    _check_groups(membership)
    if voter_count == 0:
        return []
    if is_lone_voter:
        return ["Invalid configuration, only one server specified (ignoring)"]
    return _parity_warnings(voter_count)


def _check_groups(membership: Membership) -> None:
    for server in membership.voters if membership.group_of else ():
        if server.server_id not in membership.group_of:
            message = f"Server {server.server_id}is not in a group"  # the missing blank is Apache's
            remedy = "name it in a group line, or remove the group lines"
            raise refused(f"server.{server.server_id}", server.canonical(), message, remedy)


def _parity_warnings(voter_count: int) -> list[str]:
    if voter_count <= 2:
        return ["No server failure will be tolerated. You need at least 3 servers."]
    if voter_count % 2 == 0:
        return ["Non-optimal configuration, consider an odd number of servers."]
    return []


def check_dynamic_entries(entries: Iterable[Entry]) -> None:
    """A dynamic configuration file holds the membership and nothing else."""
    for entry in entries:
        if entry.key == "version":
            message = "dynamic file shouldn't have version inside"
            remedy = f"{entry.source}: the version is the end of the file's name"
            raise refused(entry.key, entry.value, message, remedy)
        if not is_membership_key(entry.key):
            remedy = f"{entry.source}: move it to the main file"
            raise refused(entry.key, entry.value, f"Unrecognised parameter: {entry.key}", remedy)


def version_of_name(file_name: str) -> int:
    """The version at the end of the name of a dynamic configuration file: zoo.cfg.dynamic.100000000, hexadecimal."""
    _, _, suffix = file_name.rpartition(".")
    return int(suffix, 16) if re.fullmatch(r"[0-9a-fA-F]+", suffix) else 0
