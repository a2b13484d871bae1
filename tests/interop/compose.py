"""Dockerfile and docker-compose.yml, run by podman: three servers, a client, one server killed and back, down and up.

The image is built from the working tree under a name of its own and removed at the end, like containers and volumes.
"""

import argparse
import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kazoo.client import KazooClient
from kazoo.handlers.threading import KazooTimeoutError

from tests.integration.processes import NotServingError, eventually, four_letter_word, free_port
from tests.interop.apache import MAIN_CLASS, UnavailableError, class_path, need
from tests.interop.results import FAILED, PASSED, SKIPPED, Result

ROOT = Path(__file__).resolve().parents[2]
BUILD_SECONDS, CALL_SECONDS, SERVE_SECONDS = 900, 180, 90
BASE = "docker.io/library/python:3.11-slim"
MEGABYTE = 1 << 20
# What the official image's script gives the Java machine.
JAVA_HEAP = "-Xmx1000m"


class Composition:
    """The three servers of docker-compose.yml, with ports and names of their own."""

    def __init__(self) -> None:
        self.name = f"pyzktest{os.getpid()}"
        self.image = f"localhost/{self.name}"
        self.ports = {number: free_port() for number in (1, 2, 3)}
        self.hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports.values())
        variables = {f"ZOO{number}_PORT": str(port) for number, port in self.ports.items()}
        self.environ = {**os.environ, **variables, "PYZK_IMAGE": self.image}

    def podman(self, *words: str, seconds: int = CALL_SECONDS) -> str:
        """What it prints. Raises UnavailableError or CalledProcessError."""
        return self._call([need("podman"), *words], seconds)

    def compose(self, *words: str) -> str:
        return self._call([need("podman-compose"), "-p", self.name, *words], CALL_SECONDS)

    def _call(self, words: list[str], seconds: int) -> str:
        run = subprocess.run(
            words, cwd=ROOT, env=self.environ, capture_output=True, text=True, timeout=seconds, check=False
        )
        if run.returncode:
            raise subprocess.CalledProcessError(run.returncode, words, run.stdout, run.stderr)
        return run.stdout.strip()

    def build(self) -> None:
        """Raises UnavailableError where the image that ours begins with cannot be had."""
        try:
            self.podman("image", "exists", BASE)
        except subprocess.CalledProcessError:
            try:
                self.podman("pull", "-q", BASE, seconds=BUILD_SECONDS)
            except subprocess.CalledProcessError as error:
                raise UnavailableError(f"{BASE} cannot be pulled: {error.stderr.strip()[-200:]}") from None
        # --format docker: the other one has no health checks.
        self.podman("build", "-q", "--network=host", "--format", "docker", "-t", self.image, ".", seconds=BUILD_SECONDS)

    def container(self, number: int) -> str:
        return f"{self.name}_zoo{number}_1"

    def mode(self, number: int) -> str:
        lines = (line.partition("Mode: ")[2] for line in four_letter_word(self.ports[number], "srvr", 2.0).splitlines())
        return next(filter(None, lines), "")

    def wait(self, *numbers: int) -> None:
        eventually(lambda: all(map(self.mode, numbers or self.ports)), "the servers serve", SERVE_SECONDS)

    @contextlib.contextmanager
    def client(self) -> Iterator[KazooClient]:
        client = KazooClient(self.hosts, timeout=20.0)
        client.start(timeout=SERVE_SECONDS)
        try:
            yield client
        finally:
            client.stop()
            client.close()

    def remove(self) -> None:
        """Whatever there is of it."""
        for words in (["podman-compose", "-p", self.name, "down", "-v"], ["podman", "rmi", "-f", self.image]):
            subprocess.run(words, cwd=ROOT, env=self.environ, capture_output=True, check=False)


# The cases, in a row; each returns what is worth a figure.


def builds(servers: Composition) -> str:
    servers.build()
    own, base = (int(servers.podman("image", "inspect", "-f", "{{.Size}}", name)) for name in (servers.image, BASE))
    return f"{own / 1e6:.0f} MB, {(own - base) / 1e6:.0f} of them ours"


def comes_up(servers: Composition) -> str:
    began = time.monotonic()
    servers.compose("up", "-d")
    started = time.monotonic()
    with servers.client() as client:
        client.retry(client.create, "/first", b"write")
    written = time.monotonic()
    return f"compose up returns after {started - began:.1f} s, the first write is there after {written - began:.1f} s"


def is_healthy(servers: Composition) -> str:
    servers.wait()
    for number in servers.ports:
        servers.podman("healthcheck", "run", servers.container(number))
    return ""


def runs_without_privileges(servers: Composition) -> str:
    name = servers.container(1)
    assert servers.podman("exec", name, "id", "-u") == "1000"
    with contextlib.suppress(subprocess.CalledProcessError):
        servers.podman("exec", name, "touch", "/zk/file")
        raise AssertionError("the root file system can be written")
    assert "[zookeeper]" in servers.podman("exec", name, "zkCli.sh", "ls", "/").replace("first, ", "")
    return ""


def survives_the_loss_of_its_leader(servers: Composition) -> str:
    with servers.client() as client:
        session = client.client_id
        client.create("/here", ephemeral=True)
        leader = next(number for number in servers.ports if servers.mode(number) == "leader")
        servers.podman("kill", servers.container(leader))
        began = time.monotonic()
        client.retry(client.create, "/meanwhile", b"written")
        seconds = time.monotonic() - began
        servers.podman("start", servers.container(leader))
        servers.wait()
        assert client.client_id == session
        assert client.exists("/here") is not None
    return f"the next write is there {seconds:.1f} s after the leader was killed"


def keeps_its_data(servers: Composition) -> str:
    servers.compose("down")
    servers.compose("up", "-d")
    servers.wait()
    with servers.client() as client:
        client.sync("/")
        assert set(client.get_children("/")) == {"first", "meanwhile", "zookeeper"}
        assert client.get("/meanwhile")[0] == b"written"
    return ""


def takes_little_memory(servers: Composition) -> str:
    sizes = [
        resident(int(servers.podman("inspect", "-f", "{{.State.Pid}}", servers.container(n)))) for n in servers.ports
    ]
    try:
        java = f"; Apache 3.9.5, one server with the official image's {JAVA_HEAP}: {java_resident() // MEGABYTE} MB"
    except UnavailableError as missing:
        java = f"; no Apache server to compare with: {missing}"
    return f"{max(sizes) // MEGABYTE} MB resident" + java


def resident(pid: int) -> int:
    """Bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise NotServingError(f"process {pid} has no memory")


def java_resident() -> int:
    """Of a standalone server that nobody has asked anything but srvr."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyzk-java-")))
        (folder / "zoo.cfg").write_text(f"dataDir={folder}\nclientPort={port}\nadmin.enableServer=false\n")
        words = [need("java"), JAVA_HEAP, "-cp", class_path("3.9"), MAIN_CLASS, str(folder / "zoo.cfg")]
        process = stack.enter_context(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        stack.callback(process.terminate)
        eventually(lambda: "Mode" in four_letter_word(port, "srvr"), "Apache's server", SERVE_SECONDS)
        return resident(process.pid)


CASES: tuple[Callable[[Composition], str], ...] = (
    builds,
    comes_up,
    is_healthy,
    runs_without_privileges,
    survives_the_loss_of_its_leader,
    keeps_its_data,
    takes_little_memory,
)


def run(options: argparse.Namespace) -> list[Result]:
    """Raises UnavailableError."""
    del options
    for program in ("podman", "podman-compose"):
        need(program)
    servers = Composition()
    results: list[Result] = []
    try:
        for case in CASES:
            results.append(outcome(case, servers))
            if results[-1].outcome == FAILED:
                break
    finally:
        servers.remove()
    return results


def outcome(case: Callable[[Composition], str], servers: Composition) -> Result:
    began, name = time.monotonic(), case.__name__.replace("_", " ")
    try:
        figure = case(servers)
    except UnavailableError as missing:
        return Result("compose", name, SKIPPED, str(missing))
    except subprocess.CalledProcessError as error:
        return Result("compose", name, FAILED, f"{error}\n{error.stdout}\n{error.stderr}")
    except (AssertionError, NotServingError, KazooTimeoutError) as error:
        return Result("compose", name, FAILED, f"{type(error).__name__}: {error}")
    print(f"    {name} ({time.monotonic() - began:.1f} s) {figure}", flush=True)
    return Result("compose", name, PASSED)
