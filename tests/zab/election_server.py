"""One server's election without a network: it hears what a test says, and what it says is kept."""

from pyzk.codec.election import Notification, ServerState, parse_notification
from pyzk.zab.effects import Effect
from pyzk.zab.election import Election, ElectionSettings
from pyzk.zab.membership import Membership, parse_text
from pyzk.zab.votes import Vote

LOOKING, FOLLOWING, LEADING, OBSERVING = ServerState
EPOCH = 1 << 32


def members(*voters: int, version: int = 0, more: tuple[str, ...] = ()) -> Membership:
    lines = [f"server.{server_id}=h{server_id}:2888:3888:participant" for server_id in voters]
    return parse_text("\n".join([*lines, *more, f"version={version:x}"]))


class Links:
    """Stands for the connections: keeps what was sent."""

    def __init__(self, membership: Membership) -> None:
        self.membership = membership
        self.last_seen: Membership | None = None
        self.any_queue_empty = True
        self.sent: list[tuple[int, Notification]] = []
        self.dials = 0

    def send(self, server_id: int, message: bytes) -> None:
        notification = parse_notification(message[4:])
        assert notification is not None
        self.sent.append((server_id, notification))

    def connect_all(self) -> None:
        self.dials += 1


class Server:
    """Server 2, looking for a leader, and what it says."""

    def __init__(
        self,
        membership: Membership | None = None,
        initial: Vote | None = None,
        settings: ElectionSettings | None = None,
        last_seen: Membership | None = None,
    ) -> None:
        self.now = 100.0
        self.effects: list[Effect] = []
        self.links = Links(membership or members(1, 2, 3))
        self.links.last_seen = last_seen
        self.election = Election(2, self.links, self.effects, settings or ElectionSettings())
        self.election.start(initial or Vote(2, EPOCH, 0, 1), self.now)

    def said(self) -> list[tuple[int, int, int, int, int, int]]:
        """(receiver, state, leader, zxid, round, epoch) since the last look."""
        sent = [(to, n.state, n.leader, n.zxid, n.round, n.peer_epoch) for to, n in self.links.sent]
        self.links.sent.clear()
        return sent

    def hear(self, sender: int, state: int, vote: Vote, config: bytes | None = None) -> None:
        sent = Notification(state, vote.leader, vote.zxid, vote.round, vote.peer_epoch, config=config)
        self.election.notified(sender, sent.encode()[4:], self.now)

    def wait(self) -> float:
        """Let it wake; how long it has slept, in ms."""
        deadline = self.election.deadline()
        assert deadline is not None
        slept_ms = round((deadline - self.now) * 1000)
        self.now = deadline
        self.election.wake(self.now)
        return slept_ms

    @property
    def winner(self) -> Vote | None:
        return self.election.winner


def vote_of(leader: int, zxid: int = EPOCH, *, in_round: int = 1, epoch: int = 1) -> Vote:
    return Vote(leader, zxid, in_round, epoch)
