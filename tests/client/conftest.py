"""Fixtures of the client's tests."""

import pytest

from tests.client.fake_server import FakeServer


@pytest.fixture
async def server():
    async with FakeServer() as running:
        yield running
