"""zkServer.sh of Debian's package, with Apache's 3.9.5 behind it, beside bin/zkServer.sh: the same calls in a row.

Compared are standard output and exit code of each call. Masked: process numbers, folders, the command that print-cmd
prints. The script is run from a copy, because the one that is installed keeps to /etc/zookeeper.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.integration.processes import eventually, four_letter_word, free_port
from tests.interop.apache import UnavailableError, class_path, need
from tests.interop.results import FAILED, PASSED, Result

OURS = Path(__file__).resolve().parents[2] / "bin" / "zkServer.sh"
DEBIAN = Path("/usr/share/zookeeper/bin/zkServer.sh")
CALL_SECONDS = 60


class Said(NamedTuple):
    code: int
    output: str
    seconds: float


class Site:
    """One script with a folder of its own."""

    def __init__(self, folder: Path, script: Path) -> None:
        self.folder, self.script = folder, script
        self.port = free_port()
        self.data = folder / "data"
        folder.mkdir()
        self.configure(f"clientPort={self.port}")

    def configure(self, *lines: str) -> None:
        common = ("tickTime=2000", f"dataDir={self.data}", "admin.enableServer=false")
        (self.folder / "zoo.cfg").write_text("".join(f"{line}\n" for line in (*common, *lines)))

    def call(self, verb: str) -> Said:
        words = [str(self.script), *verb.split(), str(self.folder / "zoo.cfg")]
        environ = {"PATH": os.environ["PATH"], "ZOO_LOG_DIR": str(self.folder / "logs"), "JMXDISABLE": "true"}
        began = time.monotonic()
        run = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=CALL_SECONDS, check=False)
        return Said(run.returncode, self.masked(run.stdout), time.monotonic() - began)

    def masked(self, text: str) -> str:
        text = text.replace(str(self.folder), "FOLDER").replace(str(self.port), "PORT")
        text = re.sub(r"process \d+", "process PID", text)
        text = re.sub(r'^".*(?= > ")', '"COMMAND"', text, flags=re.MULTILINE | re.DOTALL)
        return re.sub(r"zookeeper-\w*-server-", "zookeeper-USER-server-", text)

    # What happens between two calls.

    def serves(self) -> None:
        eventually(lambda: "Mode" in four_letter_word(self.port, "srvr"), "an answer", CALL_SECONDS)

    def killed(self) -> None:
        pid = int((self.data / "zookeeper_server.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        # Until the first process of the machine has noticed, the number is taken, and that is what the scripts look at.
        eventually(lambda: not Path(f"/proc/{pid}").exists(), "the end", CALL_SECONDS)

    def own_line(self) -> None:
        self.data.mkdir(exist_ok=True)
        (self.data / "myid").write_text("1\n")
        self.configure(f"server.1=localhost:{free_port()}:{free_port()};{self.port}")

    def no_port(self) -> None:
        self.configure()

    def no_such_value(self) -> None:
        self.configure(f"clientPort={self.port}", "tickTime=soon")


def nothing(_site: Site) -> None:
    """No change between two calls."""


# In a row: what happens before the call, and the call.
STEPS: tuple[tuple[Callable[[Site], None], str], ...] = (
    (nothing, "status"),
    (nothing, "stop"),
    (nothing, "start"),
    (nothing, "start"),
    (Site.serves, "status"),
    (nothing, "restart"),
    (Site.serves, "status"),
    (Site.killed, "status"),
    (nothing, "start"),
    (Site.serves, "stop"),
    (nothing, "stop"),
    (nothing, "print-cmd"),
    (Site.no_such_value, "start"),
    (Site.no_port, "status"),
    (Site.own_line, "start"),
    (Site.serves, "status"),
    (nothing, "stop"),
    (nothing, "upgrade"),
)


def run(options: argparse.Namespace) -> list[Result]:
    """Raises UnavailableError."""
    del options
    with tempfile.TemporaryDirectory(prefix="pyzk-control-") as name:
        folder = Path(name)
        apache = Site(folder / "apache", apache_script(folder / "bin"))
        pyzk = Site(folder / "pyzk", OURS)
        try:
            return [step(number, apache, pyzk, *what) for number, what in enumerate(STEPS, 1)]
        finally:
            apache.call("stop")
            pyzk.call("stop")


def apache_script(folder: Path) -> Path:
    """Debian's script beside an environment of ours. Raises UnavailableError."""
    if not DEBIAN.exists():
        raise UnavailableError("Debian's package zookeeper is not installed")
    folder.mkdir()
    script = folder / "zkServer.sh"
    shutil.copy(DEBIAN, script)
    lines = (f"JAVA={need('java')}", f"CLASSPATH='{class_path('3.9')}'", "ZOOCFGDIR=/nowhere", "JVMFLAGS=-Xmx256m")
    (folder / "zkEnv.sh").write_text("".join(f"{line}\n" for line in lines))
    return script


def step(number: int, apache: Site, pyzk: Site, before: Callable[[Site], None], verb: str) -> Result:
    said = []
    for site in (apache, pyzk):
        before(site)
        said.append(site.call(verb))
    theirs, ours = said
    name = f"{number}. {verb}"
    print(f"    {name:16} {theirs.seconds:6.2f} s  {ours.seconds:6.2f} s  {ours.output!r}", flush=True)
    if theirs[:2] == ours[:2]:
        return Result("zkServer.sh", name, PASSED)
    return Result("zkServer.sh", name, FAILED, f"Apache: {theirs}\npyzk:   {ours}")
