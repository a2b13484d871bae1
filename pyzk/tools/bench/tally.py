"""What a workload has done in the time that is measured: successes, failures, latencies, and gaps without a success.

Moments are seconds of the machine's monotonic clock, which all its processes share.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyzk.tools.bench.histogram import Histogram

GAPS_MAX = 100
"""So many of the longest are kept: where several processes are silent at once is found in theirs."""

Gap = tuple[float, float]
"""From and to."""


class Gaps:
    """The longest times without a success, in bounded memory."""

    def __init__(self) -> None:
        self.kept: list[tuple[float, Gap]] = []

    def add(self, begin: float, end: float) -> None:
        """Nothing has succeeded between these moments."""
        length = end - begin
        if len(self.kept) < GAPS_MAX:
            heapq.heappush(self.kept, (length, (begin, end)))
        elif length > self.kept[0][0]:
            heapq.heapreplace(self.kept, (length, (begin, end)))

    def longest(self) -> Gap:
        """The longest one; (0, 0) when there is none."""
        return max(self.kept, default=(0.0, (0.0, 0.0)))[1]

    def common(self, other: "Gaps") -> "Gaps":
        """When nothing has succeeded here nor there."""
        found = Gaps()
        for _, (begin, end) in self.kept:
            for _, (other_begin, other_end) in other.kept:
                if min(end, other_end) > max(begin, other_begin):
                    found.add(max(begin, other_begin), min(end, other_end))
        return found


@dataclass(slots=True)
class Tally:
    """Counts from `begin` to `end`; what was due before `begin` is warming up and is not counted."""

    begin: float
    end: float = 0.0
    histogram: Histogram = field(default_factory=Histogram)
    errors: Counter[str] = field(default_factory=Counter)
    gaps: Gaps = field(default_factory=Gaps)
    unsent: int = 0
    """Operations that were due and never begun, because all workers were still waiting for earlier ones."""
    _last_success: float = 0.0

    def succeed(self, due: float, now: float) -> None:
        """An operation that was due at a moment is done."""
        if due < self.begin:
            return
        self.histogram.record(now - due)
        self.gaps.add(self._last_success or self.begin, now)
        self._last_success = now

    def fail(self, due: float, reason: str) -> None:
        """An operation that was due at a moment has failed."""
        if due >= self.begin:
            self.errors[reason] += 1

    def finish(self, now: float) -> None:
        """All is over."""
        self.end = max(now, self.begin)
        self.gaps.add(self._last_success or self.begin, self.end)

    @property
    def operations(self) -> int:
        """Successes."""
        return self.histogram.count

    @property
    def seconds(self) -> float:
        """How long was measured."""
        return self.end - self.begin

    @property
    def per_second(self) -> float:
        """Successes per second."""
        return self.operations / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class Usage:
    """What a process of the generator has used while it measured; `waited_s` for a core that others had."""

    seconds: float
    cpu_s: float
    waited_s: float = 0.0

    @property
    def cpu_share(self) -> float:
        """Of a core."""
        return self.cpu_s / self.seconds if self.seconds else 0.0

    @property
    def waiting_share(self) -> float:
        """How much of the time others had the core that it wanted."""
        return self.waited_s / self.seconds if self.seconds else 0.0

    @property
    def busy_share(self) -> float:
        """How much of the time it had something to do: at 1 the servers could do more than they were asked for."""
        return self.cpu_share + self.waiting_share


@dataclass(slots=True)
class Outcome:
    """What one workload has come to."""

    workload: str
    tally: Tally
    usages: list[Usage]

    @property
    def cores(self) -> float:
        """How many cores the generator has used."""
        return sum(usage.cpu_share for usage in self.usages)

    @property
    def busiest(self) -> Usage:
        """The process that had most to do."""
        return max(self.usages, key=lambda usage: usage.busy_share)


def merged(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of a workload from those of several processes, of which there is at least one."""
    first, *others = outcomes
    tally = Tally(
        min(one.tally.begin for one in outcomes),
        max(one.tally.end for one in outcomes),
        gaps=first.tally.gaps,
        unsent=sum(one.tally.unsent for one in outcomes),
    )
    for one in outcomes:
        tally.histogram.merge(one.tally.histogram)
        tally.errors.update(one.tally.errors)
    for one in others:
        tally.gaps = tally.gaps.common(one.tally.gaps)
    return Outcome(first.workload, tally, [usage for one in outcomes for usage in one.usages])
