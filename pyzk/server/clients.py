"""The client port: sockets in, bytes to service, bytes back; four-letter words before the handshake.

A client that does not read what it is sent is not read from any more; one that lets more than
`client_out_buffer_bytes_max` gather is disconnected. Source: docs/protocol/client-protocol.md sections 1 and 9.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Protocol, cast

import structlog

from pyzk.server.admin.statistics import Statistics
from pyzk.server.clock import monotonic_seconds, wall_ms
from pyzk.server.config import Config
from pyzk.server.driver import Driver
from pyzk.tree.acl import Identity

log = structlog.get_logger()

BACKLOG_DEFAULT = 4096
"""Connections that may wait to be accepted: a fleet that reconnects comes all at once."""
LINGER_SECONDS = 10.0
"""How long a closed connection may take to read the last of what it was sent."""
INTEREST_READ = 1
INTEREST_WRITE = 4


Identify = Callable[[asyncio.BaseTransport], tuple[Identity, ...]]
"""Who a client is by its certificate; of a port with TLS."""


class Words(Protocol):
    """The four-letter words."""

    def wanted_bytes(self, word: bytes) -> int:
        """How many bytes of a connection that begins with `word` must be there before it can be answered."""

    def answer(self, received: bytes, connection: int) -> bytes | None:
        """The answer to what a connection began with; None if that is no word, so that it must be a frame."""


class ClientLimits:
    """Who may connect, and what a connection may take.

    Args:
        per_address_max: connections of one address (maxClientCnxns), 0 for no limit.
        total_max: connections in all (maxCnxns), 0 for no limit.
        out_buffer_bytes_max: bytes that may wait for a slow client.
        statistics: where those who were not let in are counted.

    Attributes:
        keep_alive: the system asks silent clients whether they live (clientTcpKeepAlive).
    """

    def __init__(self, per_address_max: int, total_max: int, out_buffer_bytes_max: int, statistics: Statistics) -> None:
        self.per_address_max = per_address_max
        self.total_max = total_max
        self.out_buffer_bytes_max = out_buffer_bytes_max
        self.keep_alive = False
        self.by_address: Counter[str] = Counter()
        self.total = 0
        self.statistics = statistics

    def set(self, config: Config) -> None:
        """Take the limits of a configuration; who is here stays."""
        self.per_address_max = config.max_client_connections_per_address
        self.total_max = config.max_connections
        self.out_buffer_bytes_max = config.client_out_buffer_bytes_max
        self.keep_alive = config.client_tcp_keep_alive

    def admit(self, address: str) -> str | None:
        """Count a new connection; or why it is not let in."""
        if 0 < self.per_address_max <= self.by_address[address]:
            self.statistics.connections_rejected += 1
            return f"Too many connections from {address} - max is {self.per_address_max} (maxClientCnxns)"
        if 0 < self.total_max <= self.total:
            self.statistics.connections_rejected += 1
            return f"Too many connections - max is {self.total_max} (maxCnxns)"
        self.by_address[address] += 1
        self.total += 1
        return None

    def leave(self, address: str) -> None:
        """An admitted connection is gone."""
        self.total -= 1
        self.by_address[address] -= 1
        if not self.by_address[address]:
            del self.by_address[address]


class ClientConnection(asyncio.Protocol):
    """One socket; see `pyzk.server.driver.ClientPort`."""

    __slots__ = (
        "_address",
        "_admitted",
        "_driver",
        "_first",
        "_identified",
        "_identify_by_certificate",
        "_limits",
        "_next_id",
        "_slow",
        "_throttled",
        "_transport",
        "_unfinished",
        "_words",
        "id",
        "is_secure",
        "label",
    )

    def __init__(
        self,
        driver: Driver,
        limits: ClientLimits,
        words: Words,
        next_id: Callable[[], int],
        identify: Identify | None = None,
    ) -> None:
        self._driver = driver
        self._limits = limits
        self._words = words
        self._next_id = next_id
        self._identify_by_certificate = identify
        self._address = "?"
        self._first = b""
        self._admitted = self._identified = self._slow = self._throttled = self._unfinished = False
        self._transport: asyncio.Transport
        self.id = 0
        self.is_secure = False
        self.label = "?"

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so
        peername = transport.get_extra_info("peername")
        if peername:
            self._address, self.label = host_of(str(peername[0])), label_of(str(peername[0]), peername[1])
        refusal = self._limits.admit(self._address)
        if refusal is not None:
            log.warning("connection_refused", reason=refusal)
            self._transport.abort()
            return
        self._admitted = True
        if self._limits.keep_alive:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.id = self._next_id()
        self._driver.clients[self.id] = self
        self._driver.service.connect(self.id, self._address, monotonic_seconds(), wall_ms(), self._proven())

    def _proven(self) -> tuple[Identity, ...]:
        """Who the client is by its certificate, on a port that asks for one."""
        if self._identify_by_certificate is None or self._transport.get_extra_info("ssl_object") is None:
            return ()
        self.is_secure = True
        return self._identify_by_certificate(self._transport)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        if not self._identified:
            data = self._identify(data)
            if not data:
                return
        self._driver.service.receive(self.id, data, monotonic_seconds())
        self._send()

    def _send(self) -> None:
        """Write the replies of this turn at once, and leave all else to the end of it."""
        service = self._driver.service
        outbox = service.outbox
        encoded = service.take(self.id)
        if encoded:
            outbox.dirty.pop(self.id, None)
            self.write(encoded)
        if outbox.submitted or outbox.dirty or outbox.closing or outbox.reading or outbox.unfinished or outbox.packets:
            self._driver.wake()

    def _identify(self, data: bytes) -> bytes:
        """The first four bytes are a word or a length; what is for service, once that is clear."""
        first = self._first + data
        if not self._admitted or len(first) < 4 or len(first) < self._words.wanted_bytes(first[:4]):
            self._first = first
            return b""
        answer = self._words.answer(first, self.id)
        if answer is None and self._driver.handing_over:
            self._first = first
            self._wait_for_role()
            return b""
        self._identified, self._first = True, b""
        if answer is None and self._driver.is_serving:
            return first
        if answer is None:
            self._limits.statistics.connections_not_served += 1
            log.debug("connection_closed", address=self._address, reason="this server is not serving")
        else:
            self._transport.write(answer)
        self._close()
        return b""

    def _wait_for_role(self) -> None:
        self.pause()
        self._driver.wait_for_role(self._try_again)

    def _try_again(self) -> None:
        if self._admitted and not self._transport.is_closing():
            self.resume()
            self.data_received(b"")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The socket is gone."""
        if self._admitted:
            self._admitted = False
            self._limits.leave(self._address)
            self._driver.clients.pop(self.id, None)
            self._driver.service.disconnect(self.id)
            if self._driver.service.outbox.reading:
                self._driver.wake()

    def pause_writing(self) -> None:
        """The client does not keep up with what it is sent: take no more requests from it."""
        self._slow = True
        self._read_or_not()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._slow = False
        if self._unfinished:
            self.go_on()
        self._read_or_not()

    # ClientPort

    def write(self, encoded: bytes) -> None:
        """Send bytes, unless too many are waiting already: then the client is given up."""
        transport = self._transport
        if self._slow and transport.get_write_buffer_size() > self._limits.out_buffer_bytes_max:
            log.warning(
                "slow_client_disconnected",
                address=self._address,
                waiting_bytes=transport.get_write_buffer_size(),
                setting="pyzk.clientOutBufferBytesMax",
            )
            self._driver.service.counters.closed_by_server += 1
            transport.abort()
            return
        transport.write(encoded)

    def go_on(self) -> None:
        """More requests are at hand: serve them when others have had their turn and the client keeps up."""
        self._unfinished = True
        if not self._slow:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._unfinished and not self._slow:
            self._unfinished = False
            self._driver.service.go_on(self.id, monotonic_seconds())
            self._send()

    def pause(self) -> None:
        """Service can take no more for now."""
        self._throttled = True
        self._read_or_not()

    def resume(self) -> None:
        """Service can take more."""
        self._throttled = False
        self._read_or_not()

    def _read_or_not(self) -> None:
        transport = self._transport
        if transport.is_closing():
            return
        if (self._slow or self._throttled) == transport.is_reading():
            if transport.is_reading():
                transport.pause_reading()
            else:
                transport.resume_reading()

    def finish(self, reason: str, *, notable: bool) -> None:
        """Close after what was written."""
        tell = log.warning if notable else log.debug
        tell("connection_closed", address=self._address, reason=reason)
        self._close()

    def _close(self) -> None:
        """Let what was written go out; but not for ever."""
        transport = self._transport
        transport.close()
        if transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.abort)

    @property
    def interest(self) -> int:
        """Whether the socket is read from (1) and has something to write (4)."""
        transport = self._transport
        return INTEREST_READ * transport.is_reading() + INTEREST_WRITE * bool(transport.get_write_buffer_size())


def host_of(address: str) -> str:
    """An address as Java writes it, in words and as the identity of scheme ip: `127.0.0.1`, `0:0:0:0:0:0:0:1`."""
    if ":" not in address:
        return address
    host, percent, scope = address.partition("%")
    groups = IPv6Address(host).exploded.split(":")
    return ":".join([group.lstrip("0") or "0" for group in groups]) + percent + scope


def label_of(address: str, port: int) -> str:
    """Address and port as Java writes them: `/127.0.0.1:2181`, `/0:0:0:0:0:0:0:1:2181`."""
    return f"/{host_of(address)}:{port}"


def _is_any_address(host: str) -> bool:
    """Whether this is `0.0.0.0` or `::`, by either of which Java means all addresses of IPv4 and of IPv6."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


@dataclass(slots=True)
class Opened:
    """A port that is open: its number, and how to take no more connections."""

    port: int
    close: Callable[[], None]


Open = Callable[[str | None, int, int], Awaitable[Opened]]
"""Opens a port: host, number, backlog. Raises OSError."""


async def listen(open_port: Open, setting: str, host: str | None, port: int, backlog: int) -> Opened:
    """Open a port for clients. Raises OSError, with settings (`clientPort`, ...) and remedy, if it cannot be had."""
    # Of port 0 the system would pick two.
    everywhere = host is not None and port > 0 and _is_any_address(host)
    backlog = backlog if backlog > 0 else BACKLOG_DEFAULT
    try:
        return await open_port(None if everywhere else host, port, backlog)
    except OSError as error:
        place = f"{setting}={port}" + (f", {setting}Address={host}" if host else "")
        remedy = "choose an address of this machine and a port that no other program listens on"
        raise OSError(f"the client port cannot be opened: {error.strerror or error} [{place}] {remedy}") from error
