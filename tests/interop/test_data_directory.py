"""One data directory, served in turn by Apache and by pyzk: each starts on what the other left, and shows the same."""

import pytest
from kazoo.client import KazooClient

from tests.integration.processes import PyzkServer
from tests.interop.apache import VERSIONS, ApacheServer, UnavailableError

pytestmark = pytest.mark.interop

TTL_FLAGS = ("-Dzookeeper.extendedTypesEnabled=true",)
SETTINGS = {"extendedTypesEnabled": "true", "preAllocSize": 64, "snapCount": 40}
COMPRESSIONS = ["", "gz", "snappy"]


def connected(server):
    client = KazooClient(server.hosts, timeout=20)
    client.start()
    return client


def use(server, round_number):
    """Leave some of everything: znodes, deletes, multis, null data, sequences, more txns than snapCount."""
    client = connected(server)
    top = f"/round{round_number}"
    client.create(top, b"x" * 300)
    for number in range(60):
        client.create(f"{top}/n-", str(number).encode(), sequence=True)
    for number in range(0, 60, 3):
        client.delete(f"{top}/n-{number:010}")
        client.set(f"{top}/n-{number + 1:010}", b"new")
    transaction = client.transaction()
    transaction.create(f"{top}/multi", b"")
    transaction.set_data(top, b"multi")
    transaction.commit()
    failing = client.transaction()
    failing.create(f"{top}/never")
    failing.check(top, 99)
    failing.commit()
    shown = dump(client)
    client.stop()
    client.close()
    return shown


def dump(client, path="/"):
    """Data and Stat of everything but the server's own znodes."""
    data, stat = client.get(path)
    shown = {path: (data, stat)}
    for child in client.get_children(path):
        if path != "/" or child != "zookeeper":
            shown |= dump(client, f"{path.rstrip('/')}/{child}")
    return shown


def seen(server):
    client = connected(server)
    shown = dump(client)
    client.stop()
    client.close()
    return shown


def serve(server, expected, round_number, *, kill):
    """Start on what is there, compare, add to it; returns what is there then."""
    server.start()
    try:
        assert seen(server) == expected or not expected
        return use(server, round_number)
    finally:
        if kill:
            server.kill()
        else:
            server.stop()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("version", VERSIONS)
def test_each_starts_on_what_the_other_left(tmp_path, version, compression):
    flags = (*TTL_FLAGS, f"-Dzookeeper.snapshot.compression.method={compression}", "-Dzookeeper.snapCount=40")
    settings = {**SETTINGS, "snapshot.compression.method": compression}
    shown = {}
    for number, kill in enumerate((False, True)):
        try:
            apache = ApacheServer(tmp_path, version, flags)
        except UnavailableError as missing:
            pytest.skip(str(missing))
        shown = serve(apache, shown, 2 * number, kill=kill)
        shown = serve(PyzkServer(tmp_path, settings=settings), shown, 2 * number + 1, kill=kill)
    names = {path.name for path in (tmp_path / "data" / "version-2").iterdir()}
    suffix = f".{compression}" if compression else ""
    assert any(name.startswith("snapshot.") and name.endswith(suffix) for name in names)
