"""How this server and others prove to each other who they are, as the configuration has it (quorum.auth.*)."""

from pyzk.sasl.digest_md5 import QUORUM_PROTOCOL, QUORUM_SERVER_NAME, DigestClient, DigestServer
from pyzk.sasl.mechanism import ClientExchange, ServerExchange
from pyzk.server.config import Config
from pyzk.server.config.identities import quorum_login, quorum_users
from pyzk.server.identities import new_nonce
from pyzk.zab.admission import Admission, Applicant, Doorkeeper
from pyzk.zab.events import Port


class SaslAdmissions:
    """By SASL.

    Args:
        timeout_seconds: how long an exchange may take.
    """

    def __init__(self, config: Config, timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        self._login = quorum_login(config) if config.quorum_learner_sasl else None
        self._users = quorum_users(config)
        self._required = config.quorum_server_sasl

    def to(self, host: str) -> Admission | None:  # noqa: ARG002 - Kerberos asks for a ticket for the host
        """Our side of a link that we dial; None if we need not prove anything."""
        return None if self._login is None else Applicant(self._client(*self._login))

    def of(self, port: Port) -> Admission:
        """Our side of a link that was accepted on a port."""
        return Doorkeeper(self._server, required=self._required, hello_first=port == Port.ELECTION)

    def _client(self, user: str, password: str) -> ClientExchange:
        return DigestClient(user, password, new_nonce(), protocol=QUORUM_PROTOCOL, server_name=QUORUM_SERVER_NAME)

    def _server(self) -> ServerExchange:
        return DigestServer(self._users.get, new_nonce(), protocol=QUORUM_PROTOCOL, server_name=QUORUM_SERVER_NAME)
