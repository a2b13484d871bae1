"""The admin server: paths, methods and statuses; what is answered stands in the modules beside this one."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from pyzk.errors import AdminRefusalError
from pyzk.server.admin.http import commands, health
from pyzk.server.admin.http.gate import Gate, Later
from pyzk.server.admin.http.text import NOT_SERVING, Fields, answer, render
from pyzk.server.admin.http.transfer import Transfers, authorize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyzk.server.admin.statistics import Handshakes
    from pyzk.server.base import BaseServer
    from pyzk.server.config import Config
    from pyzk.server.tls.adminside import AdminSecurity

log = structlog.get_logger()

READS = frozenset({"GET", "HEAD"})
SNAPSHOT, RESTORE = "snapshot", "restore"
TRANSFERS = {"snapshot": SNAPSHOT, "snap": SNAPSHOT, "restore": RESTORE, "rest": RESTORE}
FORBIDDEN_METHOD = "TRACE"


class AdminServer:
    """The admin port of one server."""

    def __init__(self, server: BaseServer) -> None:
        self._server = server
        config = server.config
        self._url = "/" + config.admin_command_url.strip("/")
        self._transfers = Transfers(server)
        self._gate = Gate(
            self._answer,
            config.admin_connections_max,
            "pyzk.adminConnectionsMax",
            config.admin_idle_timeout_ms,
        )

    @property
    def port(self) -> int:
        """The port that is open."""
        return self._gate.port

    async def start(self) -> None:
        """Open the port. Raises OSError."""
        config = self._server.config
        if config.has_admin_tls:
            security = await asyncio.to_thread(_load_security, config, self._server.statistics.admin_handshakes)
            self._server.keep_certificates(security.contexts, watch=config.quorum_certificate_reload)
            await self._gate.open(config.admin_address, config.admin_port, security.listen)
        else:
            await self._gate.open(config.admin_address, config.admin_port)
        log.info("admin_server_started", port=self.port, address=config.admin_address, url=self._url)

    async def stop(self) -> None:
        """Close it."""
        await self._gate.close()

    # Requests.

    async def _answer(self, request: web.Request) -> web.StreamResponse | Later:
        path, method = request.path, request.method
        if method == FORBIDDEN_METHOD:
            return web.Response(status=403)
        if path in {"/livez", "/readyz"}:
            return self._health(request)
        if path.rstrip("/") == self._url:
            return self._index() if method in READS else web.Response(status=405)
        prefix = f"{self._url}/"
        if not path.startswith(prefix):
            return web.Response(status=404)
        if method not in {*READS, "POST"}:
            return web.Response(status=405)
        name = path.removeprefix(prefix)
        if name in TRANSFERS:
            return self._transfer(request, TRANSFERS[name])
        return self._command(request, name)

    def _index(self) -> web.Response:
        names = sorted([*(command.name for command in commands.COMMANDS), SNAPSHOT, RESTORE])
        lines = [f'<a href="{self._url}/{name}">{name}</a>\n<br/>\n' for name in names]
        return web.Response(body="".join(lines).encode())

    def _health(self, request: web.Request) -> web.Response:
        if request.method not in READS:
            return web.Response(status=405)
        if request.path == "/livez":
            status, fields = health.live(self._server)
        else:
            counts = request.query.get("read-only") == "true"
            status, fields = health.ready(self._server, read_only_counts=counts)
        return _json(fields, status)

    def _command(self, request: web.Request, name: str) -> web.Response:
        command = commands.BY_NAME.get(name)
        if command is None:
            return _json({"command": name, "error": f"Unknown command: {name}"})
        if request.method not in READS:
            return _json(answer(command.name, {}, "this command is asked with GET"), 405)
        return _json(commands.run(self._server, command, request.query))

    def _transfer(self, request: web.Request, name: str) -> web.StreamResponse | Later:
        is_restore = name == RESTORE
        if (request.method == "POST") != is_restore:
            return _json(answer(name, {}, f"this command is asked with {'POST' if is_restore else 'GET'}"), 405)
        if not self._server.is_serving:
            return _json(answer(name, {}, NOT_SERVING))
        try:
            authorize(self._server, request.headers.get("Authorization"), self._address(request))
        except AdminRefusalError as refusal:
            return _json(answer(name, {}, str(refusal)), refusal.status)
        log.info("admin_transfer", command=name, address=request.remote)
        return lambda: self._perform(request, name)

    def _address(self, request: web.Request) -> str:
        """Where a request came from, as the proxy in front says if it is to be believed."""
        address = request.remote or ""
        if not self._server.config.admin_trusts_forwarded:
            return address
        forwarded = request.headers.get("X-Forwarded-For", "").partition(",")[0].strip()
        try:
            return str(ip_address(forwarded))
        except ValueError:
            return address

    async def _perform(self, request: web.Request, name: str) -> web.StreamResponse:
        try:
            if name == RESTORE:
                return _json(answer(name, {"last_zxid": await self._transfers.restore(request)}))
            taken = await self._transfers.take()
            if request.query.get("streaming", "true").lower() != "true" or request.method == "HEAD":
                return _json(answer(name, {}), headers=taken.headers)
            return await self._transfers.send(request, taken)
        except AdminRefusalError as refusal:
            return _json(answer(name, {}, str(refusal)), refusal.status)


def _load_security(config: Config, handshakes: Handshakes) -> AdminSecurity:
    # Who has no TLS does not wait for what reads certificates.
    from pyzk.server.tls.adminside import AdminSecurity  # noqa: PLC0415

    return AdminSecurity(config, handshakes)


def _json(fields: Fields, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    body = render(fields).encode("utf-8", "backslashreplace")
    return web.Response(body=body, status=status, headers={"Content-Type": "application/json", **(headers or {})})
