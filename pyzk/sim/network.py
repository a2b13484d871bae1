"""The network between simulated servers: links that keep order, with delay, one-way partitions and every kind of loss.

A link is two directions, each with bytes on their way. What cannot pass a partition waits, as TCP would have it, and
goes on afterwards if nobody has given up. Who closes a link, or dies and leaves a kernel behind, is noticed by the
other side behind the last byte; who loses power is noticed only by those who send, once the machine is up again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyzk.sim.doors import Doors
from pyzk.tree.walk import Walk
from pyzk.zab.events import Accepted, Connected, Disconnected, Received

if TYPE_CHECKING:
    from pyzk.sim.world import World
    from pyzk.zab.effects import Dial

End = tuple[int, int, int]
"""Server id, boot of its process (which numbers its links anew) and its number for a link."""


@dataclass(slots=True, eq=False)
class Direction:
    """One way of a link.

    Attributes:
        queue: what is on its way: when it arrives, and bytes, a tree, or None for the end.
        is_armed: whether it is looked at again at some time.
    """

    sender: End
    receiver: End
    queue: deque[tuple[float, bytes | Walk | None]] = field(default_factory=deque)
    last_due: float = 0.0
    is_armed: bool = False


class Network:
    """All links of a world.

    Attributes:
        delay_seconds: (least, most) time that bytes take.
        blocked: pairs of server ids (from, to) between which nothing passes.
        slow: how much longer bytes take between two of them, (from, to), seconds at most.
        split_chance: how often what arrives is cut in two.
        outsiders: links whose other end is no server of this world.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.delay_seconds = self.usual_delay_seconds = 0.0005, 0.005
        self.split_chance = 0.05
        self.blocked: dict[tuple[int, int], None] = {}
        self.slow: dict[tuple[int, ...], float] = {}
        self._directions: dict[End, Direction] = {}
        self._remotes: dict[End, End] = {}
        self._waiting: list[Direction] = []
        self._last_accepted = 0
        self._doors = Doors(self)
        self.outsiders: dict[End, None] = {}

    @property
    def links(self) -> list[End]:
        """All ends that are open, in the order in which they were opened."""
        return list(self._directions)

    def _delay(self) -> float:
        return self.world.rng.uniform(*self.delay_seconds)

    # What servers do.

    def dial(self, server_id: int, dial: Dial) -> None:
        """Connect to the first address: 10.0.0.N is server N."""
        target = int(dial.addresses[0][0].rpartition(".")[2])
        boot = self.world.hosts[server_id].boot
        self.world.after(self._delay(), lambda: self._answer(server_id, boot, target, dial))

    def _answer(self, server_id: int, boot: int, target: int, dial: Dial) -> None:
        host = self.world.hosts.get(target)
        is_cut = (server_id, target) in self.blocked or (target, server_id) in self.blocked
        if is_cut or host is None or host.has_no_power:
            event = Disconnected(dial.link, "timed out")
            self.world.after(dial.timeout_ms / 1000, lambda: self.world.tell(server_id, boot, event))
        elif not host.is_up:
            event = Disconnected(dial.link, "refused")
            self.world.after(self._delay(), lambda: self.world.tell(server_id, boot, event))
        elif self.world.hosts[server_id].is_up and self.world.hosts[server_id].boot == boot:
            self._open((server_id, boot, dial.link), target, dial)

    def _open(self, caller: End, target: int, dial: Dial) -> None:
        self._last_accepted -= 1
        taker = target, self.world.hosts[target].boot, self._last_accepted
        self._remotes[caller], self._remotes[taker] = taker, caller
        self._directions[caller] = Direction(caller, taker)
        self._directions[taker] = Direction(taker, caller)
        self._doors.place(caller, taker, dial)
        self.world.tell_now(target, Accepted(self._last_accepted, dial.port, f"server-{caller[0]}"))
        if self._doors.opens(caller):
            self.world.tell_now(caller[0], Connected(dial.link))

    def send(self, server_id: int, link: int, data: bytes | Walk) -> None:
        """Send on a link; nothing happens if it is closed."""
        end = server_id, self.world.hosts[server_id].boot, link
        direction = self._directions.get(end)
        if direction is not None and not (isinstance(data, bytes) and self._doors.hold(end, data)):
            self._put(direction, data)

    def put(self, end: End, data: bytes) -> None:
        """Bytes leave an end of a link, whatever is asked there of who is at the other."""
        direction = self._directions.get(end)
        if direction is not None:
            self._put(direction, data)

    def close(self, server_id: int, link: int) -> None:
        """Close a link behind what was sent on it."""
        end = server_id, self.world.hosts[server_id].boot, link
        self.outsiders.pop(end, None)
        direction = None if self._doors.part(end) else self._directions.pop(end, None)
        if direction is not None:
            self._put(direction, None)

    def _put(self, direction: Direction, data: bytes | Walk | None) -> None:
        due = max(direction.last_due, self.world.now + self._delay())
        extra_seconds = self.slow.get((direction.sender[0], direction.receiver[0]))
        if extra_seconds is not None:
            due += self.world.rng.uniform(0, extra_seconds)
        direction.last_due = due
        direction.queue.append((due, data))
        self._arm(direction, due)

    def _arm(self, direction: Direction, due: float) -> None:
        if not direction.is_armed:
            direction.is_armed = True
            self.world.at(due, lambda: self._pump(direction))

    def direction(self, end: End) -> Direction | None:
        """What is sent from an end of an open link."""
        return self._directions.get(end)

    def is_from_the_past(self, end: End) -> bool:
        """Whether the process at the other end of a link, open or not, has ended."""
        server_id, boot, _ = self._remotes[end]
        return boot < self.world.hosts[server_id].boot

    # What arrives.

    def _pump(self, direction: Direction) -> None:
        """Hand over what has arrived, in one piece if it is not cut."""
        direction.is_armed = False
        if (direction.sender[0], direction.receiver[0]) in self.blocked:
            self._waiting.append(direction)
            return
        pieces, is_over = self._take(direction)
        server_id, _, link = direction.receiver
        if direction.receiver not in self._directions:
            self._refuse(direction)
            return
        data = b"".join(pieces)
        if len(data) > 1 and self.world.rng.random() < self.split_chance:
            cut = self.world.rng.randrange(1, len(data))
            data, rest = data[:cut], data[cut:]
            direction.queue.appendleft((self.world.now, rest))
            if is_over:
                direction.queue.insert(1, (self.world.now, None))
                is_over = False
        if direction.queue:
            self._arm(direction, max(direction.queue[0][0], self.world.now + 1e-5))
        data = self._doors.receive(direction.receiver, data) if data else b""
        if is_over:
            data += self._doors.ended(direction.receiver)
        if data:
            self.world.tell_now(server_id, Received(link, data))
        if is_over and self._directions.pop(direction.receiver, None) is not None:
            self.world.tell_now(server_id, Disconnected(link, "closed by the other side"))

    def _take(self, direction: Direction) -> tuple[list[bytes], bool]:
        """Everything that is due, up to the next chunk of a tree; and whether that is the end of the link."""
        pieces: list[bytes] = []
        queue = direction.queue
        while queue and queue[0][0] <= self.world.now + 1e-9:
            _, data = queue[0]
            if data is None:
                queue.clear()
                return pieces, True
            if isinstance(data, bytes):
                pieces.append(data)
                queue.popleft()
                continue
            chunk = next(data, None)
            if chunk is None:
                queue.popleft()
            else:
                pieces.append(chunk)
                queue[0] = self.world.now + self._delay(), data
        return pieces, False

    def _refuse(self, direction: Direction) -> None:
        """The other end is gone: a machine that is up says so."""
        direction.queue.clear()
        server_id, _, link = direction.sender
        if self.world.hosts[direction.receiver[0]].has_no_power:
            return
        self._doors.forget(direction.sender)
        if self._directions.pop(direction.sender, None) is not None:
            self.world.tell_now(server_id, Disconnected(link, "reset by the other side"))

    # What goes wrong.

    def block(self, sender: int, receiver: int) -> None:
        """Let nothing pass from one server to another."""
        self.blocked[sender, receiver] = None

    def unblock(self, sender: int, receiver: int) -> None:
        """Let pass what comes from one server to another."""
        self.blocked.pop((sender, receiver), None)
        self._go_on()

    def heal(self) -> None:
        """Let everything pass again, in any order."""
        self.blocked.clear()
        self._go_on()

    def mend(self) -> None:
        """The same, and at the usual pace."""
        self.delay_seconds = self.usual_delay_seconds
        self.slow.clear()
        self.heal()

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, []
        for direction in waiting:
            self._arm(direction, self.world.now + self._delay())

    def break_link(self, end: End, *, both_notice: bool = True) -> None:
        """What is on its way on a link is lost; one end, or both, are told."""
        direction = self._directions.get(end)
        if direction is None:
            return
        for server_id, boot, link in [end, direction.receiver] if both_notice else [end]:
            self._doors.forget((server_id, boot, link))
            lost = self._directions.pop((server_id, boot, link), None)
            if lost is not None:
                lost.queue.clear()
                self.world.tell(server_id, boot, Disconnected(link, "reset"))

    def lose_host(self, server_id: int, *, has_no_power: bool) -> None:
        """A server ends; without power nothing of it says so."""
        for end in [end for end in self._directions if end[0] == server_id]:
            self._doors.forget(end)
            if has_no_power:
                self._directions.pop(end).queue.clear()
            else:
                self.close(server_id, end[2])
