"""What in a configuration lets in whom an operator would keep out, or lets others read along.

Only what a configuration says is judged; files and certificates are looked at by `pyzk config check`.
"""

from collections.abc import Iterator
from ipaddress import ip_address

from pyzk.server.config.fields_operations import HEALTH_WORDS
from pyzk.server.config.fields_security import TlsSettings
from pyzk.server.config.settings import Config

_WEAK_VERSIONS = {"TLSv1", "TLSv1.1"}


def insecurities(config: Config) -> Iterator[str]:
    """One sentence each, with the setting that mends it."""
    yield from _of_client_ports(config)
    yield from _of_identities(config)
    if config.is_distributed:
        yield from _between_servers(config)
    yield from _of_operations(config)
    if config.has_client_tls:
        yield from _of_tls(config.client_tls, "ssl.")
    if config.has_quorum_tls:
        yield from _of_tls(config.quorum_tls, "ssl.quorum.")


def is_loopback(host: str | None) -> bool:
    """Whether only this machine can reach a port there; names are not looked up."""
    if host is None:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _of_client_ports(config: Config) -> Iterator[str]:
    if config.client_port is None or is_loopback(config.client_port_address):
        return
    if config.client_port_unification:
        yield "clientPort takes plain connections beside TLS: secureClientPort takes TLS only"
    else:
        yield f"clientPort={config.client_port} takes plain connections from other machines: use secureClientPort"


def _of_identities(config: Config) -> Iterator[str]:
    is_plain = config.client_port is not None and not is_loopback(config.client_port_address)
    is_secure = config.secure_client_port is not None and not is_loopback(config.secure_client_port_address)
    is_required = config.require_client_sasl or config.enforce_auth_enabled
    if (is_plain or (is_secure and config.client_tls.client_auth != "need")) and not is_required:
        yield (
            "clients need not say who they are: enforce.auth.enabled=true with enforce.auth.schemes, "
            "or secureClientPort alone with ssl.clientAuth=need"
        )
    if config.skip_acl:
        yield "skipACL=yes: everybody may do everything"


def _between_servers(config: Config) -> Iterator[str]:
    if all(is_loopback(address.host) for server in config.servers for address in server.addresses):
        return
    if not config.ssl_quorum:
        yield "servers talk to each other without TLS, and take everybody for one of them: sslQuorum=true"
    elif config.quorum_port_unification:
        yield "the ports for servers take plain links beside TLS: portUnification=false once all servers speak TLS"


def _of_operations(config: Config) -> Iterator[str]:
    if config.admin_enabled and not is_loopback(config.admin_address) and not config.admin_force_https:
        yield "the admin server is open to other machines without TLS: admin.forceHttps=true, or admin.serverAddress"
    if not is_loopback(config.client_port_address) and config.four_letter_whitelist - HEALTH_WORDS:
        yield "4lw.commands.whitelist has words that list clients or change something"


def _of_tls(settings: TlsSettings, prefix: str) -> Iterator[str]:
    if settings.trust_store_location is None and settings.client_auth != "none":
        yield f"{prefix}trustStore.location is not set: a certificate of any public CA will do"
    weak = sorted(_WEAK_VERSIONS & set(settings.enabled_protocols))
    if weak or settings.protocol in {"tlsv1", "tlsv1.1"}:
        yield f"{prefix}enabledProtocols has versions of TLS that are broken: TLSv1.2 and TLSv1.3 are not"
    if prefix == "ssl.quorum." and settings.client_auth != "need":
        yield "ssl.quorum.clientAuth is not need: everybody may connect as a server"
    if prefix == "ssl.quorum." and not settings.hostname_verification:
        yield "ssl.quorum.hostnameVerification=false: any certificate of the CA passes for any server"
    if prefix == "ssl.quorum." and settings.client_hostname_verification is False:
        yield "ssl.quorum.clientHostnameVerification=false: any certificate of the CA passes for a server's"
