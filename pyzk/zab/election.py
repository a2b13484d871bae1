"""Leader election: every server proposes the best vote that it knows until a quorum proposes the same.

Best is the greatest (epoch, zxid, id). A server that has a role already answers with its leader, and who asks joins it.
The links are `connections`. Source: docs/protocol/election.md sections 3 to 7.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pyzk.codec.election import NOBODY, Notification, ServerState, parse_notification
from pyzk.errors import ConfigError
from pyzk.faultpoints import NONE, FaultPoints
from pyzk.zab.connections import STRANGERS_MAX, Connections
from pyzk.zab.effects import Effect, Note
from pyzk.zab.membership import parse_text
from pyzk.zab.votes import DATA_LOST, Electorate, Vote, agreeing

ROUND_MAX = (1 << 63) - 1
"""What fits into a notification."""


@dataclass(slots=True)
class ElectionSettings:
    """Settings of elections.

    Args:
        interval_ms_min, interval_ms_max: how long to wait for a notification; doubled each time that none came
            (fastleader.minNotificationInterval, fastleader.maxNotificationInterval).
        finalize_wait_ms: silence after which a quorum is final.
        reconfig_enabled: newer configurations of others are taken over.
        oracle_enabled: an oracle decides between two voters (oraclePath).
    """

    interval_ms_min: int = 200
    interval_ms_max: int = 60_000
    finalize_wait_ms: int = 200
    reconfig_enabled: bool = False
    oracle_enabled: bool = False


@dataclass(slots=True)
class _Answer:
    """What a server without a vote has asked last, and what it was told, and when."""

    question: bytes
    reply: bytes
    at: float


class Election:
    """The vote of one server, and its answers to the votes of others.

    Args:
        server_id: our own.
        connections: our links; both configurations are read there.
        effects: list to append to.
        points: of the simulator.

    Attributes:
        current: result of the last election that was finished; until then what we began with.
        state: what we tell others.
        logical_clock: round of our elections; it lives as long as the process.
        winner: set when the election is finished.
        electors: who has voted for the winner.
        newer_config: text of a configuration newer than ours that somebody has sent while we were looking. If it has
            other members (`Membership.same_members`), the notification was dropped and the election is to be started
            anew with it.
        looking_heard: voters that were looking for a leader while we were leading.
        oracle_says: whether we may lead alone.
    """

    __slots__ = (
        "_answers",
        "_connections",
        "_deadline",
        "_early",
        "_effects",
        "_heard",
        "_initial",
        "_interval_ms",
        "_is_finalizing",
        "_not_counting",
        "_points",
        "_proposal",
        "_server_id",
        "_settings",
        "_settled",
        "_votes",
        "current",
        "electors",
        "logical_clock",
        "looking_heard",
        "newer_config",
        "oracle_says",
        "state",
        "winner",
    )

    def __init__(
        self,
        server_id: int,
        connections: Connections,
        effects: list[Effect],
        settings: ElectionSettings,
        points: FaultPoints = NONE,
    ) -> None:
        self.current = Vote(NOBODY, NOBODY, -1, NOBODY)
        self.state = ServerState.LOOKING
        self.logical_clock = 0
        self.winner: Vote | None = None
        self.electors: frozenset[int] = frozenset()
        self.newer_config: str | None = None
        self.looking_heard: set[int] = set()
        self.oracle_says = False
        self._server_id = server_id
        self._connections = connections
        self._effects = effects
        self._settings = settings
        self._points = points
        self._initial = self._proposal = self.current
        self._votes: dict[int, Vote] = {}  # of this round
        self._not_counting: set[int] = set()  # had a role when they heard us
        self._settled: dict[int, Vote] = {}  # of servers that follow or lead, whatever their round
        self._heard: deque[tuple[int, Vote]] = deque()  # of voters only; empty after each call
        self._early: dict[int, tuple[Vote, float]] = {}  # heard while we were not looking, and when
        self._answers: dict[int, _Answer] = {}
        self._interval_ms = settings.interval_ms_min
        self._deadline: float | None = None
        self._is_finalizing = False

    # What Peer asks for.

    def start(self, initial: Vote, now: float) -> None:
        """Look for a leader.

        Args:
            initial: our own vote; its round does not count. An observer has NOBODY for leader, zxid and epoch, a
                server in no configuration has NOBODY as leader, and one that has lost data has zxid DATA_LOST.
            now: monotonic seconds.
        """
        self.winner = self.newer_config = None
        self.state = ServerState.LOOKING
        # Differs from Apache: at its end the clock stands still, and does not begin anew far below that of all others.
        # Only somebody who plays a voter can have brought it there.
        self.logical_clock = min(self.logical_clock + 1, ROUND_MAX)
        self._initial = initial
        if self.current.round < 0:
            self.current = replace(initial, round=-1)
        self._votes.clear()
        self._settled.clear()
        self._not_counting.clear()
        self._is_finalizing = False
        self._interval_ms = self._settings.interval_ms_min
        self._propose(initial)
        self._wait(now)
        self._work(now)
        self._count_early(now)

    def set_state(self, state: ServerState) -> None:
        """A role is entered or left; what we tell others from now on."""
        self.state = state
        if state is not ServerState.LOOKING:
            self._stop()

    def refresh(self, peer_epoch: int) -> None:
        """The epoch is established: who joins later must hear one and the same from all of us (ZOOKEEPER-1732)."""
        self.current = replace(self.current, peer_epoch=peer_epoch)

    def deadline(self) -> float | None:
        """When to wake us; None if we are not looking."""
        return self._deadline

    def wake(self, now: float) -> None:
        """Nobody has said anything: the quorum is final, or it is time to ask again."""
        if self._deadline is None or now < self._deadline:
            return
        if self._is_finalizing:
            self._finish(self._proposal, self._votes)
        else:
            self._ask_again(now)

    def unheard(self, now: float) -> None:
        """A link has ended, and with it perhaps what we have asked last: ask again soon."""
        # Differs from Apache: there the question is lost, and asked again when the interval is over, at last a minute.
        self._interval_ms = self._settings.interval_ms_min
        if self._deadline is not None and not self._is_finalizing:
            self._wait(now)

    def notified(self, sender: int, body: bytes, now: float) -> None:
        """A notification of another server: answer it, in any state, or count it (section 4)."""
        notification = parse_notification(body)
        if notification is None or self._is_to_restart(notification):
            return
        if sender not in self._electorate.voters:
            self._answer_stranger(sender, body, now)
            return
        try:
            state = ServerState(notification.state)
        except ValueError:
            return
        numbers = notification.leader, notification.zxid, notification.round, notification.peer_epoch
        self._answer_voter(sender, Vote(*numbers, state, notification.version), now)

    # Answers.

    def _answer_voter(self, sender: int, vote: Vote, now: float) -> None:
        if self._deadline is not None:
            if self._is_to_be_told(sender, vote):
                self._connections.send(sender, self._encode(self._proposal, self.logical_clock))
            self._heard.append((sender, vote))
            self._work(now)
        elif vote.state is ServerState.LOOKING:
            self._early[sender] = vote, now
            if self.state is ServerState.LEADING:
                self.looking_heard.add(sender)
            if self.state is not ServerState.LOOKING:
                self._connections.send(sender, self._encode(self.current, self.current.round))

    def _count_early(self, now: float) -> None:
        """What was said just before we began to look.

        Differs from Apache: who loses the same leader a moment before us has asked us already, and would not again
        before the interval is over; our answer may not have gone out, because a later message takes its place.
        """
        early, self._early = self._early, {}
        for sender, (vote, at) in early.items():
            if now - at < self._settings.interval_ms_min / 1000:
                self._answer_voter(sender, vote, now)

    def _is_to_be_told(self, sender: int, vote: Vote) -> bool:
        """Whether a voter does not know what we propose.

        Differs from Apache: there nobody tells it again who had a role still when it was told, and did not count it.
        The first to look for a leader was then left out, though its vote was the best.
        """
        if vote.state is not ServerState.LOOKING:
            self._not_counting.add(sender)
            return False
        has_missed = sender in self._not_counting
        self._not_counting.discard(sender)
        return vote.round < self.logical_clock or (
            has_missed and vote.round == self.logical_clock and self._electorate.is_better(self._proposal, vote)
        )

    def _answer_stranger(self, sender: int, question: bytes, now: float) -> None:
        """Tell a server without a vote whom we follow, with our own logical clock, whatever it has said.

        Differs from Apache: the same question soon after is not answered with the same reply. Two servers that look
        for a leader and of which one has no vote for the other would answer each other without end. And while we look
        for a leader ourselves, we tell what we have begun with, not whom we followed last: that one may have lost its
        data since, and who has a vote in a configuration that we do not know yet would take this for our vote, and
        pass it on.
        """
        reply = self._encode(self.current if self._deadline is None else self._initial, self.logical_clock)
        last = self._answers.pop(sender, None)
        pause = self._settings.interval_ms_min / 2000
        if last is not None and (last.question, last.reply) == (question, reply) and now < last.at + pause:
            self._answers[sender] = last
            return
        self._answers[sender] = _Answer(question, reply, now)
        if len(self._answers) > STRANGERS_MAX:
            del self._answers[next(iter(self._answers))]
        self._connections.send(sender, reply)

    def _encode(self, vote: Vote, logical_clock: int) -> bytes:
        config = self._connections.membership.text().encode()
        numbers = vote.leader, vote.zxid, logical_clock, vote.peer_epoch
        return Notification(self.state, *numbers, config=config).encode()

    def _is_to_restart(self, notification: Notification) -> bool:
        """Take up a newer configuration; whether it has other members than ours."""
        if self.state is not ServerState.LOOKING or not self._settings.reconfig_enabled or not notification.config:
            return False
        try:
            text = notification.config.decode()
            offered = parse_text(text)
        except (UnicodeDecodeError, ConfigError) as error:
            self._effects.append(Note("election_configuration_unreadable", {"error": str(error)}, is_warning=True))
            return False
        if offered.version <= self._connections.membership.version:
            return False
        self.newer_config = text
        return not offered.same_members(self._connections.membership)

    # Counting.

    @property
    def _electorate(self) -> Electorate:
        leads_alone = self._settings.oracle_enabled and self.oracle_says
        return Electorate(self._connections.membership, self._connections.last_seen, leads_alone=leads_alone)

    def _needs_oracle(self) -> bool:
        return self._settings.oracle_enabled and len(self._connections.membership.voter_ids) == 2

    def _is_leader_alive(self, votes: Mapping[int, Vote], vote: Vote) -> bool:
        """Nobody is elected on the word of followers alone: they may not have noticed that their leader is gone."""
        if vote.leader == self._server_id:
            return vote.round == self.logical_clock and self._initial.zxid != DATA_LOST
        return vote.leader in votes and votes[vote.leader].state is ServerState.LEADING

    # Looking for a leader.

    def _propose(self, vote: Vote) -> None:
        self._proposal = Vote(vote.leader, vote.zxid, self.logical_clock, vote.peer_epoch)
        self._broadcast()

    def _broadcast(self) -> None:
        """Send our proposal to all voters; to ourselves by the queue of what we have heard."""
        message = self._encode(self._proposal, self.logical_clock)
        for server_id in sorted(self._electorate.voters):
            if server_id == self._server_id:
                self._heard.append((server_id, self._proposal))
            else:
                self._connections.send(server_id, message)

    def _wait(self, now: float) -> None:
        wait_ms = self._settings.finalize_wait_ms if self._is_finalizing else self._interval_ms
        self._deadline = now + wait_ms / 1000

    def _ask_again(self, now: float) -> None:
        """No notification came in time."""
        if self._connections.any_queue_empty:
            self._broadcast()
        else:
            self._connections.connect_all()
        self._interval_ms = min(2 * self._interval_ms, self._settings.interval_ms_max)
        self._wait(now)
        # The oracle may have changed its mind since the votes were counted.
        if self._needs_oracle() and self._electorate.has_quorum(self._votes, self._proposal):
            self._finish(self._proposal, self._votes)
        self._work(now)

    def _work(self, now: float) -> None:
        """Count what was heard until there is a winner."""
        while self._heard:
            sender, vote = self._heard.popleft()
            if self._counts(vote):
                self._count(sender, vote, now)

    def _counts(self, vote: Vote) -> bool:
        """Votes for voters count. Those of a server that has lost data do not, and it counts none itself."""
        if vote.leader not in self._electorate.voters or vote.state is ServerState.OBSERVING:
            return False
        if vote.state is not ServerState.LOOKING:
            return True
        return DATA_LOST not in {self._initial.zxid, vote.zxid} and (
            vote.round >= self.logical_clock or self._is_alone_in_its_round()
        )

    def _is_alone_in_its_round(self) -> bool:
        """Whether we have no vote for ourselves, and nobody else's either.

        Differs from Apache: it then takes up the round that others are in, though it is a lower one. What it says does
        not count, so they would never learn of ours, and it may be the one whose vote they need: a voter of the
        configuration that was proposed last.
        """
        return self._proposal.leader == NOBODY and not self._votes

    def _count(self, sender: int, vote: Vote, now: float) -> None:
        if self._is_finalizing and not self._electorate.is_better(vote, self._proposal):
            self._wait(now)  # and the vote is lost, whatever its state
            return
        self._is_finalizing = False
        is_news = vote.state is ServerState.LOOKING and self._votes.get(sender) != vote
        if is_news and self._initial.leader == NOBODY:
            # Differs from Apache: who has no vote is not told who has won, and asks again soon while others vote.
            self._interval_ms = self._settings.interval_ms_min
        self._wait(now)
        if vote.state is ServerState.LOOKING:
            self._count_looking(sender, vote, now)
        else:
            self._count_settled(sender, vote)

    def _count_looking(self, sender: int, vote: Vote, now: float) -> None:
        if vote.round != self.logical_clock:
            self.logical_clock = vote.round
            self._votes.clear()
            self._propose(vote if self._electorate.is_better(vote, self._initial) else self._initial)
        elif self._electorate.is_better(vote, self._proposal):
            self._propose(vote)
        self._votes[sender] = vote
        if not self._electorate.has_quorum(self._votes, self._proposal):
            return
        if self._points.fires("ballot closes at once"):
            self._finish(self._proposal, self._votes)
        else:
            self._is_finalizing = True
            self._wait(now)

    def _count_settled(self, sender: int, vote: Vote) -> None:
        if vote.round == self.logical_clock:
            self._votes[sender] = replace(vote, version=0)
            if self._electorate.has_quorum(self._votes, vote) and self._is_leader_alive(self._votes, vote):
                self._finish(vote, self._votes)
                return
        self._settled[sender] = vote
        # Differs from Apache: a configuration that was proposed, perhaps to us alone, does not keep us from a leader.
        is_own = vote.leader == self._server_id
        is_enough = self._electorate.has_quorum if is_own else self._electorate.is_followed
        if is_enough(self._settled, vote) and self._is_leader_alive(self._settled, vote):
            self.logical_clock = vote.round
            self._finish(vote, self._settled)
        elif (
            vote.state is ServerState.LEADING
            and vote.leader == sender
            and self._needs_oracle()
            and not self.oracle_says
        ):
            self._finish(vote, self._settled)  # the oracle has told the other one to lead

    def _finish(self, vote: Vote, votes: Mapping[int, Vote]) -> None:
        self.electors = agreeing(votes, vote)
        self.winner = self.current = Vote(vote.leader, vote.zxid, vote.round, vote.peer_epoch)
        if vote.leader == self._server_id:
            self.set_state(ServerState.LEADING)
        else:
            is_observer = self._initial.zxid == NOBODY
            self.set_state(ServerState.OBSERVING if is_observer else ServerState.FOLLOWING)

    def _stop(self) -> None:
        self._deadline = None
        self._is_finalizing = False
        self._heard.clear()
