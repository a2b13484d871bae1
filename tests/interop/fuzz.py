"""Noise on every port of an ensemble with TLS, for --minutes, from --seed: clients must not notice.

Three servers, their links by TLS; two of them take plain connections and TLS on each port. The noise goes to plain and
secure client ports, to the ports for servers, to the admin ports and to those of the metrics, before a TLS handshake,
in the middle of it, and inside one with a certificate of the ensemble's own CA, or with none. Peers that know the
protocol and mean no good (tests/integration/hostile_peers.py) come plain and inside TLS too. Meanwhile a load writes
over the plain ports and keeps its books. At the end: the promises of the load, nothing in the tree that nobody wrote,
no traceback in a log, no leader lost, and memory as it was.
"""

import argparse
import contextlib
import logging
import random
import shutil
import socket
import ssl
import struct
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from kazoo.security import READ_ACL_UNSAFE

from tests.integration.ensemble import Ensemble, Member
from tests.integration.hostile_peers import HostilePeers
from tests.integration.load import Load
from tests.integration.processes import free_port
from tests.integration.test_limits import resident_bytes
from tests.integration.trees import dump
from tests.integration.wire import connect_frame, get_frame, request_frame, string
from tests.interop.mixed import GONE_WRONG
from tests.interop.mixed_cases import reckoning
from tests.interop.results import FAILED, PASSED, Result
from tests.server.tls.certificates import Authority

ATTACKERS = 8
PAUSE_S = 0.2
"""Of each writer, so that the tree of an hour can be compared in a minute."""
PEERS_PAUSE_S = 0.1
LOOKS = 20
"""How often a minute the memory is looked at."""
GROWTH_BYTES_MAX = 96 << 20
HOLD_SECONDS_MAX = 3.0
EXPECTED_ROOT = {"/load", "/zookeeper"}
CLIENT_HELLO = b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03"
PROMETHEUS = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
SASL = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"
UNIFIED = {"portUnification": "true", "client.portUnification": "true"}
STRICT = 1
"""The server that takes no plain connection from servers, and no TLS on its plain port."""
READS = (3, 4, 6, 8, 9, 11, 12, 100, 101, 102, 103, 104, 105, 106, 107)
"""Opcodes that change nothing, whatever their bodies say."""


def run(options: argparse.Namespace) -> list[Result]:
    seed = options.seed if options.seed is not None else random.randrange(2**32)
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    print(f"fuzz: {options.minutes} minutes, seed {seed}, files in {folder}", flush=True)
    try:
        broken = Fuzz(folder, seed).run(options.minutes * 60)
    except GONE_WRONG as error:
        broken = [f"{type(error).__name__}: {error}"]
    if not broken:
        shutil.rmtree(folder)
    return [Result("fuzz", f"seed {seed}", FAILED if broken else PASSED, "\n".join(broken))]


class Fuzz:
    """One ensemble and those who attack it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._seed = seed
        self._authority = authority = Authority(folder / "certificates")
        certificate = authority.issue("server", "127.0.0.1", "localhost")
        settings = {
            **authority.settings(certificate),
            **authority.settings(certificate, "ssl.quorum."),
            "sslQuorum": "true",
            "ssl.handshakeDetectionTimeoutMillis": 1000,
            "pyzk.tlsHandshakeTimeoutMs": 1500,
            "admin.enableServer": "true",
            "admin.portUnification": "true",
            "metricsProvider.className": PROMETHEUS,
            "metricsProvider.httpHost": "127.0.0.1",
            "authProvider.1": SASL,
            "pyzk.sasl.user.bob": "bobsecret",
        }
        self.ensemble = Ensemble(folder, ["pyzk"] * 3, settings)
        self._ports: list[tuple[str, int]] = []
        for sid, member in self.ensemble.members.items():
            secure, admin, metrics = free_port(), free_port(), free_port()
            own = {"secureClientPort": secure, "admin.serverPort": admin, "metricsProvider.httpPort": metrics}
            self.ensemble.settings |= own | (dict.fromkeys(UNIFIED, "false") if sid == STRICT else UNIFIED)
            self.ensemble.configure(sid)
            self._ports += [("client", member.port), ("secure", secure), ("admin", admin), ("metrics", metrics)]
            self._ports += [("quorum", member.quorum_port), ("election", member.election_port)]
        self._contexts = [authority.client_context(certificate), authority.client_context()]
        for context in self._contexts:
            context.check_hostname = False
        self._stopping = threading.Event()
        self.sent: Counter[str] = Counter()
        self.sizes_max: list[int] = [0, 0, 0]

    def run(self, seconds: float) -> list[str]:
        with self.ensemble as ensemble:
            ensemble.start(first=3)
            with Load(ensemble.hosts(), self._seed, pause_s=PAUSE_S) as load:
                load.wait_for(500)
                self._close_the_root()
                epochs, before = self._epochs(), self._sizes()
                attackers = [threading.Thread(target=self._attack, args=(number,)) for number in range(ATTACKERS)]
                attackers.append(threading.Thread(target=self._attack_as_peers))
                for attacker in attackers:
                    attacker.start()
                self._watch(seconds, load)
                self._stopping.set()
                for attacker in attackers:
                    attacker.join()
                load.wait_for(500)
            print(f"    {load.summary()}; noise: {dict(sorted(self.sent.items()))}", flush=True)
            sizes = [shown(before), shown(self.sizes_max), shown(self._sizes())]
            print(f"    memory at the begin, at most, at the end: {'; '.join(sizes)}", flush=True)
            with ensemble.talking(3) as client:
                strangers = {f"/{path.split('/')[1]}" for path in dump(client)} - EXPECTED_ROOT - {"/"}
            broken = [f"somebody has made {sorted(strangers)}"] if strangers else []
            broken += self._grown(before)
            broken += [] if self._epochs() == epochs else ["the leader was lost"]
            broken += [
                f"{member} tells of a traceback"
                for member in ensemble.members.values()
                if "Traceback" in member.logged()
            ]
            return broken + reckoning(ensemble, load)

    def _close_the_root(self) -> None:
        """A peer that is let in may ask for writes; it shall not be let to make these."""
        with self.ensemble.talking(3) as client:
            client.set_acls("/", READ_ACL_UNSAFE)

    def _watch(self, seconds: float, load: Load) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            pause_s = min(60.0, max(1.0, ends - time.monotonic())) / LOOKS
            for _ in range(LOOKS):
                self._stopping.wait(pause_s)
                self.sizes_max = [max(pair) for pair in zip(self.sizes_max, self._sizes(), strict=True)]
            print(f"    {load.acknowledged} writes, {self.sent.total()} attacks, {shown(self._sizes())}", flush=True)

    def _sizes(self) -> list[int]:
        return [resident_bytes(member) for member in self.ensemble.members.values()]

    def _grown(self, before: list[int]) -> list[str]:
        """What the load itself adds is a few megabytes."""
        after = self._sizes()
        grown = [late - early for early, late in zip(before, after, strict=True)]
        return [f"memory has grown by {grown}"] if max(grown) > GROWTH_BYTES_MAX else []

    def _epochs(self) -> list[str]:
        return [
            (member.data_dir / "version-2" / "currentEpoch").read_text() for member in self.ensemble.members.values()
        ]

    # Noise.

    def _attack(self, number: int) -> None:
        dice = random.Random(f"{self._seed} {number}")
        while not self._stopping.is_set():
            kind, port = dice.choice(self._ports)
            inside = dice.random() < 0.4
            self.sent[f"{kind} inside TLS" if inside else kind] += 1
            with contextlib.suppress(OSError):
                self._visit(dice, kind, port, inside=inside)

    def _attack_as_peers(self) -> None:
        with PeersInsideAndOutsideTls(self.ensemble, random.Random(f"{self._seed} peers"), self._contexts[0]) as peers:
            while not self._stopping.is_set():
                self.sent[f"peers: {peers.attack()[1:]}"] += 1
                self._stopping.wait(PEERS_PAUSE_S)

    def _visit(self, dice: random.Random, kind: str, port: int, *, inside: bool) -> None:
        raw = socket.create_connection(("127.0.0.1", port), 5)
        raw.settimeout(5)
        context = self._contexts[dice.random() < 0.2]
        connection: socket.socket = context.wrap_socket(raw) if inside else raw
        with connection:
            for piece in pieces(dice, noise(dice, kind)):
                connection.sendall(piece)
                if dice.random() < 0.05:
                    self._stopping.wait(dice.uniform(0, 0.2))
            self._leave(dice, connection)

    def _leave(self, dice: random.Random, connection: socket.socket) -> None:
        manner = dice.randrange(4)
        if manner == 0:  # a reset
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif manner == 1:
            connection.settimeout(dice.uniform(0, HOLD_SECONDS_MAX))
            with contextlib.suppress(ssl.SSLError):
                connection.recv(65536)
        elif manner == 2:
            self._stopping.wait(dice.uniform(0, HOLD_SECONDS_MAX))


class PeersInsideAndOutsideTls(HostilePeers):
    """Half of what they say is said with a certificate of the ensemble."""

    def __init__(self, ensemble: Ensemble, rng: random.Random, context: ssl.SSLContext) -> None:
        super().__init__(ensemble, rng)
        self._context = context

    def _connect(self, place: tuple[Member, int]) -> socket.socket:
        raw = super()._connect(place)
        return self._context.wrap_socket(raw) if self.rng.random() < 0.5 else raw


def shown(sizes: list[int]) -> str:
    return ", ".join(f"{size >> 20} MB" for size in sizes)


def noise(dice: random.Random, kind: str) -> bytes:
    """Something that a port of this kind is not made for, or not quite."""
    size = dice.choice([0, 1, 3, 8, 40, 500, 5000, 70_000])
    choices = [
        dice.randbytes(size),
        CLIENT_HELLO + bytes(size),
        b"\x16\x03\x01" + dice.randbytes(size),
        b"GET /commands/%b HTTP/1.1\r\nHost: x\r\n\r\n" % dice.choice([b"srvr", b"stats", b"x" * size]),
        dice.choice([-1, -(2**31), 2**31 - 1, 0, 9, 0xFFFFF]).to_bytes(4, "big", signed=True) + dice.randbytes(size),
        *PEER_HELLOS,
    ]
    if kind in {"admin", "metrics"}:
        path = dice.choice(
            [b"/metrics", b"/commands", b"/readyz", b"/" + bytes(size), b"/commands/snapshot?x=" + b"y" * size]
        )
        head = dice.choice(
            [b"", b"Content-Length: 999999999999\r\n", b"Transfer-Encoding: chunked\r\n", b"x: " + b"y" * size]
        )
        choices.append(
            dice.choice([b"GET ", b"POST ", b"PUT "]) + path + b" HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n"
        )
        choices.append(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path * dice.choice([1, 50]))
    if kind in {"client", "secure"}:
        opcode = dice.choice(READS)
        choices += [
            connect_frame() + request_frame(dice.randrange(1000), opcode, dice.randbytes(size)),
            connect_frame() + damaged(dice, get_frame(1, b"/load")),
            damaged(dice, connect_frame()),
            connect_frame()
            + request_frame(-4, 100, bytes(4) + string(dice.choice(SCHEMES)) + string(dice.randbytes(size))),
            connect_frame() + request_frame(1, 102, string(dice.choice([b"", dice.randbytes(size), SASL_ANSWER]))) * 2,
            connect_frame() + request_frame(1, 106, string(b"/load") + struct.pack(">i", dice.choice([0, 1, 7]))),
            dice.choice([b"ruok", b"mntr", b"cons", b"dump", b"stat"]) * dice.choice([1, 50]),
        ]
    return dice.choice(choices)


SCHEMES = (b"digest", b"sasl", b"x509", b"ip", b"world", b"auth", b"", b"\xff\xfe")
SASL_ANSWER = b'username="bob",realm="zk-sasl-md5",nonce="x",nc=00000001,cnonce="y",qop=auth,response=' + b"0" * 32
PEER_HELLOS = (
    b"\xff\xff\xff\xff\xff\xff\x00\x00" + b"\0" * 8 + struct.pack(">i", 14) + b"127.0.0.1:3888",
    struct.pack(">qi", -65536, 2**31 - 1),
    struct.pack(">qqi", -65535, 2, 14) + b"127.0.0.1:9999",
    struct.pack(">q", 99),
    struct.pack(">iqi", 11, 0, 20) + struct.pack(">qiq", 7, 0x10000, 0),
    struct.pack(">iqi", 11, 2**62, -1),
)


def damaged(dice: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    # The opcode stays: what is damaged must not become a write.
    return bytes(changed[:8] + data[8:12] + changed[12:])


def pieces(dice: random.Random, data: bytes) -> list[bytes]:
    if dice.random() < 0.5 or len(data) < 2:
        return [data]
    at = dice.randrange(1, len(data))
    return [data[:at], data[at:]]
