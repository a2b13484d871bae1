"""Quantiles of the last ten minutes, from distributions that only ever grow.

Apache's provider keeps five buckets of two minutes each. Here the counts of each distribution are copied every two
minutes: what is newer than the copy of ten minutes ago is the difference.
"""

from collections import deque
from collections.abc import Mapping

from pyzk.service.counters import Distribution, percentile

WINDOW_SECONDS = 600
BUCKETS = 5
BUCKET_SECONDS = WINDOW_SECONDS // BUCKETS

Key = tuple[str, str]
"""Name of a metric and its label, which may be empty."""


class Windows:
    """The copies."""

    def __init__(self) -> None:
        self._copies: deque[dict[Key, dict[int, int]]] = deque(maxlen=BUCKETS)

    def turn(self, distributions: Mapping[Key, Distribution]) -> None:
        """Two minutes are over."""
        self._copies.append({key: dict(distribution.counts) for key, distribution in distributions.items()})

    def quantiles(self, key: Key, distribution: Distribution, shares: tuple[float, ...]) -> list[float]:
        """Of the numbers in the window; NaN if there are none."""
        counts = self._recent(key, distribution)
        count = sum(counts.values())
        if not count:
            return [float("nan")] * len(shares)
        return [percentile(counts, count, share) for share in shares]

    def _recent(self, key: Key, distribution: Distribution) -> dict[int, int]:
        before = self._copies[0].get(key, {}) if len(self._copies) == BUCKETS else {}
        recent = {number: count - before.get(number, 0) for number, count in distribution.counts.items()}
        if any(count < 0 for count in recent.values()) or before.keys() - recent.keys():
            return dict(distribution.counts)  # reset meanwhile (word srst)
        return {number: count for number, count in recent.items() if count}
