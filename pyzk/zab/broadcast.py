"""The leader's count of acknowledgements: which proposals a quorum has, in order.

A server acknowledges a txn when it is durable in its own log, the leader's own included; as logs have no holes, an
acknowledgement covers all before it. Nothing here knows what a txn means. Source: docs/protocol/zab.md section 6.1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyzk.zab.events import Entry
    from pyzk.zab.quorum import Quorum


@dataclass(slots=True)
class Batch:
    """Txns proposed together, and who must have them: a quorum of each configuration in force."""

    entries: Sequence[Entry]
    last_zxid: int
    quorums: tuple[Quorum, ...]


class Broadcast:
    """Order and commitment of txns on the leader.

    Args:
        quorums: what proposals need from now on; one of each.

    Attributes:
        acknowledged: the last txn that each server has durably.
    """

    __slots__ = ("_batches", "acknowledged", "quorums")

    def __init__(self, *quorums: Quorum) -> None:
        self.quorums = quorums
        self.acknowledged: dict[int, int] = {}
        self._batches: deque[Batch] = deque()

    @property
    def outstanding(self) -> Iterator[Entry]:
        """What is proposed and not committed, in order."""
        for batch in self._batches:
            yield from batch.entries

    def propose(self, entries: Sequence[Entry]) -> None:
        """These txns are on their way to all logs."""
        self._batches.append(Batch(entries, entries[-1][0], self.quorums))

    def acknowledge(self, server_id: int, zxid: int) -> list[Entry]:
        """A server has everything up to `zxid`; returns what is committed by that, in order."""
        if zxid > self.acknowledged.get(server_id, -1):
            self.acknowledged[server_id] = zxid
        return self.advance()

    def advance(self) -> list[Entry]:
        """Batches at the front that a quorum has are committed, in order and never around one that waits."""
        committed: list[Entry] = []
        while self._batches and self._is_decided(self._batches[0]):
            committed += self._batches.popleft().entries
        return committed

    def _is_decided(self, batch: Batch) -> bool:
        having = [server_id for server_id, zxid in self.acknowledged.items() if zxid >= batch.last_zxid]
        return all(quorum.contains_quorum(having) for quorum in batch.quorums)

    def forget(self, server_id: int) -> None:
        """A server that left has to acknowledge anew what it is sent again."""
        self.acknowledged.pop(server_id, None)

    def drop_outstanding(self) -> None:
        """Forget what is proposed and not committed: the log could not take it."""
        self._batches.clear()
