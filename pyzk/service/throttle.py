"""Throttles of a server: how fast sessions may be opened, how many writes and large requests may be under way.

All are off unless they are set. Source: docs/protocol/client-protocol.md sections 1 and 2, configuration.md section 5.
"""

from dataclasses import dataclass
from random import Random


@dataclass(slots=True)
class TokenRates:
    """Settings of the connection throttle (connectionMaxTokens and its companions).

    Attributes:
        tokens_max: size of the bucket; 0 switches the throttle off.
        fill_time_ms, fill_count: so many tokens come in so many ms.
        freeze_time_ms: how long a drop probability stays before it may change; -1: nothing is dropped at random.
        drop_increase, drop_decrease: steps of that probability when the bucket is empty, and when it is nearly full.
        decrease_ratio: the bucket counts as nearly full when no more than this share of it is used.
    """

    tokens_max: int = 0
    fill_time_ms: int = 1
    fill_count: int = 1
    freeze_time_ms: int = -1
    drop_increase: float = 0.02
    drop_decrease: float = 0.002
    decrease_ratio: float = 0.0


@dataclass(slots=True)
class SessionWeights:
    """Tokens that a connect request takes: for a new session, for one that comes back, and for a new local one."""

    new: int = 1
    renewed: int = 1
    local: int = 1


class ConnectionThrottle:
    """A bucket of tokens that connect requests take from, with a drop probability that follows how empty it runs."""

    __slots__ = ("_changed_ms", "_filled_ms", "_rates", "_rng", "drop_probability", "tokens")

    def __init__(self, rates: TokenRates, rng: Random) -> None:
        self._rates = rates
        self._rng = rng
        self._filled_ms = self._changed_ms = 0.0
        self.tokens = rates.tokens_max
        self.drop_probability = 0.0

    def admits(self, weight: int, now: float) -> bool:
        """Whether a connect request of this weight may go on at `now` (monotonic seconds)."""
        rates, now_ms = self._rates, now * 1000
        if rates.tokens_max == 0:
            return True
        self._fill(now_ms)
        if rates.freeze_time_ms >= 0:
            self._adapt(now_ms)
            if self._rng.random() < self.drop_probability:
                return False
        if self.tokens < weight:
            return False
        self.tokens -= weight
        return True

    def _fill(self, now_ms: float) -> None:
        periods = int((now_ms - self._filled_ms) // max(1, self._rates.fill_time_ms))
        if periods > 0:
            self.tokens = min(self._rates.tokens_max, self.tokens + periods * self._rates.fill_count)
            self._filled_ms = now_ms

    def _adapt(self, now_ms: float) -> None:
        rates = self._rates
        if now_ms - self._changed_ms <= rates.freeze_time_ms:
            return
        self._changed_ms = now_ms
        if self.tokens == 0:
            self.drop_probability = min(1.0, self.drop_probability + rates.drop_increase)
        elif rates.tokens_max - self.tokens <= rates.tokens_max * rates.decrease_ratio:
            self.drop_probability = max(0.0, self.drop_probability - rates.drop_decrease)


@dataclass(slots=True)
class RequestLimits:
    """Settings of the request throttle.

    Attributes:
        requests_max: writes under way; more wait in line; 0 for no limit (request_throttle_max_requests).
        drop_stale: drop writes that are stale when their turn comes, and close their connections.
        stale_when_disconnected, stale_when_expired: stale is whose connection is closed, or who has waited for longer
            than its session's timeout.
        wait_ms_max: who has waited longer is answered -127; 0 for no limit (throttled_op_wait_time).
        large_bytes: frames longer than this are large; negative: none is (largeRequestThreshold).
        large_total_bytes_max: all large requests under way together (largeRequestMaxBytes).
    """

    requests_max: int = 0
    drop_stale: bool = True
    stale_when_disconnected: bool = True
    stale_when_expired: bool = False
    wait_ms_max: int = 0
    large_bytes: int = -1
    large_total_bytes_max: int = 100 << 20

    def large(self, frame_bytes: int) -> int:
        """What a frame counts for among the large ones: its length, or nothing."""
        return frame_bytes if 0 <= self.large_bytes < frame_bytes else 0
