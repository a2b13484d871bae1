"""Cipher suites and protocol versions: the names in zoo.cfg are Java's and IANA's, OpenSSL has its own."""

import ssl
from collections.abc import Iterable

from pyzk.server.config.fields_security import TlsSettings

VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
DEFAULT_VERSIONS = ("TLSv1.2", "TLSv1.3")
LATER_SUITES = frozenset(
    [
        "TLS_AES_256_GCM_SHA384",
        "TLS_AES_128_GCM_SHA256",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_CCM_SHA256",
        "TLS_AES_128_CCM_8_SHA256",
    ]
)
"""Those of TLS 1.3, which OpenSSL has on always: none of them is weak."""
DEFAULT = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES+SHA256:ECDHE+AES+SHA384:!aNULL"
"""For TLS 1.2 where nothing is set: forward secrecy only, like Apache's list."""


def versions_of(settings: TlsSettings) -> tuple[str, ...]:
    """The versions that are spoken."""
    if settings.enabled_protocols:
        return settings.enabled_protocols
    return DEFAULT_VERSIONS if settings.protocol in {"tls", "tlsv1.3"} else (f"TLS{settings.protocol[3:]}",)


def openssl_name(suite: str) -> str:
    """OpenSSL's for `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` is `ECDHE-RSA-AES128-GCM-SHA256`; it may not have it."""
    exchange, _, cipher = suite.removeprefix("TLS_").removeprefix("SSL_").partition("_WITH_")
    for width in ("128", "256"):
        cipher = cipher.replace(f"AES_{width}", f"AES{width}").replace(f"CAMELLIA_{width}", f"CAMELLIA{width}")
    cipher = cipher.removesuffix("_SHA256") if "POLY1305" in cipher else cipher
    # A block mode is the rule, and 3DES is one.
    cipher = cipher.replace("3DES_EDE_CBC", "DES_CBC3").replace("_CBC_", "_").replace("CCM_8", "CCM8")
    name = cipher if exchange == "RSA" else f"{exchange}_{cipher}"
    return name.replace("_", "-")


def choose(context: ssl.SSLContext, suites: Iterable[str]) -> list[str]:
    """Allow these suites and no others below TLS 1.3; returns those that OpenSSL does not know.

    Raises ssl.SSLError if none is left.
    """
    earlier = [suite for suite in suites if suite not in LATER_SUITES]
    if not earlier:
        return []
    known, unknown = list[str](), list[str]()
    for suite in earlier:
        try:
            context.set_ciphers(openssl_name(suite))
        except ssl.SSLError:
            unknown.append(suite)
        else:
            known.append(openssl_name(suite))
    context.set_ciphers(":".join(known))
    return unknown
