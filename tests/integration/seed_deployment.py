"""The deployment of docs/seed-deployment.md part 1, literally: three hosts, their addresses, paths and commands.

python -m tests.integration.seed_deployment FOLDER ZK     (ZK: what scripts/install-zk has made)

A program of its own, because it builds a network and puts files into /usr/local and /etc: it refuses to run unless it
is in a network and a mount namespace of its own (`enter` starts it there). Each host is a process in namespaces below
that, with a network, a name, and a /usr/local and /etc of its own; all of it is gone when the processes are.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

from kazoo.client import KazooClient

from tests.integration.processes import eventually, four_letter_word
from tests.interop.apache import UnavailableError

ADDRESSES = {1: "192.168.170.111", 2: "192.168.170.113", 3: "192.168.170.114"}
GATEWAY = "192.168.170.1"
HOSTS = ",".join(f"{address}:2181" for address in ADDRESSES.values())
CONFIGURATION = """\
tickTime=2000
initLimit=10
syncLimit=5
dataDir=/usr/local/zk/data
dataLogDir=/usr/local/zk/logs
clientPort=2181
server.1=192.168.170.111:2888:3888
server.2=192.168.170.113:2888:3888
server.3=192.168.170.114:2888:3888
"""
OUTSIDE = "PYZK_TEST_OUTSIDE"
STEP_SECONDS = 60
EXIT_REFUSED, EXIT_UNAVAILABLE = 3, 4
NOT_SERVING = "This ZooKeeper instance is not currently serving requests\n"
STATUS = "Client port found: 2181. Client address: localhost. Client SSL: false.\n"
# What `service` and init leave of an environment.
INIT_ENVIRONMENT = "env -i LANG=C PATH=/sbin:/usr/sbin:/bin:/usr/bin TERM=dumb"
# A layer over /usr/local and /etc that nobody else sees; then wait for the end of standard input.
HOST = """
set -e
hostname zk{number}
mount -t tmpfs zk{number} {folder}
for name in usr/local etc; do
    mkdir -p {folder}/upper/$name {folder}/scratch/$name
    mount -t overlay zk{number} -o lowerdir=/$name,upperdir={folder}/upper/$name,workdir={folder}/scratch/$name /$name
done
ip link set lo up
echo ready
exec cat
"""


def namespaces() -> str:
    """Which network and which files this process sees."""
    return " ".join(str(Path(f"/proc/self/ns/{name}").readlink()) for name in ("net", "mnt"))


def enter(*arguments: str) -> list[str]:
    """The command that runs this program in namespaces of its own."""
    unshare = ["unshare", "--net", "--mount", "--propagation", "private"]
    return ["env", f"{OUTSIDE}={namespaces()}", *unshare, sys.executable, "-m", __spec__.name, *arguments]


def refuse_outside() -> None:
    """End, unless network and mounts are others than those of whoever has started us."""
    outside = os.environ.get(OUTSIDE, "").split()
    if not outside or set(outside) & set(namespaces().split()):
        stop("this builds networks and writes to /usr/local: it runs in namespaces of its own only", EXIT_REFUSED)


def stop(reason: str, code: int) -> NoReturn:
    print(reason, file=sys.stderr)
    sys.exit(code)


class Host:
    """One of the three machines."""

    def __init__(self, number: int, folder: Path) -> None:
        self.number, self.address = number, ADDRESSES[number]
        folder.mkdir()
        script = HOST.format(number=number, folder=folder)
        self.process = subprocess.Popen(
            ["unshare", "--net", "--mount", "--uts", "--propagation", "private", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            raise UnavailableError(f"no layers over /usr/local here: {self.process.communicate()[1].strip()}")
        self._plug_in()

    def _plug_in(self) -> None:
        """A cable to the bridge."""
        for words in (
            f"link add port{self.number} type veth peer name eth0 netns {self.process.pid}",
            f"link set port{self.number} master lan up",
        ):
            subprocess.run(["ip", *words.split()], check=True)
        self.sh(f"ip address add {self.address}/24 dev eth0 && ip link set eth0 up")

    def sh(self, command: str) -> str:
        """What a command prints on this host. Raises CalledProcessError."""
        return self.run(command, check=True).stdout

    def run(self, command: str, *, check: bool = False) -> "subprocess.CompletedProcess[str]":
        words = ["nsenter", "-t", str(self.process.pid), "-n", "-m", "-u", "sh", "-c", command]
        return subprocess.run(words, capture_output=True, text=True, timeout=STEP_SECONDS, check=check)

    @property
    def srvr(self) -> str:
        return four_letter_word(2181, "srvr", 2.0, self.address)

    @property
    def mode(self) -> str:
        found = re.search("Mode: (.*)", self.srvr)
        return found[1] if found else ""

    def end(self) -> None:
        self.run("/usr/local/zk/bin/zkServer.sh stop")
        self.process.communicate(timeout=STEP_SECONDS)


@contextmanager
def three_hosts(folder: Path) -> Iterator[dict[int, Host]]:
    for words in (
        "link set lo up",
        "link add lan type bridge",
        f"address add {GATEWAY}/24 dev lan",
        "link set lan up",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    with ExitStack() as stack:
        hosts = {}
        for number in ADDRESSES:
            hosts[number] = Host(number, folder / f"host-{number}")
            stack.callback(hosts[number].end)
        yield hosts


def expect(found: object, wanted: object) -> None:
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


# The steps, as the table of docs/seed-deployment.md has them.


def prepare(hosts: dict[int, Host], distribution: Path) -> None:
    """Steps 1 to 4 on each host."""
    for number, host in hosts.items():
        host.sh(f"mkdir /usr/local/zk && tar -C {distribution} -c . | tar -C /usr/local/zk -x")
        host.sh("test -x /usr/local/zk/bin/zkServer.sh -a -x /usr/local/zk/bin/zkCli.sh -a -d /usr/local/zk/conf")
        host.sh("mkdir -p /usr/local/zk/data /usr/local/zk/logs")
        host.sh("cd /usr/local/zk && cp conf/zoo_sample.cfg conf/zoo.cfg")
        host.sh(f"cat > /usr/local/zk/conf/zoo.cfg <<'END'\n{CONFIGURATION}END")
        host.sh(f"echo {number} > /usr/local/zk/data/myid")


def start_and_ask(hosts: dict[int, Host]) -> None:
    """Steps 5 and 6."""
    first, second, third = hosts.values()
    start = "/usr/local/zk/bin/zkServer.sh start"
    expect(first.sh(start), "Starting zookeeper ... STARTED\n")
    expect(first.srvr, NOT_SERVING)
    alone = first.run("/usr/local/zk/bin/zkServer.sh status")
    expect((alone.returncode, alone.stdout), (1, STATUS + "Error contacting service. It is probably not running.\n"))
    expect(second.sh(start), "Starting zookeeper ... STARTED\n")
    eventually(lambda: first.mode and second.mode, "two hosts serve", STEP_SECONDS)
    expect(third.sh(start), "Starting zookeeper ... STARTED\n")
    eventually(lambda: third.mode, "the third serves", STEP_SECONDS)
    for host, mode in zip(hosts.values(), ("follower", "leader", "follower"), strict=True):
        expect(host.sh("/usr/local/zk/bin/zkServer.sh status"), f"{STATUS}Mode: {mode}\n")
        host.sh("cd /usr/local/zk && ls data/version-2/snapshot.* data/version-2/currentEpoch logs/version-2")
        expect(host.sh("cat /usr/local/zk/data/zookeeper_server.pid").isdecimal(), wanted=True)


def use(hosts: dict[int, Host]) -> None:
    """Steps 7 and 8."""
    cli = "/usr/local/zk/bin/zkCli.sh -server"
    expect(hosts[1].sh(f"{cli} 192.168.170.111:2181 ls /").splitlines()[-1], "[zookeeper]")
    hosts[1].sh(f"{cli} 192.168.170.111:2181 create /demo hello")
    for host in hosts.values():
        expect(host.sh(f"{cli} {host.address}:2181 get /demo").splitlines()[-1], "hello")


def lose_the_leader(hosts: dict[int, Host]) -> None:
    """Steps 9 and 10, with a client that stays."""
    leader = next(host for host in hosts.values() if host.mode == "leader")
    others = [host for host in hosts.values() if host is not leader]
    client = KazooClient(HOSTS, timeout=10.0)
    client.start(timeout=STEP_SECONDS)
    try:
        session = client.client_id
        client.create("/here", ephemeral=True)
        expect(leader.sh("/usr/local/zk/bin/zkServer.sh stop"), "Stopping zookeeper ... STOPPED\n")
        eventually(
            lambda: sorted(host.mode for host in others) == ["follower", "leader"], "another leads", STEP_SECONDS
        )
        client.retry(client.set, "/demo", b"later")
        expect((client.client_id, client.exists("/here").owner_session_id), (session, session[0]))
        leader.sh("/usr/local/zk/bin/zkServer.sh start")
        eventually(lambda: leader.mode == "follower", "it follows", STEP_SECONDS)
        get = f"/usr/local/zk/bin/zkCli.sh -server {leader.address}:2181 get /demo"
        expect(leader.sh(get).splitlines()[-1], "later")
        expect(client.client_id, session)
    finally:
        client.stop()
        client.close()


def run_as_a_service(hosts: dict[int, Host]) -> None:
    """Section 1.2, on one host: a follower, because a leader that is back soon enough may lead again."""
    host = next(host for host in hosts.values() if host.mode == "follower")
    service = f"cd / && {INIT_ENVIRONMENT} /etc/init.d/zk"
    host.sh("cp /usr/local/zk/conf/service/zk /etc/init.d/zk && chmod 755 /etc/init.d/zk")
    # The stand-in for `chkconfig --add zk`: levels and order out of the header.
    host.sh(
        "set -- $(sed -n 's/^# chkconfig: //p' /etc/init.d/zk); for level in $(echo $1 | sed 's/./& /g'); do "
        "mkdir -p /etc/rc$level.d; ln -s ../init.d/zk /etc/rc$level.d/S$2zk; done; test -x /etc/rc3.d/S20zk"
    )
    host.sh(f"{service} restart")
    eventually(lambda: host.mode == "follower", "it follows", STEP_SECONDS)
    expect(host.sh(f"{service} status"), f"{STATUS}Mode: follower\n")
    expect(host.run(f"{service} start").returncode, 1)
    expect(host.sh(f"{service} stop && {service} start").splitlines()[-1], "Starting zookeeper ... STARTED")
    eventually(lambda: host.mode == "follower", "it follows", STEP_SECONDS)
    began = time.monotonic()
    host.sh("ln -s /usr/local/zk/bin/zkServer.sh /usr/local/zk-link")
    host.sh("cd /usr/local && env -i ./zk-link stop && env -i ./zk-link start")
    print(f"stop and start through a link take {time.monotonic() - began:.1f} s")


def main() -> None:
    refuse_outside()
    folder, distribution = (Path(word) for word in sys.argv[1:])
    try:
        with three_hosts(folder) as hosts:
            prepare(hosts, distribution)
            for steps in (start_and_ask, use, lose_the_leader, run_as_a_service):
                began = time.monotonic()
                steps(hosts)
                print(f"{steps.__name__}: {time.monotonic() - began:.1f} s", flush=True)
    except UnavailableError as error:
        stop(str(error), EXIT_UNAVAILABLE)
    except subprocess.CalledProcessError as error:
        stop(f"{error}\n{error.stdout}\n{error.stderr}", 1)


if __name__ == "__main__":
    main()
