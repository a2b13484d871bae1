"""TLS for clients: their ports, and who they are by their certificates."""

import asyncio

from pyzk.server.admin.statistics import Handshakes
from pyzk.server.clients import Open, Opened
from pyzk.server.config import Config
from pyzk.server.tls import names
from pyzk.server.tls.checks import client_check
from pyzk.server.tls.contexts import Contexts
from pyzk.server.tls.listener import Create, Listener, TlsOptions, certificate_of
from pyzk.tree.acl import Identity


class ClientSecurity:
    """What the ports for clients share. Raises ConfigError if the files cannot be used."""

    def __init__(self, config: Config, handshakes: Handshakes) -> None:
        self._config = config
        self._handshakes = handshakes
        self.contexts = Contexts(config.client_tls, "ssl.")
        self.contexts.load()

    def identify(self, transport: asyncio.BaseTransport) -> tuple[Identity, ...]:
        """Who a client is by its certificate."""
        return names.identities(certificate_of(transport), self._config.x509_super_user)

    def opener(self, name: str, create: Create, *, allows_plain: bool) -> Open:
        """Opens one of the ports."""
        config = self._config
        options = TlsOptions(
            allows_plain=allows_plain,
            handshakes_max=config.handshakes_max,
            per_address_max=config.max_client_connections_per_address,
            handshake_timeout_ms=config.handshake_timeout_ms,
        )

        async def open_port(host: str | None, port: int, backlog: int) -> Opened:
            check = client_check(config.client_tls)
            listener = Listener(name, create, self.contexts, options, check, self._handshakes)
            await listener.open(host, port, backlog)
            return Opened(listener.sockets[0].getsockname()[1], listener.close)

        return open_port
