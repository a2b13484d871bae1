"""Peers that mean no good, on the quorum and election ports of a live ensemble: one attack after another, from a seed.

Garbage, packets cut short, changed, replayed or out of turn, huge lengths, ids and epochs that are not theirs, floods,
links that say nothing, little, or never read. A few links stay open meanwhile.

    with HostilePeers(ensemble, rng) as peers:
        name = peers.attack()
"""

import contextlib
import json
import random
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pyzk.codec.election import NOBODY, Hello, Notification, ServerState
from pyzk.codec.framing import frame
from pyzk.codec.quorum import LearnerInfo, PacketReader, PacketType, pack_epoch, packet
from pyzk.errors import DecodeError
from tests.integration.ensemble import Ensemble, Member

CAPTURED = [
    json.loads(line) for line in (Path(__file__).parent.parent / "vectors" / "peer.jsonl").read_text().splitlines()
]
OBSERVERS = range(200, 250)
TIMEOUT_S = 2.0
ANSWER_S = 0.05
HELD_MAX = 40
FLOOD_NOTIFICATIONS = 5000
LENGTHS = (-1, -(2**31), 2**31 - 1, 0, 1, 0x80001, 0xFFFFF, 0x7FFF0000)
LONGS = (0, 1, -1, NOBODY, (1 << 63) - 1, 1 << 32, (1 << 30) << 32, 0x7FFFFFFF << 32, 7)


def captured(prefix: str, direction: str | None = None) -> list[bytes]:
    """What was captured under names that begin so."""
    lines = [line for line in CAPTURED if line["name"].startswith(prefix)]
    return [bytes.fromhex(line["hex"]) for line in lines if direction in {None, line["direction"]}]


LEARNER_PACKETS = captured("qp.", "learner->leader")
LEADER_PACKETS = captured("qp.", "leader->learner")
REQUESTS = captured("qp.REQUEST")
NOTIFICATIONS = captured("election.notification")
HELLOS = captured("election.initial")


class HostilePeers:
    """Attacks on all servers of an ensemble, for the length of a `with`.

    Attributes:
        done: how often each attack was made.
    """

    def __init__(self, ensemble: Ensemble, rng: random.Random) -> None:
        self.ensemble = ensemble
        self.rng = rng
        self.done: Counter[str] = Counter()
        self._leader = ensemble[ensemble.leader()]
        self._held: deque[socket.socket] = deque()
        self._dripping: deque[tuple[socket.socket, bytes]] = deque(maxlen=HELD_MAX)
        self._attacks: list[Callable[[Member], None]] = [
            self._garbage,
            self._huge_length,
            self._cut_short,
            self._replayed,
            self._changed,
            self._somebody_else,
            self._wrong_epoch,
            self._bad_observer,
            self._odd_votes,
            self._flood,
            self._silent,
            self._slow,
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in (*self._held, *[connection for connection, _ in self._dripping]):
            connection.close()

    def attack(self) -> str:
        """One attack on one server, by its name; those that are slow go on by a byte."""
        attack = self.rng.choice(self._attacks)
        attack(self.rng.choice(list(self.ensemble.members.values())))
        self.done[attack.__name__] += 1
        self._drip()
        return attack.__name__

    # Attacks.

    def _garbage(self, member: Member) -> None:
        self._say(self._any_port(member), self.rng.randbytes(self.rng.randrange(1 << self.rng.randrange(17))))

    def _huge_length(self, member: Member) -> None:
        length = self.rng.choice(LENGTHS)
        rest = self.rng.randbytes(self.rng.randrange(100))
        hello = struct.pack(">qqi", self.rng.choice((-65536, -65535)), self._id(), length)
        notification = self._hello(self._id()) + struct.pack(">i", length)
        self._say((member, member.election_port), self.rng.choice((hello, notification)) + rest)
        head = struct.pack(">iqi", self.rng.randrange(1, 20), self.rng.choice(LONGS), length)
        identities = struct.pack(">iqii", PacketType.REQUEST, 0, -1, length)
        self._say((member, member.quorum_port), self.rng.choice((head, identities)) + rest)

    def _cut_short(self, member: Member) -> None:
        said = self._hello(self._id()) + self.rng.choice(NOTIFICATIONS)
        self._say((member, member.election_port), said[: self.rng.randrange(len(said))])
        said = b"".join(self.rng.sample(LEARNER_PACKETS, 2))
        self._say((member, member.quorum_port), said[: self.rng.randrange(len(said))])

    def _replayed(self, member: Member) -> None:
        """What was said in another ensemble, in its order or in any."""
        packets = self.rng.choice((LEARNER_PACKETS, LEADER_PACKETS))
        self._say((member, member.quorum_port), b"".join(packets))
        self._say((member, member.quorum_port), b"".join(self.rng.sample(packets, 5)))
        self._say((member, member.election_port), self.rng.choice(HELLOS) + b"".join(self.rng.sample(NOTIFICATIONS, 3)))

    def _changed(self, member: Member) -> None:
        port = self.rng.choice((member.election_port, member.quorum_port))
        election = self.rng.choice(HELLOS) + b"".join(NOTIFICATIONS)
        self._say((member, port), self._change(election if port == member.election_port else b"".join(LEARNER_PACKETS)))

    def _somebody_else(self, member: Member) -> None:
        """With the server's own id, or with that of another member."""
        server_id = self.rng.choice(list(self.ensemble.members))
        self._say((member, member.election_port), self._hello(server_id) + self._vote())
        kind = self.rng.choice((PacketType.FOLLOWERINFO, PacketType.OBSERVERINFO))
        said = packet(kind, 0, LearnerInfo(server_id).encode()) + packet(PacketType.ACKEPOCH, 0, pack_epoch(0))
        self._say((member, member.quorum_port), said + packet(PacketType.ACK, 1 << 32) * 3)

    def _wrong_epoch(self, member: Member) -> None:
        said = packet(PacketType.FOLLOWERINFO, self.rng.choice(LONGS), LearnerInfo(self._id()).encode())
        said += packet(PacketType.ACKEPOCH, self.rng.choice(LONGS), pack_epoch(self.rng.choice((-1, 0, 7, 2**31 - 1))))
        self._say((member, member.quorum_port), said + packet(PacketType.ACK, self.rng.choice(LONGS)))

    def _bad_observer(self, _: Member) -> None:
        """One that the leader brings up like any other, and that then says what it must not, and never reads again."""
        with contextlib.suppress(OSError):
            connection = self._connect((self._leader, self._leader.quorum_port))
            self._hold(connection)
            if self._is_brought_up(connection):
                packets = [self._change(self.rng.choice(LEARNER_PACKETS)) for _ in range(self.rng.randrange(20))]
                packets += self.rng.choices(REQUESTS, k=self.rng.randrange(20))
                self.rng.shuffle(packets)
                packets.append(packet(self.rng.randrange(-1, 25), self.rng.choice(LONGS), self.rng.randbytes(20)))
                connection.sendall(b"".join(packets))

    def _is_brought_up(self, connection: socket.socket) -> bool:
        """Play an observer up to its ACK of NEWLEADER, or to the tree; False if the leader hangs up."""
        info = LearnerInfo(self.rng.choice(OBSERVERS)).encode()
        connection.sendall(packet(PacketType.OBSERVERINFO, 0, info))
        reader = PacketReader(1 << 20)
        connection.settimeout(TIMEOUT_S)
        while data := connection.recv(1 << 16):
            try:
                heard = [(found.type, found.zxid) for found in reader.feed(data)]
            except DecodeError:
                return True  # a tree is no packet
            for kind, zxid in heard:
                if kind == PacketType.LEADERINFO:
                    connection.sendall(packet(PacketType.ACKEPOCH, zxid, pack_epoch(-1)))
                elif kind == PacketType.SNAP:
                    return True
                elif kind == PacketType.NEWLEADER:
                    connection.sendall(packet(PacketType.ACK, zxid))
                    return True
        return False

    def _odd_votes(self, member: Member) -> None:
        votes = b"".join(self._vote() for _ in range(self.rng.randrange(1, 50)))
        self._say((member, member.election_port), self._hello(self._id()) + votes)

    def _flood(self, member: Member) -> None:
        """Questions without end, and no answer is ever read."""
        question = frame(Notification(ServerState.LOOKING, 77, 0, 1, 0, config=b"version=0").encode()[4:])
        with contextlib.suppress(OSError):
            connection = self._connect((member, member.election_port))
            self._hold(connection)
            connection.sendall(self._hello(self.rng.choice((77, 3))) + question * FLOOD_NOTIFICATIONS)

    def _silent(self, member: Member) -> None:
        with contextlib.suppress(OSError):
            self._hold(self._connect(self._any_port(member)))

    def _slow(self, member: Member) -> None:
        said = self.rng.choice((b"".join(LEARNER_PACKETS), self._hello(self._id()) + b"".join(NOTIFICATIONS)))
        with contextlib.suppress(OSError):
            if len(self._dripping) == HELD_MAX:
                self._dripping[0][0].close()
            self._dripping.append((self._connect(self._any_port(member)), said))

    def _drip(self) -> None:
        for _ in range(len(self._dripping)):
            connection, rest = self._dripping.popleft()
            try:
                connection.send(rest[:1])
            except OSError:
                connection.close()
            else:
                self._dripping.append((connection, rest[1:]))

    # What they are made of.

    def _any_port(self, member: Member) -> tuple[Member, int]:
        return member, self.rng.choice((member.election_port, member.quorum_port))

    def _id(self) -> int:
        return self.rng.choice((*LONGS, 77, *self.ensemble.members))

    def _hello(self, server_id: int) -> bytes:
        return Hello(server_id, [("127.0.0.1", 1)]).encode(multi_address=self.rng.random() < 0.5)

    def _vote(self) -> bytes:
        numbers = [self.rng.choice((*LONGS, 1, 2, 3)) for _ in range(4)]
        state = self.rng.choice((0, 0, 1, 2, 3, 77, -1))
        text = self.rng.choice((b"", b"version=0", b"\xff\xfe", b"server.9=h:1:2:participant\nversion=ffffffff"))
        body = struct.pack(">iqqqqii", state, *numbers, 2, len(text)) + text
        return frame(body)

    def _change(self, data: bytes) -> bytes:
        """Some bytes are others."""
        changed = bytearray(data)
        for _ in range(self.rng.randrange(1, 5)):
            changed[self.rng.randrange(len(changed))] = self.rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        return bytes(changed)

    def _connect(self, place: tuple[Member, int]) -> socket.socket:
        member, port = place
        return socket.create_connection((member.host, port), TIMEOUT_S)

    def _hold(self, connection: socket.socket) -> None:
        self._held.append(connection)
        if len(self._held) > HELD_MAX:
            self._held.popleft().close()

    def _say(self, place: tuple[Member, int], data: bytes) -> None:
        """Say this, hear a little of what is answered, and go: in order, by a reset, or not for now."""
        with contextlib.suppress(OSError):
            connection = self._connect(place)
            connection.sendall(data)
            connection.settimeout(ANSWER_S)
            with contextlib.suppress(OSError):
                connection.recv(1 << 16)
            ending = self.rng.randrange(3)
            if ending == 0:
                self._hold(connection)
                return
            if ending == 1:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
