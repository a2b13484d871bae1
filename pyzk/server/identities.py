"""Who clients can be: makes schemes and provers out of the configuration; SASL is in `exchanges`.

Source: docs/protocol/data-model.md section 6, docs/protocol/client-protocol.md section 8.
"""

from collections.abc import Callable

import structlog

from pyzk.sasl.mechanism import ServerExchange
from pyzk.server.config import Config
from pyzk.server.config.identities import has_sasl
from pyzk.service.authentication import PROVERS, Prover, ensemble_prover
from pyzk.service.provider import ForeignScheme, foreign_prover
from pyzk.service.service import Service
from pyzk.tree.acl import SCHEMES, Scheme

log = structlog.get_logger()


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
        from pyzk.tree.schemes import SaslScheme  # noqa: PLC0415 - few have it

        schemes[b"sasl"] = SaslScheme(config.sasl_open_acl_id.encode() if config.sasl_open_acl_id else None)
    if config.has_x509:
        from pyzk.tree.x509 import X509Scheme  # noqa: PLC0415 - few have it

        schemes[b"x509"] = X509Scheme()
    if "ensemble" in config.auth_providers:
        from pyzk.tree.schemes import EnsembleScheme  # noqa: PLC0415 - few have it

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


def exchanges(config: Config) -> Callable[[], ServerExchange] | None:
    """What begins a SASL exchange with a client; None where SASL is not set up."""
    if not has_sasl(config):
        return None
    from pyzk.server.exchanges import make_exchanges  # noqa: PLC0415 - few have SASL

    return make_exchanges(config)
