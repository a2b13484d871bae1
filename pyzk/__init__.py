"""A ZooKeeper server in Python. ARCHITECTURE.md has the tour in reading order."""

from importlib.util import find_spec

__version__ = "0.1.0"

VERSION_WORD = f"3.9.5-pyzk.{__version__}, built on 2026-11-22 00:00 UTC"
"""What tells clients and monitoring tools the version: Apache's whose behaviour we have, then ours."""


def is_compiled() -> bool:
    """Whether the hot path is machine code and not Python (docs/performance.md, "Compiled")."""
    found = find_spec("pyzk.codec.jute")
    return found is not None and not str(found.origin).endswith(".py")
