#!/usr/bin/env python3
"""Two ways to write a snapshot beside a server that goes on: slices of a walk between requests, or a forked process.

    PYTHONPATH=$PWD .venv/bin/python scripts/bench/snapshot_ways.py [--znodes 1000000] [--directory DIR]

A process with a tree of that size writes it once each way, to a file, while it sets data of random znodes. A row has
the longest time in which such a process could answer nobody, the CPU of the snapshot, what memory it took beyond the
tree's, and what a setData costs meanwhile. The walk keeps old values of what changes before it has come by; the forked
process sees memory as it was, and the system copies each page that either of them touches: reference counts do.
"""

import argparse
import os
import random
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from pyzk.codec.opcodes import OpCode
from pyzk.codec.txns import CreateTxn, SetDataTxn, TxnHeader
from pyzk.storage.snapshot import Encoding
from pyzk.tree.apply import apply_record
from pyzk.tree.tree import Tree

DIRECTORIES = 1000
DATA = b"d" * 100
SETS_PER_SLICE = 20


class Grown:
    """A tree of so many znodes, and setData of any of them."""

    def __init__(self, znodes: int) -> None:
        self.tree = Tree()
        self.zxid = 0
        self.paths = [b"/d%d/n%d" % (number % DIRECTORIES, number) for number in range(znodes)]
        for path in [b"/d%d" % number for number in range(DIRECTORIES)] + self.paths:
            self._apply(OpCode.CREATE, CreateTxn(path, DATA, [], ephemeral=False))
        self.seconds = self.count = 0.0

    def _apply(self, opcode: OpCode, record: CreateTxn | SetDataTxn) -> None:
        self.zxid += 1
        apply_record(self.tree, TxnHeader(1, 1, self.zxid, 1, opcode), record, None)

    def set_some(self) -> float:
        """Returns the longest of them, seconds."""
        longest = 0.0
        for path in random.choices(self.paths, k=SETS_PER_SLICE):
            began = time.perf_counter()
            self._apply(OpCode.SET_DATA, SetDataTxn(path, DATA, 1))
            took = time.perf_counter() - began
            self.seconds, self.count, longest = self.seconds + took, self.count + 1, max(longest, took)
        return longest


def memory_kb(pid: int) -> int:
    """What of a process is its own and nobody else's."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def row(name: str, grown: Grown, longest: float, cpu: float, memory: int) -> None:
    cost_us = grown.seconds / max(grown.count, 1) * 1e6
    print(f"| {name} | {longest * 1000:.1f} | {cpu:.2f} | {memory / 1024:.0f} | {cost_us:.1f} |", flush=True)
    grown.seconds = grown.count = 0.0


def sliced(grown: Grown, path: Path) -> None:
    before, longest, cpu = memory_kb(os.getpid()), 0.0, 0.0
    with path.open("wb") as file:
        began, cpu_began = time.perf_counter(), time.process_time()
        for chunk in Encoding(grown.tree):
            file.write(chunk)
            longest, cpu = max(longest, time.perf_counter() - began), cpu + time.process_time() - cpu_began
            grown.set_some()
            began, cpu_began = time.perf_counter(), time.process_time()
    row("slices of a walk", grown, longest, cpu, memory_kb(os.getpid()) - before)


def forked(grown: Grown, path: Path) -> None:
    began = time.perf_counter()
    child = os.fork()
    if not child:
        with path.open("wb") as file:
            file.writelines(Encoding(grown.tree))
        os._exit(0)
    longest, memory = time.perf_counter() - began, 0
    while not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        with suppress(OSError):  # it may be gone by now
            memory = max(memory, memory_kb(child))  # pages that either of the two has changed
        for _ in range(200):
            longest = max(longest, grown.set_some())
    _, _, usage = os.wait4(child, 0)
    row("a forked process", grown, longest, usage.ru_utime + usage.ru_stime, memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--znodes", type=int, default=1_000_000)
    parser.add_argument("--directory", default=tempfile.gettempdir())
    options = parser.parse_args()
    grown, path = Grown(options.znodes), Path(options.directory) / f"snapshot-ways-{os.getpid()}"
    print("| way | longest ms | CPU s | memory MB | setData us meanwhile |")
    print("| --- | --- | --- | --- | --- |")
    for _ in range(200):
        grown.set_some()
    row("none", grown, 0.0, 0.0, 0)
    for way in (sliced, forked):
        way(grown, path)
        path.unlink()


if __name__ == "__main__":
    main()
