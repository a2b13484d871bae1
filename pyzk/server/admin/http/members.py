"""Commands about the ensemble: who leads, who votes, who observes, and how far this server has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.server.admin.http.text import Fields
from pyzk.server.clock import monotonic_seconds, wall_ms
from pyzk.server.memberdriver import MemberDriver
from pyzk.zab.leading import Leading
from pyzk.zab.learning import Learning

if TYPE_CHECKING:
    from pyzk.server.base import BaseServer
    from pyzk.zab.servers import ServerSpec
    from pyzk.zab.serving import Learner

EVERYWHERE = "0.0.0.0"  # noqa: S104 - named, not bound
COUNTER_MASK = 0xFFFFFFFF
NO_ROLE: Fields = {"voting": False, "zabstate": ""}


def _member(server: BaseServer) -> MemberDriver | None:
    """The driver of a member that has a role."""
    driver = server.peer
    if isinstance(driver, MemberDriver) and driver.is_established and not driver.service.read_only:
        return driver
    return None


def leader(server: BaseServer) -> Fields:
    """Command leader."""
    driver = _member(server)
    if driver is None:
        return {"error": "server is not initialized"}
    role, state = driver.member.peer.role, driver.member.state
    leader_id = role.leader_id if isinstance(role, Learning) else state.server_id
    found = state.membership.find(leader_id)
    return {
        "is_leader": leader_id == state.server_id,
        "leader_id": leader_id,
        "leader_ip": "" if found is None else "|".join([address.host for address in found.addresses]),
    }


def voting_view(server: BaseServer) -> Fields:
    """Command voting_view."""
    driver = _member(server)
    voters = () if driver is None else driver.member.state.membership.voters
    return {"current_config": {str(spec.server_id): _voter(spec) for spec in voters}}


def _voter(spec: ServerSpec) -> Fields:
    return {
        "server_addresses": [_joined(address) for address in spec.quorum_addresses],
        "election_addresses": [_joined(address) for address in spec.election_addresses],
        "client_address": "" if spec.client is None else _joined(spec.client),
        "learner_type": "participant",
    }


def _joined(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"


def observers(server: BaseServer) -> Fields:
    """Command observers: of a leader, or of a follower that serves observers in its place."""
    driver = _member(server)
    role = None if driver is None else driver.member.peer.role
    master = role if isinstance(role, Leading) else getattr(role, "mastering", None)
    found = [learner for learner in master.learners.values() if learner.is_observer] if master is not None else []
    return {
        "synced_observers": sum(learner.is_synced for learner in found),
        "observers": [_observer(learner) for learner in found if learner.is_synced],
    }


def _observer(learner: Learner) -> Fields:
    """What Apache has no use for itself (queues and packets, 0 in its answers too) is 0."""
    return {
        "remote_socket_address": learner.label,
        "sid": learner.server_id,
        "established": wall_ms() - int((monotonic_seconds() - learner.connected_at) * 1000),
        "queued_packets": 0,
        "queued_packets_size": 0,
        "packets_received": 0,
        "packets_sent": 0,
        "requests": 0,
        "last_zxid": -1,
    }


def zab_state(server: BaseServer) -> Fields:
    """Command zabstate; as in Apache's server, nothing before there is a role."""
    driver = _member(server)
    own = None if driver is None else driver.member.state.membership.find(driver.member.state.server_id)
    if driver is None or own is None:
        return NO_ROLE
    zxid = driver.service.tree.last_zxid
    return {
        "myid": own.server_id,
        "is_leader": driver.member.desk is not None,
        "quorum_address": _addresses(own.quorum_addresses),
        "election_address": _addresses(own.election_addresses),
        "client_address": None if own.client is None else _joined(own.client),
        "voting": own.is_voter,
        "last_zxid": f"0x{zxid:x}",
        "zab_epoch": zxid >> 32,
        "zab_counter": zxid & COUNTER_MASK,
        "zabstate": "broadcast",
    }


def _addresses(addresses: list[tuple[str, int]]) -> Fields:
    """The properties of a Java class, all of which Apache shows; nobody asks here whether an address can be reached."""
    texts = [_joined(address) for address in addresses]
    return {
        "empty": not texts,
        "all_addresses": texts,
        "all_reachable_addresses": texts,
        "one": texts[0],
        "reachable_address": texts[0],
        "wildcard_addresses": [f"{EVERYWHERE}:{port}" for _, port in addresses],
        "all_ports": [port for _, port in addresses],
        "all_host_strings": [host for host, _ in addresses],
        "all_reachable_addresses_or_all": texts,
        "reachable_or_one": texts[0],
    }
