"""Reads an strace of a server: did any reply leave before the fdatasync that covers it?

Each write carries a marker (`mark-NNNNNN`) in its path, which a create's reply repeats. For each marker there must be,
in this order: the end of a write to the txn log that contains it; the start and the end of an fdatasync of that file;
the start of the first send to a client that contains it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

# -D: strace is the server's child and not its parent, so that signals reach the server.
ARGUMENTS = (
    "-D",
    "-f",
    "-yy",
    "-s",
    "2000000",
    "-e",
    "trace=write,writev,pwrite64,pwritev,sendto,sendmsg,fdatasync,fsync",
)
MARKER = re.compile(r"mark-\d{6}")
# "PID call(FD<what it is>, ...": the beginning of a call, whole or interrupted.
CALL = re.compile(r"^(\d+)\s+(\w+)\(\d+<(.*?)>[,) ]")
RESUMED = re.compile(r"^(\d+)\s+<\.\.\. (\w+) resumed>")
SYNCS = ("fdatasync", "fsync")


@dataclass(slots=True)
class Call:
    """One system call: positions of its beginning and end in the trace."""

    name: str
    target: str
    markers: set[str]
    begin: int
    end: int = -1
    failed: bool = False


@dataclass(slots=True)
class Verdict:
    """How many replies were checked, and those that left too early."""

    checked: int = 0
    early: list[str] = field(default_factory=list)


def calls(lines: Iterable[str]) -> Iterator[Call]:
    """Calls in the order of their beginning; interrupted ones are put together again."""
    found: list[Call] = []
    open_calls: dict[str, Call] = {}
    for position, line in enumerate(lines):
        if resumed := RESUMED.match(line):
            call = open_calls.pop(resumed[1], None)
        elif begun := CALL.match(line):
            call = Call(begun[2], begun[3], set(MARKER.findall(line)), position)
            found.append(call)
            if line.rstrip().endswith("<unfinished ...>"):
                open_calls[begun[1]] = call
                continue
        else:
            continue
        if call is not None:
            call.end = position
            call.failed = " = -1 " in line
    yield from found


def judge(lines: Iterable[str]) -> Verdict:
    traced = list(calls(lines))
    logged = _first(call for call in traced if "/log." in call.target and call.markers)
    replied = _first(call for call in traced if call.target.startswith("TCP") and call.markers)
    syncs = [call for call in traced if call.name in SYNCS and "/log." in call.target and not call.failed]
    verdict = Verdict(len(replied))
    for marker, reply in replied.items():
        write = logged.get(marker)
        covered = write is not None and any(_between(write, sync, reply) for sync in syncs)
        if not covered:
            verdict.early.append(marker)
    return verdict


def _first(found: Iterable[Call]) -> dict[str, Call]:
    first: dict[str, Call] = {}
    for call in found:
        for marker in call.markers:
            first.setdefault(marker, call)
    return first


def _between(write: Call, sync: Call, reply: Call) -> bool:
    return 0 <= write.end < sync.begin and 0 <= sync.end < reply.begin and sync.target == write.target
