"""TLS of a real server: kazoo over it, files that change, and a start that costs nothing where there is no TLS."""

import gc
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from kazoo.security import make_acl

from tests.integration.ensemble import Ensemble
from tests.integration.processes import PyzkServer, eventually, free_port
from tests.integration.test_quorum_sasl import REQUIRED
from tests.server.tls.certificates import Authority

pytestmark = pytest.mark.integration


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


@pytest.fixture(autouse=True)
def sockets_of_kazoo() -> Iterator[None]:
    """It leaves a TLS socket to the garbage collector."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def kazoo(port: int, authority: Authority, certificate: Path) -> KazooClient:
    files = {"certfile": str(certificate), "keyfile": str(certificate), "ca": str(authority.trust)}
    client = KazooClient(f"127.0.0.1:{port}", use_ssl=True, **files)
    client.start(timeout=20)
    return client


def test_kazoo_is_who_its_certificate_says(authority: Authority, tmp_path: Path) -> None:
    port = free_port()
    settings = {**authority.settings(authority.issue("server")), "secureClientPort": port}
    with PyzkServer(tmp_path / "server", settings=settings):
        one = kazoo(port, authority, authority.issue("one", organization_unit_name="Testing"))
        two = kazoo(port, authority, authority.issue("two", organization_unit_name="Testing"))
        one.create("/mine", b"x" * 100_000, acl=[make_acl("x509", "CN=one,OU=Testing,O=Example", all=True)])
        assert len(one.get("/mine")[0]) == 100_000
        with pytest.raises(NoAuthError):
            two.get("/mine")
        for client in (one, two):
            client.stop()
            client.close()


def test_sighup_reads_certificates_again(authority: Authority, tmp_path: Path) -> None:
    port, other = free_port(), Authority(tmp_path / "other")
    files = authority.settings(authority.issue("server"))
    settings = {**files, "secureClientPort": port, "client.certReload": "false"}
    with PyzkServer(tmp_path / "server", settings=settings) as server:
        old = kazoo(port, authority, authority.issue("client"))
        shutil.copy(other.issue("server"), files["ssl.keyStore.location"])
        shutil.copy(other.trust, authority.trust)
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: "certificates_reloaded" in server.log_path.read_text(), "the server has read them")
        new = kazoo(port, other, other.issue("client"))
        for client in (old, new):
            assert client.exists("/") is not None
            client.stop()
            client.close()


def test_servers_prove_a_password_inside_tls(authority: Authority, tmp_path: Path) -> None:
    """SASL between servers and TLS between servers at once, and a member that comes back."""
    tls = {**authority.settings(authority.issue("server"), "ssl.quorum."), "sslQuorum": "true"}
    password = {"pyzk.quorum.sasl.user": "zk", "pyzk.quorum.sasl.password": "secret"}
    with Ensemble(tmp_path, ["pyzk"] * 3, {**REQUIRED, **password, **tls}) as ensemble:
        ensemble.start()
        with ensemble.talking() as client:
            client.create("/a", b"")
            ensemble.kill(1)
            client.create("/b", b"")
            ensemble.start(1)
        assert sorted(member.mode for member in ensemble.members.values()) == ["follower", "follower", "leader"]
        assert ensemble.unlike() == []


def test_status_asks_a_server_that_speaks_tls_only(authority: Authority, tmp_path: Path) -> None:
    port = free_port()
    settings = {**authority.settings(authority.issue("server")), "secureClientPort": port}
    with PyzkServer(tmp_path / "server", settings=settings) as server:
        alone = tmp_path / "status.cfg"
        lines = server.config_path.read_text().splitlines()
        alone.write_text("\n".join(line for line in lines if not line.startswith("clientPort")))
        program = str(Path(sys.executable).parent / "pyzk-server")
        done = subprocess.run([program, "status", "--config", str(alone)], capture_output=True, text=True, check=False)
        assert "Mode: standalone" in done.stdout
        assert done.returncode == 0


def test_a_server_without_tls_does_not_wait_for_what_reads_certificates() -> None:
    program = "import sys, pyzk.server.command, pyzk.server.standalone; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
