"""A member of an ensemble: wires the parts together, starts and stops them.

The client port is open from the start; clients that come while there is no leader are sent away, and four-letter words
are answered. Source: docs/protocol/zab.md section 2, docs/protocol/configuration.md sections 3 to 5.
"""

import asyncio
import gc
import random
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from pyzk.errors import AdminRefusalError, StorageError
from pyzk.server.admin.statistics import Statistics
from pyzk.server.base import BaseServer
from pyzk.server.config import Config
from pyzk.server.garbage import settle_garbage
from pyzk.server.housekeeping import Gate
from pyzk.server.links import Admissions, LinkOptions, Links
from pyzk.server.logwriter import Outcomes
from pyzk.server.memberdisk import DiskReports, MemberDisk
from pyzk.server.memberdriver import MemberDriver
from pyzk.server.peerports import PeerPorts
from pyzk.server.wiring import make_service, restore_options, txn_bytes_max
from pyzk.service.member import Member
from pyzk.storage.disk import Disk
from pyzk.storage.member import MemberFiles, Stored
from pyzk.tree.tree import Tree
from pyzk.tree.walk import walk
from pyzk.zab.connections import ConnectionSettings
from pyzk.zab.dynamic_files import DynamicFiles
from pyzk.zab.effects import ConfigChanged, SaveConfig
from pyzk.zab.election import ElectionSettings
from pyzk.zab.events import OracleSays
from pyzk.zab.history import History
from pyzk.zab.learning import Learning
from pyzk.zab.membership import Membership, parse_text
from pyzk.zab.peer import Peer
from pyzk.zab.settings import AgreementSettings
from pyzk.zab.state import State

if TYPE_CHECKING:
    from pyzk.server.tls.peerside import PeerSecurity

log = structlog.get_logger()

ORACLE_SECONDS = 0.1
"""How often the oracle's file is looked at."""

PEER_PORTS_SECONDS = 0.2
"""How long the first question for a leader waits for our own ports. A peer with a larger id answers by dialing back; if
that is refused, it is asked again after a silence as long as that."""

REPLACE_SECONDS_MAX = 300.0
"""How long the members may take to have other data."""

DOUBT_REMEDY = (
    "an established leader gives everything back; if there can be none, start the member with the best data once with "
    "pyzk.trustOwnData=true"
)


class MemberGate(Gate):
    """A member takes snapshots only of what its ensemble has agreed on."""

    def __init__(self, driver: MemberDriver) -> None:
        super().__init__()
        self._driver = driver

    @property
    def is_open(self) -> bool:
        """Whether the server leads or follows."""
        return self._driver.is_established

    async def opened(self) -> None:
        """Wait until it does."""
        await self._driver.established.wait()

    def beside(self) -> AbstractAsyncContextManager[None]:
        """For the length of an `async with`, nothing is cut and no tree is installed."""
        return self._driver.disk.beside()

    async def logged(self, zxid: int) -> bool:
        """Wait until our own log has what others may have committed before; False when the role ends first."""
        return await self._driver.has_logged(zxid)


class Server(BaseServer):
    """One running member of an ensemble."""

    peer: MemberDriver

    def __init__(self, config: Config, disk: Disk | None = None) -> None:
        super().__init__(config, disk)
        assert config.server_id is not None, "a member has an id"
        self.server_id = config.server_id
        self._dynamic: DynamicFiles | None = None
        if config.reconfig_enabled and config.path:
            self._dynamic = DynamicFiles(self._disk, str(Path(config.path).absolute()), self.server_id)
        self._files = MemberFiles(
            self._disk,
            self.places,
            restore_options(config, self._load_times.snapshot_loaded),
            with_last_zxid=config.serialize_last_processed_zxid,
        )

    async def start(self) -> None:
        """Load the data, open the ports, look for a leader. Raises PyzkError or OSError with the reason if it fails."""
        self._lock()
        stored = self._load()
        driver = self.peer = self._make_driver(stored)
        if self.config.has_quorum_tls:
            driver.links.dialer.security = await asyncio.to_thread(self._load_security)
            self.keep_certificates(driver.links.dialer.security.contexts, watch=self.config.quorum_certificate_reload)
        self._ports = PeerPorts(
            driver.links,
            on_all_addresses=self.config.quorum_listen_on_all_ips,
            attempts_max=self.config.election_port_bind_retries,
            observer_master_port=self.config.observer_master_port,
        )
        times = self._load_times
        times.done()
        self.statistics = Statistics(driver, times.done_at, times, stored.replayed, stored.digest_mismatches)
        self._start_chores(stored.replayed, MemberGate(driver))
        if self.config.oracle_path:
            self._chores.start(self._watch_oracle(self.config.oracle_path))
        settle_garbage()
        await self._open_ports()
        await asyncio.wait([self._chores.start(self._open_peer_ports())], timeout=PEER_PORTS_SECONDS)
        driver.start()
        await self._open_operations()

    @property
    def replace_obstacle(self) -> str:
        """See `BaseServer`."""
        role = self.peer.member.peer.role
        if self.peer.decides:
            return ""
        if isinstance(role, Learning):
            return f"server {role.leader_id} leads: ask it, and it gives the data to all"
        return "nobody leads"

    async def replace_tree(self, tree: Tree) -> None:
        """See `BaseServer`. A leader gives it to all, and leads anew with it. Raises PyzkError.

        Differs from Apache: there each server replaces its own, and they differ until it was done on all of them.
        """
        self._require_space(tree)
        tree.sessions.update(self.peer.service.tree.sessions)
        try:
            async with asyncio.timeout(REPLACE_SECONDS_MAX):
                is_taken = await self.peer.replace_tree(tree)
        except TimeoutError:
            raise AdminRefusalError(503, "no quorum has taken the data yet: look who leads, and what it has") from None
        if not is_taken:
            raise AdminRefusalError(503, "another server was elected meanwhile, with the old data")
        gc.freeze()
        log.warning("data_restored", zxid=hex(tree.last_zxid), znodes=tree.node_count)

    async def _leave(self) -> None:
        """Others notice at once that we are gone."""
        self._ports.close()
        await self.peer.stop()

    def _load_security(self) -> "PeerSecurity":
        # Who has no TLS does not wait for what reads certificates.
        from pyzk.server.tls.peerside import PeerSecurity  # noqa: PLC0415

        return PeerSecurity(self.config, self._hosts)

    def _hosts(self) -> list[str]:
        """Of all servers, as their lines have them."""
        servers = self.peer.member.state.membership.servers
        return [address.host for server in servers for address in server.addresses]

    def _load(self) -> Stored:
        stored = self._files.load(trust=self.config.trust_own_data)
        self._load_times.replayed()
        self._note_restored(stored.notes, stored.damaged)
        if stored.doubt:
            log.error("data_in_doubt", reason=stored.doubt, remedy=DOUBT_REMEDY)
        log.info(
            "data_loaded",
            snapshot=stored.snapshot,
            replayed=stored.replayed,
            zxid=hex(stored.last_zxid),
            znodes=stored.tree.node_count,
            accepted_epoch=stored.accepted_epoch,
            current_epoch=stored.current_epoch,
        )
        return stored

    # The parts.

    def _make_driver(self, stored: Stored) -> MemberDriver:
        config = self.config
        service, proposer = make_service(config, stored.tree, self.server_id)
        agreement = Peer(
            self._make_state(stored), connection_settings(config), election_settings(config), random.Random()
        )
        member = Member(service, proposer, agreement, random.Random(), read_only_enabled=config.read_only_mode_enabled)
        driver = MemberDriver(member, leader_serves=config.leader_serves)
        driver.on_fatal = self.fail
        driver.on_config = self._config_changed
        driver.on_save_config = self._save_config
        driver.on_opened = self._opened
        options = link_options(config, self._hosts)
        driver.links = Links(driver.receive, lambda: walk(service.tree), driver.wake_to_send, options)
        driver.log = self._make_log_writer(Outcomes(driver.logged, driver.log_failed))
        reports = DiskReports(driver.receive_from_disk, lambda: service.tree.last_zxid, self._replace_tree, self.fail)
        driver.disk = MemberDisk(self._files, driver.log, stored.last_zxid, reports)
        return driver

    def _make_state(self, stored: Stored) -> State:
        membership = self.config.membership
        history = History(stored.tree.last_zxid, stored.recent, self.config.commit_log_count)
        state = State(self.server_id, agreement_settings(self.config), membership, self._last_seen(membership), history)
        state.accepted_epoch, state.current_epoch = stored.accepted_epoch, stored.current_epoch
        state.doubt = stored.doubt
        return state

    def _last_seen(self, committed: Membership) -> Membership:
        """A newer configuration that was proposed before the last end, or the committed one."""
        if self._dynamic is None:
            return committed
        if self.config.dynamic_config_file is None:
            self._back_up(self._dynamic)
        proposed = self._dynamic.load_next()
        return proposed if proposed is not None and proposed.version > committed.version else committed

    def _back_up(self, files: DynamicFiles) -> None:
        # Differs from Apache: a folder that cannot be written to keeps no server from serving.
        try:
            files.back_up()
        except StorageError as error:
            log.warning("configuration_not_backed_up", error=str(error))

    def _replace_tree(self, stored: Stored) -> None:
        """The tree had more than the new leader: it was loaded anew."""
        self._note_restored(stored.notes, stored.damaged)
        self.peer.member.replace_tree(stored.tree)

    # What the agreement tells.

    def _opened(self, *, has_new_tree: bool) -> None:
        """A tree that came meanwhile is for long, as the one that was loaded."""
        if has_new_tree:
            gc.freeze()

    def _save_config(self, effect: SaveConfig) -> None:
        if self._dynamic is None:
            return
        membership = parse_text(effect.text)
        try:
            if effect.is_next:
                self._dynamic.save_next(membership)
            else:
                self._dynamic.save_committed(membership)
        except StorageError as error:
            # As Apache: the ensemble knows it, and tells it again at the next start.
            log.error("configuration_not_saved", error=str(error))  # noqa: TRY400 - its message says it all

    def _config_changed(self, effect: ConfigChanged) -> None:
        log.info("configuration_changed", version=hex(effect.version), text=effect.text)
        self._chores.start(self._open_peer_ports())
        own = self.peer.member.state.membership.find(self.server_id)
        if own is not None and own.client is not None:
            self._chores.start(self._move_port(*own.client))

    async def _move_port(self, address: str, port: int) -> None:
        """Our line in the configuration has another client address: listen there. Clients that are here stay."""
        former_address, former_port = self.config.client_port_address, self.config.client_port
        if (address, port) == (former_address, former_port):
            return
        assert self.client_ports is not None, "opened by the start"
        try:
            await self.client_ports.open_plain(address, port)
        except OSError as error:
            # Differs from Apache: there the server goes on as a member that listens to no clients.
            log.error("client_port_not_moved", error=str(error))  # noqa: TRY400 - its message says it all
            if former_port is not None:
                await self.client_ports.open_plain(former_address, former_port)
        else:
            self.config = self.config.evolve(client_port_address=address, client_port=port)

    async def _open_peer_ports(self) -> None:
        own = self.peer.member.state.membership.find(self.server_id)
        if own is not None:
            await self._ports.open(own)

    async def _watch_oracle(self, path: str) -> None:
        """Ask the oracle of two voters whether one of them may lead alone. Source: docs/protocol/election.md 6.4."""
        # Differs from Apache: there the file is read whenever votes or acknowledgements are counted.
        last_heard: tuple[bool, str] | None = None
        while True:
            heard = await asyncio.to_thread(ask_oracle, path)
            if heard != last_heard:
                last_heard = says, error = heard
                (log.warning if error else log.info)("oracle_says", lead_alone=says, path=path, error=error or None)
                self.peer.receive(OracleSays(says))
            await asyncio.sleep(ORACLE_SECONDS)


def ask_oracle(path: str) -> tuple[bool, str]:
    """Whether the file begins with 1, and why it could not be read; empty if it could."""
    try:
        with Path(path).open("rb") as file:
            return file.read(1) == b"1", ""
    except OSError as error:
        return False, str(error)


def agreement_settings(config: Config) -> AgreementSettings:
    """What the configuration says about agreement."""
    return AgreementSettings(
        tick_ms=config.tick_time_ms,
        init_ticks=config.init_limit_ticks,
        sync_ticks=config.sync_limit_ticks,
        connect_ticks=config.connect_to_learner_master_limit_ticks,
        redial_delay_ms=config.leader_connect_delay_ms,
        observer_election_delay_ms=config.observer_election_delay_ms,
        observer_reconnect_delay_ms=config.observer_reconnect_delay_ms,
        observer_sync_enabled=config.observer_sync_enabled,
        epoch_wait_ms_max=config.max_time_to_wait_for_epoch_ms,
        window_txns=config.commit_log_count,
        force_snapshot_sync=config.force_snapshot_sync,
        snapshot_size_factor=config.snapshot_size_factor,
        snap_syncs_max=config.max_concurrent_snap_syncs,
        diff_syncs_max=config.max_concurrent_diff_syncs,
        packet_bytes_max=txn_bytes_max(config),
        observer_master_port=config.observer_master_port,
        oracle_enabled=config.oracle_path is not None,
        reconfig_enabled=config.reconfig_enabled,
        standalone_enabled=config.standalone_enabled,
        multi_address_enabled=config.multi_address_enabled,
    )


def connection_settings(config: Config) -> ConnectionSettings:
    """What the configuration says about election links."""
    return ConnectionSettings(config.connection_timeout_ms, hello_timeout_ms(config), config.multi_address_enabled)


def hello_timeout_ms(config: Config) -> int:
    """How long another server may take to say, and to prove, who it is."""
    timeout_ms = config.quorum_connection_timeout_ms
    return config.sync_limit_ticks * config.tick_time_ms if timeout_ms < 0 else timeout_ms


def election_settings(config: Config) -> ElectionSettings:
    """What the configuration says about elections."""
    return ElectionSettings(
        config.min_notification_interval_ms,
        config.max_notification_interval_ms,
        reconfig_enabled=config.reconfig_enabled,
        oracle_enabled=config.oracle_path is not None,
    )


def link_options(config: Config, hosts: Callable[[], Collection[str]]) -> LinkOptions:
    """What the configuration says about sockets between servers, whose hosts are these. Raises ConfigError."""
    reach_timeout_ms = config.reachability_check_timeout_ms if config.reachability_check_enabled else None
    return LinkOptions(
        out_buffer_bytes_max=config.peer_out_buffer_bytes_max,
        keep_alive=config.quorum_tcp_keep_alive,
        accepted_no_delay=config.leader_no_delay,
        dialed_no_delay=config.follower_no_delay,
        reach_timeout_ms=reach_timeout_ms,
        # An election link whose network is gone is silent like any other; only over another network it can be replaced.
        election_unacked_ms_max=reach_timeout_ms if config.multi_address_enabled else None,
        admissions=_admissions(config, hosts),
    )


def _admissions(config: Config, hosts: Callable[[], Collection[str]]) -> Admissions | None:
    if not config.quorum_sasl_enabled:
        return None
    from pyzk.server.admissions import SaslAdmissions  # noqa: PLC0415 - few have SASL between servers

    return SaslAdmissions(config, hello_timeout_ms(config) / 1000, hosts)
