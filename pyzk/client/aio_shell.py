"""Drives a session under asyncio: sockets, the clock, futures."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Hashable
from ssl import SSLContext
from typing import Any, TypeVar, cast

from pyzk.client.effects import (
    Answered,
    Connect,
    Disconnect,
    Effect,
    Failed,
    Notification,
    Notified,
    Probe,
    RawAnswered,
    Send,
    State,
    StateChanged,
)
from pyzk.client.hosts import Address
from pyzk.client.session import Session
from pyzk.codec.opcodes import OpCode
from pyzk.codec.record import Record

PROBE_TIMEOUT_S = 2.0

Answer = TypeVar("Answer", Answered, RawAnswered)


class Link(asyncio.Protocol):
    """One connection; tells the shell what happens as long as it is the shell's present one."""

    def __init__(self, shell: "Shell") -> None:
        self.shell = shell
        self.transport: asyncio.Transport | None = None
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open."""
        self.transport = cast("asyncio.Transport", transport)
        self.shell.link_opened(self)

    def data_received(self, data: bytes) -> None:
        """Bytes."""
        self.shell.link_received(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ended, whatever the reason."""
        self.gone.set_result(None)
        self.shell.link_lost(self, "the server hung up" if exc is None else str(exc))

    def abort(self) -> None:
        """Drop the connection."""
        if self.transport is not None:
            self.transport.abort()


class Shell:
    """Performs the effects of one session in the running event loop.

    Args:
        session: not started yet.
        on_state: called with every new state.
        on_event: called with every watch event and its watchers.
        ssl: for TLS connections.
        prepare: gets what the login on a host needs, beside the loop, before that is dialed.
    """

    def __init__(
        self,
        session: Session,
        on_state: Callable[[State], None],
        on_event: Callable[[Notification, tuple[Hashable, ...]], None],
        ssl: SSLContext | None = None,
        prepare: Callable[[str], None] | None = None,
    ) -> None:
        self.session = session
        self._prepare = prepare
        self._on_state = on_state
        self._on_event = on_event
        self._ssl = ssl
        self._loop = asyncio.get_running_loop()
        self._link: Link | None = None
        self._links: set[Link] = set()
        self._opening: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._outgoing: list[bytes] = []
        self._timer: asyncio.Handle | None = None
        self._timer_due = 0.0
        self._performers: dict[type[Effect], Callable[[Any], None]] = {
            Connect: self._connect,
            Send: self._send,
            Disconnect: self._disconnect,
            Answered: self._settle,
            RawAnswered: self._settle,
            Failed: self._fail,
            Notified: self._notify,
            StateChanged: self._change_state,
            Probe: self._probe,
        }

    # For the client

    def start(self) -> None:
        """Begin to connect."""
        self._perform(self.session.start(self._loop.time()))

    async def request(self, opcode: OpCode, record: Record, watcher: Hashable = None) -> Record:
        """Send a request and wait for its reply. Raises what it failed with."""
        future: asyncio.Future[Answered] = self._loop.create_future()
        self._perform(self.session.submit(future, opcode, record, self._loop.time(), watcher))
        return (await self._answer(future)).reply

    async def request_raw(self, opcode: int, body: bytes) -> RawAnswered:
        """Send raw bytes and wait for the reply. Raises only when none comes."""
        future: asyncio.Future[RawAnswered] = self._loop.create_future()
        self._perform(self.session.submit_raw(future, opcode, body, self._loop.time()))
        return await self._answer(future)

    async def add_auth(self, scheme: bytes, auth: bytes) -> None:
        """Add an identity and wait until a server has accepted it."""
        future: asyncio.Future[Answered] = self._loop.create_future()
        self._perform(self.session.add_auth(future, scheme, auth, self._loop.time()))
        await self._answer(future)

    async def close(self) -> None:
        """End the session and wait until nothing of it is left."""
        self._perform(self.session.close(self._loop.time()))
        while self._links or self._tasks:
            gone = [link.gone for link in self._links]
            await asyncio.wait([*gone, *self._tasks], return_when=asyncio.FIRST_COMPLETED)

    async def _answer(self, future: "asyncio.Future[Answer]") -> Answer:
        try:
            return await future
        except asyncio.CancelledError:
            self.session.withdraw(future)
            raise

    # From the connection

    def link_opened(self, link: Link) -> None:
        """The connection is open."""
        self._links.add(link)
        if link is self._link:
            self._perform(self.session.opened(self._loop.time()))
        else:
            link.abort()

    def link_received(self, link: Link, data: bytes) -> None:
        """Bytes have come."""
        if link is self._link:
            self._perform(self.session.receive(data, self._loop.time()))

    def link_lost(self, link: Link, reason: str) -> None:
        """The connection has ended, or could not be opened."""
        self._links.discard(link)
        if link is self._link:
            self._link = None
            self._outgoing.clear()
            self._perform(self.session.lost(self._loop.time(), reason))

    async def _open(self, link: Link, address: Address) -> None:
        host, port = address
        if self._prepare is not None:
            await asyncio.to_thread(self._prepare, host)
        try:
            await self._loop.create_connection(lambda: link, host, port, ssl=self._ssl)
        except (OSError, UnicodeError) as error:
            self.link_lost(link, str(error))

    # Answer

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._performers[type(effect)](effect)
        self._set_timer()

    def _connect(self, effect: Connect) -> None:
        self._link = Link(self)
        self._opening = self._spawn(self._open(self._link, effect.address))

    def _send(self, effect: Send) -> None:
        # All requests of a turn of the loop leave in one write.
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(effect.data)

    def _flush(self) -> None:
        if self._link is not None and self._link.transport is not None and self._outgoing:
            self._link.transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def _disconnect(self, effect: Disconnect) -> None:
        del effect
        link, self._link = self._link, None
        self._outgoing.clear()
        if self._opening is not None:
            self._opening.cancel()
        if link is not None:
            link.abort()

    def _settle(self, effect: Answered | RawAnswered) -> None:
        future = cast("asyncio.Future[object]", effect.token)
        if not future.done():
            future.set_result(effect)

    def _fail(self, effect: Failed) -> None:
        future = cast("asyncio.Future[object]", effect.token)
        if not future.done():
            future.set_exception(effect.error)

    def _notify(self, effect: Notified) -> None:
        self._on_event(effect.notification, effect.watchers)

    def _change_state(self, effect: StateChanged) -> None:
        if effect.state.final:
            for task in self._tasks:
                task.cancel()
        self._on_state(effect.state)

    def _probe(self, effect: Probe) -> None:
        self._spawn(self._ask_for_writes(effect.address))

    async def _ask_for_writes(self, address: Address) -> None:
        with contextlib.suppress(OSError):
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                if await is_writable(address, self._ssl):
                    self._perform(self.session.found_writable(address, self._loop.time()))

    # Time

    def _set_timer(self) -> None:
        deadline = self.session.deadline()
        if self._timer is not None:
            # A timer that is early does no harm: ticking before the deadline does nothing.
            if deadline is not None and self._timer_due <= deadline:
                return
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            # Kept here: what is due at once has a handle of uvloop's that does not know when.
            self._timer_due = deadline
            self._timer = self._loop.call_at(deadline, self._tick, deadline)

    def _tick(self, due: float) -> None:
        self._timer = None
        # The loop rounds: it may call a little early.
        self._perform(self.session.tick(max(due, self._loop.time())))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()  # what it did not expect goes to the loop's exception handler


async def is_writable(address: Address, ssl: SSLContext | None = None) -> bool:
    """Ask a server with the four-letter word isro. Raises OSError."""
    reader, writer = await asyncio.open_connection(*address, ssl=ssl)
    try:
        writer.write(b"isro")
        return await reader.read(16) == b"rw"
    finally:
        writer.close()
