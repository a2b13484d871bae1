"""How servers authenticate themselves to each other, before the agreement hears anything of a link.

The server that has dialed proves who it is, the one that was dialed asks for it: on the election port right behind the
hello, on the others first of all. Both sides are machines: bytes in, bytes out, until `is_over`.
Source: docs/protocol/election.md section 2.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pyzk.codec.election import read_hello
from pyzk.codec.peerauth import MAGIC, AuthPacket, Status, read_auth_packet
from pyzk.errors import DecodeError, SaslError
from pyzk.sasl.mechanism import TOKEN_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.sasl.mechanism import ClientExchange, ServerExchange

PACKETS_MAX = 10
"""Packets that the other side may send: no mechanism needs as many."""
HELLO_BYTES_MAX = 4096


class Admission(Protocol):
    """One side of it.

    Attributes:
        is_over: nothing more is to be said; what follows is for the agreement.
        failure: why the link must be closed, empty if it need not.
        rest: bytes for the agreement that have come already.
    """

    is_over: bool
    failure: str
    rest: bytes

    def prepare(self) -> None:
        """Get what `start` needs; may wait for others."""

    def start(self) -> bytes:
        """What to send first."""

    def receive(self, data: bytes) -> bytes:
        """What to send in answer."""

    def ended(self) -> None:
        """Nothing more will come."""


class Applicant:
    """The side that has dialed."""

    __slots__ = ("_buffer", "_exchange", "_packets", "failure", "is_over", "rest")

    def __init__(self, exchange: ClientExchange) -> None:
        self.is_over = False
        self.failure = ""
        self.rest = b""
        self._exchange = exchange
        self._buffer = b""
        self._packets = 0

    def prepare(self) -> None:
        """A ticket, where one is needed."""
        self._exchange.prepare()

    def start(self) -> bytes:
        """The first packet."""
        try:
            return AuthPacket(Status.IN_PROGRESS, self._exchange.start()).encode()
        except SaslError as error:
            self._fail(str(error))
            return b""

    def receive(self, data: bytes) -> bytes:
        """Our next packet, if the other side wants one."""
        self._buffer += data
        answer = b""
        try:
            while not self.is_over and (found := read_auth_packet(self._buffer, TOKEN_BYTES_MAX)) is not None:
                packet, size = found
                self._buffer = self._buffer[size:]
                answer += self._take(packet)
        except (DecodeError, SaslError) as error:
            self._fail(str(error))
        if self.is_over:
            self.rest, self._buffer = self._buffer, b""
        return answer

    def _take(self, packet: AuthPacket) -> bytes:
        self._packets += 1
        if packet.status is Status.ERROR or self._packets > PACKETS_MAX:
            raise SaslError("the other server has refused our login")
        token = None
        if not self._exchange.is_complete:
            token = self._exchange.respond(packet.token or b"")
        if packet.status is Status.IN_PROGRESS:
            return AuthPacket(Status.IN_PROGRESS, token).encode()
        if not self._exchange.is_complete:
            raise SaslError("the other server says yes before it has proven who it is")
        self.is_over = True
        return b""

    def ended(self) -> None:
        """The other side has hung up."""
        self._fail("the other server has hung up instead of taking our login")

    def _fail(self, reason: str) -> None:
        self.is_over, self.failure = True, reason


class Doorkeeper:
    """The side that was dialed.

    Args:
        new_exchange: begins a SASL exchange.
        required: servers that do not prove who they are, or cannot, are not let in (serverRequireSasl).
        hello_first: the link begins with the hello of the election port, which is for the agreement.
    """

    __slots__ = (
        "_buffer",
        "_exchange",
        "_greeting",
        "_new_exchange",
        "_packets",
        "_required",
        "_wants_hello",
        "failure",
        "is_over",
        "rest",
    )

    def __init__(self, new_exchange: Callable[[], ServerExchange], *, required: bool, hello_first: bool) -> None:
        self.is_over = False
        self.failure = ""
        self.rest = b""
        self._new_exchange = new_exchange
        self._exchange: ServerExchange | None = None
        self._required = required
        self._wants_hello = hello_first
        self._greeting = self._buffer = b""
        self._packets = 0

    def prepare(self) -> None:
        """Who is dialed needs nothing."""

    def start(self) -> bytes:
        """It is for the other side to begin."""
        return b""

    def receive(self, data: bytes) -> bytes:
        """Our next packet, if the other side has sent one."""
        self._buffer += data
        answer = b""
        try:
            if self._wants_hello:
                self._take_hello()
            if not self._wants_hello and self._exchange is None:
                self._look()
            while not self.is_over and self._exchange is not None:
                found = read_auth_packet(self._buffer, TOKEN_BYTES_MAX)
                if found is None:
                    break
                packet, size = found
                self._buffer = self._buffer[size:]
                answer += self._judge(packet, self._exchange)
        except (DecodeError, SaslError) as error:
            answer += AuthPacket(Status.ERROR, b"").encode()
            self._refuse(str(error))
        return answer

    def _take_hello(self) -> None:
        """Keep the hello for the agreement; one that cannot be read is for it to judge."""
        try:
            found = read_hello(self._buffer)
        except DecodeError:
            self._let_in()
            return
        if found is None:
            return
        _, size = found
        self._greeting, self._buffer = self._buffer[:size], self._buffer[size:]
        self._wants_hello = False

    def _look(self) -> None:
        """The first eight bytes tell whether the other side means to authenticate itself."""
        if self.is_over or not self._buffer or MAGIC.startswith(self._buffer):
            return
        if self._buffer.startswith(MAGIC):
            self._exchange = self._new_exchange()
        else:
            self._refuse("it does not authenticate itself")

    def _judge(self, packet: AuthPacket, exchange: ServerExchange) -> bytes:
        self._packets += 1
        if packet.status is Status.ERROR or self._packets > PACKETS_MAX:
            raise SaslError("it gives up")
        token = exchange.respond(packet.token or b"")
        if exchange.identity is None:
            return AuthPacket(Status.IN_PROGRESS, token).encode()
        self._let_in()
        return AuthPacket(Status.SUCCESS, token).encode()

    def ended(self) -> None:
        """The other side has hung up: where it need not prove anything, the agreement hears its hello."""
        self._refuse("it does not authenticate itself")

    def _let_in(self) -> None:
        self.is_over = True
        self.rest, self._greeting, self._buffer = self._greeting + self._buffer, b"", b""

    def _refuse(self, reason: str) -> None:
        if self._required:
            self.is_over, self.failure = True, reason
        else:
            self._let_in()
