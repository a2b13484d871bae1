"""A real server on this test's event loop, and bare connections to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pyzk.codec.framing import frame
from pyzk.codec.jute import INT32
from pyzk.codec.records import ConnectRequest, ConnectResponse
from pyzk.server.config import Config
from pyzk.server.standalone import Server
from pyzk.storage.disk import Disk
from pyzk.storage.memory import MemoryDisk
from tests.service.harness import Event, Reply, Requests, parse_frame

PATIENCE_S = 20.0
MEMORY_DIRECTORY = "/data"


@asynccontextmanager
async def running(data_dir: Path | None = None, disk: Disk | None = None, **settings: Any) -> AsyncIterator[Server]:
    """A standalone server with these settings (fields of Config); without a directory its files are in memory."""
    if data_dir is None:
        disk = disk or MemoryDisk()
    defaults = {
        "client_port": 0,
        "client_port_address": "127.0.0.1",
        "four_letter_whitelist": frozenset({"*"}),
        "purge_interval_hours": 0,
        "pre_alloc_size_kib": 64,
        "admin_enabled": False,
    }
    server = Server(Config(data_dir=str(data_dir or MEMORY_DIRECTORY), **{**defaults, **settings}), disk)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


class Wire(Requests):
    """One connection to a server, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.response: ConnectResponse | None = None

    @classmethod
    async def open(cls, server: Server) -> "Wire":
        """Connect without a session; closed by `close`, or by the loop's end."""
        return cls(*await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 26))

    @classmethod
    async def session(cls, server: Server, timeout_ms: int = 60_000) -> "Wire":
        return await cls.greet(await cls.open(server), timeout_ms)

    @staticmethod
    async def greet(wire: "Wire", timeout_ms: int = 60_000, behind: bytes = b"") -> "Wire":
        """Open a session; `behind` is sent together with the connect request."""
        wire.send(frame(ConnectRequest(0, 0, timeout_ms, 0, bytes(16), read_only=False).encode()), behind)
        wire.response = ConnectResponse.from_bytes(await wire.body())
        return wire

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    async def body(self) -> bytes:
        """The next frame."""
        async with asyncio.timeout(PATIENCE_S):
            (length,) = INT32.unpack(await self.reader.readexactly(4))
            return await self.reader.readexactly(length)

    async def next(self) -> Reply | Event:
        return parse_frame(await self.body())

    async def replies(self, count: int) -> list[Reply]:
        """The next `count` replies; events between them are left out."""
        found: list[Reply] = []
        while len(found) < count:
            item = await self.next()
            if isinstance(item, Reply):
                found.append(item)
        return found

    async def ask(self, encoded: bytes) -> Reply:
        self.send(encoded)
        return (await self.replies(1))[0]

    async def rest(self) -> bytes:
        """All until the server closes; a reset ends it too."""
        data = b""
        async with asyncio.timeout(PATIENCE_S):
            try:
                while piece := await self.reader.read(1 << 20):
                    data += piece
            except ConnectionResetError:
                return data
        return data

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (ConnectionResetError, BrokenPipeError):
            return


async def ask_word(server: Server, data: bytes, *, half_close: bool = True) -> bytes:
    """What a server answers to a word, until it closes."""
    wire = await Wire.open(server)
    wire.send(data)
    if half_close:
        wire.writer.write_eof()
    answer = await wire.rest()
    await wire.close()
    return answer


async def until(condition: Any, what: str) -> None:
    """Let the loop turn until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the loop must turn for it to become so
            await asyncio.sleep(0)
    assert condition(), what
