"""The admin port over TLS."""

import asyncio
from pathlib import Path

import pytest

from pyzk.server.config.fields_security import TlsSettings
from pyzk.server.metrics import values
from tests.server.http import get
from tests.server.shell import Wire, running, until
from tests.server.tls.certificates import Authority

ADMIN = {"admin_enabled": True, "admin_address": "127.0.0.1", "admin_port": 0}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def files(authority: Authority) -> TlsSettings:
    return TlsSettings(key_store_location=str(authority.issue("server")), trust_store_location=str(authority.trust))


async def test_https_only(authority: Authority) -> None:
    async with running(**ADMIN, admin_force_https=True, quorum_tls=files(authority)) as server:
        status, _, body = await get(server.admin_port, "/commands/ruok", tls=authority.client_context())
        assert (status, b'"command" : "ruok"' in body) == (200, True)
        with pytest.raises((ConnectionError, IndexError)):  # IndexError: nothing was answered
            await get(server.admin_port, "/commands/ruok")


async def test_both_on_one_port(authority: Authority) -> None:
    async with running(**ADMIN, admin_port_unification=True, quorum_tls=files(authority)) as server:
        for tls in (None, authority.client_context()):
            assert (await get(server.admin_port, "/commands/ruok", tls=tls))[0] == 200
        assert values.counters(server)["insecure_admin_count"] == 1


async def test_who_must_show_a_certificate(authority: Authority) -> None:
    settings = {**ADMIN, "admin_force_https": True, "admin_client_auth": True}
    async with running(**settings, quorum_tls=files(authority)) as server:
        shown = authority.client_context(authority.issue("operator"))
        assert (await get(server.admin_port, "/livez", tls=shown))[0] == 200
        with pytest.raises((OSError, IndexError)):
            await get(server.admin_port, "/livez", tls=authority.client_context())


async def test_a_connection_that_is_gone_does_not_wait_for_a_garbage_collection(authority: Authority) -> None:
    """It and its transport knew each other, and the buffers of TLS stayed with them: 40 kB a connection."""
    async with running(**ADMIN, admin_force_https=True, quorum_tls=files(authority)) as server:
        (admin,) = server._operations
        connections = admin._gate.connections  # type: ignore[attr-defined]
        wire = Wire(*await asyncio.open_connection("127.0.0.1", server.admin_port, ssl=authority.client_context()))
        await until(lambda: connections, "the connection is there")
        (connection,) = connections
        assert connection.transport is not None
        await wire.close()
        await until(lambda: connection.transport is None, "it has let go")
