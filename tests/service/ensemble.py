"""An ensemble without an agreement: one leader's desk, learners, and links that are lists.

What the desk proposes is committed at once, or when the test says so, and goes to every learner in order, behind
whatever else the leader has sent there. Packets from learners are encoded and read back.
"""

from collections import deque
from collections.abc import Callable
from functools import partial

from pyzk.codec.jute import STRING_MAX_DEFAULT
from pyzk.codec.quorum import (
    Forwarded,
    PacketReader,
    PacketType,
    unpack_revalidate,
    unpack_revalidated,
    unpack_touches,
)
from pyzk.service.desk import Desk, Order
from pyzk.service.forwarding import Forwarding
from pyzk.service.outbox import Settings
from pyzk.service.proposer import Proposer
from pyzk.service.service import Service
from pyzk.service.sessions import password
from pyzk.tree.acl import AccessControl
from pyzk.tree.request import Rules
from pyzk.tree.tree import Tree
from pyzk.zab.events import Propose, Sync
from tests.service.harness import WALL_MS, Client, Shell

EPOCH = 1
FIRST_ZXID = EPOCH << 32
LEADER_ID = 1


class Server(Shell):
    """One server of the ensemble: `id` is its server id."""

    def __init__(self, ensemble: "Ensemble", server_id: int, settings: Settings) -> None:
        super().__init__()
        self.ensemble = ensemble
        self.id = server_id
        self.now = ensemble.now
        self.tree = Tree()
        first = server_id << 56 | 0x1000
        sessions = iter(range(first, first + 10_000))
        self.service = Service(self.tree, AccessControl(), settings, lambda: next(sessions))

    def settle(self) -> None:
        self.ensemble.settle()

    def resume(self, session_id: int, *, timeout_ms: int = 10_000) -> Client:
        """A client that comes here with its session."""
        client = self.client(open_session=False)
        client.connect(session_id=session_id, password=password(session_id), timeout_ms=timeout_ms)
        return client


class Learner(Server):
    """A learner.

    Attributes:
        inbox: what the leader has sent and has not arrived; with `lagging`, it does not.
    """

    def __init__(self, ensemble: "Ensemble", server_id: int, settings: Settings, first_cxid: int) -> None:
        super().__init__(ensemble, server_id, settings)
        self.link = -server_id
        self.forwarding = Forwarding(self.service, self.link, first_cxid)
        self.service.open(self.forwarding, self.now)
        self.inbox: deque[Callable[[], None]] = deque()
        self.lagging = False
        self.sent: list[Forwarded] = []

    def send(self) -> bool:
        """What our clients want goes to the leader; whether there was something."""
        requests = self.service.next_requests(1000, len(self.forwarding.pending), self.now)
        packets, self.service.outbox.packets = self.service.outbox.packets, []
        data = b"".join(packets) + self.forwarding.forward_own(requests)
        self.ensemble.from_learner(self, data)
        return bool(data)

    def arrive(self) -> bool:
        """What the leader has sent is here; whether there was something."""
        if self.lagging or not self.inbox:
            return False
        while self.inbox and not self.lagging:
            self.inbox.popleft()()
        return True

    def catch_up(self) -> None:
        """Everything arrives from now on."""
        self.lagging = False
        self.ensemble.settle()


class Ensemble:
    """A leader and two learners; with `held`, nothing is committed before `commit`."""

    def __init__(self, settings: Settings | None = None, *, held: bool = False, counter: int = 0) -> None:
        self.now = 1000.0
        self.held = held
        settings = settings or Settings()
        self.leader = Server(self, LEADER_ID, settings)
        self.proposer = Proposer(self.leader.tree, Rules(AccessControl()))
        self.desk = Desk(self.leader.service, self.proposer, FIRST_ZXID + counter, LEADER_ID)
        self.leader.service.open(self.desk, self.now)
        self.learners = [Learner(self, server_id, settings, server_id << 20) for server_id in (2, 3)]
        self.orders: deque[Order] = deque()

    @property
    def servers(self) -> list[Server]:
        return [self.leader, *self.learners]

    def settle(self) -> None:
        """Until nothing moves."""
        moving = True
        while moving:
            moving = sum(learner.send() for learner in self.learners) > 0
            if self.leader.service.outbox.submitted:
                self.orders += self.desk.take_own(1000, self.now, WALL_MS)
            while self.orders and not self.held:
                self._commit(self.orders.popleft())
            moving |= sum(learner.arrive() for learner in self.learners) > 0
            for server in self.servers:
                outbox = server.service.outbox
                moving |= bool(outbox.submitted or outbox.dirty or outbox.unfinished)
                server.flush()

    def commit(self, count: int | None = None) -> None:
        """The first `count` orders (None: all) have their quorum."""
        for _ in range(len(self.orders) if count is None else count):
            self._commit(self.orders.popleft())
        self.settle()

    def _commit(self, order: Order) -> None:
        if isinstance(order, Sync):
            self.confirm(order)
            return
        zxid = order.entries[-1][0]
        for learner in self.learners:
            learner.inbox.append(partial(self._deliver_to, learner, zxid, order))
        self.desk.deliver(zxid, order.entries, self.now)

    def _deliver_to(self, learner: Learner, zxid: int, order: Propose) -> None:
        learner.forwarding.deliver(zxid, order.entries, self.now)

    def confirm(self, order: Sync) -> None:
        """We are known to lead still."""
        if order.link == 0:
            self.desk.synced(order.tag, self.now)
            return
        learner = self._learner(order.link)
        learner.inbox.append(lambda: learner.forwarding.synced(self.now))

    def _learner(self, link: int) -> Learner:
        return next(learner for learner in self.learners if learner.link == link)

    def from_learner(self, learner: Learner, data: bytes) -> None:
        """Packets arrive at the leader."""
        for packet in PacketReader(STRING_MAX_DEFAULT).feed(data):
            if packet.type == PacketType.REQUEST:
                self.forward(learner, Forwarded.from_packet(packet))
            elif packet.type == PacketType.PING:
                self.desk.touched(unpack_touches(packet.data), self.now)
            else:
                assert packet.type == PacketType.REVALIDATE
                answer = self.desk.revalidate(learner.link, *unpack_revalidate(packet), self.now)
                learner.inbox.append(partial(self._revalidated, learner, answer))

    def forward(self, learner: Learner, request: Forwarded) -> None:
        """A request arrives at the leader."""
        learner.sent.append(request)
        self.orders += self.desk.take_forwarded(learner.link, [request], self.now, WALL_MS)

    def _revalidated(self, learner: Learner, answer: bytes) -> None:
        (packet,) = PacketReader(STRING_MAX_DEFAULT).feed(answer)
        learner.forwarding.revalidated(*unpack_revalidated(packet), self.now)

    def ping(self) -> None:
        """A round of PINGs."""
        for learner in self.learners:
            self.from_learner(learner, learner.forwarding.pinged(self.proposer.zxid))

    def tick(self, seconds: float = 0.0) -> None:
        """Let time pass, then expire sessions everywhere where it is decided."""
        self.now += seconds
        for server in self.servers:
            server.now = self.now
            server.service.tick(self.now)
        self.settle()

    @property
    def digests(self) -> set[int]:
        return {server.tree.digest for server in self.servers}
