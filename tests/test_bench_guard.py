"""scripts/bench-guard: what it counts is repeatable, and every path is on record."""

import json
import subprocess
from pathlib import Path

import pytest

from pyzk import is_compiled

ROOT = Path(__file__).parents[1]


def counted(*paths: str) -> dict[str, float]:
    """Bytecodes per operation, as the table says."""
    command = [str(ROOT / "scripts/bench-guard"), *paths]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {line.split()[0]: float(line.split()[1]) for line in lines if line.split()[0] in paths}


@pytest.mark.skipif(is_compiled(), reason="machine code has no bytecodes")
def test_the_same_code_has_the_same_counts() -> None:
    first, second = counted("get1", "set1"), counted("get1", "set1")
    assert first.keys() == {"get1", "set1"}
    for path, bytecodes in first.items():
        assert abs(bytecodes / second[path] - 1) < 0.02
    assert first["set1"] > first["get1"] > 100


def test_every_path_is_on_record() -> None:
    record = json.loads((ROOT / "docs/performance/guard.json").read_text())
    usage = subprocess.run([str(ROOT / "scripts/bench-guard"), "--help"], check=True, capture_output=True, text=True)
    assert all(name in usage.stdout for name in record["paths"])
    assert {"get", "set", "create", "multi", "watch", "session"} <= record["paths"].keys()
