"""`pyzk bench`: the run from end to end, and how it ends when somebody interrupts it."""

import asyncio
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from rich.console import Console, RenderableType

from pyzk.errors import PyzkError
from pyzk.tools.bench.access import Opener
from pyzk.tools.bench.jobs import Jobs
from pyzk.tools.bench.load import Generator
from pyzk.tools.bench.loop import run_loop
from pyzk.tools.bench.options import Options, read_options
from pyzk.tools.bench.servers import ask_servers
from pyzk.tools.bench.tally import Outcome
from pyzk.tools.bench.territory import Territory
from pyzk.tools.bench.view import as_value, draw, draw_servers
from pyzk.tools.output import note, progress, say_json

EXIT_INTERRUPTED = 130
STEPS_PER_S = 10
"""How often the bar moves."""
WIDTH_WITHOUT_TERMINAL = 160


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code. Raises PyzkError."""
    return run_loop(run(read_options(arguments)))


async def run(options: Options) -> int:
    """One run; the exit code. Ctrl-C, or SIGTERM, ends it early; a second one ends the clearing up too."""
    opener = Opener(options.access)
    territory = Territory(opener, options.root, options.keys, secrets.token_bytes(options.value_bytes))
    loop, task, stop = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()
    assert task is not None

    def interrupt() -> None:
        if stop.is_set() or not territory.is_taken:
            task.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        code = await bench(options, opener, territory, stop)
    except asyncio.CancelledError:
        if territory.is_taken:
            note(f"pyzk bench: {territory.root} is left behind; the next run deletes it")
        return EXIT_INTERRUPTED
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return EXIT_INTERRUPTED if stop.is_set() else code


async def bench(options: Options, opener: Opener, territory: Territory, stop: asyncio.Event) -> int:
    """Do all workloads in the territory, show what has come of them, and leave nothing behind; the exit code."""
    servers = await ask_servers(options.access.hosts, opener.ssl)
    outcomes: list[Outcome] = []
    async with _inside(territory):
        if not options.as_json:
            _show(draw_servers(servers))
        with progress("creating keys", options.keys) as advance:
            await territory.fill(advance, stop)
        generator = Generator(options, 0, opener, territory) if options.jobs == 1 else Jobs(options, territory)
        try:
            if not stop.is_set():
                await generator.open()
            for position in range(len(options.workloads)):
                if stop.is_set():
                    break
                outcomes += [await _measure(options, generator, position, stop)]
        finally:
            await generator.close()
        if options.as_json:
            say_json(as_value(options, servers, outcomes))
        elif outcomes:
            _show(draw(options, outcomes))
    return int(territory.is_taken or not outcomes or any(not outcome.tally.operations for outcome in outcomes))


@asynccontextmanager
async def _inside(territory: Territory) -> AsyncIterator[None]:
    try:
        await territory.take()
        yield
    finally:
        if territory.is_taken:
            await _clear(territory)
        await territory.close()


async def _clear(territory: Territory) -> None:
    """Leave nothing behind. When that fails, the run may have failed before for a reason that is told too."""
    try:
        with progress("deleting what was created", territory.keys) as advance:
            await territory.clear(advance)
    except PyzkError as error:
        note(f"pyzk bench: {error}")


async def _measure(options: Options, generator: Generator | Jobs, position: int, stop: asyncio.Event) -> Outcome:
    seconds = options.warmup_s + options.seconds if options.operations is None else 0
    with progress(options.workloads[position], round(seconds * STEPS_PER_S)) as advance:

        async def move() -> None:
            while True:
                await asyncio.sleep(1 / STEPS_PER_S)
                advance(1)

        moving = asyncio.create_task(move())
        try:
            return await generator.run(position, stop)
        finally:
            moving.cancel()


def _show(drawn: RenderableType) -> None:
    width = None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL
    Console(width=width).print(drawn)
    sys.stdout.flush()
