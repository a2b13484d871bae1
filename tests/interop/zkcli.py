"""zkCli.sh of Debian's zookeeper package (3.8.0), fed with zkcli_commands.txt.

The shell does not echo what it reads from a pipe, so a section begins with a command whose answer gives its name away:
`stat` of a node /==NAME that nobody has.
"""

import argparse
import re
import subprocess
from pathlib import Path

from tests.integration.processes import ServerProcess
from tests.interop.apache import DEBIAN_JAR, UnavailableError, need
from tests.interop.results import Result
from tests.interop.transcript import run_client

SHELL = Path("/usr/share/zookeeper/bin/zkCli.sh")
COMMANDS = Path(__file__).parent / "zkcli_commands.txt"
MARKER = re.compile(r"Node does not exist: /==(.*)")
IDENTITY = re.compile(r"(ip|digest): ")
TIMEOUT_S = 180


def run(options: argparse.Namespace) -> list[Result]:
    need("java")
    if not SHELL.exists() or not DEBIAN_JAR.exists():
        raise UnavailableError("Debian's zookeeper package is not installed")
    return run_client("zkcli", talk, options)


def talk(server: ServerProcess) -> str:
    commands = COMMANDS.read_text().replace("SERVER", server.hosts)
    script = re.sub(r"^== (.*)$", lambda found: f"stat /=={found[1].replace(' ', '_')}", commands, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", str(SHELL), "-server", server.hosts],
        input=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={"PATH": "/usr/bin:/bin", "CLIENT_JVMFLAGS": "-Xmx256m -XX:TieredStopAtLevel=1 -Dfile.encoding=UTF-8"},
    )
    return "\n".join([*sections(done.stdout), f"== exit\n{done.returncode}"])


def sections(output: str) -> list[str]:
    """The shell's answers by section; watch events, which another thread prints, at the end in their own order.

    What comes before the first section is about the shell itself. Ephemerals and identities come in the order of Java's
    hash sets: they are sorted.
    """
    lines: list[str] = []
    events = ["== events"]
    for line in output.splitlines():
        if marker := MARKER.search(line):
            lines.append(f"== {marker[1].replace('_', ' ')}")
        elif "WatchedEvent " in line:
            events.append(line[line.index("WatchedEvent ") :])
        elif line.startswith("[/") and line.endswith("]"):
            lines.append(str(sorted(line[1:-1].split(", "))))
        elif IDENTITY.match(line) and IDENTITY.match(lines[-1]):
            lines[-1:] = sorted([lines[-1], line])
        elif lines and line and "WATCHER::" not in line:
            lines.append(line)
    return [*lines, *events]
