"""SIGHUP: what is taken over, what waits for a restart, what is refused."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from pyzk.errors import SaslError
from pyzk.sasl.digest_md5 import DigestClient
from pyzk.server import log
from pyzk.server.config import Config, load_config
from pyzk.server.config.kinds import Status
from pyzk.server.config.reloadable import RELOADABLE
from pyzk.server.config.settings import all_settings
from pyzk.server.reload import reload
from pyzk.server.standalone import Server
from tests.server.shell import Wire, ask_word

LINES = {
    "clientPort": 0,
    "clientPortAddress": "127.0.0.1",
    "admin.enableServer": "false",
    "autopurge.purgeInterval": 0,
    "4lw.commands.whitelist": "*",
}


class Reloaded:
    """A server, its file, and what it says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "zoo.cfg"
        self.stream = io.StringIO()
        self.write()
        self.server = Server(load_config(str(self.path), {})[0])
        self.set_up_log(self.server.config)

    def write(self, **settings: object) -> None:
        lines = {"dataDir": self.folder / "data", **LINES, **settings}
        self.path.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))

    def set_up_log(self, config: Config) -> None:
        log.configure("info", self.stream, levels=config.log_levels)

    def reload(self, **settings: object) -> dict[str, Any]:
        """The last event."""
        self.write(**settings)
        reload(self.server, self.set_up_log)
        return json.loads(self.stream.getvalue().splitlines()[-1])


@pytest.fixture
async def reloaded(tmp_path: Path, restored_log: None) -> Any:  # noqa: ARG001 - it configures the log
    running = Reloaded(tmp_path)
    await running.server.start()
    yield running
    await running.server.stop()


def test_only_settings_that_work_are_reloadable() -> None:
    rows = {row.field: row for row in all_settings()}
    assert {rows[field].status for field in RELOADABLE} == {Status.ACTIVE}


async def test_words_are_allowed_and_forbidden(reloaded: Reloaded) -> None:
    assert b"not in the whitelist" not in await ask_word(reloaded.server, b"wchc")
    event = reloaded.reload(**{"4lw.commands.whitelist": "ruok"})
    assert (event["event"], event["changed"], event["restart_needed"]) == ("reloaded", ["4lw.commands.whitelist"], [])
    assert b"not in the whitelist" in await ask_word(reloaded.server, b"wchc")


async def test_limits_of_connections_hold_for_those_that_come(reloaded: Reloaded) -> None:
    first = await Wire.session(reloaded.server)
    reloaded.reload(maxClientCnxns=1)
    second = await Wire.open(reloaded.server)
    assert await second.rest() == b""
    reloaded.reload(maxClientCnxns=2)
    third = await Wire.session(reloaded.server)
    assert (await first.ask(first.get_data(b"/"))).err == 0
    for wire in (first, second, third):
        await wire.close()


async def test_session_timeouts_are_granted_anew(reloaded: Reloaded) -> None:
    reloaded.reload(maxSessionTimeout=7000)
    wire = await Wire.session(reloaded.server, 60_000)
    assert wire.response is not None
    assert wire.response.timeout_ms == 7000
    await wire.close()


async def test_levels_change_for_loggers_that_have_spoken(reloaded: Reloaded) -> None:
    assert reloaded.reload(**{"pyzk.logLevels": "server=error"})["event"] != "reloaded"
    assert reloaded.reload()["event"] == "reloaded"


async def test_what_needs_a_restart_is_named_and_left(reloaded: Reloaded) -> None:
    event = reloaded.reload(tickTime=4000, snapCount=5000, globalOutstandingLimit=7)
    assert event["changed"] == ["globalOutstandingLimit", "maxSessionTimeout", "minSessionTimeout"]
    assert event["restart_needed"] == ["snapCount", "tickTime"]
    assert reloaded.server.config.tick_time_ms == 3000
    assert reloaded.server.peer.service.settings.outstanding_max == 7


async def test_a_file_that_cannot_be_used_changes_nothing(reloaded: Reloaded) -> None:
    before = vars(reloaded.server.config)
    event = reloaded.reload(maxClientCnxns="many")
    assert event["event"] == "reload_refused"
    assert "maxClientCnxns" in event["error"]
    assert vars(reloaded.server.config) == before


async def test_where_a_value_comes_from_is_known_afterwards(reloaded: Reloaded) -> None:
    reloaded.reload(maxClientCnxns=5)
    assert reloaded.server.config.sources["max_client_connections_per_address"] == f"{reloaded.path}:7"
    reloaded.reload()
    assert "max_client_connections_per_address" not in reloaded.server.config.sources


def identity(server: Server, password: str) -> str | None:
    """Who a client is that logs in as bob now."""
    begin = server.peer.service.new_exchange
    assert begin is not None
    exchange, client = begin(), DigestClient("bob", password, "nonce")
    proof = client.respond(exchange.respond(client.start()))
    assert proof is not None
    with contextlib.suppress(SaslError):
        exchange.respond(proof)
    return exchange.identity


async def test_users_of_sasl_come_and_go(reloaded: Reloaded, tmp_path: Path) -> None:
    jaas = tmp_path / "jaas.conf"
    section = "Server {\n DigestLoginModule required user_bob=%s;\n};\n".replace("Digest", "x.Digest")
    jaas.write_text(section % "one")
    lines = {"java.security.auth.login.config": jaas}
    assert reloaded.reload(**lines)["changed"] == ["java.security.auth.login.config"]
    assert identity(reloaded.server, "one") == "bob"
    jaas.write_text(section % "two")
    assert reloaded.reload(**lines)["changed"] == ["java.security.auth.login.config"]
    assert (identity(reloaded.server, "one"), identity(reloaded.server, "two")) == (None, "bob")
    assert reloaded.reload(**{"pyzk.sasl.user.bob": "three"})["changed"] == [
        "java.security.auth.login.config",
        "pyzk.sasl.user.",
    ]
    assert identity(reloaded.server, "three") == "bob"


async def test_a_keytab_without_our_key_changes_nothing(reloaded: Reloaded, tmp_path: Path) -> None:
    pytest.importorskip("gssapi", reason="the extra kerberos is not installed")
    jaas = tmp_path / "jaas.conf"
    jaas.write_text('Server {\n x.Krb5LoginModule required keyTab="/no/such" principal="zookeeper/a@B";\n};\n')
    event = reloaded.reload(**{"java.security.auth.login.config": jaas, "4lw.commands.whitelist": "ruok"})
    assert event["event"] == "reload_refused"
    assert "has no key for zookeeper/a@B" in event["error"]
    assert b"not in the whitelist" not in await ask_word(reloaded.server, b"wchc")
