"""A standalone server: wires the parts together, starts and stops them, and does nothing itself."""

import gc

import structlog

from pyzk.server.admin.statistics import Statistics
from pyzk.server.base import BaseServer
from pyzk.server.clock import monotonic_seconds
from pyzk.server.config import Config
from pyzk.server.garbage import settle_garbage
from pyzk.server.housekeeping import Gate
from pyzk.server.logwriter import Outcomes
from pyzk.server.peer import Peer
from pyzk.server.wiring import make_service, restore_options
from pyzk.storage.database import Restored, restore
from pyzk.storage.disk import Disk
from pyzk.storage.switch import install_steps
from pyzk.tree.tree import Tree

log = structlog.get_logger()

STANDALONE_ID = 1
"""Server id inside session ids when there is no ensemble."""


class Server(BaseServer):
    """One running standalone server."""

    peer: Peer

    def __init__(self, config: Config, disk: Disk | None = None) -> None:
        super().__init__(config, disk)
        self._gate = Gate()

    async def start(self) -> None:
        """Load the data and open the client port. Raises PyzkError or OSError with the reason if that cannot be."""
        self._lock()
        restored = self._restore()
        service, proposer = make_service(self.config, restored.tree, STANDALONE_ID)
        peer = self.peer = Peer(service, proposer, STANDALONE_ID)
        peer.log = self._make_log_writer(Outcomes(peer.logged, peer.log_failed))
        peer.on_fatal = self.fail
        times = self._load_times
        times.done()
        self.statistics = Statistics(peer, times.done_at, times, restored.replayed, restored.digest_mismatches)
        self._start_chores(restored.replayed, self._gate)
        service.start(monotonic_seconds())
        peer.wake()
        settle_garbage()
        await self._open_ports()
        await self._open_operations()

    async def replace_tree(self, tree: Tree) -> None:
        """See `BaseServer`. Raises StorageError.

        Nobody is served meanwhile: there must be no moment in which a client sees the one, and a restart the other.
        """
        self._require_space(tree)
        peer = self.peer
        async with self._gate.beside():
            while not peer.is_idle:
                await peer.drain()
            tree.sessions.update(peer.service.tree.sessions)
            peer.log.log.roll()
            compression = self.config.snapshot_compression
            for _ in install_steps(self._disk, self.places, tree, compression, with_last_zxid=True):
                pass
            peer.replace_tree(tree)
        gc.freeze()
        log.warning("data_restored", zxid=hex(tree.last_zxid), znodes=tree.node_count)

    async def _leave(self) -> None:
        """There are no other servers."""

    def _restore(self) -> Restored:
        restored = restore(self._disk, self.places, restore_options(self.config, self._load_times.snapshot_loaded))
        self._load_times.replayed()
        self._note_restored(restored.notes, restored.damaged)
        log.info(
            "data_loaded",
            snapshot=restored.snapshot,
            replayed=restored.replayed,
            zxid=hex(restored.last_zxid),
            znodes=restored.tree.node_count,
        )
        return restored
