"""Java's client and servers over TLS: the same files, the same names, the same answers."""

import re
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.processes import PyzkServer, ServerProcess, eventually, free_port
from tests.integration.wire import connect_frame
from tests.interop.apache import JVM_FLAGS, VERSIONS, ApacheServer, UnavailableError, class_path, need
from tests.server.tls.certificates import Authority

pytestmark = pytest.mark.interop

PASSWORD = "sesame-1"
STAYS_SECONDS = 3.0
NETTY = "-Dzookeeper.serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory"
SUBJECT = "CN=client,OU=Testing,O=Example"
COMMANDS = f"""\
whoami
create /mine x auth::cdrwa
getAcl /mine
create /his x x509:{SUBJECT.replace("client", "other")}:r
getAcl /his
get /his
create /wrong x x509:nobody:r
quit
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


def keytool(*arguments: object) -> None:
    command = [need("keytool"), "-noprompt", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def java_stores(authority: Authority, name: str, kind: str) -> dict[str, str]:
    """The same key and CA in stores made by keytool."""
    pem, packed = authority.issue(name, organization_unit_name="Testing"), authority.folder / f"{name}.p12"
    subprocess.run(
        ["openssl", "pkcs12", "-export", "-in", pem, "-out", packed, "-passout", f"pass:{PASSWORD}"], check=True
    )
    key, trust = authority.folder / f"{name}.key.jks", authority.folder / f"{name}.trust.jks"
    passwords = ("-srcstorepass", PASSWORD, "-deststorepass", PASSWORD)
    keytool("-importkeystore", "-srckeystore", packed, "-destkeystore", key, "-deststoretype", kind, *passwords)
    store = ("-keystore", trust, "-storetype", kind, "-storepass", PASSWORD)
    keytool("-importcert", "-alias", "ca", "-file", authority.trust, *store)
    return {
        "ssl.keyStore.location": str(key),
        "ssl.keyStore.password": PASSWORD,
        "ssl.trustStore.location": str(trust),
        "ssl.trustStore.password": PASSWORD,
    }


def shell(version: str, server: ServerProcess, port: int, files: dict[str, str]) -> str:
    """What Java's shell says to the commands over TLS, without what differs each time."""
    socket_class = "org.apache.zookeeper.ClientCnxnSocketNetty"
    flags = {"client.secure": "true", "clientCnxnSocket": socket_class, **files}
    command = [need("java"), *JVM_FLAGS, *(f"-Dzookeeper.{name}={value}" for name, value in flags.items())]
    command += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", class_path(version)]
    command += ["org.apache.zookeeper.ZooKeeperMain", "-waitforconnection", "-server", f"localhost:{port}"]
    done = subprocess.run(command, input=COMMANDS, capture_output=True, text=True, timeout=90, check=False)
    said = done.stdout + done.stderr
    assert "Created /mine" in said, said + server.log_tail()
    return re.sub(
        r"localhost:\d+|^.*(WatchedEvent|WATCHER|JLine|Welcome).*$|\[zk: .*?\] \d*", "", said, flags=re.MULTILINE
    )


@pytest.mark.parametrize("kind", ["JKS", "PKCS12"])
@pytest.mark.parametrize("version", VERSIONS)
def test_javas_client_has_the_same_conversation_as_on_apache(
    version: str, kind: str, authority: Authority, tmp_path: Path
) -> None:
    ports = [free_port(), free_port()]
    with ExitStack() as running:
        try:
            settings = java_stores(authority, "server", kind)
            client = java_stores(authority, "client", kind)
            settings["secureClientPort"] = str(ports[0])
            apache = ApacheServer(tmp_path / "apache", version, (NETTY,), settings=settings)
        except UnavailableError as missing:
            pytest.skip(str(missing))
        ours = PyzkServer(tmp_path / "pyzk", settings={**settings, "secureClientPort": ports[1]})
        theirs = shell(version, running.enter_context(apache), ports[0], client)
        answers = shell(version, running.enter_context(ours), ports[1], client)
    assert f"x509: {SUBJECT}" in answers
    # Who one is, Java keeps in a set.
    assert sorted(answers.split()) == sorted(theirs.split())


@pytest.mark.parametrize("version", VERSIONS)
def test_who_shows_no_certificate_is_turned_away_as_on_apache(
    version: str, authority: Authority, tmp_path: Path
) -> None:
    """With want he is served, without a name."""
    files = authority.settings(authority.issue("server"))
    with ExitStack() as running:
        for number, auth in enumerate(("need", "want")):
            settings = {**files, "ssl.clientAuth": auth}
            ports = [free_port(), free_port()]
            theirs, own = ({**settings, "secureClientPort": port} for port in ports)
            try:
                apache = ApacheServer(tmp_path / f"apache-{number}", version, (NETTY,), settings=theirs)
            except UnavailableError as missing:
                pytest.skip(str(missing))
            running.enter_context(apache)
            running.enter_context(PyzkServer(tmp_path / f"pyzk-{number}", settings=own))
            assert [stays(authority, port) for port in ports] == [auth == "want"] * 2


def stays(authority: Authority, port: int) -> bool:
    """Whether a session without a certificate lasts. Apache opens this port after the other one."""
    eventually(lambda: is_open(port), f"port {port} is open")
    raw = socket.create_connection(("127.0.0.1", port), 10)
    try:
        with raw, authority.client_context().wrap_socket(raw, server_hostname="127.0.0.1") as secure:
            secure.sendall(connect_frame())
            secure.settimeout(STAYS_SECONDS)
            while secure.recv(1000):
                pass
    except TimeoutError:
        return True
    except OSError:
        return False
    return False


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 10).close()
    except OSError:
        return False
    return True
