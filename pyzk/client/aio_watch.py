"""What a watch tells its watcher, and a watcher that can be iterated."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from pyzk.client.effects import State
from pyzk.codec.opcodes import EventType
from pyzk.errors import AuthFailedError, PyzkError, SessionExpiredError

EVENTS_MAX_DEFAULT = 10_000


@dataclass(slots=True)
class WatchEvent:
    """A watch that fired.

    Type NONE (with path "") is about the session, see `state`: it has ended, or it is connected again and a persistent
    watch may have missed changes meanwhile. One-shot watches miss nothing: the server tells on reconnect.
    `zxid` is that of the change, -1 where the server does not tell it (Apache 3.8; on reconnect).
    """

    type: EventType
    path: str
    state: State
    zxid: int


Watcher = Callable[[WatchEvent], object]


class WatchOverflowError(PyzkError):
    """Events came faster than they were taken from a Watch; some are lost."""


class Watch:
    """A watcher that keeps events until they are iterated over: `async for event in watch` or `await anext(watch)`.

    Iteration ends when the session is closed, raises SessionExpiredError or AuthFailedError when it ended otherwise,
    and WatchOverflowError, behind what was kept, when more than `events_max` were waiting.
    """

    def __init__(self, events_max: int = EVENTS_MAX_DEFAULT) -> None:
        self.events_max = events_max
        self._events: deque[WatchEvent] = deque()
        self._end: Exception | None = None
        self._changed = asyncio.Event()

    def __call__(self, event: WatchEvent) -> None:
        """Take in an event."""
        if self._end is None:
            if event.type is EventType.NONE and event.state.final:
                self._end = _end_of_session(event.state)
            elif len(self._events) < self.events_max:
                self._events.append(event)
            else:
                self._end = WatchOverflowError(f"more than {self.events_max} events were waiting (events_max)")
        self._changed.set()

    def end(self) -> None:
        """Let iteration end behind the events that have come."""
        self._end = self._end or StopAsyncIteration()
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchEvent:
        while not self._events:
            if self._end is not None:
                raise self._end
            self._changed.clear()
            await self._changed.wait()
        return self._events.popleft()


def _end_of_session(state: State) -> Exception:
    if state is State.EXPIRED:
        return SessionExpiredError("the session has expired")
    if state is State.AUTH_FAILED:
        return AuthFailedError("the credentials were refused")
    return StopAsyncIteration()
