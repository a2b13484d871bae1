"""Commands about the server as a whole: configuration, environment, statistics, digests, snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyzk import VERSION_WORD
from pyzk.codec.txns import DIGEST_VERSION
from pyzk.server.admin import reports
from pyzk.server.admin.http import sessions
from pyzk.server.admin.http.text import Fields
from pyzk.server.clock import monotonic_seconds
from pyzk.server.config.fields_clients import PORT_UNSET
from pyzk.server.config.settings import all_settings, find_setting
from pyzk.server.memberdriver import MemberDriver
from pyzk.server.metrics.listing import listing, mean
from pyzk.storage import names

if TYPE_CHECKING:
    from pyzk.server.base import BaseServer

HIDDEN = "(not shown)"
NO_SNAPSHOT: Fields = {"zxid": "ffffffffffffffff", "timestamp": -1}
STANDALONE_ORDER = (
    *("packets_sent", "packets_received", "fsync_threshold_exceed_count", "client_response_stats", "data_dir_size"),
    *("log_dir_size", "provider_null", "last_processed_zxid", "server_state", "outstanding_requests", "avg_latency"),
    *("max_latency", "min_latency", "num_alive_client_connections", "uptime", "auth_failed_count"),
    *("non_mtlsremote_conn_count", "non_mtlslocal_conn_count"),
)
MEMBER_ORDER = (
    *("packets_sent", "packets_received", "fsync_threshold_exceed_count", "client_response_stats", "provider_null"),
    *("server_state", "outstanding_requests", "min_latency", "avg_latency", "max_latency", "data_dir_size"),
    *("log_dir_size", "last_processed_zxid", "num_alive_client_connections", "uptime", "auth_failed_count"),
    *("non_mtlsremote_conn_count", "non_mtlslocal_conn_count"),
)


def configuration(server: BaseServer) -> Fields:
    """Command configuration."""
    config = server.config
    return {
        "client_port": server.port or PORT_UNSET,
        "data_dir": server.places.snapshots,
        "data_log_dir": server.places.logs,
        "tick_time": config.tick_time_ms,
        "max_client_cnxns": config.max_client_connections_per_address,
        "min_session_timeout": config.min_session_timeout_ms,
        "max_session_timeout": config.max_session_timeout_ms,
        "server_id": config.server_id if config.is_distributed else reports.STANDALONE_SERVER_ID,
        "client_port_listen_backlog": config.listen_backlog,
    }


def initial_configuration(server: BaseServer) -> Fields:
    """Command initial_configuration: the file as it was read, but for secrets."""
    lines = server.config.text.splitlines(keepends=True)
    return {"initial_configuration": "".join(map(_without_secret, lines))}


def _without_secret(line: str) -> str:
    """Differs from Apache: whoever can reach the port would learn the digest of the super user."""
    key, separator, _ = line.partition("=")
    row = find_setting(key.strip())
    is_secret = (row is not None and row.is_secret) or "password" in key.lower()
    return f"{key}={HIDDEN}\n" if separator and is_secret else line


def system_properties(server: BaseServer) -> Fields:
    """Command system_properties: what is set, by its key; a Java server would have its machine's as well."""
    config = server.config
    found = {
        f"zookeeper.{row.name}": HIDDEN if row.is_secret else str(row.value_in(config))
        for row in all_settings()
        if row.field in config.sources
    }
    return dict(sorted(found.items()))


def directories(server: BaseServer) -> Fields:
    """Command dirs."""
    snapshots, logs = server.directory_sizes()
    return {"datadir_size": snapshots, "logdir_size": logs}


def digests(server: BaseServer) -> Fields:
    """Command hash."""
    return {
        "digests": [
            {"zxid": zxid, "digest": digest, "digest_version": DIGEST_VERSION}
            for zxid, digest in server.peer.service.digests
        ]
    }


def last_snapshot(server: BaseServer) -> Fields:
    """Command last_snapshot."""
    found = names.snapshots(server.snapshot_names())
    if not found:
        return NO_SNAPSHOT
    zxid, name = max(found)
    path = Path(server.places.snapshots, name)
    timestamp = int(path.stat().st_mtime) if path.is_file() else -1
    return {"zxid": f"{zxid:x}", "timestamp": timestamp}


def monitor(server: BaseServer) -> Fields:
    """Command monitor."""
    return listing(server)


def server_stats(server: BaseServer) -> Fields:
    """Command server_stats."""
    driver = server.peer
    service = driver.service
    sizes = service.counters.reply_sizes
    replies = {"last_buffer_size": sizes.last, "min_buffer_size": sizes.least, "max_buffer_size": sizes.most}
    found: Fields = {
        "version": VERSION_WORD,
        "read_only": service.read_only,
        "server_stats": _statistics(server, replies),
        "client_response": replies,
    }
    if isinstance(driver, MemberDriver) and driver.member.desk is not None:
        proposals = driver.proposal_sizes
        found["proposal_stats"] = {
            "last_buffer_size": proposals.last,
            "min_buffer_size": proposals.least,
            "max_buffer_size": proposals.most,
        }
    return {**found, "node_count": service.tree.node_count}


def _statistics(server: BaseServer, replies: dict[str, int]) -> Fields:
    service = server.peer.service
    counters, latency = service.counters, service.counters.latency
    snapshots, logs = server.directory_sizes()
    values: Fields = {
        "packets_sent": counters.sent,
        "packets_received": counters.received,
        "fsync_threshold_exceed_count": server.peer.log.slow_syncs,
        "client_response_stats": replies,
        "data_dir_size": snapshots,
        "log_dir_size": logs,
        "provider_null": False,
        "last_processed_zxid": service.tree.last_zxid,
        "server_state": server.peer.mode,
        "outstanding_requests": service.outstanding,
        "avg_latency": mean(latency),
        "max_latency": latency.most,
        "min_latency": latency.least,
        "num_alive_client_connections": len(service.connections),
        "uptime": int((monotonic_seconds() - server.statistics.started_at) * 1000),
        "auth_failed_count": counters.authentication_failed,
        "non_mtlsremote_conn_count": 0,
        "non_mtlslocal_conn_count": 0,
    }
    order = MEMBER_ORDER if server.config.is_distributed else STANDALONE_ORDER
    return {name: values[name] for name in order}


def stats(server: BaseServer) -> Fields:
    """Command stats."""
    return {**server_stats(server), **sessions.by_security(server, lambda state: sessions.brief(server, state))}


def reset(server: BaseServer) -> Fields:
    """Command stat_reset."""
    server.statistics.reset()
    return {}
