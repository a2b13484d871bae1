"""Transcripts: what somebody else's client saw, compared with what it saw on Apache's 3.9.5.

A client program prints sections, each a line "== name" and the lines below it. What it prints against Apache's server
is kept under transcripts/ (`scripts/interop NAME --apache --record`); against pyzk it has to print the same, line by
line. Each run has a fresh server, so zxids, versions and counters are compared in full; times, session ids and ports
are masked.
"""

import argparse
import difflib
import re
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.integration.processes import PyzkServer, ServerProcess
from tests.interop.apache import ApacheServer, UnavailableError
from tests.interop.results import FAILED, PASSED, Result

FOLDER = Path(__file__).parent / "transcripts"
SETTINGS = {"extendedTypesEnabled": "true", "enforceQuota": "true"}
# Order matters: the longest shape first.
MASKS = (
    (re.compile(r"0x[0-9a-f]{13,16}\b"), "SESSION"),
    (re.compile(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \w{3} \d\d \d\d:\d\d:\d\d \w+ \d{4}"), "TIME"),
    (re.compile(r"\b1[78]\d{11}\b"), "MILLISECONDS"),
    (re.compile(r"127\.0\.0\.1:\d+"), "SERVER"),
)

Client = Callable[[ServerProcess], str]


def run_client(name: str, client: Client, options: argparse.Namespace) -> list[Result]:
    """Run `client` against a fresh server and compare what it printed with the recorded transcript."""
    with tempfile.TemporaryDirectory(prefix="interop-") as folder, server(options, Path(folder)) as running:
        printed = "\n".join(mask(client(running).splitlines())) + "\n"
    recorded = FOLDER / f"{name}.txt"
    if options.record:
        if not options.apache:
            raise UnavailableError("only Apache's answers are recorded: --apache --record")
        FOLDER.mkdir(exist_ok=True)
        recorded.write_text(printed)
    return compare(name, recorded.read_text(), printed)


def server(options: argparse.Namespace, folder: Path) -> ServerProcess:
    if options.apache:
        return ApacheServer(folder, settings=SETTINGS)
    return PyzkServer(folder, settings=SETTINGS)


def mask(lines: Iterable[str]) -> list[str]:
    return [_masked(line.rstrip()) for line in lines]


def _masked(line: str) -> str:
    for pattern, word in MASKS:
        line = pattern.sub(word, line)
    return line


def sections(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    lines: list[str] = found.setdefault("before the first section", [])
    for line in text.splitlines():
        if line.startswith("== "):
            lines = found.setdefault(line.removeprefix("== "), [])
        elif line:
            lines.append(line)
    return {name: lines for name, lines in found.items() if lines}


def compare(name: str, expected: str, actual: str) -> list[Result]:
    """One result for each section of either transcript."""
    wanted, got = sections(expected), sections(actual)
    results = []
    for section in dict.fromkeys([*wanted, *got]):
        difference = difflib.unified_diff(
            wanted.get(section, []), got.get(section, []), "apache", "here", n=2, lineterm=""
        )
        detail = "\n".join(difference)
        results.append(Result(name, section, FAILED if detail else PASSED, detail))
    return results
