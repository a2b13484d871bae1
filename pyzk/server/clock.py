"""The two clocks, read in one place."""

import time

monotonic_seconds = time.monotonic
"""`now`: seconds, for timeouts; never goes back."""


def wall_ms() -> int:
    """Milliseconds since 1970, for the times that txns carry."""
    return time.time_ns() // 1_000_000
