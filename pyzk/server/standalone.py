"""A standalone server: wires the parts together, starts and stops them, and does nothing itself."""

import asyncio
import gc
import os
import random
from contextlib import suppress
from itertools import count

import structlog

from pyzk.errors import StorageError
from pyzk.server import housekeeping
from pyzk.server.admin.statistics import Statistics
from pyzk.server.admin.words import FourLetterWords
from pyzk.server.clients import ClientConnection, ClientLimits, listen
from pyzk.server.clock import monotonic_seconds, wall_ms
from pyzk.server.config import Config
from pyzk.server.files import FileDisk, lock_directory, require_directory
from pyzk.server.logwriter import RECORD_OVERHEAD_BYTES, LogWriter, Outcomes
from pyzk.server.peer import Peer
from pyzk.service.outbox import Settings
from pyzk.service.proposer import Proposer
from pyzk.service.service import Service
from pyzk.service.sessions import SessionIds
from pyzk.service.throttle import ConnectionThrottle, RequestLimits, SessionWeights, TokenRates
from pyzk.storage.database import Restored, RestoreOptions, restore
from pyzk.storage.disk import Disk
from pyzk.storage.names import Places
from pyzk.storage.txnlog import Roll, TxnLog
from pyzk.tree.acl import AccessControl
from pyzk.tree.prepare import Rules
from pyzk.tree.tree import Tree
from pyzk.zab.broadcast import Broadcast
from pyzk.zab.quorum import Majority

log = structlog.get_logger()

STANDALONE_ID = 1
"""Server id inside session ids when there is no ensemble."""
DRAIN_SECONDS_MAX = 5.0
"""How long a shutdown waits for writes under way."""


class Server:
    """One running standalone server.

    Args:
        config: what to serve, where.
        disk: where the files are; the file system unless given.

    Attributes:
        port: the client port that is open, 0 if there is none.
        failure: what brought the server down, if something did.
    """

    def __init__(self, config: Config, disk: Disk | None = None) -> None:
        self.config = config
        self.port = 0
        self.failure: BaseException | None = None
        self.stopped = asyncio.Event()
        self._disk: Disk = FileDisk() if disk is None else disk
        self.places = Places.of(config.data_dir, config.data_log_dir)
        self._chores = housekeeping.Chores(self.fail)
        self._listener: asyncio.Server | None = None
        self._locks: list[int] = []

    async def start(self) -> None:
        """Load the data and open the client port. Raises PyzkError or OSError with the reason if that cannot be."""
        began_at = monotonic_seconds()
        if isinstance(self._disk, FileDisk):
            self._lock()
        restored = self._restore()
        self.peer = self._make_peer(restored.tree)
        txn_log = _make_log(self.config, self._disk, self.places)
        self.peer.log = LogWriter(txn_log, Outcomes(self.peer.logged, self.peer.log_failed))
        self.peer.on_fatal = self.fail
        self.peer.log.slow_sync_ms = self.config.fsync_warning_threshold_ms
        now = monotonic_seconds()
        load_ms = int((now - began_at) * 1000)
        self.statistics = Statistics(self.peer, now, load_ms, restored.replayed, restored.digest_mismatches)
        self._start_chores(restored)
        self.peer.service.start(monotonic_seconds())
        self.peer.wake()
        limits = ClientLimits(
            self.config.max_client_connections_per_address,
            self.config.max_connections,
            self.config.client_out_buffer_bytes_max,
            self.statistics,
        )
        _settle_garbage()
        if self.config.client_port is not None:
            await self._open_port(self.config.client_port, limits)

    def _restore(self) -> Restored:
        config = self.config
        options = RestoreOptions(
            trust_empty=config.snapshot_trust_empty,
            trust_gaps=config.snapshot_trust_gaps,
            autocreate=config.db_autocreate,
            batch_bytes_max=_batch_bytes_max(config),
            compression=config.snapshot_compression,
        )
        restored = restore(self._disk, self.places, options)
        for note in restored.notes:
            log.warning("restore_note", note=note)
        log.info(
            "data_loaded",
            snapshot=restored.snapshot,
            replayed=restored.replayed,
            zxid=hex(restored.last_zxid),
            znodes=restored.tree.node_count,
        )
        return restored

    def _make_peer(self, tree: Tree) -> Peer:
        config = self.config
        access = AccessControl(skip=config.skip_acl)
        rules = Rules(
            access,
            extended_types_enabled=config.extended_types_enabled,
            enforce_quota=config.enforce_quota,
            reconfig_enabled=config.reconfig_enabled,
            close_session_lists_paths=config.close_session_txn_enabled,
        )
        session_ids = SessionIds(wall_ms(), STANDALONE_ID)
        throttle = ConnectionThrottle(_token_rates(config), random.Random()) if config.connection_max_tokens else None
        service = Service(tree, access, _service_settings(config), session_ids.next, throttle)
        proposer = Proposer(
            tree,
            rules,
            digest_enabled=config.digest_enabled,
            txn_bytes_max=config.jute_max_buffer + config.jute_extra_size,
        )
        return Peer(service, proposer, Broadcast(STANDALONE_ID, Majority(frozenset({STANDALONE_ID}))))

    def _start_chores(self, restored: Restored) -> None:
        config, peer, start = self.config, self.peer, self._chores.start
        roll = Roll(
            random.Random(),
            config.snap_count,
            config.snap_size_limit_kib * 1024,
            config.txn_log_size_limit_kib * 1024,
        )
        snapshots = housekeeping.Snapshots(peer, self._disk, self.places, config, roll, peer.log.roll, self.statistics)
        peer.on_proposed = snapshots.proposed
        if restored.replayed > config.snap_count // 2:
            snapshots.want()
        start(snapshots.run())
        start(housekeeping.keep_sessions(peer, config.tick_time_ms))
        start(housekeeping.close_sessionless(peer, config.sessionless_timeout_ms))
        start(housekeeping.watch_disk(peer, self._disk, self.places.logs, config.tick_time_ms))
        if config.container_check_interval_ms > 0:
            start(housekeeping.delete_containers(peer, config))
        if config.purge_interval_hours > 0:
            start(housekeeping.purge(self._disk, self.places, config, restored.damaged))

    async def _open_port(self, port: int, limits: ClientLimits) -> None:
        numbers = count(1)

        def next_id() -> int:
            return next(numbers)

        words = FourLetterWords(self)

        def create() -> ClientConnection:
            return ClientConnection(self.peer, limits, words, next_id)

        self._listener = await listen(create, self.config.client_port_address, port, self.config.listen_backlog)
        self.port = self._listener.sockets[0].getsockname()[1]
        log.info("serving", port=self.port, address=self.config.client_port_address or "*")

    def directory_sizes(self) -> tuple[int, int]:
        """Bytes of all files beside the snapshots, and beside the logs; often the same directory."""
        return self._size_of(self.places.snapshots), self._size_of(self.places.logs)

    def _size_of(self, directory: str) -> int:
        size_bytes = 0
        for name in self._disk.names(directory):
            with suppress(StorageError):  # gone, or renamed, by a thread's hand since its name was read
                size_bytes += self._disk.size(f"{directory}/{name}")
        return size_bytes

    def fail(self, error: BaseException) -> None:
        """Something has happened after which going on would risk data: end the process."""
        if self.failure is None:
            self.failure = error
            log.critical("server_failed", error=f"{type(error).__name__}: {error}", exc_info=error)
        self.stopped.set()

    async def stop(self) -> None:
        """Close the port, let the writes under way end, and close the log."""
        self.stopped.set()
        if self._listener is not None:
            self._listener.close()
        await self._chores.stop()
        for client in list(self.peer.clients.values()):
            client.pause()
        if self.failure is None:
            try:
                await asyncio.wait_for(self._close_log(), DRAIN_SECONDS_MAX)
            except TimeoutError:
                log.warning("writes_under_way_abandoned", seconds=DRAIN_SECONDS_MAX)
        for client in list(self.peer.clients.values()):
            client.finish("the server stops", notable=False)
        while self._locks:
            os.close(self._locks.pop())
        log.info("stopped")

    async def _close_log(self) -> None:
        await self.peer.drain()
        await self.peer.log.close()

    def _lock(self) -> None:
        """Nobody else may write where we do. Raises StorageError."""
        for directory in dict.fromkeys([self.places.snapshots, self.places.logs]):
            if not self.config.data_dir_autocreate:
                require_directory(directory)
            self._disk.make_directory(directory)
            self._locks.append(lock_directory(directory))


def _service_settings(config: Config) -> Settings:
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
    return SessionWeights(config.connection_global_session_weight, config.connection_renew_session_weight)


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


def _batch_bytes_max(config: Config) -> int:
    """The limit of a batch of the log: the setting, but never less than the largest txn and what the log adds to it."""
    return max(config.log_batch_bytes_max, config.jute_max_buffer + config.jute_extra_size + RECORD_OVERHEAD_BYTES)


def _make_log(config: Config, disk: Disk, places: Places) -> TxnLog:
    if not config.force_sync:
        log.warning("force_sync_is_off", setting="forceSync", danger="acknowledged writes can be lost in a power cut")
    return TxnLog(
        disk,
        places.logs,
        preallocate_bytes=config.pre_alloc_size_kib * 1024,
        batch_bytes_max=_batch_bytes_max(config),
        sync=config.force_sync,
    )


def _settle_garbage() -> None:
    """A full collection would stop a large tree for long: take what is loaded out of it, and collect rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
