"""The program of the README runs as printed, and prints what the README says."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

ROOT = Path(__file__).resolve().parents[2]
PORT_IN_README = "127.0.0.1:2181"

pytestmark = pytest.mark.integration


class Server(Protocol):
    port: int


def program_and_output() -> tuple[str, str]:
    """The Python block of the README and the block after it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    match = re.search(r"```python\n(.*?)```.*?```\n(.*?)```", text, re.DOTALL)
    assert match is not None
    return match[1], match[2]


def test_the_program_of_the_readme_prints_what_it_says(server: Server) -> None:
    program, output = program_and_output()
    assert PORT_IN_README in program
    run = subprocess.run(
        [sys.executable, "-c", program.replace(PORT_IN_README, f"127.0.0.1:{server.port}")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == output
