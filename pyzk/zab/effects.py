"""What the shell (or the simulator) must do, in list order."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyzk.zab.events import Entry


@dataclass(slots=True)
class Append:
    """Write these txns to the log, make them durable, and answer with `Done(token)`."""

    entries: Sequence[Entry]
    token: int


@dataclass(slots=True)
class Deliver:
    """All txns up to this zxid are committed: hand them to service in their order."""

    zxid: int


Effect = Append | Deliver
