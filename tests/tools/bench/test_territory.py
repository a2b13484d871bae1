"""The subtree of a run, and that it goes away whatever has happened to it."""

import asyncio

import pytest

from pyzk.client.aio import Client
from pyzk.errors import NotEmptyError
from pyzk.tools.bench import territory as module
from pyzk.tools.bench.access import Access, Opener
from pyzk.tools.bench.territory import Territory
from pyzk.tools.output import ToolError
from tests.server.shell import running

pytestmark = pytest.mark.integration
KEYS = 3


@pytest.fixture
async def server():
    async with asyncio.timeout(100), running() as server:
        yield server


def nothing(_amount):
    pass


async def filled(server, root="/bench"):
    territory = Territory(Opener(Access(f"127.0.0.1:{server.port}", 10_000)), root, KEYS, b"value")
    await territory.take()
    await territory.fill(nothing, asyncio.Event())
    return territory


async def children(server, path="/"):
    async with Client(f"127.0.0.1:{server.port}") as client:
        return sorted(await client.get_children(path))


async def test_it_has_its_keys_and_a_sign_that_it_is_in_use(server):
    territory = await filled(server)
    assert await children(server, "/bench") == ["keys", "running", "work"]
    assert [territory.key(number) for number in range(KEYS)] == [
        f"/bench/keys/{name}" for name in await children(server, "/bench/keys")
    ]
    await territory.close()


async def test_it_tells_how_much_is_done(server):
    territory = Territory(Opener(Access(f"127.0.0.1:{server.port}", 10_000)), "/bench", KEYS, b"")
    amounts = []
    await territory.take()
    await territory.fill(amounts.append, asyncio.Event())
    assert sum(amounts) == KEYS
    await territory.clear(amounts.append)
    assert sum(amounts) > KEYS
    await territory.close()


async def test_filling_ends_when_somebody_interrupts_it(server):
    territory = Territory(Opener(Access(f"127.0.0.1:{server.port}", 10_000)), "/bench", KEYS, b"")
    stop = asyncio.Event()
    stop.set()
    await territory.take()
    await territory.fill(nothing, stop)
    assert await children(server, "/bench/keys") == []
    await territory.close()


async def test_it_is_cleared_by_another_session_when_its_own_has_ended(server):
    territory = await filled(server)
    await territory.close()
    await territory.clear(nothing)
    await territory.close()
    assert await children(server) == ["zookeeper"]


async def test_what_comes_while_it_is_cleared_is_deleted_too(server, monkeypatch):
    """A create of a connection that was lost may be done later than all others."""
    territory = await filled(server)
    delete, late = Client.delete, ["/bench/keys/late"]

    async def delete_behind_a_create(client, path, *version):
        if late and path == "/bench":
            await client.create("/bench/keys")
            await client.create(late.pop())
            raise NotEmptyError(path)
        await delete(client, path, *version)

    monkeypatch.setattr(Client, "delete", delete_behind_a_create)
    await territory.clear(nothing)
    await territory.close()
    assert not late
    assert await children(server) == ["zookeeper"]


async def test_what_cannot_be_cleared_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    async with running() as server:
        territory = await filled(server)
    with pytest.raises(ToolError, match=r"/bench is left behind .*pyzk-cli deleteall /bench"):
        await territory.clear(nothing)
    assert territory.is_taken
    await territory.close()
