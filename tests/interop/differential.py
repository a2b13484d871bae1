"""Random programs against two servers, side by side: whatever they answer differently is a finding.

    python -m tests.interop.differential                        a thousand programs, pyzk beside Apache 3.9
    python -m tests.interop.differential --right 3.8            Apache 3.9 beside 3.8
    python -m tests.interop.differential --seed 7 --only 42     one program again, with its transcript

Compared are replies (header, zxid, error, every field), watch events in order, hang-ups and the final trees. Masked
is what varies by nature (times, session ids); zxids are taken from where the program began. A program that differs is
cut down to the steps that matter and printed. What is documented as different is counted and does not fail.
"""

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.integration.processes import PyzkServer, ServerProcess
from tests.interop.apache import ApacheServer, UnavailableError
from tests.interop.differential_known import Difference, find_known
from tests.interop.differential_programs import make_program
from tests.interop.differential_steps import AnyStep, Program, Send
from tests.interop.differential_world import SUPER_DIGEST, Transcript, World

SETTINGS: dict[str, object] = {
    "tickTime": 500,
    "maxSessionTimeout": 40000,
    "extendedTypesEnabled": "true",
    "enforceQuota": "true",
    "DigestAuthenticationProvider.superDigest": SUPER_DIGEST,
    "autopurge.purgeInterval": 0,
    "znode.container.checkIntervalMs": 36000000,
}
# In zoo.cfg Apache would put "zookeeper." before this one.
FLAGS = ("-Dznode.container.checkIntervalMs=36000000",)
# Programs shown of those that part over the same kinds of replies.
SHOWN_MAX = 2
# A difference that does not come back is the machine's: a stall outlasts the runner's patience, or a session.
REPEATS = 3


@dataclass
class Pair:
    """The two servers, and how many programs they have run."""

    left: World
    right: World
    names: tuple[str, str]
    programs_run: int = 0
    compared: Counter[str] = field(default_factory=Counter)

    def run(self, program: Program) -> tuple[Transcript, Transcript]:
        """What both servers answer to a program."""
        self.programs_run += 1
        return self.left.run(program, self.programs_run), self.right.run(program, self.programs_run)

    def compare(self, program: Program) -> Difference | None:
        """Run a program on both; where they part first."""
        left, right = self.run(program)
        self.compared.update(kind_of(line) for lines in left for line in lines)
        return first_difference(program, left, right)


def kind_of(line: str) -> str:
    """What a line of a transcript is about: events by name, replies by opcode and error."""
    found = _EVENT.search(line) or _REPLY.match(line)
    return " ".join(found.groups()) if found else line.partition(" ")[0]


_EVENT = re.compile(r"(event \w+)")
_REPLY = re.compile(r"(opcode -?\d+|\w+) xid \S+ zxid \S+ (err \S+)")


def first_difference(program: Program, left: Transcript, right: Transcript) -> Difference | None:
    """The first step whose outcome is not the same, and the first line of it."""
    for index, (mine, theirs) in enumerate(zip(left, right, strict=True)):
        if mine != theirs:
            lines = next((a, b) for a, b in zip([*mine, "nothing"], [*theirs, "nothing"], strict=False) if a != b)
            step = program.steps[index] if index < len(program.steps) else None
            return Difference(index, step, *lines)
    return None


def shrink(pair: Pair, program: Program) -> Program:
    """Leave out steps and requests as long as the servers still differ in a way that is not known."""
    length = max(len(program.steps) // 2, 1)
    while length:
        start = 0
        while start < len(program.steps):
            shorter = replace(program, steps=program.steps[:start] + program.steps[start + length :])
            if _differs(pair, shorter):
                program = shorter
            else:
                start += length
        length //= 2
    for index, step in enumerate(program.steps):
        program = _shrink_requests(pair, program, index, step)
    return program


def _shrink_requests(pair: Pair, program: Program, index: int, step: AnyStep) -> Program:
    position = 0
    while isinstance(step, Send) and len(step.requests) > 1 and position < len(step.requests):
        fewer = replace(step, requests=step.requests[:position] + step.requests[position + 1 :])
        shorter = replace(program, steps=(*program.steps[:index], fewer, *program.steps[index + 1 :]))
        if _differs(pair, shorter):
            program, step = shorter, fewer
        else:
            position += 1
    return program


def _differs(pair: Pair, program: Program) -> bool:
    difference = pair.compare(program)
    return difference is not None and find_known(difference, pair.names) is None


def run_programs(pair: Pair, seed: int, numbers: range) -> tuple[Counter[str], Counter[str]]:
    """Compare programs; how many differed, by what the lines are about, and how many as documented, by reason."""
    failed, known = Counter[str](), Counter[str]()
    for number in numbers:
        program = make_program(seed, number)
        difference = pair.compare(program)
        if difference is None:
            continue
        reason = find_known(difference, pair.names) or seen_once(pair, program, difference)
        if reason:
            known[reason] += 1
            continue
        kind = f"{kind_of(difference.left)} / {kind_of(difference.right)}"
        failed[kind] += 1
        if failed[kind] <= SHOWN_MAX:
            report(pair, shrink(pair, program))
    return failed, known


def seen_once(pair: Pair, program: Program, difference: Difference) -> str | None:
    """Run a program again that differed; if it does not any more, say so, and what was seen."""
    if any(pair.compare(program) for _ in range(REPEATS)):
        return None
    print(f"\nprogram {program.number} of seed {program.seed} differed once, and not in {REPEATS} more runs:")
    show_difference(pair, difference)
    return "a matter of timing: seen once, and not again"


def report(pair: Pair, program: Program) -> None:
    """Print a program that differs: where it comes from, the least of it, and both outcomes."""
    print(f"\nprogram {program.number} of seed {program.seed} differs; the least of it:")
    print(program)
    show_difference(pair, pair.compare(program) or Difference(0, None, "nothing", "nothing, this time"))


def show_difference(pair: Pair, difference: Difference) -> None:
    print(f"at step {difference.index}:")
    for name, line in zip(pair.names, (difference.left, difference.right), strict=True):
        print(f"  {name:5} {line}", flush=True)


def show(pair: Pair, program: Program) -> bool:
    """Print a program with the transcripts of both servers."""
    left, right = pair.run(program)
    steps = [str(step) for step in program.steps] + ["the tree", "the end", "the tree after it"]
    for index, (step, mine, theirs) in enumerate(zip(steps, left, right, strict=True)):
        print(f"{index:3} {step}")
        for line in mine:
            print(f"      = {line}" if mine == theirs else f"      {pair.names[0]:5} {line}")
        for line in theirs if mine != theirs else ():
            print(f"      {pair.names[1]:5} {line}")
    return left == right


def make_server(name: str, folder: Path, port: int, **settings: object) -> ServerProcess:
    """A server by the name it has on the command line: pyzk, 3.9 or 3.8."""
    folder.mkdir()
    if name == "pyzk":
        return PyzkServer(folder, port, SETTINGS | settings)
    return ApacheServer(folder, name, FLAGS, port=port, settings=SETTINGS | settings)


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare two servers over random programs.")
    parser.add_argument("--left", default="3.9", choices=["pyzk", "3.9", "3.8"])
    parser.add_argument("--right", default="pyzk", choices=["pyzk", "3.9", "3.8"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first program")
    parser.add_argument("--only", type=int, help="run one program and print what both servers answered")
    parser.add_argument("--absolute", action="store_true", help="compare zxids and counters without masking")
    parser.add_argument("--statistics", action="store_true", help="print how often each reply and event was compared")
    parser.add_argument("--port", type=int, default=25100, help="first of two ports")
    return parser.parse_args(argv)


def main() -> int:
    """Start both servers, run, report. Returns the exit code: 0 no difference (or nothing to compare with), 1 some."""
    options = arguments(sys.argv[1:])
    shared_memory = Path("/dev/shm")
    base = Path(tempfile.mkdtemp(prefix="pyzk-differential-", dir=shared_memory if shared_memory.is_dir() else None))
    try:
        with ExitStack() as stack:
            names = (options.left, options.right)
            servers = [make_server(name, base / str(n), options.port + n) for n, name in enumerate(names)]
            ports = [stack.enter_context(server).port for server in servers]
            masks = {"absolute": options.absolute, "event_zxids": "3.8" not in names}
            left, right = [stack.enter_context(World(port, **masks)) for port in ports]
            return compare(Pair(left, right, names), options)
    except UnavailableError as missing:
        print(f"skipped: {missing}")
        return 0
    finally:
        shutil.rmtree(base)


def compare(pair: Pair, options: argparse.Namespace) -> int:
    """Do what the command line asks for."""
    if options.only is not None:
        return 0 if show(pair, make_program(options.seed, options.only)) else 1
    began = time.monotonic()
    numbers = range(options.first, options.first + options.programs)
    failed, known = run_programs(pair, options.seed, numbers)
    seconds = time.monotonic() - began
    print(f"\n{options.left} beside {options.right}: seed {options.seed}, {len(numbers)} programs in {seconds:.0f} s")
    print(f"{failed.total()} differ; {known.total()} differ as documented")
    for reason, times in (failed + known).most_common():
        print(f"  {times:5} {reason}")
    if options.statistics:
        for kind, times in sorted(pair.compared.items()):
            print(f"  {times:7} {kind}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
