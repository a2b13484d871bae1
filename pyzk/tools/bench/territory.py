"""The subtree in which everything happens: taken by one run at a time, filled with keys, deleted at the end.

/pyzk-bench            its data is MARK: nothing else is ever deleted
/pyzk-bench/running    ephemeral, of the run that has it
/pyzk-bench/keys       keys that are read and written
/pyzk-bench/work       what workers create
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from pyzk.client import operations
from pyzk.client.aio import Client
from pyzk.client.operations import first_failure
from pyzk.codec.opcodes import CreateMode
from pyzk.errors import (
    AuthFailedError,
    ConnectionLostError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    SessionClosedError,
    SessionExpiredError,
)
from pyzk.tools.bench.access import Opener
from pyzk.tools.output import Advance, ToolError

MARK = b"pyzk bench has made this znode and deletes it at its end"
BATCH_OPERATIONS_MAX = 100
BATCH_BYTES_MAX = 500_000
"""Half of what servers take in one request."""
ATTEMPTS_MAX = 10
PATIENCE_S = 30.0
"""How long the clearing waits for the answers to a batch, and for a server that gives them."""
PASSING_TROUBLE = (ConnectionLostError, SessionClosedError, SessionExpiredError, NotEmptyError)


class Territory:
    """What lies below `root`.

    Args:
        opener: for the one session that takes, fills and clears it.
        root: path.
        keys: how many znodes are read and written.
        value: what is written.
    """

    def __init__(self, opener: Opener, root: str, keys: int, value: bytes) -> None:
        self.root = root
        self.keys = keys
        self.value = value
        self.keys_path = f"{root}/keys"
        self.work_path = f"{root}/work"
        self.is_taken = False
        self._running_path = f"{root}/running"
        self._opener = opener
        self._client: Client | None = None

    def key(self, number: int) -> str:
        """The path of a key, from 0 on."""
        return f"{self.keys_path}/{number:07}"

    async def take(self) -> None:
        """Make the root ours, with what a run has left there that could not end. Raises ToolError, PyzkError."""
        client = self._client = await self._opener.open()
        running = operations.create(self._running_path, mode=CreateMode.EPHEMERAL)
        failure = first_failure(await client.multi([operations.create(self.root, MARK), running]))
        if isinstance(failure, NodeExistsError):
            await self._take_over(client)
        elif isinstance(failure, NoNodeError):
            raise ToolError(f"--root {self.root}: the znode above it does not exist") from failure
        elif failure is not None:
            raise failure
        self.is_taken = True

    async def _take_over(self, client: Client) -> None:
        data, _ = await client.get(self.root)
        if data != MARK:
            raise ToolError(f"{self.root} exists and is not pyzk bench's: name another place with --root")
        try:
            await client.create(self._running_path, mode=CreateMode.EPHEMERAL)
        except NodeExistsError as error:
            what = "another pyzk bench is at work there, or was until a few seconds ago"
            raise ToolError(f"{self.root}: {what}; name another place with --root") from error
        await self._delete_below(client, self.root, _nothing)

    async def fill(self, advance: Advance, stop: asyncio.Event) -> None:
        """Create the keys; `advance` is told of each batch."""
        client = await self._session()
        await client.create(self.work_path)
        await client.create(self.keys_path)
        count = max(1, min(BATCH_OPERATIONS_MAX, BATCH_BYTES_MAX // (len(self.value) + len(self.root) + 100)))
        for first in range(0, self.keys, count):
            if stop.is_set():
                return
            async with client.transaction() as transaction:
                for number in range(first, min(first + count, self.keys)):
                    transaction.create(self.key(number), self.value)
            advance(len(transaction.operations))

    async def clear(self, advance: Advance) -> None:
        """Delete everything, the root last; a server that is lost meanwhile is waited for. Raises ToolError."""
        failure: Exception | None = None
        for _ in range(ATTEMPTS_MAX):
            try:
                await self._clear(await self._session(), advance)
            except (AuthFailedError, TimeoutError) as error:
                failure = error
                break
            except PASSING_TROUBLE as error:
                failure = error
            else:
                self.is_taken = False
                return
        what = f"{self.root} is left behind ({str(failure) or 'no answer'})"
        raise ToolError(f"{what}: the next run deletes it, or pyzk-cli deleteall {self.root}")

    async def _clear(self, client: Client, advance: Advance) -> None:
        with suppress(NoNodeError):
            await self._delete_below(client, self.root, advance)
        for path in (self._running_path, self.root):
            with suppress(NoNodeError):
                async with asyncio.timeout(PATIENCE_S):
                    await client.delete(path)

    async def close(self) -> None:
        """End the session."""
        if self._client is not None:
            await self._client.close()

    async def _session(self) -> Client:
        if self._client is None or self._client.state.final:
            self._client = await self._opener.open()
        return self._client

    async def _delete_below(self, client: Client, path: str, advance: Advance) -> None:
        async with asyncio.timeout(PATIENCE_S):
            children = await client.get_children(path)
        paths = [f"{path}/{name}" for name in children]
        if self._running_path in paths:
            paths.remove(self._running_path)
        for first in range(0, len(paths), BATCH_OPERATIONS_MAX):
            batch = paths[first : first + BATCH_OPERATIONS_MAX]
            for parent in await self._delete_all(client, batch):
                await self._delete_below(client, parent, advance)
                await self._delete_all(client, [parent])
            advance(len(batch))

    async def _delete_all(self, client: Client, paths: Sequence[str]) -> list[str]:
        """Delete znodes; those that have children."""
        async with asyncio.timeout(PATIENCE_S):
            results = await asyncio.gather(*map(client.delete, paths), return_exceptions=True)
        parents = []
        for path, result in zip(paths, results, strict=True):
            if isinstance(result, NotEmptyError):
                parents.append(path)
            elif isinstance(result, BaseException) and not isinstance(result, NoNodeError):
                raise result
        return parents


def _nothing(_amount: int) -> None:
    """For work that shows no progress."""
