"""What one operation of each workload is."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from pyzk.client.aio import Client
from pyzk.client.aio_watch import WatchEvent
from pyzk.codec.opcodes import CreateMode, EventType
from pyzk.errors import ConnectionLostError, NodeExistsError
from pyzk.tools.bench.access import Opener
from pyzk.tools.bench.territory import Territory

MULTI_OPERATIONS = 10


class Connection:
    """A session, and another one when it has ended."""

    def __init__(self, opener: Opener, client: Client) -> None:
        self.opener = opener
        self.client = client
        self._renewing = asyncio.Lock()

    async def renew(self) -> None:
        """Open another session if this one has ended. Raises ConnectionLostError, AuthFailedError."""
        async with self._renewing:
            if self.client.state.final:
                self.client = await self.opener.open()


@dataclass(slots=True)
class Worker:
    """Does one operation at a time.

    Attributes:
        neighbour: another connection, or the same if there is only one.
        path: where it may create znodes, alone.
        standing: a znode that it has created and not deleted.
    """

    connection: Connection
    neighbour: Connection
    territory: Territory
    rng: Random
    path: str
    read_share: float
    standing: str = ""
    created: int = 0

    @property
    def client(self) -> Client:
        """The session of the moment."""
        return self.connection.client

    @property
    def value(self) -> bytes:
        """What is written."""
        return self.territory.value

    def key(self) -> str:
        """Any of the keys."""
        return self.territory.key(self.rng.randrange(self.territory.keys))

    async def renew(self) -> None:
        """Open other sessions for those that have ended. Raises ConnectionLostError, AuthFailedError."""
        await self.connection.renew()
        await self.neighbour.renew()


async def _get(worker: Worker) -> None:
    await worker.client.get(worker.key())


async def _exists(worker: Worker) -> None:
    await worker.client.exists(worker.key())


async def _set(worker: Worker) -> None:
    await worker.client.set(worker.key(), worker.value)


async def _create(worker: Worker, mode: CreateMode = CreateMode.PERSISTENT) -> None:
    if worker.standing:
        path, worker.standing = worker.standing, ""
        await worker.client.delete(path)
        return
    # A new name each time: after a lost connection nobody knows whether the last one was created.
    worker.created += 1
    path = f"{worker.path}-{worker.created}"
    await worker.client.create(path, worker.value, mode=mode)
    worker.standing = path


async def _ephemeral(worker: Worker) -> None:
    await _create(worker, CreateMode.EPHEMERAL)


async def _children(worker: Worker) -> None:
    await worker.client.get_children(worker.territory.keys_path)


async def _multi(worker: Worker) -> None:
    async with worker.client.transaction() as transaction:
        for _ in range(MULTI_OPERATIONS):
            transaction.set(worker.key(), worker.value)


async def _mixed(worker: Worker) -> None:
    await (_get if worker.rng.random() < worker.read_share else _set)(worker)


async def _session(worker: Worker) -> None:
    client = await worker.connection.opener.open()
    await client.close()


async def _watch(worker: Worker) -> None:
    if not worker.standing:
        with suppress(NodeExistsError):
            await worker.client.create(worker.path)
        worker.standing = worker.path
    arrival: asyncio.Future[WatchEvent] = asyncio.get_running_loop().create_future()

    def arrive(event: WatchEvent) -> None:
        if not arrival.done():
            arrival.set_result(event)

    await worker.client.get(worker.path, watch=arrive)
    await worker.neighbour.client.set(worker.path, worker.value)
    if (await arrival).type is EventType.NONE:
        raise ConnectionLostError("the session has ended before the event came")


@dataclass(frozen=True, slots=True)
class Workload:
    """One of the table."""

    operate: Callable[[Worker], Awaitable[None]]
    summary: str


WORKLOADS = {
    "get": Workload(_get, "read one of --keys znodes"),
    "exists": Workload(_exists, "ask for the Stat of one"),
    "set": Workload(_set, "write the value of one"),
    "create": Workload(_create, "create a znode, delete it: each is an operation"),
    "ephemeral": Workload(_ephemeral, "the same with ephemeral znodes"),
    "children": Workload(_children, "list the names of all --keys znodes"),
    "multi": Workload(_multi, f"{MULTI_OPERATIONS} sets in one transaction"),
    "mixed": Workload(_mixed, "get or set, as --read-share says"),
    "session": Workload(_session, "connect, open a session, close it"),
    "watch": Workload(_watch, "set a watch, let another connection write, wait for the event"),
}
