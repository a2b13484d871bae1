r"""Word mntr: what monitoring systems read, one number a line. Source: docs/protocol/operations.md section 1.6.

Every line must match `^zk_(\w+)\s+([\w\.\-]+)`, and zk_version must be the first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyzk.server.admin import ensemble_reports
from pyzk.server.metrics.listing import listing

if TYPE_CHECKING:
    from pyzk.server.base import BaseServer as Server

NOT_A_WORD = re.compile(r"\W", re.ASCII)
"""A znode may be named in a way that would make agents refuse the whole answer."""


def monitor(server: Server) -> str:
    """Word mntr."""
    numbers = listing(server)
    followers = ensemble_reports.gauges(server).get("followers")
    if followers is not None:
        numbers["followers"] = followers
    return "".join([f"zk_{NOT_A_WORD.sub('_', name)}\t{_text(number)}\n" for name, number in numbers.items()])


def _text(number: object) -> str:
    """Floating point with at most four decimals, never as a power of ten."""
    if not isinstance(number, float):
        return str(number)
    whole, _, decimals = f"{number:.4f}".partition(".")
    return f"{whole}.{decimals.rstrip('0') or '0'}"
