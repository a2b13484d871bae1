"""Links for tests, closed at their end; and the log as it was before a test configured it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import structlog

from pyzk.server.log import _forget_loggers
from tests.server.sides import Side, Silent


@pytest.fixture
async def sides() -> AsyncIterator[Callable[..., Side]]:
    made: list[Side] = []

    def make(*args: Any, **named: Any) -> Side:
        made.append(Side(*args, **named))
        return made[-1]

    yield make
    for side in made:
        await side.stop()
    # Transports that are closing have a turn to do so.
    await asyncio.sleep(0)


@pytest.fixture
async def silent() -> AsyncIterator[Callable[[int], Any]]:
    made: list[Silent] = []

    async def connect(port: int) -> Silent:
        made.append(Silent(port))
        await made[-1].connect()
        return made[-1]

    yield connect
    for each in made:
        each.socket.close()


@pytest.fixture
def restored_log() -> Iterator[None]:
    """Loggers are kept by the modules that use them: without this, later tests could not capture what they say."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    _forget_loggers()
    root.handlers[:] = handlers
    root.setLevel(level)
