"""Links to other servers: the sockets behind the numbers by which the agreement knows them.

What is sent in one turn of the loop goes out in one write: the hello of an election link must arrive in one piece. A
server that does not take what it is sent is given up when too much waits for it. A tree goes out in slices, as fast as
the other side takes it, and what is sent meanwhile waits behind it. Source: docs/protocol/zab.md sections 2 and 4.3,
docs/protocol/election.md section 2.
"""

import asyncio
import socket
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Protocol, cast

import structlog

from pyzk.server.clients import label_of
from pyzk.tree.walk import Walk
from pyzk.zab.admission import Admission
from pyzk.zab.effects import Close, Dial, Send, SendTree
from pyzk.zab.events import Accepted, Connected, Disconnected, Port, Received

if TYPE_CHECKING:
    from pyzk.server.tls.peerside import PeerSecurity

log = structlog.get_logger()

ACCEPTED_PER_PORT_MAX = 2000
"""Links that others may have open on one of our ports; more are closed at once."""
LINGER_SECONDS = 5.0
"""How long a closed link may take to send the last of what was written."""
HIGH_WATER_BYTES = 256 * 1024
"""A tree pauses when so much of it waits in the process."""
TREE_CHUNKS_PER_TURN = 2
"""Chunks of a tree written in one turn of the loop, so that clients and pings come in between."""
OUT_BUFFER_BYTES_MAX = 256 * 2**20
ELECTION_OUT_BYTES_MAX = 2**20
"""What may wait on an election link: hardly more than the longest notification, as only the last one counts."""
SILENT_HOSTS_MAX = 100
"""Hosts that are known not to answer; one more, and all are forgotten."""

HANDSHAKE_ERRORS = (ssl.SSLError, ConnectionResetError, ConnectionAbortedError)
"""What a dial ends with when there is somebody who does not like our TLS, or speaks none."""

LinkEvent = Accepted | Connected | Received | Disconnected
LinkEffect = Dial | Send | SendTree | Close


class Admissions(Protocol):
    """How servers authenticate themselves to each other.

    Attributes:
        timeout_seconds: how long that may take.
    """

    timeout_seconds: float

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


class Link(asyncio.Protocol):
    """One socket to another server, or one that is being dialed.

    Where servers authenticate themselves, the agreement is told of nothing that comes before that is done, and what it
    sends meanwhile waits: but for the hello of the election port, which goes ahead of all.
    """

    __slots__ = (
        "_admission",
        "_behind",
        "_behind_bytes",
        "_is_greeted",
        "_is_parting",
        "_links",
        "_out",
        "_out_bytes",
        "_paused",
        "_tree",
        "_will_pull",
        "dialed_host",
        "dialing",
        "label",
        "number",
        "objection",
        "port",
        "transport",
    )

    def __init__(self, links: "Links", number: int, port: Port, admission: Admission | None = None) -> None:
        self._links = links
        self._admission = admission
        self._is_greeted = self._is_parting = False
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._tree: Walk | None = None
        self._behind: list[bytes] = []
        self._behind_bytes = 0
        self._paused = self._will_pull = False
        self.number = number
        self.port = port
        self.label = "?"
        self.transport: asyncio.Transport | None = None
        self.dialing: asyncio.Task[None] | None = None
        self.dialed_host = self.objection = ""

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        opened = cast("asyncio.Transport", transport)  # uvloop's is one without saying so
        self.objection = self._links.objection_to(opened, self.dialed_host)
        if self.objection:
            opened.abort()
            return
        self.transport = opened
        self.transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        peername = transport.get_extra_info("peername")
        if peername:
            self.label = label_of(str(peername[0]), peername[1])
        if self._admission is not None:
            self._links.limit_admission(self)
        if self._is_dialed_elsewhere:
            self._begin_admission(b"")
        else:
            self._links.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._admission is not None:
            data = self._admit(self._admission, data)
        if data:
            self._links.received(self, data)

    # Who is there?

    @property
    def _is_dialed_elsewhere(self) -> bool:
        """Whether it is for us to say who we are, first of all."""
        return self._admission is not None and self.number > 0 and self.port != Port.ELECTION

    def _begin_admission(self, greeting: bytes) -> None:
        assert self._admission is not None
        assert self.transport is not None
        self._is_greeted = True
        # In one piece: Apache reads a hello with a single read.
        self.transport.write(greeting + self._admission.start())
        self._judge(self._admission)

    def _admit(self, admission: Admission, data: bytes) -> bytes:
        """More of the exchange; what is for the agreement."""
        assert self.transport is not None
        answer = admission.receive(data)
        if answer:
            self.transport.write(answer)
        return self._judge(admission)

    def _judge(self, admission: Admission) -> bytes:
        if not admission.is_over:
            return b""
        is_news = self._is_dialed_elsewhere
        self._admission = None
        if admission.failure:
            self._links.refuse(self, admission.failure)
        elif self._is_parting:
            self.close()
        elif is_news:
            self._links.opened(self)
        else:
            self.flush()
        return b"" if admission.failure else admission.rest

    def end_admission(self) -> None:
        """The other side is gone in the midst of it, or takes too long."""
        admission = self._admission
        if admission is not None:
            admission.ended()
            rest = self._judge(admission)
            if rest:
                self._links.received(self, rest)

    # asyncio.Protocol, more of it

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is None:
            return  # who has dialed is told by its task
        self.end_admission()
        self._end_tree()
        if isinstance(exc, TimeoutError):
            peername = self.transport.get_extra_info("peername")
            self._links.silent(peername[0] if peername else "")
        self._links.lost(self, str(exc) if exc is not None else "closed by the other side")

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._tree is not None and not self._will_pull:
            self._pull()

    # What Links asks for.

    @property
    def waiting_bytes(self) -> int:
        """What was sent and has not left the process, without what a tree still has to give."""
        assert self.transport is not None
        return self.transport.get_write_buffer_size() + self._out_bytes + self._behind_bytes

    def send(self, data: bytes) -> None:
        """Send with the next `flush`, or behind the tree that is on its way."""
        if self._admission is not None and self.number > 0 and not self._is_greeted:
            self._begin_admission(data)
        elif self._tree is None:
            self._out.append(data)
            self._out_bytes += len(data)
        else:
            self._behind.append(data)
            self._behind_bytes += len(data)

    def flush(self) -> None:
        """Write what has gathered, in one piece."""
        if self._out and self.transport is not None and self._admission is None and not self.transport.is_closing():
            out, self._out, self._out_bytes = self._out, [], 0
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))

    def send_tree(self, tree: Walk) -> None:
        """Send a tree; what is sent from now on goes behind it."""
        assert self._tree is None, "one tree at a time"
        self.flush()
        self._tree = tree
        self._pull_later()

    def _pull_later(self) -> None:
        self._will_pull = True
        asyncio.get_running_loop().call_soon(self._pull)

    def _pull(self) -> None:
        """Write some of the tree, unless the other side has to catch up first."""
        self._will_pull = False
        if self._tree is None or self.transport is None:
            return
        for _ in range(TREE_CHUNKS_PER_TURN):
            if self._paused:
                return
            chunk = next(self._tree, None)
            if chunk is None:
                self._finish_tree()
                return
            self.transport.write(chunk)
        self._pull_later()

    def _finish_tree(self) -> None:
        self._tree = None
        self._out, self._out_bytes = self._behind, self._behind_bytes
        self._behind, self._behind_bytes = [], 0
        self.flush()

    def _end_tree(self) -> None:
        """Keep nothing aside for it any more."""
        if self._tree is not None:
            self._tree.close()
            self._tree = None

    def close(self) -> None:
        """Let what was written go out; but not for ever. A tree that is on its way stays unfinished."""
        if self._admission is not None and self._is_greeted and self.port == Port.ELECTION:
            # The other side dials back only to one that has proven who it is.
            self._is_parting = True
            return
        if self.dialing is not None:
            self.dialing.cancel()
        if self.transport is None:
            return
        self._admission = None
        if self._tree is None:
            self.flush()
        self._end_tree()
        self.transport.close()
        if self.transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self.transport.abort)

    def abort(self) -> None:
        """Close now."""
        self._end_tree()
        if self.transport is not None:
            self.transport.abort()


class Links:
    """All links of one server, by number.

    Args:
        handle: takes what happens; never called from within `perform`.
        walk: begins a walk over the tree as it is.
        wake: asks for `flush` at the end of this turn of the loop.

    Attributes:
        security: TLS; None without.
    """

    def __init__(
        self,
        handle: Callable[[LinkEvent], None],
        walk: Callable[[], Walk],
        wake: Callable[[], None],
        options: LinkOptions | None = None,
    ) -> None:
        self.options = options or LinkOptions()
        self.security: PeerSecurity | None = None
        self._handle = handle
        self._walk = walk
        self._wake = wake
        self._links: dict[int, Link] = {}
        self._dirty: dict[int, Link] = {}
        self._accepted = Counter[Port]()
        self._silent_hosts: set[str] = set()
        self._numbers = count(-1, -1)
        self._stopped = False
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
        link.dialing = self._loop.create_task(self._dial(link, effect.addresses, effect.timeout_ms))

    def flush(self) -> None:
        """Write what was sent on each link since the last time."""
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

    def _forget(self, link: Link) -> None:
        del self._links[link.number]
        self._dirty.pop(link.number, None)

    # Dials. Names are resolved at each of them: containers change their addresses.

    async def _dial(self, link: Link, addresses: Sequence[tuple[str, int]], timeout_ms: int) -> None:
        reasons = []
        addresses = sorted(addresses, key=lambda address: address[0] in self._silent_hosts)
        for position, (host, port) in enumerate(addresses, 1):
            is_last = position == len(addresses)
            wait_ms = timeout_ms if is_last else min(timeout_ms, self.options.reach_timeout_ms or timeout_ms)
            link.dialed_host = host
            try:
                async with asyncio.timeout(wait_ms / 1000):
                    await self._connect(link, host, port)
                self._silent_hosts.discard(host)
            except TimeoutError:
                self.silent(host)
                reasons.append(f"{host}:{port} does not answer within {wait_ms} ms")
            except (OSError, UnicodeError) as error:  # UnicodeError: a name that can be none
                reasons.append(f"{host}:{port}: {self._explain(error, host, port)}")
            if link.objection:
                reasons.append(f"{host}:{port}: {link.objection}")
                log.warning("server_not_trusted", address=f"{host}:{port}", reason=link.objection)
            if link.transport is not None:
                # What happens to it from now on is told by the link itself.
                break
        link.dialing = None
        if link.transport is None:
            self._forget(link)
            self._handle(Disconnected(link.number, "; ".join(reasons) or "no address"))

    async def _connect(self, link: Link, host: str, port: int) -> None:
        context = self.security.dialing if self.security is not None else None
        name = None if context is None else host
        await self._loop.create_connection(lambda: link, host, port, ssl=context, server_hostname=name)

    def _explain(self, error: OSError | UnicodeError, host: str, port: int) -> str:
        """Why a dial has failed; a handshake that fails is told, for it will fail again."""
        if self.security is None or not isinstance(error, HANDSHAKE_ERRORS):
            return str(error)
        reason = self.security.explain(error)
        log.warning("tls_handshake_failed", address=f"{host}:{port}", reason=reason)
        return reason

    def objection_to(self, transport: asyncio.BaseTransport, dialed_host: str) -> str:
        """Why a server that was dialed is not who it should be; empty if it is. Others were checked by their port."""
        if self.security is None or not dialed_host:
            return ""
        return self.security.objection_to(transport, dialed_host)

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

    def silent(self, host: str) -> None:
        """An address does not answer: its network may be down."""
        if len(self._silent_hosts) >= SILENT_HOSTS_MAX:
            self._silent_hosts.clear()
        self._silent_hosts.add(host)

    def labels(self) -> Iterable[tuple[int, str]]:
        """Numbers and addresses of the links that are open."""
        return [(link.number, link.label) for link in self._links.values() if link.transport is not None]
