"""What words tell of an ensemble: its members, and our part in it. Source: docs/protocol/operations.md 1.3 to 1.6.

For a standalone server all of it is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.server.clock import monotonic_seconds
from pyzk.server.roles import is_member, leading, learning

if TYPE_CHECKING:
    from pyzk.server.base import BaseServer as Server
    from pyzk.server.memberdriver import MemberDriver
    from pyzk.zab.leading import Leading

PEER_STATES = {
    "leader": "leading - broadcast",
    "follower": "following - broadcast",
    "observer": "observing - broadcast",
}


def read_only_line(server: Server) -> str:
    """The second line of srvr and stat of a server that only shows what it has."""
    return "READ-ONLY mode; serving only read-only clients\n" if server.peer.service.read_only else ""


def proposal_line(server: Server) -> str:
    """The last line of srvr and stat of a leader."""
    driver = server.peer
    if not is_member(driver) or driver.member.desk is None:
        return ""
    sizes = driver.proposal_sizes
    return f"Proposal sizes last/min/max: {sizes.last}/{sizes.least}/{sizes.most}\n"


def configuration(server: Server) -> str:
    """The end of the word conf, without a newline behind it."""
    driver, config = server.peer, server.config
    if not is_member(driver):
        return ""
    membership = driver.member.state.membership
    own = membership.find(driver.member.state.server_id)
    addresses = own.addresses if own is not None else ()
    pairs = {
        "initLimit": config.init_limit_ticks,
        "syncLimit": config.sync_limit_ticks,
        "electionAlg": config.election_alg,
        "electionPort": "|".join([str(address.election_port) for address in addresses]),
        "quorumPort": "|".join([str(address.quorum_port) for address in addresses]),
        "peerType": int(driver.member.peer.is_observer),
    }
    lines = "".join([f"{key}={value}\n" for key, value in pairs.items()])
    return lines if driver.service.read_only else f"{lines}membership: \n{membership.text()}"


def sessions(server: Server) -> list[str] | None:
    """The sessions part of the word dump as a learner shows it; None for servers that know when sessions expire."""
    driver = server.peer
    if not is_member(driver) or driver.member.desk is not None:
        return None
    service = driver.service
    lines = ["SessionTracker dump:\n", *_listed("Global", dict(service.tree.sessions))]
    if service.local_sessions is not None and not service.read_only:
        lines += _listed("Local", service.local_sessions.timeouts_ms())
    return lines


def _listed(kind: str, timeouts_ms: dict[int, int]) -> list[str]:
    mask = 0xFFFFFFFFFFFFFFFF
    lines = [f"0x{session_id & mask:x}\t{timeout_ms}ms\n" for session_id, timeout_ms in sorted(timeouts_ms.items())]
    return [f"{kind} Sessions({len(lines)}):\n", *lines]


def state(server: Server) -> dict[str, object]:
    """The lines of mntr that come first, after the version."""
    driver = server.peer
    numbers: dict[str, object] = {"server_state": driver.mode}
    if driver.mode in PEER_STATES:
        numbers["peer_state"] = PEER_STATES[driver.mode]
    if is_member(driver) and driver.mode == "observer":
        role = learning(driver)
        assert role is not None, "an observer follows"
        numbers["observer_master_id"] = role.leader_id
    return numbers


def gauges(server: Server) -> dict[str, float]:
    """What only a member of an ensemble has, and what only a leader has."""
    driver = server.peer
    if not is_member(driver) or driver.service.read_only:
        return {}
    numbers: dict[str, float] = {"quorum_size": len(driver.member.state.membership.voters)}
    local = driver.service.local_sessions
    numbers["local_sessions"] = 0 if local is None else len(local.timeouts_ms())
    leader, learner = leading(driver), learning(driver)
    if leader is not None and leader.established:
        numbers |= _leader(driver, leader)
    elif learner is not None and learner.mastering is not None:
        numbers["synced_observers"] = sum(observer.is_synced for observer in learner.mastering.learners.values())
    return numbers


def _leader(driver: MemberDriver, role: Leading) -> dict[str, float]:
    learners = list(role.learners.values())
    voters = driver.member.state.membership.voter_ids
    synced = [learner for learner in learners if learner.is_synced]
    followers = [learner for learner in synced if not learner.is_observer]
    now, sizes = monotonic_seconds(), driver.proposal_sizes
    return {
        "learners": len(learners),
        # Differs from Apache: no version since 3.6 has it, but monitoring agents still ask for it.
        "followers": sum(not learner.is_observer for learner in learners),
        "synced_followers": sum(learner.server_id in voters for learner in followers),
        "synced_non_voting_followers": sum(learner.server_id not in voters for learner in followers),
        "synced_observers": len(synced) - len(followers),
        "pending_syncs": role.syncs.count,
        "leader_uptime": int((now - (driver.led_since or now)) * 1000),
        "last_proposal_size": sizes.last,
        "min_proposal_size": sizes.least,
        "max_proposal_size": sizes.most,
    }
