"""Servers that prove to each other who they are before the agreement hears anything, as `server/link.py` has it.

The exchange is the production one (`zab/admission.py`). Some fail, as if somebody had another password.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyzk.sasl.digest_md5 import QUORUM_PROTOCOL, QUORUM_SERVER_NAME, DigestClient, DigestServer
from pyzk.zab.admission import Admission, Applicant, Doorkeeper
from pyzk.zab.events import Connected, Port

if TYPE_CHECKING:
    from pyzk.sim.network import End, Network
    from pyzk.zab.effects import Dial

USER, PASSWORD, WRONG_PASSWORD = "server", "secret", "guessed"
FAILURE_CHANCE = 0.03


@dataclass(slots=True)
class Door:
    """One end of a link at which somebody has to prove something.

    Attributes:
        held: what the agreement sends meanwhile.
        is_greeted: whether the exchange has begun.
        is_parting: whether the agreement has closed the link meanwhile.
    """

    admission: Admission
    port: Port
    is_caller: bool
    held: list[bytes] = field(default_factory=list)
    is_greeted: bool = False
    is_parting: bool = False

    @property
    def is_news(self) -> bool:
        """Whether the agreement is told of the link only behind the exchange."""
        return self.is_caller and self.port != Port.ELECTION


class Doors:
    """Those of a network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._world = network.world
        self._doors: dict[End, Door] = {}

    def place(self, caller: End, taker: End, dial: Dial) -> None:
        """A link is there."""
        if not self._world.extras.peers_log_in:
            return
        hello_first = dial.port == Port.ELECTION
        keeper = Doorkeeper(self._server, required=True, hello_first=hello_first)
        self._doors[taker] = Door(keeper, dial.port, is_caller=False)
        self._doors[caller] = Door(Applicant(self._client()), dial.port, is_caller=True)
        for end in (caller, taker):
            door = self._doors[end]
            timeout_seconds = self._world.settings.tick_ms * self._world.settings.init_ticks / 1000
            self._world.after(timeout_seconds, lambda end=end, door=door: self._give_up(end, door))  # type: ignore[misc]

    def _client(self) -> DigestClient:
        rng, world = self._world.rng, self._world
        is_wrong = not world.is_mended and rng.random() < FAILURE_CHANCE
        password = WRONG_PASSWORD if is_wrong else PASSWORD
        nonce = f"{rng.getrandbits(64):x}"
        return DigestClient(USER, password, nonce, protocol=QUORUM_PROTOCOL, server_name=QUORUM_SERVER_NAME)

    def _server(self) -> DigestServer:
        nonce = f"{self._world.rng.getrandbits(64):x}"
        return DigestServer({USER: PASSWORD}.get, nonce, protocol=QUORUM_PROTOCOL, server_name=QUORUM_SERVER_NAME)

    def opens(self, caller: End) -> bool:
        """Whether the agreement hears at once that its dial has succeeded; else the exchange begins."""
        door = self._doors.get(caller)
        if door is None or not door.is_news:
            return True
        self._begin(caller, door, b"")
        return False

    def _begin(self, end: End, door: Door, greeting: bytes) -> None:
        door.is_greeted = True
        self._network.put(end, greeting + door.admission.start())

    def hold(self, end: End, data: bytes) -> bool:
        """Whether what the agreement sends has to wait; the hello of the election port goes ahead of all."""
        door = self._doors.get(end)
        if door is None:
            return False
        if door.is_caller and not door.is_greeted:
            self._begin(end, door, data)
        else:
            door.held.append(data)
        return True

    def part(self, end: End) -> bool:
        """Whether the agreement's end of a link has to wait: others dial back only to who has proven who he is."""
        door = self._doors.get(end)
        if door is not None and door.is_caller and door.is_greeted and door.port == Port.ELECTION:
            door.is_parting = True
            return True
        self._doors.pop(end, None)
        for data in door.held if door is not None else ():
            self._network.put(end, data)
        return False

    def receive(self, end: End, data: bytes) -> bytes:
        """Something has arrived; what of it is for the agreement."""
        door = self._doors.get(end)
        if door is None:
            return data
        answer = door.admission.receive(data)
        if answer:
            self._network.put(end, answer)
        return self._judge(end, door)

    def ended(self, end: End) -> bytes:
        """The other side has hung up."""
        door = self._doors.get(end)
        if door is None:
            return b""
        door.admission.ended()
        return self._judge(end, door)

    def forget(self, end: End) -> None:
        """An end of a link is gone."""
        self._doors.pop(end, None)

    def _give_up(self, end: End, door: Door) -> None:
        if self._doors.get(end) is door:
            door.admission.ended()
            self._judge(end, door)

    def _judge(self, end: End, door: Door) -> bytes:
        admission, network = door.admission, self._network
        if not admission.is_over:
            return b""
        del self._doors[end]
        self._world.tally["logins of servers"] += not admission.failure
        if admission.failure:
            network.break_link(end)
            return b""
        if door.is_parting:
            network.close(end[0], end[2])
        elif door.is_news:
            self._world.tell(end[0], end[1], Connected(end[2]))
        for data in door.held:
            network.put(end, data)
        return admission.rest
