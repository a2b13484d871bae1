"""zkCli.sh of Apache 3.9.5, fed with zkcli39_commands.txt: options, quoting, wrong paths and wrong arguments.

What would end Java's shell with a stack trace (a version that is no number, `addWatch` of a wrong path) is left out.
"""

import argparse
import re
import subprocess
from pathlib import Path

from tests.integration.processes import ServerProcess
from tests.interop.apache import JVM_FLAGS, class_path, need
from tests.interop.results import Result
from tests.interop.transcript import run_client
from tests.interop.zkcli import TIMEOUT_S, sections

COMMANDS = Path(__file__).parent / "zkcli39_commands.txt"
MAIN_CLASS = "org.apache.zookeeper.ZooKeeperMain"
ROOT = Path(__file__).parent.parent.parent
QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"


def run(options: argparse.Namespace) -> list[Result]:
    command = [need("java"), *JVM_FLAGS, QUIET, "-Duser.timezone=UTC", "-cp", class_path("3.9"), MAIN_CLASS]
    return run_client("zkcli39", lambda server: talk(command, COMMANDS, server), options)


def talk(command: list[str], commands: Path, server: ServerProcess) -> str:
    """What a shell says to a file of commands; each section begins with a `stat` of a node that is its title."""
    text = commands.read_text().replace("SERVER", server.hosts)
    script = re.sub(r"^== (.*)$", lambda found: f"stat /=={found[1].replace(' ', '_')}", text, flags=re.MULTILINE)
    done = subprocess.run(
        [*command, "-server", server.hosts],
        input=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONPATH": str(ROOT)},
    )
    return "\n".join([*sections(done.stdout), f"== exit\n{done.returncode}"])
