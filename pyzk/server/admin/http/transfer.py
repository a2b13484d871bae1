"""Snapshots over HTTP: sent to an operator, or taken from one in place of all data. For super users.

Source: docs/protocol/operations.md section 2.1, docs/protocol/apache-defects.md row 15.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, NamedTuple

import structlog
from aiohttp import web

from pyzk.codec.opcodes import Perms
from pyzk.errors import AdminRefusalError, AuthFailedError, PyzkError
from pyzk.server.clients import host_of
from pyzk.server.clock import monotonic_seconds
from pyzk.service.connection import Connection
from pyzk.storage import names
from pyzk.storage.compression import GZIP_MAGIC, XERIAL_MAGIC
from pyzk.storage.memory import MemoryDisk
from pyzk.storage.snapshot import Snapshot, load
from pyzk.tree.acl import SUPER
from pyzk.tree.walk import finish_load

if TYPE_CHECKING:
    from pyzk.server.base import BaseServer
    from pyzk.tree.acl import Identity
    from pyzk.tree.tree import Tree

log = structlog.get_logger()

SLICE_BYTES = 1 << 18
ALL_PERMS = (Perms.CREATE, Perms.DELETE, Perms.READ, Perms.WRITE, Perms.ADMIN)
AUTHORIZATION_PARTS_MAX = 2
NOBODY = -1
"""The number of a connection that is none of a client's."""


class RateLimit:
    """One in so many ms; an attempt counts whatever becomes of it."""

    def __init__(self) -> None:
        self._last_at = -math.inf

    def admits(self, now: float, interval_ms: int) -> bool:
        """Whether another one may begin."""
        if now < self._last_at + interval_ms / 1000:
            return False
        self._last_at = now
        return True


def authorize(server: BaseServer, header: str | None, address: str) -> None:
    """Whether somebody may have, or replace, all data. Raises AdminRefusalError.

    Differs from Apache: there any digest user may while everybody may do everything with the root; here nobody but the
    super user until the root has an ACL of its own, and then who has all its permissions.
    """
    if not header:
        raise AdminRefusalError(401, "Auth info is missing for the command")
    identities = _identities(server, header, address)
    service = server.peer.service
    if any(scheme == SUPER for scheme, _ in identities):
        return
    acl = service.tree.acl_of(service.tree.nodes[b"/"])
    if acl is None or service.access.skip or not _has_all(server, identities):
        raise AdminRefusalError(403, "Not authorized")


def _has_all(server: BaseServer, identities: list[Identity]) -> bool:
    """All permissions, and not because everybody has them."""
    service = server.peer.service
    acl = [entry for entry in service.tree.acl_of(service.tree.nodes[b"/"]) or [] if entry.scheme != b"world"]
    return bool(acl) and all(service.access.permits(acl, permission, identities) for permission in ALL_PERMS)


def _identities(server: BaseServer, header: str, address: str) -> list[Identity]:
    scheme, *rest = header.split()
    service = server.peer.service
    prove = service.provers.get(scheme.encode("utf-8", "surrogateescape"))
    if len(rest) >= AUTHORIZATION_PARTS_MAX or prove is None or (scheme != "ip" and not rest):
        raise AdminRefusalError(401, "Not authenticated")
    proof = rest[0].encode("utf-8", "surrogateescape") if rest else None
    try:
        identities = prove(service, Connection(NOBODY, host_of(address), ()), proof)
    except AuthFailedError as error:
        raise AdminRefusalError(401, "Not authenticated") from error
    if not identities:
        raise AdminRefusalError(401, "Not authenticated")
    return identities


class Taken(NamedTuple):
    """A snapshot that was written."""

    path: str
    size_bytes: int
    headers: dict[str, str]


class Transfers:
    """The two commands of one server."""

    def __init__(self, server: BaseServer) -> None:
        self._server = server
        self._snapshots, self._restores = RateLimit(), RateLimit()

    # snapshot

    async def take(self) -> Taken:
        """Write a snapshot as the server does it by itself. Raises AdminRefusalError."""
        server = self._server
        config, statistics = server.config, server.statistics
        if not config.admin_snapshot_enabled:
            raise AdminRefusalError(503, "admin.snapshot.enabled is false")
        if not config.serialize_last_processed_zxid:
            raise AdminRefusalError(500, "serializeLastProcessedZxid.enabled is false")
        if not self._snapshots.admits(monotonic_seconds(), config.admin_rate_limit_interval_ms):
            statistics.snapshots_rate_limited += 1
            raise AdminRefusalError(429, "too soon after the last one (admin.rateLimiterIntervalInMS)")
        try:
            name = await server.snapshots.take_now()
        except PyzkError as error:
            statistics.snapshot_errors += 1
            raise AdminRefusalError(500, str(error)) from error
        if name is None:
            statistics.snapshot_errors += 1
            raise AdminRefusalError(500, "the server has lost its role meanwhile")
        ((zxid, _),) = names.snapshots([name])
        path = f"{server.places.snapshots}/{name}"
        size_bytes = server.disk.size(path)
        return Taken(path, size_bytes, {"last_zxid": f"0x{zxid:x}", "snapshot_size": str(size_bytes)})

    async def send(self, request: web.Request, taken: Taken) -> web.StreamResponse:
        """Send the file, a slice at a time."""
        response = web.StreamResponse(headers={**taken.headers, "Content-Type": "application/octet-stream"})
        response.content_length = taken.size_bytes
        await response.prepare(request)
        disk = self._server.disk
        for position in range(0, taken.size_bytes, SLICE_BYTES):
            await response.write(await asyncio.to_thread(disk.read, taken.path, position, SLICE_BYTES))
        await response.write_eof()
        return response

    # restore

    async def restore(self, request: web.Request) -> int:
        """Take the body for the whole database; the last zxid. Raises AdminRefusalError."""
        server = self._server
        statistics = server.statistics
        if not server.config.admin_restore_enabled:
            raise AdminRefusalError(503, "admin.restore.enabled is false")
        if not server.config.serialize_last_processed_zxid:
            raise AdminRefusalError(500, "serializeLastProcessedZxid.enabled is false")
        if server.replace_obstacle:
            raise AdminRefusalError(503, server.replace_obstacle)
        if not self._restores.admits(monotonic_seconds(), server.config.admin_rate_limit_interval_ms):
            statistics.restores_rate_limited += 1
            raise AdminRefusalError(429, "too soon after the last one (admin.rateLimiterIntervalInMS)")
        began_at = monotonic_seconds()
        try:
            tree = await self._received(request)
            await server.replace_tree(tree)
        except PyzkError as error:
            statistics.restore_errors += 1
            log.warning("restore_failed", error=str(error))
            status = error.status if isinstance(error, AdminRefusalError) else 500
            raise AdminRefusalError(status, str(error)) from error
        statistics.restore_ms.add(int((monotonic_seconds() - began_at) * 1000))
        return tree.last_zxid

    async def _received(self, request: web.Request) -> Tree:
        pieces, size_bytes, limit = [], 0, self._server.config.admin_restore_bytes_max
        async for piece in request.content.iter_chunked(SLICE_BYTES):
            size_bytes += len(piece)
            if size_bytes > limit:
                raise AdminRefusalError(413, f"more than {limit} bytes (pyzk.adminRestoreBytesMax)")
            pieces.append(piece)
        return await asyncio.to_thread(_decoded, b"".join(pieces))


def _decoded(data: bytes) -> Tree:
    """The tree of a snapshot file. Raises PyzkError."""
    suffix = ".gz" if data.startswith(GZIP_MAGIC) else ".snappy" if data.startswith(XERIAL_MAGIC) else ""
    disk, name = MemoryDisk(), f"snapshot.0{suffix}"
    disk.make_directory("/received")
    file = disk.create(f"/received/{name}")
    file.write(0, data)
    found: Snapshot = load(disk, "/received", name)
    if found.last_zxid is None:
        raise AdminRefusalError(500, "the snapshot has no last zxid (serializeLastProcessedZxid.enabled)")
    found.tree.last_zxid = found.last_zxid
    finish_load(found.tree)
    return found.tree
