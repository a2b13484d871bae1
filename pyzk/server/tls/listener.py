"""A port that speaks TLS, or TLS and plain bytes: who comes is looked at before any protocol is.

The first byte tells them apart: 0x16 begins a TLS handshake, and nothing that ZooKeeper's ports are sent without TLS.
Until a handshake is over, a connection costs one task, and nobody can hold more of them than the limits say. Ports
without TLS do not come this way.
"""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import structlog

from pyzk.server.admin.statistics import Handshakes
from pyzk.server.clock import monotonic_seconds
from pyzk.server.tls.contexts import Contexts

log = structlog.get_logger()

TLS_FIRST_BYTE = b"\x16"
ACCEPTED_PER_TURN = 16
"""New connections taken in one turn of the loop."""
RETRY_SECONDS = 1.0
"""After an accept that failed: most likely there are too many open files."""
TELL_SECONDS = 1.0
"""A failure is told at most so often; the others are counted."""

Create = Callable[[], asyncio.Protocol]
Check = Callable[[bytes | None, str], Awaitable[str]]
"""Why a certificate (DER, if one was shown) is not good enough for who comes from an address; empty if it is."""


@dataclass(slots=True)
class TlsOptions:
    """How a port takes connections.

    Attributes:
        allows_plain: connections without TLS are let in (port unification).
        handshakes_max: how many may be under way (netty.server.outstandingHandshake.limit); 0: no limit.
        per_address_max: how many of them from one address; 0: no limit.
        handshake_timeout_ms: how long one may take (pyzk.tlsHandshakeTimeoutMs).
    """

    allows_plain: bool = False
    handshakes_max: int = 0
    per_address_max: int = 0
    handshake_timeout_ms: int = 10_000


class Held(asyncio.Protocol):
    """Stands in for the real protocol while a certificate is checked: nothing is read meanwhile."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.lost: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is over."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so
        self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side has not waited."""
        self.lost = exc or ConnectionResetError("closed by the other side")


async def accept_all(encoded: bytes | None, address: str) -> str:  # noqa: ARG001 - a Check
    """The check of ports on which the handshake says it all."""
    return ""


class Listener:
    """One port.

    Args:
        name: of the port, for the log.
        create: makes the protocol of a connection that is let in.
        contexts: whose `accepting` each new connection takes.
        check: what certificates must be besides valid.
        handshakes: where they are counted.
    """

    def __init__(
        self,
        name: str,
        create: Create,
        contexts: Contexts,
        options: TlsOptions,
        check: Check = accept_all,
        handshakes: Handshakes | None = None,
    ) -> None:
        self._name = name
        self._create = create
        self._contexts = contexts
        self._options = options
        self._check = check
        self._handshakes = handshakes or Handshakes()
        self._loop = asyncio.get_running_loop()
        self._greeting: dict[asyncio.Task[None], tuple[socket.socket, str]] = {}
        self._by_address = Counter[str]()
        self._told_at = float("-inf")
        self._untold = 0
        self.sockets: list[socket.socket] = []

    async def open(self, host: str | None, port: int, backlog: int) -> None:
        """Listen. Raises OSError."""
        found = await self._loop.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )
        try:
            for family, _, _, _, address in dict.fromkeys(found):
                listening = socket.create_server(address, family=family, backlog=backlog)
                listening.settimeout(0)
                self.sockets.append(listening)
        except OSError:
            self.close()
            raise
        for listening in self.sockets:
            self._loop.add_reader(listening.fileno(), self._accept, listening)

    def close(self) -> None:
        """Take no more connections, and give up those that have not shaken hands yet."""
        for listening in self.sockets:
            self._loop.remove_reader(listening.fileno())
            listening.close()
        self.sockets.clear()
        for task in self._greeting:
            task.cancel()

    # Connections that come.

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_PER_TURN):
            try:
                connection, peer = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("accept_failed", port=self._name, error=str(error))  # noqa: TRY400 - its message says it all
                self._loop.remove_reader(listening.fileno())
                self._loop.call_later(RETRY_SECONDS, self._accept_again, listening)
                return
            self._admit(connection, str(peer[0]))

    def _accept_again(self, listening: socket.socket) -> None:
        if listening in self.sockets:
            self._loop.add_reader(listening.fileno(), self._accept, listening)

    def _admit(self, connection: socket.socket, address: str) -> None:
        options = self._options
        if 0 < options.handshakes_max <= len(self._greeting):
            self._refuse(connection, address, f"{options.handshakes_max} are under way (outstandingHandshake.limit)")
        elif 0 < options.per_address_max <= self._by_address[address]:
            self._refuse(connection, address, f"{options.per_address_max} from this address are under way")
        else:
            connection.settimeout(0)
            task = self._loop.create_task(self._greet(connection, address))
            self._greeting[task] = (connection, address)
            self._by_address[address] += 1
            self._handshakes.under_way += 1
            task.add_done_callback(self._greeted)

    def _refuse(self, connection: socket.socket, address: str, reason: str) -> None:
        connection.close()
        self._handshakes.refused += 1
        self._tell("tls_handshake_refused", address, reason)

    def _greeted(self, task: asyncio.Task[None]) -> None:
        connection, address = self._greeting.pop(task)
        self._handshakes.under_way -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
        if task.cancelled():
            connection.close()
        elif (error := task.exception()) is not None:
            self._loop.call_exception_handler({"message": "a connection could not be taken", "exception": error})

    async def _greet(self, connection: socket.socket, address: str) -> None:
        """From a socket to a protocol, or to a line in the log."""
        try:
            reason = await self._welcome(connection, address)
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            reason = explain(error)
        if reason:
            connection.close()
            self._handshakes.failed += 1
            self._tell("tls_handshake_failed", address, reason)

    async def _welcome(self, connection: socket.socket, address: str) -> str:
        """Why somebody is not let in; empty if he is."""
        first = await self._first_byte(connection)
        if first == TLS_FIRST_BYTE:
            return await self._shake_hands(connection, address)
        if not first:
            connection.close()
            return "" if self._options.allows_plain else "closed by the other side before a handshake"
        if not self._options.allows_plain:
            return "plain bytes on a port for TLS: the other side must use TLS, or the port without"
        self._handshakes.plain += 1
        await self._loop.connect_accepted_socket(self._create, connection)
        return ""

    async def _first_byte(self, connection: socket.socket) -> bytes:
        """Look at it without taking it. Raises TimeoutError."""
        timeout_ms = self._contexts.settings.handshake_detection_timeout_ms
        ready = self._loop.create_future()
        self._loop.add_reader(connection.fileno(), _settle, ready)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await ready
        except TimeoutError as error:
            raise TimeoutError(f"nothing was sent within {timeout_ms} ms (handshakeDetectionTimeoutMillis)") from error
        finally:
            self._loop.remove_reader(connection.fileno())
        return connection.recv(1, socket.MSG_PEEK)

    async def _shake_hands(self, connection: socket.socket, address: str) -> str:
        held = Held()
        # uvloop gives back a protocol of its own.
        await self._loop.connect_accepted_socket(
            lambda: held,
            connection,
            ssl=self._contexts.accepting,
            ssl_handshake_timeout=self._options.handshake_timeout_ms / 1000,
        )
        transport = held.transport
        assert transport is not None, "the handshake is over"
        try:
            objection = await self._check(certificate_of(transport), address)
        except asyncio.CancelledError:
            transport.abort()
            raise
        if objection or held.lost is not None:
            transport.abort()
            return objection or str(held.lost)
        protocol = self._create()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if not transport.is_closing():
            transport.resume_reading()
        return ""

    def _tell(self, event: str, address: str, reason: str) -> None:
        """A flood of failures must not become one of lines."""
        now = monotonic_seconds()
        if now - self._told_at < TELL_SECONDS:
            self._untold += 1
            return
        more = {"others_since": self._untold} if self._untold else {}
        log.warning(event, port=self._name, address=address, reason=reason, **more)
        self._told_at, self._untold = now, 0


def _settle(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


def certificate_of(transport: asyncio.BaseTransport) -> bytes | None:
    """The certificate that the other side has shown, as DER; None without one, or without TLS."""
    connection: Any = transport.get_extra_info("ssl_object")
    encoded: bytes | None = None if connection is None else connection.getpeercert(binary_form=True)
    return encoded


REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "no certificate was shown, and clientAuth=need",
    "CERTIFICATE_VERIFY_FAILED": "the certificate is not trusted",
    "TLSV1_ALERT_UNKNOWN_CA": "the other side does not trust our certificate: it needs our CA in its trust store",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the other side does not take our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the other side does not take our certificate",
    "UNSUPPORTED_PROTOCOL": "no version of TLS in common (enabledProtocols)",
    "NO_SHARED_CIPHER": "no cipher suite in common (ciphersuites)",
    "WRONG_VERSION_NUMBER": "the other side does not speak TLS",
    "UNEXPECTED_EOF_WHILE_READING": "closed by the other side in the handshake",
}


def explain(error: OSError | TimeoutError) -> str:
    """A failed handshake, for operators."""
    if not isinstance(error, ssl.SSLError):
        return str(error) or "closed by the other side in the handshake"
    detail = getattr(error, "verify_message", "") or str(error)
    meaning = REASONS.get(error.reason or "")
    return f"{meaning} ({detail})" if meaning else detail
