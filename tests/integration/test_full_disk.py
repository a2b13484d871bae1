"""A file system that really is full: writes are refused, reads go on, and writes come back by themselves."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionLoss, KazooException, SystemZookeeperError

from tests.integration.conftest import Connect
from tests.integration.processes import PyzkServer, eventually

VALUE = b"x" * 100_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB, which takes root to make."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system of its own cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_full_disk_stops_writes_only_and_only_while_it_is_full(small_disk: Path, connect: Connect) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(4_000_000))
    with PyzkServer(small_disk / "server", settings={"tickTime": 200}) as server:
        client = connect(server)
        acknowledged = _fill(client)
        assert len(acknowledged) > 40, "a small disk is no full one"
        assert client.get(acknowledged[0])[0] == VALUE
        ballast.unlink()
        eventually(lambda: _takes_writes(client), "writes are taken again")
        server.kill()
        server.start()
        again = connect(server)
        assert [path for path in acknowledged if again.get(path)[0] != VALUE] == []


def _fill(client: KazooClient) -> list[str]:
    """Create znodes until writes are refused; those that were acknowledged."""
    acknowledged = []
    for number in range(200):
        try:
            acknowledged.append(client.create(f"/n{number}", VALUE))
        except SystemZookeeperError:
            return acknowledged
        except ConnectionLoss:
            continue  # the disk became full under this one
    pytest.fail("20 MB went into a file system of 12 MB")


def _takes_writes(client: KazooClient) -> bool:
    with contextlib.suppress(KazooException):
        return bool(client.ensure_path("/back"))
    return False
