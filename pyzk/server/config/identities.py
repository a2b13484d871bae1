"""Checks of the settings of who is who, and the JAAS file that they name.

Source: docs/protocol/configuration.md section 7.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyzk.errors import SaslError
from pyzk.server.config.settings import Config
from pyzk.zab.entries import refused

if TYPE_CHECKING:
    from pyzk.sasl.jaas import LoginModule

_JAAS_KEY = "java.security.auth.login.config"
_SASL = "sasl"
KNOWN_MODULES = (
    "write org.apache.zookeeper.server.auth.DigestLoginModule, or a Krb5LoginModule with principal and keyTab"
)


def with_identities(config: Config, warnings: list[str]) -> Config:
    """The configuration with its JAAS file read. Raises ConfigError."""
    if config.jaas_file is not None:
        config = config.evolve(jaas=_read_jaas(config.jaas_file))
    _check_module(config)
    _check_required(config, warnings)
    _check_quorum(config)
    return config


def required_schemes(config: Config) -> frozenset[str]:
    """By which schemes clients must authenticate; empty if they need not."""
    if config.require_client_sasl:
        return frozenset({_SASL})
    return config.enforce_auth_schemes if config.enforce_auth_enabled else frozenset()


def known_schemes(config: Config) -> frozenset[str]:
    """The schemes of which a client may have an identity."""
    built_in = {"ip", *(["digest"] if config.digest_auth_enabled else []), *(["x509"] if config.has_x509 else [])}
    return config.auth_providers | config.foreign_providers.keys() | built_in


def server_module(config: Config) -> LoginModule | None:
    """The login module for clients; None where SASL is not set up."""
    return config.jaas.get(config.sasl_section)


def has_sasl(config: Config) -> bool:
    """Whether clients can authenticate by SASL."""
    return bool(config.sasl_users) or server_module(config) is not None


def quorum_login(config: Config) -> tuple[str, str] | None:
    """User and password with which this server authenticates itself to others; None where it cannot."""
    if config.quorum_sasl_user is not None and config.quorum_sasl_password is not None:
        return config.quorum_sasl_user, config.quorum_sasl_password
    module = config.jaas.get(config.quorum_learner_section)
    options = module.options if module is not None and module.is_digest else {}
    return (options["username"], options["password"]) if {"username", "password"} <= options.keys() else None


def quorum_users(config: Config) -> dict[str, str]:
    """Passwords of the users that other servers may be."""
    if config.quorum_sasl_user is not None and config.quorum_sasl_password is not None:
        return {config.quorum_sasl_user: config.quorum_sasl_password}
    module = config.jaas.get(config.quorum_server_section)
    return module.users if module is not None and module.is_digest else {}


def quorum_kerberos(config: Config, section: str) -> LoginModule | None:
    """The login module of a section between servers if that is Kerberos'."""
    module = config.jaas.get(section) if config.quorum_sasl_user is None else None
    return module if module is not None and module.is_kerberos and module.options.get("principal") else None


def _check_quorum(config: Config) -> None:
    """Messages: docs/protocol/configuration.md section 2."""
    learner, server = "quorum.auth.learnerRequireSasl", "quorum.auth.serverRequireSasl"
    steps = (
        ("quorum.auth.enableSasl", config.quorum_sasl_enabled, learner, config.quorum_learner_sasl),
        ("quorum.auth.enableSasl", config.quorum_sasl_enabled, server, config.quorum_server_sasl),
        (learner, config.quorum_learner_sasl, server, config.quorum_server_sasl),
    )
    for needed, has_needed, wanted, is_wanted in steps:
        if is_wanted and not has_needed:
            raise refused(wanted, "true", f"{needed} is disabled, so cannot enable {wanted}", f"write {needed}=true")
    if not config.quorum_sasl_enabled:
        return
    sections = (config.quorum_server_section, config.quorum_learner_section)
    if config.fips_mode and not all(quorum_kerberos(config, section) for section in sections):
        message = "DIGEST-MD5 between servers is not allowed in FIPS mode"
        raise refused("fips-mode", "true", message, "write fips-mode=false, or quorum.auth.enableSasl=false")
    for section, found in zip(sections, (quorum_users(config), quorum_login(config)), strict=True):
        module = config.jaas.get(section)
        if found or quorum_kerberos(config, section) is not None:
            continue
        if module is not None and not module.is_digest:
            message = f"section {section} of the JAAS file has a login module that is not known"
            raise refused(_JAAS_KEY, module.class_name, message, KNOWN_MODULES)
        message = (
            "SASL-authentication failed because the specified JAAS configuration section "
            f"'{section}' could not be found."
        )
        remedy = f"write that section with a DigestLoginModule to the file of {_JAAS_KEY}, or set pyzk.quorum.sasl.*"
        raise refused("quorum.auth.enableSasl", "true", message, remedy)


def _read_jaas(path: str) -> dict[str, LoginModule]:
    from pyzk.sasl.jaas import parse_jaas  # noqa: PLC0415 - few have SASL

    try:
        return parse_jaas(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name, bytes that are no UTF-8
        raise refused(_JAAS_KEY, path, f"the JAAS file {path} cannot be read", f"{error}") from error
    except SaslError as error:
        raise refused(_JAAS_KEY, path, f"the JAAS file {path} is not understood", f"{error}") from error


def _check_module(config: Config) -> None:
    module = server_module(config)
    if module is None or module.is_digest or (module.is_kerberos and module.options.get("principal")):
        return
    message = f"section {config.sasl_section} of the JAAS file has a login module that is not known"
    raise refused(_JAAS_KEY, module.class_name, message, KNOWN_MODULES)


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
