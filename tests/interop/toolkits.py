"""Apache's tools for files (3.9.5) and pyzk's, on the captured files: dump, recovery, chopping, formatting, comparing.

What Apache's say is recorded in tests/vectors/tools/ (`--apache --record`); tests/tools/test_toolkits.py has pyzk's say
the same. Times are masked.
"""

import argparse
import contextlib
import difflib
import io
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyzk.errors import PyzkError
from pyzk.tools.main import main
from tests.interop.apache import JVM_FLAGS, UnavailableError, class_path, need
from tests.interop.results import FAILED, PASSED, Result

VECTORS = Path(__file__).parent.parent / "vectors"
RECORDED = VECTORS / "tools"
JACKSON = Path("/usr/share/java/jackson-core.jar")
QUIET = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
    "-Duser.timezone=UTC",
    "-Duser.language=en",
    "-Duser.country=US",
)
TIMEOUT_S = 60
LOG, SNAPSHOT = "a-log/version-2/log.1", "b-snap-395/version-2/snapshot.1c"
LOGKIT = "org.apache.zookeeper.server.persistence.TxnLogToolkit"
FORMATTER = "org.apache.zookeeper.server.SnapshotFormatter"
SUMMARY = "org.apache.zookeeper.server.SnapshotRecursiveSummary"
COMPARER = "org.apache.zookeeper.server.SnapshotComparer"
MASKS = ((re.compile(r"in \d+\.\d+ seconds"), "in TIME seconds"), (re.compile(r'"timestamp":\d+'), '"timestamp":TIME'))


@dataclass(frozen=True)
class Case:
    """One call: of Apache's class with its arguments, and of pyzk with its own."""

    name: str
    java: Sequence[str]
    pyzk: Sequence[str]
    file: str = ""
    """What it writes, compared byte by byte."""


def cases() -> list[Case]:
    files = sorted(str(path.relative_to(VECTORS / "storage")) for path in (VECTORS / "storage").glob("*/version-2/*"))
    found = []
    for file in files:
        name = file.replace("/version-2/", "-")
        if "/log." in file:
            found.append(Case(f"dump-{name}", [LOGKIT, file], ["log", "--apache", file]))
        elif "/snapshot." in file:
            found += [
                Case(f"format-{name}", [FORMATTER, file], ["snapshot", "dump", "--apache", file]),
                Case(f"format-d-{name}", [FORMATTER, "-d", file], ["snapshot", "dump", "-d", file]),
                Case(f"format-json-{name}", [FORMATTER, "-json", file], ["snapshot", "dump", "-json", file]),
            ]
    return found + _repairs() + _sums()


def _repairs() -> list[Case]:
    return [
        Case("dump-wrong", [LOGKIT, "wrong.1"], ["log", "--apache", "wrong.1"]),
        Case("dump-cut", [LOGKIT, "cut.1"], ["log", "--apache", "cut.1"]),
        Case("recover", [LOGKIT, "-r", "-y", "wrong.1"], ["log", "-r", "-y", "wrong.1"], "wrong.1.fixed"),
        Case(
            "recover-all", [LOGKIT, "-r", "-y", "-v", "wrong.1"], ["log", "-r", "-y", "-v", "wrong.1"], "wrong.1.fixed"
        ),
        Case("chop", [LOGKIT, "-c", "-z", "20", LOG], ["log", "-c", "-z", "20", LOG], f"{LOG}.chopped20"),
        Case("chop-hex", [LOGKIT, "-c", "-z", "0x5", LOG], ["log", "-c", "-z", "0x5", LOG], f"{LOG}.chopped5"),
        Case("chop-behind", [LOGKIT, "-c", "-z", "99", LOG], ["log", "-c", "-z", "99", LOG]),
        Case("chop-before", [LOGKIT, "-c", "-z", "0", LOG], ["log", "-c", "-z", "0", LOG]),
    ]


def _sums() -> list[Case]:
    member = "f-quorum-member-395/version-2"
    left, right = f"{member}/snapshot.0", f"{member}/snapshot.100000010"
    found = [
        Case(f"summary-{depth}", [SUMMARY, SNAPSHOT, start, depth], _summary(start, depth))
        for start, depth in (("/", "0"), ("/", "1"), ("/a", "2"), ("/ttl", "5"))
    ]
    for size, count, debug in (("2", "1", []), ("0", "0", []), ("2", "1", ["-d"])):
        name = f"compare-{size}{''.join(debug)}"
        java = [COMPARER, "-l", left, "-r", right, "-b", size, "-n", count, *debug]
        found.append(Case(name, java, ["snapshot", "compare", "-b", size, "-n", count, *debug, left, right]))
    return found


def _summary(start: str, depth: str) -> list[str]:
    return ["snapshot", "summary", "--apache", "--depth", depth, SNAPSHOT, start]


def prepare(folder: Path) -> None:
    """The captured files, one with a wrong checksum in the fifth record, and one that ends inside a record."""
    shutil.copytree(VECTORS / "storage", folder, dirs_exist_ok=True)
    whole = (folder / LOG).read_bytes()
    wrong = bytearray(whole)
    wrong[386 + 7] ^= 1
    (folder / "wrong.1").write_bytes(wrong)
    (folder / "cut.1").write_bytes(whole[:1000])


def run(options: argparse.Namespace) -> list[Result]:
    if options.apache:
        need("java")
        if not JACKSON.exists():
            raise UnavailableError("Debian's libjackson2-core-java is not installed")
    results = []
    for case in cases():
        with tempfile.TemporaryDirectory(prefix="interop-") as name:
            prepare(Path(name))
            said = apache(case, Path(name)) if options.apache else ours(case, Path(name))
        recorded = RECORDED / f"{case.name}.txt"
        if options.record and options.apache:
            RECORDED.mkdir(exist_ok=True)
            recorded.write_text(said)
        lines = difflib.unified_diff(recorded.read_text().splitlines(), said.splitlines(), "apache", "here", n=1)
        detail = "\n".join(lines)
        results.append(Result("toolkits", case.name, FAILED if detail else PASSED, detail))
    return results


def apache(case: Case, folder: Path) -> str:
    jars = f"{class_path('3.9')}:{JACKSON}"
    done = subprocess.run(
        [need("java"), *JVM_FLAGS, *QUIET, "-cp", jars, *case.java],
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )
    return masked(done.stdout.decode()) + written(case, folder)


def ours(case: Case, folder: Path) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()), contextlib.chdir(folder):
        try:
            main(case.pyzk)
        except PyzkError as error:
            out.write(f"{error}\n")
    return masked(out.getvalue()) + written(case, folder)


def written(case: Case, folder: Path) -> str:
    """The file that a case writes, in hexadecimal, without the zeros that Apache puts behind it."""
    if not case.file:
        return ""
    data = (folder / case.file).read_bytes().rstrip(b"\0")
    return f"\n{case.file}: {data.hex()}\n"


def masked(text: str) -> str:
    for pattern, word in MASKS:
        text = pattern.sub(word, text)
    return text
