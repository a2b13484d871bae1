"""Latencies in bounded memory: counts in buckets whose width grows with what is in them, at most 1/64 of it.

The buckets are those of HdrHistogram: 128 of one microsecond, then 64 for each power of two.
"""

from collections import deque
from collections.abc import Iterator
from itertools import count as count_from

SUB_BUCKETS_BITS = 6
SUB_BUCKETS = 1 << SUB_BUCKETS_BITS
LARGEST_US = (1 << 42) - 1
"""Seven weeks; what is longer is counted as this."""
BUCKETS = (LARGEST_US.bit_length() - SUB_BUCKETS_BITS) * SUB_BUCKETS + SUB_BUCKETS


def bucket_of(value_us: int) -> int:
    """The bucket of a latency in microseconds, from 0 to LARGEST_US."""
    shift = max(0, value_us.bit_length() - SUB_BUCKETS_BITS - 1)
    return (shift << SUB_BUCKETS_BITS) + (value_us >> shift)


def last_of(bucket: int) -> int:
    """The longest latency of a bucket, in microseconds."""
    shift = max(0, (bucket >> SUB_BUCKETS_BITS) - 1)
    return ((bucket - (shift << SUB_BUCKETS_BITS) + 1) << shift) - 1


class Histogram:
    """Counts of latencies; `max_us` is exact, percentiles are at most 1/64 too long."""

    def __init__(self) -> None:
        self.count = 0
        self.max_us = 0
        self.buckets = [0] * BUCKETS

    def record(self, seconds: float) -> None:
        """Count a latency."""
        value_us = min(max(0, round(seconds * 1e6)), LARGEST_US)
        self.buckets[bucket_of(value_us)] += 1
        self.count += 1
        self.max_us = max(self.max_us, value_us)

    def merge(self, other: "Histogram") -> None:
        """Count what another one has counted."""
        for bucket, count in enumerate(other.buckets):
            self.buckets[bucket] += count
        self.count += other.count
        self.max_us = max(self.max_us, other.max_us)

    def percentile(self, percent: float) -> float:
        """The latency in ms that `percent` of all do not exceed; 0 when there are none."""
        wanted = percent / 100 * self.count
        passed = 0
        for last_us, count in self.filled():
            passed += count
            if passed >= wanted:
                return last_us / 1000
        return self.max_us / 1000

    def filled(self) -> Iterator[tuple[int, int]]:
        """(longest latency in microseconds, count) of each bucket that is not empty, from the shortest on."""
        for bucket, count in enumerate(self.buckets):
            if count:
                yield min(last_of(bucket), self.max_us), count

    def bars(self) -> list[tuple[int, int]]:
        """(upper edge in microseconds, count), edges at 1, 2, 5, 10, 20, 50 ..., from the first filled to the last."""
        found: list[tuple[int, int]] = []
        filled = deque(self.filled())
        for edge_us in steps_us(self.max_us):
            count = 0
            while filled and filled[0][0] <= edge_us:
                count += filled.popleft()[1]
            if count or found:
                found.append((edge_us, count))
        return found


def steps_us(last_us: int) -> Iterator[int]:
    """1, 2, 5, 10, 20, 50 ..., to the first that is not below `last_us`."""
    for power in count_from(0):
        for step in (1, 2, 5):
            yield step * 10**power
            if step * 10**power >= last_us:
                return
