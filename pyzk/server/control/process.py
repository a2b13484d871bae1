"""The server's process as its pid file names it: found, started in the background, stopped."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from pyzk.server.notify import READY, Listener

BEGIN_SECONDS = 30.0
"""How long a server may take to say that it has begun, on the slowest of machines."""
LOAD_SECONDS = 2.0
"""A server that lives this long after that counts as started, though it may still be loading its data."""
STOP_SECONDS = 30.0
LOOK_SECONDS = 0.05
SERVERS = (b"pyzk.server.main", b"pyzk-server", b"org.apache.zookeeper.server")
"""What stands in the command line of a server, ours or Apache's."""


def command(config: str) -> list[str]:
    """What starts a server. Isolated: neither the working directory nor PYTHON... variables change what is imported."""
    return [sys.executable, "-I", "-m", "pyzk.server.main", "--config", config]


def running(pid_file: Path) -> int | None:
    """The process that the file names, if it is a server and lives.

    Differs from Apache: a process that got the number of a server long gone is neither taken for one nor stopped.
    """
    try:
        pid = int(pid_file.read_text(encoding="ascii"))
    except (FileNotFoundError, IsADirectoryError, ValueError):
        return None
    return pid if _is_server(pid) else None


def _is_server(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, and alive
    try:
        # Empty for one that has ended and whom nobody has waited for.
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True  # no /proc here: believe the file
    return any(name in words for name in SERVERS)


def launch(words: list[str], output: Path, pid_file: Path) -> subprocess.Popen[bytes]:
    """Start a server that outlives us and holds nothing of ours; returns when it serves, ends, or takes its time.

    Raises:
        OSError: it cannot be started, or its number cannot be kept: then it does not run.
    """
    with output.open("ab") as log, Listener() as ready:
        environment = {**os.environ, "NOTIFY_SOCKET": ready.path}
        process = subprocess.Popen(  # noqa: S603 - this interpreter
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        try:
            pid_file.write_text(str(process.pid), encoding="ascii")
        except OSError:
            process.kill()
            process.wait()
            raise
        deadline = time.monotonic() + BEGIN_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            lines = ready.hear(LOOK_SECONDS)
            if READY in lines:
                break
            if lines:
                deadline = time.monotonic() + LOAD_SECONDS
        return process


def terminate(pid: int) -> bool:
    """Ask it to stop, and wait until it has. Raises PermissionError."""
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _is_server(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True
