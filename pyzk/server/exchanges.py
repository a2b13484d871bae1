"""SASL, where it is set up: what begins an exchange, of DIGEST-MD5 or Kerberos.

Source: docs/protocol/client-protocol.md section 8.
"""

import base64
import os
import re
import secrets
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from pyzk.errors import SaslError
from pyzk.sasl.digest_md5 import DigestServer
from pyzk.sasl.gssapi import KerberosServer
from pyzk.sasl.jaas import LoginModule
from pyzk.sasl.mechanism import ServerExchange
from pyzk.sasl.principals import Names, parse_rules
from pyzk.server.config import Config
from pyzk.server.config.identities import server_module
from pyzk.zab.entries import refused

if TYPE_CHECKING:
    from pyzk.client.aio_kerberos import Acceptor

NONCE_BYTES = 30
KRB5_CONF = "/etc/krb5.conf"
_SUPER = "super"
_DEFAULT_REALM = re.compile(r"^\s*default_realm\s*=\s*(\S+)", re.MULTILINE)


def new_nonce() -> str:
    """A text that nobody can guess."""
    return base64.b64encode(secrets.token_bytes(NONCE_BYTES)).decode()


def make_exchanges(config: Config) -> Callable[[], ServerExchange]:
    """What begins a SASL exchange with a client. Raises ConfigError."""
    module = server_module(config)
    if module is not None and module.is_kerberos:
        return _kerberos_exchanges(config, module)
    passwords = {**(module.users if module is not None else {}), **config.sasl_users}
    if config.sasl_super_password:
        passwords[_SUPER] = config.sasl_super_password
    names = _names(config, "")
    return lambda: DigestServer(passwords.get, new_nonce(), authorize=names.identity)


def _names(config: Config, default_realm: str) -> Names:
    return Names(
        parse_rules(config.auth_to_local), default_realm, config.kerberos_without_host, config.kerberos_without_realm
    )


def _kerberos_exchanges(config: Config, module: LoginModule) -> Callable[[], ServerExchange]:
    acceptor = kerberos_acceptor(config, module, config.sasl_section)
    names = _names(config, default_realm(os.environ.get("KRB5_CONFIG", KRB5_CONF)))
    return lambda: KerberosServer(acceptor.context(), names.identity)


def kerberos_acceptor(config: Config, module: LoginModule, section: str) -> "Acceptor":
    """What accepts tickets for the principal of a JAAS section.

    Raises:
        ConfigError: there is no key for the principal, or no library.
    """
    principal, keytab = module.options["principal"], module.options.get("keyTab")
    try:
        acceptor: Acceptor = kerberos_library(config, section).Acceptor(principal, keytab)
    except SaslError as error:
        place = f"section {section} of {config.jaas_file}: {error}"
        raise refused("keyTab", keytab, f"the keytab has no key for {principal}", place) from error
    return acceptor


def kerberos_library(config: Config, section: str) -> ModuleType:
    """The extra. Raises ConfigError if it is not there."""
    if config.krb5_conf is not None:
        os.environ["KRB5_CONFIG"] = config.krb5_conf
    try:
        return import_module("pyzk.client.aio_kerberos")
    except ImportError as error:
        place = f"section {section} of {config.jaas_file}"
        remedy = f"pip install 'pyzk-server[kerberos]' ({error})"
        raise refused("java.security.auth.login.config", place, "Kerberos needs an extra", remedy) from error


def default_realm(path: str) -> str:
    """The realm that a krb5.conf names; empty if it names none."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = _DEFAULT_REALM.search(text)
    return found[1] if found else ""
