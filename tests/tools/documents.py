"""The examples of docs/tools.md, run: `python -m tests.tools.documents` writes their output into the page anew.

Commands run one after the other in a folder with the captured files of tests/vectors/storage, a log with a wrong
checksum, and the zoo.cfg below; what needs a server talks to a fresh one, whose address is written localhost:2181.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kazoo.client import KazooClient

from tests.integration.processes import PyzkServer, ServerProcess
from tests.interop.toolkits import prepare
from tests.interop.transcript import SETTINGS

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "tools.md"
ADDRESS, FOLDER = "localhost:2181", "/srv/zk"
CAPTURED_AT = 1795378720
MODULES = {"pyzk": "pyzk.tools.main", "pyzk-cli": "pyzk.tools.shell.main"}
CONFIGURATION = """\
dataDir=./data
clientPort=2181
clientPortAddress=127.0.0.1
snapCount=50000
autopurge.purgeintervall=24
"""
TIMEOUT_S = 60


def blocks(text: str) -> Iterator[tuple[int, int]]:
    """First and last line of what stands in each console block."""
    lines = text.splitlines()
    begun = None
    for number, line in enumerate(lines):
        if line == "```console":
            begun = number + 1
        elif line == "```" and begun is not None:
            yield begun, number
            begun = None


def examples(text: str) -> list[tuple[str, list[str]]]:
    """(command, lines of output) of the page, in order."""
    lines = text.splitlines()
    found: list[tuple[str, list[str]]] = []
    for begun, ended in blocks(text):
        for line in lines[begun:ended]:
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def run(command: str, folder: Path, server: ServerProcess) -> list[str]:
    """What a command prints, and its exit code where that is not 0."""
    program, *arguments = shlex.split(command.replace(ADDRESS, server.hosts))
    done = subprocess.run(
        [sys.executable, "-m", MODULES[program], *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        cwd=folder,
        env={**os.environ, "TZ": "UTC", "PYTHONPATH": str(ROOT)},
    )
    printed = done.stdout.replace(server.hosts, ADDRESS).replace(str(folder), FOLDER)
    lines = [line.rstrip() for line in printed.splitlines()]
    return lines if done.returncode == 0 else [*lines, f"(exit code {done.returncode})"]


def fill(folder: Path) -> None:
    """What the examples find."""
    prepare(folder)
    (folder / "zoo.cfg").write_text(CONFIGURATION)
    (folder / "data").mkdir()
    damaged, old = folder / "damaged" / "version-2", folder / "old" / "version-2"
    shutil.copytree(folder / "a-log" / "version-2", damaged)
    shutil.copy(folder / "wrong.1", damaged / "log.1")
    old.mkdir(parents=True)
    for zxid in (0, 0x10, 0x20, 0x30):
        shutil.copy(folder / "a-log" / "version-2" / "snapshot.0", old / f"snapshot.{zxid:x}")
    for zxid in (1, 0x9, 0x11):
        (old / f"log.{zxid:x}").write_bytes(b"")
    for path in old.iterdir():
        os.utime(path, (CAPTURED_AT, CAPTURED_AT))


@contextmanager
def outputs(text: str) -> Iterator[Iterator[list[str]]]:
    """The output of every example as it is now, in order."""
    with (
        tempfile.TemporaryDirectory() as name,
        tempfile.TemporaryDirectory() as folder,
        PyzkServer(Path(name), settings=SETTINGS) as server,
    ):
        fill(Path(folder))
        client = KazooClient(server.hosts)
        client.start()
        client.create("/app", b"hello")
        client.create("/app/config", b"colour=green")
        client.exists("/app/config", watch=print)
        yield (run(command, Path(folder), server) for command, _ in examples(text))
        client.stop()
        client.close()


def main() -> None:
    text = PAGE.read_text()
    made, inside = list[str](), False
    with outputs(text) as printed:
        for line in text.splitlines():
            inside = line == "```console" or (inside and line != "```")
            if not inside or line == "```console":
                made.append(line)
            elif line.startswith("$ "):
                made += [line, *next(printed)]
    PAGE.write_text("\n".join(made) + "\n")


if __name__ == "__main__":
    main()
