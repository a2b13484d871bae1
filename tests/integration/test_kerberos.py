"""Kerberos against a KDC of the test's own; skipped without Debian's krb5-kdc, krb5-user and the extra `kerberos`."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pyzk import errors
from pyzk.client.aio import Client, Identity
from pyzk.client.aio_login import jaas_login, kerberos_login
from tests.integration.conftest import MakeServer
from tests.integration.kdc import CLIENT, REALM, SERVICE, Kdc, is_installed
from tests.integration.sasl import PROVIDER
from tests.interop.apache import JVM_FLAGS, VERSIONS, ApacheServer, UnavailableError, class_path, need

pytest.importorskip("gssapi", reason="the extra kerberos is not installed")
pytestmark = pytest.mark.skipif(not is_installed(), reason="krb5-kdc, krb5-admin-server or krb5-user is not installed")


@pytest.fixture(scope="module")
def kdc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kdc]:
    with Kdc(tmp_path_factory.mktemp("kdc")) as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        yield running


@pytest.fixture
def jaas(kdc: Kdc, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jaas") / "jaas.conf"
    path.write_text(kdc.jaas())
    return path


def settings(jaas: Path, **more: str) -> dict[str, object]:
    return {**PROVIDER, "java.security.auth.login.config": jaas, "sessionRequireClientSASLAuth": "true", **more}


def local(server) -> str:
    """The host by the name that tickets have."""
    return f"localhost:{server.port}"


async def test_a_client_with_a_keytab_or_a_ticket_is_its_principal(
    make_server: MakeServer, kdc: Kdc, jaas: Path
) -> None:
    server = make_server(**settings(jaas))
    kdc.kinit()
    for login in (jaas_login(str(jaas)), kerberos_login()):
        async with Client(local(server), login=login) as client:
            assert Identity("sasl", CLIENT) in await client.whoami()


async def test_names_are_cut_short_by_rules(make_server: MakeServer, jaas: Path) -> None:
    short = {
        "security.auth_to_local": f"RULE:[1:$1@$0](.*@{REALM})s/@.*//",
        "kerberos.removeRealmFromPrincipal": "true",
    }
    server = make_server(**settings(jaas, **short))
    async with Client(local(server), login=jaas_login(str(jaas))) as client:
        assert Identity("sasl", "bob") in await client.whoami()


@pytest.mark.usefixtures("kdc")
async def test_without_a_ticket_nobody_gets_in(
    make_server: MakeServer, jaas: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server(**settings(jaas))
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/none")
    with pytest.raises(errors.AuthFailedError, match="Kerberos"):
        async with Client(local(server), login=kerberos_login()):
            pass


def test_a_server_without_a_key_does_not_start(make_server: MakeServer, kdc: Kdc, jaas: Path) -> None:
    jaas.write_text(kdc.jaas().replace(SERVICE, f"zookeeper/elsewhere@{REALM}"))
    with pytest.raises(Exception, match="has no key for zookeeper/elsewhere"):
        make_server(**settings(jaas))


def create_as_java(version: str, flags: tuple[str, ...], host: str) -> str:
    """What Java's shell prints that creates a znode of its own."""
    command = [need("java"), *JVM_FLAGS, *flags, "-cp", class_path(version), "org.apache.zookeeper.ZooKeeperMain"]
    command += ["-server", host, "create", "/mine", "", "auth::cdrwa"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    return done.stdout + done.stderr


@pytest.mark.interop
@pytest.mark.parametrize("version", VERSIONS)
async def test_javas_client_and_server_agree_with_ours(
    make_server: MakeServer, kdc: Kdc, jaas: Path, tmp_path_factory: pytest.TempPathFactory, version: str
) -> None:
    flags = (f"-Djava.security.auth.login.config={jaas}", f"-Djava.security.krb5.conf={kdc.krb5_conf}")
    with ExitStack() as running:
        try:
            folder = tmp_path_factory.mktemp("apache")
            apache = running.enter_context(ApacheServer(folder, version, flags, settings=settings(jaas)))
        except UnavailableError as missing:
            pytest.skip(str(missing))
        async with Client(local(apache), login=jaas_login(str(jaas))) as client:
            assert await client.get_children("/") == ["zookeeper"]
        server = make_server(**settings(jaas))
        assert "Created /mine" in await asyncio.to_thread(create_as_java, version, flags, local(server))
        async with Client(local(server), login=jaas_login(str(jaas))) as client:
            ((entry,), _) = await client.get_acl("/mine")
            assert (entry.scheme, entry.id) == (b"sasl", CLIENT.encode())
