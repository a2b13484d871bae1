"""The fake ensemble on a real port."""

import asyncio

from tests.client.fake import FakeEnsemble


class Door(asyncio.Protocol):
    """Carries bytes between a socket and a FakeConnection."""

    def __init__(self, server):
        self.server = server

    def connection_made(self, transport):
        self.transport = transport
        self.connection = self.server.ensemble.connect()
        self.server.doors.append(self)

    def data_received(self, data):
        if data == b"isro":
            self.transport.write(b"ro" if self.server.ensemble.read_only else b"rw")
            self.transport.close()
            return
        self.connection.receive(data)
        self.server.flush()

    def connection_lost(self, exc):
        del exc
        if self.connection.open:
            self.connection.hang_up()
        self.server.doors.remove(self)

    def flush(self):
        data, self.connection.output = self.connection.output, b""
        self.transport.write(data)
        if not self.connection.open:
            self.transport.close()


class FakeServer:
    """Use as context manager; `hosts` is its connection string."""

    def __init__(self):
        self.ensemble = FakeEnsemble()
        self.doors = []

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        self.listener = await loop.create_server(lambda: Door(self), "127.0.0.1", 0)
        host, port = self.listener.sockets[0].getsockname()
        self.hosts = f"{host}:{port}"
        return self

    async def __aexit__(self, *_):
        self.cut()
        self.listener.close()
        await self.listener.wait_closed()

    def flush(self):
        for door in list(self.doors):
            door.flush()

    def cut(self):
        """All connections end, as in a crash."""
        for door in self.doors:
            door.transport.abort()

    def change(self, path, data=b"changed"):
        """Somebody else sets data."""
        self.ensemble.zxid += 1
        self.ensemble.set_data(path, data)
        self.flush()
