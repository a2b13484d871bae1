"""A log writer in a process of its own: the loop never waits for the disk, the disk never for the interpreter.

This is the parent's side; `pyzk.server.logchild` is the other one. The child ends when the socket between them does, so
it dies with its parent; what it was writing then, it still writes. Whoever starts anew must therefore hold the lock of
the log directory (`pyzk.server.files.lock_directory`), which the child inherits.
"""

import asyncio
import subprocess
import sys
from socket import socketpair
from typing import cast

from pyzk.errors import StorageError
from pyzk.server.logchild import ANSWER, ERRORS, LENGTH, REQUEST
from pyzk.server.logwriter import GroupCommit, Outcomes
from pyzk.storage.txnlog import Batch, TxnLog


class ProcessWriter(GroupCommit, asyncio.Protocol):
    """Hands batches to the child. Make one with `start`."""

    def __init__(self, outcomes: Outcomes, batch_bytes_max: int, child: subprocess.Popen[bytes]) -> None:
        GroupCommit.__init__(self, outcomes, batch_bytes_max)
        self.child = child
        self.transport: asyncio.WriteTransport | None = None
        self.answer = b""

    @classmethod
    async def start(cls, log: TxnLog, outcomes: Outcomes, lock: int | None = None) -> "ProcessWriter":
        """Start the child; `log` says where and how to write, and must not be used here any more.

        Args:
            log: on a FileDisk, with no file open.
            outcomes: whom to tell.
            lock: descriptor of the directory's lock, which the child holds too.
        """
        ours, theirs = socketpair()
        options = [log.directory, str(log.preallocate_bytes), str(log.batch_bytes_max), str(int(log.sync))]
        inherited = [theirs.fileno()] if lock is None else [theirs.fileno(), lock]
        # The module is ours and so are the arguments.
        child = subprocess.Popen(  # noqa: ASYNC220, S603
            [sys.executable, "-m", "pyzk.server.logchild", str(theirs.fileno()), *options],
            stdin=subprocess.DEVNULL,
            pass_fds=inherited,
        )
        theirs.close()
        ours.setblocking(False)  # noqa: FBT003
        writer = cls(outcomes, log.batch_bytes_max, child)
        await asyncio.get_running_loop().create_connection(lambda: writer, sock=ours)
        return writer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self.transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self.answer += data
        if len(self.answer) < ANSWER.size:
            return
        kind, length = ANSWER.unpack_from(self.answer)
        if len(self.answer) < ANSWER.size + length:
            return
        text, self.answer = self.answer[ANSWER.size :].decode(), b""
        self._finished(ERRORS[kind - 1](text) if kind else None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.in_flight or self.queue:
            self._finished(StorageError(f"the log writer process ended: {exc or 'end of file'}"))

    def _write(self, batch: Batch, *, roll: bool) -> None:
        if self.transport is None:
            self._finished(StorageError("the log writer process has ended"))
            return
        parts = [part for _, payload in batch for part in (LENGTH.pack(len(payload)), payload)]
        size = sum(map(len, parts))
        self.transport.write(b"".join([REQUEST.pack(size, roll), *parts]))

    async def _stop(self) -> None:
        if self.transport is not None:
            self.transport.close()
        # The socket is closed in the next turn of the loop, and that is what the child waits for.
        await self._loop.run_in_executor(None, self.child.wait)
