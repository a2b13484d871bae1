"""The three ZooKeeper hosts of docs/seed-deployment.md as they are written there, and a fourth machine for clients.

Every host is a network namespace with its address and a /usr/local/zk of its own, so that the ports are 2181, 2888 and
3888 and zoo.cfg is the text that people copy. The process that makes them leaves the machine's own network first.

(tests/integration/seed_deployment.py goes through the steps by which people set these hosts up.)

    with seed_network() as network, SeedEnsemble(folder, ["pyzk"] * 3, network) as ensemble:
        ensemble.start_in_turn()
"""

import contextlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kazoo.client import KazooClient

from tests.integration.ensemble import FORM_TIMEOUT_S, Ensemble, Member
from tests.integration.namespaces import Network, leave_the_machine
from tests.integration.processes import eventually
from tests.integration.seed_deployment import ADDRESSES, CONFIGURATION
from tests.interop.maven import UnavailableError

PORTS = (2181, 2888, 3888)
LOCAL = Path("/usr/local")
HOME = LOCAL / "zk"
# A mount point of every machine, empty in the mounts of our own.
SPARE = Path("/mnt")
# The host's own folder becomes its /usr/local/zk; ip netns exec has made the mounts private already.
ON_ITS_HOST = f'mount --bind "$0" {HOME} && exec "$@"'


# With SASL: the servers know one user, whom clients prove to be by DIGEST-MD5.
USER, PASSWORD = "kafka", "kafka-secret"
LOGIN_MODULE = "org.apache.zookeeper.server.auth.DigestLoginModule required"
CLIENT_JAAS = f'Client {{ {LOGIN_MODULE} username="{USER}" password="{PASSWORD}"; }};\n'
SERVER_JAAS = f'Server {{ {LOGIN_MODULE} user_{USER}="{PASSWORD}"; }};\n'
JAAS_SETTING = f"java.security.auth.login.config={HOME}/conf/jaas.conf"
SASL_CONFIGURATION = f"""\
authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider
{JAAS_SETTING}
"""


class SeedServer(Member):
    """One of the three; `folder` is what its host knows as /usr/local/zk."""

    def __init__(self, folder: Path, sid: int, kind: str, network: Network, *, with_sasl: bool) -> None:
        self._with_sasl = with_sasl
        super().__init__(folder, sid, kind, network.hosts[sid], ports=PORTS)
        self.config_path = HOME / "conf" / "zoo.cfg"
        self.prefix = (*network.inside(sid), "sh", "-c", ON_ITS_HOST, str(folder))

    def configure(self, _: Mapping[str, object]) -> None:
        for name in ("conf", "logs"):
            (self.folder / name).mkdir(exist_ok=True)
        conf = self.folder / "conf"
        conf.joinpath("zoo.cfg").write_text(CONFIGURATION + SASL_CONFIGURATION * self._with_sasl)
        if self._with_sasl:
            conf.joinpath("jaas.conf").write_text(SERVER_JAAS)
            self.java_flags = (f"-D{JAAS_SETTING}",)


class SeedEnsemble(Ensemble):
    """The ensemble of these three, each of one of the kinds of `Ensemble`.

    With `with_sasl` its servers know USER, and clients are USER.
    """

    def __init__(self, folder: Path, kinds: Sequence[str], network: Network, *, with_sasl: bool = False) -> None:
        super().__init__(folder, [])
        self._with_sasl = with_sasl
        for sid, kind in enumerate(kinds, start=1):
            self.members[sid] = SeedServer(folder / f"zk-{sid}", sid, kind, network, with_sasl=with_sasl)

    def client(self, *sids: int, timeout_s: float = 30.0, **options: object) -> KazooClient:
        if self._with_sasl:
            options = {"sasl_options": {"mechanism": "DIGEST-MD5", "username": USER, "password": PASSWORD}, **options}
        return super().client(*sids, timeout_s=timeout_s, **options)

    @contextlib.contextmanager
    def stranger(self) -> Iterator[KazooClient]:
        """A client that does not say who it is."""
        with self.talking(sasl_options=None) as client:
            yield client

    def start_in_turn(self) -> None:
        """Start host after host; the first answers, and serves once the second is there."""
        for sid, member in self.members.items():
            member.launch()
            if sid == 1:
                eventually(lambda: self.members[1].word("srvr"), "an answer of the first host", FORM_TIMEOUT_S)
                assert "not currently serving requests" in self.members[1].word("srvr")
            else:
                self.wait_until_serving(*range(1, sid + 1))


@contextlib.contextmanager
def seed_network() -> Iterator[Network]:
    """The three hosts, ready for servers; this process is on the machine beside them, 192.168.170.254.

    Raises:
        UnavailableError: this machine does not permit namespaces.
    """
    leave_the_machine()
    make_home()
    with Network(hosts=ADDRESSES) as network:
        yield network


def make_home() -> None:
    """Lay an empty /usr/local/zk over /usr/local, for this process and what it starts: /mnt holds it for them."""
    options = f"lowerdir={LOCAL},upperdir={SPARE}/upper,workdir={SPARE}/work"
    try:
        _mount("-t", "tmpfs", "tmpfs", str(SPARE))
        for name in ("upper", "work"):
            (SPARE / name).mkdir()
        _mount("-t", "overlay", "overlay", "-o", options, str(LOCAL))
        HOME.mkdir(exist_ok=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnavailableError(f"{HOME} cannot be laid over this machine's: {error}") from None


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True, text=True)
