"""What an established leader hears from a learner: one function per packet type, found through a table.

Acks of one wake-up are counted once, and the requests in it go to service together.
Source: docs/protocol/zab.md sections 6.1, 7, 8 and 9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk.codec.quorum import Forwarded, PacketType, unpack_revalidate, unpack_touches
from pyzk.errors import DecodeError, PeerError
from pyzk.zab.effects import Requests, Revalidate, Touched

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.codec.quorum import Packet
    from pyzk.zab.leading import Leading
    from pyzk.zab.serving import Learner

    Handler = Callable[["Leading", "Learner", "Packet", float], None]


# Looked up once: an enum's members are slow to come by.
ACK, REQUEST = int(PacketType.ACK), int(PacketType.REQUEST)


def hear(leading: Leading, learner: Learner, packets: list[Packet], now: float) -> None:
    """Packets of one wake-up, in order. Raises PeerError for what a learner must not say."""
    requests: list[Forwarded] = []
    acknowledged = 0
    for packet in packets:
        if packet.type == ACK:
            acknowledged = max(acknowledged, packet.zxid)
            continue
        try:
            if packet.type == REQUEST:
                requests.append(Forwarded.from_packet(packet))
            else:
                _require(packet)(leading, learner, packet, now)
        except DecodeError as error:
            raise PeerError(str(error)) from error
    if acknowledged:
        _acknowledged(leading, learner, acknowledged, now)
    if requests and leading.established:
        leading.state.effects.append(Requests(learner.link, requests))


def _require(packet: Packet) -> Handler:
    handler = HANDLERS.get(packet.type)
    if handler is None:
        raise PeerError(f"packet {packet.type} from a learner")
    return handler


def _acknowledged(leading: Leading, learner: Learner, zxid: int, now: float) -> None:
    if zxid > leading.proposals.last_zxid:
        raise PeerError(f"an ack of 0x{zxid:x}, and only 0x{leading.proposals.last_zxid:x} is proposed")
    if learner.overdue is not None and zxid >= learner.overdue[0]:
        if learner.server_id in leading.state.membership.voter_ids:
            took_ms = int((now - learner.overdue[1]) * 1000)
            counts = leading.acks_ms.setdefault(learner.server_id, {})
            counts[took_ms] = counts.get(took_ms, 0) + 1
        learner.overdue = (leading.proposals.last_zxid, now) if zxid < leading.proposals.last_zxid else None
    leading.proposals.acknowledge(learner.server_id, zxid, now)


def _ping(leading: Leading, learner: Learner, packet: Packet, now: float) -> None:  # noqa: ARG001
    touches = unpack_touches(packet.data)
    if touches:
        leading.state.effects.append(Touched(touches))
    leading.sync_answered(learner)


def _revalidate(leading: Leading, learner: Learner, packet: Packet, now: float) -> None:  # noqa: ARG001
    session_id, timeout_ms = unpack_revalidate(packet)
    leading.state.effects.append(Revalidate(learner.link, session_id, timeout_ms))


HANDLERS: dict[int, Handler] = {PacketType.PING: _ping, PacketType.REVALIDATE: _revalidate}
