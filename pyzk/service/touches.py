"""The sessions that a learner serves: it ends none by itself, and tells the leader who has shown life.

Source: docs/protocol/zab.md sections 8.2, 8.3 and 9.
"""

from collections.abc import Iterator, Mapping

from pyzk.tree.tree import Tree

TOUCHES_PER_PING_MAX = 80_000
"""Sessions told in one reply to a PING, 12 bytes each: peers take 2 MB at most. The rest goes with the next."""


class TouchTable:
    """Stands where the tracker stands on the leader.

    A session may act here if the table of the tree has it, or if the leader has vouched for it and this server has not
    yet come to the txn that creates it.

    Args:
        tree: its table of sessions.
    """

    __slots__ = ("_attached", "_closing", "_touches", "_tree")

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._touches: dict[int, int] = {}
        self._attached: dict[int, None] = {}
        self._closing: dict[int, None] = {}

    def take(self) -> dict[int, int]:
        """Timeouts in ms by session, of those who have shown life since the last call."""
        touches = self._touches
        if len(touches) <= TOUCHES_PER_PING_MAX:
            self._touches = {}
            return touches
        told = dict(list(touches.items())[:TOUCHES_PER_PING_MAX])
        for session in told:
            del touches[session]
        return told

    def attach(self, session: int, timeout_ms: int) -> None:
        """The leader says that the session lives."""
        self._touches[session] = timeout_ms
        if session not in self._tree.sessions:
            self._attached[session] = None

    def report(self, touches: Mapping[int, int]) -> None:
        """Sessions of others who tell the leader through us."""
        self._touches.update(touches)

    def created(self, session: int, timeout_ms: int, now: float) -> None:  # noqa: ARG002
        """A new session, here or elsewhere: every learner tells of it once."""
        self._touches[session] = timeout_ms
        self._attached.pop(session, None)

    def add(self, session: int, timeout_ms: int, now: float) -> None:
        """Know a session; one that was closing is open again."""
        self._closing.pop(session, None)
        self.created(session, timeout_ms, now)

    def touch(self, session: int, timeout_ms: int, now: float) -> bool:  # noqa: ARG002
        """The session has shown life. False if it is closing or not known."""
        if session in self._closing or (session not in self._tree.sessions and session not in self._attached):
            return False
        self._touches[session] = timeout_ms
        return True

    def set_closing(self, session: int) -> None:
        """Its client has asked for the end."""
        self._closing[session] = None

    def remove(self, session: int) -> None:
        """The session is closed."""
        for table in (self._closing, self._attached, self._touches):
            table.pop(session, None)

    def expired(self, now: float) -> list[int]:  # noqa: ARG002
        """Nobody: that is for the leader to say."""
        return []

    def deadline(self) -> None:
        """Nobody expires here."""

    def tick_end(self, now: float) -> None:
        """Nobody expires here."""

    def shift(self, stall_seconds: float) -> None:
        """Nobody expires here."""

    def buckets(self) -> Iterator[tuple[float, list[int]]]:
        """Nobody expires here."""
        return iter(())

    def __len__(self) -> int:
        return len(self._tree.sessions)

    def __contains__(self, session: object) -> bool:
        return session in self._tree.sessions or session in self._attached
