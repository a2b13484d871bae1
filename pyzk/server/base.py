"""What every server is made of, alone or in an ensemble: its directories, chores, client port, and its end."""

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

import structlog

from pyzk.errors import AdminPortError, DiskFullError, StorageError
from pyzk.server import housekeeping
from pyzk.server.admin.statistics import LoadTimes, Statistics
from pyzk.server.admin.words import FourLetterWords
from pyzk.server.auditlog import INVOKED, SERVER_START, SERVER_STOP, AuditLog, server_user
from pyzk.server.clientports import ClientPorts
from pyzk.server.config import Config
from pyzk.server.config.identities import required_schemes
from pyzk.server.driver import Driver
from pyzk.server.files import FileDisk, lock_directory, require_directory
from pyzk.server.identities import set_up_identities
from pyzk.server.logwriter import LogWriter, Outcomes
from pyzk.server.metrics.probes import watch_loop, watch_turns
from pyzk.server.wiring import make_log, make_pace, make_roll, service_settings
from pyzk.service.audit import SUCCESS, Auditor
from pyzk.storage.disk import Disk
from pyzk.storage.names import Places
from pyzk.tree.tree import Tree

if TYPE_CHECKING:
    from pyzk.server.tls.contexts import Contexts

log = structlog.get_logger()

DRAIN_SECONDS_MAX = 5.0
"""How long a shutdown waits for writes under way."""


class OperationsPort(Protocol):
    """A port for operators."""

    async def stop(self) -> None:
        """Close it."""


async def _imported(module: str) -> ModuleType:
    return await asyncio.to_thread(import_module, module)


class BaseServer(ABC):
    """One running server.

    Args:
        config: what to serve, where.
        disk: where the files are; the file system unless given.

    Attributes:
        peer: drives its service.
        admin_port, metrics_port: those that are open, 0 if there is none.
        audit: the audit log, if there is to be one.
        snapshots: takes them.
        failure: what brought the server down, if something did.
    """

    peer: Driver
    statistics: Statistics
    snapshots: housekeeping.Snapshots

    def __init__(self, config: Config, disk: Disk | None = None) -> None:
        self.config = config
        self.failure: BaseException | None = None
        self.stopped = asyncio.Event()
        self.places = Places.of(config.data_dir, config.data_log_dir)
        self._disk: Disk = FileDisk() if disk is None else disk
        self._chores = housekeeping.Chores(self.fail)
        self.client_ports: ClientPorts | None = None
        self._certificates: list[Contexts] = []
        self._locks: list[int] = []
        self._operations: list[OperationsPort] = []
        self.admin_port = self.metrics_port = 0
        self.audit = AuditLog(config.audit_file) if config.audit_enabled else None
        self._damaged: set[str] = set()
        self._load_times = LoadTimes()

    @abstractmethod
    async def start(self) -> None:
        """Load the data and open the ports. Raises PyzkError or OSError with the reason if that cannot be."""

    @property
    def is_serving(self) -> bool:
        """Whether clients are served at the moment."""
        return self.peer.is_serving and not self.stopped.is_set()

    def _make_log_writer(self, outcomes: Outcomes) -> LogWriter:
        writer = LogWriter(make_log(self.config, self._disk, self.places), outcomes)
        writer.slow_sync_ms = self.config.fsync_warning_threshold_ms
        writer.pace = make_pace(self.config)
        return writer

    def _start_chores(self, replayed: int, gate: housekeeping.Gate) -> None:
        config, driver, start = self.config, self.peer, self._chores.start
        snapshots = housekeeping.Snapshots(
            driver, self._disk, self.places, config, make_roll(config), driver.log.roll, self.statistics, gate
        )
        driver.on_logging = snapshots.logging
        if replayed > config.snap_count // 2:
            snapshots.want()
        if self.audit is not None:
            driver.service.audit(Auditor(self.audit.write, server_user()))
        self.snapshots = snapshots
        start(snapshots.run())
        start(watch_loop(driver, self.statistics.queued_at_learners))
        start(watch_turns(driver.stages, config))
        start(housekeeping.keep_sessions(driver, config.tick_time_ms))
        start(housekeeping.close_sessionless(driver, config.sessionless_timeout_ms))
        if required_schemes(config) and config.authentication_timeout_ms:
            start(housekeeping.close_unauthenticated(driver, config.authentication_timeout_ms))
        start(housekeeping.watch_disk(driver, self._disk, self.places.logs, config.tick_time_ms))
        if config.container_check_interval_ms > 0:
            start(housekeeping.delete_containers(driver, config))
        if config.purge_interval_hours > 0:
            start(housekeeping.purge(self._disk, self.places, config, gate, self._damaged))

    def _note_restored(self, notes: Iterable[str], damaged: Iterable[str]) -> None:
        """What was found while loading; snapshots that could not be read do not count when old ones are purged."""
        for note in notes:
            log.warning("restore_note", note=note)
        self._damaged.update(damaged)

    async def _open_ports(self) -> None:
        """Let clients in."""
        self.client_ports = ClientPorts(self.config, self.peer, FourLetterWords(self), self.statistics)
        await self.client_ports.open()
        if self.client_ports.security is not None:
            self.keep_certificates(self.client_ports.security.contexts, watch=self.config.client_certificate_reload)

    def keep_certificates(self, contexts: "Contexts", *, watch: bool) -> None:
        """Have these files read again when an operator says so; `watch`: whenever they change."""
        self._certificates.append(contexts)
        if watch:
            self._chores.start(contexts.watch())

    def reload_certificates(self) -> None:
        """Read the files of certificates again."""
        for contexts in self._certificates:
            self._chores.start(contexts.reload())

    @property
    def port(self) -> int:
        """The client port that is open, 0 if there is none."""
        return self.client_ports.port if self.client_ports is not None else 0

    @property
    def secure_port(self) -> int:
        """The client port with TLS that is open, 0 if there is none."""
        return self.client_ports.secure_port if self.client_ports is not None else 0

    async def _open_operations(self) -> None:
        """Ports for operators, where they are switched on: imported by a thread, when clients are served already."""
        config = self.config
        if config.has_prometheus:
            self.peer.service.count_namespaces()
            provider = (await _imported("pyzk.server.metrics.provider")).PrometheusProvider(self)
            self._operations.append(provider)
            await provider.start()
            self.metrics_port = provider.port
        if config.admin_enabled:
            admin = (await _imported("pyzk.server.admin.http.server")).AdminServer(self)
            self._operations.append(admin)
            try:
                await admin.start()
            except OSError as error:
                raise AdminPortError(
                    f"{error.strerror or error} [admin.serverAddress={config.admin_address}, "
                    f"admin.serverPort={config.admin_port}] choose another port, or admin.enableServer=false"
                ) from error
            self.admin_port = admin.port
        if self.audit is not None:
            self.audit.server(SERVER_START, SUCCESS)

    def take_settings(self, config: Config) -> None:
        """Go on with a configuration that differs in what `pyzk.server.config.reloadable` names, and nothing else.

        Raises:
            ConfigError: it cannot be used, and nothing has changed.
        """
        set_up_identities(self.peer.service, config)
        self.config = config
        self.peer.service.settings = service_settings(config)
        self.peer.log.slow_sync_ms = config.fsync_warning_threshold_ms
        if self.client_ports is not None:
            self.client_ports.limits.set(config)

    @property
    def replace_obstacle(self) -> str:
        """Why no other tree can be taken here; empty if it can."""
        return ""

    @abstractmethod
    async def replace_tree(self, tree: Tree) -> None:
        """Make another tree the whole database, durably; sessions and watches stay. Raises PyzkError."""

    def _require_space(self, tree: Tree) -> None:
        """Refuse a tree that would not fit beside what is there. Raises DiskFullError."""
        if self._disk.free_bytes(self.places.snapshots) < housekeeping.snapshot_bytes(tree):
            raise DiskFullError(f"{self.places.snapshots}: not enough space left for a snapshot")

    def directory_sizes(self) -> tuple[int, int]:
        """Bytes of all files beside the snapshots, and beside the logs; often the same directory."""
        return self._size_of(self.places.snapshots), self._size_of(self.places.logs)

    @property
    def disk(self) -> Disk:
        """Where the files are."""
        return self._disk

    def snapshot_names(self) -> list[str]:
        """All that is beside the snapshots."""
        return self._disk.names(self.places.snapshots)

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
            self.statistics.failures += 1
            log.critical("server_failed", error=f"{type(error).__name__}: {error}", exc_info=error)
        self.stopped.set()

    async def stop(self) -> None:
        """Close the port, let the writes under way end, and close the log."""
        self.stopped.set()
        if self.audit is not None:
            self.audit.server(SERVER_STOP, INVOKED)
        if self.client_ports is not None:
            self.client_ports.close()
        for operations in self._operations:
            await operations.stop()
        await self._chores.stop()
        for client in list(self.peer.clients.values()):
            client.pause()
        await self._leave()
        if self.failure is None:
            try:
                await asyncio.wait_for(self.peer.close(), DRAIN_SECONDS_MAX)
            except TimeoutError:
                log.warning("writes_under_way_abandoned", seconds=DRAIN_SECONDS_MAX)
        for client in list(self.peer.clients.values()):
            client.finish("the server stops", notable=False)
        while self._locks:
            os.close(self._locks.pop())
        if self.audit is not None:
            self.audit.close()
        log.info("stopped")

    @abstractmethod
    async def _leave(self) -> None:
        """Take leave of other servers, if there are any."""

    def _lock(self) -> None:
        """Nobody else may write where we do. Raises StorageError."""
        if not isinstance(self._disk, FileDisk):
            return
        for directory in dict.fromkeys([self.places.snapshots, self.places.logs]):
            if not self.config.data_dir_autocreate:
                require_directory(directory)
            self._disk.make_directory(directory)
            self._locks.append(lock_directory(directory))
