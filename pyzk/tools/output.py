"""What the subcommands share: printing, numbers from the command line, progress bars, refusals."""

import argparse
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from pyzk.errors import PyzkError
from pyzk.tools.javatext import local_time

PROGRESS_AFTER_S = 1.0
"""What takes longer shows how far it is, on a terminal."""

Advance = Callable[[int], None]


class ToolError(PyzkError):
    """What was asked for cannot be done; the text says which value is wrong and what to do."""


def say(text: str) -> None:
    """A line on standard output; names that are no UTF-8 are shown with U+FFFD."""
    sys.stdout.write(readable(text) + "\n")


def note(text: str) -> None:
    """A line on standard error, behind what was said before: also where both go into one file."""
    sys.stdout.flush()
    sys.stderr.write(readable(text) + "\n")


def readable(text: str) -> str:
    """Text that can be written."""
    return text.encode("utf-8", "replace").decode("utf-8")


def say_json(value: object) -> None:
    """One JSON document on a line."""
    say(json.dumps(value, ensure_ascii=False))


def zxid(text: str) -> int:
    """A zxid of the command line: 0x and hexadecimal as the tools print it, or decimal."""
    try:
        return int(text, 0)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no zxid: write 0x100000002, or decimal") from error


def session(text: str) -> int:
    """A session id of the command line, written as a zxid is; those from 0x8000000000000000 on are negative inside."""
    number = zxid(text)
    return number - (1 << 64) if number >= 1 << 63 else number


def moment(text: str) -> int:
    """A time of the command line in ms since 1970: ISO 8601 (in the machine's zone unless it says another), or ms."""
    if text.lstrip("-").isdecimal():
        return int(text)
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        example = "2026-11-22T20:17:22 or 2026-11-22T20:17:22+00:00"
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write {example}, or ms since 1970") from error


def iso_time(time_ms: int) -> str:
    """A time in the machine's zone to the millisecond."""
    time_ = local_time(time_ms)
    return time_.isoformat(" ", "milliseconds") if time_ else f"{time_ms} ms"


@contextmanager
def progress(title: str, total: int) -> Iterator[Advance]:
    """Yields a function that is told how much more of `total` is done; with 0 the bar only shows that it goes on.

    The bar appears on standard error, if that is a terminal, once it has taken PROGRESS_AFTER_S.
    """
    if not sys.stderr.isatty():
        yield lambda _amount: None
        return
    # Imported where it is shown: scripts do not wait for it.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task(title, total=total or None)
    timer = threading.Timer(PROGRESS_AFTER_S, bar.start)
    timer.start()
    try:
        yield lambda amount: bar.advance(task, amount)
    finally:
        timer.cancel()
        timer.join()
        bar.stop()


@contextmanager
def printing() -> Iterator[None]:
    """A bar while lines are printed to a file or a pipe; on a terminal they show themselves that it goes on."""
    if sys.stdout.isatty():
        yield
        return
    with progress("printing", 0):
        yield


def nobody_reads() -> int:
    """The reader of standard output has gone (`| head`): what is still in the buffer goes nowhere; the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
