"""go-zookeeper's own test suite, out of its Go module, with bin/zkServer.sh of this repository in ZOOKEEPER_BIN_PATH.

The suite starts servers alone, in threes, kills and restarts them. Before it begins it parses the answer to srvr, for
which it knows the date of 3.5 ("10/08/2019 20:18 GMT") and not that of 3.9 ("2024-02-12 22:16 UTC"), which is ours too:
that pattern is changed in a copy, and its unit test with the old date is left out.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

from tests.interop.apache import java_command
from tests.interop.maven import UnavailableError, cache_folder, need
from tests.interop.results import FAILED, PASSED, SKIPPED, Result

MODULE, RELEASE = "github.com/go-zookeeper/zk", "v1.0.4"
SUITE_TIMEOUT_S = 1500
OUTCOMES = {"pass": PASSED, "fail": FAILED, "skip": SKIPPED}
SCRIPTS = Path(__file__).resolve().parents[2] / "bin"
# Maven has no scripts; what the suite calls is `zkServer.sh start-foreground FILE`.
APACHE_SCRIPT = """#!/bin/sh
exec {command} $SERVER_JVMFLAGS {main_class} "$2"
"""
DATES = (
    (r"(\d\d/\d\d/\d\d\d\d \d\d:\d\d [A-Za-z0-9:\+\-]+)", r"(\d\d\d\d-\d\d-\d\d \d\d:\d\d [A-Z]+)"),
    ('"01/02/2006 15:04 MST"', '"2006-01-02 15:04 MST"'),
)
OF_THE_OLD_DATE = "TestFLWSrvr"


def run(options: argparse.Namespace) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="go-client-") as name:
        scripts = apache_scripts(Path(name)) if options.apache else SCRIPTS
        suite = copied(Path(name) / "zk")
        command = [need("go"), "test", f"-timeout={SUITE_TIMEOUT_S}s", "-json", f"-skip=^{OF_THE_OLD_DATE}$"]
        command += [f"-run={options.only}"] if options.only else []
        done = subprocess.run(
            [*command, "."],
            cwd=suite,
            env={**os.environ, "ZOOKEEPER_BIN_PATH": str(scripts), "ZK_VERSION": "3.9.5"},
            capture_output=True,
            text=True,
            timeout=SUITE_TIMEOUT_S + 120,
            check=False,
        )
    return outcomes(done.stdout) or [Result("go-client", "all", FAILED, done.stderr)]


def apache_scripts(folder: Path) -> Path:
    *command, main_class = java_command("3.9")
    script = folder / "zkServer.sh"
    script.write_text(APACHE_SCRIPT.format(command=shlex.join(command), main_class=main_class))
    script.chmod(0o755)
    return folder


def copied(suite: Path) -> Path:
    """A copy of the module's files that knows the date of 3.9; the module is fetched once."""
    folder = cache_folder("go-client")
    (folder / "go.mod").write_text("module pyzk/interop\n\ngo 1.21\n")
    command = [need("go"), "mod", "download", "-json", f"{MODULE}@{RELEASE}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise UnavailableError(f"go cannot fetch {MODULE} {RELEASE}: {done.stdout[-300:]}{done.stderr[-300:]}")
    shutil.copytree(json.loads(done.stdout)["Dir"], suite)
    suite.chmod(0o755)
    answers = suite / "flw.go"
    answers.chmod(0o644)
    text = answers.read_text()
    for old, new in DATES:
        assert text.count(old) == 1, f"{old} is not in {answers}"
        text = text.replace(old, new)
    answers.write_text(text)
    return suite


def outcomes(events: str) -> list[Result]:
    """What `go test -json` says of each test."""
    printed: dict[str, list[str]] = defaultdict(list)
    results = []
    for line in events.splitlines():
        event = json.loads(line)
        test, action = event.get("Test"), event["Action"]
        if test and action == "output":
            printed[test].append(event["Output"].rstrip("\n"))
        elif test and action in OUTCOMES:
            said = [line.strip() for line in printed[test] if not line.startswith(("===", "---"))]
            detail = "\n".join(said[-20:]) if action == "fail" else " ".join(said) if action == "skip" else ""
            results.append(Result("go-client", test, OUTCOMES[action], detail))
    return results
