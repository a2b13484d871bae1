#!/usr/bin/env python3
"""How long a server with a large tree keeps its clients waiting while something heavy goes on.

Three pyzk servers hold `--znodes` znodes; zkload asks the leader for one of them a thousand times a second, at even
distances, and counts from the moment at which a request was due. Meanwhile, one after the other:

    rest         nothing
    snapshots    writes, and snapshots of the tree that they bring about
    expiry       sessions with an ephemeral each that end at once, because their clients are cut off
    watches      one txn that fires one-shot watches, a hundred for each of a thousand clients
    learner      a server with an empty disk takes the whole tree

    gcc -O2 -o scripts/bench/zkload scripts/bench/zkload.c
    PYTHONPATH=$PWD .venv/bin/python scripts/bench/pauses.py [--znodes 1000000] [--only watches,expiry]

The table has the slowest reads, and what the leader says of itself: how late its event loop came back at most, what it
had worked of that itself, and the most that it ever worked in one turn (the lines event_loop_paused of its log).
"""

import argparse
import asyncio
import json
import os
import shutil
import struct
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from loads import zkload

from pyzk.client import operations
from pyzk.client.aio import Client
from pyzk.codec.jute import INT32
from pyzk.codec.records import ConnectRequest, open_acl
from pyzk.codec.requests import CreateRequest
from tests.integration.ensemble import Ensemble
from tests.integration.processes import eventually

READS_PER_SECOND = 1000
SECONDS = 10
EXPIRING = 5000
EXPIRY_TIMEOUT_MS = 20_000
WATCHERS, WATCHES_EACH = 1000, 100
WRITES_PER_SECOND = 4000
SETTINGS = {
    "tickTime": 2000,
    "initLimit": 60,
    "syncLimit": 10,
    "snapCount": 20_000,
    "globalOutstandingLimit": 10_000,
    "preAllocSize": 4096,
    "jvm.pause.monitor": "true",
    "jvm.pause.info-threshold.ms": 5,
}


class Bench:
    """An ensemble whose third server is away, and its leader under a paced load."""

    def __init__(self, ensemble: Ensemble, znodes: int) -> None:
        self.ensemble = ensemble
        self.znodes = znodes
        self.leader = ensemble[ensemble.leader()]

    def fill(self) -> None:
        zkload(self.leader.hosts, "-W", "load", "-c", 16, "-d", 64, "-k", self.znodes, "--root", "/tree", "--keep")
        self.ensemble.wait_until_level()

    def measure(self, name: str, disturb: Callable[["Bench"], None], seconds: int = SECONDS) -> None:
        """Print the row of one disturbance, which begins two seconds after the load."""
        logged = len(self.leader.logged())
        options = ("-W", "get", "-c", 4, "-r", READS_PER_SECOND, "-k", 1000, "-t", seconds, "-w", 1)
        with ThreadPoolExecutor(1) as threads:
            reads = threads.submit(zkload, self.leader.hosts, *options)
            threading.Event().wait(2.0)
            disturb(self)
        latency = reads.result()["lat_us"]
        row = [f"{latency[key] / 1000:.1f}" for key in ("p50", "p99", "p999", "max")]
        told = told_pauses(self.leader.logged()[logged:])
        print(f"| {' | '.join([name, *row, *told, f'{os.getloadavg()[0]:.1f}'])} |", flush=True)


def told_pauses(logged: str) -> list[str]:
    """Of the latest turn how late it was and what was worked of that; the most that was worked of any; in ms."""
    lines = [json.loads(line) for line in logged.splitlines() if '"event_loop_paused"' in line]
    pauses = [(line["late_ms"], line["worked_ms"]) for line in lines]
    late_ms, worked_ms = max(pauses, default=(0, 0))
    return [str(late_ms), str(worked_ms), str(max((worked for _, worked in pauses), default=0))]


# What goes on.


def rest(bench: Bench) -> None:
    """Nothing."""


def snapshots(bench: Bench) -> None:
    """Each 10,000 to 20,000 txns a snapshot begins, unless one is under way."""
    zkload(bench.leader.hosts, "-W", "set", "-c", 8, "-r", WRITES_PER_SECOND, "-k", 1000, "-t", 2 * SECONDS - 4)


def expiry(bench: Bench) -> None:
    """All their deadlines are in one tick."""
    others = _sessions(bench)
    asyncio.run(_cut_off_sessions(*bench.leader.hosts.split(":")))
    eventually(lambda: _sessions(bench) <= others, "all are expired", 60.0)


async def _cut_off_sessions(host: str, port: str) -> None:
    """Sessions that have an ephemeral each and whose connections are gone."""
    found = []
    for number in range(EXPIRING):
        reader, writer = await asyncio.open_connection(host, int(port))
        connect = ConnectRequest(0, 0, EXPIRY_TIMEOUT_MS, 0, bytes(16)).encode()
        create = struct.pack(">ii", 1, 1) + CreateRequest(b"/expiring-%d" % number, b"", open_acl(), 1).encode()
        writer.write(b"".join(INT32.pack(len(body)) + body for body in (connect, create)))
        for _ in range(2):
            await reader.readexactly(INT32.unpack(await reader.readexactly(4))[0])
        found.append(writer)
    for writer in found:
        writer.transport.abort()


def _sessions(bench: Bench) -> int:
    return int(bench.leader.word("mntr").split("zk_global_sessions\t")[1].split("\n")[0])


def watches(bench: Bench) -> None:
    """All znodes are changed by one multi."""
    asyncio.run(_fire(bench.leader.hosts))


async def _fire(hosts: str) -> None:
    paths = [f"/watched-{number}" for number in range(WATCHES_EACH)]
    async with Client(hosts) as writer:
        await writer.multi([operations.create(path) for path in paths])
        left = WATCHERS * WATCHES_EACH
        told = asyncio.Event()

        def count(_event: Any) -> None:
            nonlocal left
            left -= 1
            if not left:
                told.set()

        watchers = [Client(hosts) for _ in range(WATCHERS)]
        for watcher in watchers:
            await watcher.__aenter__()
            await asyncio.gather(*[watcher.get(path, watch=count) for path in paths])
        await writer.multi([operations.set_data(path, b"changed") for path in paths])
        await told.wait()
        await asyncio.gather(*[watcher.__aexit__(None, None, None) for watcher in watchers])


def learner(bench: Bench) -> None:
    """Server 3 has nothing."""
    bench.ensemble.start(3)
    bench.ensemble.wait_until_level()


ROWS: dict[str, tuple[Callable[[Bench], None], int]] = {
    "rest": (rest, SECONDS),
    "snapshots": (snapshots, 2 * SECONDS),
    "expiry": (expiry, 5 * SECONDS),
    "watches": (watches, 2 * SECONDS),
    "learner": (learner, 4 * SECONDS),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--znodes", type=int, default=1_000_000)
    parser.add_argument("--kind", default="pyzk", help="of all three servers")
    parser.add_argument("--only", default=",".join(ROWS), help="rows, with commas")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pauses-"))
    with Ensemble(folder, [options.kind] * 3, SETTINGS) as ensemble:
        ensemble.start(1, 2)
        bench = Bench(ensemble, options.znodes)
        bench.fill()
        print(
            "| while | p50 ms | p99 ms | p99.9 ms | slowest ms | loop late ms | of that at work ms | most worked ms | load |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for name in options.only.split(","):
            bench.measure(name, *ROWS[name])
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
