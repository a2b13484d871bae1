"""Running totals: what `srvr`, `mntr` and the metrics tell about a server.

Plain integers, moved once a wake-up where reads are concerned; everything else is reckoned when somebody asks.
"""

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

    def __add__(self, other: "Summary") -> "Summary":
        leasts = [summary.least for summary in (self, other) if summary.count]
        return Summary(
            self.count + other.count, self.total + other.total, min(leasts, default=0), max(self.most, other.most)
        )


@dataclass(slots=True)
class Distribution(Summary):
    """A summary that keeps how often each number came, for percentiles: for numbers that repeat, as ms do."""

    counts: dict[int, int] = field(default_factory=dict)

    def add(self, number: int, count: int = 1) -> None:
        """Note a number that came `count` times."""
        known = self.counts.get(number)
        if known is None:
            self.counts[number] = count
            Summary.add(self, number, count)
        else:  # neither the least nor the most moves
            self.counts[number] = known + count
            self.total += number * count
            self.count += count

    def reset(self) -> None:
        """Start again from nothing."""
        Summary.reset(self)
        self.counts.clear()

    def percentile(self, share: float) -> int:
        """The least number that at least `share` (0 to 1) of all numbers do not exceed; 0 if there are none."""
        wanted = share * self.count
        seen = 0
        for number in sorted(self.counts):
            seen += self.counts[number]
            if seen >= wanted:
                return number
        return self.most


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
class Counters:
    """Totals of one server.

    Attributes:
        writes: latencies in ms, from the arrival of a request to its reply.
        waiting_reads: the same of reads that stood behind a write.
        prompt_reads: reads that were answered in the wake-up in which they came: after 0 ms.
        watch_bytes: notifications without their frame lengths.
        watches_created, watches_deleted, watches_changed, watches_children: how many were told of one event.
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
    writes: Distribution = field(default_factory=Distribution)
    watches_created: Summary = field(default_factory=Summary)
    watches_deleted: Summary = field(default_factory=Summary)
    watches_changed: Summary = field(default_factory=Summary)
    watches_children: Summary = field(default_factory=Summary)

    @property
    def reads(self) -> Distribution:
        """Latencies of all reads, ms."""
        waiting = self.waiting_reads
        reads = Distribution(waiting.count, waiting.total, waiting.least, waiting.most, dict(waiting.counts))
        if self.prompt_reads:
            reads.add(0, self.prompt_reads)
        return reads

    @property
    def latency(self) -> Summary:
        """Of reads and writes together, ms."""
        return self.reads + self.writes

    def reset(self) -> None:
        """Start again from nothing (word `srst`)."""
        for name in COUNTER_NAMES:
            if isinstance(getattr(self, name), Summary):
                getattr(self, name).reset()
            else:
                setattr(self, name, 0)


COUNTER_NAMES = tuple(Counters.__dataclass_fields__)
