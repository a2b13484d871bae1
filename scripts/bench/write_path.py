#!/usr/bin/env python3
"""CPU of a write from the bytes of its frame to the bytes of its reply, without sockets and without a disk.

The same frames go through service, proposer, log and tree of one standalone server as 16 connections would bring them.
The least of several rounds is what counts: other work on the machine only adds to it.

    PYTHONPATH=$PWD .venv/bin/python scripts/bench/write_path.py [--rounds 7] [--profile set] [set create multi ...]
"""

import argparse
import asyncio
import cProfile
import gc
import pstats
import struct
import time
from collections.abc import Callable, Iterator

from pyzk.codec.jute import INT32
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ConnectRequest, open_acl
from pyzk.codec.requests import CreateRequest, MultiRequest, PathVersionRequest, SetDataRequest
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

    def write(self, encoded: bytes) -> None:
        self.size_bytes += len(encoded)

    def go_on(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


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
        handshake = ConnectRequest(0, 0, 30_000, 0, bytes(16)).encode()
        for number in range(1, CONNECTIONS + 1):
            self.peer.clients[number] = Port()  # type: ignore[assignment]
            self.service.connect(number, "127.0.0.1", time.monotonic(), 1)
            self.service.receive(number, INT32.pack(len(handshake)) + handshake, time.monotonic())
        await self.turn()
        for path in [b"/k", *[b"/c%d" % n for n in range(CONNECTIONS)], *[b"/k/%d" % key for key in range(KEYS)]]:
            self.feed(1, [self.frame(OpCode.CREATE, CreateRequest(path, DATA, open_acl(), 0).encode())])
            await self.turn()

    def frame(self, opcode: int, body: bytes) -> bytes:
        self.xid += 1
        return HEADER.pack(8 + len(body), self.xid & 0x7FFFFFFF, opcode) + body

    def feed(self, number: int, frames: list[bytes]) -> None:
        self.service.receive(number, b"".join(frames), time.monotonic())

    async def turn(self) -> None:
        self.peer.wake()
        while not self.peer.is_idle or self.peer._woken:  # noqa: SLF001
            await asyncio.sleep(0)  # noqa: ASYNC110 - lets the loop turn, waits for nothing


Scenario = tuple[int, Callable[[Bench, int, int], bytes]]


def _set(bench: Bench, connection: int, number: int) -> bytes:
    path = b"/k/%d" % ((number * 7 + connection * 131) % KEYS)
    return bench.frame(OpCode.SET_DATA, SetDataRequest(path, DATA, -1).encode())


def _create(flags: int) -> Callable[[Bench, int, int], bytes]:
    def make(bench: Bench, connection: int, number: int) -> bytes:
        path = b"/c%d/%s%d" % (connection, b"cse"[flags % 3 : flags % 3 + 1], number)
        return bench.frame(OpCode.CREATE, CreateRequest(path, DATA, open_acl(), flags).encode())

    return make


def _ephemeral(bench: Bench, connection: int, number: int) -> bytes:
    path = b"/c%d/x%d" % (connection, number // 2)
    if number % 2:
        return bench.frame(OpCode.DELETE, PathVersionRequest(path, -1).encode())
    return bench.frame(OpCode.CREATE, CreateRequest(path, DATA, open_acl(), 1).encode())


def _multi(bench: Bench, connection: int, number: int) -> bytes:
    ops = [
        (int(OpCode.SET_DATA), SetDataRequest(b"/k/%d" % ((number * 70 + connection * 13 + op) % KEYS), DATA, -1))
        for op in range(10)
    ]
    return bench.frame(OpCode.MULTI, MultiRequest(list(ops)).encode())


SCENARIOS: dict[str, Scenario] = {
    "set": (64, _set),
    "set1": (1, _set),
    "create": (16, _create(0)),
    "createseq": (16, _create(2)),
    "ephemeral": (16, _ephemeral),
    "multi": (4, _multi),
}


def turns(bench: Bench, depth: int, make: Callable[[Bench, int, int], bytes], ops: int, start: int) -> Iterator[list]:
    for number in range(start, start + ops // CONNECTIONS, depth):
        yield [[make(bench, c, number + i) for i in range(depth)] for c in range(CONNECTIONS)]


async def measure(name: str, rounds: int, *, profile: bool) -> float:
    depth, make = SCENARIOS[name]
    ops = {"multi": 4096, "set1": 4096}.get(name, 16384)
    bench = Bench()
    await bench.start()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as the server does
    least = float("inf")
    profiler = cProfile.Profile()
    for number in range(rounds):
        spent = 0.0
        for batch in list(turns(bench, depth, make, ops, number * ops)):
            if profile:
                profiler.enable()
            began = time.process_time()
            for connection, frames in enumerate(batch, 1):
                bench.feed(connection, frames)
            await bench.turn()
            spent += time.process_time() - began
            profiler.disable()
        least = min(least, spent / ops * 1e6)
    if profile:
        stats = pstats.Stats(profiler)
        total = rounds * ops
        print(f"{'calls/op':>9} {'own us':>7} {'all us':>7}")
        rows = sorted(stats.stats.items(), key=lambda item: -item[1][2])[:60]  # type: ignore[attr-defined]
        for (file, line, function), (_, calls, own, cumulative, _) in rows:
            where = f"{file.rsplit('pyzk/', 1)[-1]}:{line} {function}"
            print(f"{calls / total:9.2f} {own / total * 1e6:7.2f} {cumulative / total * 1e6:7.2f}  {where}")
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", default=list(SCENARIOS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    for name in arguments.scenarios or SCENARIOS:
        print(
            f"{name:10} {asyncio.run(measure(name, arguments.rounds, profile=arguments.profile)):7.2f} us", flush=True
        )


if __name__ == "__main__":
    main()
