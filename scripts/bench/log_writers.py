#!/usr/bin/env python3
"""Compare the log writer with always writing in the loop or in a thread: latency from submit to done, and CPU, under loads like those of a server.

    scripts/bench/log_writers.py [--seconds 5] [--directory DIR] [--writers adaptive,inline,thread] [--loads ...]

Loads (the loop also answers reads, which is what a writer has to share the interpreter with):

    closed1       one client that writes, waits, writes; nothing else
    closed16      sixteen of them; nothing else
    mixed16       sixteen of them, and reads that take half of the loop's time
    paced         1000 writes a second at even distances, and reads that take half of the loop's time
    batch64       sixteen clients with 64 writes under way each, and reads that take half of the loop's time

CPU is user and system time of loop and thread together, per write; busy reads are not counted.
"""

import argparse
import asyncio
import math
import os
import resource
import tempfile
import time
from collections import deque

import uvloop

from pyzk.server.files import FileDisk
from pyzk.server.logwriter import LogWriter, Outcomes
from pyzk.storage.txnlog import TxnLog

PAYLOAD_BYTES = 200
READ_SLICE_SECONDS = 0.0002


class Load:
    def __init__(self, log):
        self.log = log
        self.zxid = 0
        self.sent = {}
        self.latencies = []
        self.running = True
        self.read_seconds = 0.0
        self.again = deque()
        self.failed = None

    def on_done(self, tokens):
        now = time.perf_counter()
        for token in tokens:
            started, closed = self.sent.pop(token)
            self.latencies.append(now - started)
            if closed and self.running:
                self.submit(closed)

    def on_failed(self, error, tokens):
        self.failed = error
        raise error

    def submit(self, closed):
        self.zxid += 1
        self.sent[self.zxid] = (time.perf_counter(), closed)
        payload = bytes(12) + self.zxid.to_bytes(8, "big") + bytes(PAYLOAD_BYTES - 20)
        self.writer.submit([(self.zxid, payload)], self.zxid)
        self.writer.start_soon()

    async def read(self, share):
        """Keep the loop busy for `share` of its time, in slices as short as a wake-up with some reads."""
        while self.running:
            end = time.perf_counter() + READ_SLICE_SECONDS
            before = time.thread_time()
            while time.perf_counter() < end:
                pass
            self.read_seconds += time.thread_time() - before
            await asyncio.sleep(READ_SLICE_SECONDS * (1 - share) / share)

    async def pace(self, per_second):
        began, count = time.perf_counter(), 0
        while self.running:
            while count < (time.perf_counter() - began) * per_second:
                self.submit(closed=False)
                count += 1
            await asyncio.sleep(0.0005)


LOADS = {
    "closed1": (1, 0, 0),
    "closed16": (16, 0, 0),
    "mixed16": (16, 0.5, 0),
    "paced": (0, 0.5, 1000),
    "batch64": (16 * 64, 0.5, 0),
}


def cpu_seconds():
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


QUICK_MS_MAX = {"adaptive": 2.0, "inline": math.inf, "thread": 0}


async def measure(kind, name, seconds, directory):
    clients, read_share, per_second = LOADS[name]
    before = cpu_seconds()
    with tempfile.TemporaryDirectory(dir=directory) as place:
        load = Load(TxnLog(FileDisk(), place))
        load.writer = LogWriter(load.log, Outcomes(load.on_done, load.on_failed), QUICK_MS_MAX[kind])
        tasks = [asyncio.create_task(load.read(read_share))] if read_share else []
        tasks += [asyncio.create_task(load.pace(per_second))] if per_second else []
        began = time.perf_counter()
        for _ in range(clients):
            load.submit(closed=True)
        await asyncio.sleep(seconds)
        load.running = False
        elapsed = time.perf_counter() - began
        await asyncio.gather(*tasks)
        await load.writer.close()
    cpu = cpu_seconds() - before - load.read_seconds
    latencies = sorted(load.latencies)
    count = len(latencies)
    p50, p99 = (latencies[int(count * part)] * 1000 for part in (0.5, 0.99))
    reads = load.read_seconds / elapsed
    print(f"{name:10} {kind:8} {count / elapsed:9.0f} {p50:8.2f} {p99:8.2f} {cpu / count * 1e6:9.1f} {reads:8.0%}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--directory", default=os.getcwd(), help="on the disk to measure")
    parser.add_argument("--writers", default="adaptive,inline,thread")
    parser.add_argument("--loads", default=",".join(LOADS))
    options = parser.parse_args()
    print(f"{'load':10} {'writer':8} {'writes/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'us CPU/w':>9} {'reads':>8}")
    for name in options.loads.split(","):
        for kind in options.writers.split(","):
            uvloop.run(measure(kind, name, options.seconds, options.directory))


if __name__ == "__main__":
    main()
