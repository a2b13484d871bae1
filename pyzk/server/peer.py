"""Drives service and zab of one server: gathers what a turn of the loop brought, and performs effects in order.

Requests of all connections that came in one turn become one batch of proposals, one write and one fsync; their
replies leave together, one write a connection. With a full disk, writes are refused and reads go on.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

import structlog

from pyzk.errors import DiskFullError, StorageError
from pyzk.server.clock import monotonic_seconds, wall_ms
from pyzk.server.logwriter import RECORD_OVERHEAD_BYTES, LogWriter
from pyzk.service.proposer import Proposal, Proposer
from pyzk.service.service import Service
from pyzk.tree.prepare import Request
from pyzk.zab.broadcast import Broadcast
from pyzk.zab.events import Entry
from pyzk.zab.quorum import Majority

log = structlog.get_logger()

PROPOSALS_PER_TURN_MAX = 2000
"""Requests prepared in one turn of the loop; the rest waits for the next, so that reads come in between."""


class ClientPort(Protocol):
    """What the peer asks of a client's connection."""

    label: str
    """Address and port, as words show them."""

    @property
    def interest(self) -> int:
        """What is done with the socket: 1 read, 4 write, 5 both."""

    def write(self, encoded: bytes) -> None:
        """Send bytes."""

    def go_on(self) -> None:
        """Have more of the requests at hand served, as soon as the client has taken what was written."""

    def pause(self) -> None:
        """Read no more for now."""

    def resume(self) -> None:
        """Read on."""

    def finish(self, reason: str, *, notable: bool) -> None:
        """Close after what was written; `notable` reasons are for the operator's eyes."""


class Peer:
    """One server's service, proposer and agreement on an event loop.

    Attributes:
        clients: open connections by number.
        unwritten_bytes: what a full disk could not take, at most a batch of the log; 0 once there is space again.
        on_fatal: called with what makes it impossible to go on.
        on_proposed: called with (txns, bytes) for what goes to the log.
    """

    def __init__(self, service: Service, proposer: Proposer, server_id: int) -> None:
        self.service = service
        self.proposer = proposer
        self.server_id = server_id
        self.broadcast = Broadcast(Majority(frozenset({server_id})))
        self.clients: dict[int, ClientPort] = {}
        self.log: LogWriter
        self.unwritten_bytes = 0
        self.on_fatal: Callable[[BaseException], None] = _raise
        self.on_proposed: Callable[[int, int], None] = _ignore
        self._outstanding: deque[Proposal] = deque()
        self._woken = False
        self._drained: asyncio.Future[None] | None = None
        self._loop = asyncio.get_event_loop()

    def wake(self) -> None:
        """Settle what has gathered at the end of this turn of the loop."""
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self._settle)

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
        self._woken = False
        service = self.service
        if service.outbox.submitted:
            now = monotonic_seconds()
            requests = service.next_requests(PROPOSALS_PER_TURN_MAX, len(self._outstanding), now)
            if requests:
                self._propose(requests)
        self.flush()
        # Without anything under way nobody else would come back for what still waits.
        if service.outbox.submitted and (not self._outstanding or not service.settings.requests.requests_max):
            self.wake()

    def _propose(self, requests: list[Request]) -> None:
        now_ms = wall_ms()
        propose = self.proposer.propose
        proposals = [propose(request, now_ms) for request in requests]
        self._outstanding.extend(proposals)
        entries = [(proposal.header.zxid, proposal.payload) for proposal in proposals]
        for part in split(entries, self.log.batch_bytes_max):
            self.broadcast.propose(part)
            self.log.submit(part, part[-1][0])
        self.on_proposed(len(entries), sum([len(payload) for _, payload in entries]))

    def _deliver(self, zxid: int) -> None:
        outstanding = self._outstanding
        committed: list[Proposal] = []
        while outstanding and outstanding[0].header.zxid <= zxid:
            committed.append(outstanding.popleft())
        self.service.deliver(committed, monotonic_seconds())
        settle = self.proposer.overlay.settle
        for proposal in committed:
            if proposal.written:
                settle(proposal.written)

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

    def flush(self) -> None:
        """Send what has gathered for each connection, in one write; then close and pause those that must be."""
        outbox, clients, take = self.service.outbox, self.clients, self.service.take
        if outbox.dirty:
            dirty, outbox.dirty = outbox.dirty, {}
            for connection in dirty:
                client = clients.get(connection)
                encoded = take(connection)
                if client is not None and encoded:
                    client.write(encoded)
        self._attend()
        if self._drained is not None and self.is_idle and not self._drained.done():
            self._drained.set_result(None)

    def _attend(self) -> None:
        """Pause, resume, go on with and close connections as service asks for it."""
        outbox, clients = self.service.outbox, self.clients
        if outbox.reading:
            self._pause_and_resume()
        if outbox.unfinished:
            unfinished, outbox.unfinished = outbox.unfinished, {}
            for connection in unfinished:
                if connection in clients:
                    clients[connection].go_on()
        while outbox.closing:
            closing = outbox.closing.pop()
            client = clients.get(closing.connection)
            if client is not None:
                client.finish(closing.reason, notable=closing.notable)

    def _pause_and_resume(self) -> None:
        outbox = self.service.outbox
        reading, outbox.reading = outbox.reading, {}
        for connection, reads in reading.items():
            client = self.clients.get(connection)
            if client is not None:
                (client.resume if reads else client.pause)()


def _raise(error: BaseException) -> None:
    raise error


def _ignore(count: int, size_bytes: int) -> None:
    """Nobody counts."""


def split(entries: list[Entry], bytes_max: int) -> list[list[Entry]]:
    """Parts that fit into one batch of the log each, in order."""
    if sum([len(payload) for _, payload in entries]) + RECORD_OVERHEAD_BYTES * len(entries) <= bytes_max:
        return [entries]
    parts: list[list[Entry]] = []
    size = bytes_max
    for entry in entries:
        record_bytes = len(entry[1]) + RECORD_OVERHEAD_BYTES
        if size + record_bytes > bytes_max:
            parts.append([])
            size = 0
        parts[-1].append(entry)
        size += record_bytes
    return parts
