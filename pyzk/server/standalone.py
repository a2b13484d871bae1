"""A standalone server: wires the parts together, starts and stops them, and does nothing itself."""

import structlog

from pyzk.server.admin.statistics import Statistics
from pyzk.server.base import BaseServer
from pyzk.server.clock import monotonic_seconds
from pyzk.server.housekeeping import Gate
from pyzk.server.logwriter import Outcomes
from pyzk.server.peer import Peer
from pyzk.server.wiring import make_service, restore_options, settle_garbage
from pyzk.storage.database import Restored, restore

log = structlog.get_logger()

STANDALONE_ID = 1
"""Server id inside session ids when there is no ensemble."""


class Server(BaseServer):
    """One running standalone server."""

    peer: Peer

    async def start(self) -> None:
        """Load the data and open the client port. Raises PyzkError or OSError with the reason if that cannot be."""
        began_at = monotonic_seconds()
        self._lock()
        restored = self._restore()
        service, proposer = make_service(self.config, restored.tree, STANDALONE_ID)
        peer = self.peer = Peer(service, proposer, STANDALONE_ID)
        peer.log = self._make_log_writer(Outcomes(peer.logged, peer.log_failed))
        peer.on_fatal = self.fail
        now = monotonic_seconds()
        load_ms = int((now - began_at) * 1000)
        self.statistics = Statistics(peer, now, load_ms, restored.replayed, restored.digest_mismatches)
        self._start_chores(restored.replayed, Gate())
        service.start(monotonic_seconds())
        peer.wake()
        settle_garbage()
        await self._open_port()

    async def _leave(self) -> None:
        """There are no other servers."""

    def _restore(self) -> Restored:
        restored = restore(self._disk, self.places, restore_options(self.config))
        self._note_restored(restored.notes, restored.damaged)
        log.info(
            "data_loaded",
            snapshot=restored.snapshot,
            replayed=restored.replayed,
            zxid=hex(restored.last_zxid),
            znodes=restored.tree.node_count,
        )
        return restored
