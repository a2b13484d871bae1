"""SASL on a real server: raw connections, kazoo and our own client, with JAAS files as operators have them."""

import json
from pathlib import Path

import pytest
from kazoo.exceptions import AuthFailedError, NoAuthError
from kazoo.security import make_acl

from pyzk import errors
from pyzk.client.aio import Client, Identity
from pyzk.client.aio_login import digest_login, jaas_login
from pyzk.tools.shell.main import main
from tests.integration.conftest import Connect, MakeServer
from tests.integration.sasl import JAAS, PROVIDER, login
from tests.integration.test_vectors import comparable
from tests.integration.wire import Wire

VECTORS = Path(__file__).parents[1] / "vectors" / "client.jsonl"
CLIENT = (
    'Client {\n org.apache.zookeeper.server.auth.DigestLoginModule required username="bob" password="bobsecret";\n};\n'
)


@pytest.fixture
def jaas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jaas") / "jaas.conf"
    path.write_text(JAAS + CLIENT, encoding="utf-8")
    return path


@pytest.fixture
def server(make_server: MakeServer, jaas: Path):
    return make_server(**PROVIDER, **{"java.security.auth.login.config": jaas})


def test_what_a_sasl_user_does_is_answered_as_by_apache(server) -> None:
    lines = [json.loads(line) for line in VECTORS.read_text().splitlines()]
    named = {line["name"]: line for line in lines if line["server"] == "3.9.5"}
    names = ["whoAmI", "create_auth_acl", "getACL", "acl_create", "acl_noauth"]
    with Wire(server.port) as wire, Wire(server.port) as privileged:
        assert login(wire) == 0
        assert login(privileged, "super", "adminsecret") == 0
        for name, connection in [*((name, wire) for name in names), ("super_reads", privileged)]:
            line = named[f"sasl_{name}"]
            request = bytes.fromhex(line["request_hex"])
            connection.socket.sendall(request)
            reply = connection.receive()
            opcode = int.from_bytes(request[8:12], "big")
            expected = comparable(bytes.fromhex(line["reply_hex"]), opcode, mask_zxids=True)
            assert comparable(bytes(4) + reply, opcode, mask_zxids=True) == expected, name


def test_names_and_passwords_beyond_ascii_are_hashed_as_the_rfc_has_it(server) -> None:
    with Wire(server.port) as wire:
        assert login(wire, "jürgen", "geheim ä") == 0


def test_kazoo_logs_in(server, connect: Connect) -> None:
    mine = connect(server, sasl_options={"mechanism": "DIGEST-MD5", "username": "bob", "password": "bobsecret"})
    mine.create("/mine", b"1", acl=[make_acl("sasl", "bob", all=True)])
    with pytest.raises(NoAuthError):
        connect(server).get("/mine")
    assert mine.get("/mine")[0] == b"1"


def test_kazoo_is_told_that_its_login_failed(server, connect: Connect) -> None:
    options = {"mechanism": "DIGEST-MD5", "username": "bob", "password": "wrong"}
    with pytest.raises(AuthFailedError):
        connect(server, sasl_options=options).get("/")


async def test_our_client_logs_in(server, jaas: Path) -> None:
    for how in (digest_login("bob", "bobsecret"), jaas_login(str(jaas))):
        async with Client(server.hosts, login=how) as client:
            assert Identity("sasl", "bob") in await client.whoami()


async def test_our_client_is_told_that_its_login_failed(server) -> None:
    with pytest.raises(errors.AuthFailedError):
        async with Client(server.hosts, login=digest_login("bob", "wrong")):
            pass


def test_the_shell_logs_in_by_a_property_or_a_flag(server, jaas: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    properties = tmp_path / "client.properties"
    properties.write_text(f"java.security.auth.login.config={jaas}\n")
    options = ["-server", server.hosts, "-waitforconnection"]
    assert main([*options, "-client-configuration", str(properties), "whoami"]) == 0
    assert "sasl: bob" in capsys.readouterr().out
    monkeypatch.setenv("JVMFLAGS", f"-Djava.security.auth.login.config={jaas}")
    assert main([*options, "whoami"]) == 0
    assert "sasl: bob" in capsys.readouterr().out
    monkeypatch.setenv("CLIENT_JVMFLAGS", "-Dzookeeper.sasl.clientconfig=Other")
    assert main([*options, "whoami"]) == 1
    assert "has no section Other" in capsys.readouterr().err


async def test_a_server_that_requires_sasl_serves_nobody_else(make_server: MakeServer, jaas: Path) -> None:
    server = make_server(
        **PROVIDER, **{"java.security.auth.login.config": jaas, "sessionRequireClientSASLAuth": "true"}
    )
    async with Client(server.hosts, login=digest_login("bob", "bobsecret")) as client:
        await client.create("/a")
    async with Client(server.hosts) as client:
        with pytest.raises((errors.SaslRequiredError, errors.ConnectionLostError)):
            await client.get("/a")


async def test_users_in_zoo_cfg_need_no_jaas_file(make_server: MakeServer) -> None:
    server = make_server(**PROVIDER, **{"pyzk.sasl.user.ann": "pass word", "superUser": "ann"})
    async with Client(server.hosts, login=digest_login("ann", "pass word")) as client:
        assert {Identity("sasl", "ann"), Identity("super", "")} <= set(await client.whoami())
