"""Sessions: their ids and passwords, and the tracker that knows when each expires.

Source: docs/protocol/data-model.md section 7 and client-protocol.md section 2. The tracker only says who has expired;
that a session is then closed by a txn, and who decides that, is the business of service. The replicated table of
sessions is in tree.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Protocol

_SECRET = 0xB3415C00
_LCG_MULTIPLIER = 0x5DEECE66D
_LCG_MASK = (1 << 48) - 1
_CONTAINER_OWNER = -(1 << 63)
_WORDS = Struct("<4I")


def password(session_id: int) -> bytes:
    """The 16 bytes that go with a session id: java.util.Random seeded with it, the same on every server."""
    state = (session_id ^ _SECRET ^ _LCG_MULTIPLIER) & _LCG_MASK
    words = []
    for _ in range(4):
        state = (state * _LCG_MULTIPLIER + 0xB) & _LCG_MASK
        words.append(state >> 16)
    return _WORDS.pack(*words)


def password_matches(session_id: int, given: bytes | None) -> bool:
    """Is this the password of that session? Session 0 has none."""
    return session_id != 0 and given == password(session_id)


class SessionIds:
    """Hands out session ids; as signed 64-bit numbers, because that is how they travel.

    Args:
        wall_ms: time of the start, so that a server does not repeat ids after a restart.
        server_id: the top byte of every id.
    """

    __slots__ = ("_next",)

    def __init__(self, wall_ms: int, server_id: int) -> None:
        self._next = (wall_ms << 24 & (1 << 64) - 1) >> 8 | (server_id & 0xFF) << 56

    def next(self) -> int:
        """An id not handed out before. 0 and the mark of container znodes are left out."""
        while _signed(self._next) in {0, _CONTAINER_OWNER}:
            self._next += 1
        session_id = _signed(self._next)
        self._next += 1
        return session_id


def _signed(number: int) -> int:
    number &= (1 << 64) - 1
    return number - (1 << 64) if number >> 63 else number


class Sessions(Protocol):
    """What service asks about sessions, whoever knows them: a tracker, a learner's touch table, or both with more."""

    def created(self, session: int, timeout_ms: int, now: float) -> None:
        """The txn that creates this session is applied (or, on a leader, proposed)."""

    def add(self, session: int, timeout_ms: int, now: float) -> None:
        """Know a session from now on; one that was closing is open again."""

    def touch(self, session: int, timeout_ms: int, now: float) -> bool:
        """The session has shown life. False if it may not act here: it is closing or not known."""

    def set_closing(self, session: int) -> None:
        """The session is about to be closed: touches no longer count."""

    def remove(self, session: int) -> None:
        """Forget a session; one that is not known is no error."""

    def expired(self, now: float) -> list[int]:
        """Take out those whose end is decided here and whose time has passed."""

    def deadline(self) -> float | None:
        """When to ask `expired` again; None if no session can expire here."""

    def tick_end(self, now: float) -> float | None:
        """The end of the tick under way, where sessions expire; None if none can expire here."""

    def shift(self, stall_seconds: float) -> None:
        """Give everybody the time back in which this server itself did not run."""

    def buckets(self) -> Iterator[tuple[float, list[int]]]:
        """Expiry time in monotonic seconds and sessions of each bucket, the earliest first."""

    def __len__(self) -> int: ...

    def __contains__(self, session: object) -> bool: ...


class SessionTracker:
    """Who expires when. Sessions lie in buckets of one tick, so that a touch rarely moves anything.

    A session expires between its timeout and one tick more after its last touch. Times are in monotonic seconds,
    timeouts in ms. A closing session keeps its timeout but lies in no bucket: touching it has no effect.

    Args:
        tick_ms: length of a bucket (tickTime).
    """

    __slots__ = ("_bucket_of", "_buckets", "_earliest", "_stalled_ms", "_tick_ms", "_timeout_ms")

    def __init__(self, tick_ms: int) -> None:
        self._tick_ms = tick_ms
        self._timeout_ms: dict[int, int] = {}
        self._bucket_of: dict[int, int] = {}
        self._buckets: dict[int, dict[int, None]] = {}
        self._earliest: int | None = None
        self._stalled_ms = 0.0

    def add(self, session: int, timeout_ms: int, now: float) -> None:
        """Track a session from now on; one that was closing is open again."""
        self._timeout_ms[session] = timeout_ms
        self._move(session, self._bucket_at(timeout_ms, now))

    def created(self, session: int, timeout_ms: int, now: float) -> None:
        """Track a new session; nothing changes for one that a leader tracks since it was proposed."""
        if session not in self._timeout_ms:
            self.add(session, timeout_ms, now)

    def touch(self, session: int, timeout_ms: int, now: float) -> bool:
        """The session has shown life: it has `timeout_ms` from now. False if it is closing or not known."""
        bucket = self._bucket_of.get(session)
        if bucket is None:
            return False
        moved = int((now * 1000.0 - self._stalled_ms + timeout_ms) // self._tick_ms) + 1
        if moved != bucket:
            self._move(session, moved)
        return True

    def set_closing(self, session: int) -> None:
        """The session is about to be closed: it does not expire (again), and touches no longer count."""
        self._leave(session)

    def is_closing(self, session: int) -> bool:
        """Is it tracked, and on its way out?"""
        return session in self._timeout_ms and session not in self._bucket_of

    def is_open(self, session: int) -> bool:
        """Is it tracked, and not on its way out?"""
        return session in self._bucket_of

    def remove(self, session: int) -> None:
        """Forget a session; one that is not tracked is no error."""
        self._leave(session)
        self._timeout_ms.pop(session, None)

    def timeout_of(self, session: int) -> int | None:
        """The timeout in ms with which the session was added."""
        return self._timeout_ms.get(session)

    def expired(self, now: float) -> list[int]:
        """Take out everybody whose time has passed; they are closing from here on."""
        virtual_ms = now * 1000.0 - self._stalled_ms
        gone: list[int] = []
        while self._earliest is not None and self._earliest * self._tick_ms <= virtual_ms:
            bucket = self._buckets.pop(self._earliest)
            gone.extend(bucket)
            self._earliest = min(self._buckets, default=None)
        for session in gone:
            del self._bucket_of[session]
        return gone

    def deadline(self) -> float | None:
        """When to ask `expired` again; None if no session can expire."""
        return None if self._earliest is None else self._time_of(self._earliest)

    def tick_end(self, now: float) -> float:
        """The end of the tick under way: sessions expire only there, so that is when to ask `expired`."""
        return self._time_of(self._bucket_at(0, now))

    def shift(self, stall_seconds: float) -> None:
        """Give everybody the time back in which this server itself did not run."""
        self._stalled_ms += stall_seconds * 1000.0

    def buckets(self) -> Iterator[tuple[float, list[int]]]:
        """Expiry time in monotonic seconds and sessions of each bucket, the earliest first."""
        for bucket in sorted(self._buckets):
            yield self._time_of(bucket), list(self._buckets[bucket])

    def __len__(self) -> int:
        return len(self._timeout_ms)

    def __contains__(self, session: object) -> bool:
        return session in self._timeout_ms

    def __iter__(self) -> Iterator[int]:
        return iter(self._timeout_ms)

    def _bucket_at(self, timeout_ms: int, now: float) -> int:
        return int((now * 1000.0 - self._stalled_ms + timeout_ms) // self._tick_ms) + 1

    def _time_of(self, bucket: int) -> float:
        return (bucket * self._tick_ms + self._stalled_ms) / 1000.0

    def _move(self, session: int, bucket: int) -> None:
        self._leave(session)
        self._bucket_of[session] = bucket
        self._buckets.setdefault(bucket, {})[session] = None
        if self._earliest is None or bucket < self._earliest:
            self._earliest = bucket

    def _leave(self, session: int) -> None:
        bucket = self._bucket_of.pop(session, None)
        if bucket is None:
            return
        sessions = self._buckets[bucket]
        del sessions[session]
        if not sessions:
            del self._buckets[bucket]
            if bucket == self._earliest:
                self._earliest = min(self._buckets, default=None)
