"""Connecting to another server: the first of its addresses that answers, with TLS where that is wanted.

Names are resolved at each dial: containers change their addresses. Source: docs/protocol/election.md section 2.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyzk.server.link import Link
    from pyzk.server.tls.peerside import PeerSecurity

log = structlog.get_logger()

SILENT_HOSTS_MAX = 100
"""Hosts that are known not to answer; one more, and all are forgotten."""
HANDSHAKE_ERRORS = (ssl.SSLError, ConnectionResetError, ConnectionAbortedError)
"""What a dial ends with when there is somebody who does not like our TLS, or speaks none."""


class Dialer:
    """Dials for one server, which learns whose addresses do not answer.

    Args:
        reach_timeout_ms: how long an address may take when there is another one to try; None: as long as any.

    Attributes:
        security: TLS; None without.
        silent_hosts: those that did not answer the last time; they are tried last.
    """

    def __init__(self, reach_timeout_ms: int | None) -> None:
        self._reach_timeout_ms = reach_timeout_ms
        self.security: PeerSecurity | None = None
        self.silent_hosts: set[str] = set()

    async def dial(self, link: Link, addresses: Sequence[tuple[str, int]], timeout_ms: int) -> str:
        """Connect a link, which tells itself what happens from then on; if none answers, returns why."""
        reasons = []
        addresses = sorted(addresses, key=lambda address: address[0] in self.silent_hosts)
        for position, (host, port) in enumerate(addresses, 1):
            is_last = position == len(addresses)
            wait_ms = timeout_ms if is_last else min(timeout_ms, self._reach_timeout_ms or timeout_ms)
            reasons += await self._try(link, host, port, wait_ms)
            if link.transport is not None:
                break
        return "; ".join(reasons) or "no address"

    async def _try(self, link: Link, host: str, port: int, wait_ms: int) -> list[str]:
        """One address; what stands against it."""
        link.dialed_host = host
        reasons = []
        try:
            async with asyncio.timeout(wait_ms / 1000):
                await self._connect(link, host, port)
            self.silent_hosts.discard(host)
        except TimeoutError:
            self.silent(host)
            reasons.append(f"{host}:{port} does not answer within {wait_ms} ms")
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that can be none
            reasons.append(f"{host}:{port}: {self._explain(error, host, port)}")
        if link.objection:
            reasons.append(f"{host}:{port}: {link.objection}")
            log.warning("server_not_trusted", address=f"{host}:{port}", reason=link.objection)
        return reasons

    async def _connect(self, link: Link, host: str, port: int) -> None:
        context = self.security.dialing if self.security is not None else None
        name = None if context is None else host
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: link, host, port, ssl=context, server_hostname=name)

    def _explain(self, error: OSError | UnicodeError, host: str, port: int) -> str:
        """Why a dial has failed; a handshake that fails is told, for it will fail again."""
        if self.security is None or not isinstance(error, HANDSHAKE_ERRORS):
            return str(error)
        reason = self.security.explain(error)
        log.warning("tls_handshake_failed", address=f"{host}:{port}", reason=reason)
        return reason

    def objection_to(self, transport: asyncio.BaseTransport, dialed_host: str) -> str:
        """Why a server that was dialed is not who it should be; empty if it is. Others were checked by their port."""
        if self.security is None or not dialed_host:
            return ""
        return self.security.objection_to(transport, dialed_host)

    def silent(self, host: str) -> None:
        """An address does not answer: its network may be down."""
        if len(self.silent_hosts) >= SILENT_HOSTS_MAX:
            self.silent_hosts.clear()
        self.silent_hosts.add(host)
