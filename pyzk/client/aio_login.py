"""How a client authenticates itself by SASL: a `Login` begins the exchange of each connection.

Client("127.0.0.1:2181", login=digest_login("bob", "secret"))
"""

import base64
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pyzk.errors import SaslError
from pyzk.sasl.digest_md5 import DigestClient
from pyzk.sasl.gssapi import KerberosClient
from pyzk.sasl.jaas import LoginModule, parse_jaas
from pyzk.sasl.mechanism import ClientExchange

Login = Callable[[str], ClientExchange]
"""Begins the exchange with the server on a host."""


class KerberosLogin:
    """Asks the KDC before a connection is opened, beside the event loop, and uses the ticket when it is."""

    def __init__(self, begin: Login) -> None:
        self._begin = begin
        self._ready: dict[str, ClientExchange] = {}

    def prepare(self, host: str) -> None:
        """Get the ticket for the server on a host; waits for the KDC."""
        exchange = self._begin(host)
        exchange.prepare()
        self._ready[host] = exchange

    def __call__(self, host: str) -> ClientExchange:
        """Begin the exchange with the server on a host."""
        return self._ready.pop(host, None) or self._begin(host)


CLIENT_SECTION = "Client"
SERVICE = "zookeeper"
"""The first part of the principals of servers."""
NONCE_BYTES = 30


def digest_login(user: str, password: str) -> Login:
    """Prove to know a password, by DIGEST-MD5."""
    return lambda _: DigestClient(user, password, base64.b64encode(secrets.token_bytes(NONCE_BYTES)).decode())


def kerberos_login(service: str = SERVICE, *, keytab: str | None = None, principal: str | None = None) -> KerberosLogin:
    """Show a ticket of Kerberos: of a keytab's principal, or of the user that runs this (kinit).

    Raises:
        SaslError: the extra `kerberos` is not installed.
    """
    try:
        from pyzk.client.aio_kerberos import initiate  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SaslError(f"Kerberos needs an extra: pip install 'pyzk-server[kerberos]' ({error})") from error
    return KerberosLogin(lambda host: KerberosClient(partial(initiate, service, host, keytab, principal)))


def jaas_login(path: str, section: str = CLIENT_SECTION) -> Login:
    """The login of a section of a JAAS file, the same that Java's client reads. Raises SaslError."""
    try:
        module = parse_jaas(Path(path).read_text(encoding="utf-8")).get(section)
    except (OSError, ValueError) as error:
        raise SaslError(f"the JAAS file {path} cannot be read: {error}") from error
    except SaslError as error:
        raise SaslError(f"the JAAS file {path} is not understood: {error}") from error
    if module is None:
        raise SaslError(f"the JAAS file {path} has no section {section}")
    return _module_login(module, f"{path}, section {section}")


def _module_login(module: LoginModule, place: str) -> Login:
    options = module.options
    user, password = options.get("username"), options.get("password")
    if module.is_kerberos:
        return kerberos_login(keytab=options.get("keyTab"), principal=options.get("principal"))
    if not module.is_digest or user is None or password is None:
        raise SaslError(f"{place}: write a DigestLoginModule with username and password, or a Krb5LoginModule")
    return digest_login(user, password)
