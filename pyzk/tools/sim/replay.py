"""`pyzk sim replay`: walks through the trace of a run that was written to a file."""

import argparse
import sys
from collections.abc import Iterator, Sequence

from pyzk.sim.trace import HEADINGS, TraceLine
from pyzk.tools.output import say
from pyzk.tools.sim.tracefile import read_trace

PAGE_LINES = 40
EXAMPLES = """\
examples:
  pyzk sim replay run.trace                           page by page on a terminal
  pyzk sim replay run.trace --server 3 --from 10.5    what server 3 does from 10.5 s on
  pyzk sim replay run.trace --grep Append             whatever is appended
  pyzk sim replay run.trace --step 4711               what was at hand then
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code. Raises PyzkError."""
    options = _parser().parse_args(arguments)
    say(HEADINGS)
    is_paged = sys.stdin.isatty() and sys.stdout.isatty()
    for number, line in enumerate(_chosen(options), 1):
        say(str(line))
        if is_paged and number % PAGE_LINES == 0 and input("Enter: more, q: end ").strip() == "q":
            break
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyzk sim replay",
        description="Walk through a run.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="written by `pyzk sim --trace-file FILE`")
    parser.add_argument("--server", type=int, metavar="N", help="only what this server does; 0 is the world")
    parser.add_argument("--from", dest="begin", type=float, default=0.0, metavar="T", help="simulated seconds")
    parser.add_argument("--to", dest="end", type=float, default=float("inf"), metavar="T", help="simulated seconds")
    parser.add_argument("--step", type=int, metavar="N", help="only this step")
    parser.add_argument("--grep", default="", metavar="TEXT", help="only lines with this text")
    return parser


def _chosen(options: argparse.Namespace) -> Iterator[TraceLine]:
    for line in read_trace(options.file):
        is_here = options.server in {None, line.server_id} and options.step in {None, line.step}
        if is_here and options.begin <= line.at <= options.end and options.grep in line.what:
            yield line
