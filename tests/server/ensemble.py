"""An ensemble on this test's event loop: real sockets on loopback, files in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pyzk.server.config import Config
from pyzk.server.ensemble import Server
from pyzk.storage.memory import MemoryDisk
from pyzk.zab.membership import Membership
from pyzk.zab.servers import OBSERVER, PARTICIPANT, PeerAddress, ServerSpec
from tests.integration.processes import free_port
from tests.server.shell import MEMORY_DIRECTORY, until

PATIENCE_S = 30.0
DEFAULTS: dict[str, Any] = {
    "client_port": 0,
    "client_port_address": "127.0.0.1",
    "four_letter_whitelist": frozenset({"*"}),
    "purge_interval_hours": 0,
    "pre_alloc_size_kib": 64,
    "admin_enabled": False,
    "tick_time_ms": 200,
    "init_limit_ticks": 50,
    "sync_limit_ticks": 50,
    "min_session_timeout_ms": 1000,
    "max_session_timeout_ms": 60_000,
    "max_client_connections_per_address": 0,
}


class Ensemble:
    """Servers 1 to n. What a crash leaves on a disk is there at the next start."""

    def __init__(self, size: int, observers: tuple[int, ...] = (), **settings: Any) -> None:
        self.settings = {**DEFAULTS, **settings}
        self.disks = {server_id: MemoryDisk() for server_id in range(1, size + 1)}
        self.ports = {server_id: (free_port(), free_port()) for server_id in self.disks}
        self.servers: dict[int, Server] = {}
        self.membership = Membership(tuple(self._spec(server_id, observers) for server_id in self.disks))

    def _spec(self, server_id: int, observers: tuple[int, ...]) -> ServerSpec:
        quorum_port, election_port = self.ports[server_id]
        role = OBSERVER if server_id in observers else PARTICIPANT
        return ServerSpec(server_id, (PeerAddress("127.0.0.1", quorum_port, election_port),), role)

    def __getitem__(self, server_id: int) -> Server:
        return self.servers[server_id]

    async def start(self, *server_ids: int) -> None:
        for server_id in server_ids or self.disks:
            settings = {**self.settings, "server_id": server_id, "membership": self.membership}
            server = self.unstarted = Server(Config(data_dir=MEMORY_DIRECTORY, **settings), self.disks[server_id])
            await server.start()
            self.servers[server_id] = server

    async def serving(self, *server_ids: int) -> None:
        """Until these serve in a role."""
        wanted = server_ids or tuple(self.servers)
        async with asyncio.timeout(PATIENCE_S):
            for server_id in wanted:
                await self.servers[server_id].peer.established.wait()

    async def stop(self, *server_ids: int) -> None:
        for server_id in server_ids:
            await self.servers.pop(server_id).stop()

    def leader(self) -> int:
        return next(server_id for server_id, server in self.servers.items() if server.peer.mode == "leader")

    def followers(self) -> list[int]:
        return [server_id for server_id, server in self.servers.items() if server.peer.mode == "follower"]

    async def level(self) -> None:
        """Until all have the same tree."""

        def is_level() -> bool:
            trees = [server.peer.service.tree for server in self.servers.values()]
            return len({(tree.last_zxid, tree.digest) for tree in trees}) == 1

        await until(is_level, "all have the same tree")


@asynccontextmanager
async def ensemble(size: int = 3, observers: tuple[int, ...] = (), **settings: Any) -> AsyncIterator[Ensemble]:
    """Started and serving."""
    members = Ensemble(size, observers, **settings)
    try:
        await members.start()
        await members.serving()
        yield members
    finally:
        await members.stop(*members.servers)
