"""When the collector looks for garbage: rarely, and never through what stays."""

import gc

THRESHOLDS = (50_000, 20, 100)


def collect_rarely() -> None:
    """Nothing that a start makes is garbage, and CPython's own thresholds would look through it again and again."""
    gc.set_threshold(*THRESHOLDS)


def keep_imported() -> None:
    """What is imported stays: no collection looks through it again."""
    gc.freeze()


def settle_garbage() -> None:
    """A full collection would stop a large tree for long: take what is loaded out of it, and collect rarely."""
    gc.collect()
    gc.freeze()
    collect_rarely()
