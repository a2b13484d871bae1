"""What a learner hears from its leader: one function per packet type, found through a table.

The packets of one wake-up are a batch: its proposals go to the log together, and the tree moves once.
Source: docs/protocol/zab.md sections 5, 6.2, 6.3, 7.2, 8.3 and 9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.codec.quorum import PacketType, unpack_designated, unpack_inform_and_activate, unpack_revalidated
from pyzk.errors import PeerError
from pyzk.zab.configuring import is_reconfig
from pyzk.zab.effects import Pinged, Revalidated, Synced
from pyzk.zab.history import require_next

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyzk.codec.quorum import Packet
    from pyzk.zab.events import Entry
    from pyzk.zab.learning import Learning

    Handler = Callable[["Batch", "Packet"], None]


class Batch:
    """The packets of one wake-up.

    Attributes:
        last_zxid: the end of the log once this batch is in it.
    """

    __slots__ = ("last_zxid", "learning", "proposals")

    def __init__(self, learning: Learning) -> None:
        self.learning = learning
        self.last_zxid = learning.last_zxid
        self.proposals: list[Entry] = []

    def hear(self, packet: Packet) -> None:
        """One packet. Raises PeerError for what a leader must not say, DecodeError for data that is none."""
        handler = HANDLERS.get(packet.type)
        if handler is None:
            raise PeerError(f"packet {packet.type} from the leader")
        handler(self, packet)

    def log(self) -> None:
        """Log what was proposed."""
        if self.proposals:
            proposals, self.proposals = self.proposals, []
            self.learning.log(proposals)

    def finish(self) -> None:
        """The same, and move the tree if the leader is established."""
        self.log()
        if self.learning.established:
            self.learning.deliver()

    def take(self, zxid: int, payload: bytes | None) -> bytes:
        """A txn for the log, which is returned. Raises PeerError for one that cannot stand next there."""
        if payload is None:
            raise PeerError(f"txn 0x{zxid:x} has no content")
        if zxid != self.last_zxid + 1 and not require_next(zxid, self.last_zxid):
            self.learning.state.note("zxids_missing", is_warning=True, after=hex(self.last_zxid), next=hex(zxid))
        self.last_zxid = zxid
        self.proposals.append((zxid, payload))
        return payload

    def commit(self, zxid: int) -> None:
        """The leader has committed everything up to `zxid`."""
        learning = self.learning
        if zxid > self.last_zxid:
            raise PeerError(f"a COMMIT of 0x{zxid:x}, and 0x{self.last_zxid:x} is the last that was proposed")
        if zxid < learning.commit_to:
            learning.state.note("committed_again", is_warning=True, zxid=hex(zxid))
            return
        learning.commit_to = zxid


def hear(learning: Learning, packets: Iterable[Packet]) -> None:
    """Packets of one wake-up, in order. Raises PeerError and DecodeError."""
    batch = Batch(learning)
    for packet in packets:
        batch.hear(packet)
    batch.finish()


def _proposal(batch: Batch, packet: Packet) -> None:
    if not batch.learning.is_observer or not batch.learning.established:
        payload = batch.take(packet.zxid, packet.data)
        if is_reconfig(payload):
            batch.learning.see_proposal(payload)


def _commit(batch: Batch, packet: Packet) -> None:
    if not batch.learning.is_observer or not batch.learning.established:
        batch.commit(packet.zxid)


def _inform(batch: Batch, packet: Packet) -> None:
    batch.take(packet.zxid, packet.data)
    batch.commit(packet.zxid)


def _commit_and_activate(batch: Batch, packet: Packet) -> None:
    batch.finish()
    batch.commit(packet.zxid)
    batch.learning.activate(unpack_designated(packet.data or b""))


def _inform_and_activate(batch: Batch, packet: Packet) -> None:
    designated, payload = unpack_inform_and_activate(packet.data or b"")
    batch.finish()
    batch.take(packet.zxid, payload)
    batch.log()
    batch.learning.see_proposal(payload)
    batch.commit(packet.zxid)
    batch.learning.activate(designated)


def _ping(batch: Batch, packet: Packet) -> None:
    """Answered only behind UPTODATE, as by Apache's learners: leaders count on it."""
    learning = batch.learning
    if learning.established:
        learning.state.effects.append(Pinged(learning.link, packet.zxid))


def _sync(batch: Batch, packet: Packet) -> None:  # noqa: ARG001
    """It stands behind the COMMITs that it waited for."""
    batch.finish()
    batch.learning.state.effects.append(Synced())


def _revalidate(batch: Batch, packet: Packet) -> None:
    session_id, is_valid = unpack_revalidated(packet)
    batch.learning.state.effects.append(Revalidated(session_id, is_valid))


def _up_to_date(batch: Batch, packet: Packet) -> None:  # noqa: ARG001
    batch.learning.state.note("up_to_date_again", is_warning=True)


HANDLERS: dict[int, Handler] = {
    PacketType.PROPOSAL: _proposal,
    PacketType.COMMIT: _commit,
    PacketType.COMMITANDACTIVATE: _commit_and_activate,
    PacketType.INFORM: _inform,
    PacketType.INFORMANDACTIVATE: _inform_and_activate,
    PacketType.PING: _ping,
    PacketType.SYNC: _sync,
    PacketType.REVALIDATE: _revalidate,
    PacketType.UPTODATE: _up_to_date,
}
