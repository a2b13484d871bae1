#!/usr/bin/env python3
"""The least that a server on asyncio can do and still satisfy zkload: frames, a dictionary, and one fdatasync a turn.

No sessions, no ACLs, no checks, no txns, no digest, no log that could be read again. What it costs is the floor for
any server in Python on uvloop; docs/performance.md compares with it.

    scripts/bench/zkbench.py --server least='.venv/bin/python scripts/bench/least_server.py {cfg}' ...
"""

import asyncio
import gc
import os
import struct
import sys
from collections.abc import Callable

import uvloop

HEAD, REPLY, INT = struct.Struct(">iii"), struct.Struct(">iiqi"), struct.Struct(">i")
STAT, OP = struct.Struct(">qqqqiiiqiiq"), struct.Struct(">i?i")
CONNECTED = struct.Struct(">iiiqi16s?")
LOG_BYTES = 64 << 20
MULTI_END = b"\xff\xff\xff\xff\1\xff\xff\xff\xff"


class Store:
    """Znodes as [data, version], who watches them, and writes that wait for the disk."""

    def __init__(self, path: str) -> None:
        self.nodes: dict[bytes, list] = {b"/": [b"", 0]}
        self.watchers: dict[bytes, list[Client]] = {}
        self.lasting: dict[bytes, list[Client]] = {}
        self.zxid = self.sessions = 0
        self.waiting: list[tuple[Client, bytes, bytes]] = []
        self.log = os.open(path, os.O_CREAT | os.O_RDWR)
        os.pwrite(self.log, bytes(LOG_BYTES), 0)
        os.fsync(self.log)

    def write(self, client: "Client", frame: bytes, xid: int, body: bytes) -> None:
        self.zxid += 1
        if not self.waiting:
            asyncio.get_running_loop().call_soon(self.commit)
        self.waiting.append((client, frame, REPLY.pack(16 + len(body), xid, self.zxid, 0) + body))

    def commit(self) -> None:
        batch, self.waiting = self.waiting, []
        os.pwrite(self.log, b"".join([frame for _, frame, _ in batch]), 0)
        os.fdatasync(self.log)
        replies: dict[Client, list[bytes]] = {}
        for client, _, reply in batch:
            replies.setdefault(client, []).append(reply)
        for client, parts in replies.items():
            client.transport.write(b"".join(parts))

    def put(self, path: bytes, data: bytes) -> bytes:
        node = self.nodes[path]
        node[0], node[1] = data, node[1] + 1
        if path in self.watchers or path in self.lasting:
            event = REPLY.pack(28 + len(path), -1, -1, 0) + HEAD.pack(3, 3, len(path)) + path
            for client in [*self.watchers.pop(path, ()), *self.lasting.get(path, ())]:
                client.transport.write(event)
        return stat(node)


def stat(node: list) -> bytes:
    return STAT.pack(1, 1, 1, 1, node[1], 0, 0, 0, len(node[0]), 0, 1)


def buffer(data: bytes, at: int) -> tuple[bytes, int]:
    end = at + 4 + INT.unpack_from(data, at)[0]
    return data[at + 4 : end], end


def read(client: "Client", xid: int, opcode: int, data: bytes, at: int, stop: int) -> bytes:  # noqa: ARG001
    store = client.store
    path, end = buffer(data, at)
    node = store.nodes.get(path)
    if node is None:
        return REPLY.pack(16, xid, store.zxid, -101)
    if opcode == 4 and data[end]:
        store.watchers.setdefault(path, []).append(client)
    body = stat(node) if opcode == 3 else INT.pack(len(node[0])) + node[0] + stat(node) if opcode == 4 else INT.pack(0)
    return REPLY.pack(16 + len(body), xid, store.zxid, 0) + body


def set_data(client: "Client", xid: int, opcode: int, data: bytes, at: int, stop: int) -> None:  # noqa: ARG001
    path, end = buffer(data, at)
    value, _ = buffer(data, end)
    client.store.write(client, data[at:stop], xid, client.store.put(path, value))


def create(client: "Client", xid: int, opcode: int, data: bytes, at: int, stop: int) -> None:  # noqa: ARG001
    path, end = buffer(data, at)
    client.store.nodes[path] = [buffer(data, end)[0], 0]
    client.store.write(client, data[at:stop], xid, INT.pack(len(path)) + path)


def delete(client: "Client", xid: int, opcode: int, data: bytes, at: int, stop: int) -> None:  # noqa: ARG001
    client.store.nodes.pop(buffer(data, at)[0], None)
    client.store.write(client, data[at:stop], xid, b"")


def multi(client: "Client", xid: int, opcode: int, data: bytes, at: int, stop: int) -> None:  # noqa: ARG001
    results, begin = [], at
    while not OP.unpack_from(data, at)[1]:
        path, at = buffer(data, at + 9)
        value, at = buffer(data, at)
        at += 4
        results.append(b"\0\0\0\5\0\0\0\0\0" + client.store.put(path, value))
    client.store.write(client, data[begin:stop], xid, b"".join([*results, MULTI_END]))


def add_watch(client: "Client", xid: int, opcode: int, data: bytes, at: int, stop: int) -> bytes:  # noqa: ARG001
    client.store.lasting.setdefault(buffer(data, at)[0], []).append(client)
    return REPLY.pack(20, xid, client.store.zxid, 0) + INT.pack(0)


def ping(client: "Client", xid: int, opcode: int, data: bytes, at: int, stop: int) -> bytes:  # noqa: ARG001
    return REPLY.pack(16, -2, client.store.zxid, 0)


def close(client: "Client", xid: int, opcode: int, data: bytes, at: int, stop: int) -> None:  # noqa: ARG001
    client.transport.write(REPLY.pack(16, xid, client.store.zxid, 0))
    client.transport.close()


HANDLERS: dict[int, Callable[["Client", int, int, bytes, int, int], bytes | None]] = {
    1: create, 2: delete, 3: read, 4: read, 5: set_data, 8: read, 11: ping, 14: multi, 106: add_watch, -11: close
}  # fmt: skip


class Client(asyncio.Protocol):
    """One connection."""

    __slots__ = ("is_connected", "rest", "store", "transport")

    def __init__(self, store: Store) -> None:
        self.store, self.rest, self.is_connected = store, b"", False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        for clients in self.store.lasting.values():
            if self in clients:
                clients.remove(self)

    def data_received(self, data: bytes) -> None:
        if self.rest:
            data = self.rest + data
        at, end, out = 0, len(data), []
        if not self.is_connected:
            if data.startswith(b"srvr"):
                self.transport.write(b"Zookeeper version: 3.9\nMode: standalone\n")
                self.transport.close()
                return
            at = 4 + INT.unpack_from(data)[0]
            self.is_connected = True
            self.store.sessions += 1
            out.append(CONNECTED.pack(37, 0, 30_000, self.store.sessions, 16, bytes(16), False))
        while end - at >= 12:
            length, xid, opcode = HEAD.unpack_from(data, at)
            stop = at + 4 + length
            if stop > end:
                break
            encoded = HANDLERS[opcode](self, xid, opcode, data, at + 12, stop)
            if encoded is not None:
                out.append(encoded)
            at = stop
        self.rest = data[at:]
        if out:
            self.transport.write(b"".join(out))


async def main() -> None:
    config = dict(line.strip().split("=", 1) for line in open(sys.argv[1]) if "=" in line)  # noqa: ASYNC230, PTH123, SIM115
    store = Store(config["dataDir"] + "/log")
    create_server = asyncio.get_running_loop().create_server
    server = await create_server(lambda: Client(store), "127.0.0.1", int(config["clientPort"]), backlog=4096)
    await server.serve_forever()


gc.disable()
uvloop.run(main())
