"""Server processes for tests: write a zoo.cfg, start, wait until it serves, stop by process id.

`PyzkServer` runs this project's `pyzk-server`; tests/interop/apache.py adds Apache's over the same base.
"""

import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 15.0
LOG_TAIL_LINES, LOG_LINE_CHARACTERS_MAX = 10, 1000
# Below the kernel's range for outgoing connections: a client that retries a port of that range while its server is
# down may connect to itself.
PORTS = range(24200, 27000)
_claims: dict[int, int] = {}


class NotServingError(Exception):
    """A server ended, or did not begin to serve in time."""


def eventually(condition: Callable[[], object], what: str, timeout_s: float = START_TIMEOUT_S) -> None:
    """Poll until `condition()` is true.

    Raises:
        NotServingError: naming `what`, when it is still false after `timeout_s`.
    """
    pause = threading.Event()
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise NotServingError(f"not within {timeout_s} s: {what}")
        pause.wait(0.02)


def free_port() -> int:
    """A port that nobody listens on, and that no other test process is given for as long as this one lives."""
    for _ in range(200):
        port = random.choice(PORTS)
        if _is_free(port) and _claim(port):
            return port
    raise NotServingError(f"no free port in {PORTS}")


def free_block(offsets: Sequence[int]) -> int:
    """A port p such that every p + offset is free, and claimed as by `free_port`."""
    for _ in range(200):
        first = random.choice(PORTS[: -max(offsets) or None])
        if all(_is_free(first + offset) and _claim(first + offset) for offset in offsets):
            return first
    raise NotServingError(f"no {len(offsets)} free ports together in {PORTS}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _claim(port: int) -> bool:
    """Between the look at a port and the server's bind there is time for another test to find it free as well."""
    path = Path(tempfile.gettempdir()) / f"pyzk-test-port-{port}.lock"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    _claims[port] = descriptor  # the lock ends with the process, or with `release`
    return True


def release(*ports: int) -> None:
    """Let others have these ports."""
    for port in ports:
        descriptor = _claims.pop(port, None)
        if descriptor is not None:
            os.close(descriptor)


def four_letter_word(port: int, word: str, timeout_s: float = 5.0, host: str = "127.0.0.1") -> str:
    """The answer to an administrative word; empty when nobody listens."""
    try:
        with socket.create_connection((host, port), timeout_s) as connection:
            connection.sendall(word.encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    except OSError:
        return ""


class ServerProcess:
    """One standalone server on loopback in a folder of its own: zoo.cfg, data/, server.log."""

    stop_timeout_s = STOP_TIMEOUT_S

    def __init__(self, folder: Path, port: int = 0, settings: Mapping[str, object] | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.data_dir = folder / "data"
        self.config_path = folder / "zoo.cfg"
        self.log_path = folder / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.configure(settings or {})

    def configure(self, settings: Mapping[str, object]) -> None:
        """Write zoo.cfg; takes effect at the next start. A setting of None is left out."""
        lines: dict[str, object] = {
            "tickTime": 2000,
            "dataDir": self.data_dir,
            "clientPort": self.port,
            "clientPortAddress": "127.0.0.1",
            "maxClientCnxns": 0,
            "4lw.commands.whitelist": "*",
            "admin.enableServer": "false",
            **settings,
        }
        text = "".join(f"{key}={value}\n" for key, value in lines.items() if value is not None)
        self.config_path.write_text(text)

    def command(self) -> list[str]:
        raise NotImplementedError

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def hosts(self) -> str:
        return f"127.0.0.1:{self.port}"

    def launch(self) -> Self:
        """Start the process, and do not wait until it serves."""
        assert self.process is None
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        return self

    def start(self) -> Self:
        self.launch()
        assert self.process is not None
        try:
            eventually(self._serves_or_ended, f"an answer on port {self.port}")
        except NotServingError as error:
            self.kill()
            raise NotServingError(f"{error}\n{self.log_tail()}") from None
        if self.process.poll() is not None:
            code, self.process = self.process.returncode, None
            raise NotServingError(f"ended with {code} before it served:\n{self.log_tail()}")
        return self

    def _serves_or_ended(self) -> bool:
        assert self.process is not None
        return self.process.poll() is not None or "Mode: " in four_letter_word(self.port, "srvr")

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """End the process by a signal and wait for it; its return code (0 when it was not running)."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.send_signal(with_signal)
        try:
            return process.wait(self.stop_timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def restart(self) -> Self:
        self.stop()
        return self.start()

    def log_tail(self) -> str:
        """The last lines of the server's log, cut to what a person reads."""
        lines = self.log_path.read_text(errors="replace").splitlines() if self.log_path.exists() else []
        return "\n".join(line[-LOG_LINE_CHARACTERS_MAX:] for line in lines[-LOG_TAIL_LINES:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class PyzkServer(ServerProcess):
    """`pyzk-server` of the environment that runs the tests; `prefix` goes before the command (strace, for one)."""

    prefix: tuple[str, ...] = ()

    def command(self) -> list[str]:
        program = Path(sys.executable).parent / "pyzk-server"
        return [*self.prefix, str(program), "--config", str(self.config_path)]
