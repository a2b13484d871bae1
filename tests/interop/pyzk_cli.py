"""pyzk-cli, fed with the commands that zkCli.sh was fed with: it must say the same, line by line.

`zkcli` was recorded with the shell of 3.8.0, `zkcli39` with that of 3.9.5. What 3.9 says otherwise than 3.8 stands in
SINCE_3_8; there is no other difference. With `--apache` the server is Apache's, and both shells reconfigure an ensemble
of one.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

from tests.integration.processes import ServerProcess, free_port
from tests.interop.apache import JVM_FLAGS, ApacheServer, class_path, need
from tests.interop.results import Result
from tests.interop.transcript import FOLDER, compare, mask, server
from tests.interop.zkcli import COMMANDS as COMMANDS_38
from tests.interop.zkcli39 import COMMANDS as COMMANDS_39
from tests.interop.zkcli39 import MAIN_CLASS, QUIET, talk

SCRIPTS = {"zkcli": COMMANDS_38, "zkcli39": COMMANDS_39}
RECONFIG = Path(__file__).parent / "reconfig_commands.txt"
COMMAND = [sys.executable, "-m", "pyzk.tools.shell.main"]
SINCE_3_8 = {
    "\tget [-s] [-w] path": "\tget [-s] [-w] [-b] [-x] path",
    "\tset [-s] [-v version] path data": "\tset path data [-s] [-v version] [-b]",
}
VERSION = re.compile(r"(?<=ZooKeeper CLI version: ).*")


def run(options: argparse.Namespace) -> list[Result]:
    results = []
    for name in SCRIPTS:
        with tempfile.TemporaryDirectory(prefix="interop-") as folder, server(options, Path(folder)) as running:
            results += converse(name, running)
    return results + (compare_reconfig() if options.apache else [])


def compare_reconfig() -> list[Result]:
    """Both shells on an ensemble of Apache's, one after the other."""
    java = [need("java"), *JVM_FLAGS, QUIET, "-Duser.timezone=UTC", "-cp", class_path("3.9"), MAIN_CLASS]
    said = []
    for command in (java, COMMAND):
        with tempfile.TemporaryDirectory(prefix="interop-") as folder:
            said.append(reconfigured(command, Path(folder)))
    return compare("pyzk-reconfig", *said)


def reconfigured(command: list[str], folder: Path) -> str:
    quorum, election, client = free_port(), free_port(), free_port()
    settings = {
        "clientPort": None,
        "clientPortAddress": None,
        "server.1": f"127.0.0.1:{quorum}:{election}:participant;127.0.0.1:{client}",
        "standaloneEnabled": "false",
        "reconfigEnabled": "true",
        "initLimit": 5,
        "syncLimit": 5,
    }
    ensemble = ApacheServer(folder, port=client, flags=("-Dzookeeper.skipACL=yes",), settings=settings)
    (ensemble.data_dir / "myid").write_text("1")
    with ensemble as running:
        text = talk(command, RECONFIG, running)
    for port, word in ((quorum, "QUORUM"), (election, "ELECTION"), (client, "CLIENT")):
        text = text.replace(str(port), word)
    return "\n".join(mask(text.splitlines())) + "\n"


def converse(name: str, running: ServerProcess) -> list[Result]:
    """Compare what pyzk-cli says to a script with the recorded transcript of that script."""
    said = mask(talk(COMMAND, SCRIPTS[name], running).splitlines())
    recorded = (FOLDER / f"{name}.txt").read_text().splitlines()
    is_old = name == "zkcli"
    return compare(f"pyzk-{name}", _comparable(recorded, is_old=is_old), _comparable(said, is_old=is_old))


def _comparable(lines: list[str], *, is_old: bool) -> str:
    """Without the version word; in events of 3.8 there are no zxids."""
    lines = [VERSION.sub("VERSION", SINCE_3_8.get(line, line)) for line in lines]
    if is_old:
        lines = [re.sub(r"^(WatchedEvent .*) zxid: -?\d+$", r"\1", line) for line in lines]
    return "\n".join(lines) + "\n"
