"""zkload and the CPU of servers, for the benchmarks that start servers of their own (growth.py, pauses.py)."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ZKLOAD = Path(__file__).parent / "zkload"
BUILD = "gcc -O2 -o scripts/bench/zkload scripts/bench/zkload.c"


def zkload(hosts: str, *options: object, cpu_of: Iterable[int] = ()) -> dict[str, Any]:
    """One run; its figures. `cpu_of` are the processes whose CPU time is told per operation."""
    if not ZKLOAD.exists():
        raise SystemExit(f"there is no {ZKLOAD}; make it with: {BUILD}")
    pids = ("--cpu-pids", ",".join(map(str, cpu_of))) if cpu_of else ()
    command = [str(word) for word in (ZKLOAD, *options, *pids, hosts)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
