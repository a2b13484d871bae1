"""Curator's recipes (java/curator) on three servers whose leader is killed in the middle, as recorded from Apache's."""

import argparse
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.integration.ensemble import Ensemble
from tests.interop.apache import JVM_FLAGS
from tests.interop.maven import UnavailableError, jars, need
from tests.interop.results import Result
from tests.interop.transcript import FOLDER, compare

PROGRAM = Path(__file__).parent / "java" / "curator"
RELEASE = "5.9.0"
ARTIFACTS = (
    f"org.apache.curator:curator-recipes:{RELEASE}",
    f"org.apache.curator:curator-x-discovery:{RELEASE}",
    "org.apache.zookeeper:zookeeper:3.9.5",
    "org.slf4j:slf4j-nop:2.0.13",
)
SETTINGS = {"extendedTypesEnabled": "true"}
SERVERS = 3
COMPILE_TIMEOUT_S = 120


def run(options: argparse.Namespace) -> list[Result]:
    kinds = (options.kinds or ("java39" if options.apache else "pyzk")).split(",")
    with tempfile.TemporaryDirectory(prefix="curator-") as folder:
        command = compiled(Path(folder) / "classes")
        chosen = [kinds[number % len(kinds)] for number in range(SERVERS)]
        with Ensemble(Path(folder), chosen, SETTINGS) as ensemble:
            ensemble.start()
            printed = played([*command, ensemble.hosts()], ensemble)
    recorded = FOLDER / "curator.txt"
    if options.record:
        if not options.apache:
            raise UnavailableError("only Apache's answers are recorded: --apache --record")
        recorded.write_text(printed)
    return compare("curator", recorded.read_text(), printed)


def compiled(classes: Path) -> list[str]:
    """Compile the program; the command that starts it, up to the connect string."""
    class_path = f"{jars(f'curator-{RELEASE}', ARTIFACTS)}/*"
    sources = [str(source) for source in sorted(PROGRAM.glob("*.java"))]
    command = [need("javac"), "-nowarn", "-cp", class_path, "-d", str(classes), *sources]
    subprocess.run(command, check=True, timeout=COMPILE_TIMEOUT_S, stderr=subprocess.DEVNULL)
    return [need("java"), *JVM_FLAGS, "-cp", f"{classes}:{class_path}", "Recipes"]


def played(command: list[str], ensemble: Ensemble) -> str:
    """Run the program to its end and do to the ensemble what it asks for; what it printed."""
    leader = ensemble.leader()
    requests: dict[str, Callable[[], None]] = {
        "kill the leader": lambda: ensemble.kill(leader),
        "bring it back": lambda: ensemble.start(leader),
    }
    lines = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("ensemble: "):
                requests[line.strip().removeprefix("ensemble: ")]()
                process.stdin.write("done\n")
                process.stdin.flush()
    return "\n".join([*lines, "== exit", str(process.returncode)]) + "\n"
