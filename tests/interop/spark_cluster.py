"""A standalone Spark cluster whose masters keep what they know in ZooKeeper, out of the jars that pyspark brings.

pyspark's wheel has Spark's jars and not its `sbin`: each script there is `java -cp jars/* CLASS OPTIONS` with
SPARK_MASTER_OPTS as flags; MASTER and WORKER are the classes.
"""

import json
import os
import subprocess
import urllib.request
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.integration.processes import ServerProcess, free_port, release
from tests.interop.maven import UnavailableError, cache_folder, need

RELEASE, SCALA = "3.5.6", "2.12"
MASTER, WORKER = "org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker"
FLAGS = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
# The least that Spark gives an executor.
EXECUTOR_MEMORY = "470m"
TOP = "/spark"
HOST = "127.0.0.1"
APPLICATION = Path(__file__).parent / "spark_application.py"


def install() -> Path:
    """A virtual environment with pyspark; the path of its Python."""
    folder = cache_folder(f"pyspark-{RELEASE}")
    python = folder / "venv" / "bin" / "python"
    complete = folder / "complete"
    if not complete.exists():
        venv.create(folder / "venv", with_pip=True)
        command = [str(python), "-m", "pip", "install", "-q", f"pyspark=={RELEASE}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
        if done.returncode != 0:
            raise UnavailableError(f"pip cannot install pyspark: {done.stderr[-500:]}")
        complete.touch()
    return python


class Daemon(ServerProcess):
    """A master or a worker; it answers on `port`, and shows what it knows on `web_port`."""

    stop_timeout_s = 30.0

    def __init__(
        self, folder: Path, home: Path, main_class: str, flags: Sequence[str] = (), words: Sequence[str] = ()
    ) -> None:
        super().__init__(folder)
        self.web_port = free_port()
        self._home = home
        self._program = [need("java"), *FLAGS, *flags, "-cp", f"{home}/jars/*", main_class]
        self._words = words

    def configure(self, _: Mapping[str, object]) -> None:
        """All is on the command line."""

    def command(self) -> list[str]:
        places = ["--host", HOST, "--port", str(self.port), "--webui-port", str(self.web_port)]
        # As load-spark-env.sh sets it; without it a worker looks for a build of Spark's sources.
        variables = [f"SPARK_HOME={self._home}", f"SPARK_LOCAL_IP={HOST}", f"SPARK_SCALA_VERSION={SCALA}"]
        return ["env", *variables, *self._program, *places, *self._words]

    def shown(self) -> dict[str, object]:
        """What its page says, as JSON; empty while there is none."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.web_port}/json/", timeout=10) as page:
                value = json.load(page)
        except OSError:
            return {}
        assert isinstance(value, dict)
        return value

    @property
    def status(self) -> str:
        return str(self.shown().get("status", ""))

    def names(self, kind: str) -> list[str]:
        """The ids of "workers" that are alive, or of "activeapps"."""
        rows = self.shown().get(kind, [])
        assert isinstance(rows, list)
        return [str(row["id"]) for row in rows if row.get("state") in {"ALIVE", "RUNNING"}]


class Cluster:
    """Two masters and a worker. Leaving the `with` block kills what still runs.

    Args:
        connect: the servers of ZooKeeper.
    """

    def __init__(self, folder: Path, connect: str) -> None:
        self._python = install()
        home = next(self._python.parent.parent.glob("lib/python*/site-packages/pyspark"))
        recovery = (
            "-Dspark.deploy.recoveryMode=ZOOKEEPER",
            f"-Dspark.deploy.zookeeper.url={connect}",
            f"-Dspark.deploy.zookeeper.dir={TOP}",
        )
        self._folder = folder
        self.masters = [Daemon(folder / f"master-{number}", home, MASTER, recovery) for number in (1, 2)]
        self.url = f"spark://{','.join(master.hosts for master in self.masters)}"
        words = ("--cores", "4", "--memory", "2g", "--work-dir", str(folder / "work"), self.url)
        self.worker = Daemon(folder / "worker", home, WORKER, words=words)

    @property
    def daemons(self) -> list[Daemon]:
        return [*self.masters, self.worker]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for daemon in self.daemons:
            daemon.kill()
            release(daemon.port, daemon.web_port)

    def leaders(self) -> list[Daemon]:
        return [master for master in self.masters if master.running and master.status == "ALIVE"]

    def application(self, name: str) -> "Application":
        return Application(str(self._python), self.url, self._folder / f"{name}.log", name)


class Application:
    """An application with two executors; a context manager that stops it."""

    def __init__(self, python: str, url: str, log: Path, name: str) -> None:
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [python, str(APPLICATION), url, name, EXECUTOR_MEMORY],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                env={**os.environ, "SPARK_LOCAL_IP": HOST, "PYSPARK_PYTHON": python},
            )
        self._log = log
        self.id, _ = self._answer()

    def _answer(self) -> tuple[str, str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the application has ended: {self._log.read_text(errors='replace')[-2000:]}"
        first, _, rest = line.strip().partition(" ")
        return first, rest

    def count(self, numbers: int) -> tuple[int, set[str]]:
        """Have the executors add up 0 to numbers - 1: the sum, and the processes that took part."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{numbers}\n")
        self._process.stdin.flush()
        total, processes = self._answer()
        return int(total), set(processes.split())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        finally:
            self._process.kill()
