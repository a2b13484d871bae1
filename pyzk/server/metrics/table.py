"""The names of Apache 3.9, in the order in which its servers list them: gauges, counters, summaries.

`is_used` marks what published dashboards, alerts and agents read. Source: docs/protocol/operations.md section 3.
"""

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What a metric is, as Prometheus calls it."""

    GAUGE = "gauge"
    COUNTER = "counter"
    SUMMARY = "summary"


class Metric(NamedTuple):
    """One name.

    Attributes:
        help: one line.
        is_detailed: a summary with more quantiles than the median (level ADVANCED of Apache).
        is_labelled: it comes once for each key: a server id, or a top-level znode.
        is_used: somebody's dashboard breaks without it.
    """

    name: str
    kind: Kind
    help: str
    is_detailed: bool = False
    is_labelled: bool = False
    is_used: bool = False


METRICS = (
    Metric("ephemerals_count", Kind.GAUGE, "ephemeral znodes", is_used=True),
    Metric("num_alive_connections", Kind.GAUGE, "open client connections", is_used=True),
    Metric("avg_latency", Kind.GAUGE, "ms, average reply latency since reset", is_used=True),
    Metric("min_proposal_size", Kind.GAUGE, "bytes, shortest proposal", is_used=True),
    Metric("outstanding_requests", Kind.GAUGE, "requests not yet answered", is_used=True),
    Metric("znode_count", Kind.GAUGE, "znodes", is_used=True),
    Metric("global_sessions", Kind.GAUGE, "sessions of the ensemble", is_used=True),
    Metric("non_mtls_remote_conn_count", Kind.GAUGE, "remote connections without client certificate"),
    Metric("last_client_response_size", Kind.GAUGE, "bytes, -1 none yet"),
    Metric("packets_sent", Kind.GAUGE, "replies and events written", is_used=True),
    Metric("packets_received", Kind.GAUGE, "requests and pings read", is_used=True),
    Metric("max_proposal_size", Kind.GAUGE, "bytes, longest proposal", is_used=True),
    Metric("max_client_response_size", Kind.GAUGE, "bytes, longest reply", is_used=True),
    Metric("synced_followers", Kind.GAUGE, "forwarding (voting, synced) followers", is_used=True),
    Metric("connection_drop_probability", Kind.GAUGE, "0..1", is_used=True),
    Metric("watch_count", Kind.GAUGE, "data and child watches", is_used=True),
    Metric("synced_non_voting_followers", Kind.GAUGE, "synced followers that do not vote", is_used=True),
    Metric("synced_observers", Kind.GAUGE, "synced observers", is_used=True),
    Metric("auth_failed_count", Kind.GAUGE, "failed authentications", is_used=True),
    Metric("min_latency", Kind.GAUGE, "ms, shortest reply latency since reset", is_used=True),
    Metric("max_file_descriptor_count", Kind.GAUGE, "files that may be open", is_used=True),
    Metric("approximate_data_size", Kind.GAUGE, "bytes of paths and data, cached", is_used=True),
    Metric("open_file_descriptor_count", Kind.GAUGE, "open files", is_used=True),
    Metric("last_proposal_size", Kind.GAUGE, "bytes, last proposal", is_used=True),
    Metric("pending_syncs", Kind.GAUGE, "sync requests waiting", is_used=True),
    Metric("leader_uptime", Kind.GAUGE, "ms since this server leads", is_used=True),
    Metric("local_sessions", Kind.GAUGE, "sessions of this server only", is_used=True),
    Metric("uptime", Kind.GAUGE, "ms since this server object started", is_used=True),
    Metric("max_latency", Kind.GAUGE, "ms, longest reply latency since reset", is_used=True),
    Metric("outstanding_tls_handshake", Kind.GAUGE, "TLS handshakes under way"),
    Metric("learners", Kind.GAUGE, "connected learners", is_used=True),
    Metric("min_client_response_size", Kind.GAUGE, "bytes, shortest reply"),
    Metric("non_mtls_local_conn_count", Kind.GAUGE, "local connections without client certificate"),
    Metric("quorum_size", Kind.GAUGE, "voters in the configuration", is_used=True),
    Metric("quota_count_limit_per_namespace", Kind.GAUGE, "soft or hard count limit", is_labelled=True),
    Metric("quota_bytes_limit_per_namespace", Kind.GAUGE, "soft or hard bytes limit", is_labelled=True),
    Metric("quota_count_usage_per_namespace", Kind.GAUGE, "znodes below", is_labelled=True),
    Metric("quota_bytes_usage_per_namespace", Kind.GAUGE, "bytes below", is_labelled=True),
    Metric("watch_bytes", Kind.COUNTER, "bytes of watch events sent", is_used=True),
    Metric("stale_requests_dropped", Kind.COUNTER, "stale requests dropped", is_used=True),
    Metric("throttled_ops", Kind.COUNTER, "requests answered -127", is_used=True),
    Metric("insecure_admin_count", Kind.COUNTER, "plain connections to the unified admin port"),
    Metric("connection_rejected", Kind.COUNTER, "connections refused by limits or throttle", is_used=True),
    Metric("sessionless_connections_expired", Kind.COUNTER, "connections closed without a session", is_used=True),
    Metric("dead_watchers_queued", Kind.COUNTER, "dead watchers enqueued", is_used=True),
    Metric("stale_requests", Kind.COUNTER, "stale requests seen", is_used=True),
    Metric("connection_drop_count", Kind.COUNTER, "connections dropped by the server", is_used=True),
    Metric("response_packet_cache_hits", Kind.COUNTER, "getData serialisation cache hits", is_used=True),
    Metric("bytes_received_count", Kind.COUNTER, "request bytes read from clients", is_used=True),
    Metric("add_dead_watcher_stall_time", Kind.COUNTER, "ms spent waiting to enqueue dead watchers"),
    Metric("request_throttle_wait_count", Kind.COUNTER, "times the throttle waited", is_used=True),
    Metric("requests_not_forwarded_to_commit_processor", Kind.COUNTER, "requests skipped (feature flag)"),
    Metric("response_packet_cache_misses", Kind.COUNTER, "getData serialisation cache misses", is_used=True),
    Metric("prep_processor_request_queued", Kind.COUNTER, "requests put in the prep queue", is_used=True),
    Metric("stale_replies", Kind.COUNTER, "replies for closed connections", is_used=True),
    Metric("response_bytes", Kind.COUNTER, "bytes sent to clients", is_used=True),
    Metric("ensemble_auth_fail", Kind.COUNTER, "ensemble-name auth failed", is_used=True),
    Metric("diff_count", Kind.COUNTER, "DIFF syncs sent", is_used=True),
    Metric("connection_revalidate_count", Kind.COUNTER, "revalidations asked by this learner", is_used=True),
    Metric("quit_leading_due_to_disloyal_voter", Kind.COUNTER, "leader stepped down: voters left"),
    Metric("unrecoverable_error_count", Kind.COUNTER, "fatal errors in critical threads", is_used=True),
    Metric("unsuccessful_handshake", Kind.COUNTER, "failed TLS handshakes", is_used=True),
    Metric("commit_count", Kind.COUNTER, "commits performed on the leader", is_used=True),
    Metric("outstanding_changes_queued", Kind.COUNTER, "pending change records added", is_used=True),
    Metric("request_commit_queued", Kind.COUNTER, "commits put in the queue", is_used=True),
    Metric("ensemble_auth_skip", Kind.COUNTER, "ensemble-name auth not configured"),
    Metric("skip_learner_request_to_next_processor_count", Kind.COUNTER, "requests skipped (feature flag)"),
    Metric("proposal_count", Kind.COUNTER, "proposals made by this leader", is_used=True),
    Metric("large_requests_rejected", Kind.COUNTER, "requests refused by the large-request limit", is_used=True),
    Metric("outstanding_changes_removed", Kind.COUNTER, "pending change records removed", is_used=True),
    Metric("restore_error_count", Kind.COUNTER, "failed admin restores"),
    Metric("cnxn_closed_without_zk_server_running", Kind.COUNTER, "connections closed while not serving"),
    Metric("looking_count", Kind.COUNTER, "entries into LOOKING", is_used=True),
    Metric("snapshot_rate_limited_count", Kind.COUNTER, "admin snapshots refused by the rate limit"),
    Metric("learner_proposal_received_count", Kind.COUNTER, "PROPOSALs received", is_used=True),
    Metric("digest_mismatches_count", Kind.COUNTER, "data-tree digest mismatches", is_used=True),
    Metric("dead_watchers_cleared", Kind.COUNTER, "dead watchers removed", is_used=True),
    Metric("ensemble_auth_success", Kind.COUNTER, "ensemble-name auth ok"),
    Metric("learner_commit_received_count", Kind.COUNTER, "COMMITs received", is_used=True),
    Metric("snapshot_error_count", Kind.COUNTER, "failed admin snapshots"),
    Metric("connection_request_count", Kind.COUNTER, "session create and renew requests", is_used=True),
    Metric("response_packet_get_children_cache_misses", Kind.COUNTER, "getChildren cache misses"),
    Metric("snap_count", Kind.COUNTER, "SNAP syncs sent", is_used=True),
    Metric("stale_sessions_expired", Kind.COUNTER, "sessions expired", is_used=True),
    Metric("restore_rate_limited_count", Kind.COUNTER, "admin restores refused by the rate limit"),
    Metric("response_packet_get_children_cache_hits", Kind.COUNTER, "getChildren cache hits"),
    Metric("sync_processor_request_queued", Kind.COUNTER, "requests put in the log queue", is_used=True),
    Metric("tls_handshake_exceeded", Kind.COUNTER, "TLS handshakes refused by limit", is_used=True),
    Metric("revalidate_count", Kind.COUNTER, "session revalidations handled by the leader", is_used=True),
    Metric("quota_exceeded_error_per_namespace", Kind.COUNTER, "quota errors, key = namespace", is_labelled=True),
    Metric("socket_closing_time", Kind.SUMMARY, "ms to close quorum sockets"),
    Metric("proposal_process_time", Kind.SUMMARY, "ms in proposal stage", is_used=True),
    Metric(
        "leader_unavailable_time",
        Kind.SUMMARY,
        "ms from losing to regaining service, on the elected leader",
        is_used=True,
    ),
    Metric("node_created_watch_count", Kind.SUMMARY, "watches fired per create", is_used=True),
    Metric("session_queues_drained", Kind.SUMMARY, "session queues emptied per batch"),
    Metric("write_commit_proc_req_queued", Kind.SUMMARY, "writes queued"),
    Metric("connection_token_deficit", Kind.SUMMARY, "missing throttle tokens per connect"),
    Metric("read_commit_proc_req_queued", Kind.SUMMARY, "reads queued"),
    Metric("node_deleted_watch_count", Kind.SUMMARY, "watches fired per delete", is_used=True),
    Metric("startup_txns_load_time", Kind.SUMMARY, "ms to replay the logs at start", is_used=True),
    Metric("sync_processor_queue_size", Kind.SUMMARY, "log queue length", is_used=True),
    Metric("follower_sync_time", Kind.SUMMARY, "ms a follower took to sync with its leader", is_used=True),
    Metric("prep_processor_queue_size", Kind.SUMMARY, "prep queue length", is_used=True),
    Metric("fsynctime", Kind.SUMMARY, "ms per log fsync", is_used=True),
    Metric("inflight_snap_count", Kind.SUMMARY, "concurrent SNAP syncs when one starts"),
    Metric("reads_issued_from_session_queue", Kind.SUMMARY, "reads released after a commit"),
    Metric("restore_time", Kind.SUMMARY, "ms per admin restore"),
    Metric("learner_request_processor_queue_size", Kind.SUMMARY, "learner front queue length"),
    Metric("snapshottime", Kind.SUMMARY, "ms per snapshot written", is_used=True),
    Metric("unavailable_time", Kind.SUMMARY, "ms from losing to regaining service", is_used=True),
    Metric("startup_txns_loaded", Kind.SUMMARY, "txns replayed at start", is_used=True),
    Metric("reads_after_write_in_session_queue", Kind.SUMMARY, "reads behind a write"),
    Metric("requests_in_session_queue", Kind.SUMMARY, "queued requests per session", is_used=True),
    Metric("write_commit_proc_issued", Kind.SUMMARY, "writes issued per pass"),
    Metric("prep_process_time", Kind.SUMMARY, "ms in prep", is_used=True),
    Metric("pending_session_queue_size", Kind.SUMMARY, "sessions with queued requests", is_used=True),
    Metric("time_waiting_empty_pool_in_commit_processor_read_ms", Kind.SUMMARY, "ms waiting for workers"),
    Metric("commit_process_time", Kind.SUMMARY, "ms processing COMMIT on the learner", is_used=True),
    Metric("dbinittime", Kind.SUMMARY, "ms to load snapshot and logs at start", is_used=True),
    Metric("inflight_diff_count", Kind.SUMMARY, "concurrent DIFF syncs when one starts"),
    Metric("netty_queued_buffer_capacity", Kind.SUMMARY, "bytes queued per connection"),
    Metric("election_time", Kind.SUMMARY, "ms spent in LOOKING per election", is_used=True),
    Metric("commit_commit_proc_req_queued", Kind.SUMMARY, "commits queued"),
    Metric("sync_processor_batch_size", Kind.SUMMARY, "txns per flush", is_used=True),
    Metric("node_children_watch_count", Kind.SUMMARY, "child watches fired per change", is_used=True),
    Metric("write_batch_time_in_commit_processor", Kind.SUMMARY, "ms per write batch"),
    Metric("read_commit_proc_issued", Kind.SUMMARY, "reads issued per pass"),
    Metric("concurrent_request_processing_in_commit_processor", Kind.SUMMARY, "requests in progress when work starts"),
    Metric("observer_sync_time", Kind.SUMMARY, "ms an observer took to sync with its leader", is_used=True),
    Metric("node_changed_watch_count", Kind.SUMMARY, "watches fired per set", is_used=True),
    Metric("sync_process_time", Kind.SUMMARY, "ms to append", is_used=True),
    Metric("startup_snap_load_time", Kind.SUMMARY, "ms to load the snapshot", is_used=True),
    Metric(
        "prep_processor_queue_time_ms", Kind.SUMMARY, "ms waiting in the prep queue", is_detailed=True, is_used=True
    ),
    Metric("jvm_pause_time_ms", Kind.SUMMARY, "runtime pauses", is_detailed=True, is_used=True),
    Metric("close_session_prep_time", Kind.SUMMARY, "ms preparing closeSession", is_detailed=True, is_used=True),
    Metric("read_commitproc_time_ms", Kind.SUMMARY, "ms in commit stage, reads", is_detailed=True, is_used=True),
    Metric(
        "updatelatency",
        Kind.SUMMARY,
        "ms from arrival to reply, writes that came in on this server",
        is_detailed=True,
        is_used=True,
    ),
    Metric(
        "local_write_committed_time_ms", Kind.SUMMARY, "ms from commit to processing, local writes", is_detailed=True
    ),
    Metric("request_throttle_queue_time_ms", Kind.SUMMARY, "ms in the throttle queue", is_detailed=True),
    Metric("readlatency", Kind.SUMMARY, "ms from arrival to reply, reads", is_detailed=True, is_used=True),
    Metric("quorum_ack_latency", Kind.SUMMARY, "ms from proposal to quorum of acks", is_detailed=True, is_used=True),
    Metric("om_commit_process_time_ms", Kind.SUMMARY, "observer master commit ms", is_detailed=True),
    Metric("read_final_proc_time_ms", Kind.SUMMARY, "ms in final stage, reads", is_detailed=True, is_used=True),
    Metric(
        "commit_propagation_latency",
        Kind.SUMMARY,
        "ms from txn creation to commit received",
        is_detailed=True,
        is_used=True,
    ),
    Metric("dead_watchers_cleaner_latency", Kind.SUMMARY, "ms per clean-up batch", is_detailed=True),
    Metric("write_final_proc_time_ms", Kind.SUMMARY, "ms in final stage, writes", is_detailed=True, is_used=True),
    Metric("proposal_ack_creation_latency", Kind.SUMMARY, "ms from txn creation to ack ready", is_detailed=True),
    Metric(
        "proposal_latency", Kind.SUMMARY, "ms from txn creation to proposal received", is_detailed=True, is_used=True
    ),
    Metric("om_proposal_process_time_ms", Kind.SUMMARY, "observer master proposal ms", is_detailed=True),
    Metric(
        "sync_processor_queue_and_flush_time_ms", Kind.SUMMARY, "ms queued plus flush", is_detailed=True, is_used=True
    ),
    Metric(
        "propagation_latency",
        Kind.SUMMARY,
        "ms from txn creation on the leader until applied here",
        is_detailed=True,
        is_used=True,
    ),
    Metric(
        "server_write_committed_time_ms", Kind.SUMMARY, "ms from commit to processing, remote writes", is_detailed=True
    ),
    Metric("sync_processor_queue_time_ms", Kind.SUMMARY, "ms queued", is_detailed=True, is_used=True),
    Metric("sync_processor_queue_flush_time_ms", Kind.SUMMARY, "ms of flush", is_detailed=True, is_used=True),
    Metric("write_commitproc_time_ms", Kind.SUMMARY, "ms in commit stage, writes", is_detailed=True, is_used=True),
    Metric(
        "learner_handler_qp_size", Kind.SUMMARY, "queued packets per learner, key = sid", is_labelled=True, is_used=True
    ),
    Metric("read_per_namespace", Kind.SUMMARY, "bytes read, key = first path element", is_labelled=True, is_used=True),
    Metric(
        "write_per_namespace", Kind.SUMMARY, "bytes written, key = first path element", is_labelled=True, is_used=True
    ),
    Metric(
        "learner_handler_qp_time_ms",
        Kind.SUMMARY,
        "ms queued per learner, key = sid",
        is_detailed=True,
        is_labelled=True,
    ),
    Metric(
        "ack_latency",
        Kind.SUMMARY,
        "ms from proposal to ack, key = sid",
        is_detailed=True,
        is_labelled=True,
        is_used=True,
    ),
)

OWN_METRICS = (
    Metric("event_loop_lag_ms", Kind.SUMMARY, "ms by which a timer of the event loop came late", is_detailed=True),
    Metric("event_loop_busy_ms", Kind.SUMMARY, "ms of that in which the loop has worked itself", is_detailed=True),
    Metric("gc_pause_time_ms", Kind.SUMMARY, "ms of one collection of garbage", is_detailed=True),
    Metric(
        "operation_latency_ms",
        Kind.SUMMARY,
        "ms from arrival to reply, key = kind of operation",
        is_detailed=True,
        is_labelled=True,
    ),
    Metric("fsync_slow_count", Kind.COUNTER, "batches of the log that took longer than fsync.warningthresholdms"),
    Metric("followers", Kind.GAUGE, "connected learners that are no observers"),
)
"""What no server of Apache tells; only Prometheus shows them, but for followers, which mntr has too."""

PROMETHEUS_ONLY = frozenset({"ack_latency"})
"""In Apache's table, and in none of its answers to mntr."""
