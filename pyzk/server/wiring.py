"""Makes the parts of a server out of its configuration: what every server has, alone or in an ensemble."""

import random
from collections.abc import Callable
from functools import partial

import structlog

from pyzk.server.clock import wall_ms
from pyzk.server.config import Config
from pyzk.server.config.identities import required_schemes
from pyzk.server.identities import set_up_identities, super_users
from pyzk.server.logwriter import RECORD_OVERHEAD_BYTES, Pace
from pyzk.service.counters import namespace_of
from pyzk.service.outbox import Settings
from pyzk.service.proposer import Proposer
from pyzk.service.service import Service
from pyzk.service.sessions import SessionIds
from pyzk.service.throttle import ConnectionThrottle, RequestLimits, SessionWeights, TokenRates
from pyzk.storage.database import RestoreOptions
from pyzk.storage.disk import Disk
from pyzk.storage.names import Places
from pyzk.storage.txnlog import Roll, TxnLog
from pyzk.tree.acl import AccessControl
from pyzk.tree.request import Rules
from pyzk.tree.tree import Tree

log = structlog.get_logger()


def restore_options(config: Config, on_snapshot: Callable[[], None]) -> RestoreOptions:
    """How the data is loaded."""
    return RestoreOptions(
        trust_empty=config.snapshot_trust_empty,
        trust_gaps=config.snapshot_trust_gaps,
        autocreate=config.db_autocreate,
        batch_bytes_max=batch_bytes_max(config),
        compression=config.snapshot_compression,
        on_snapshot=on_snapshot,
    )


def make_service(config: Config, tree: Tree, server_id: int) -> tuple[Service, Proposer]:
    """What a server does for its sessions, and what makes txns of their requests."""
    access = AccessControl(skip=config.skip_acl)
    rules = Rules(
        access,
        extended_types_enabled=config.extended_types_enabled,
        enforce_quota=config.enforce_quota,
        reconfig_enabled=config.reconfig_enabled,
        close_session_lists_paths=config.close_session_txn_enabled,
    )
    session_ids = SessionIds(wall_ms(), server_id)
    throttle = ConnectionThrottle(_token_rates(config), random.Random()) if config.connection_max_tokens else None
    service = Service(tree, access, service_settings(config), session_ids.next, throttle)
    set_up_identities(service, config)
    proposer = Proposer(
        tree,
        rules,
        digest_enabled=config.digest_enabled,
        txn_bytes_max=txn_bytes_max(config),
    )
    proposer.on_quota_exceeded = partial(_count_quota_error, service)
    return service, proposer


def _count_quota_error(service: Service, path: bytes) -> None:
    errors, name = service.counters.quota_errors, namespace_of(path)
    errors[name] = errors.get(name, 0) + 1


def txn_bytes_max(config: Config) -> int:
    """The longest txn, and the longest buffer in a packet between servers."""
    return config.jute_max_buffer + config.jute_extra_size


def make_roll(config: Config) -> Roll:
    """When a new log file begins, and a snapshot."""
    return Roll(
        random.Random(),
        config.snap_count,
        config.snap_size_limit_kib * 1024,
        config.txn_log_size_limit_kib * 1024,
    )


def make_pace(config: Config) -> Pace:
    """Whether the log waits for more writes."""
    return Pace(config.flush_delay_ms / 1000, config.write_queue_poll_ms_max / 1000, config.max_batch_size)


def service_settings(config: Config) -> Settings:
    return Settings(
        tick_ms=config.tick_time_ms,
        session_timeout_min_ms=config.min_session_timeout_ms,
        session_timeout_max_ms=config.max_session_timeout_ms,
        frame_bytes_max=config.jute_max_buffer,
        string_bytes_max=config.jute_max_buffer + max(config.jute_extra_size, 1024),
        outstanding_max=config.global_outstanding_limit,
        super_digest=config.super_digest.encode() if config.super_digest else None,
        digest_algorithm=config.digest_alg,
        digest_auth_enabled=config.digest_auth_enabled,
        required_schemes=frozenset(scheme.encode() for scheme in required_schemes(config)),
        sasl_failures_allowed=config.sasl_failed_clients_allowed,
        super_users=super_users(config),
        watch_bytes_max=config.watch_bytes_max,
        eager_acl_check=config.enable_eager_acl_check,
        local_sessions=config.is_distributed and config.local_sessions_enabled,
        local_sessions_upgrade=config.local_sessions_upgrading_enabled,
        requests=_request_limits(config),
        session_weights=_session_weights(config),
    )


def _request_limits(config: Config) -> RequestLimits:
    return RequestLimits(
        requests_max=config.request_throttle_requests_max,
        drop_stale=config.request_throttle_drop_stale,
        stale_when_disconnected=config.request_stale_connection_check,
        stale_when_expired=config.request_stale_latency_check,
        wait_ms_max=config.throttled_op_wait_time_ms,
        large_bytes=config.large_request_threshold,
        large_total_bytes_max=config.large_request_bytes_max,
    )


def _session_weights(config: Config) -> SessionWeights:
    if not config.connection_weight_enabled:
        return SessionWeights()
    return SessionWeights(
        config.connection_global_session_weight,
        config.connection_renew_session_weight,
        config.connection_local_session_weight,
    )


def _token_rates(config: Config) -> TokenRates:
    return TokenRates(
        tokens_max=config.connection_max_tokens,
        fill_time_ms=config.connection_token_fill_time_ms,
        fill_count=config.connection_token_fill_count,
        freeze_time_ms=config.connection_freeze_time_ms,
        drop_increase=config.connection_drop_increase,
        drop_decrease=config.connection_drop_decrease,
        decrease_ratio=config.connection_decrease_ratio,
    )


def batch_bytes_max(config: Config) -> int:
    """The limit of a batch of the log: the setting, but never less than the largest txn and what the log adds to it."""
    return max(config.log_batch_bytes_max, txn_bytes_max(config) + RECORD_OVERHEAD_BYTES)


def make_log(config: Config, disk: Disk, places: Places) -> TxnLog:
    if not config.force_sync:
        log.warning("force_sync_is_off", setting="forceSync", danger="acknowledged writes can be lost in a power cut")
    return TxnLog(
        disk,
        places.logs,
        preallocate_bytes=config.pre_alloc_size_kib * 1024,
        batch_bytes_max=batch_bytes_max(config),
        sync=config.force_sync,
    )
