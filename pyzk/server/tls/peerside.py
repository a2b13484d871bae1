"""TLS between servers: what is dialed, what is let in, and whose certificates will do.

Source: docs/protocol/configuration.md section 7; switching an ensemble over: docs/security.md.
"""

import asyncio
import ssl

from pyzk.server.admin.statistics import Handshakes
from pyzk.server.config import Config
from pyzk.server.tls.checks import Hosts, objection, peer_check
from pyzk.server.tls.contexts import Contexts
from pyzk.server.tls.listener import Create, Listener, TlsOptions, certificate_of, explain


class PeerSecurity:
    """What all links of one server share. Raises ConfigError if the files cannot be used.

    Args:
        config: how servers talk to each other.
        hosts: the names and addresses of the server list, as it is now.
    """

    def __init__(self, config: Config, hosts: Hosts) -> None:
        self._config = config
        self._hosts = hosts
        self.handshakes = Handshakes()
        self.contexts = Contexts(config.quorum_tls, "ssl.quorum.", dials=True)
        self.contexts.load()

    @property
    def dialing(self) -> ssl.SSLContext | None:
        """For servers that are dialed; None while an ensemble is being switched over and still dials without TLS."""
        return self.contexts.dialing if self._config.ssl_quorum else None

    def objection_to(self, transport: asyncio.BaseTransport, host: str) -> str:
        """Why a server that was dialed is not who it should be; empty if it is, or came without TLS."""
        if not self._config.quorum_tls.hostname_verification:
            return ""
        hosts = dict.fromkeys([host, str(transport.get_extra_info("peername")[0])])
        return objection(certificate_of(transport), hosts, "what was dialed")

    @staticmethod
    def explain(error: OSError) -> str:
        """Why a handshake has failed."""
        return explain(error)

    async def listen(self, name: str, create: Create, host: str | None, port: int, backlog: int) -> Listener:
        """Open a port for other servers. Raises OSError."""
        config = self._config
        options = TlsOptions(
            allows_plain=config.quorum_port_unification,
            handshakes_max=config.handshakes_max,
            handshake_timeout_ms=config.handshake_timeout_ms,
        )
        check = peer_check(config.quorum_tls, self._hosts)
        listener = Listener(name, create, self.contexts, options, check, self.handshakes)
        await listener.open(host, port, backlog)
        return listener
