"""The rules of election links: who dials, which of two links survives, what is sent on it.

Two servers share one link, used in both directions, and the server with the larger id is the one that dials it. A
link is made when there is something to send. Source: docs/protocol/election.md section 2.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pyzk.codec.election import Hello, NotificationReader, read_hello
from pyzk.errors import DecodeError
from pyzk.zab.effects import Close, Dial, Effect, Note, Send
from pyzk.zab.events import Port
from pyzk.zab.membership import Membership

ANONYMOUS = (1 << 63) - 1
"""The id in the hello of an observer of old that has none."""
GUESTS_MAX = 100
"""Links that may be open without a hello; one more, and the oldest is closed."""
STRANGERS_MAX = 100
"""Servers outside both configurations that may have a link; one more, and the oldest link is closed."""


@dataclass(slots=True)
class ConnectionSettings:
    """Settings of election links.

    Args:
        dial_timeout_ms: for a dial to succeed (cnxTimeout).
        hello_timeout_ms: for the other side to say who it is (quorumCnxnTimeoutMs).
        multi_address: name all our addresses in the hello (multiAddress.enabled).
    """

    dial_timeout_ms: int = 5000
    hello_timeout_ms: int = 10_000
    multi_address: bool = False


@dataclass(slots=True)
class _Guest:
    """A link that was accepted and has not said hello; `label` is its address."""

    label: str
    deadline: float
    buffer: bytes = b""


@dataclass(slots=True)
class _Link:
    """A link to a server whose id is known: being dialed, or in use."""

    server_id: int
    reader: NotificationReader = field(default_factory=NotificationReader)


@dataclass(slots=True)
class _Channel:
    """What goes to one server.

    Args:
        waiting: for a link; a newer message takes its place.
        last_sent: goes again first on the next link, because it may have been lost with the old one.
        link: in use.
        dial: the link that is being dialed.
    """

    waiting: bytes | None = None
    last_sent: bytes | None = None
    link: int | None = None
    dial: int | None = None


class Connections:
    """All election links of one server.

    A message counts as delivered once it is handed to a link.

    Args:
        server_id: our own.
        effects: list to append to.
        new_link: gives the number of a link to dial.

    Attributes:
        membership: the committed configuration.
        last_seen: the newest one proposed, if any.
    """

    __slots__ = (
        "_channels",
        "_effects",
        "_guests",
        "_links",
        "_new_link",
        "_next_anonymous_id",
        "_own_addresses",
        "_server_id",
        "_settings",
        "last_seen",
        "membership",
    )

    def __init__(
        self, server_id: int, effects: list[Effect], new_link: Callable[[], int], settings: ConnectionSettings
    ) -> None:
        self.membership = Membership()
        self.last_seen: Membership | None = None
        self._server_id = server_id
        self._effects = effects
        self._new_link = new_link
        self._settings = settings
        self._guests: dict[int, _Guest] = {}
        self._links: dict[int, _Link] = {}
        self._channels: dict[int, _Channel] = {}
        self._next_anonymous_id = -1
        self._own_addresses: Sequence[tuple[str, int]] = []

    # What the network tells.

    def owns(self, link: int) -> bool:
        """Whether this is one of our links."""
        return link in self._links or link in self._guests

    def accepted(self, link: int, label: str, now: float) -> None:
        """Somebody has connected; who it is, the hello will say."""
        # Differs from Apache: others are heard meanwhile. There one silent link keeps all others waiting.
        self._guests[link] = _Guest(label, now + self._settings.hello_timeout_ms / 1000)
        if len(self._guests) > GUESTS_MAX:
            self._refuse(next(iter(self._guests)), "too many links that have not said hello", is_warning=True)

    def connected(self, link: int) -> None:
        """A dial has succeeded: say who we are, and keep the link if it is for us to dial."""
        server_id = self._links[link].server_id
        # In one piece: Apache reads the addresses with a single read.
        self._effects.append(Send(link, self._hello()))
        if server_id > self._server_id:
            self._drop(link, f"server {server_id} has the larger id and dials back")
        else:
            self._keep(link, server_id)

    def received(self, link: int, data: bytes) -> list[tuple[int, bytes]]:
        """The server and the body of the last notification in what it has sent, if there is a whole one.

        What a server says replaces what it has said before, on the way out (`send`) as here: nobody who says the same a
        thousand times takes the time of a thousand answers.
        """
        if link in self._guests:
            return self._greet(link, data)
        sender = self._links[link]
        try:
            return [(sender.server_id, body) for body in sender.reader.feed(data)[-1:]]
        except DecodeError as error:
            reason = f"bad notification of server {sender.server_id}: {error}"
            self._effects.append(Note("peer_link_refused", {"reason": reason}, is_warning=True))
            self._drop(link, reason)
            return []

    def disconnected(self, link: int) -> bool:
        """A dial has failed, or the other side has closed a link. It is dialed when there is something to send.

        Whether the link was in use: what was sent on it last may not have been heard.
        """
        if self._guests.pop(link, None) is not None:
            return False
        was_used = self._channels[self._links[link].server_id].link == link
        self._forget(link)
        return was_used

    # What the election asks for.

    @property
    def any_queue_empty(self) -> bool:
        """Whether a message to any server has been handed to a link."""
        return any(channel.waiting is None for channel in self._channels.values())

    def send(self, server_id: int, message: bytes) -> None:
        """Send a frame to another server, in place of one that still waits, and dial if there is no link."""
        assert server_id != self._server_id, "a vote for oneself stays at home"
        channel = self._channel(server_id)
        channel.waiting = message
        if channel.link is None:
            self._dial(server_id)
        else:
            self._flush(channel)

    def connect_all(self) -> None:
        """Dial all servers that were ever sent something and have no link."""
        for server_id in sorted(self._channels):
            self._dial(server_id)

    def drop_all(self) -> None:
        """The members have changed: close all links, and forget what was sent and what waits."""
        for link in (*self._guests, *self._links):
            self._effects.append(Close(link, "the members of the ensemble have changed"))
        self._guests.clear()
        self._links.clear()
        self._channels.clear()

    def deadline(self) -> float | None:
        """When the next hello is overdue."""
        return min(guest.deadline for guest in self._guests.values()) if self._guests else None

    def wake(self, now: float) -> None:
        """Close the links whose hello is overdue."""
        for link in [link for link, guest in self._guests.items() if guest.deadline <= now]:
            self._refuse(link, "no hello in time", is_warning=True)

    # Hellos.

    def _hello(self) -> bytes:
        return Hello(self._server_id, list(self._own_addresses)).encode(multi_address=self._settings.multi_address)

    def _greet(self, link: int, data: bytes) -> list[tuple[int, bytes]]:
        """More bytes of a hello, and what follows it."""
        guest = self._guests[link]
        guest.buffer += data
        try:
            found = read_hello(guest.buffer)
        except DecodeError as error:
            self._refuse(link, f"bad hello: {error}", is_warning=True)
            return []
        if found is None:
            return []
        hello, size = found
        self._admit(link, hello)
        rest = guest.buffer[size:]
        return self.received(link, rest) if rest and link in self._links else []

    def _admit(self, link: int, hello: Hello) -> None:
        """Keep a link, or dial one in its place. Servers outside the configuration are let in: they get answers."""
        server_id = hello.server_id
        if server_id == self._server_id:
            # Differs from Apache: the link is closed. There it stays open for ever.
            fields = {"address": self._guests[link].label, "server_id": server_id}
            self._effects.append(Note("election_hello_with_our_own_id", fields, is_warning=True))
            self._refuse(link, f"the hello has our own id {server_id}")
        elif server_id < self._server_id:
            self._refuse(link, f"server {server_id} has the smaller id: we dial it")
            self._hang_up(server_id, f"server {server_id} has dialed anew")
            self._dial(server_id, hello.addresses)
        else:
            del self._guests[link]
            # Differs from Apache: an anonymous observer is not dialed back. It would refuse that link, as it takes its
            # own id for the largest.
            self._keep(link, self._anonymous_id() if server_id == ANONYMOUS else server_id)
        self._bound_strangers()

    def _anonymous_id(self) -> int:
        while self._next_anonymous_id in self._channels:
            self._next_anonymous_id -= 1
        self._next_anonymous_id -= 1
        return self._next_anonymous_id + 1

    def _refuse(self, link: int, reason: str, *, is_warning: bool = False) -> None:
        """Close a link that has no id yet, or is not to have one."""
        reason = f"{self._guests.pop(link).label}: {reason}"
        if is_warning:
            self._effects.append(Note("peer_link_refused", {"reason": reason}, is_warning=True))
        self._effects.append(Close(link, reason))

    # Links and what is sent on them.

    def _channel(self, server_id: int) -> _Channel:
        return self._channels.setdefault(server_id, _Channel())

    def _keep(self, link: int, server_id: int) -> None:
        """Use a link for a server, in place of another one or of a dial."""
        channel = self._channel(server_id)
        for other in (channel.link, channel.dial):
            if other is not None and other != link:
                self._effects.append(Close(other, f"there is a newer link to server {server_id}"))
                del self._links[other]
        self._links.setdefault(link, _Link(server_id))
        channel.link, channel.dial = link, None
        if channel.waiting is None:
            channel.waiting = channel.last_sent
        if channel.waiting is not None:
            self._flush(channel)

    def _flush(self, channel: _Channel) -> None:
        assert channel.link is not None
        assert channel.waiting is not None
        self._effects.append(Send(channel.link, channel.waiting))
        channel.last_sent, channel.waiting = channel.waiting, None

    def _dial(self, server_id: int, addresses: Sequence[tuple[str, int]] = ()) -> None:
        """Dial a server at these addresses or those of the configurations; one dial at a time, none if there is a link.

        A server in neither configuration that has given no address is not dialed.
        """
        channel = self._channel(server_id)
        if channel.link is not None or channel.dial is not None:
            return
        # We know our own even when a configuration without us is adopted.
        self._own_addresses = self._addresses(self._server_id) or self._own_addresses
        addresses = addresses or self._addresses(server_id)
        if not addresses or not self._own_addresses:
            self._forget_stranger(server_id)
            return
        channel.dial = self._new_link()
        self._links[channel.dial] = _Link(server_id)
        self._effects.append(Dial(channel.dial, Port.ELECTION, addresses, self._settings.dial_timeout_ms))

    def _addresses(self, server_id: int) -> Sequence[tuple[str, int]]:
        """Of the committed configuration first, then what the one proposed has besides."""
        committed = self.membership.election_addresses(server_id)
        proposed = self.last_seen.election_addresses(server_id) if self.last_seen else []
        return [*committed, *(address for address in proposed if address not in committed)]

    def _drop(self, link: int, reason: str) -> None:
        self._effects.append(Close(link, reason))
        self._forget(link)

    def _hang_up(self, server_id: int, reason: str) -> None:
        """Close the link that is in use for a server."""
        channel = self._channels.get(server_id)
        if channel is not None and channel.link is not None:
            self._drop(channel.link, reason)

    def _forget(self, link: int) -> None:
        server_id = self._links.pop(link).server_id
        channel = self._channels[server_id]
        channel.link = None if channel.link == link else channel.link
        channel.dial = None if channel.dial == link else channel.dial
        self._forget_stranger(server_id)

    # Servers outside both configurations.

    def _is_stranger(self, server_id: int) -> bool:
        known = self.membership.find(server_id) or (self.last_seen and self.last_seen.find(server_id))
        return known is None

    def _forget_stranger(self, server_id: int) -> None:
        """Keep nothing of a server that is in no configuration and has no link."""
        channel = self._channels[server_id]
        if channel.link is None and channel.dial is None and self._is_stranger(server_id):
            del self._channels[server_id]

    def _bound_strangers(self) -> None:
        strangers = [server_id for server_id in self._channels if self._is_stranger(server_id)]
        for server_id in strangers[:-STRANGERS_MAX]:
            channel = self._channels[server_id]
            for link in (channel.link, channel.dial):
                if link is not None:
                    self._drop(link, "too many servers that are in no configuration")
