"""Conversations that read from top to bottom: generators that yield what they wait for, without a loop or a task.

A script yields `NEXT` and is given the next packet, or yields a condition (a function) and goes on when it holds. The
packets that arrive meanwhile wait, up to a limit.
"""

from collections import deque
from collections.abc import Callable, Generator

from pyzk.codec.quorum import Packet
from pyzk.errors import PeerError

Condition = Callable[[], bool]


class Next:
    """What a script yields to be given the next packet."""


NEXT = Next()

Wait = Next | Condition
Script = Generator[Wait, Packet, None]

INBOX_MAX = 10_000
"""Packets that may wait for a script that waits for something else, if nothing else is said."""


class Conversation:
    """Runs one script.

    Args:
        script: what to run.
        inbox_max: packets that may wait for it.

    Attributes:
        inbox: packets that the script has not taken, in order; when it is over, they are for whoever follows.
    """

    __slots__ = ("_inbox_max", "_script", "_wait", "inbox")

    def __init__(self, script: Script, inbox_max: int = INBOX_MAX) -> None:
        self._inbox_max = inbox_max
        self._script: Script | None = script
        self._wait: Wait = next(script)
        self.inbox: deque[Packet] = deque()

    @property
    def is_over(self) -> bool:
        """Whether the script has come to its end."""
        return self._script is None

    def take(self, packets: list[Packet]) -> None:
        """Packets have arrived. Raises PeerError when too many wait, and what the script raises."""
        self.inbox.extend(packets)
        self.go_on()
        if not self.is_over and len(self.inbox) > self._inbox_max:
            raise PeerError(f"more than {self._inbox_max} packets before they could be read")

    def go_on(self) -> None:
        """Run the script as far as it goes."""
        while self._script is not None:
            packet = None
            if isinstance(self._wait, Next):
                if not self.inbox:
                    return
                packet = self.inbox.popleft()
            elif not self._wait():
                return
            self._step(self._script, packet)

    def close(self) -> None:
        """The other side is gone: keep nothing. A script and its link would keep each other alive."""
        script, self._script = self._script, None
        if script is not None:
            script.close()
        self.inbox.clear()

    def _step(self, script: Script, packet: Packet | None) -> None:
        try:
            # A condition is answered with nothing: the script does not look at what it is given.
            self._wait = script.send(packet)  # type: ignore[arg-type]
        except StopIteration:
            self._script = None
