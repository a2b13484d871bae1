"""The ports of a server for clients: the plain one, and the one with TLS. They share limits and numbers."""

from __future__ import annotations

import asyncio
import os
import socket
from itertools import count
from typing import TYPE_CHECKING

import structlog

from pyzk import is_compiled
from pyzk.server.clients import ClientConnection, ClientLimits, Identify, Open, Opened, Words, listen

if TYPE_CHECKING:
    from pyzk.server.admin.statistics import Statistics
    from pyzk.server.config import Config
    from pyzk.server.driver import Driver
    from pyzk.server.tls.clientside import ClientSecurity

log = structlog.get_logger()

ACCEPTED_PER_TURN = 8
"""uvloop takes one connection a turn from a listening socket, so it gets the socket under several names: those who
connect at the same time begin in the same turn, and their sessions share a sync of the log."""


class ClientPorts:
    """Opens and closes them.

    Attributes:
        port, secure_port: those that are open, 0 for one that is not.
        security: certificates; None without TLS.
        limits: who may connect.
    """

    def __init__(self, config: Config, driver: Driver, words: Words, statistics: Statistics) -> None:
        self._config = config
        self._driver = driver
        self._words = words
        self._statistics = statistics
        self.limits = ClientLimits(0, 0, 0, statistics)
        self.limits.set(config)
        self._next_id = count(1).__next__
        self._plain: Opened | None = None
        self._secure: Opened | None = None
        self.security: ClientSecurity | None = None
        self.port = self.secure_port = 0

    async def open(self) -> None:
        """Open what is configured. Raises OSError or ConfigError, with settings and remedy."""
        config = self._config
        if config.has_client_tls:
            self.security = await asyncio.to_thread(self._load_security)
        if config.client_port is not None:
            await self.open_plain(config.client_port_address, config.client_port)
        if config.secure_client_port is not None:
            await self._open_secure(config.secure_client_port_address, config.secure_client_port)

    def _load_security(self) -> ClientSecurity:
        # Who has no TLS does not wait for what reads certificates.
        from pyzk.server.tls.clientside import ClientSecurity  # noqa: PLC0415

        return ClientSecurity(self._config, self._statistics.handshakes)

    async def open_plain(self, host: str | None, port: int) -> None:
        """Open the plain port, or move it."""
        if self._plain is not None:
            self._plain.close()
        opener: Open = self._open_without_tls
        if self.security is not None and self._config.client_port_unification:
            opener = self.security.opener("client", self._create_secure, allows_plain=True)
        self._plain = await listen(opener, "clientPort", host, port, self._config.listen_backlog)
        self.port = self._plain.port
        log.info("serving", port=self.port, address=host or "*", compiled=is_compiled())

    async def _open_secure(self, host: str | None, port: int) -> None:
        assert self.security is not None, "loaded before"
        opener = self.security.opener("secure client", self._create_secure, allows_plain=False)
        self._secure = await listen(opener, "secureClientPort", host, port, self._config.listen_backlog)
        self.secure_port = self._secure.port
        log.info("serving", port=self.secure_port, address=host or "*", tls=True)

    async def _open_without_tls(self, host: str | None, port: int, backlog: int) -> Opened:
        create_server = asyncio.get_running_loop().create_server
        first = await create_server(self._create, host, port, backlog=backlog)
        listeners = [first]
        for listening in first.sockets:
            for _ in range(ACCEPTED_PER_TURN - 1):
                again = socket.socket(fileno=os.dup(listening.fileno()))
                listeners.append(await create_server(self._create, sock=again, backlog=backlog))

        def close() -> None:
            for listener in listeners:
                listener.close()

        return Opened(first.sockets[0].getsockname()[1], close)

    def _create(self) -> ClientConnection:
        return self._make(None)

    def _create_secure(self) -> ClientConnection:
        assert self.security is not None, "loaded before the port was opened"
        return self._make(self.security.identify)

    def _make(self, identify: Identify | None) -> ClientConnection:
        return ClientConnection(self._driver, self.limits, self._words, self._next_id, identify)

    def close(self) -> None:
        """Take no more connections."""
        for listener in (self._plain, self._secure):
            if listener is not None:
                listener.close()
