"""`pyzk snapshot`: the command line."""

import argparse
import sys
import time
from collections.abc import Iterable, Sequence

from pyzk.storage.snapshot import Snapshot
from pyzk.tools.files import read_snapshot, snapshot_file, split
from pyzk.tools.javatext import hexadecimal, text_of
from pyzk.tools.log.entries import data_line
from pyzk.tools.output import Advance, iso_time, printing, progress, say, say_json
from pyzk.tools.snapshot import comparer, formatter
from pyzk.tools.snapshot.differences import Difference, differences
from pyzk.tools.snapshot.znodes import Znode, require_znode, subtree_sums, walk

EXAMPLES = """\
examples:
  pyzk snapshot dump data/version-2/snapshot.1c
  pyzk snapshot dump --path /app --json snapshot.1c
  pyzk snapshot dump -d snapshot.1c                   as Apache's SnapshotFormatter -d
  pyzk snapshot summary --depth 2 snapshot.1c /app
  pyzk snapshot summary DATADIR                       of the newest one
  pyzk snapshot compare snapshot.1c snapshot.2f       exit code 1 if they differ
  pyzk snapshot compare -b 100 -n 5 LEFT RIGHT        as Apache's SnapshotComparer
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code. Raises PyzkError."""
    options = _parser().parse_args(arguments)
    code: int = options.run(options)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyzk snapshot",
        description="Show what snapshots hold, plain, gz or snappy.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _add_dump(verbs.add_parser("dump", help="every znode and session"))
    _add_summary(verbs.add_parser("summary", help="znodes and bytes by subtree"))
    _add_compare(verbs.add_parser("compare", help="what differs between two snapshots"))
    return parser


def _add_dump(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--path", default="/", metavar="PATH", help="only this znode and those below it")
    parser.add_argument("--json", action="store_true", help="one JSON document a znode, then one for the sessions")
    parser.add_argument("--apache", action="store_true", help="as Apache's SnapshotFormatter")
    parser.add_argument("-d", dest="with_data", action="store_true", help="the same with data, as SnapshotFormatter -d")
    parser.add_argument("-json", dest="ncdu", action="store_true", help="the same for ncdu, as SnapshotFormatter -json")
    parser.set_defaults(run=dump)


def _add_summary(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("start", nargs="?", default="/", metavar="PATH", help="where to begin, default /")
    parser.add_argument("--depth", type=int, metavar="N", help="levels to show, default 1; the sums count all")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document a subtree")
    form.add_argument(
        "--apache", action="store_true", help="as Apache's SnapshotRecursiveSummary (--depth 0: no limit)"
    )
    parser.set_defaults(run=summarise)


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("left", metavar="LEFT")
    parser.add_argument("right", metavar="RIGHT")
    parser.add_argument("--json", action="store_true", help="one JSON document a difference")
    parser.add_argument(
        "--numbers", action="store_true", help="also znodes of which only zxids, times, versions differ"
    )
    apache = parser.add_argument_group("as Apache's SnapshotComparer")
    apache.add_argument("-b", dest="bytes_max", type=int, metavar="BYTES", help="report above this difference of bytes")
    apache.add_argument("-n", dest="count_max", type=int, metavar="NODES", help="or above this one of znodes")
    apache.add_argument("-d", dest="debug", action="store_true", help="print every step")
    parser.set_defaults(run=compare)


def read(path: str, advance: Advance) -> Snapshot:
    """Read a snapshot and tell when it is done."""
    snapshot = read_snapshot(snapshot_file(path))
    advance(1)
    return snapshot


def print_all(lines: Iterable[str]) -> None:
    """Print lines; where they go to a file or a pipe, a bar shows that it goes on."""
    with printing():
        for line in lines:
            say(line)


def dump(options: argparse.Namespace) -> int:
    """`pyzk snapshot dump`."""
    with progress("reading", 0) as advance:
        snapshot = read(options.file, advance)
    if options.ncdu:
        with printing():
            sys.stdout.writelines(formatter.ncdu(snapshot.tree, int(time.time() * 1000)))
        return 0
    if options.apache or options.with_data:
        print_all(formatter.formatted(snapshot, with_data=options.with_data))
        return 0
    start = options.path.encode("utf-8", "surrogateescape")
    require_znode(snapshot.tree, start)
    with printing():
        for path in sorted(path for _, path in walk(snapshot.tree, start)):
            znode = Znode.of(snapshot.tree, path)
            if options.json:
                say_json(znode.value())
            else:
                say(_line(znode))
    if start == b"/":
        _sessions(snapshot, as_json=options.json)
    return 0


def _line(znode: Znode) -> str:
    state = znode.state
    parts = [
        text_of(znode.path),
        data_line(znode.data),
        f"version {state.version}",
        f"mzxid 0x{hexadecimal(state.mzxid)}",
        iso_time(state.mtime),
        f"{state.child_count} children" if state.child_count else "",
        znode.kind,
    ]
    return "  ".join(part for part in parts if part)


def _sessions(snapshot: Snapshot, *, as_json: bool) -> None:
    tree = snapshot.tree
    sessions = {
        f"0x{hexadecimal(number)}": {"timeout_ms": timeout_ms, "ephemerals": len(tree.ephemerals.get(number, ()))}
        for number, timeout_ms in tree.sessions.items()
    }
    last = max(snapshot.zxid, snapshot.last_zxid or 0)
    digest = snapshot.digest
    if as_json:
        value: dict[str, object] = {"last_zxid": f"0x{hexadecimal(last)}", "sessions": sessions}
        if digest is not None:
            value["digest"] = {"zxid": f"0x{hexadecimal(digest.zxid)}", "digest": f"0x{digest.tree_digest:x}"}
        say_json(value)
        return
    for name, session in sessions.items():
        say(f"session {name}  timeout {session['timeout_ms']} ms  {session['ephemerals']} ephemerals")
    say(f"{len(tree.nodes)} znodes, {len(sessions)} sessions, last zxid 0x{hexadecimal(last)}")


def summarise(options: argparse.Namespace) -> int:
    """`pyzk snapshot summary`."""
    with progress("reading", 0) as advance:
        tree = read(options.file, advance).tree
    start = options.start.encode("utf-8", "surrogateescape")
    if options.apache:
        print_all(formatter.summary(tree, start, options.depth or 0))
        return 0
    depth = 1 if options.depth is None else options.depth
    shown = [sums for sums in subtree_sums(tree, start) if sums.depth <= depth]
    shown.sort(key=lambda sums: (sums.depth, -sums.data_bytes, sums.path))
    if not options.json:
        say(f"{'bytes':>12} {'znodes':>9} {'ephemeral':>9}  {'largest':>10}  path")
    for sums in shown:
        size, path = sums.largest
        if options.json:
            value = {"path": text_of(sums.path), "data_bytes": sums.data_bytes, "descendants": sums.znodes}
            say_json(value | {"ephemerals": sums.ephemerals, "largest": {"path": text_of(path), "bytes": size}})
        else:
            numbers = f"{sums.data_bytes:>12} {sums.znodes + 1:>9} {sums.ephemerals:>9}  {size:>10}"
            say(f"{numbers}  {text_of(sums.path)}")
    return 0


def compare(options: argparse.Namespace) -> int:
    """`pyzk snapshot compare`."""
    if options.bytes_max is not None and options.count_max is not None:
        _compare_as_apache(options)
        return 0
    with progress("reading", 2) as advance:
        left, right = read(options.left, advance), read(options.right, advance)
    counts: dict[str, int] = {}
    with printing():
        for difference in differences(left.tree, right.tree, numbers=options.numbers):
            counts[difference.kind] = counts.get(difference.kind, 0) + 1
            _print_difference(difference, as_json=options.json)
    if not options.json:
        listed = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        say(listed or "no difference")
    return 1 if counts else 0


def _print_difference(difference: Difference, *, as_json: bool) -> None:
    if as_json:
        say_json(difference.value())
    else:
        say(difference.line())


def _compare_as_apache(options: argparse.Namespace) -> None:
    say("Successfully parsed options!")
    trees = []
    with progress("reading", 2) as advance:
        for path in (options.left, options.right):
            began = time.perf_counter()
            tree = read(path, advance).tree
            read_at = time.perf_counter()
            trees.append(comparer.TreeInfo(tree))
            say(f"Deserialized snapshot in {split(path)[1]} in {read_at - began:f} seconds")
            say(f"Processed data tree in {time.perf_counter() - read_at:f} seconds")
    for info in trees:
        print_all(info.lines())
    print_all(comparer.Comparison(options.bytes_max, options.count_max, options.debug).lines(*trees))
