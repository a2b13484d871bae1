"""Who clients can be: makes schemes, provers and SASL exchanges out of the configuration.

Source: docs/protocol/data-model.md section 6, docs/protocol/client-protocol.md section 8.
"""

import base64
import secrets
from collections.abc import Callable

import structlog

from pyzk.sasl.digest_md5 import DigestServer
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

log = structlog.get_logger()

NONCE_BYTES = 30
_SUPER = "super"


def set_up_identities(service: Service, config: Config) -> None:
    """Have a service know the schemes, provers and users of a configuration, from now on."""
    service.access.use(make_schemes(config))
    service.provers, service.new_exchange = make_provers(config), exchanges(config)


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
    passwords = {**(module.users if module is not None else {}), **config.sasl_users}
    if config.sasl_super_password:
        passwords[_SUPER] = config.sasl_super_password
    names = Names(
        parse_rules(config.auth_to_local),
        without_host=config.kerberos_without_host,
        without_realm=config.kerberos_without_realm,
    )
    return lambda: DigestServer(passwords.get, new_nonce(), authorize=names.identity)
