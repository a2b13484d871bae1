"""What service hands to its shell, its settings, and its running totals."""

from dataclasses import dataclass, field

from pyzk.codec.framing import JUTE_MAX_BUFFER_DEFAULT
from pyzk.tree.prepare import Request


@dataclass(slots=True)
class Settings:
    """What an operator can set about the service; `outstanding_max` is globalOutstandingLimit."""

    tick_ms: int = 2000
    session_timeout_min_ms: int = 4000
    session_timeout_max_ms: int = 40000
    frame_bytes_max: int = JUTE_MAX_BUFFER_DEFAULT
    string_bytes_max: int = 2 * JUTE_MAX_BUFFER_DEFAULT
    outstanding_max: int = 1000
    super_digest: bytes | None = None
    digest_algorithm: str = "SHA1"
    digest_auth_enabled: bool = True


@dataclass(slots=True)
class Counters:
    """Running totals for `srvr` and `mntr`. Latencies in ms, from the arrival of a request to its reply."""

    received: int = 0
    sent: int = 0
    latency_sum_ms: int = 0
    latency_count: int = 0
    latency_min_ms: int = 0
    latency_max_ms: int = 0

    def answered(self, latency_ms: int, count: int = 1) -> None:
        """Note `count` replies after `latency_ms` each."""
        if not self.latency_count or latency_ms < self.latency_min_ms:
            self.latency_min_ms = latency_ms
        if latency_ms:
            self.latency_max_ms = max(self.latency_max_ms, latency_ms)
            self.latency_sum_ms += latency_ms * count
        self.latency_count += count

    def reset(self) -> None:
        """Start again from nothing (words `srst` and `crst`)."""
        self.received = self.sent = 0
        self.latency_sum_ms = self.latency_count = self.latency_min_ms = self.latency_max_ms = 0


@dataclass(slots=True)
class Submission:
    """A request that must become a txn, and the connection that waits for it (0: none)."""

    request: Request
    origin: int


@dataclass(slots=True)
class Closing:
    """A connection to close once its outgoing list is sent; `notable` if an operator may want to know why."""

    connection: int
    reason: str
    notable: bool = False


@dataclass(slots=True)
class Outbox:
    """The shell takes these lists after each call and leaves empty ones.

    Attributes:
        dirty: connections whose outgoing list is not empty.
        submitted: requests for the proposer, in order.
        closing: connections to close.
        pausing: connections to stop reading from, until they come up in `resuming`.
    """

    dirty: dict[int, None] = field(default_factory=dict)
    submitted: list[Submission] = field(default_factory=list)
    closing: list[Closing] = field(default_factory=list)
    pausing: list[int] = field(default_factory=list)
    resuming: list[int] = field(default_factory=list)
