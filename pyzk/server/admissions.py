"""How this server and others prove to each other who they are, as the configuration has it (quorum.auth.*)."""

from collections.abc import Callable, Collection
from functools import partial

from pyzk.sasl.digest_md5 import QUORUM_PROTOCOL, QUORUM_SERVER_NAME, DigestClient, DigestServer
from pyzk.sasl.gssapi import KerberosClient, KerberosServer
from pyzk.sasl.jaas import LoginModule
from pyzk.sasl.mechanism import ClientExchange, ServerExchange
from pyzk.sasl.principals import member_of
from pyzk.server.config import Config
from pyzk.server.config.identities import quorum_kerberos, quorum_login, quorum_users
from pyzk.server.exchanges import kerberos_acceptor, kerberos_library, new_nonce
from pyzk.zab.admission import Admission, Applicant, Doorkeeper
from pyzk.zab.events import Port

HOST = "_HOST"
"""Stands in the service principal for the host of whoever is dialed."""


class SaslAdmissions:
    """By SASL.

    Args:
        timeout_seconds: how long an exchange may take.
        hosts: of all servers, as their lines have them: who shows a ticket must be of one of them.

    Raises:
        ConfigError: Kerberos has no key for us, or no library.
    """

    def __init__(self, config: Config, timeout_seconds: float, hosts: Callable[[], Collection[str]]) -> None:
        self.timeout_seconds = timeout_seconds
        self._required = config.quorum_server_sasl
        ticket = quorum_kerberos(config, config.quorum_learner_section)
        self.takes_time = ticket is not None and config.quorum_learner_sasl
        self._new_client: Callable[[str], ClientExchange] | None = None
        if config.quorum_learner_sasl:
            self._new_client = _digest_client(config) if ticket is None else _kerberos_client(config, ticket)
        key = quorum_kerberos(config, config.quorum_server_section)
        self._new_server = _digest_server(config) if key is None else _kerberos_server(config, key, hosts)

    def to(self, host: str) -> Admission | None:
        """Our side of a link that we dial; None if we need not prove anything."""
        return None if self._new_client is None else Applicant(self._new_client(host))

    def of(self, port: Port) -> Admission:
        """Our side of a link that was accepted on a port."""
        return Doorkeeper(self._new_server, required=self._required, hello_first=port == Port.ELECTION)


def _digest_client(config: Config) -> Callable[[str], ClientExchange]:
    login = quorum_login(config)
    assert login is not None, "the configuration was checked"
    user, password = login
    return lambda _: DigestClient(user, password, new_nonce(), protocol=QUORUM_PROTOCOL, server_name=QUORUM_SERVER_NAME)


def _digest_server(config: Config) -> Callable[[], ServerExchange]:
    users = quorum_users(config)
    return lambda: DigestServer(users.get, new_nonce(), protocol=QUORUM_PROTOCOL, server_name=QUORUM_SERVER_NAME)


def _kerberos_client(config: Config, module: LoginModule) -> Callable[[str], ClientExchange]:
    initiate = kerberos_library(config, config.quorum_learner_section).initiate
    service, _, rest = config.quorum_kerberos_principal.partition("/")
    instance = rest.partition("@")[0]
    principal, keytab = module.options["principal"], module.options.get("keyTab")

    def begin(host: str) -> ClientExchange:
        target = host.lower() if instance == HOST else instance
        return KerberosClient(partial(initiate, service, target, keytab, principal))

    return begin


def _kerberos_server(
    config: Config, module: LoginModule, hosts: Callable[[], Collection[str]]
) -> Callable[[], ServerExchange]:
    acceptor = kerberos_acceptor(config, module, config.quorum_server_section)
    return lambda: KerberosServer(acceptor.context(), lambda principal: member_of(hosts(), principal))
