"""What a certificate must be besides valid: made out to where its owner is, or to a server of the list.

Source: docs/protocol/configuration.md section 7. DNS is asked by a thread.
"""

import asyncio
import socket
from collections.abc import Callable, Collection

from cryptography import x509

from pyzk.server.config.fields_security import TlsSettings
from pyzk.server.tls import names
from pyzk.server.tls.listener import Check, accept_all

Hosts = Callable[[], Collection[str]]
"""The names and addresses of the server list, as it is now."""


def client_check(settings: TlsSettings) -> Check:
    """Of a port for clients: nothing, unless `ssl.clientHostnameVerification` is set."""
    if not settings.client_hostname_verification:
        return accept_all
    return _check_place if not settings.allow_reverse_dns_lookup else _check_place_or_name


def peer_check(settings: TlsSettings, hosts: Hosts) -> Check:
    """Of a port for servers.

    Differs from Apache: the certificate must be that of a server of the list, wherever it comes from, or that of its
    address, as a joiner's may be; what DNS says is asked only with `ssl.quorum.allowReverseDnsLookup=true`.
    """
    if settings.client_hostname_verification is False:
        return accept_all
    if settings.allow_reverse_dns_lookup:
        return _check_place_or_name

    async def check(encoded: bytes | None, address: str) -> str:
        return objection(encoded, [*hosts(), address], "the server list, with its address,")

    return check


def objection(encoded: bytes | None, hosts: Collection[str], whose: str) -> str:
    """Why a certificate is not one of these hosts'; empty if it is. Without a certificate there is nothing to say."""
    if encoded is None:
        return ""
    certificate = x509.load_der_x509_certificate(encoded)
    if names.is_made_out_to(certificate, hosts):
        return ""
    shown = f"the certificate of {names.subject_of(certificate)} is made out to {names.hosts_text(certificate)}"
    return f"{shown}, and {whose} is {', '.join(sorted(set(hosts)))}"


async def _check_place(encoded: bytes | None, address: str) -> str:
    return objection(encoded, [address], "its address")


async def _check_place_or_name(encoded: bytes | None, address: str) -> str:
    """Apache's check: the address, then the name that DNS gives it."""
    first = objection(encoded, [address], "its address")
    if not first:
        return ""
    try:
        name, _ = await asyncio.get_running_loop().getnameinfo((address, 0), socket.NI_NAMEREQD)
    except OSError:
        return f"{first}, for which DNS has no name"
    return objection(encoded, [address, name], "where it comes from")
