"""The clients' half of a server: gives each client what service has for it, at the end of each turn of the loop.

Replies of one turn leave together, one write a connection. What becomes of writes is the business of those who build on
this: `peer` for a standalone server, `memberdriver` for a member of an ensemble.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from pyzk.server.clock import monotonic_seconds
from pyzk.server.logwriter import LogWriter
from pyzk.server.metrics.stages import Stages
from pyzk.service.service import Service


class ClientPort(Protocol):
    """What is asked of a client's connection."""

    label: str
    """Address and port, as words show them."""
    is_secure: bool
    """Whether it has come by TLS."""

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


class Driver(ABC):
    """Drives the service of one server on an event loop.

    Attributes:
        clients: open connections by number.
        log: the group commit of the log.
        handing_over: clients are not served, but will be in a moment: who connects now waits.
        unwritten_bytes: what a full disk could not take, at most a batch of the log; 0 once there is space again.
        on_fatal: called with what makes it impossible to go on.
        on_logging: called with (txns, bytes) for what goes to the log.
        stages: where time goes.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.clients: dict[int, ClientPort] = {}
        self.log: LogWriter
        self.handing_over = False
        self._waiting: list[Callable[[], None]] = []
        self.unwritten_bytes = 0
        self.on_fatal: Callable[[BaseException], None] = _raise
        self.on_logging: Callable[[int, int], None] = _ignore
        self.stages = Stages()
        self._woken = False
        self._loop = asyncio.get_running_loop()

    def wake(self) -> None:
        """Settle what has gathered at the end of this turn of the loop."""
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self._settle)

    @abstractmethod
    def _settle(self) -> None:
        """Do with the writes what is to be done, and `flush`."""

    @property
    @abstractmethod
    def is_serving(self) -> bool:
        """Whether clients are served."""

    def wait_for_role(self, go_on: Callable[[], None]) -> None:
        """Call this when `handing_over` is over, however it ends."""
        self._waiting.append(go_on)

    def _end_handover(self) -> None:
        self.handing_over = False
        waiting, self._waiting = self._waiting, []
        for go_on in waiting:
            self._loop.call_soon(go_on)

    @property
    def decides(self) -> bool:
        """Whether this server says what is to be deleted because its time is over."""
        return True

    @property
    @abstractmethod
    def mode(self) -> str:
        """What the server is, as words show it."""

    @abstractmethod
    async def close(self) -> None:
        """Let the writes under way end, then let go of the log."""

    def tick(self) -> None:
        """A tick has passed: sessions may have expired."""
        self.service.tick(monotonic_seconds())
        self.wake()

    def reset_statistics(self) -> None:
        """Count anew."""
        self.service.counters.reset()
        self.log.reset_statistics()
        self.stages.reset()

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
        if outbox.reading or outbox.unfinished or outbox.closing:
            self._attend()

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
                self.service.counters.closed_by_server += closing.notable
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
