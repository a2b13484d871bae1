"""Files written by one server under random programs, opened by the other, and opened by the first again.

    python -m tests.interop.differential_swap [--programs 300] [--seed 1] [--other 3.9]

Each time every znode must be there as it was, to the last byte of data, ACL and Stat (the data of quota stats alone is
reckoned anew when a server starts). Some sessions are left open, with their ephemerals. Apache counts the digests in
pyzk's log that do not fit its own tree: there must be none.
"""

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pyzk.codec.opcodes import OpCode
from pyzk.codec.replies import AclReply, DataReply
from pyzk.tree.quota import path_of_stats
from tests.integration.processes import ServerProcess, four_letter_word
from tests.interop.apache import UnavailableError
from tests.interop.differential import make_server
from tests.interop.differential_programs import make_program
from tests.interop.differential_steps import AnyStep, Send
from tests.interop.differential_world import World

SESSIONS_KEPT = 10
"""So many of the last programs leave their sessions open: few, so that none expires before the first look."""

SHOWN_MAX = 10
Everything = Mapping[bytes, tuple[DataReply, AclReply]]


def comparable(tree: Everything) -> dict[bytes, object]:
    """The tree without what a start may change."""
    result: dict[bytes, object] = {}
    for path, (data, acl) in tree.items():
        if path_of_stats(path) is not None:
            data.data = b"reckoned anew"
            data.stat.data_length = 0
        result[path] = (data, acl)
    return result


def fill(server: ServerProcess, options: argparse.Namespace) -> dict[bytes, object]:
    """Run programs, kill the server, and return the tree that was there."""
    with server:
        world = World(server.port)
        for number in range(options.programs):
            program = make_program(options.seed, number)
            steps = tuple([step for step in program.steps if not is_lone_check(step)])
            sessions = number >= options.programs - SESSIONS_KEPT
            world.run_and_keep(replace(program, steps=steps), number, sessions=sessions)
        tree = comparable(world.everything())
        server.stop(signal.SIGKILL)
        return tree


def is_lone_check(step: AnyStep) -> bool:
    """A check outside a multi: 3.8 logs it as a txn that it cannot read again, and never starts on these files."""
    return isinstance(step, Send) and any(request.opcode == OpCode.CHECK for request in step.requests)


def reopen(server: ServerProcess) -> tuple[dict[bytes, object], str]:
    """Start on files that are there, and return the tree and the count of digests that did not fit."""
    with server:
        world = World(server.port)
        tree = comparable(world.everything())
        counters = four_letter_word(server.port, "mntr")
        server.stop(signal.SIGKILL)
    mismatches = [line.split()[1] for line in counters.splitlines() if line.startswith("zk_digest_mismatches_count")]
    return tree, mismatches[0] if mismatches else "unknown"


def differences(before: Mapping[bytes, object], after: Mapping[bytes, object]) -> list[str]:
    """What is not as it was."""
    return [
        f"  {path!r}\n    was {before.get(path)}\n    is  {after.get(path)}\n"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def pass_on(writer: str, reader: str, folder: Path, options: argparse.Namespace) -> int:
    """Let `writer` fill a folder, `reader` open it, and `writer` again. Returns the number of differences."""
    first = make_server(writer, folder / writer, options.port)
    before = fill(first, options)
    second = make_server(reader, folder / f"{reader} on {writer}", options.port + 1, dataDir=first.data_dir)
    wrong = 0
    for server, name in ((second, reader), (first, writer)):
        after, mismatches = reopen(server)
        found = differences(before, after)
        wrong += len(found)
        print(
            f"{name} opens what {writer} wrote: {len(after)} znodes, {len(found)} differ, wrong digests: {mismatches}"
        )
        print("".join(found[:SHOWN_MAX]), end="")
        if writer == "pyzk" and mismatches not in {"0", "unknown"}:
            wrong += 1
    return wrong


def main() -> int:
    """Both ways round. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Swap the files of two servers.")
    parser.add_argument("--programs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--other", default="3.9", choices=["3.8", "3.9"])
    parser.add_argument("--port", type=int, default=25200, help="first of two ports")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pyzk-swap-"))
    wrong = 0
    try:
        for writer, reader in (("pyzk", options.other), (options.other, "pyzk")):
            wrong += pass_on(writer, reader, folder, options)
    except UnavailableError as missing:
        print(f"skipped: {missing}")
    finally:
        shutil.rmtree(folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
