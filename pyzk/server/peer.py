"""Drives a standalone server: gathers what a turn of the loop brought, logs it, and delivers what is durable.

Requests of all connections that came in one turn become one batch of proposals, one write and one fsync. With a full
disk, writes are refused and reads go on.
"""

import asyncio
from collections import deque

import structlog

from pyzk.errors import DiskFullError, StorageError
from pyzk.server.clock import monotonic_seconds, wall_ms
from pyzk.server.driver import Driver
from pyzk.server.logwriter import split
from pyzk.service.proposer import Proposal, Proposer
from pyzk.service.service import Service
from pyzk.tree.request import Request
from pyzk.tree.tree import Tree
from pyzk.zab.broadcast import Broadcast
from pyzk.zab.quorum import Majority

log = structlog.get_logger()

PROPOSALS_PER_TURN_MAX = 2000
"""Requests prepared in one turn of the loop; the rest waits for the next, so that reads come in between."""


class Peer(Driver):
    """A standalone server: service, proposer and a quorum of one."""

    def __init__(self, service: Service, proposer: Proposer, server_id: int) -> None:
        super().__init__(service)
        self.proposer = proposer
        self.server_id = server_id
        self.broadcast = Broadcast(Majority(frozenset({server_id})))
        self._outstanding: deque[Proposal] = deque()
        self._expected = 0
        self._drained: asyncio.Future[None] | None = None

    @property
    def is_serving(self) -> bool:
        """A standalone server always does."""
        return True

    @property
    def mode(self) -> str:
        """What the server is, as words show it."""
        return "standalone"

    @property
    def is_idle(self) -> bool:
        """Whether no txn is under way."""
        return not self._outstanding and not self.service.outbox.submitted

    async def drain(self) -> None:
        """Wait until no txn is under way."""
        while not self.is_idle:
            self._drained = self._loop.create_future()
            await self._drained

    def _settle(self) -> None:
        service = self.service
        count = len(service.outbox.submitted)
        if 0 < count < self._expected:
            # Whoever was answered with the last batch asks again about now: after one more turn they share a sync.
            self._expected = 0
            self._loop.call_soon(self._settle)
            return
        self._woken, self._expected = False, count or self._expected
        if service.outbox.submitted:
            now = monotonic_seconds()
            requests = service.next_requests(PROPOSALS_PER_TURN_MAX, len(self._outstanding), now)
            if requests:
                self._propose(requests)
        self.flush()
        # Without anything under way nobody else would come back for what still waits.
        if service.outbox.submitted and (not self._outstanding or not service.settings.requests.requests_max):
            self.wake()
        # Clients have their replies: now the loop may wait for the disk.
        self.log.start()

    def _propose(self, requests: list[Request]) -> None:
        now_ms, began_at = wall_ms(), monotonic_seconds()
        propose = self.proposer.propose
        proposals = [propose(request, now_ms) for request in requests]
        self.service.counters.prepared += len(requests)
        self.stages.prepared(requests, began_at, monotonic_seconds())
        self._outstanding.extend(proposals)
        entries = [(proposal.header.zxid, proposal.payload) for proposal in proposals]
        for part in split(entries, self.log.batch_bytes_max):
            self.broadcast.propose(part)
            self.log.submit(part, part[-1][0])
        self.on_logging(len(entries), sum([len(payload) for _, payload in entries]))

    def _deliver(self, zxid: int) -> None:
        outstanding = self._outstanding
        committed: list[Proposal] = []
        while outstanding and outstanding[0].header.zxid <= zxid:
            committed.append(outstanding.popleft())
        began_at = monotonic_seconds()
        self.service.deliver(committed, began_at)
        counters = self.service.counters
        if committed:
            counters.note_delivery(len(committed), committed[-1].header.time_ms, wall_ms())
        counters.changes_settled += self.proposer.settle(committed, is_all=not outstanding)
        self.stages.delivered(len(committed), began_at, monotonic_seconds())

    def logged(self, tokens: list[int]) -> None:
        """The batches with these tokens, their last zxids, are durable."""
        committed = self.broadcast.acknowledge(self.server_id, tokens[-1])
        if committed:
            self._deliver(committed[-1][0])
        self.flush()
        if self.service.outbox.submitted:
            self.wake()

    def log_failed(self, error: StorageError, tokens: list[int]) -> None:  # noqa: ARG002 - all that is outstanding goes
        """A batch could not be written: with a full disk, go on without writes; with anything else, end."""
        if not isinstance(error, DiskFullError):
            self.on_fatal(error)
            return
        log.error("disk_full", error=str(error), dropped=len(self._outstanding))
        self.service.writes_refused = True
        dropped = list(self._outstanding)
        self._outstanding.clear()
        dropped_bytes = sum([len(proposal.payload) for proposal in dropped])
        self.unwritten_bytes = min(dropped_bytes, self.log.batch_bytes_max)
        self.broadcast.drop_outstanding()
        self.proposer.drop_outstanding()
        self.service.drop_outstanding(dropped, monotonic_seconds())
        self.flush()

    def replace_tree(self, tree: Tree) -> None:
        """The tree is another one, and nothing is under way; zxids go on from its last one."""
        assert self.is_idle, "what is under way would be lost"
        service, now = self.service, monotonic_seconds()
        service.tree = tree
        service.digests.clear()
        self.proposer.begin(tree, tree.last_zxid)
        self.broadcast = Broadcast(Majority(frozenset({self.server_id})))
        for session_id, timeout_ms in tree.sessions.items():
            if session_id not in service.tracker:
                service.tracker.add(session_id, timeout_ms, now)
        for session_id in tree.ephemerals:
            if session_id not in tree.sessions:
                service.close_session(session_id)
        self.wake()

    def flush(self) -> None:
        """Send what has gathered for each connection, and tell who waits for the end of all writes."""
        super().flush()
        if self._drained is not None and self.is_idle and not self._drained.done():
            self._drained.set_result(None)

    async def close(self) -> None:
        """Let the writes under way end, then let go of the log."""
        await self.drain()
        await self.log.close()
