"""Links of one server over real sockets, and what they have told; a bare socket beside them."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from pyzk.server.links import LinkOptions, Links
from pyzk.tree.tree import Tree
from pyzk.tree.walk import walk
from pyzk.zab.effects import Close, Dial, Send, SendTree
from pyzk.zab.events import Connected, Port, Received
from tests.server.shell import PATIENCE_S, until

HOST = "127.0.0.1"


class Side:
    """One server's links, with all that they have told."""

    def __init__(self, options: LinkOptions | None = None, tree: Tree | None = None) -> None:
        self.tree = tree or Tree()
        self.events: list[Any] = []
        self.inside = False
        self.links = Links(self.handle, lambda: walk(self.tree), self.wake, options)
        self.woken = 0
        self.listeners: list[asyncio.Server] = []

    def handle(self, event: Any) -> None:
        assert not self.inside, "nothing is told from within an effect"
        self.events.append(event)

    def wake(self) -> None:
        self.woken += 1
        asyncio.get_running_loop().call_soon(self.links.flush)

    def perform(self, *effects: Any) -> None:
        performers: dict[type, Callable[[Any], None]] = {
            Send: self.links.send,
            SendTree: self.links.send_tree,
            Close: self.links.close,
            Dial: self.links.dial,
        }
        self.inside = True
        for effect in effects:
            performers[type(effect)](effect)
        self.inside = False

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def received(self, link: int) -> bytes:
        return b"".join(event.data for event in self.of(Received) if event.link == link)

    async def listen(self, port: Port = Port.QUORUM) -> int:
        listener = await asyncio.get_running_loop().create_server(self.links.acceptor(port), HOST, 0)
        self.listeners.append(listener)
        number: int = listener.sockets[0].getsockname()[1]
        return number

    async def dialed(self, link: int, port: int, kind: Port = Port.QUORUM) -> None:
        self.perform(Dial(link, kind, [(HOST, port)], 5000))
        await until(lambda: Connected(link) in self.events, "the dial has succeeded")

    async def stop(self) -> None:
        for listener in self.listeners:
            listener.close()
        await self.links.stop()


class Silent:
    """A bare socket that reads only when it is told to."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setblocking(False)
        self.port = port

    async def connect(self) -> None:
        await asyncio.get_running_loop().sock_connect(self.socket, (HOST, self.port))

    async def read(self, size: int) -> bytes:
        data = b""
        async with asyncio.timeout(PATIENCE_S):
            while len(data) < size:
                piece = await asyncio.get_running_loop().sock_recv(self.socket, 1 << 20)
                if not piece:
                    break
                data += piece
        return data
