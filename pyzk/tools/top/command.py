"""`pyzk top`: the command line, and the loop."""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

from rich.console import Console
from rich.live import Live

from pyzk.client.hosts import Address, parse_hosts
from pyzk.tools.output import ToolError, say_json
from pyzk.tools.top.sample import Frame, frame
from pyzk.tools.top.view import ROWS_MAX, as_value, draw
from pyzk.tools.top.words import Answers, ask_all

INTERVAL_S_DEFAULT = 2.0
WIDTH_WITHOUT_TERMINAL = 160
EXAMPLES = """\
examples:
  pyzk top localhost:2181
  pyzk top zk1:2181,zk2:2181,zk3:2181 --interval 1
  pyzk top --once --json zk1:2181,zk2:2181,zk3:2181     for scripts; exit code 1 if a server does not serve

Clients come from the word cons, watched paths from wchp (both must be in 4lw.commands.whitelist), reads and writes by
top-level znode from the metrics that Apache's servers have in mntr.
"""

Pause = Callable[[float], Awaitable[object]]
Show = Callable[[Frame], object]


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code. Raises PyzkError."""
    options = _parser().parse_args(arguments)
    addresses = _addresses(options.hosts)
    if options.interval <= 0:
        raise ToolError(f"--interval {options.interval}: write seconds, more than 0")
    if options.once:
        return asyncio.run(once(addresses, rows_max=options.rows, as_json=options.json))
    try:
        _watch_for_ever(addresses, options)
    except KeyboardInterrupt:
        return 0  # that is how it ends
    return 0


def _watch_for_ever(addresses: Sequence[Address], options: argparse.Namespace) -> None:
    if options.json:
        asyncio.run(watch(addresses, options.interval, lambda made: say_json(as_value(made)), asyncio.sleep))
        return
    console = Console()
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:

        def show(made: Frame) -> None:
            live.update(draw(made, options.rows), refresh=True)

        asyncio.run(watch(addresses, options.interval, show, asyncio.sleep))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyzk top",
        description="Servers, clients and hot paths, live. Ctrl-C ends it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("hosts", nargs="?", default="localhost:2181", metavar="HOST:PORT,...", help="client ports")
    parser.add_argument(
        "--interval", type=float, default=INTERVAL_S_DEFAULT, metavar="S", help="seconds between samples"
    )
    parser.add_argument("--rows", type=int, default=ROWS_MAX, metavar="N", help="longest list of clients and of paths")
    parser.add_argument("--once", action="store_true", help="one sample, without rates, then end")
    parser.add_argument("--json", action="store_true", help="one JSON document a sample")
    return parser


def _addresses(hosts: str) -> list[Address]:
    try:
        return parse_hosts(hosts)[0]
    except ValueError as error:
        raise ToolError(str(error)) from error


async def once(addresses: Sequence[Address], *, rows_max: int, as_json: bool) -> int:
    """Print one sample; 1 if a server does not serve."""
    made = frame(await take(addresses), None)
    if as_json:
        say_json(as_value(made))
    else:
        width = None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL
        Console(width=width).print(draw(made, rows_max))
    return int(any(row.problem for row in made.servers))


async def watch(
    addresses: Sequence[Address], interval_s: float, show: Show, pause: Pause, frames_max: int | None = None
) -> None:
    """Show a frame every `interval_s`, for ever or `frames_max` times."""
    before: list[Answers] | None = None
    count = 0
    while frames_max is None or count < frames_max:
        now = await take(addresses)
        show(frame(now, before))
        before = now
        count += 1
        await pause(interval_s)


async def take(addresses: Sequence[Address]) -> list[Answers]:
    """Ask all servers at once."""
    at = time.monotonic()
    return list(await asyncio.gather(*(ask_all(f"{host}:{port}", (host, port), at) for host, port in addresses)))
