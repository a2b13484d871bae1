"""One member of an ensemble: agreement below, sessions above, and what passes between them.

The shell and the simulator give it events and perform the effects that it answers; those that are for service are
performed here. What service asks for in answer goes to agreement as an event, after the list at hand: so the order of
effects stays that in which they came. Source: docs/protocol/zab.md sections 6 to 8 and 11.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from pyzk.codec.txns import time_ms_of
from pyzk.errors import ReconfigInProgressError
from pyzk.service.desk import Desk
from pyzk.service.forwarding import Forwarding
from pyzk.service.roles import ReadOnly
from pyzk.zab import effects
from pyzk.zab.events import Answer, Event, StepDown
from pyzk.zab.leading import Leading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from pyzk.codec.requests import ReconfigRequest
    from pyzk.service.proposer import Proposer
    from pyzk.service.service import Service
    from pyzk.tree.tree import Tree
    from pyzk.zab.effects import Effect
    from pyzk.zab.events import Entry
    from pyzk.zab.peer import Peer

    Handler = Callable[["Member", Any, float, int], None]

REQUESTS_PER_TURN_MAX = 2000
"""Requests of our own clients taken in one turn; the rest waits for the next, so that reads come in between."""
READ_ONLY_DELAY_MS_MIN = 2000


class Member:
    """Service and agreement of one server.

    Args:
        service: with the tree of the server.
        proposer: used while we lead.
        peer: started by `start`.
        rng: for the first cxid of our forwarded requests.
        read_only_enabled: serve reads while no leader is found (readonlymode.enabled).
    """

    def __init__(
        self, service: Service, proposer: Proposer, peer: Peer, rng: Random, *, read_only_enabled: bool = False
    ) -> None:
        self.service = service
        self.proposer = proposer
        self.peer = peer
        self.state = peer.state
        self.desk: Desk | None = None
        self.forwarding: Forwarding | None = None
        self._rng = rng
        self._read_only_enabled = read_only_enabled
        self._roleless_since: float | None = None
        self._events: deque[Event] = deque()
        self._handlers = self._table()
        self._next_tree: Tree | None = None
        """What we are going to have when our term as a leader is over."""
        service.is_serving = False
        proposer.rules.reconfigure = self._reconfigure

    # What the shell calls.

    def start(self, now: float, wall_ms: int) -> list[Effect]:
        """Begin to look for a leader."""
        self._roleless_since = now
        return self._perform(self.peer.start(now), now, wall_ms)

    def receive(self, event: Event, now: float, wall_ms: int) -> list[Effect]:
        """What is to be done after an event, in list order."""
        return self._perform(self.peer.receive(event, now), now, wall_ms)

    def settle(self, now: float, wall_ms: int) -> list[Effect]:
        """Requests of our clients have gathered in the outbox: propose them, or forward them."""
        if self.desk is not None:
            self._events.extend(self.desk.take_own(REQUESTS_PER_TURN_MAX, now, wall_ms))
            self._watch_counter(self.desk)
        elif self.forwarding is not None:
            self._forward(self.forwarding, now)
        return self._perform([], now, wall_ms)

    def tick(self, now: float, wall_ms: int) -> list[Effect]:
        """A tick has passed: expire sessions, or serve reads alone."""
        if self.service.is_serving:
            self.service.tick(now)
            return self.settle(now, wall_ms)
        since, tick_ms = self._roleless_since, self.service.settings.tick_ms
        delay_ms = max(READ_ONLY_DELAY_MS_MIN, tick_ms)
        if self._read_only_enabled and since is not None and (now - since) * 1000 >= delay_ms:
            self.service.open(ReadOnly(self.service), now)
        return []

    def deadline(self) -> float | None:
        """When to be woken, monotonic seconds."""
        return self.peer.deadline()

    def replace_tree(self, tree: Tree) -> None:
        """The tree is another one; nobody is served at the moment."""
        assert self.desk is None
        assert self.forwarding is None
        self.service.tree = tree
        self.proposer.begin(tree, tree.last_zxid)

    # Between the two.

    def _perform(self, todo: list[Effect], now: float, wall_ms: int) -> list[Effect]:
        """Perform what is for service; the rest is for the shell."""
        rest: list[Effect] = []
        handlers = self._handlers
        while True:
            for effect in todo:
                handler = handlers.get(type(effect))
                if handler is not None:
                    handler(self, effect, now, wall_ms)
                if handler is None or type(effect) in self._SHARED:
                    rest.append(effect)
            if not self._events:
                self._leave_read_only()
                return rest
            todo = self.peer.receive(self._events.popleft(), now)

    def _leave_read_only(self) -> None:
        """A leader is found: from now on the tree may change."""
        if self.peer.role is not None:
            self._roleless_since = None
            if self.service.is_serving and self.service.read_only:
                self.service.close_all("a leader is found")

    def _forward(self, forwarding: Forwarding, now: float) -> None:
        service = self.service
        requests = service.next_requests(REQUESTS_PER_TURN_MAX, len(forwarding.pending), now)
        packets, service.outbox.packets = service.outbox.packets, []
        if requests:
            packets.append(forwarding.forward_own(requests))
        if packets:
            self._events.append(Answer(forwarding.link, b"".join(packets)))

    def _watch_counter(self, desk: Desk) -> None:
        if desk.epoch_exhausted:
            self._events.append(StepDown("the zxids of this epoch are used up"))

    def _reconfigure(self, request: ReconfigRequest, zxid: int) -> bytes:
        """The text of the configuration that a request asks for. Raises RequestError."""
        role = self.peer.role
        if not isinstance(role, Leading):
            # It came with the ack that has put another leader in force: our term is over, and our clients go with it.
            raise ReconfigInProgressError
        return attrs.evolve(role.proposals.reconfigure(request), version=zxid).text().encode()

    # Effects for service.

    def _count_delivery(self, entries: Sequence[Entry], wall_ms: int) -> None:
        counters, made_ms = self.service.counters, time_ms_of(entries[-1][1])
        if self.desk is not None:
            counters.note_commit(len(entries), made_ms, wall_ms)
        else:
            counters.note_delivery(len(entries), made_ms, wall_ms)
            counters.commits_heard += len(entries)

    def _deliver(self, effect: effects.Deliver, now: float, wall_ms: int) -> None:
        role = self.desk or self.forwarding
        if effect.entries:
            self._count_delivery(effect.entries, wall_ms)
        if role is not None:
            role.deliver(effect.zxid, effect.entries, now)
        else:
            self.service.deliver_entries(effect.entries, now)

    def _opened(self, effect: effects.Opened, now: float, wall_ms: int) -> None:
        service, state = self.service, self.state
        service.tree.last_zxid = max(service.tree.last_zxid, effect.zxid)
        service.tree.set_config(state.membership.text().encode(), state.membership.version, wall_ms)
        if effect.is_leader:
            self.desk = Desk(service, self.proposer, effect.zxid, state.server_id)
            service.open(self.desk, now)
        else:
            self.forwarding = Forwarding(service, effect.link, self._rng.getrandbits(31))
            service.open(self.forwarding, now)

    def _closed(self, effect: effects.Closed, now: float, wall_ms: int) -> None:  # noqa: ARG002
        self.desk = self.forwarding = None
        self._roleless_since = now
        if self.service.is_serving:
            self.service.close_all(effect.reason)
        if self._next_tree is not None:
            self.replace_tree(self._next_tree)
            self._next_tree = None

    def _install(self, effect: effects.Install, now: float, wall_ms: int) -> None:  # noqa: ARG002
        self.service.inexact_until = effect.last_zxid
        if self.desk is None:
            self.replace_tree(effect.tree)
        else:
            self._next_tree = effect.tree

    def _requests(self, effect: effects.Requests, now: float, wall_ms: int) -> None:
        if self.desk is not None:
            self._events.extend(self.desk.take_forwarded(effect.link, effect.requests, now, wall_ms))
            self._watch_counter(self.desk)
        elif self.forwarding is not None:
            self._events.append(Answer(self.forwarding.link, self.forwarding.relay(effect.link, effect.requests)))

    def _revalidate(self, effect: effects.Revalidate, now: float, wall_ms: int) -> None:  # noqa: ARG002
        if self.desk is not None:
            answer = self.desk.revalidate(effect.link, effect.session_id, effect.timeout_ms, now)
            self._events.append(Answer(effect.link, answer))
        elif self.forwarding is not None:
            question = self.forwarding.relay_revalidate(effect.link, effect.session_id, effect.timeout_ms)
            self._events.append(Answer(self.forwarding.link, question))

    def _relay(self, answer: Answer | None) -> None:
        """The leader's answer was for an observer of ours."""
        if answer is not None:
            self._events.append(answer)

    def _touched(self, effect: effects.Touched, now: float, wall_ms: int) -> None:  # noqa: ARG002
        if self.desk is not None:
            self.desk.touched(effect.touches, now)
        elif self.forwarding is not None:
            self.forwarding.touched(effect.touches)

    def _learner_left(self, effect: effects.LearnerLeft, now: float, wall_ms: int) -> None:  # noqa: ARG002
        if self.desk is not None:
            self.desk.learner_left(effect.link)

    def _revalidated(self, effect: effects.Revalidated, now: float, wall_ms: int) -> None:  # noqa: ARG002
        if self.forwarding is not None:
            self._relay(self.forwarding.revalidated(effect.session_id, effect.is_valid, now))

    def _pinged(self, effect: effects.Pinged, now: float, wall_ms: int) -> None:  # noqa: ARG002
        if self.forwarding is not None:
            self._events.append(Answer(effect.link, self.forwarding.pinged(effect.zxid)))

    def _synced(self, effect: effects.Synced, now: float, wall_ms: int) -> None:  # noqa: ARG002
        if self.desk is not None:
            self.desk.synced(effect.tag, now)
        elif self.forwarding is not None:
            self._relay(self.forwarding.synced(now))

    def _config_changed(self, effect: effects.ConfigChanged, now: float, wall_ms: int) -> None:  # noqa: ARG002
        """What a reconfig txn brings is in the tree already; what came otherwise is put there."""
        self.service.tree.set_config(effect.text.encode(), effect.version, wall_ms)

    @classmethod
    def _table(cls) -> dict[type, Handler]:
        """As `zab/peer.py`."""
        return {
            effects.Deliver: cls._deliver,
            effects.Opened: cls._opened,
            effects.Closed: cls._closed,
            effects.Install: cls._install,
            effects.Requests: cls._requests,
            effects.Revalidate: cls._revalidate,
            effects.Touched: cls._touched,
            effects.LearnerLeft: cls._learner_left,
            effects.Revalidated: cls._revalidated,
            effects.Pinged: cls._pinged,
            effects.Synced: cls._synced,
            effects.ConfigChanged: cls._config_changed,
        }

    _SHARED: ClassVar[frozenset[type]] = frozenset(
        {effects.Opened, effects.Closed, effects.Install, effects.ConfigChanged}
    )
    """Effects that the shell hears of too."""
