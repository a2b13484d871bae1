r"""Word mntr: what monitoring systems read, one number a line. Source: docs/protocol/operations.md section 1.6.

Only numbers that something here really counts; what Apache prints for its own processors, caches and ensembles is left
out rather than told as 0. Every line must match `^zk_(\w+)\s+([\w\.\-]+)`, and zk_version must be the first.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import TYPE_CHECKING

from pyzk import VERSION_WORD
from pyzk.server.admin import ensemble_reports
from pyzk.server.admin.reports import average
from pyzk.server.clock import monotonic_seconds
from pyzk.service.counters import Distribution, Summary

if TYPE_CHECKING:
    from pyzk.server.base import BaseServer as Server

    Numbers = dict[str, object]

PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p999": 0.999}
DESCRIPTORS = Path("/proc/self/fd")
"""Where Linux lists the open files of a process."""


def monitor(server: Server) -> str:
    """Word mntr."""
    numbers: Numbers = {
        "version": VERSION_WORD,
        **ensemble_reports.state(server),
        **_gauges(server),
        **ensemble_reports.gauges(server),
        **_counters(server),
    }
    for name, summary in _summaries(server).items():
        numbers |= _summary(name, summary)
    for name, distribution in _distributions(server).items():
        numbers |= _summary(name, distribution)
        numbers |= {f"{mark}_{name}": distribution.percentile(share) for mark, share in PERCENTILES.items()}
    return "".join([f"zk_{name}\t{number}\n" for name, number in numbers.items()])


def _gauges(server: Server) -> Numbers:
    service = server.peer.service
    tree, latency = service.tree, service.counters.latency
    return {
        "ephemerals_count": tree.ephemeral_count,
        "num_alive_connections": len(service.connections),
        "avg_latency": average(latency),
        "outstanding_requests": service.outstanding,
        "znode_count": tree.node_count,
        "global_sessions": len(tree.sessions),
        "packets_sent": service.counters.sent,
        "packets_received": service.counters.received,
        "watch_count": service.watches.total,
        "auth_failed_count": service.counters.authentication_failed,
        "min_latency": latency.least,
        "approximate_data_size": tree.data_bytes,
        "uptime": int((monotonic_seconds() - server.statistics.started_at) * 1000),
        "max_latency": latency.most,
        **_file_descriptors(),
    }


def _file_descriptors() -> Numbers:
    numbers: Numbers = {"max_file_descriptor_count": resource.getrlimit(resource.RLIMIT_NOFILE)[0]}
    if DESCRIPTORS.is_dir():
        numbers["open_file_descriptor_count"] = sum(1 for _ in DESCRIPTORS.iterdir())
    return numbers


def _counters(server: Server) -> Numbers:
    counters, statistics = server.peer.service.counters, server.statistics
    return {
        "watch_bytes": counters.watch_bytes,
        "connection_rejected": statistics.connections_rejected,
        "sessionless_connections_expired": counters.sessionless_expired,
        "bytes_received_count": counters.received_bytes,
        "response_bytes": counters.sent_bytes,
        "connection_request_count": counters.connection_requests,
        "stale_sessions_expired": counters.sessions_expired,
        "digest_mismatches_count": statistics.digest_mismatches,
        "snapshot_error_count": statistics.snapshot_errors,
    }


def _summaries(server: Server) -> dict[str, Summary]:
    counters, statistics, log = server.peer.service.counters, server.statistics, server.peer.log
    return {
        "fsynctime": log.sync_ms,
        "sync_processor_batch_size": log.batch_txns,
        "snapshottime": statistics.snapshot_ms,
        "dbinittime": _once(statistics.load_ms),
        "startup_txns_loaded": _once(statistics.replayed),
        "node_created_watch_count": counters.watches_created,
        "node_deleted_watch_count": counters.watches_deleted,
        "node_changed_watch_count": counters.watches_changed,
        "node_children_watch_count": counters.watches_children,
    }


def _once(number: int) -> Summary:
    summary = Summary()
    summary.add(number)
    return summary


def _distributions(server: Server) -> dict[str, Distribution]:
    counters = server.peer.service.counters
    return {"readlatency": counters.reads, "updatelatency": counters.writes}


def _summary(name: str, summary: Summary) -> Numbers:
    return {
        f"avg_{name}": average(summary),
        f"min_{name}": summary.least,
        f"max_{name}": summary.most,
        f"cnt_{name}": summary.count,
        f"sum_{name}": summary.total,
    }
