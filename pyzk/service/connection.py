"""One client connection, as service sees it: its session, its queue, what waits to be sent."""

from collections import deque
from dataclasses import dataclass, field

from pyzk.sasl.mechanism import ServerExchange
from pyzk.service.counters import Traffic
from pyzk.tree.acl import Identity
from pyzk.tree.request import Request


@dataclass(slots=True)
class Behind:
    """A read that waits behind a write: its frame without the length, who the client was when it came, and when."""

    frame: bytes
    identities: tuple[Identity, ...]
    received_at: float


@dataclass(slots=True)
class Refused:
    """A write that was refused at the door; its reply waits for its turn."""

    xid: int
    err: int


@dataclass(slots=True)
class Parting:
    """The client of a local session says farewell; its reply waits for its turn."""

    xid: int


@dataclass(slots=True)
class Syncing(Request):
    """A sync: it becomes no txn, but the leader must let it pass before it is answered; `record` is a PathRequest."""

    is_confirmed: bool = False


WAITING_MAX = 100
"""Reads, syncs and refusals of a session that may wait; with more, nothing is taken from its connection."""

Entry = Request | Behind | Refused | Parting
"""A request is a write whose txn is under way; its reply comes when the txn is applied."""


@dataclass(slots=True)
class Connection:
    """State of one connection.

    Attributes:
        identities: who the client has shown itself to be; its address to begin with.
        exchange: of SASL, once it has begun.
        barred: the client must authenticate before anything else is served.
        out: encoded frames to send, in order.
        queue: requests of the session not answered yet, in order; reads stand here only behind writes.
        waiting: how many of them are no writes.
        full: it takes no more requests: too many wait, or those whose turn it is have not all been answered.
        sated: the client must take what it was sent before the others are answered; no write is among them.
        chunks: received bytes that make no whole frame yet; nothing is tried before `needed_bytes` are there.
        deaf: what still arrives is not served any more: the session is being closed, or the connection.
        answers_read_only: whether the connect request had the readOnly byte, so that the response has it too.
    """

    id: int
    address: str
    identities: tuple[Identity, ...]
    session_id: int = 0
    timeout_ms: int = 0
    handshaking: bool = False
    established: bool = False
    answers_read_only: bool = False
    barred: bool = False
    exchange: ServerExchange | None = None
    closing: bool = False
    deaf: bool = False
    connected_wall_ms: int = 0
    connected_at: float = 0.0
    last_heard_at: float = 0.0
    last_xid: int = -1
    last_opcode: int | None = None
    last_zxid: int = -1
    last_response_at: float = 0.0
    last_latency_ms: int = 0
    waiting: int = 0
    full: bool = False
    sated: bool = False
    buffered_bytes: int = 0
    needed_bytes: int = 0
    out: list[bytes] = field(default_factory=list)
    queue: deque[Entry] = field(default_factory=deque)
    chunks: list[bytes] = field(default_factory=list)
    stats: Traffic = field(default_factory=Traffic)

    def wait(self, entry: Syncing | Behind | Refused | Parting) -> None:
        """Let a reply wait for those before it, and a sync for the leader."""
        self.queue.append(entry)
        self.waiting += 1
        if self.waiting >= WAITING_MAX:
            self.full = True

    def forget_traffic(self) -> None:
        """Count from nothing again (word `crst`)."""
        self.stats.reset()
        self.last_xid = self.last_zxid = -1
        self.last_opcode = None
        self.last_response_at, self.last_latency_ms = 0.0, 0

    def answered(self, zxid: int, now: float, latency_ms: int, count: int = 1) -> None:
        """Note so many replies."""
        if latency_ms:
            self.stats.add(latency_ms, count)
        else:
            self.stats.count += count
            self.stats.least = 0
        self.last_zxid, self.last_response_at, self.last_latency_ms = zxid, now, latency_ms
