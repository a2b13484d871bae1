"""The same load from several processes, because one of Python's uses one core.

The parent owns the territory; each job has a share of the connections and of the rate, and does what it is sent: the
position of a workload, STOP, or END. It answers with READY, with Outcomes, or with the text of what went wrong.
"""

import asyncio
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from pyzk.errors import PyzkError
from pyzk.tools.bench.access import Opener
from pyzk.tools.bench.load import Generator
from pyzk.tools.bench.loop import run_loop
from pyzk.tools.bench.options import Options
from pyzk.tools.bench.tally import Outcome, merged
from pyzk.tools.bench.territory import Territory
from pyzk.tools.output import ToolError

READY = "ready"
STOP = "stop"
END = None
END_TIMEOUT_S = 10.0

Job = tuple[SpawnProcess, Connection]


class Jobs:
    """As Generator, in `options.jobs` processes."""

    def __init__(self, options: Options, territory: Territory) -> None:
        self._options = options
        self._territory = territory
        self._jobs: list[Job] = []

    async def open(self) -> None:
        """Start the processes and wait until all have their connections. Raises ToolError."""
        context = get_context("spawn")
        # Ctrl-C reaches all processes of a terminal: it is the parent that tells the jobs to stop.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for number in range(self._options.jobs):
                ours, theirs = context.Pipe()
                arguments = (self._options, number, self._territory.value, theirs)
                process = context.Process(target=run_job, args=arguments, daemon=True)
                process.start()
                theirs.close()
                self._jobs.append((process, ours))
        finally:
            signal.signal(signal.SIGINT, before)
        await self._answers()

    async def run(self, position: int, stop: asyncio.Event) -> Outcome:
        """Let all do one of the workloads. Raises ToolError."""
        self._tell(position)
        stopping = asyncio.create_task(self._stop_them(stop))
        try:
            return merged(await self._answers())
        finally:
            stopping.cancel()

    async def close(self) -> None:
        """Let them end their sessions and themselves."""
        self._tell(END)
        loop = asyncio.get_running_loop()
        for process, pipe in self._jobs:
            await loop.run_in_executor(None, process.join, END_TIMEOUT_S)
            process.kill()
            pipe.close()

    async def _stop_them(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._tell(STOP)

    def _tell(self, message: object) -> None:
        for _, pipe in self._jobs:
            with suppress(OSError):  # one that has ended is found by its missing answer
                pipe.send(message)

    async def _answers(self) -> Sequence[Any]:
        loop = asyncio.get_running_loop()
        try:
            answers = [await loop.run_in_executor(None, pipe.recv) for _, pipe in self._jobs]
        except (EOFError, OSError) as error:
            raise ToolError("one of the processes of --jobs has ended before its time") from error
        for answer in answers:
            if isinstance(answer, str) and answer != READY:
                raise ToolError(answer)
        return answers


def run_job(options: Options, number: int, value: bytes, pipe: Connection) -> None:
    """What a job does, until it is told to end, or its parent has ended."""
    try:
        run_loop(_work(options, number, value, pipe))
    except PyzkError as error:
        with suppress(OSError):
            pipe.send(str(error))


async def _work(options: Options, number: int, value: bytes, pipe: Connection) -> None:
    opener = Opener(options.access)
    territory = Territory(opener, options.root, options.keys, value)
    generator = Generator(options.share(number), number, opener, territory)
    stop = asyncio.Event()
    positions: asyncio.Queue[int | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    threading.Thread(target=_listen, args=(pipe, loop, positions, stop), daemon=True).start()
    try:
        await generator.open()
        pipe.send(READY)
        while (position := await positions.get()) is not END:
            pipe.send(await generator.run(position, stop))
    finally:
        await generator.close()


def _listen(
    pipe: Connection, loop: asyncio.AbstractEventLoop, positions: "asyncio.Queue[int | None]", stop: asyncio.Event
) -> None:
    """Hand on what the parent sends, to the end; its own end is one too."""
    message: object = STOP
    with suppress(RuntimeError):  # the loop has ended
        while message is not END:
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                message = END
            if message in {STOP, END}:
                loop.call_soon_threadsafe(stop.set)
            if isinstance(message, int) or message is END:
                loop.call_soon_threadsafe(positions.put_nowait, message)
