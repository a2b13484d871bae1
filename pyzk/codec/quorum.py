"""Packets between a leader and its learners, on the quorum port.

They follow each other without an outer length; behind a SNAP comes the tree, outside any packet. `PacketReader` takes
packets from what was received, `packet` makes them, and the rest reads and writes the data they carry. Zxids, session
ids and server ids are signed 64-bit numbers. Source: docs/protocol/zab.md sections 1, 3 and 6 to 8.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Self

from pyzk.codec.jute import INT32, INT64, NULL, pack_buffer
from pyzk.errors import DecodeError


class PacketType(IntEnum):
    """What a packet says; the table of section 1 has who sends it and with which zxid and data."""

    REQUEST = 1
    PROPOSAL = 2
    ACK = 3
    COMMIT = 4
    PING = 5
    REVALIDATE = 6
    SYNC = 7
    INFORM = 8
    COMMITANDACTIVATE = 9
    NEWLEADER = 10
    FOLLOWERINFO = 11
    UPTODATE = 12
    DIFF = 13
    TRUNC = 14
    SNAP = 15
    OBSERVERINFO = 16
    LEADERINFO = 17
    ACKEPOCH = 18
    INFORMANDACTIVATE = 19


# Looked up once: an enum's members are slow to come by, and so is the size of a struct.
REQUEST, SNAP = int(PacketType.REQUEST), int(PacketType.SNAP)
CUMULATIVE = frozenset({int(PacketType.ACK), int(PacketType.COMMIT)})
"""What such a packet says of its txn holds for all before, in a log without holes."""
COUNTER_MASK = 0xFFFFFFFF
"""The part of a zxid that counts the txns of its epoch."""

STREAM_SIGNATURE = pack_buffer(b"BenWasHere")
"""What follows the tree behind a SNAP."""

PROTOCOL_VERSION = 0x10000
PROTOCOL_VERSION_UNSAID = 1
"""Of a learner whose LearnerInfo is too short to say it: from before LEADERINFO."""

Ids = tuple[tuple[bytes, bytes], ...]
"""Schemes and ids of a client."""
IDS_KEPT_BYTES_MAX = 500
"""Longer ones are not remembered."""

HEAD = Struct(">iqi")
"""Type, zxid, length of the data."""
SMALLEST = Struct(">iqii")
"""A packet without data and ids: both lengths are -1."""
NEXT = Struct(">iqq")
"""The same where both lengths are looked at together."""
HEAD_SIZE, SMALLEST_SIZE = HEAD.size, SMALLEST.size
REQUEST_HEAD = Struct(">qii")
"""Session id, cxid, opcode."""
TOUCH = Struct(">qi")
"""Session id, timeout in ms."""
REVALIDATED = Struct(">q?")
LEARNER_INFO = Struct(">qiq")


def packet(kind: int, zxid: int, data: bytes | None = None) -> bytes:
    """A packet without ids; null and empty data are different things to its reader."""
    if data is None:
        return SMALLEST.pack(kind, zxid, -1, -1)
    return b"%b%b%b" % (HEAD.pack(kind, zxid, len(data)), data, NULL)


def packets_of_txns(kind: int, entries: Iterable[tuple[int, bytes]]) -> bytes:
    """A packet for each of these zxids and txns."""
    parts: list[bytes] = []
    for zxid, payload in entries:
        parts += (HEAD.pack(kind, zxid, len(payload)), payload, NULL)
    return b"".join(parts)


def packets_of_zxids(kind: int, zxids: Iterable[int]) -> bytes:
    """A packet without data for each of these."""
    return b"".join([SMALLEST.pack(kind, zxid, -1, -1) for zxid in zxids])


@dataclass(slots=True)
class Packet:
    """One packet.

    Args:
        auth: (scheme, id) pairs, as `tree.acl.Identity`; None is the null vector.
    """

    type: int
    zxid: int
    data: bytes | None = None
    auth: Ids | None = None

    def encode(self) -> bytes:
        """The packet's bytes."""
        plain = packet(self.type, self.zxid, self.data)
        return plain if self.auth is None else plain[: -len(NULL)] + _pack_ids(self.auth)


def _pack_ids(ids: Ids) -> bytes:
    parts = [INT32.pack(len(ids))]
    for scheme, text in ids:
        parts += (INT32.pack(len(scheme)), scheme, INT32.pack(len(text)), text)
    return b"".join(parts)


class PacketReader:
    """Puts received bytes together to packets.

    It stops behind a SNAP, because what follows is no packet; `take_rest` gives what was received of it, and `resume`
    goes on behind it.

    Args:
        bytes_max: longest buffer, string or vector that is accepted (jute.maxbuffer plus extrasize).
        joins_runs: of several ACKs, or COMMITs, of txns that follow each other only the last is returned.

    Attributes:
        is_raw: a SNAP was read, and `resume` was not called since.
    """

    __slots__ = ("_cumulative", "_ids", "_ids_bytes", "_missing_bytes", "_parts", "_rest", "bytes_max", "is_raw")

    def __init__(self, bytes_max: int, *, joins_runs: bool = False) -> None:
        self.bytes_max = bytes_max
        self._cumulative: frozenset[int] = CUMULATIVE if joins_runs else frozenset()
        self.is_raw = False
        self._parts: list[bytes] = []
        self._missing_bytes = 0
        self._rest = b""
        # Those of the last packet that had any: most have the same. No vector is the beginning of another one.
        self._ids: Ids = ()
        self._ids_bytes = NULL

    def feed(self, data: bytes) -> list[Packet]:
        """All packets completed by `data`. Raises DecodeError for a type or a length that is not allowed."""
        assert not self.is_raw, "behind a SNAP comes no packet"
        if not self._parts:
            return self._split(data)
        # Pieces of a long packet are joined once, when as much is there as it is known to need.
        self._parts.append(data)
        self._missing_bytes -= len(data)
        if self._missing_bytes > 0:
            return []
        source = b"".join(self._parts)
        self._parts.clear()
        return self._split(source)

    def take_rest(self) -> bytes:
        """What has been received behind the SNAP; once."""
        assert self.is_raw, "there is a rest behind a SNAP only"
        rest, self._rest = self._rest, b""
        return rest

    def resume(self, rest: bytes) -> list[Packet]:
        """Go on with packets, the first of which are in `rest`. Raises DecodeError as `feed` does."""
        assert self.is_raw, "only what has stopped can go on"
        self.is_raw = False
        return self._split(rest)

    def _split(self, source: bytes) -> list[Packet]:
        """Packets of `source`; an unfinished one is kept, with the number of bytes that it still needs at least."""
        packets: list[Packet] = []
        position, stop, end = 0, 0, len(source)
        while end - position >= SMALLEST_SIZE:
            kind, zxid, length, count = SMALLEST.unpack_from(source, position)
            stop = position + SMALLEST_SIZE
            data = auth = None
            if length != -1 or not 1 <= kind <= 19:
                if not (0 <= length <= self.bytes_max and 1 <= kind <= 19):
                    self._check(kind, length)
                stop += length
                if stop > end:
                    break
                data = source[position + HEAD_SIZE : stop - 4]
                (count,) = INT32.unpack_from(source, stop - 4)
            elif kind in self._cumulative and count == -1 and stop < end:
                zxid, stop = _end_of_run(source, kind, zxid, stop)
            if count != -1:
                auth, stop = self._ids_at(source, stop, count)
                if stop > end:
                    break
            packets.append(Packet(kind, zxid, data, auth))
            position = stop
            if kind == SNAP:
                self.is_raw = True
                self._rest = source[position:]
                return packets
        else:
            stop = position + self._check_part(source, position)
        if position < end:
            self._parts.append(source[position:])
            self._missing_bytes = stop - end
        return packets

    def _check(self, kind: int, length: int) -> int:
        """Bytes of the data. Raises DecodeError for a type that is none or a length that is not allowed."""
        if not 1 <= kind <= 19:
            raise DecodeError(f"packet type {kind}, known are 1 to 19")
        return self._check_length("buffer", length)

    def _check_length(self, what: str, length: int) -> int:
        """The length, 0 for null. Raises DecodeError if it is not allowed."""
        if length < -1 or length > self.bytes_max:
            raise DecodeError(f"{what} of length {length} in a packet, allowed is -1 to {self.bytes_max}")
        return max(0, length)

    def _check_part(self, source: bytes, position: int) -> int:
        """Bytes that a packet needs at least of which less than the smallest packet is there. Raises DecodeError."""
        there = len(source) - position
        if there < 4:
            return 4
        (kind,) = INT32.unpack_from(source, position)
        length = -1 if there < HEAD.size else INT32.unpack_from(source, position + HEAD.size - 4)[0]
        size = self._check(kind, length)
        return HEAD.size if there < HEAD.size else SMALLEST.size + size

    def _ids_at(self, source: bytes, position: int, count: int) -> tuple[Ids, int]:
        """As `_read_ids`, or in one step if they are those that came last."""
        start = position - INT32.size
        if source.startswith(self._ids_bytes, start):
            return self._ids, start + len(self._ids_bytes)
        ids, stop = self._read_ids(source, position, count)
        if stop <= len(source) and stop - start <= IDS_KEPT_BYTES_MAX:
            self._ids, self._ids_bytes = ids, source[start:stop]
        return ids, stop

    def _read_ids(self, source: bytes, position: int, count: int) -> tuple[Ids, int]:
        """`count` pairs and the offset behind them; if not all are there, the least that this can be.

        Null strings read as empty ones. Raises DecodeError for a length that is not allowed, or for too much in all.
        """
        texts: list[bytes] = []
        end, position_max = len(source), position + 2 * self.bytes_max
        for behind in range(2 * self._check_length("vector", count) - 1, -1, -1):
            start = position + 4
            if start <= end:
                position = start + self._check_length("string", INT32.unpack_from(source, position)[0])
            if max(start, position) + 4 * behind > position_max:
                raise DecodeError(f"{count} ids in a packet take more than {2 * self.bytes_max} bytes")
            if start > end or position > end:
                return (), max(start, position) + 4 * behind
            texts.append(source[start:position])
        return tuple(zip(texts[::2], texts[1::2], strict=True)), position


def _end_of_run(source: bytes, kind: int, zxid: int, position: int) -> tuple[int, int]:
    """The zxid of the last packet of a run, and the offset behind it; the first has this zxid and ends here.

    A run is of one epoch, and its beginning is no txn: the ACK of that is NEWLEADER's.
    """
    counter = zxid & COUNTER_MASK
    count_max = min((len(source) - position) // SMALLEST_SIZE, COUNTER_MASK - counter if counter else 0)
    rest = memoryview(source)[position : position + SMALLEST_SIZE * count_max]
    for next_kind, next_zxid, lengths in NEXT.iter_unpack(rest):
        if next_kind != kind or next_zxid != zxid + 1 or lengths != -1:
            break
        zxid = next_zxid
        position += SMALLEST_SIZE
    return zxid, position


@dataclass(slots=True)
class LearnerInfo:
    """Data of FOLLOWERINFO and OBSERVERINFO.

    Args:
        config_version: of the committed configuration.
    """

    server_id: int
    protocol_version: int = PROTOCOL_VERSION
    config_version: int = 0

    def encode(self) -> bytes:
        """Twenty bytes."""
        return LEARNER_INFO.pack(self.server_id, self.protocol_version, self.config_version)

    @classmethod
    def decode(cls, data: bytes | None) -> Self | None:
        """As much as there is: older learners send 8 or 12 bytes. None if there is no id: the leader invents one."""
        if data is None or len(data) < 8:
            return None
        if len(data) >= LEARNER_INFO.size:
            return cls(*LEARNER_INFO.unpack_from(data))
        version = INT32.unpack_from(data, 8)[0] if len(data) >= 12 else PROTOCOL_VERSION_UNSAID
        return cls(INT64.unpack_from(data)[0], version)


@dataclass(slots=True)
class Forwarded:
    """A client's request on its way to the leader.

    Args:
        body: the request's record, as the client sent it.
        identities: those of the client's connection; None for a createSession.
    """

    session_id: int
    cxid: int
    opcode: int
    body: bytes
    identities: Ids | None = None

    def encode(self) -> bytes:
        """The whole REQUEST packet."""
        data = REQUEST_HEAD.pack(self.session_id, self.cxid, self.opcode) + self.body
        ids = NULL if self.identities is None else _pack_ids(self.identities)
        return b"".join((HEAD.pack(REQUEST, -1, len(data)), data, ids))

    @classmethod
    def from_packet(cls, packet: Packet) -> Self:
        """What a REQUEST carries. Raises DecodeError."""
        data = _at_least(REQUEST_HEAD.size, packet.data, "REQUEST")
        session_id, cxid, opcode = REQUEST_HEAD.unpack_from(data)
        return cls(session_id, cxid, opcode, data[REQUEST_HEAD.size :], packet.auth)


def _at_least(size: int, data: bytes | None, what: str) -> bytes:
    """The data. Raises DecodeError if there is none, or not enough."""
    if data is None or len(data) < size:
        raise DecodeError(f"{what} with {'no' if data is None else len(data)} bytes of data, needed are {size}")
    return data


def pack_touches(touches: Mapping[int, int]) -> bytes:
    """Data of the reply to a PING: session ids with their timeouts in ms; empty, but not null, if there are none."""
    return b"".join([TOUCH.pack(session_id, timeout_ms) for session_id, timeout_ms in touches.items()])


def unpack_touches(data: bytes | None) -> dict[int, int]:
    """Session ids and timeouts in ms; none in null data. Raises DecodeError for half a session."""
    if data is None:
        return {}
    if len(data) % TOUCH.size:
        raise DecodeError(f"PING with {len(data)} bytes of data, a session has {TOUCH.size}")
    return dict(TOUCH.iter_unpack(data))


def pack_revalidate(session_id: int, timeout_ms: int) -> bytes:
    """The whole REVALIDATE packet with which a learner asks about a session."""
    return packet(PacketType.REVALIDATE, -1, TOUCH.pack(session_id, timeout_ms))


def unpack_revalidate(packet: Packet) -> tuple[int, int]:
    """Session id and timeout in ms of a learner's question. Raises DecodeError."""
    session_id, timeout_ms = TOUCH.unpack_from(_at_least(TOUCH.size, packet.data, "REVALIDATE"))
    return session_id, timeout_ms


def pack_revalidated(session_id: int, is_valid: bool) -> bytes:  # noqa: FBT001 - the two fields of the answer
    """The whole REVALIDATE packet with which the leader answers."""
    return packet(PacketType.REVALIDATE, -1, REVALIDATED.pack(session_id, is_valid))


def unpack_revalidated(packet: Packet) -> tuple[int, bool]:
    """Session id, and whether the session lives, of the leader's answer. Raises DecodeError."""
    session_id, is_valid = REVALIDATED.unpack_from(_at_least(REVALIDATED.size, packet.data, "REVALIDATE"))
    return session_id, is_valid


def pack_epoch(epoch: int) -> bytes:
    """Data of an ACKEPOCH (the current epoch, or -1) and of a LEADERINFO (there it is the protocol version)."""
    return INT32.pack(epoch)


def unpack_epoch(data: bytes | None) -> int:
    """The number in an ACKEPOCH or a LEADERINFO. Raises DecodeError."""
    epoch: int = INT32.unpack_from(_at_least(4, data, "ACKEPOCH or LEADERINFO"))[0]
    return epoch


def pack_designated(server_id: int) -> bytes:
    """Data of a COMMITANDACTIVATE: the server that leads from then on."""
    return INT64.pack(server_id)


def unpack_designated(data: bytes | None) -> int:
    """The designated leader of a COMMITANDACTIVATE. Raises DecodeError."""
    designated: int = INT64.unpack_from(_at_least(8, data, "COMMITANDACTIVATE"))[0]
    return designated


def pack_inform_and_activate(designated: int, payload: bytes) -> bytes:
    """Data of an INFORMANDACTIVATE: the designated leader and the txn."""
    return INT64.pack(designated) + payload


def unpack_inform_and_activate(data: bytes | None) -> tuple[int, bytes]:
    """Designated leader and txn of an INFORMANDACTIVATE. Raises DecodeError."""
    data = _at_least(8, data, "INFORMANDACTIVATE")
    return INT64.unpack_from(data)[0], data[8:]
