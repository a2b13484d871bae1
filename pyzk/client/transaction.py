"""Several changes that are made all or not at all."""

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

from pyzk.client import operations
from pyzk.client.operations import VERSION_ANY, Operation, Result, first_failure
from pyzk.codec.opcodes import CreateMode
from pyzk.codec.records import ACL

Multi = Callable[[Sequence[Operation]], Awaitable[list[Result]]]


class Transaction:
    """Collects operations; they are sent when the `async with` block ends without an exception, or by `commit`.

    After that `results` has one result per operation: path, (path, Stat), Stat or None.
    """

    def __init__(self, multi: Multi) -> None:
        self._multi = multi
        self.operations: list[Operation] = []
        self.results: list[Result] = []

    def create(
        self,
        path: str,
        data: bytes | None = b"",
        *,
        mode: CreateMode = CreateMode.PERSISTENT,
        ttl_ms: int | None = None,
        acl: Sequence[ACL] | None = None,
    ) -> Self:
        """Create a znode."""
        return self._add(operations.create(path, data, mode=mode, ttl_ms=ttl_ms, acl=acl))

    def delete(self, path: str, version: int = VERSION_ANY) -> Self:
        """Delete a znode."""
        return self._add(operations.delete(path, version))

    def set(self, path: str, data: bytes | None, version: int = VERSION_ANY) -> Self:
        """Replace the data of a znode."""
        return self._add(operations.set_data(path, data, version))

    def check(self, path: str, version: int = VERSION_ANY) -> Self:
        """Fail unless the znode exists and has this version."""
        return self._add(operations.check(path, version))

    async def commit(self) -> list[Result]:
        """Send. Raises the error of the operation that failed; nothing has been changed then."""
        results = await self._multi(self.operations)
        failure = first_failure(results)
        if failure is not None:
            raise failure
        self.results = results
        return results

    def _add(self, operation: Operation) -> Self:
        self.operations.append(operation)
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            await self.commit()
