"""When a leader may answer a sync: it must be shown to lead still, after the sync has come.

A round is a PING to every voter that follows, sent after the sync came; when a quorum has answered theirs, the leader
was leading then. A proposal that came after the sync and was committed shows the same. Replies are counted on each
link, in order. Apache's leader answers at once, and so from an old state when it was deposed while it was paused
(docs/protocol/apache-defects.md, row 10).
"""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf

from pyzk.zab.quorum import Quorum


@dataclass(slots=True)
class Waiting:
    """A sync that is not answered yet.

    Attributes:
        after_zxid: what was proposed when it came, and must be committed first.
        round: the round that confirms it.
    """

    link: int
    tag: int
    after_zxid: int
    round: int


class Syncs:
    """The syncs of one leader, in order.

    Attributes:
        wants_round: whether a round must be begun for those that wait.
    """

    def __init__(self, server_id: int, quorums: Sequence[Quorum]) -> None:
        self.server_id = server_id
        self.quorums = quorums
        self.wants_round = False
        self._round = 0
        self._confirmed = 0
        self._waiting: deque[Waiting] = deque()
        self._pings: dict[int, deque[int]] = {}
        self._answered: dict[int, int] = {}

    @property
    def count(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def ask(self, link: int, tag: int, proposed_zxid: int) -> None:
        """A sync has come; the round that is under way began before it, so it needs the next one."""
        self._waiting.append(Waiting(link, tag, proposed_zxid, self._round + 1))
        self.wants_round = self._confirmed == self._round

    def begin_round(self) -> None:
        """A PING goes to every voter now."""
        self._round += 1
        self.wants_round = False

    def pinged(self, server_id: int) -> None:
        """A PING that will be answered has been sent to a server."""
        self._pings.setdefault(server_id, deque()).append(self._round)

    def answered(self, server_id: int) -> None:
        """A server has answered the oldest PING."""
        pings = self._pings.get(server_id)
        if not pings:
            return
        self._answered[server_id] = pings.popleft()
        self.confirm()

    def confirm(self) -> None:
        """See whether the round under way has its quorum."""
        having = [server for server, answered in self._answered.items() if answered >= self._round]
        if self._round > self._confirmed and self._is_quorum([self.server_id, *having]):
            self._confirmed = self._round
            self.wants_round = bool(self._waiting) and self._waiting[-1].round > self._round

    def _is_quorum(self, servers: Collection[int]) -> bool:
        return all(quorum.contains_quorum(servers) for quorum in self.quorums)

    def left(self, server_id: int) -> None:
        """A server's link is gone, and its answers with it."""
        self._pings.pop(server_id, None)
        self._answered.pop(server_id, None)

    @property
    def first_after_zxid(self) -> float:
        """What must be committed before the first that waits; infinity if none does."""
        return self._waiting[0].after_zxid if self._waiting else inf

    def pass_first(self) -> Waiting:
        """A txn proposed behind the first that waits is committed: that confirms it."""
        return self._waiting.popleft()

    def ready(self, committed_zxid: int) -> list[Waiting]:
        """Those that can be answered now, in order."""
        ready: list[Waiting] = []
        while self._waiting:
            first = self._waiting[0]
            if committed_zxid < first.after_zxid or first.round > self._confirmed:
                break
            ready.append(self._waiting.popleft())
        return ready
