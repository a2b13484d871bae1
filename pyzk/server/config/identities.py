"""Checks of the settings of who is who, and the JAAS file that they name.

Source: docs/protocol/configuration.md section 7.
"""

from pathlib import Path

import attrs

from pyzk.errors import SaslError
from pyzk.sasl.jaas import LoginModule, parse_jaas
from pyzk.server.config.settings import Config
from pyzk.zab.entries import refused

_JAAS_KEY = "java.security.auth.login.config"
_SASL = "sasl"


def with_identities(config: Config, warnings: list[str]) -> Config:
    """The configuration with its JAAS file read. Raises ConfigError."""
    if config.jaas_file is not None:
        config = attrs.evolve(config, jaas=_read_jaas(config.jaas_file))
    _check_module(config)
    _check_required(config, warnings)
    return config


def required_schemes(config: Config) -> frozenset[str]:
    """By which schemes clients must authenticate; empty if they need not."""
    if config.require_client_sasl:
        return frozenset({_SASL})
    return config.enforce_auth_schemes if config.enforce_auth_enabled else frozenset()


def known_schemes(config: Config) -> frozenset[str]:
    """The schemes of which a client may have an identity."""
    return config.auth_providers | {"ip"} | ({"digest"} if config.digest_auth_enabled else set())


def server_module(config: Config) -> LoginModule | None:
    """The login module for clients; None where SASL is not set up."""
    return config.jaas.get(config.sasl_section)


def has_sasl(config: Config) -> bool:
    """Whether clients can authenticate by SASL."""
    return bool(config.sasl_users) or server_module(config) is not None


def _read_jaas(path: str) -> dict[str, LoginModule]:
    try:
        return parse_jaas(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name, bytes that are no UTF-8
        raise refused(_JAAS_KEY, path, f"the JAAS file {path} cannot be read", f"{error}") from error
    except SaslError as error:
        raise refused(_JAAS_KEY, path, f"the JAAS file {path} is not understood", f"{error}") from error


def _check_module(config: Config) -> None:
    module = server_module(config)
    if module is None or module.is_digest:
        return
    message = f"section {config.sasl_section} of the JAAS file has a login module that is not known"
    remedy = "write org.apache.zookeeper.server.auth.DigestLoginModule"
    raise refused(_JAAS_KEY, module.class_name, message, remedy)


def _check_required(config: Config, warnings: list[str]) -> None:
    required = required_schemes(config)
    if config.enforce_auth_enabled and not required:
        message = "zookeeper.enforce.auth.enabled is true zookeeper.enforce.auth.schemes must be  configured."
        raise refused("enforce.auth.enabled", "true", message, "write enforce.auth.schemes=sasl")
    for scheme in sorted(required - known_schemes(config)):
        name = "sessionRequireClientSASLAuth" if config.require_client_sasl else "enforce.auth.schemes"
        remedy = "add its authProvider.X, or take it out"
        raise refused(name, scheme, f"Authentication scheme {scheme} is not available.", remedy)
    if required == {_SASL} and not has_sasl(config):
        warnings.append(
            f"clients must authenticate by SASL, but none can: no JAAS file has a section {config.sasl_section} "
            f"({_JAAS_KEY}) and there is no pyzk.sasl.user.NAME"
        )
    elif has_sasl(config) and _SASL not in config.auth_providers:
        warnings.append(
            "SASL is set up, but ACLs cannot name its users: add "
            "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider"
        )
