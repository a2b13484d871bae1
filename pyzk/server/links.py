"""Links to other servers: the sockets behind the numbers by which the agreement knows them.

Effects of the agreement go to the link that they name, and what happens on a link becomes an event. A server that does
not take what it is sent is given up when too much waits for it. Source: docs/protocol/zab.md sections 2 and 4.3,
docs/protocol/election.md section 2.
"""

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Protocol

import structlog

from pyzk.server.dialing import Dialer
from pyzk.server.link import Link
from pyzk.tree.walk import Walk
from pyzk.zab.admission import Admission
from pyzk.zab.effects import Close, Dial, Send, SendTree
from pyzk.zab.events import Accepted, Connected, Disconnected, Port, Received

log = structlog.get_logger()

ACCEPTED_PER_PORT_MAX = 2000
"""Links that others may have open on one of our ports; more are closed at once."""
OUT_BUFFER_BYTES_MAX = 256 * 2**20
ELECTION_OUT_BYTES_MAX = 2**20
"""What may wait on an election link: hardly more than the longest notification, as only the last one counts."""

LinkEvent = Accepted | Connected | Received | Disconnected
LinkEffect = Dial | Send | SendTree | Close
PREPARED_MAX = 2
"""Links that may ask for a ticket at a time."""


class Admissions(Protocol):
    """How servers authenticate themselves to each other.

    Attributes:
        timeout_seconds: how long that may take.
        takes_time: our side has to be prepared, beside the loop, before a link is dialed.
    """

    timeout_seconds: float
    takes_time: bool

    def to(self, host: str) -> Admission | None:
        """Our side of a link that we dial; None if we need not prove anything."""

    def of(self, port: Port) -> Admission:
        """Our side of a link that was accepted on a port."""


@dataclass(slots=True)
class LinkOptions:
    """Settings of links.

    Attributes:
        out_buffer_bytes_max: what may wait for a slow server before something more is sent
            (pyzk.peerOutBufferBytesMax).
        keep_alive: SO_KEEPALIVE on election links (tcpKeepAlive).
        accepted_no_delay, dialed_no_delay: TCP_NODELAY on quorum links (leader.nodelay, follower.nodelay).
        reach_timeout_ms: how long an address may take when there is another one to try
            (multiAddress.reachabilityCheckTimeoutMs); None: as long as any.
        election_unacked_ms_max: how long the other machine may leave unacknowledged what was sent on an election link,
            before the link is closed; None: as long as the kernel tries, about 15 minutes.
        admissions: how servers authenticate themselves to each other; None where they do not (quorum.auth.*).
    """

    out_buffer_bytes_max: int = OUT_BUFFER_BYTES_MAX
    keep_alive: bool = False
    accepted_no_delay: bool = True
    dialed_no_delay: bool = True
    reach_timeout_ms: int | None = 1000
    election_unacked_ms_max: int | None = None
    admissions: "Admissions | None" = None


class Links:
    """All links of one server, by number.

    Args:
        handle: takes what happens; never called from within `perform`.
        walk: begins a walk over the tree as it is.
        wake: asks for `flush` at the end of this turn of the loop.

    Attributes:
        dialer: finds an address that answers.
    """

    def __init__(
        self,
        handle: Callable[[LinkEvent], None],
        walk: Callable[[], Walk],
        wake: Callable[[], None],
        options: LinkOptions | None = None,
    ) -> None:
        self.options = options or LinkOptions()
        self.dialer = Dialer(self.options.reach_timeout_ms)
        self._handle = handle
        self._walk = walk
        self._wake = wake
        self._links: dict[int, Link] = {}
        self._dirty: dict[int, Link] = {}
        self._accepted = Counter[Port]()
        self._numbers = count(-1, -1)
        self._stopped = False
        # A KDC that does not answer must not keep snapshots from being written, which need a thread too.
        self._waiting_room = ThreadPoolExecutor(PREPARED_MAX, "tickets")
        self._loop = asyncio.get_running_loop()

    def __len__(self) -> int:
        return len(self._links)

    # Effects. A link that was closed meanwhile is not there any more, and nothing happens.

    def send(self, effect: Send) -> None:
        """Send bytes with the next `flush`."""
        link = self._links.get(effect.link)
        if link is None or not self._keeps_up(link):
            return
        link.send(effect.data)
        if not self._dirty:
            self._wake()
        self._dirty[link.number] = link

    def _keeps_up(self, link: Link) -> bool:
        """Whether what waits is within the limit; one message alone may be longer than that."""
        if link.transport is None:
            return False
        waiting_bytes = link.waiting_bytes
        limit, name = self.options.out_buffer_bytes_max, "pyzk.peerOutBufferBytesMax"
        if link.port == Port.ELECTION and limit > ELECTION_OUT_BYTES_MAX:
            limit, name = ELECTION_OUT_BYTES_MAX, f"on an election link at most {ELECTION_OUT_BYTES_MAX}"
        if waiting_bytes <= limit:
            return True
        reason = f"{waiting_bytes} bytes wait for {link.label}, which does not take them ({name})"
        self._forget(link)
        link.abort()
        # The caller is in the middle of a list of effects.
        self._loop.call_soon(self._handle, Disconnected(link.number, reason))
        return False

    def send_tree(self, effect: SendTree) -> None:
        """Send the tree as it is now."""
        link = self._links.get(effect.link)
        if link is not None and link.transport is not None:
            link.send_tree(self._walk())

    def close(self, effect: Close) -> None:
        """Close a link, or give up a dial."""
        link = self._links.get(effect.link)
        if link is not None:
            log.debug("link_closed", link=link.number, address=link.label, reason=effect.reason)
            self._forget(link)
            link.close()

    def dial(self, effect: Dial) -> None:
        """Connect to the first address that answers. Those that did not answer the last time are tried last."""
        if self._stopped:
            return
        admissions = self.options.admissions
        admission = admissions.to(effect.addresses[0][0]) if admissions is not None and effect.addresses else None
        link = self._links[effect.link] = Link(self, effect.link, effect.port, admission)
        link.dialing = self._loop.create_task(self._dial(link, effect))

    def flush(self) -> None:
        """Write what was sent on each link since the last time."""
        if self._dirty:
            dirty, self._dirty = self._dirty, {}
            for link in dirty.values():
                link.flush()

    async def stop(self) -> None:
        """Close all links, give up all dials, and dial no more."""
        self._stopped = True
        links = list(self._links.values())
        for link in links:
            self._forget(link)
            link.close()
        dials = [link.dialing for link in links if link.dialing is not None]
        await asyncio.gather(*dials, return_exceptions=True)
        self._waiting_room.shutdown(wait=False, cancel_futures=True)

    def _forget(self, link: Link) -> None:
        del self._links[link.number]
        self._dirty.pop(link.number, None)

    async def _dial(self, link: Link, effect: Dial) -> None:
        why_not = await self._prepare(link, effect.timeout_ms)
        if not why_not:
            why_not = await self.dialer.dial(link, effect.addresses, effect.timeout_ms)
        link.dialing = None
        if link.transport is None:
            self._forget(link)
            self._handle(Disconnected(link.number, why_not))

    async def _prepare(self, link: Link, timeout_ms: int) -> str:
        """Get what the other server will ask for; why that is not to be had."""
        admissions = self.options.admissions
        if admissions is None or link.admission is None or not admissions.takes_time:
            return ""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self._loop.run_in_executor(self._waiting_room, link.admission.prepare)
        except TimeoutError:
            return f"no ticket within {timeout_ms} ms"
        return ""

    # What links tell.

    def acceptor(self, port: Port) -> Callable[[], Link]:
        """Makes the protocol of each link that is accepted on a port."""
        admissions = self.options.admissions
        return lambda: Link(self, 0, port, None if admissions is None else admissions.of(port))

    def limit_admission(self, link: Link) -> None:
        """Give the other side only so long to say who it is."""
        assert self.options.admissions is not None
        self._loop.call_later(self.options.admissions.timeout_seconds, link.end_admission)

    def refuse(self, link: Link, reason: str) -> None:
        """The other server could not be authenticated, or did not let us in."""
        reason = f"{link.label}: {reason}"
        log.warning("peer_link_refused", reason=reason)
        link.abort()
        if link.number in self._links:
            self._forget(link)
            # The caller may be in the middle of a list of effects.
            self._loop.call_soon(self._handle, Disconnected(link.number, reason))

    def opened(self, link: Link) -> None:
        """A socket is connected."""
        assert link.transport is not None
        self._set_options(link)
        if link.number:
            if link.number in self._links:
                self._handle(Connected(link.number))
            else:
                link.transport.abort()
            return
        if self._accepted[link.port] >= ACCEPTED_PER_PORT_MAX:
            log.warning("link_refused", address=link.label, port=link.port.name, open_links=ACCEPTED_PER_PORT_MAX)
            link.transport.abort()
            return
        link.number = next(self._numbers)
        self._links[link.number] = link
        self._accepted[link.port] += 1
        self._handle(Accepted(link.number, link.port, link.label))

    def _set_options(self, link: Link) -> None:
        assert link.transport is not None
        raw: socket.socket = link.transport.get_extra_info("socket")
        if link.port == Port.ELECTION:
            no_delay = True
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, self.options.keep_alive)
            if self.options.election_unacked_ms_max is not None and sys.platform == "linux":
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self.options.election_unacked_ms_max)
        else:
            no_delay = self.options.dialed_no_delay if link.number else self.options.accepted_no_delay
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, no_delay)

    def received(self, link: Link, data: bytes) -> None:
        """Bytes have arrived."""
        if link.number in self._links:
            self._handle(Received(link.number, data))

    def lost(self, link: Link, reason: str) -> None:
        """A socket is gone."""
        if link.number < 0:
            self._accepted[link.port] -= 1
        if link.number in self._links:
            self._forget(link)
            self._handle(Disconnected(link.number, reason))

    def labels(self) -> Iterable[tuple[int, str]]:
        """Numbers and addresses of the links that are open."""
        return [(link.number, link.label) for link in self._links.values() if link.transport is not None]
