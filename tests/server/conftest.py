"""Links for tests, closed at their end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

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
