"""Ten thousand connections, each with a session that pings: all are answered, and what each costs in memory."""

import argparse
import contextlib
import resource
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.integration.processes import ServerProcess
from tests.integration.wire import PING, Wire, create_frame, get_frame, request_frame
from tests.interop.apache import UnavailableError
from tests.interop.results import FAILED, PASSED, Result
from tests.interop.transcript import server

COUNT = 10_000
PING_ROUNDS = 3
CONNECTING_AT_ONCE = 64
BYTES_EACH_MAX = 32 * 1024
FILES_SPARE = 100
CPU_TICKS_A_SECOND = 100
PONG = b"\xff\xff\xff\xfe"


def run(options: argparse.Namespace) -> list[Result]:
    allow_files(COUNT + FILES_SPARE)
    with tempfile.TemporaryDirectory(prefix="connections-") as folder, server(options, Path(folder)) as running:
        before = resident_bytes(running)
        with contextlib.ExitStack() as stack:
            wires = [stack.enter_context(wire) for wire in connect(running)]
            pongs = sum(ping(wires) for _ in range(PING_ROUNDS))
            each = (resident_bytes(running) - before) // COUNT
            served = one_client_works(running)
            seconds = cpu_seconds(running)
    print(f"connections: {COUNT}, {each} bytes each, {seconds:.1f} s of CPU in all", flush=True)
    return [
        judged("every ping is answered", pongs == COUNT * PING_ROUNDS, f"{pongs} pongs"),
        judged("one more client works", served, ""),
        judged(f"at most {BYTES_EACH_MAX} bytes each", each <= BYTES_EACH_MAX, f"{each} bytes"),
    ]


def connect(running: ServerProcess) -> list[Wire]:
    """Many at a time: one by one each would wait for its own fdatasync, and the first expire before the last is in."""
    began = time.monotonic()
    with ThreadPoolExecutor(CONNECTING_AT_ONCE) as pool:
        wires = list(pool.map(lambda _: Wire(running.port, timeout_ms=40000), range(COUNT)))
    print(f"connections: {len(wires)} made in {time.monotonic() - began:.1f} s", flush=True)
    return wires


def judged(name: str, good: object, detail: str) -> Result:
    return Result("connections", name, PASSED if good else FAILED, detail)


def allow_files(count: int) -> None:
    """The limit is inherited by the server."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise UnavailableError(f"this machine allows {hard} open files, {count} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def ping(wires: list[Wire]) -> int:
    """Ping on every connection, then read every answer; how many were right."""
    began = time.monotonic()
    for wire in wires:
        wire.socket.sendall(request_frame(-2, PING))
    answered = sum(wire.receive()[:4] == PONG for wire in wires)
    print(f"connections: {answered} pings answered in {time.monotonic() - began:.2f} s", flush=True)
    return answered


def one_client_works(running: ServerProcess) -> bool:
    with Wire(running.port) as wire:
        return wire.call(create_frame(1, b"/one", b"more"))[2] == 0 and wire.call(get_frame(2, b"/one"))[2] == 0


def resident_bytes(running: ServerProcess) -> int:
    pages = int(Path(f"/proc/{running.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def cpu_seconds(running: ServerProcess) -> float:
    fields = Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CPU_TICKS_A_SECOND
