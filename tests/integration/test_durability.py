"""What was acknowledged is durable: kill -9 under load, and an strace in which no reply leaves before its fdatasync.

SIGKILL keeps the page cache, so the first proves nothing about fsync; tests/storage has the disk that forgets.
"""

import random
import re
import shutil
from pathlib import Path

import pytest

from tests.integration import strace
from tests.integration.crash import crash_round
from tests.integration.processes import PyzkServer, ServerProcess, eventually
from tests.integration.wire import Wire, create_frame

ROUNDS = 3
CLIENTS, WRITES_EACH, DEPTH = 4, 40, 4


def test_kill_9_under_load_loses_nothing_that_was_acknowledged(server: ServerProcess, rng: random.Random) -> None:
    for number in range(ROUNDS):
        broken, acknowledged = crash_round(server, f"/load-{number}", rng)
        assert broken == []
        print(f"round {number}: {acknowledged} acknowledged writes")


def traced_writes(folder: Path, settings: dict[str, object]) -> strace.Verdict:
    """Run a server under strace, write through a few pipelining clients, and judge the trace."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = folder / "trace"
    server = PyzkServer(folder / "server", settings=settings)
    server.prefix = ("strace", *strace.ARGUMENTS, "-o", str(trace))
    with server:
        traced_pid = server.pid
        wires = [Wire(server.port) for _ in range(CLIENTS)]
        for batch in range(WRITES_EACH // DEPTH):
            for index, wire in enumerate(wires):
                numbers = range(batch * DEPTH, (batch + 1) * DEPTH)
                paths = [b"/mark-%d%05d" % (index, number) for number in numbers]
                wire.socket.sendall(b"".join(create_frame(xid, path) for xid, path in enumerate(paths)))
            for wire in wires:
                assert [wire.receive()[12:16] for _ in range(DEPTH)] == [bytes(4)] * DEPTH
        for wire in wires:
            wire.close()
    # The server's own end is the last line of the trace; strace writes it after the server is gone.
    end = re.compile(rf"^{traced_pid} +\+\+\+ exited", re.MULTILINE)
    eventually(lambda: end.search(trace.read_text(errors="replace")), "the end of the trace")
    return strace.judge(trace.read_text(errors="replace").splitlines())


def test_no_reply_leaves_before_the_fdatasync_that_covers_it(tmp_path: Path) -> None:
    verdict = traced_writes(tmp_path, {})
    assert verdict.early == []
    assert verdict.checked == CLIENTS * WRITES_EACH


def test_a_server_that_does_not_sync_is_caught(tmp_path: Path) -> None:
    verdict = traced_writes(tmp_path, {"forceSync": "no"})
    assert len(verdict.early) == verdict.checked == CLIENTS * WRITES_EACH


WRITE = '7 write(5</d/log.1>, "mark-000001", 11) = 11'
SYNC = "7 fdatasync(5</d/log.1>) = 0"
REPLY = '6 sendto(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "mark-000001", 11, 0, NULL, 0) = 11'


@pytest.mark.parametrize(
    ("lines", "early"),
    [
        ([WRITE, SYNC, REPLY], []),
        ([WRITE, REPLY, SYNC], ["mark-000001"]),
        ([SYNC, WRITE, REPLY], ["mark-000001"]),
        ([WRITE, REPLY], ["mark-000001"]),
        ([WRITE, SYNC.replace("= 0", "= -1 EIO (Input/output error)"), REPLY], ["mark-000001"]),
        ([WRITE, SYNC.replace("log.1", "snapshot.1"), REPLY], ["mark-000001"]),
        ([WRITE, "7 fdatasync(5</d/log.1> <unfinished ...>", REPLY, "7 <... fdatasync resumed>) = 0"], ["mark-000001"]),
        ([WRITE, "7 fdatasync(5</d/log.1> <unfinished ...>", "7 <... fdatasync resumed>) = 0", REPLY], []),
        (["7 fdatasync(5</d/log.1> <unfinished ...>", WRITE.replace("7 ", "8 "), SYNC, REPLY], []),
    ],
)
def test_the_judge_of_traces_knows_early_from_late(lines: list[str], early: list[str]) -> None:
    verdict = strace.judge(lines)
    assert (verdict.checked, verdict.early) == (1, early)
