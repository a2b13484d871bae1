"""A follower that serves observers, so that the leader need not (observerMasterPort).

An observer is brought up as by a leader, from this server's own data, and is told of a txn when this server hears that
it is committed. What its clients ask for goes on to the leader as if it came from clients of ours.
Source: docs/protocol/zab.md section 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.codec.quorum import (
    Forwarded,
    PacketType,
    pack_inform_and_activate,
    packet,
    packets_of_txns,
    unpack_revalidate,
    unpack_touches,
)
from pyzk.errors import PeerError
from pyzk.zab.effects import Requests, Revalidate, Touched
from pyzk.zab.master import Master

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyzk.codec.quorum import Packet
    from pyzk.zab.events import Entry
    from pyzk.zab.learning import Learning
    from pyzk.zab.serving import Learner


class Mastering(Master):
    """The observers of one follower, for as long as it follows."""

    def __init__(self, learning: Learning, now: float) -> None:
        super().__init__(learning.state)
        self.epoch = learning.epoch
        self._due = now + self.settings.tick_ms / 2000

    def has_epoch(self) -> bool:
        """It is that of our leader."""
        return True

    def may_synchronise(self) -> bool:
        """We are in sync ourselves."""
        return True

    def is_established(self) -> bool:
        """Our leader is."""
        return True

    def learner_offers(self, learner: Learner, accepted_epoch: int) -> None:
        """Only observers are served here. Raises PeerError."""
        if not learner.is_observer:
            raise PeerError("only observers are served on observerMasterPort")
        if accepted_epoch > self.epoch:
            raise PeerError(f"it has accepted epoch {accepted_epoch}, and ours is {self.epoch}")

    def learner_promises(self, learner: Learner, current_epoch: int, last_zxid: int) -> None:
        """An observer's promise is not counted."""

    def learner_synced(self, learner: Learner) -> None:
        """An observer is not counted."""
        learner.is_synced = True

    def outstanding(self, learner: Learner) -> list[Entry]:  # noqa: ARG002
        """Observers are only told of what is committed."""
        return []

    def inform(self, entries: Sequence[Entry]) -> None:
        """These txns are committed."""
        informs = b""
        for learner in self.learners.values():
            if learner.forwards:
                informs = informs or packets_of_txns(PacketType.INFORM, entries)
                self.state.send(learner.link, informs)

    def inform_and_activate(self, entry: Entry, designated: int) -> None:
        """A txn that changes the configuration is committed."""
        zxid, payload = entry
        for learner in self.learners.values():
            if learner.forwards:
                content = pack_inform_and_activate(designated, payload)
                self.state.send(learner.link, packet(PacketType.INFORMANDACTIVATE, zxid, content))

    def hear(self, learner: Learner, packets: list[Packet], now: float) -> None:  # noqa: ARG002
        """Requests, touches and questions about sessions: service passes them on. Raises PeerError, DecodeError."""
        effects = self.state.effects
        requests: list[Forwarded] = []
        for received in packets:
            if received.type == PacketType.REQUEST:
                requests.append(Forwarded.from_packet(received))
            elif received.type == PacketType.PING:
                effects.append(Touched(unpack_touches(received.data)))
            elif received.type == PacketType.REVALIDATE:
                effects.append(Revalidate(learner.link, *unpack_revalidate(received)))
            elif received.type != PacketType.ACK or received.zxid & 0xFFFFFFFF:
                raise PeerError(f"packet {received.type} from an observer")
        if requests:
            effects.append(Requests(learner.link, requests))

    def deadline(self) -> float:
        """When something must be done."""
        return self._due

    def wake(self, now: float) -> None:
        """Half a tick has passed."""
        if now < self._due:
            return
        was_late = now - self._due > self.settings.tick_ms / 1000
        self._due = now + self.settings.tick_ms / 2000
        for learner in list(self.learners.values()):
            limit = self.settings.sync_seconds if learner.is_synced else self.settings.init_seconds
            if was_late:
                learner.heard_at = now
            elif now - learner.heard_at > limit:
                self.drop(learner, f"nothing heard for {now - learner.heard_at:.1f} s")
            if learner.forwards and learner.link in self.learners:
                self.ping(learner, self.state.history.committed_zxid)
