"""Commands about clients: their connections, sessions, ephemerals and watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.server.admin import ensemble_reports
from pyzk.server.admin.http.text import Fields, path_text
from pyzk.server.admin.session_reports import NO_OPERATION, OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.server.base import BaseServer
    from pyzk.service.connection import Connection


def connections(server: BaseServer) -> Fields:
    """Command connections."""
    return by_security(server, lambda state: {**brief(server, state), **_session(state)})


def by_security(server: BaseServer, tell: Callable[[Connection], Fields]) -> Fields:
    """What is to be told of each connection: without TLS, and with it."""
    plain, secure = list[Fields](), list[Fields]()
    for state in server.peer.service.connections.values():
        client = server.peer.clients.get(state.id)
        if client is not None:
            (secure if client.is_secure else plain).append(tell(state))
    return {"connections": plain, "secure_connections": secure}


def brief(server: BaseServer, state: Connection) -> Fields:
    """What stats tells of a connection."""
    client = server.peer.clients[state.id]
    return {
        "remote_socket_address": client.label.removeprefix("/"),
        "interest_ops": client.interest,
        "outstanding_requests": len(state.queue),
        "packets_received": state.stats.received,
        "packets_sent": state.stats.sent,
    }


def _session(state: Connection) -> Fields:
    latency = state.stats
    return {
        "session_id": state.session_id,
        "last_operation": OPERATIONS.get(state.last_opcode, NO_OPERATION),
        "established": state.connected_wall_ms,
        "session_timeout": state.timeout_ms,
        "last_cxid": state.last_xid,
        "last_zxid": state.last_zxid,
        "last_response_time": int(state.last_response_at * 1000),
        "last_latency": state.last_latency_ms,
        "min_latency": latency.least,
        "avg_latency": latency.total // latency.count if latency.count else 0,
        "max_latency": latency.most,
    }


def reset_connections(server: BaseServer) -> Fields:
    """Command connection_stat_reset."""
    for state in server.peer.service.connections.values():
        state.forget_traffic()
    return {}


def dump(server: BaseServer) -> Fields:
    """Command dump: only who decides about sessions knows when they expire."""
    service = server.peer.service
    decides = ensemble_reports.sessions(server) is None and not service.read_only
    buckets = service.tracker.buckets() if decides else ()
    return {
        "expiry_time_to_session_ids": {str(int(expires_at * 1000)): list(ids) for expires_at, ids in buckets},
        "session_id_to_ephemeral_paths": {
            str(session_id): [path_text(path) for path in paths]
            for session_id, paths in service.tree.ephemerals.items()
        },
    }


def watch_summary(server: BaseServer) -> Fields:
    """Command watch_summary: data watches, as the two below."""
    watches = server.peer.service.watches
    return {
        "num_connections": watches.data_connections,
        "num_paths": watches.data_paths,
        "num_total_watches": watches.data_total,
    }


def watches(server: BaseServer) -> Fields:
    """Command watches."""
    service = server.peer.service
    return {
        "session_id_to_watched_paths": {
            str(service.connections[connection].session_id): [path_text(path) for path in paths]
            for connection, paths in service.watches.by_connection()
        }
    }


def watches_by_path(server: BaseServer) -> Fields:
    """Command watches_by_path."""
    service = server.peer.service
    return {
        "path_to_session_ids": {
            path_text(path): [service.connections[connection].session_id for connection in watchers]
            for path, watchers in service.watches.by_path()
        }
    }
