"""A port for HTTP that cannot hurt clients: few connections, one request at a time, and rest between two.

Everything runs on the one event loop that serves ZooKeeper's clients. So a request is begun only when those before it
have been answered and the loop has had `REST_RATIO` times as long for others; who floods the port waits for himself.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, cast

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from pyzk.server.clock import monotonic_seconds

log = structlog.get_logger()

REST_RATIO = 3
"""Requests take at most a quarter of the loop's time."""
REST_SECONDS_MIN = 0.002
"""What the parsing of a request, which nobody measures, is taken for."""
SWEEP_SECONDS = 1.0
SHUTDOWN_SECONDS = 1.0
HEADERS_MAX = 64

Later = Callable[[], Awaitable[web.StreamResponse]]
"""What goes on when others may have their turn already."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse | Later]]


class OurMistakes(logging.LoggerAdapter[logging.Logger]):
    """The log that aiohttp is given. What is no HTTP is answered with 400, and anybody could fill the log with it.

    Such an error and its traceback know each other, with all that was sent: 70 kB a connection that would wait for a
    garbage collection, and those are rare here.
    """

    def log(self, level: int, *arguments: object, **details: Any) -> None:  # noqa: ANN401 - as it is called
        """A line, unless its error is the fault of the other side; that one forgets where it was found."""
        error = details.get("exc_info")
        if isinstance(error, HttpProcessingError):
            error.__traceback__ = None
        else:
            super().log(level, *arguments, **details)


SERVER_LOG = OurMistakes(logging.getLogger("pyzk.http"))


def forget_unanswered(protocol: asyncio.Protocol) -> None:
    """The same for an error that was never answered, because the other side has gone first."""
    for message, _ in getattr(protocol, "_messages", ()):
        error = getattr(message, "exc", None)
        if isinstance(error, HttpProcessingError):
            error.__traceback__ = None


class Listening(Protocol):
    """A port that is open."""

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """Its sockets."""

    def close(self) -> None:
        """Take no more connections."""


Listen = Callable[[Callable[[], asyncio.Protocol], str, int], Awaitable[Listening]]
"""Opens a port. Raises OSError."""


async def _listen_without_tls(create: Callable[[], asyncio.Protocol], host: str, port: int) -> Listening:
    return await asyncio.get_running_loop().create_server(create, host, port)


class Connection(asyncio.Protocol):
    """Stands before aiohttp's protocol and remembers when something has moved last."""

    def __init__(self, inner: asyncio.Protocol, gate: "Gate") -> None:
        self._inner = inner
        self._gate = gate
        self._transport: asyncio.Transport | None = None
        self.moved_at = monotonic_seconds()
        self.is_blocked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected; one too many is sent away."""
        self._transport = cast("asyncio.Transport", transport)
        if self._gate.admit(self):
            self._inner.connection_made(transport)
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Part of a request."""
        self.moved_at = monotonic_seconds()
        if self in self._gate.connections:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """The other side sends no more."""
        return self._inner.eof_received() if self in self._gate.connections else None

    def pause_writing(self) -> None:
        """The other side does not keep up."""
        self.moved_at, self.is_blocked = monotonic_seconds(), True
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It has caught up."""
        self.moved_at, self.is_blocked = monotonic_seconds(), False
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        if self._gate.leave(self):
            self._inner.connection_lost(exc)
        forget_unanswered(self._inner)
        # The transport knows us: without this both would wait for a garbage collection, and those are rare here.
        self._transport = None

    @property
    def transport(self) -> asyncio.Transport | None:
        """The socket."""
        return self._transport


class Gate:
    """One port.

    Args:
        handler: answers all requests.
        connections_max: named in the log when it is reached.
        setting: the key of that limit.
        idle_timeout_ms: a connection on which nothing moves for so long is closed, unless its request is under way.
        body_bytes_max: of a request.
    """

    def __init__(
        self, handler: Handler, connections_max: int, setting: str, idle_timeout_ms: int, body_bytes_max: int = 1024
    ) -> None:
        self._handler = handler
        self._connections_max = connections_max
        self._setting = setting
        self._idle_seconds = idle_timeout_ms / 1000
        self._turn = asyncio.Lock()
        self._free_at = 0.0
        self._was_full = False
        self._sweeper: asyncio.TimerHandle | None = None
        self._listener: Listening | None = None
        self._runner: web.AppRunner | None = None
        self._body_bytes_max = body_bytes_max
        self.connections: set[Connection] = set()
        self.busy: set[asyncio.BaseTransport] = set()
        self.port = 0

    async def open(self, host: str, port: int, listen: Listen = _listen_without_tls) -> None:
        """Listen. Raises OSError."""
        application = web.Application(client_max_size=self._body_bytes_max)
        application.router.add_route("*", "/{tail:.*}", self._answer)
        runner = self._runner = web.AppRunner(
            application,
            access_log=None,
            logger=cast("logging.Logger", SERVER_LOG),
            handle_signals=False,
            keepalive_timeout=self._idle_seconds,
            max_headers=HEADERS_MAX,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        await runner.setup()
        inner = runner.server
        assert inner is not None, "setup makes it"
        try:
            self._listener = await listen(lambda: Connection(inner(), self), host, port)
        except OSError:
            await runner.cleanup()
            raise
        self.port = self._listener.sockets[0].getsockname()[1]
        self._sweep_later()

    async def close(self) -> None:
        """Let go of port and connections."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._listener is not None:
            self._listener.close()
        if self._runner is not None:
            await self._runner.cleanup()
        for connection in list(self.connections):
            if connection.transport is not None:
                connection.transport.abort()

    # Connections.

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more."""
        if len(self.connections) >= self._connections_max:
            if not self._was_full:
                log.warning("http_connections_refused", max=self._connections_max, setting=self._setting)
            self._was_full = True
            return False
        self.connections.add(connection)
        return True

    def leave(self, connection: Connection) -> bool:
        """A connection is gone; whether it was admitted."""
        was_here = connection in self.connections
        self.connections.discard(connection)
        self._was_full = self._was_full and len(self.connections) >= self._connections_max // 2
        return was_here

    def _sweep_later(self) -> None:
        pause = min(SWEEP_SECONDS, self._idle_seconds / 2)
        self._sweeper = asyncio.get_running_loop().call_later(pause, self._sweep)

    def _sweep(self) -> None:
        now = monotonic_seconds()
        for connection in list(self.connections):
            transport = connection.transport
            is_waiting = transport not in self.busy or connection.is_blocked
            if transport is not None and is_waiting and now - connection.moved_at > self._idle_seconds:
                transport.abort()
        self._sweep_later()

    # Requests.

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        if transport is not None:
            self.busy.add(transport)
        try:
            answer = await self._in_turn(request)
            return answer if isinstance(answer, web.StreamResponse) else await answer()
        finally:
            if transport is not None:
                self.busy.discard(transport)

    async def _in_turn(self, request: web.Request) -> web.StreamResponse | Later:
        async with self._turn:
            await asyncio.sleep(max(0.0, self._free_at - monotonic_seconds()))
            began_at = monotonic_seconds()
            try:
                return await self._handler(request)
            finally:
                ended_at = monotonic_seconds()
                # What waits for a disk or for the other side takes nothing from the loop; it only has to be bounded.
                took = min(ended_at - began_at, SWEEP_SECONDS)
                self._free_at = ended_at + max(REST_SECONDS_MIN, took * REST_RATIO)
