"""Running totals: what `srvr`, `mntr` and the metrics tell about a server.

Plain integers, moved once a wake-up where reads are concerned; everything else is reckoned when somebody asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Summary:
    """How many numbers there were, their sum, the least and the most; all 0 to begin with."""

    count: int = 0
    total: int = 0
    least: int = 0
    most: int = 0

    def add(self, number: int, count: int = 1) -> None:
        """Note a number that came `count` times."""
        if not self.count or number < self.least:
            self.least = number
        if number:
            self.most = max(self.most, number)
            self.total += number * count
        self.count += count

    def reset(self) -> None:
        """Start again from nothing."""
        self.count = self.total = self.least = self.most = 0


@dataclass(slots=True)
class Distribution:
    """How often each number came: for numbers that repeat, as ms do. All else is reckoned when somebody asks."""

    counts: dict[int, int] = field(default_factory=dict)

    def add(self, number: int, count: int = 1) -> None:
        """Note a number that came `count` times."""
        counts = self.counts
        counts[number] = counts.get(number, 0) + count

    @property
    def count(self) -> int:
        """How many numbers there were."""
        return sum(self.counts.values())

    @property
    def total(self) -> int:
        """Their sum."""
        return sum([number * count for number, count in self.counts.items()])

    @property
    def least(self) -> int:
        """The least of them, 0 without any."""
        return min(self.counts, default=0)

    @property
    def most(self) -> int:
        """The greatest of them, 0 without any."""
        return max(self.counts, default=0)

    def reset(self) -> None:
        """Start again from nothing."""
        self.counts.clear()

    def percentile(self, share: float) -> int:
        """The least number that at least `share` (0 to 1) of all numbers do not exceed; 0 if there are none."""
        return percentile(self.counts, self.count, share)

    def join(self, other: "Distribution") -> "Distribution":
        """A new one, of both."""
        both = Distribution(dict(self.counts))
        for number, count in other.counts.items():
            both.add(number, count)
        return both


def percentile(counts: Mapping[int, int], count: int, share: float) -> int:
    """See `Distribution.percentile`, of `count` numbers."""
    wanted, seen, number = share * count, 0, 0
    for number in sorted(counts):
        seen += counts[number]
        if seen >= wanted:
            break
    return number


@dataclass(slots=True)
class Sizes(Distribution):
    """A distribution of numbers that seldom repeat, as bytes do: percentiles know two digits of them."""

    exact: Summary = field(default_factory=Summary)

    def add(self, number: int, count: int = 1) -> None:
        """Note a number that came `count` times."""
        step = 10 ** max(0, len(str(number)) - 2)
        Distribution.add(self, number // step * step, count)
        self.exact.add(number, count)

    @property
    def total(self) -> int:
        """Their sum."""
        return self.exact.total

    @property
    def least(self) -> int:
        """The least of them, 0 without any."""
        return self.exact.least

    @property
    def most(self) -> int:
        """The greatest of them, 0 without any."""
        return self.exact.most

    def reset(self) -> None:
        """Start again from nothing."""
        Distribution.reset(self)
        self.exact.reset()


@dataclass(slots=True)
class Traffic(Summary):
    """Packets of one connection; the summary is that of its latencies in ms."""

    received: int = 0
    sent: int = 0

    def reset(self) -> None:
        """Start again from nothing (word `crst`)."""
        Summary.reset(self)
        self.received = self.sent = 0


@dataclass(slots=True)
class ReplySizes:
    """Bytes of the replies and events that clients were sent, without their frame lengths; -1 before the first."""

    last: int = -1
    least: int = -1
    most: int = -1

    def reset(self) -> None:
        """Begin anew."""
        self.last = self.least = self.most = -1


@dataclass(slots=True)
class Namespaces:
    """Bytes read and written below each top-level znode, for metrics; kept only where metrics are asked for.

    The first NAMESPACES_MAX names have a line of their own, all others share one.
    """

    read: dict[str, Sizes] = field(default_factory=dict)
    written: dict[str, Sizes] = field(default_factory=dict)

    def note_read(self, path: bytes, size_bytes: int) -> None:
        """A reply of this size was made of a path."""
        self._of(self.read, path).add(size_bytes)

    def note_written(self, path: bytes, size_bytes: int) -> None:
        """A txn of this size has changed a path."""
        self._of(self.written, path).add(size_bytes)

    @staticmethod
    def _of(table: dict[str, Sizes], path: bytes) -> Sizes:
        name = namespace_of(path)
        found = table.get(name)
        if found is None:
            name = name if len(table) < NAMESPACES_MAX else OTHER_NAMESPACES
            found = table.setdefault(name, Sizes())
        return found


NAMESPACES_MAX = 200
"""How many top-level znodes have metrics of their own: each is a series of its own wherever they are kept."""
OTHER_NAMESPACES = "_other"


def namespace_of(path: bytes) -> str:
    """The first name of a path; empty for the root."""
    end = path.find(b"/", 1)
    return (path[1:] if end < 0 else path[1:end]).decode("utf-8", "backslashreplace")


@dataclass(slots=True)
class Counters:
    """Totals of one server.

    Attributes:
        operations: latencies in ms, from the arrival of a write to its reply, by opcode.
        waiting_reads: the same of reads that stood behind a write.
        prompt_reads: reads that were answered in the wake-up in which they came: after 0 ms.
        watch_bytes: notifications without their frame lengths.
        watches_created, watches_deleted, watches_changed, watches_children: how many were told of one event.
        propagation: ms from the making of a txn to its delivery here.
        prepared, proposed, delivered, committed: requests, proposals of ours, txns, and txns we led.
        quota_errors: by top-level znode.
    """

    received: int = 0
    received_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    watch_bytes: int = 0
    connection_requests: int = 0
    authentication_failed: int = 0
    sessions_expired: int = 0
    sessionless_expired: int = 0
    prompt_reads: int = 0
    waiting_reads: Distribution = field(default_factory=Distribution)
    operations: dict[int, Distribution] = field(default_factory=dict)
    watches_created: Distribution = field(default_factory=Distribution)
    watches_deleted: Distribution = field(default_factory=Distribution)
    watches_changed: Distribution = field(default_factory=Distribution)
    watches_children: Distribution = field(default_factory=Distribution)
    propagation: Distribution = field(default_factory=Distribution)
    quorum_acks: Distribution = field(default_factory=Distribution)
    reply_sizes: ReplySizes = field(default_factory=ReplySizes)
    quota_errors: dict[str, int] = field(default_factory=dict)
    prepared: int = 0
    proposed: int = 0
    delivered: int = 0
    committed: int = 0
    commits_heard: int = 0
    changes_settled: int = 0
    revalidations: int = 0
    revalidations_asked: int = 0
    large_rejected: int = 0
    throttle_waits: int = 0
    throttled: int = 0
    stale: int = 0
    stale_dropped: int = 0
    stale_replies: int = 0
    closed_by_server: int = 0

    def write(self, opcode: int, latency_ms: int) -> None:
        """A write is answered."""
        known = self.operations.get(opcode)
        if known is None:
            known = self.operations[opcode] = Distribution()
        counts = known.counts
        counts[latency_ms] = counts.get(latency_ms, 0) + 1

    @property
    def writes(self) -> Distribution:
        """Latencies of all writes, ms."""
        writes = Distribution()
        for latencies in self.operations.values():
            writes = writes.join(latencies)
        return writes

    def note_delivery(self, count: int, made_ms: int, wall_ms: int) -> None:
        """Txns are committed, the last of which was made at `made_ms`; clocks of two servers may differ a little."""
        self.delivered += count
        self.propagation.add(max(0, wall_ms - made_ms), count)

    def note_commit(self, count: int, made_ms: int, wall_ms: int) -> None:
        """The same of txns that this server has proposed."""
        self.note_delivery(count, made_ms, wall_ms)
        self.committed += count
        self.quorum_acks.add(max(0, wall_ms - made_ms), count)

    @property
    def reads(self) -> Distribution:
        """Latencies of all reads, ms."""
        reads = Distribution(dict(self.waiting_reads.counts))
        if self.prompt_reads:
            reads.add(0, self.prompt_reads)
        return reads

    @property
    def latency(self) -> Distribution:
        """Of reads and writes together, ms."""
        return self.reads.join(self.writes)

    def reset(self) -> None:
        """Start again from nothing (word `srst`)."""
        for name in COUNTER_NAMES:
            value = getattr(self, name)
            if isinstance(value, Distribution | ReplySizes):
                value.reset()
            elif isinstance(value, dict):
                value.clear()
            else:
                setattr(self, name, 0)


COUNTER_NAMES = tuple(Counters.__dataclass_fields__)
