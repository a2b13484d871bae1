"""TLS of the admin port, with the certificates of the links between servers, as in Apache.

Source: docs/protocol/configuration.md section 8.
"""

from pyzk.server.admin.statistics import Handshakes
from pyzk.server.config import Config
from pyzk.server.tls.contexts import Contexts
from pyzk.server.tls.listener import Create, Listener, TlsOptions

BACKLOG = 100


class AdminSecurity:
    """Opens the port, and counts who comes. Raises ConfigError if the files cannot be used."""

    def __init__(self, config: Config, handshakes: Handshakes) -> None:
        self._config = config
        self._handshakes = handshakes
        client_auth = "need" if config.admin_client_auth else "none"
        self.contexts = Contexts(config.quorum_tls.evolve(client_auth=client_auth), "ssl.quorum.")
        self.contexts.load()

    async def listen(self, create: Create, host: str, port: int) -> Listener:
        """Open the port. Raises OSError."""
        config = self._config
        options = TlsOptions(
            allows_plain=not config.admin_force_https,
            handshakes_max=config.admin_connections_max,
            handshake_timeout_ms=config.handshake_timeout_ms,
        )
        listener = Listener("admin", create, self.contexts, options, handshakes=self._handshakes)
        await listener.open(host, port, BACKLOG)
        return listener
