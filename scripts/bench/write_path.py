#!/usr/bin/env python3
"""CPU of an operation from the bytes of its frame to the bytes of its reply, without sockets and without a disk.

The least of several rounds is what counts: other work on the machine only adds to it. The paths are in server_path.py.

    PYTHONPATH=$PWD .venv/bin/python scripts/bench/write_path.py [--rounds 7] [--profile] [set create multi ...]
"""

import argparse
import asyncio
import cProfile
import gc
import pstats
import time

from server_path import PATHS, Bench

OPS = 16384
OPS_OF_SLOW = 4096
SLOW = {"multi", "set1", "set-alone", "get1", "ping", "children", "watch", "session"}


async def measure(name: str, rounds: int, profiler: cProfile.Profile | None) -> float:
    """CPU us of one operation."""
    path = PATHS[name]
    batches = (OPS_OF_SLOW if name in SLOW else OPS) // path.ops
    bench = Bench()
    await bench.start()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as the server does
    least = float("inf")
    for number in range(rounds):
        spent = 0.0
        for batch in [path.batch(bench, number * batches + i) for i in range(batches)]:
            if profiler is not None:
                profiler.enable()
            began = time.process_time()
            await bench.run(batch)
            spent += time.process_time() - began
            if profiler is not None:
                profiler.disable()
        least = min(least, spent / (batches * path.ops) * 1e6)
    if profiler is not None:
        print_profile(profiler, rounds * batches * path.ops)
    return least


def print_profile(profiler: cProfile.Profile, ops: int) -> None:
    stats = pstats.Stats(profiler)
    print(f"{'calls/op':>9} {'own us':>7} {'all us':>7}")
    rows = sorted(stats.stats.items(), key=lambda item: -item[1][2])[:60]  # type: ignore[attr-defined]
    for (file, line, function), (_, calls, own, cumulative, _) in rows:
        where = f"{file.rsplit('pyzk/', 1)[-1]}:{line} {function}"
        print(f"{calls / ops:9.2f} {own / ops * 1e6:7.2f} {cumulative / ops * 1e6:7.2f}  {where}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help=", ".join(PATHS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    for name in arguments.paths or PATHS:
        profiler = cProfile.Profile() if arguments.profile else None
        print(f"{name:10} {asyncio.run(measure(name, arguments.rounds, profiler)):7.2f} us", flush=True)


if __name__ == "__main__":
    main()
