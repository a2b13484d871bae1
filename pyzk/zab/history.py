"""What the log of a server holds, as far as agreement has to know: window, tree and tail kept apart.

The tree stands at `committed_zxid`; the `tail` behind it is logged, or on its way to the log, and not known to be
committed. Votes and offers to a leader speak of the end of the log, `last_zxid`, never of the tree.
Source: docs/protocol/zab.md sections 4, 5 and 14.1.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from pyzk.codec.quorum import COUNTER_MASK
from pyzk.errors import PeerError
from pyzk.zab.events import Entry


def epoch_of(zxid: int) -> int:
    """The epoch in which a zxid was given out."""
    return zxid >> 32


def begins_epoch(zxid: int) -> bool:
    """Whether a zxid names no txn, but the beginning of an epoch."""
    return zxid & COUNTER_MASK == 0


def follows(zxid: int, previous: int) -> bool:
    """Whether a txn with this zxid can stand right behind `previous`: the next one, or the first of a later epoch."""
    return zxid == previous + 1 or (epoch_of(zxid) > epoch_of(previous) and zxid & COUNTER_MASK == 1)


def require_next(zxid: int, last: int) -> bool:
    """Whether a txn follows `last` without a step; raises PeerError if it cannot follow at all.

    A leader of 3.8.0 leaves out zxids (zab.md sections 5 and 7.1).
    """
    if zxid <= last:
        raise PeerError(f"txn 0x{zxid:x} cannot follow 0x{last:x}")
    return follows(zxid, last)


class History:
    """The log of one server in memory.

    Args:
        committed_zxid: of the tree.
        window: the last txns that the tree holds, oldest first.
        window_max: how many of them are kept.

    Attributes:
        tail: what is logged and not known to be committed, in order.
        durable_zxid: the last txn known to be durable in the log; an observer that keeps no log leaves it behind.
    """

    __slots__ = ("_appending", "committed_zxid", "durable_zxid", "tail", "window")

    def __init__(self, committed_zxid: int, window: Iterable[Entry], window_max: int) -> None:
        self.committed_zxid = self.durable_zxid = committed_zxid
        self.window: deque[Entry] = deque(window, maxlen=window_max)
        self.tail: deque[Entry] = deque()
        self._appending: deque[tuple[int, int]] = deque()

    @property
    def last_zxid(self) -> int:
        """The end of the log."""
        return self.tail[-1][0] if self.tail else self.committed_zxid

    @property
    def is_settled(self) -> bool:
        """Whether nothing is on its way to the log."""
        return not self._appending

    @property
    def is_durable(self) -> bool:
        """Whether the log holds everything."""
        return self.durable_zxid >= self.last_zxid

    def hold(self, entries: Sequence[Entry]) -> None:
        """These txns are kept in memory alone."""
        self.tail.extend(entries)

    def append(self, entries: Sequence[Entry], token: int) -> None:
        """These txns go to the log with the effect that has this token."""
        self.hold(entries)
        self._appending.append((token, entries[-1][0]))

    def durable(self, token: int) -> None:
        """What this token and those before it asked for is durable."""
        while self._appending and self._appending[0][0] <= token:
            self.durable_zxid = self._appending.popleft()[1]

    def unwritten(self) -> None:
        """What is not in the log will not get there."""
        self._appending.clear()
        while self.tail and self.tail[-1][0] > self.durable_zxid:
            self.tail.pop()

    def commit(self, zxid: int) -> list[Entry]:
        """The tree moves up to `zxid`, which is in the tail; returns the txns that it takes."""
        committed: list[Entry] = []
        tail = self.tail
        while tail and tail[0][0] <= zxid:
            committed.append(tail.popleft())
        if committed:
            self.committed_zxid = committed[-1][0]
            self.window.extend(committed)
        return committed

    def begin_epoch(self, epoch: int) -> None:
        """A leader is established: the tree stands at the beginning of its epoch."""
        assert not self.tail, "what a leader has logged is committed when it is established"
        self.committed_zxid = self.durable_zxid = epoch << 32

    def cut(self, zxid: int) -> None:
        """Drop what is logged above `zxid`, where the tree holds no txn; it may stand at the beginning of an epoch."""
        assert zxid >= self.committed_zxid or begins_epoch(self.committed_zxid)
        while self.tail and self.tail[-1][0] > zxid:
            self.tail.pop()
        self.committed_zxid = min(self.committed_zxid, zxid)
        self.durable_zxid = min(self.durable_zxid, self.last_zxid)

    def reset(self, zxid: int, window: Iterable[Entry] = (), tail: Sequence[Entry] = ()) -> None:
        """The tree is another one, at this zxid, and so is the log, with `tail` behind it."""
        assert self.is_settled
        self.committed_zxid = zxid
        self.window.clear()
        self.window.extend(window)
        self.tail.clear()
        self.hold(tail)
        self.durable_zxid = self.last_zxid
