#!/usr/bin/env python3
"""How the cost of an operation grows with connections, znodes, watches, the size of values, and servers.

The servers are pyzk's, one but for the question about their number, under a closed load of zkload. A figure is CPU
microseconds of all servers per operation, the least of `--rounds` runs of three seconds. A table per question goes to
the output, a plot to docs/performance/growth-NAME.svg (scripts/install bench).

    gcc -O2 -o scripts/bench/zkload scripts/bench/zkload.c
    PYTHONPATH=$PWD .venv/bin/python scripts/bench/growth.py [--rounds 3] [--only connections,znodes]
"""

import argparse
import os
import shutil
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loads import zkload

from pyzk.codec.jute import INT32
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ConnectRequest
from pyzk.codec.requests import PathWatchRequest
from tests.integration.ensemble import Ensemble
from tests.integration.processes import PyzkServer, ServerProcess

PLOTS = Path(__file__).resolve().parents[2] / "docs" / "performance"
SETTINGS = {"globalOutstandingLimit": 10_000, "preAllocSize": 4096, "maxSessionTimeout": 300_000}
WATCHERS = 100
"""Connections that share the watches."""
Options = tuple[object, ...]
GET, SET = ("-W", "get"), ("-W", "set")


@dataclass(slots=True)
class Bench:
    """Servers to measure."""

    members: Sequence[ServerProcess]
    rounds: int

    @property
    def hosts(self) -> str:
        return ",".join(member.hosts for member in self.members)

    def cost(self, *options: object) -> float:
        """CPU us an operation, of all servers together."""
        pids = [member.pid for member in self.members]
        runs = [zkload(self.hosts, *options, "-t", 3, "-w", 1, cpu_of=pids) for _ in range(self.rounds)]
        return min(float(run["server_cpu_us_per_op"]) for run in runs)

    def load(self, znodes: int) -> None:
        """Create so many znodes, and keep them."""
        zkload(self.hosts, "-W", "load", "-c", 16, "-d", 64, "-k", znodes, "--root", "/tree", "--keep")


@contextmanager
def servers(count: int, rounds: int) -> Iterator[Bench]:
    folder = Path(tempfile.mkdtemp(prefix="growth-"))
    if count == 1:
        with PyzkServer(folder, settings=SETTINGS) as server:
            yield Bench([server], rounds)
    else:
        with Ensemble(folder, ["pyzk"] * count, {**SETTINGS, "tickTime": 2000}) as ensemble:
            ensemble.start()
            yield Bench(list(ensemble.members.values()), rounds)
    shutil.rmtree(folder)


# The questions: each yields (what grows, cost of a read, cost of a write).

Row = tuple[int, float, float]


def connections(rounds: int) -> Iterator[Row]:
    """One request under way on each."""
    with servers(1, rounds) as bench:
        for count in (10, 100, 1000, 5000, 10_000):
            yield count, bench.cost(*GET, "-c", count), bench.cost(*SET, "-c", count)


def znodes(rounds: int) -> Iterator[Row]:
    """Random ones of all, 16 connections, 16 requests under way on each."""
    for count in (1000, 10_000, 100_000, 1_000_000, 2_000_000):
        with servers(1, rounds) as bench:
            bench.load(count)
            there: Options = ("-c", 16, "-d", 16, "-k", count, "--root", "/tree", "--keep", "--no-setup")
            yield count, bench.cost(*GET, *there), bench.cost(*SET, *there)


def watches(rounds: int) -> Iterator[Row]:
    """One-shot watches on other znodes, 16 connections, 16 requests under way on each."""
    with servers(1, rounds) as bench:
        bench.load(10_000)
        with _Watching(bench.members[0].port) as watching:
            for count in (0, 1000, 10_000, 100_000, 1_000_000):
                watching.grow(count)
                yield count, bench.cost(*GET, "-c", 16, "-d", 16), bench.cost(*SET, "-c", 16, "-d", 16)


class _Watching:
    """Connections that watch the znodes of /tree, up to 10,000 each."""

    def __init__(self, port: int) -> None:
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(WATCHERS)]
        self._each = 0
        connect = ConnectRequest(0, 0, 300_000, 0, bytes(16)).encode()
        for connection in self._sockets:
            self._ask(connection, [connect])

    def __enter__(self) -> "_Watching":
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._sockets:
            connection.close()

    def grow(self, count: int) -> None:
        """Have `count` watches in all."""
        # As zkload names its keys.
        paths = [b"/tree/d%04d/k%07d" % (number // 1000, number) for number in range(self._each, count // WATCHERS)]
        self._each = count // WATCHERS
        frames = [struct.pack(">ii", 1, OpCode.EXISTS) + PathWatchRequest(path, True).encode() for path in paths]
        for connection in self._sockets:
            for start in range(0, len(frames), 100):
                self._ask(connection, frames[start : start + 100])

    def _ask(self, connection: socket.socket, bodies: list[bytes]) -> None:
        connection.sendall(b"".join(INT32.pack(len(body)) + body for body in bodies))
        stream = connection.makefile("rb")
        for _ in bodies:
            stream.read(INT32.unpack(stream.read(4))[0])


def values(rounds: int) -> Iterator[Row]:
    """Four connections, four requests under way on each."""
    with servers(1, rounds) as bench:
        for size in (10, 100, 1000, 10_000, 100_000, 1_000_000):
            there: Options = ("-c", 4, "-d", 4, "-v", size, "-k", 50)
            yield size, bench.cost(*GET, *there), bench.cost(*SET, *there)


def ensembles(rounds: int) -> Iterator[Row]:
    """16 connections over all servers, 16 requests under way on each."""
    for count in (1, 3, 5, 7):
        with servers(count, rounds) as bench:
            yield count, bench.cost(*GET, "-c", 16, "-d", 16), bench.cost(*SET, "-c", 16, "-d", 16)


QUESTIONS: dict[str, Callable[[int], Iterator[Row]]] = {
    "connections": connections,
    "znodes": znodes,
    "watches": watches,
    "values": values,
    "servers": ensembles,
}


def plot(name: str, rows: Sequence[Row]) -> None:
    """Both costs over what grows."""
    import matplotlib as mpl  # noqa: PLC0415 - the tables need no library

    mpl.use("svg")
    from matplotlib import pyplot  # noqa: PLC0415

    figure, axes = pyplot.subplots(figsize=(5, 3), layout="constrained")
    for column, label in ((1, "getData"), (2, "setData")):
        axes.plot([row[0] for row in rows], [row[column] for row in rows], marker="o", label=label)
    if name != "servers":
        axes.set_xscale("symlog" if rows[0][0] == 0 else "log")
    axes.set(xlabel=name, ylabel="CPU us an operation", ylim=(0, None))
    axes.legend()
    figure.savefig(PLOTS / f"growth-{name}.svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(QUESTIONS), help="questions, with commas")
    options = parser.parse_args()
    for name in options.only.split(","):
        question = QUESTIONS[name]
        print(f"\n**{name}** ({(question.__doc__ or '').rstrip('.')}; load {os.getloadavg()[0]:.1f})\n")
        print(f"| {name} | getData | setData |\n| --- | --- | --- |")
        rows = []
        for row in question(options.rounds):
            rows.append(row)
            print(f"| {row[0]:,} | {row[1]:.1f} | {row[2]:.1f} |", flush=True)
        plot(name, rows)


if __name__ == "__main__":
    main()
