"""The leader's side of broadcast: txns are logged, acknowledged by a quorum, and committed in order.

A server acknowledges a txn when it is durable in its own log; the leader is one of them. Nothing here knows what a
txn means. Source: docs/protocol/zab.md section 7.
"""

from collections import deque
from dataclasses import dataclass, field

from pyzk.zab.effects import Append, Deliver, Effect
from pyzk.zab.events import Done, Event, Propose
from pyzk.zab.quorum import Majority


@dataclass(slots=True)
class Batch:
    """Txns proposed together: the last zxid of them, and who has them durably."""

    last_zxid: int
    token: int
    acknowledged: set[int] = field(default_factory=set)


class Broadcast:
    """Order and commitment of txns on the leader.

    Args:
        server_id: the leader's own.
        quorum: who can decide.
    """

    __slots__ = ("_batches", "_next_token", "quorum", "server_id")

    def __init__(self, server_id: int, quorum: Majority) -> None:
        self.server_id = server_id
        self.quorum = quorum
        self._batches: deque[Batch] = deque()
        self._next_token = 1

    def receive(self, event: Event) -> list[Effect]:
        """Effects of one event, to be performed in list order."""
        if isinstance(event, Propose):
            return self._propose(event)
        return self._done(event)

    def _propose(self, event: Propose) -> list[Effect]:
        batch = Batch(event.entries[-1][0], self._next_token)
        self._next_token += 1
        self._batches.append(batch)
        return [Append(event.entries, batch.token)]

    def _done(self, event: Done) -> list[Effect]:
        """Our own log has a batch; a sync covers everything before it too."""
        for batch in self._batches:
            if batch.token <= event.token:
                batch.acknowledged.add(self.server_id)
        return self._commit()

    def _commit(self) -> list[Effect]:
        """Batches at the front that a quorum has are committed, in order and never around one that waits."""
        committed = 0
        while self._batches and self.quorum.contains_quorum(self._batches[0].acknowledged):
            committed = self._batches.popleft().last_zxid
        return [Deliver(committed)] if committed else []

    def drop_outstanding(self) -> None:
        """Forget what is proposed and not committed: the log could not take it."""
        self._batches.clear()
