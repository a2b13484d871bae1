"""Servers that authenticate themselves: what the agreement is told of their links, and when."""

from collections.abc import Callable
from threading import Event, current_thread
from typing import Any

import pytest

from pyzk.sasl.digest_md5 import DigestClient, DigestServer
from pyzk.server.links import LinkOptions
from pyzk.zab.admission import Admission, Applicant, Doorkeeper
from pyzk.zab.effects import Close, Dial, Send
from pyzk.zab.events import Connected, Disconnected, Port, Received
from tests.server.shell import until
from tests.server.sides import HOST, Side


class Passwords:
    """Admissions of a side: its password where it dials, and whether it wants to hear one where it is dialed."""

    def __init__(self, password: str | None = "secret", *, required: bool = True, timeout_seconds: float = 60) -> None:
        self.timeout_seconds, self.takes_time = timeout_seconds, False
        self._password = password
        self._required = required

    def to(self, _: str) -> Admission | None:
        return None if self._password is None else Applicant(DigestClient("zk", self._password, "1"))

    def of(self, port: Port) -> Admission:
        new = lambda: DigestServer({"zk": "secret"}.get, "2")  # noqa: E731
        return Doorkeeper(new, required=self._required, hello_first=port == Port.ELECTION)


def guarded(*args: Any, **named: Any) -> LinkOptions:
    return LinkOptions(admissions=Passwords(*args, **named))


HELLO = bytes.fromhex("ffffffffffff0000 0000000000000003 0000000e") + b"127.0.0.1:3888"


async def test_a_link_is_told_of_once_its_dialer_is_known(sides: Callable[..., Side]) -> None:
    dialed, dialer = sides(guarded()), sides(guarded())
    await dialer.dialed(1, await dialed.listen())
    dialer.perform(Send(1, b"first"))
    await until(lambda: dialed.received(-1) == b"first", "what follows the proof has come")
    dialed.perform(Send(-1, b"answer"))
    await until(lambda: dialer.received(1) == b"answer", "the answer has come")


@pytest.mark.parametrize("password", ["wrong", None])
async def test_a_dialer_without_proof_is_shut_out(sides: Callable[..., Side], password: str | None) -> None:
    dialed, dialer = sides(guarded()), sides(guarded(password))
    dialer.perform(Dial(1, Port.QUORUM, [(HOST, await dialed.listen())], 5000))
    if password is None:
        await until(lambda: Connected(1) in dialer.events, "nothing is asked of it")
        dialer.perform(Send(1, b"first"))
    await until(lambda: dialer.of(Disconnected) and dialed.of(Disconnected), "both sides have given up")
    assert dialed.of(Received) == dialer.of(Received) == []
    assert (Connected(1) in dialer.events) is (password is None)
    assert len(dialed.links) == len(dialer.links) == 0


async def test_where_no_proof_is_required_a_dialer_without_is_let_in(sides: Callable[..., Side]) -> None:
    dialed, dialer = sides(guarded(required=False)), sides(guarded(None))
    await dialer.dialed(1, await dialed.listen())
    dialer.perform(Send(1, b"first words"))
    await until(lambda: dialed.received(-1) == b"first words", "they have come")


async def test_a_hello_goes_ahead_of_the_proof_and_is_told_of_behind_it(sides: Callable[..., Side]) -> None:
    dialed, dialer = sides(guarded()), sides(guarded())
    await dialer.dialed(1, await dialed.listen(Port.ELECTION), Port.ELECTION)
    dialer.perform(Send(1, HELLO), Send(1, b"vote"))
    await until(lambda: dialed.received(-1) == HELLO + b"vote", "the hello has come, and then the vote")


async def test_a_server_that_is_to_be_dialed_back_proves_who_it_is_before_it_goes(sides: Callable[..., Side]) -> None:
    dialed, dialer = sides(guarded()), sides(guarded())
    await dialer.dialed(1, await dialed.listen(Port.ELECTION), Port.ELECTION)
    dialer.perform(Send(1, HELLO), Close(1, "it has the larger id and dials back"))
    await until(lambda: dialed.of(Disconnected), "the link has ended")
    assert dialed.received(-1) == HELLO
    assert dialer.of(Disconnected) == []


async def test_who_says_nothing_in_time_is_shut_out(sides: Callable[..., Side], silent: Callable[[int], Any]) -> None:
    dialed = sides(guarded(timeout_seconds=0.01))
    stranger = await silent(await dialed.listen())
    assert await stranger.read(1) == b""
    await until(lambda: dialed.of(Disconnected), "it is told")
    assert dialed.of(Received) == []


class Slow(DigestClient):
    """Its token is there only once somebody says so."""

    def __init__(self) -> None:
        super().__init__("zk", "secret", "1")
        self.may_go_on = Event()
        self.threads: list[str] = []

    def prepare(self) -> None:
        self.threads.append(current_thread().name)
        self.may_go_on.wait(20)


class Tickets(Passwords):
    """Admissions of a side that has to ask somebody first."""

    def __init__(self) -> None:
        super().__init__()
        self.takes_time = True
        self.exchange = Slow()

    def to(self, _: str) -> Admission | None:
        return Applicant(self.exchange)


async def test_who_needs_a_ticket_gets_it_beside_the_loop_before_dialing(sides: Callable[..., Side]) -> None:
    tickets = Tickets()
    dialed, dialer = sides(guarded()), sides(LinkOptions(admissions=tickets))
    dialer.perform(Dial(1, Port.QUORUM, [(HOST, await dialed.listen())], 60_000))
    await until(lambda: tickets.exchange.threads, "it asks")
    assert tickets.exchange.threads != [current_thread().name]
    assert len(dialed.links) == 0
    tickets.exchange.may_go_on.set()
    await until(lambda: Connected(1) in dialer.events, "it is let in")


async def test_a_ticket_that_does_not_come_is_not_waited_for_longer_than_a_dial(sides: Callable[..., Side]) -> None:
    tickets = Tickets()
    dialer = sides(LinkOptions(admissions=tickets))
    dialer.perform(Dial(1, Port.QUORUM, [(HOST, 1)], 10))
    await until(lambda: dialer.of(Disconnected), "it gives up")
    assert dialer.of(Disconnected) == [Disconnected(1, "no ticket within 10 ms")]
    tickets.exchange.may_go_on.set()
