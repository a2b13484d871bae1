"""A server of our own for what speaks to one."""

from collections.abc import Iterator

import pytest

from tests.integration.processes import PyzkServer, ServerProcess
from tests.interop.transcript import SETTINGS


@pytest.fixture
def fresh_server(tmp_path) -> Iterator[ServerProcess]:
    """A standalone server with an empty tree."""
    with PyzkServer(tmp_path / "server", settings=SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One for all tests of a file."""
    with PyzkServer(tmp_path_factory.mktemp("server"), settings=SETTINGS) as running:
        yield running
