"""Settings that SIGHUP changes while the server runs: limits, throttles, who may ask, what is logged.

Everything else is decided at the start: what is written to disk, what is agreed upon, which ports are open.
"""

RELOADABLE = frozenset(
    [
        "admin_rate_limit_interval_ms",
        "admin_restore_bytes_max",
        "admin_restore_enabled",
        "admin_snapshot_enabled",
        "client_out_buffer_bytes_max",
        "client_tcp_keep_alive",
        "digest_auth_enabled",
        "four_letter_whitelist",
        "fsync_warning_threshold_ms",
        "global_outstanding_limit",
        "jaas_file",
        "large_request_bytes_max",
        "large_request_threshold",
        "log_format",
        "log_levels",
        "max_client_connections_per_address",
        "max_connections",
        "max_session_timeout_ms",
        "min_session_timeout_ms",
        "more_super_users",
        "request_throttle_drop_stale",
        "request_throttle_requests_max",
        "request_stale_connection_check",
        "request_stale_latency_check",
        "sasl_failed_clients_allowed",
        "sasl_super_password",
        "sasl_users",
        "super_digest",
        "super_user",
        "throttled_op_wait_time_ms",
    ]
)
"""Fields of `Config`."""
