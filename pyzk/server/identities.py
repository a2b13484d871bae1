"""Who clients can be: makes schemes, provers and SASL exchanges out of the configuration.

Source: docs/protocol/data-model.md section 6, docs/protocol/client-protocol.md section 8.
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

import structlog

from pyzk.errors import SaslError
from pyzk.sasl.digest_md5 import DigestServer
from pyzk.sasl.gssapi import KerberosServer
from pyzk.sasl.jaas import LoginModule
from pyzk.sasl.mechanism import ServerExchange
from pyzk.sasl.principals import Names, parse_rules
from pyzk.server.config import Config
from pyzk.server.config.identities import has_sasl, server_module
from pyzk.service.authentication import PROVERS, Prover, ensemble_prover
from pyzk.service.provider import ForeignScheme, foreign_prover
from pyzk.service.service import Service
from pyzk.tree.acl import SCHEMES, Scheme
from pyzk.tree.schemes import EnsembleScheme, SaslScheme
from pyzk.tree.x509 import X509Scheme
from pyzk.zab.entries import refused

if TYPE_CHECKING:
    from pyzk.client.aio_kerberos import Acceptor

log = structlog.get_logger()

NONCE_BYTES = 30
KRB5_CONF = "/etc/krb5.conf"
_SUPER = "super"
_DEFAULT_REALM = re.compile(r"^\s*default_realm\s*=\s*(\S+)", re.MULTILINE)


def set_up_identities(service: Service, config: Config) -> None:
    """Have a service know the schemes, provers and users of a configuration, from now on.

    Raises:
        ConfigError: Kerberos has no key for us, and nothing has changed.
    """
    new_exchange = exchanges(config)
    service.access.use(make_schemes(config))
    service.provers, service.new_exchange = make_provers(config), new_exchange


def make_schemes(config: Config) -> dict[bytes, Scheme]:
    """All schemes that are set up."""
    schemes: dict[bytes, Scheme] = dict(SCHEMES)
    if not config.digest_auth_enabled:
        del schemes[b"digest"]
    if "sasl" in config.auth_providers:
        schemes[b"sasl"] = SaslScheme(config.sasl_open_acl_id.encode() if config.sasl_open_acl_id else None)
    if config.has_x509:
        schemes[b"x509"] = X509Scheme()
    if "ensemble" in config.auth_providers:
        schemes[b"ensemble"] = EnsembleScheme()
    for name, provider in config.foreign_providers.items():
        schemes[name.encode()] = ForeignScheme(provider, _complain)
    return schemes


def make_provers(config: Config) -> dict[bytes, Prover]:
    """What makes identities of auth packets."""
    provers = dict(PROVERS)
    if "ensemble" in config.auth_providers:
        provers[b"ensemble"] = ensemble_prover(frozenset(name.encode() for name in config.ensemble_names))
    for name, provider in config.foreign_providers.items():
        provers[name.encode()] = foreign_prover(provider, _complain)
    return provers


def _complain(scheme: str, error: Exception) -> None:
    log.warning("auth_provider_failed", scheme=scheme, error=f"{type(error).__name__}: {error}")


def super_users(config: Config) -> frozenset[bytes]:
    """SASL names that may do anything."""
    names = [*config.more_super_users.values(), *([config.super_user] if config.super_user else [])]
    return frozenset(name.encode() for name in names)


def new_nonce() -> str:
    """A text that nobody can guess."""
    return base64.b64encode(secrets.token_bytes(NONCE_BYTES)).decode()


def exchanges(config: Config) -> Callable[[], ServerExchange] | None:
    """What begins a SASL exchange with a client; None where SASL is not set up."""
    if not has_sasl(config):
        return None
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
