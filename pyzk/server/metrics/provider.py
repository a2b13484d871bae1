"""The port that Prometheus reads: `GET /metrics`, and nothing else. Imported only where it is switched on."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from pyzk.server.admin.http.gate import Gate, Later
from pyzk.server.metrics.process import GarbageWatch
from pyzk.server.metrics.prometheus import CONTENT_TYPE, ServerCollector, exposition, make_registry
from pyzk.server.metrics.windows import BUCKET_SECONDS, Windows

if TYPE_CHECKING:
    from pyzk.server.base import BaseServer

log = structlog.get_logger()

IDLE_TIMEOUT_MS = 120_000
"""Longer than the pause between two scrapes usually is: their connection stays."""
PATH = "/metrics"


class PrometheusProvider:
    """Tells the metrics of one server."""

    def __init__(self, server: "BaseServer") -> None:
        config = server.config
        self._config = config
        self._windows = Windows()
        self._garbage = GarbageWatch(server.peer.stages.gc_pause_time_ms)
        self._collector = ServerCollector(server, self._windows, self._garbage if config.metrics_process else None)
        self._registry = make_registry(self._collector)
        self._gate = Gate(self._answer, config.admin_connections_max, "pyzk.adminConnectionsMax", IDLE_TIMEOUT_MS)
        self._turning: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is open."""
        return self._gate.port

    async def start(self) -> None:
        """Open the port. Raises OSError."""
        config = self._config
        await self._gate.open(config.metrics_address, config.metrics_port)
        self._turning = asyncio.get_running_loop().create_task(self._turn_windows())
        log.info("metrics_told", port=self.port, address=config.metrics_address, path=PATH)

    async def stop(self) -> None:
        """Close it."""
        self._garbage.stop()
        if self._turning is not None:
            self._turning.cancel()
            with suppress(asyncio.CancelledError):
                await self._turning
        await self._gate.close()

    async def _turn_windows(self) -> None:
        while True:
            await asyncio.sleep(BUCKET_SECONDS)
            self._windows.turn(self._collector.distributions())

    async def _answer(self, request: web.Request) -> web.StreamResponse | Later:
        if request.path != PATH:
            return web.Response(status=404)
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405)
        text = exposition(self._registry, request.query.getall("name[]", []))
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})
