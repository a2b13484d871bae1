"""One side of a conversation on the bench: a leader or a learner without a network, the test plays everybody else."""

from pyzk.codec.quorum import LearnerInfo, PacketReader, PacketType, pack_epoch, packet
from pyzk.zab.effects import Append, Close, Deliver, Install, SaveEpoch, Send, Truncate
from pyzk.zab.events import Port
from pyzk.zab.history import History
from pyzk.zab.leading import Leading
from pyzk.zab.learning import Call, Learning
from pyzk.zab.membership import parse_text
from pyzk.zab.settings import AgreementSettings
from pyzk.zab.state import State

DISK = (Append, SaveEpoch, Truncate, Install)
TEXT = "\n".join(f"server.{number}=10.0.0.{number}:2888:3888:participant" for number in (1, 2, 3))


def new_state(server_id, *, logged=(), accepted=1, current=1, text=TEXT, **settings):
    membership = parse_text(text)
    settings = AgreementSettings(tick_ms=1000, init_ticks=10, sync_ticks=5, **settings)
    history = History(logged[-1][0] if logged else 0, logged, 500)
    return State(server_id, settings, membership, membership, history, accepted, current)


def entries(epoch, first, last):
    return [(epoch << 32 | counter, b"txn %d:%d" % (epoch, counter)) for counter in range(first, last + 1)]


def proposals(txns):
    return b"".join(packet(PacketType.PROPOSAL, zxid, payload) for zxid, payload in txns)


def commits(txns):
    return b"".join(packet(PacketType.COMMIT, zxid) for zxid, _ in txns)


class Bench:
    """Collects what a role asks for.

    Attributes:
        said: (link, packet type, zxid) of everything sent, in order.
        asked: effects for the disk that are not done.
    """

    def __init__(self, state):
        self.state = state
        self.now = 100.0
        self.effects = []
        self.said = []
        self.asked = []
        self._readers = {}

    def collect(self):
        for effect in self.state.effects:
            self.effects.append(effect)
            if isinstance(effect, Send):
                reader = self._readers.setdefault(effect.link, PacketReader(1 << 20))
                self.said += [(effect.link, PacketType(found.type), found.zxid) for found in reader.feed(effect.data)]
            elif isinstance(effect, DISK):
                self.asked.append(effect)
        self.state.effects.clear()

    def done(self):
        """The oldest thing asked of the disk is durable."""
        effect = self.asked.pop(0)
        self.state.durable(effect.token)
        self._go_on()
        self.collect()
        return effect

    def all_done(self):
        while self.asked:
            self.done()

    def kinds(self, *kinds):
        return [effect for effect in self.effects if isinstance(effect, kinds)]

    @property
    def delivered(self):
        return [zxid for effect in self.kinds(Deliver) for zxid, _ in effect.entries]


class LearnerBench(Bench):
    """A learner; the test plays its leader, server 3, in epoch 2."""

    def __init__(self, *, logged=(), is_observer=False, **state):
        super().__init__(new_state(1, logged=logged, **state))
        if is_observer:
            self.state.membership = self.state.last_seen = parse_text(TEXT.replace("participant", "observer", 1))
        self.role = Learning(self.state, Call(3, 1, Port.QUORUM, [("10.0.0.3", 2888)], is_observer), self.now)
        self.role.connect(self.now)
        self.collect()

    def _go_on(self):
        self.role.done()

    def hear(self, data):
        self.role.receive(data, self.now)
        self.collect()

    def refuse_cut(self):
        """Nothing is old enough for the cut that was asked for: another attempt begins."""
        effect = self.asked.pop(0)
        assert isinstance(effect, Truncate)
        self.state.durable(effect.token)
        self.role = self.role.ask_for_tree(self.now)
        self.role.connect(self.now)
        self.collect()

    def acks(self):
        return [zxid for _, kind, zxid in self.said if kind == PacketType.ACK]

    def discover(self):
        """Up to ACKEPOCH."""
        self.hear(packet(PacketType.LEADERINFO, 2 << 32, pack_epoch(0x10000)))
        self.all_done()


class LeaderBench(Bench):
    """Server 3 leads; the test plays its learners."""

    def __init__(self, *, logged=(), **epochs):
        super().__init__(new_state(3, logged=logged, **epochs))
        self.role = Leading(self.state, self.now)
        self.collect()

    def _go_on(self):
        if self.role.established:
            self.role.proposals.acknowledge(self.state.server_id, self.state.history.durable_zxid, self.now)
        self.role.go_on(self.now)

    def hear(self, link, data):
        self.role.receive(link, data, self.now)
        self.collect()

    def greet(self, link, server_id, accepted=1):
        """A follower comes."""
        self.role.accept(link, f"server-{server_id}", self.now)
        self.hear(link, packet(PacketType.FOLLOWERINFO, accepted << 32, LearnerInfo(server_id).encode()))
        self.all_done()

    def bring_up(self, link, server_id, zxid, current=1):
        """A follower comes and promises; it is left in front of its ACK of NEWLEADER."""
        self.greet(link, server_id)
        self.hear(link, packet(PacketType.ACKEPOCH, zxid, pack_epoch(current)))
        self.all_done()

    def acknowledge(self, link, *zxids):
        self.hear(link, b"".join(packet(PacketType.ACK, zxid) for zxid in zxids))

    def establish(self):
        """With server 1 on link -1."""
        self.bring_up(-1, 1, self.state.history.last_zxid)
        self.acknowledge(-1, self.role.epoch << 32)
        assert self.role.established

    def heard_by(self, link):
        return [(kind.name, zxid) for found, kind, zxid in self.said if found == link]

    def is_closed(self, link):
        return link in [effect.link for effect in self.kinds(Close)]

    def pass_time(self, seconds):
        """Time passes; the leader is woken when it wants to be."""
        end = self.now + seconds
        while self.role.deadline() <= end:
            self.now = self.role.deadline()
            self.role.wake(self.now)
            self.collect()
        self.now = end
