"""Counts what the hot paths execute, and compares it with the figures in docs/performance/guard.json.

    scripts/bench-guard             a table: bytecodes and calls of C functions per operation, now and on record
    scripts/bench-guard --record    make what is counted now the record

The counts are the same, to a hundredth, on every machine with the same version of Python, however busy it is. They tell
when a change makes a path longer, not what a bytecode costs; CPU is measured by scripts/bench/write_path.py and zkbench.py.
It is a report: the exit code is 0 whatever the figures are.
"""

import argparse
import asyncio
import gc
import json
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from pyzk import is_compiled
from server_path import PATHS, Bench

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs/performance/guard.json"
PACKAGE = str(ROOT / "pyzk")
WARM_UP_BATCHES, OPS = 2, 2048
NOTEWORTHY = 0.02


class Counts:
    """What is executed by functions of pyzk, while it is switched on.

    Attributes:
        counter: `bytecodes`, and `calls` of functions that are written in C.
    """

    def __init__(self) -> None:
        self.counter: Counter[str] = Counter()

    def __enter__(self) -> None:
        sys.setprofile(self._profile)
        sys.settrace(self._trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        sys.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "c_call" and frame.f_code.co_filename.startswith(PACKAGE):
            self.counter["calls"] += 1

    def _trace(self, frame: FrameType, *_: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return self._count

    def _count(self, _frame: FrameType, event: str, _: Any) -> Any:
        self.counter["bytecodes"] += event == "opcode"
        return self._count


async def counted(name: str) -> dict[str, float]:
    """Per operation of one path."""
    path, bench, counts = PATHS[name], Bench(), Counts()
    await bench.start()
    count = OPS // path.ops
    batches = [path.batch(bench, number) for number in range(WARM_UP_BATCHES + count)]
    for batch in batches[:WARM_UP_BATCHES]:
        await bench.run(batch)
    with counts:
        for batch in batches[WARM_UP_BATCHES:]:
            await bench.run(batch)
    return {what: round(number / OPS, 1) for what, number in sorted(counts.counter.items())}


def row(name: str, now: dict[str, float], before: dict[str, float] | None) -> str:
    if before is None:
        return f"{name:10} {now['bytecodes']:10.1f} {'-':>10}        {now['calls']:7.1f} {'-':>7}"
    ratio = now["bytecodes"] / before["bytecodes"]
    remark = "" if abs(ratio - 1) < NOTEWORTHY else "  longer" if ratio > 1 else "  shorter"
    figures = f"{now['bytecodes']:10.1f} {before['bytecodes']:10.1f} {ratio:6.2f} {now['calls']:7.1f} {before['calls']:7.1f}"
    return f"{name:10} {figures}{remark}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="write docs/performance/guard.json")
    parser.add_argument("paths", nargs="*", help=", ".join(PATHS))
    arguments = parser.parse_args()
    if is_compiled():
        raise SystemExit("pyzk is compiled here: there are no bytecodes to count")
    version = ".".join(str(number) for number in sys.version_info[:2])
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {"python": version, "paths": {}}
    known = record["paths"] if record["python"] == version else {}
    if not known:
        print(f"no figures on record for Python {version}: what follows is compared with nothing")
    gc.disable()
    print(f"{'path':10} {'bytecodes':>10} {'on record':>10} {'ratio':>6} {'C calls':>7} {'record':>7}")
    found = {}
    for name in arguments.paths or PATHS:
        found[name] = asyncio.run(counted(name))
        print(row(name, found[name], known.get(name)), flush=True)
    if arguments.record:
        RECORD.write_text(json.dumps({"python": version, "paths": known | found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
