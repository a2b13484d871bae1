"""What is done with Kafka on the seed's hosts, step by step, and what must hold after each."""

import itertools
import re
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Self

from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError, NoNodeError
from kazoo.security import OPEN_ACL_UNSAFE

from tests.integration.processes import eventually
from tests.interop.kafka_cluster import Cluster, ToolError, parsed
from tests.interop.seed import SeedEnsemble

TOPIC = "demo-topic"
PARTITIONS = 3
RECORDS = 100_000
RECORDS_DURING_FAILOVER = 200
START_TIMEOUT_S = 120.0
SESSION_TIMEOUT_S = 18.0
# A session ends within a tick of its timeout; the rest is for two busy cores.
TAKEOVER_TIMEOUT_S = SESSION_TIMEOUT_S + 30.0
DELETION_TIMEOUT_S = 60.0

Owner = tuple[int, int]


class Deployment:
    """Servers, brokers, and a client of all servers that looks at what Kafka keeps there."""

    def __init__(self, ensemble: SeedEnsemble, cluster: Cluster, client: KazooClient) -> None:
        self.ensemble = ensemble
        self.cluster = cluster
        self.client = client

    def at(self, path: str) -> str:
        return f"{self.cluster.release.chroot}{path}"

    def data(self, path: str) -> bytes:
        """Raises NoNodeError."""
        found: bytes = self.client.retry(self.client.get, self.at(path))[0]
        return found

    def names(self, path: str) -> set[str]:
        try:
            return set(self.client.retry(self.client.get_children, self.at(path)))
        except NoNodeError:
            return set()

    def controller(self) -> int:
        """The number of the broker that is controller, -1 without one."""
        try:
            return int(str(parsed(self.data("/controller"))["brokerid"]))
        except NoNodeError:
            return -1

    def epoch(self) -> int:
        return int(self.data("/controller_epoch"))

    def owners(self) -> dict[str, Owner]:
        """Session and broker epoch (czxid) of every broker's znode and of the controller's."""
        paths = [f"/brokers/ids/{name}" for name in sorted(self.names("/brokers/ids"))]
        stats = {path: self.client.retry(self.client.exists, self.at(path)) for path in [*paths, "/controller"]}
        return {path: (stat.ephemeralOwner, stat.czxid) for path, stat in stats.items() if stat is not None}

    def in_sync(self, topic: str) -> bool:
        """Whether each partition has a leader and all its replicas in sync."""
        try:
            described = self.cluster.topics("--describe", "--topic", topic)
        except ToolError as error:
            assert "does not exist" in str(error)  # not every broker has heard of it yet
            return False
        rows = re.findall(r"Leader: (\S+)\s+Replicas: (\S+)\s+Isr: (\S+)", described)
        return bool(rows) and all(
            leader != "none" and sorted(replicas.split(",")) == sorted(isr.split(",")) for leader, replicas, isr in rows
        )


def form(deployment: Deployment) -> str:
    """Three hosts in turn: one leads, `ls /` shows the system's znode only, a znode is seen on every host."""
    ensemble = deployment.ensemble
    modes = sorted(member.mode for member in ensemble.members.values())
    assert modes == ["follower", "follower", "leader"], modes
    assert ensemble.leader() == 2, f"server {ensemble.leader()} leads"
    with ensemble.talking(1) as one:
        assert one.get_children("/") == ["zookeeper"], one.get_children("/")
        one.create("/seen-everywhere", b"yes")
    for sid in ensemble.members:
        with ensemble.talking(sid) as other:
            other.sync("/")
            assert other.get("/seen-everywhere")[0] == b"yes"
    deployment.client.delete("/seen-everywhere")
    return "server 2 leads"


def register(deployment: Deployment) -> str:
    """The brokers start together; one cluster id, three ephemeral znodes, one controller of epoch 1."""
    cluster = deployment.cluster
    for broker in cluster.brokers.values():
        broker.launch()
    wait_for_brokers(deployment, *cluster.brokers)
    eventually(lambda: deployment.controller() >= 0, "a broker is controller", START_TIMEOUT_S)
    assert deployment.epoch() == 1, deployment.epoch()
    identity = parsed(deployment.data("/cluster/id"))["id"]
    for broker in cluster.brokers.values():
        logged = broker.logged()
        assert f"Cluster ID = {identity}" in logged
        assert f"Registered broker {broker.number} at path /brokers/ids/{broker.number}" in logged
        assert "negotiated timeout = 18000" in logged
    assert all(session for session, _ in deployment.owners().values())
    elected = [broker.number for broker in cluster.brokers.values() if "elected as the controller" in broker.logged()]
    assert elected == [deployment.controller()], elected
    return f"controller is broker {elected[0]}"


def wait_for_brokers(deployment: Deployment, *numbers: int) -> None:
    def started() -> bool:
        for number in numbers:
            broker = deployment.cluster[number]
            assert broker.running, f"broker {number} has ended: {broker.log_tail()}"
        return all(
            deployment.cluster[number].logged().count("started (kafka.server.KafkaServer)") for number in numbers
        )

    eventually(started, f"brokers {numbers} have started", START_TIMEOUT_S)
    assert deployment.names("/brokers/ids") >= {str(number) for number in numbers}


def make_topic(deployment: Deployment) -> str:
    """demo-topic: two replicas of three partitions; listed, described, and its znodes as Kafka's readers expect."""
    cluster = deployment.cluster
    made = cluster.topics("--create", "--replication-factor", "2", "--partitions", str(PARTITIONS), "--topic", TOPIC)
    assert f"Created topic {TOPIC}." in made, made
    assert cluster.topics("--list").split() == [TOPIC]
    described = cluster.topics("--describe", "--topic", TOPIC)
    assert described.count(f"Topic: {TOPIC}\t") == PARTITIONS + 1, described
    eventually(lambda: deployment.in_sync(TOPIC), "all replicas in sync", START_TIMEOUT_S)
    replicas = parsed(deployment.data(f"/brokers/topics/{TOPIC}"))["partitions"]
    assert isinstance(replicas, dict)
    assert sorted(replicas) == ["0", "1", "2"]
    assert all(len(brokers) == 2 for brokers in replicas.values())
    assert parsed(deployment.data("/feature"))["status"] == 1
    return described.splitlines()[0].replace("\t", " ")


def records(deployment: Deployment) -> str:
    """100,000 records in, 100,000 out: each once. The producer is idempotent, as Kafka 3's is by default."""
    cluster = deployment.cluster
    sent = [f"record {number}" for number in range(RECORDS)]
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as lines:
        lines.write("\n".join(sent) + "\n")
        lines.flush()
        lines.seek(0)
        cluster.tool(
            "kafka-console-producer", "--bootstrap-server", cluster[1].address, "--topic", TOPIC, on=1, stdin=lines
        )
    produced = time.monotonic()
    assert cluster.end_offsets(TOPIC) == RECORDS
    each_once(sent, cluster.consume(TOPIC, RECORDS, on=2))
    assert deployment.names("/brokers/topics/__consumer_offsets/partitions") == {str(number) for number in range(50)}
    return f"produced in {produced - began:.1f} s, consumed in {time.monotonic() - produced:.1f} s"


def each_once(sent: Iterable[str], received: Iterable[str]) -> None:
    wanted, got = Counter(sent), Counter(received)
    assert not wanted - got, f"lost: {list((wanted - got).elements())[:5]}"
    assert not got - wanted, f"doubled or foreign: {list((got - wanted).elements())[:5]}"


CONFIGURATIONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("topics", "--entity-name", TOPIC), "retention.ms=3600000"),
    (("brokers", "--entity-name", "1"), "log.cleaner.threads=2"),
    (("brokers", "--entity-default"), "log.retention.ms=86400000"),
    (("clients", "--entity-name", "limited"), "producer_byte_rate=1048576"),
    (("users", "--entity-default"), "consumer_byte_rate=2097152"),
    (
        ("users", "--entity-name", "ann", "--entity-type", "clients", "--entity-name", "limited"),
        "request_percentage=50",
    ),
    (("ips", "--entity-name", "192.168.170.254"), "connection_creation_rate=100"),
    (("users", "--entity-name", "bob"), "SCRAM-SHA-256=[iterations=4096,password=secret]"),
)


def configure(deployment: Deployment) -> str:
    """Settings of topics and brokers, quotas and credentials: set, described, one taken back; brokers are notified."""
    cluster = deployment.cluster
    for entity, setting in CONFIGURATIONS:
        cluster.configs("--alter", "--entity-type", *entity, "--add-config", setting)
        described = cluster.configs("--describe", "--entity-type", *entity)
        key, _, value = setting.partition("=")
        assert key in described, described
        assert key.startswith("SCRAM") or value.partition(".")[0] in described, described
    cluster.configs("--alter", "--entity-type", "topics", "--entity-name", TOPIC, "--delete-config", "retention.ms")
    # Past the brokers, straight into ZooKeeper, as it is done before the first broker of a secured cluster starts.
    cluster.tool(
        *("kafka-configs", "--zookeeper", cluster.connect, "--alter", "--entity-type", "users"),
        *("--entity-name", "carol", "--add-config", "SCRAM-SHA-512=[iterations=4096,password=secret]"),
    )
    notices = len(deployment.names("/config/changes"))
    assert notices == len(CONFIGURATIONS) + 2, notices
    for broker in cluster.brokers.values():
        eventually(lambda broker=broker: "users/carol" in broker.logged(), f"broker {broker.number} hears of it")
    return f"{notices} changes"


def shell(deployment: Deployment) -> str:
    """Kafka's zookeeper-shell: ls, get, stat, create, set, delete."""
    say = deployment.cluster.zookeeper_shell
    for words, answer in (
        (("ls", "/brokers/ids"), "[0, 1, 2]"),
        (("ls", "/brokers/topics"), f"[__consumer_offsets, {TOPIC}]"),
        (("get", "/controller"), f'"brokerid":{deployment.controller()}'),
        (("get", "/controller_epoch"), "1"),
        (("stat", "/controller_epoch"), "dataVersion = 1"),
        (("create", "/by-hand", "one"), ""),
        (("get", "/by-hand"), "one"),
    ):
        printed = say(*words)
        assert answer in printed, f"{words}: {printed}"
    say("set", "/by-hand", "two")
    assert "two" in say("get", "/by-hand").splitlines()
    say("delete", "/by-hand")
    assert deployment.client.exists(deployment.at("/by-hand")) is None
    return ""


def more_partitions(deployment: Deployment) -> str:
    """A second topic grows from one partition to four."""
    cluster = deployment.cluster
    cluster.topics("--create", "--replication-factor", "3", "--partitions", "1", "--topic", "grows")
    cluster.topics("--alter", "--topic", "grows", "--partitions", "4")
    expected = {str(number) for number in range(4)}
    eventually(
        lambda: deployment.names("/brokers/topics/grows/partitions") == expected, "four partitions", DELETION_TIMEOUT_S
    )
    eventually(lambda: deployment.in_sync("grows"), "all in sync", START_TIMEOUT_S)
    return ""


def kill_controller(deployment: Deployment) -> str:
    """kill -9 of the controller: its session ends, another broker takes over with the next epoch; then it returns."""
    cluster = deployment.cluster
    old, epoch = deployment.controller(), deployment.epoch()
    cluster[old].kill()
    began = time.monotonic()
    eventually(lambda: deployment.controller() not in {-1, old}, "another controller", TAKEOVER_TIMEOUT_S)
    taken_s = time.monotonic() - began
    eventually(lambda: deployment.epoch() == epoch + 1, "the next epoch", START_TIMEOUT_S)
    assert str(old) not in deployment.names("/brokers/ids")
    start_again(deployment, old)
    return f"broker {deployment.controller()} takes over after {taken_s:.1f} s, epoch {deployment.epoch()}"


def start_again(deployment: Deployment, number: int) -> None:
    broker = deployment.cluster[number]
    broker.log_path.rename(broker.log_path.with_suffix(".first.log"))
    broker.launch()
    wait_for_brokers(deployment, number)
    eventually(lambda: deployment.in_sync(TOPIC), "all replicas in sync", START_TIMEOUT_S)


class Producer:
    """A console producer that is fed numbered records until the `with` block ends; `sent` are all of them."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        words = ("--bootstrap-server", cluster.bootstrap, "--topic", topic)
        self._command = cluster.command("kafka-console-producer", *words)
        self._enough = threading.Event()
        self._feeder = threading.Thread(target=self._feed)
        self.sent: list[str] = []
        self.errors = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._feeder.start()
        return self

    def _feed(self) -> None:
        assert self._process.stdin is not None
        for number in itertools.count():
            self._process.stdin.write(f"meanwhile {number}\n")
            self._process.stdin.flush()
            self.sent.append(f"meanwhile {number}")
            if self._enough.wait(0.02):
                break

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._feeder.join()
        _, self.errors = self._process.communicate(timeout=START_TIMEOUT_S)

    def wait_for_more(self) -> None:
        count = len(self.sent) + RECORDS_DURING_FAILOVER
        eventually(lambda: len(self.sent) >= count, "more records", START_TIMEOUT_S)


def kill_server(deployment: Deployment) -> str:
    """kill -9 of the server that leads, under a producer: the brokers keep their sessions, and the cluster goes on."""
    ensemble, cluster = deployment.ensemble, deployment.cluster
    cluster.topics("--create", "--replication-factor", "3", "--partitions", "3", "--topic", "meanwhile")
    before = deployment.owners()
    with Producer(cluster, "meanwhile") as producer:
        producer.wait_for_more()
        old = ensemble.leader()
        ensemble.kill(old)
        began = time.monotonic()
        ensemble.wait_until_serving(*ensemble.running)
        formed_s = time.monotonic() - began
        cluster.topics("--create", "--replication-factor", "2", "--partitions", "3", "--topic", "without-it")
        eventually(lambda: deployment.in_sync("without-it"), "a topic made meanwhile", START_TIMEOUT_S)
        producer.wait_for_more()
        ensemble[old].launch()
        ensemble.wait_until_serving(old)
        assert ensemble[old].mode == "follower"
        producer.wait_for_more()
    assert deployment.owners() == before, f"{deployment.owners()} and before {before}"
    assert cluster.end_offsets("meanwhile") == len(producer.sent), producer.errors[-1000:]
    each_once(producer.sent, cluster.consume("meanwhile", len(producer.sent)))
    ensemble.wait_until_level()
    return f"server {old} killed, others serve after {formed_s:.1f} s; {len(producer.sent)} records, none lost"


def delete_topics(deployment: Deployment) -> str:
    """Deleted topics leave nothing in ZooKeeper."""
    for topic in ("meanwhile", "without-it", "grows"):
        deployment.cluster.topics("--delete", "--topic", topic)

    def gone() -> bool:
        left = deployment.names("/brokers/topics") | deployment.names("/config/topics")
        return left == {"__consumer_offsets", TOPIC} and not deployment.names("/admin/delete_topics")

    eventually(gone, "the topics are gone", DELETION_TIMEOUT_S)
    return ""


def protect(deployment: Deployment) -> str:
    """Strangers read what is no secret, change nothing, and see no credentials; Kafka's tool opens and closes all."""
    ensemble, at = deployment.ensemble, deployment.at
    protected = at(f"/config/topics/{TOPIC}")
    with ensemble.stranger() as stranger:
        assert stranger.get(at("/controller_epoch"))[0] == b"2"
        assert refused(stranger.get, at("/config/users/bob"))
        for path in (at("/controller_epoch"), protected, at("/brokers/topics"), at("/config/users")):
            assert refused(stranger.create, f"{path}/by-a-stranger"), path
        assert refused(stranger.set, protected, b"{}")
        assert refused(stranger.set_acls, protected, OPEN_ACL_UNSAFE)
        assert refused(stranger.delete, protected)
        migrate(deployment, "unsecure")
        assert stranger.get_acls(protected)[0] == OPEN_ACL_UNSAFE
        migrate(deployment, "secure")
        assert refused(stranger.set, protected, b"{}")
    return "opened and closed again by zookeeper-security-migration"


def refused(call: Callable[..., object], *arguments: object) -> bool:
    """Whether a call of a client is not permitted."""
    try:
        call(*arguments)
    except NoAuthError:
        return True
    return False


def migrate(deployment: Deployment, to: str) -> None:
    cluster = deployment.cluster
    cluster.tool("zookeeper-security-migration", f"--zookeeper.acl={to}", "--zookeeper.connect", cluster.connect)


def stop(deployment: Deployment) -> str:
    """SIGTERM, broker by broker: each leaves cleanly, its znode goes at once, and the last leaves no controller."""
    cluster = deployment.cluster
    expired = [broker.number for broker in cluster.brokers.values() if "has expired" in broker.logged()]
    assert not expired, f"sessions of brokers {expired} have expired"
    for number, broker in cluster.brokers.items():
        broker.stop()
        assert str(number) not in deployment.names("/brokers/ids")
    eventually(lambda: deployment.controller() == -1, "no controller")
    complaints = [line for broker in cluster.brokers.values() for line in broker.complaints()]
    ours = [line for line in complaints if re.search(r"zookeeper|KeeperException|session", line, re.IGNORECASE)]
    assert not ours, ours
    return f"their logs have {len(complaints)} lines at level ERROR, none about ZooKeeper"


Step = tuple[str, Callable[[Deployment], str]]
BEFORE_STOP: tuple[Step, ...] = (
    ("three servers form an ensemble", form),
    ("brokers register and elect a controller", register),
    ("a topic is created, listed, described", make_topic),
    ("100,000 records, each once", records),
    ("settings, quotas, credentials", configure),
    ("zookeeper-shell", shell),
    ("partitions are added", more_partitions),
    ("the controller is killed", kill_controller),
    ("the leading server is killed", kill_server),
    ("topics are deleted", delete_topics),
)
WITH_ACLS: tuple[Step, ...] = (("znodes are Kafka's alone", protect),)
