"""Settings of TLS. The same suffixes stand behind `ssl.` for clients and behind `ssl.quorum.` for servers."""

from pyzk.server.config.groups import Settings
from pyzk.server.config.kinds import (
    BOOLEAN,
    COUNT,
    MILLISECONDS,
    PORT,
    STRICT_BOOLEAN,
    TEXT,
    Kind,
    Status,
    choice,
    integer,
    setting,
)

PROTOCOLS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
CLIENT_AUTH = ("none", "want", "need")
STORE_TYPES = ("", "jks", "pem", "pkcs12", "bcfks")


def _parse_list(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _parse_protocols(text: str) -> tuple[str, ...]:
    names = _parse_list(text)
    if not names or not set(names) <= set(PROTOCOLS):
        raise ValueError(text)
    return names


_LIST = Kind("a list with commas between the names", _parse_list)
_PROTOCOL_LIST = Kind(f"some of {', '.join(PROTOCOLS)}", _parse_protocols, complaint="{name}={text} is no protocol")
_STORE_TYPE = choice(*STORE_TYPES, complaint="{name}={text} is no type of key stores")


class TlsSettings(Settings):
    """Certificates and their checks: of the client ports, or between servers. Names are without their prefix."""

    key_store_location: str | None = setting(
        "keyStore.location", TEXT, None, "Key and certificates of this server: PEM, PKCS#12 or JKS."
    )
    key_store_password: str = setting("keyStore.password", TEXT, "", "Its password.", is_secret=True)
    key_store_password_path: str | None = setting(
        "keyStore.passwordPath", TEXT, None, "File with its password; it wins over the password itself."
    )
    key_store_type: str = setting(
        "keyStore.type", _STORE_TYPE, "", "Type of the key store; what is in the file decides. BCFKS is not read."
    )
    trust_store_location: str | None = setting(
        "trustStore.location", TEXT, None, "Who is trusted: PEM, PKCS#12 or JKS. Unset: whom the system trusts."
    )
    trust_store_password: str = setting("trustStore.password", TEXT, "", "Its password.", is_secret=True)
    trust_store_password_path: str | None = setting(
        "trustStore.passwordPath", TEXT, None, "File with its password; it wins over the password itself."
    )
    trust_store_type: str = setting(
        "trustStore.type", _STORE_TYPE, "", "Type of the trust store; what is in the file decides. BCFKS is not read."
    )
    protocol: str = setting(
        "protocol",
        choice(*map(str.lower, PROTOCOLS), "tls", complaint="{name}={text} is no protocol"),
        "tlsv1.3",
        "The newest version that is spoken; TLSv1.2 is spoken beside TLSv1.3.",
    )
    enabled_protocols: tuple[str, ...] = setting(
        "enabledProtocols", _PROTOCOL_LIST, (), "Versions that are spoken, from the lowest to the highest of the list."
    )
    cipher_suites: tuple[str, ...] = setting(
        "ciphersuites",
        _LIST,
        (),
        "Cipher suites by IANA's names; those of TLS 1.3 are always there. Absent: forward secrecy, no CBC with SHA-1.",
        also=("cipherSuites",),
    )
    client_auth: str = setting(
        "clientAuth",
        choice(*CLIENT_AUTH, complaint="{name}={text} is none of none, want, need"),
        "need",
        "Whether those who connect show a certificate: none, want, need.",
    )
    hostname_verification: bool = setting(
        "hostnameVerification",
        BOOLEAN,
        True,
        "The certificate of a server that is dialed must name the host that was dialed, or its address. Clients have a "
        "setting of their own.",
    )
    client_hostname_verification: bool | None = setting(
        "clientHostnameVerification",
        BOOLEAN,
        None,
        "The certificate of those who connect must name where they are. Absent: false for clients, true for servers.",
    )
    allow_reverse_dns_lookup: bool | None = setting(
        "allowReverseDnsLookup",
        BOOLEAN,
        None,
        "Where those who connect are: their address, or the name that DNS gives it. Absent: servers must have the name "
        "of one in the server list, clients that of their address.",
    )
    crl: bool = setting(
        "crl", BOOLEAN, False, "Certificates are looked up in lists of revoked ones; `crlFile` must be set too."
    )
    crl_file: str | None = setting("crlFile", TEXT, None, "PEM file with those lists, one of each CA.")
    ocsp: bool = setting(
        "ocsp", BOOLEAN, False, "Certificates are asked for at their CA by OCSP.", status=Status.REFUSED
    )
    handshake_detection_timeout_ms: int = setting(
        "handshakeDetectionTimeoutMillis",
        integer(1),
        5000,
        "How long the first byte may take on a port that has TLS.",
    )
    context_supplier_class: str | None = setting(
        "context.supplier.class", TEXT, None, "A Java class that makes contexts.", status=Status.REFUSED
    )


class SecurePortSettings(Settings):
    """Which ports speak TLS."""

    secure_client_port: int | None = setting(
        "secureClientPort", PORT, None, "Port for clients with TLS; 0 lets the system pick one. Unset: none."
    )
    secure_client_port_address: str | None = setting(
        "secureClientPortAddress", TEXT, None, "Address that port listens on; all addresses when absent."
    )
    client_port_unification: bool = setting(
        "client.portUnification", BOOLEAN, False, "clientPort takes TLS beside plain connections."
    )
    client_certificate_reload: bool = setting(
        "client.certReload",
        BOOLEAN,
        True,
        "Changed files of the client ports are read again; SIGHUP does that in any case.",
        apache_default="false",
    )
    ssl_quorum: bool = setting("sslQuorum", STRICT_BOOLEAN, False, "Servers talk to each other by TLS.")
    quorum_port_unification: bool = setting(
        "portUnification",
        STRICT_BOOLEAN,
        False,
        "The ports for servers take plain connections and TLS, to switch an ensemble over.",
    )
    quorum_certificate_reload: bool = setting(
        "sslQuorumReloadCertFiles",
        STRICT_BOOLEAN,
        True,
        "Changed files between servers are read again; SIGHUP does that in any case.",
        apache_default="false",
    )
    x509_super_user: str | None = setting(
        "X509AuthenticationProvider.superUser",
        TEXT,
        None,
        "Subject of the client certificate that may do everything, as `CN=admin,O=Example`.",
    )
    handshakes_max: int = setting(
        "netty.server.outstandingHandshake.limit",
        COUNT,
        250,
        "TLS handshakes under way at a time on each port; 0: no limit.",
        apache_default="no limit",
        also=("outstandingHandshake.limit",),
    )
    handshake_timeout_ms: int = setting(
        "pyzk.tlsHandshakeTimeoutMs", MILLISECONDS, 10_000, "A TLS handshake that takes longer is given up."
    )
    admin_port_unification: bool = setting(
        "admin.portUnification", BOOLEAN, False, "The admin port takes TLS too, with the certificates of `ssl.quorum.`."
    )
    admin_force_https: bool = setting(
        "admin.forceHttps", BOOLEAN, False, "The admin port takes TLS only, with the certificates of `ssl.quorum.`."
    )
    admin_client_auth: bool = setting(
        "admin.needClientAuth", BOOLEAN, False, "Who speaks TLS to the admin port must show a certificate."
    )
