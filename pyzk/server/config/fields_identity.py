"""Settings of who is who: SASL and its JAAS files, names that are super, what clients must have proven."""

from collections.abc import Mapping

from pyzk.server.config.groups import Settings
from pyzk.server.config.kinds import BOOLEAN, MILLISECONDS, STRICT_BOOLEAN, TEXT, WORDS, Kind, family, setting


def _parse_auth_to_local(text: str) -> str:
    from pyzk.sasl.principals import parse_rules  # noqa: PLC0415 - few have rules

    parse_rules(text)
    return text


AUTH_TO_LOCAL = Kind("DEFAULT, or RULE:[1:$1@$0](.*@REALM)s/@.*// and its like", _parse_auth_to_local)


class AuthenticationSettings(Settings):
    """What clients must have proven."""

    require_client_sasl: bool = setting(
        "sessionRequireClientSASLAuth", BOOLEAN, False, "Clients must authenticate by SASL; others are closed."
    )
    enforce_auth_enabled: bool = setting(
        "enforce.auth.enabled", BOOLEAN, False, "Clients must authenticate by one of enforce.auth.schemes."
    )
    enforce_auth_schemes: frozenset[str] = setting(
        "enforce.auth.schemes", WORDS, frozenset(), "The schemes that will do: sasl, digest, x509, ip."
    )
    authentication_timeout_ms: int = setting(
        "pyzk.authenticationTimeoutMs",
        MILLISECONDS,
        30_000,
        "A connection that must authenticate and has not after this is closed; 0: it may take its time.",
        apache_default="no limit",
    )
    super_user: str | None = setting("superUser", TEXT, None, "SASL name that may do everything.")
    more_super_users: Mapping[str, str] = family("superUser.", TEXT, "One more: `superUser.admin=admin@REALM`.")
    admin_trusts_forwarded: bool = setting(
        "IPAuthenticationProvider.usexforwardedfor",
        BOOLEAN,
        False,
        "The admin server takes the address in X-Forwarded-For for the client's: only behind a proxy that writes it.",
    )
    ensemble_names: frozenset[str] = setting(
        "ensembleAuthName", WORDS, frozenset(), "Names of this ensemble that clients may give by scheme ensemble."
    )


class SaslSettings(Settings):
    """SASL: passwords for DIGEST-MD5, keytab for Kerberos."""

    jaas_file: str | None = setting(
        "java.security.auth.login.config", TEXT, None, "JAAS file with the sections of clients and servers."
    )
    sasl_section: str = setting("sasl.serverconfig", TEXT, "Server", "Its section for clients of this server.")
    sasl_users: Mapping[str, str] = family(
        "pyzk.sasl.user.",
        TEXT,
        "Password of one user of DIGEST-MD5, `pyzk.sasl.user.bob=secret`: no JAAS file is needed.",
        is_secret=True,
    )
    sasl_super_password: str | None = setting(
        "SASLAuthenticationProvider.superPassword", TEXT, None, "Password of the SASL user `super`.", is_secret=True
    )
    sasl_failed_clients_allowed: bool = setting(
        "allowSaslFailedClients", BOOLEAN, False, "A client whose SASL fails stays connected, without an identity."
    )
    sasl_open_acl_id: str | None = setting(
        "letAnySaslUserDoX", TEXT, None, "ACL entries of scheme sasl with this id let in every SASL user."
    )
    krb5_conf: str | None = setting(
        "java.security.krb5.conf", TEXT, None, "Kerberos' own configuration; else $KRB5_CONFIG, else /etc/krb5.conf."
    )
    kerberos_without_host: bool = setting(
        "kerberos.removeHostFromPrincipal", BOOLEAN, False, "`zk/host@REALM` becomes `zk@REALM`."
    )
    kerberos_without_realm: bool = setting(
        "kerberos.removeRealmFromPrincipal", BOOLEAN, False, "`zk/host@REALM` becomes `zk/host`."
    )
    auth_to_local: str = setting(
        "security.auth_to_local", AUTH_TO_LOCAL, "DEFAULT", "Rules that make short names of Kerberos principals."
    )


class QuorumAuthenticationSettings(Settings):
    """How servers prove to each other who they are."""

    quorum_sasl_enabled: bool = setting(
        "quorum.auth.enableSasl", STRICT_BOOLEAN, False, "Servers can authenticate themselves to each other by SASL."
    )
    quorum_learner_sasl: bool = setting(
        "quorum.auth.learnerRequireSasl",
        STRICT_BOOLEAN,
        False,
        "This server authenticates itself where it dials; switch it on when all servers have enableSasl.",
    )
    quorum_server_sasl: bool = setting(
        "quorum.auth.serverRequireSasl",
        STRICT_BOOLEAN,
        False,
        "Servers that do not are not let in; switch it on when all have learnerRequireSasl.",
    )
    quorum_learner_section: str = setting(
        "quorum.auth.learner.saslLoginContext", TEXT, "QuorumLearner", "JAAS section for dialing."
    )
    quorum_server_section: str = setting(
        "quorum.auth.server.saslLoginContext", TEXT, "QuorumServer", "JAAS section for those who dial."
    )
    quorum_sasl_user: str | None = setting(
        "pyzk.quorum.sasl.user", TEXT, None, "User of DIGEST-MD5 between servers, in place of both sections."
    )
    quorum_sasl_password: str | None = setting(
        "pyzk.quorum.sasl.password", TEXT, None, "The password of that user, the same on all servers.", is_secret=True
    )
    quorum_kerberos_principal: str = setting(
        "quorum.auth.kerberos.servicePrincipal",
        TEXT,
        "zkquorum/localhost",
        "Of the servers that are dialed, `service/host`; the host `_HOST` is that of the server's line.",
    )
    fips_mode: bool = setting(
        "fips-mode",
        BOOLEAN,
        False,
        "true: DIGEST-MD5 between servers is refused.",
        apache_default="true",
    )
