"""Links on the ports for other servers, opened by who is none: broken hellos, wrong packets, unknown servers."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from pyzk.codec.election import Hello, Notification, ServerState
from pyzk.codec.framing import frame
from pyzk.codec.quorum import PacketType, packet
from pyzk.zab.events import Accepted, Disconnected, Port, Received

if TYPE_CHECKING:
    from pyzk.sim.network import End
    from pyzk.sim.world import World
    from pyzk.zab.events import Event

PAUSE_SECONDS = 3.0
STAY_SECONDS = 1.0
FIRST_LINK = -1_000_000
"""Links of intruders have numbers of their own, and what is sent on them goes nowhere."""
UNKNOWN_ID = 77
HELLO = Hello(UNKNOWN_ID, [("10.0.0.77", 3888)]).encode(multi_address=False)
NOISE = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    bytes(40),
    b"\xff" * 40,
    b"\x00\x00\x00\x05short",
    b"\x7f\xff\xff\xff",
)
TO_ELECTION = (
    *NOISE,
    Hello(-1, [("10.0.0.77", 3888)]).encode(multi_address=True),
    HELLO,
    HELLO + frame(b"no notification"),
    HELLO + frame(b""),
    HELLO + b"\x7f\xff\xff\xff",
    HELLO + Notification(ServerState.LOOKING, UNKNOWN_ID, 1 << 40, 5, 9).encode(),
    HELLO + Notification(ServerState.LEADING, UNKNOWN_ID, 1 << 40, 5, 9).encode(),
)
TO_QUORUM = (
    *NOISE,
    packet(PacketType.ACK, 1 << 40),
    packet(PacketType.PING, 0, b"x"),
    packet(PacketType.FOLLOWERINFO, 0, b"too short"),
    packet(PacketType.OBSERVERINFO, 0, None),
    packet(PacketType.PROPOSAL, 1, b"a txn"),
    packet(PacketType.REQUEST, 0, b"\0"),
)
SAYINGS = {Port.ELECTION: TO_ELECTION, Port.QUORUM: TO_QUORUM}


class Intruders:
    """Come to the servers of a world one after the other.

    Attributes:
        is_over: nobody comes any more.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_over = False
        self._rng = Random(f"{world.seed} intruders")
        self._last_link = FIRST_LINK
        self._next()

    def _next(self) -> None:
        self.world.after(self._rng.expovariate(1 / PAUSE_SECONDS), self._come)

    def _come(self) -> None:
        if self.is_over:
            return
        server_id = self._rng.choice(list(self.world.hosts))
        boot, port = self.world.hosts[server_id].boot, self._rng.choice((Port.ELECTION, Port.QUORUM))
        self._last_link -= 1
        end, data = (server_id, boot, self._last_link), self._rng.choice(SAYINGS[port])
        self.world.tally["intruders"] += 1
        self.world.network.outsiders[end] = None
        self._tell(end, Accepted(self._last_link, port, "intruder"))
        cut = self._rng.randrange(len(data))
        for part in (data[:cut], data[cut:]):
            if part:
                self._tell(end, Received(self._last_link, part))
        gone = Disconnected(self._last_link, "closed by the other side")
        self.world.after(self._rng.expovariate(1 / STAY_SECONDS), lambda: self._leave(end, gone))
        self._next()

    def _tell(self, end: End, event: Event) -> None:
        """Unless the server has closed the link."""
        if end in self.world.network.outsiders:
            self.world.tell(end[0], end[1], event)

    def _leave(self, end: End, event: Disconnected) -> None:
        self._tell(end, event)
        self.world.network.outsiders.pop(end, None)
