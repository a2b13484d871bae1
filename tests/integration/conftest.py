"""Real servers and kazoo clients for our integration tests.

PYZK_TEST_SERVER=apache runs the same tests against Apache's 3.9.5: they hold for ZooKeeper, not only for pyzk.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kazoo.client import KazooClient

from tests.integration.processes import PyzkServer, ServerProcess
from tests.interop.apache import ApacheServer

MakeServer = Callable[..., ServerProcess]
Connect = Callable[..., KazooClient]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.integration)


def _server(folder: Path, settings: dict[str, object]) -> ServerProcess:
    if os.environ.get("PYZK_TEST_SERVER") == "apache":
        # What Apache reads as a system property only.
        flags = tuple(f"-D{name}={value}" for name, value in settings.items() if name.startswith("jute."))
        return ApacheServer(folder, flags=flags, settings=settings)
    return PyzkServer(folder, settings=settings)


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    """`make_server(setting=value, ...)` starts a standalone server with these lines in its zoo.cfg."""
    with contextlib.ExitStack() as running:

        def make(**settings: object) -> ServerProcess:
            folder = tmp_path / f"server-{len(list(tmp_path.iterdir()))}"
            return running.enter_context(_server(folder, settings))

        yield make


@pytest.fixture
def server(make_server: MakeServer) -> ServerProcess:
    """A standalone server of this test's own."""
    return make_server()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests of a file: for tests that leave it as they found it, but for their own folder."""
    with _server(tmp_path_factory.mktemp("server"), {}) as running:
        yield running


@pytest.fixture
def connect() -> Iterator[Connect]:
    """`connect(server, **options)` starts a kazoo client; all are stopped at the end of the test."""
    clients: list[KazooClient] = []

    def start(server: ServerProcess, chroot: str = "", **options: Any) -> KazooClient:
        client = KazooClient(hosts=server.hosts + chroot, **{"timeout": 10.0, **options})
        clients.append(client)
        client.start(timeout=20)
        return client

    yield start
    for client in clients:
        # A client whose server is gone retries for long; stop() alone would wait for it.
        client.stop()
        client.close()


@pytest.fixture
def client(shared_server: ServerProcess, connect: Connect, request: pytest.FixtureRequest) -> KazooClient:
    """A client of the shared server, in a folder of this test's own."""
    chroot = f"/{request.node.name}"
    connect(shared_server).ensure_path(chroot)
    return connect(shared_server, chroot=chroot)
