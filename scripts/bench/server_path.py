"""One standalone server without sockets and without a disk, and the requests of its hot paths.

Frames go through service, proposer, log and tree as 16 connections would bring them, one batch at a time, and the bytes
of the replies are counted. `write_path.py` measures the CPU of that, `bench-guard` counts what is executed.
"""

import asyncio
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from pyzk.codec.jute import INT32
from pyzk.codec.opcodes import XID_PING, OpCode
from pyzk.codec.records import ConnectRequest, open_acl
from pyzk.codec.requests import CreateRequest, MultiRequest, PathVersionRequest, PathWatchRequest, SetDataRequest
from pyzk.server.logwriter import LogWriter, Outcomes
from pyzk.server.peer import Peer
from pyzk.service.outbox import Settings
from pyzk.service.proposer import Proposer
from pyzk.service.service import Service
from pyzk.service.sessions import SessionIds
from pyzk.storage.txnlog import TxnLog
from pyzk.tree.acl import AccessControl
from pyzk.tree.request import Rules
from pyzk.tree.tree import Tree

CONNECTIONS = 16
KEYS = 1000
DATA = b"d" * 100
HEADER = struct.Struct(">iii")
HANDSHAKE = ConnectRequest(0, 0, 30_000, 0, bytes(16)).encode()


class NoFile:
    """A log file that keeps nothing."""

    def truncate(self, size: int) -> None: ...

    def write(self, position: int, data: bytes) -> None: ...

    def sync(self) -> None: ...

    def close(self) -> None: ...


class NoDisk:
    """A directory of such files."""

    def create(self, path: str) -> NoFile:  # noqa: ARG002
        return NoFile()

    def sync_directory(self, path: str) -> None: ...


class Port:
    """A client that counts the bytes of its replies."""

    label = "/bench"
    interest = 1

    def __init__(self) -> None:
        self.size_bytes = 0
        self.is_finished = False

    def write(self, encoded: bytes) -> None:
        self.size_bytes += len(encoded)

    def go_on(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def finish(self, reason: str, *, notable: bool) -> None:  # noqa: ARG002
        self.is_finished = True


Batch = list[tuple[int, bytes]]
"""What comes at once: connections, a new one if it is not known, and their frames."""


class Bench:
    """One server; `frames` of a connection at a time go in, and their replies come out."""

    def __init__(self) -> None:
        tree, access = Tree(), AccessControl()
        service = Service(tree, access, Settings(outstanding_max=1 << 30), SessionIds(1, 1).next)
        self.peer = Peer(service, Proposer(tree, Rules(access)), 1)
        log = TxnLog(NoDisk(), "bench")  # type: ignore[arg-type]
        self.peer.log = LogWriter(log, Outcomes(self.peer.logged, self.peer.log_failed), quick_ms_max=float("inf"))
        self.service = service
        self.xid = 0

    async def start(self) -> None:
        await self.run([(number, INT32.pack(len(HANDSHAKE)) + HANDSHAKE) for number in range(1, CONNECTIONS + 1)])
        for path in [b"/k", *[b"/c%d" % n for n in range(CONNECTIONS)], *[b"/k/%d" % key for key in range(KEYS)]]:
            await self.run([(1, self.frame(OpCode.CREATE, CreateRequest(path, DATA, open_acl(), 0).encode()))])

    def frame(self, opcode: int, body: bytes, xid: int | None = None) -> bytes:
        self.xid += 1
        return HEADER.pack(8 + len(body), self.xid & 0x7FFFFFFF if xid is None else xid, opcode) + body

    async def run(self, batch: Batch) -> None:
        """Take what comes, and answer it."""
        for number, frames in batch:
            if number not in self.peer.clients:
                self.peer.clients[number] = Port()  # type: ignore[assignment]
                self.service.connect(number, "127.0.0.1", time.monotonic(), 1)
            self.service.receive(number, frames, time.monotonic())
        self.peer.wake()
        while not self.peer.is_idle or self.peer._woken:  # noqa: SLF001
            await asyncio.sleep(0)  # noqa: ASYNC110 - lets the loop turn, waits for nothing
        for number in [number for number, port in self.peer.clients.items() if port.is_finished]:  # type: ignore[attr-defined]
            del self.peer.clients[number]
            self.service.disconnect(number)


Maker = Callable[[Bench, int, int], bytes]
"""One request of a connection, the one with this number."""


@dataclass(frozen=True)
class Path:
    """One hot path.

    Attributes:
        ops: operations in a batch.
        batch: makes one; batches are numbered.
    """

    ops: int
    batch: Callable[[Bench, int], Batch]


def pipelined(depth: int, make: Maker) -> Path:
    """So many requests of each connection at once."""

    def batch(bench: Bench, number: int) -> Batch:
        numbers = range(number * depth, (number + 1) * depth)
        return [(c, b"".join([make(bench, c, n) for n in numbers])) for c in range(1, CONNECTIONS + 1)]

    return Path(depth * CONNECTIONS, batch)


def alone(make: Maker) -> Path:
    """One request of one connection: all that a turn and a batch of the log cost is for it."""
    return Path(1, lambda bench, number: [(1, make(bench, 1, number))])


def _key(connection: int, number: int) -> bytes:
    return b"/k/%d" % ((number * 7 + connection * 131) % KEYS)


def _read(opcode: OpCode, *, watch: bool = False) -> Maker:
    def make(bench: Bench, connection: int, number: int) -> bytes:
        path = b"/k" if opcode == OpCode.GET_CHILDREN else _key(connection, number)
        return bench.frame(opcode, PathWatchRequest(path, watch).encode())

    return make


def _set(bench: Bench, connection: int, number: int) -> bytes:
    return bench.frame(OpCode.SET_DATA, SetDataRequest(_key(connection, number), DATA, -1).encode())


def _mixed(bench: Bench, connection: int, number: int) -> bytes:
    return (_read(OpCode.GET_DATA) if (number + connection) % 10 else _set)(bench, connection, number)


def _create(flags: int) -> Maker:
    def make(bench: Bench, connection: int, number: int) -> bytes:
        path = b"/c%d/%s%d" % (connection - 1, b"cse"[flags % 3 : flags % 3 + 1], number)
        return bench.frame(OpCode.CREATE, CreateRequest(path, DATA, open_acl(), flags).encode())

    return make


def _ephemeral(bench: Bench, connection: int, number: int) -> bytes:
    path = b"/c%d/x%d" % (connection - 1, number // 2)
    if number % 2:
        return bench.frame(OpCode.DELETE, PathVersionRequest(path, -1).encode())
    return bench.frame(OpCode.CREATE, CreateRequest(path, DATA, open_acl(), 1).encode())


def _multi(bench: Bench, connection: int, number: int) -> bytes:
    ops = [
        (int(OpCode.SET_DATA), SetDataRequest(b"/k/%d" % ((number * 70 + connection * 13 + op) % KEYS), DATA, -1))
        for op in range(10)
    ]
    return bench.frame(OpCode.MULTI, MultiRequest(list(ops)).encode())


def _ping(bench: Bench, connection: int, number: int) -> bytes:  # noqa: ARG001 - each is like the other
    return bench.frame(OpCode.PING, b"", XID_PING)


def _watched(bench: Bench, number: int) -> Batch:
    """All connections watch a znode, and the last one changes it."""
    path = b"/k/%d" % (number % KEYS)
    watch = PathWatchRequest(path, watch=True).encode()
    change = SetDataRequest(path, DATA, -1).encode()
    batch = [(c, bench.frame(OpCode.GET_DATA, watch)) for c in range(1, CONNECTIONS + 1)]
    return [*batch, (CONNECTIONS, bench.frame(OpCode.SET_DATA, change))]


def _sessions(bench: Bench, number: int) -> Batch:
    """New connections open sessions and close them."""
    first = CONNECTIONS * (number + 1) + 1
    frames = INT32.pack(len(HANDSHAKE)) + HANDSHAKE + bench.frame(OpCode.CLOSE_SESSION, b"")
    return [(connection, frames) for connection in range(first, first + CONNECTIONS)]


PATHS = {
    "get": pipelined(64, _read(OpCode.GET_DATA)),
    "get1": pipelined(1, _read(OpCode.GET_DATA)),
    "exists": pipelined(64, _read(OpCode.EXISTS)),
    "children": pipelined(1, _read(OpCode.GET_CHILDREN)),
    "ping": pipelined(1, _ping),
    "set": pipelined(64, _set),
    "set1": pipelined(1, _set),
    "set-alone": alone(_set),
    "mixed": pipelined(64, _mixed),
    "create": pipelined(16, _create(0)),
    "createseq": pipelined(16, _create(2)),
    "ephemeral": pipelined(16, _ephemeral),
    "multi": pipelined(4, _multi),
    "watch": Path(CONNECTIONS, _watched),
    "session": Path(CONNECTIONS, _sessions),
}
"""By name; with 1, one request of each connection at a time."""
