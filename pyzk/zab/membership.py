"""The membership of an ensemble: out of its lines and into them, and the rules that a list of servers must keep.

Rules and messages: docs/protocol/configuration.md sections 3 and 4; the text: docs/protocol/zab.md section 12.1.
"""

import re
from collections.abc import Iterable
from functools import cached_property

import attrs

from pyzk.zab.entries import ConfigEntry, parse_long, refused
from pyzk.zab.properties import parse_properties
from pyzk.zab.quorum import Hierarchical, Majority, Quorum
from pyzk.zab.servers import ServerSpec, parse_server, parse_server_id

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

    @cached_property
    def voter_ids(self) -> frozenset[int]:
        """Ids of the members that vote."""
        return frozenset(server.server_id for server in self.voters)

    @cached_property
    def observer_ids(self) -> frozenset[int]:
        """Ids of the members that follow without a vote."""
        return frozenset(server.server_id for server in self.servers if not server.is_voter)

    @property
    def voters(self) -> tuple[ServerSpec, ...]:
        """The members that vote."""
        return tuple(server for server in self.servers if server.is_voter)

    def find(self, server_id: int | None) -> ServerSpec | None:
        """The member with that id."""
        return next((server for server in self.servers if server.server_id == server_id), None)

    def quorum(self) -> Quorum:
        """Which sets of members can decide."""
        if self.group_of:
            return Hierarchical(self.group_of, self.weights, self.voter_ids)
        return Majority(self.voter_ids)

    def quorum_addresses(self, server_id: int) -> list[tuple[str, int]]:
        """Where learners connect to a member, (host, port); none for a server that is no member."""
        server = self.find(server_id)
        return server.quorum_addresses if server else []

    def election_addresses(self, server_id: int) -> list[tuple[str, int]]:
        """Where votes for a member go, (host, port); none for a server that is no member."""
        server = self.find(server_id)
        return server.election_addresses if server else []

    def lines(self) -> list[str]:
        """The lines of /zookeeper/config without its version: servers, groups, weights, each in order of their ids."""
        servers = [f"server.{server.server_id}={server.canonical()}" for server in self.servers]
        return servers + self._group_lines() + self._weight_lines()

    def _group_lines(self) -> list[str]:
        groups: dict[int, list[str]] = {}
        for server_id, group in sorted(self.group_of.items()):
            groups.setdefault(group, []).append(str(server_id))
        return [f"group.{group}={':'.join(server_ids)}" for group, server_ids in sorted(groups.items())]

    def _weight_lines(self) -> list[str]:
        """Voters whose weight was not written are shown too."""
        if not self.group_of:
            return []
        weights = dict.fromkeys(self.voter_ids, 1) | self.weights
        return [f"weight.{server_id}={weight}" for server_id, weight in sorted(weights.items())]

    def text(self) -> str:
        """What /zookeeper/config holds and servers send each other: the lines, then the version; no final newline."""
        return "\n".join([*self.lines(), f"version={self.version:x}"])

    def same_members(self, other: "Membership") -> bool:
        """Whether both have the same servers with the same roles at the same quorum and election addresses.

        Client addresses, groups, weights and versions do not count, nor how ports are paired: Apache pairs those of
        several addresses on one host anew each time it writes them.
        """
        return _comparable(self) == _comparable(other)


def _comparable(membership: Membership) -> list[tuple[int, str, set[tuple[str, int]], set[tuple[str, int]]]]:
    return [
        (server.server_id, server.role, set(server.quorum_addresses), set(server.election_addresses))
        for server in membership.servers
    ]


def is_membership_key(key: str) -> bool:
    """True for the keys that a dynamic configuration file may hold."""
    return key.startswith(_KEY_PREFIXES)


def parse_membership(entries: Iterable[ConfigEntry], *, multi_address_enabled: bool, version: int = 0) -> Membership:
    """The membership that the lines describe; ConfigError for the first line that is wrong."""
    servers: dict[int, ServerSpec] = {}
    group_of: dict[int, int] = {}
    weights: dict[int, int] = {}
    for entry in entries:
        if entry.key.startswith("server."):
            server = parse_server(entry, multi_address_enabled=multi_address_enabled)
            servers[server.server_id] = server
        elif entry.key.startswith("group"):
            _add_group(entry, group_of)
        else:
            weights[parse_server_id(entry)] = _parse_weight(entry)
    ordered = tuple(servers[server_id] for server_id in sorted(servers))
    return Membership(ordered, group_of, weights if group_of else {}, version)


def parse_text(text: str, source: str = "configuration text", *, multi_address_enabled: bool = True) -> Membership:
    """The membership of a text as `Membership.text` writes it; ConfigError for anything else.

    Any order of lines and whatever properties syntax allows is read, whoever wrote it; without a version it is 0.
    """
    entries = {entry.key: entry for entry in parse_properties(text, source)}
    version = entries.pop("version", None)
    for entry in entries.values():
        if not is_membership_key(entry.key):
            raise entry.refused(f"Unrecognised parameter: {entry.key}", "only servers, groups and weights belong here")
    number = _parse_version(version) if version else 0
    membership = parse_membership(entries.values(), multi_address_enabled=multi_address_enabled, version=number)
    _check_groups(membership)
    return membership


def _parse_version(entry: ConfigEntry) -> int:
    if not re.fullmatch(r"[0-9a-fA-F]{1,16}", entry.value) or int(entry.value, 16) >= 2**63:
        raise entry.refused(f'For input string: "{entry.value}"', "write a hexadecimal number of 64 bits")
    return int(entry.value, 16)


def _add_group(entry: ConfigEntry, group_of: dict[int, int]) -> None:
    group = parse_server_id(entry)
    for text in entry.value.split(":"):
        server_id = _parse_number(attrs.evolve(entry, value=text))
        if server_id in group_of:
            message = f"Server {server_id}is in multiple groups"  # the missing blank is Apache's
            raise entry.refused(message, "name each server in one group")
        group_of[server_id] = group


def _parse_number(entry: ConfigEntry) -> int:
    try:
        return parse_long(entry.value)
    except ValueError as error:
        raise entry.refused(f'For input string: "{entry.value}"', "write whole numbers") from error


def _parse_weight(entry: ConfigEntry) -> int:
    """Differs from Apache: a weight below 0 is refused, because two quorums could then have no server in common."""
    weight = _parse_number(entry)
    if weight < 0:
        raise entry.refused(f"Weight {weight} is negative", "write 0 or more")
    return weight


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


def check_dynamic_entries(entries: Iterable[ConfigEntry]) -> None:
    """A dynamic configuration file holds the membership and nothing else."""
    for entry in entries:
        if entry.key == "version":
            message = "dynamic file shouldn't have version inside"
            raise entry.refused(message, "the version is the end of the file's name")
        if not is_membership_key(entry.key):
            raise entry.refused(f"Unrecognised parameter: {entry.key}", "move it to the main file")


def version_of_name(file_name: str) -> int:
    """The version at the end of the name of a dynamic configuration file: zoo.cfg.dynamic.100000000, hexadecimal."""
    _, _, suffix = file_name.rpartition(".")
    return int(suffix, 16) if re.fullmatch(r"[0-9a-fA-F]+", suffix) else 0
