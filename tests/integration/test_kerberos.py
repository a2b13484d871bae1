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
from tests.integration.ensemble import Ensemble, Member
from tests.integration.kdc import CLIENT, MEMBER, REALM, SERVICE, STRANGER, Kdc, is_installed
from tests.integration.processes import eventually
from tests.integration.sasl import PROVIDER
from tests.interop.apache import JVM_FLAGS, VERSIONS, ApacheServer, UnavailableError, class_path, need
from tests.interop.mixed_cases import SASL_STEPS

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


# Servers among themselves.

REQUIRED = SASL_STEPS[-1]
LOCALHOST = dict.fromkeys((1, 2, 3), "localhost")


def give_ticket(kdc: Kdc, member: Member, principal: str = MEMBER) -> None:
    """Write the JAAS file of a server, which is this principal where it dials, for whatever program reads it."""
    path = member.folder / "jaas.conf"
    path.write_text(kdc.sections(QuorumServer=MEMBER, QuorumLearner=principal))
    member.java_flags = (f"-Djava.security.auth.login.config={path}", f"-Djava.security.krb5.conf={kdc.krb5_conf}")
    text = member.config_path.read_text()
    member.config_path.write_text(
        f"{text}java.security.auth.login.config={path}\nquorum.auth.kerberos.servicePrincipal=zkquorum/_HOST\n"
    )


def modes(ensemble: Ensemble) -> list[str]:
    return sorted(member.mode for member in ensemble.members.values())


def test_servers_show_each_other_tickets(kdc: Kdc, tmp_path: Path) -> None:
    with Ensemble(tmp_path, ["pyzk"] * 3, REQUIRED, hosts=LOCALHOST) as ensemble:
        for member in ensemble.members.values():
            give_ticket(kdc, member)
        ensemble.start(first=3)
        assert modes(ensemble) == ["follower", "follower", "leader"]
        ensemble.kill(3)
        ensemble.write_through_each("/after")
        assert modes(ensemble) == ["", "follower", "leader"]


def test_the_ticket_of_a_host_that_is_in_no_line_opens_no_door(kdc: Kdc, tmp_path: Path) -> None:
    with Ensemble(tmp_path, ["pyzk"] * 3, REQUIRED, hosts=LOCALHOST) as ensemble:
        for sid, member in ensemble.members.items():
            give_ticket(kdc, member, STRANGER if sid == 1 else MEMBER)
        ensemble.start(2, 3)
        ensemble[1].launch()
        others = (ensemble[2], ensemble[3])
        eventually(
            lambda: any(f"{STRANGER} is the principal of no server" in other.logged() for other in others),
            "it is refused",
        )
        assert ensemble[1].mode == ""
        assert sorted((ensemble[2].mode, ensemble[3].mode)) == ["follower", "leader"]


@pytest.mark.interop
@pytest.mark.parametrize(
    "kinds", [("java38", "pyzk", "pyzk"), ("pyzk", "pyzk", "java39"), ("java39", "java38", "pyzk")]
)
def test_servers_of_apache_show_their_tickets_too(kdc: Kdc, tmp_path: Path, kinds: tuple[str, ...]) -> None:
    """In each of these the last one leads, then one of the others."""
    try:
        ensemble = Ensemble(tmp_path, kinds, REQUIRED, hosts=LOCALHOST)
        for member in ensemble.members.values():
            give_ticket(kdc, member)
            member.command()
    except UnavailableError as missing:
        pytest.skip(str(missing))
    with ensemble:
        ensemble.start(first=3)
        ensemble.write_through_each("/before")
        ensemble.kill(3)
        ensemble.write_through_each("/after")
        assert modes(ensemble) == ["", "follower", "leader"]
        ensemble.start(3)
        ensemble.write_through_each("/again")
        assert ensemble.unlike() == []
