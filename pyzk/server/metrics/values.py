"""The numbers behind the names: read from where they are counted, when somebody asks.

A name of the table that is not here has nothing to count in this server; `NEVER_MOVES` says why.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import TYPE_CHECKING

from pyzk.codec.opcodes import OpCode
from pyzk.server.admin import ensemble_reports
from pyzk.server.clock import monotonic_seconds
from pyzk.server.metrics import quotas
from pyzk.server.metrics.stages import STAGE_NAMES, milliseconds
from pyzk.server.peer import Peer
from pyzk.server.roles import is_member, leading
from pyzk.service.counters import Distribution

if TYPE_CHECKING:
    from pyzk.server.base import BaseServer
    from pyzk.server.driver import Driver

    Numbers = dict[str, float]
    Distributions = dict[str, Distribution]

DESCRIPTORS = Path("/proc/self/fd")
"""Where Linux lists the open files of a process."""

_NO_SIDES = "not told apart: who may connect without a certificate is a setting of the port"
_NO_DEAD_WATCHERS = "watches of closed connections go at once"
_NO_PROCESSORS = "there are no processor threads between which requests are passed"
NEVER_MOVES = {
    "non_mtls_remote_conn_count": _NO_SIDES,
    "non_mtls_local_conn_count": _NO_SIDES,
    "add_dead_watcher_stall_time": _NO_DEAD_WATCHERS,
    "dead_watchers_cleaner_latency": _NO_DEAD_WATCHERS,
    "dead_watchers_cleared": _NO_DEAD_WATCHERS,
    "dead_watchers_queued": _NO_DEAD_WATCHERS,
    "ensemble_auth_fail": "the scheme ensemble is not there",
    "ensemble_auth_skip": "the scheme ensemble is not there",
    "ensemble_auth_success": "the scheme ensemble is not there",
    "response_packet_cache_hits": "the tree holds replies as they are sent: there is no cache to miss",
    "response_packet_cache_misses": "the tree holds replies as they are sent: there is no cache to miss",
    "response_packet_get_children_cache_hits": "not counted: it would cost each read",
    "response_packet_get_children_cache_misses": "not counted: it would cost each read",
    "requests_not_forwarded_to_commit_processor": _NO_PROCESSORS,
    "skip_learner_request_to_next_processor_count": _NO_PROCESSORS,
    "concurrent_request_processing_in_commit_processor": _NO_PROCESSORS,
    "learner_request_processor_queue_size": _NO_PROCESSORS,
    "local_write_committed_time_ms": _NO_PROCESSORS,
    "server_write_committed_time_ms": _NO_PROCESSORS,
    "read_commit_proc_issued": _NO_PROCESSORS,
    "read_commit_proc_req_queued": _NO_PROCESSORS,
    "read_final_proc_time_ms": "a read is answered in the turn in which it came, and not timed alone",
    "reads_after_write_in_session_queue": _NO_PROCESSORS,
    "reads_issued_from_session_queue": _NO_PROCESSORS,
    "session_queues_drained": _NO_PROCESSORS,
    "time_waiting_empty_pool_in_commit_processor_read_ms": _NO_PROCESSORS,
    "write_commit_proc_issued": _NO_PROCESSORS,
    "write_commit_proc_req_queued": _NO_PROCESSORS,
    "request_throttle_queue_time_ms": "throttled requests wait in their sockets",
    "netty_queued_buffer_capacity": "there is no Netty",
    "close_session_prep_time": "prepared with the rest of its batch: see prep_process_time",
    "connection_token_deficit": "a connect request that finds too few tokens is refused at once",
    "inflight_diff_count": "not counted",
    "inflight_snap_count": "not counted",
    "learner_handler_qp_time_ms": "packets for a learner are not queued one by one",
    "om_commit_process_time_ms": "an observer master sends at once",
    "om_proposal_process_time_ms": "an observer master sends at once",
    "socket_closing_time": "sockets are closed without waiting",
}
"""Names that are there because somebody may read them, and why they stay at nothing."""


def gauges(server: BaseServer) -> Numbers:
    """What goes up and down; those of a leader only while it leads."""
    service = server.peer.service
    tree, latency, sizes = service.tree, service.counters.latency, service.counters.reply_sizes
    throttle = service.throttle
    return {
        "ephemerals_count": tree.ephemeral_count,
        "num_alive_connections": len(service.connections),
        "avg_latency": round(latency.total / latency.count, 4) if latency.count else 0.0,
        "outstanding_requests": service.outstanding,
        "znode_count": tree.node_count,
        "global_sessions": len(tree.sessions),
        "local_sessions": 0,
        "packets_sent": service.counters.sent,
        "packets_received": service.counters.received,
        "watch_count": service.watches.total,
        "auth_failed_count": service.counters.authentication_failed,
        "min_latency": latency.least,
        "approximate_data_size": tree.data_bytes,
        "uptime": int((monotonic_seconds() - server.statistics.started_at) * 1000),
        "max_latency": latency.most,
        "last_client_response_size": sizes.last,
        "min_client_response_size": sizes.least,
        "max_client_response_size": sizes.most,
        "connection_drop_probability": float(throttle.drop_probability) if throttle is not None else 0.0,
        "outstanding_tls_handshake": server.statistics.handshakes.under_way,
        **_file_descriptors(),
        **ensemble_reports.gauges(server),
    }


def _file_descriptors() -> Numbers:
    numbers: Numbers = {"max_file_descriptor_count": resource.getrlimit(resource.RLIMIT_NOFILE)[0]}
    if DESCRIPTORS.is_dir():
        numbers["open_file_descriptor_count"] = sum(1 for _ in DESCRIPTORS.iterdir())
    return numbers


def counters(server: BaseServer) -> Numbers:
    """What only goes up, until the server ends or srst is asked."""
    return {**_service_counters(server), **_server_counters(server), **_ensemble_counters(server.peer)}


def _service_counters(server: BaseServer) -> Numbers:
    """Of clients, their requests, and the txns that became of them."""
    counted = server.peer.service.counters
    return {
        "watch_bytes": counted.watch_bytes,
        "stale_requests": counted.stale,
        "stale_requests_dropped": counted.stale_dropped,
        "stale_replies": counted.stale_replies,
        "throttled_ops": counted.throttled,
        "tls_handshake_exceeded": server.statistics.handshakes.refused,
        "unsuccessful_handshake": server.statistics.handshakes.failed,
        "insecure_admin_count": server.statistics.admin_handshakes.plain,
        "sessionless_connections_expired": counted.sessionless_expired,
        "connection_drop_count": counted.closed_by_server,
        "bytes_received_count": counted.received_bytes,
        "request_throttle_wait_count": counted.throttle_waits,
        "prep_processor_request_queued": counted.prepared,
        "response_bytes": counted.sent_bytes,
        "connection_revalidate_count": counted.revalidations_asked,
        "revalidate_count": counted.revalidations,
        "commit_count": counted.committed,
        "proposal_count": counted.proposed,
        "request_commit_queued": counted.delivered,
        "outstanding_changes_queued": counted.changes_settled + _outstanding_changes(server),
        "outstanding_changes_removed": counted.changes_settled,
        "large_requests_rejected": counted.large_rejected,
        "connection_request_count": counted.connection_requests,
        "stale_sessions_expired": counted.sessions_expired,
        "learner_commit_received_count": counted.commits_heard,
    }


def _server_counters(server: BaseServer) -> Numbers:
    """Of sockets, files and the process."""
    driver, statistics = server.peer, server.statistics
    return {
        "connection_rejected": statistics.connections_rejected,
        "cnxn_closed_without_zk_server_running": statistics.connections_not_served,
        "unrecoverable_error_count": statistics.failures,
        "digest_mismatches_count": statistics.digest_mismatches + driver.service.digest_mismatches,
        "sync_processor_request_queued": driver.log.submitted_txns,
        "fsync_slow_count": driver.log.slow_syncs,
        "snapshot_error_count": statistics.snapshot_errors,
        "snapshot_rate_limited_count": statistics.snapshots_rate_limited,
        "restore_rate_limited_count": statistics.restores_rate_limited,
        "restore_error_count": statistics.restore_errors,
        "learner_proposal_received_count": driver.stages.learner_proposal_received_count,
    }


def _ensemble_counters(driver: Driver) -> Numbers:
    """Of elections and learners; a standalone server has them too, and they stay 0."""
    if not is_member(driver):
        return dict.fromkeys(("diff_count", "snap_count", "looking_count", "quit_leading_due_to_disloyal_voter"), 0)
    return {
        "diff_count": driver.member.state.diffs_sent,
        "snap_count": driver.elections.trees_sent,
        "looking_count": driver.elections.looking_count,
        "quit_leading_due_to_disloyal_voter": driver.elections.disloyal_voters,
    }


def _outstanding_changes(server: BaseServer) -> int:
    driver = server.peer
    if is_member(driver):
        return len(driver.member.proposer.overlay)
    return len(driver.proposer.overlay) if isinstance(driver, Peer) else 0


def distributions(server: BaseServer) -> Distributions:
    """Summaries without a label."""
    driver, statistics = server.peer, server.statistics
    counted, writer, stages, times = driver.service.counters, driver.log, driver.stages, statistics.load_times
    found: Distributions = {name: getattr(stages, name) for name in STAGE_NAMES}
    found |= {
        "commit_commit_proc_req_queued": found.pop("commits_queued"),
        "fsynctime": writer.sync_ms,
        "sync_process_time": writer.sync_ms,
        "sync_processor_queue_flush_time_ms": writer.sync_ms,
        "sync_processor_batch_size": writer.batch_txns,
        "sync_processor_queue_size": writer.queue_sizes,
        "sync_processor_queue_time_ms": writer.queue_ms,
        "sync_processor_queue_and_flush_time_ms": writer.queue_and_sync_ms,
        "proposal_ack_creation_latency": writer.queue_and_sync_ms,
        "snapshottime": statistics.snapshot_ms,
        "restore_time": statistics.restore_ms,
        "startup_snap_load_time": _once(milliseconds(times.began_at, times.snapshot_at)),
        "startup_txns_load_time": _once(milliseconds(times.snapshot_at, times.replayed_at)),
        "dbinittime": _once(milliseconds(times.began_at, times.done_at)),
        "startup_txns_loaded": _once(statistics.replayed),
        "node_created_watch_count": counted.watches_created,
        "node_deleted_watch_count": counted.watches_deleted,
        "node_changed_watch_count": counted.watches_changed,
        "node_children_watch_count": counted.watches_children,
        "readlatency": counted.reads,
        "read_commitproc_time_ms": counted.reads,
        "updatelatency": counted.writes,
        "write_commitproc_time_ms": counted.propagation,
        "propagation_latency": counted.propagation,
        "commit_propagation_latency": counted.propagation,
        "quorum_ack_latency": counted.quorum_acks,
    }
    return found | _elections(server)


def _elections(server: BaseServer) -> Distributions:
    driver = server.peer
    names = ("election_time", "unavailable_time", "leader_unavailable_time", "follower_sync_time", "observer_sync_time")
    if not is_member(driver):
        return {name: Distribution() for name in names}
    return {name: getattr(driver.elections, name) for name in names}


def _once(number: int) -> Distribution:
    found = Distribution()
    found.add(number)
    return found


def labelled_numbers(server: BaseServer) -> dict[str, dict[str, float]]:
    """Gauges and counters that come once for each top-level znode."""
    return {
        **quotas.numbers(server.peer.service.tree),
        "quota_exceeded_error_per_namespace": dict(server.peer.service.counters.quota_errors),
    }


def labelled_distributions(server: BaseServer) -> dict[str, Distributions]:
    """Summaries that come once for each learner, top-level znode, or kind of operation."""
    service = server.peer.service
    namespaces = service.namespaces
    found: dict[str, Distributions] = {
        # The root has no name.
        "read_per_namespace": {} if namespaces is None else {key: n for key, n in namespaces.read.items() if key},
        "write_per_namespace": {} if namespaces is None else dict(namespaces.written),
        "operation_latency_ms": {
            "read": service.counters.reads,
            **{operation_name(opcode): ms for opcode, ms in service.counters.operations.items()},
        },
        "learner_handler_qp_size": {},
        "learner_handler_qp_time_ms": {},
        "ack_latency": {},
    }
    driver = server.peer
    role = leading(driver) if is_member(driver) else None
    if role is not None:
        ids = sorted(learner.server_id for learner in role.learners.values())
        sampled = server.statistics.queued_at_learners
        found["learner_handler_qp_size"] = {str(sid): sampled.get(sid, Distribution()) for sid in ids}
        found["learner_handler_qp_time_ms"] = {str(sid): Distribution() for sid in ids}
        found["ack_latency"] = {str(sid): of_counts(counts) for sid, counts in role.acks_ms.items()}
    return found


def of_counts(counts: dict[int, int]) -> Distribution:
    """A distribution of numbers that came so often."""
    found = Distribution()
    for number, count in counts.items():
        found.add(number, count)
    return found


def operation_name(opcode: int) -> str:
    """As the client protocol's page names an opcode: createSession, setData, multi."""
    first, *others = OpCode(opcode).name.lower().split("_")
    return first + "".join([word.capitalize() for word in others])
