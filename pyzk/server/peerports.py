"""The ports on which other servers connect: election and quorum, at each of our own addresses or at all.

Source: docs/protocol/election.md section 2, docs/protocol/configuration.md sections 5 and 9.
"""

import asyncio
from collections.abc import Iterator
from typing import Protocol

import structlog

from pyzk.errors import PeerPortError
from pyzk.server.links import Links
from pyzk.zab.events import Port
from pyzk.zab.servers import ServerSpec

log = structlog.get_logger()

BACKLOG = 1024
RETRY_SECONDS = 1.0

Place = tuple[str | None, int, Port]
"""Host (None: all addresses), number, and what the port is for."""


class Listening(Protocol):
    """A port that is open."""

    def close(self) -> None:
        """Take no more links."""


class PeerPorts:
    """Opens and closes the ports.

    Args:
        links: takes those who connect.
        on_all_addresses: not only on the addresses of our own line (quorumListenOnAllIPs).
        attempts_max: how often to try to open a port (electionPortBindRetry); 0: until it can be had.
        observer_master_port: where followers serve observers; 0: nowhere.
        retry_seconds: pause between two attempts.
    """

    def __init__(
        self,
        links: Links,
        *,
        on_all_addresses: bool = False,
        attempts_max: int = 3,
        observer_master_port: int = 0,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._links = links
        self._on_all_addresses = on_all_addresses
        self._attempts_max = attempts_max
        self._retry_seconds = retry_seconds
        self._observer_master_port = observer_master_port
        self._lock = asyncio.Lock()
        self._listeners: dict[Place, Listening] = {}

    def places(self, own: ServerSpec) -> list[Place]:
        """Where a server with this line listens, each place once."""
        return list(dict.fromkeys(self._places(own)))

    def _places(self, own: ServerSpec) -> Iterator[Place]:
        for address in own.addresses:
            host = None if self._on_all_addresses else address.host
            yield host, address.election_port, Port.ELECTION
            yield host, address.quorum_port, Port.QUORUM
            if self._observer_master_port:
                yield host, self._observer_master_port, Port.OBSERVER_MASTER

    async def open(self, own: ServerSpec) -> None:
        """Listen where this line says, and nowhere else. Raises PeerPortError."""
        async with self._lock:
            await self._open(self.places(own))

    async def _open(self, wanted: list[Place]) -> None:
        for place in [place for place in self._listeners if place not in wanted]:
            self._listeners.pop(place).close()
        for place in wanted:
            if place not in self._listeners:
                self._listeners[place] = await self._listen(place)

    async def _listen(self, place: Place) -> Listening:
        host, number, port = place
        shown = f"{host or '*'}:{number}"
        attempt = 0
        while True:
            attempt += 1
            try:
                listener = await self._open_place(place)
            except (OSError, UnicodeError) as error:
                log.warning("peer_port_not_opened", port=port.name, address=shown, attempt=attempt, error=str(error))
                if attempt == self._attempts_max:
                    message = f"the {port.name} port {shown} cannot be opened: {error} (electionPortBindRetry)"
                    raise PeerPortError(message) from error
                await asyncio.sleep(self._retry_seconds)
            else:
                log.info("peer_port_open", port=port.name, address=shown)
                return listener

    async def _open_place(self, place: Place) -> Listening:
        host, number, port = place
        create, security = self._links.acceptor(port), self._links.dialer.security
        if security is not None:
            return await security.listen(port.name, create, host, number, BACKLOG)
        return await asyncio.get_running_loop().create_server(create, host, number, backlog=BACKLOG)

    def close(self) -> None:
        """Take no more links."""
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
