"""The clocks, read in one place."""

import time

monotonic_seconds = time.monotonic
"""`now`: seconds, for timeouts; never goes back."""

thread_cpu_seconds = time.thread_time
"""CPU time of the thread that asks."""


def wall_ms() -> int:
    """Milliseconds since 1970, for the times that txns carry."""
    return time.time_ns() // 1_000_000
