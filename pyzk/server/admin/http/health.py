"""/livez and /readyz, for probes: whether the process should be restarted, and whether clients should be sent here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.server.admin.http.text import Fields
from pyzk.server.memberdriver import MemberDriver
from pyzk.zab.leading import Leading

if TYPE_CHECKING:
    from pyzk.server.base import BaseServer

OK, UNAVAILABLE = 200, 503


def live(server: BaseServer) -> tuple[int, Fields]:
    """Alive is who answers and has not failed; without a quorum too, because a restart would bring none."""
    if server.failure is not None:
        return UNAVAILABLE, {"live": False, "reason": f"{type(server.failure).__name__}: {server.failure}"}
    return OK, {"live": True}


def ready(server: BaseServer, *, read_only_counts: bool = False) -> tuple[int, Fields]:
    """Ready is who serves reads and writes: alone, or as a part of a quorum.

    Args:
        server: started.
        read_only_counts: a server that only shows what it has is ready too.
    """
    service, driver = server.peer.service, server.peer
    reason = _obstacle(server, read_only_counts=read_only_counts)
    fields: Fields = {"ready": not reason, "mode": driver.mode}
    if isinstance(driver, MemberDriver):
        fields["quorum"] = {
            "voters": len(driver.member.state.membership.voters),
            "has_quorum": driver.is_established and _has_quorum(driver),
        }
    fields["writes_refused"] = service.writes_refused
    if reason:
        fields["reason"] = reason
    return (UNAVAILABLE if reason else OK), fields


def _obstacle(server: BaseServer, *, read_only_counts: bool) -> str:
    driver = server.peer
    if server.stopped.is_set():
        return "the server stops"
    if not server.is_serving:
        return "there is no leader that this server follows" if driver.mode == "looking" else "clients are not served"
    if driver.service.read_only:
        return "" if read_only_counts else "read-only: there is no quorum"
    if isinstance(driver, MemberDriver) and not _has_quorum(driver):
        return "no quorum follows this leader any more"
    return ""


def _has_quorum(driver: MemberDriver) -> bool:
    """A follower has what its leader has; a leader looks at who follows it, without waiting until it must step down."""
    role, state = driver.member.peer.role, driver.member.state
    if not isinstance(role, Leading):
        return True
    present = [learner.server_id for learner in role.learners.values() if learner.is_synced]
    return all(quorum.contains_quorum([state.server_id, *present]) for quorum in state.quorums())
