"""Three Kafka brokers on the hosts of seed.py, and Kafka's command line tools.

Maven has Kafka's jars and not its `bin`: each script is `java -cp libs/* CLASS "$@"` with a log4j.properties, so
`Release.classes` names the class that the script of a release calls.
"""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Self

from tests.integration.namespaces import Network
from tests.integration.processes import ServerProcess
from tests.interop.maven import jars, need
from tests.interop.seed import CLIENT_JAAS

PORT = 9092
TOOL_TIMEOUT_S = 180
BROKER_FLAGS = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
TOOL_FLAGS = ("-Xmx128m", *BROKER_FLAGS[1:])
# The values of Kafka's own config/server.properties; above them what the deployment edits.
STOCK_PROPERTIES = """\
num.network.threads=3
num.io.threads=8
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.retention.check.interval.ms=300000
group.initial.rebalance.delay.ms=0
"""
LOG4J = """\
log4j.rootLogger={level}, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.target={target}
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n
"""
BINDING = "org.slf4j:slf4j-reload4j:1.7.36"


@dataclass(frozen=True)
class Release:
    """One release of Kafka: what Maven fetches, the class behind each script, and where its znodes are.

    With `with_acls` the brokers log in (SASL) and keep what they write to themselves (zookeeper.set.acl).
    """

    version: str
    artifacts: tuple[str, ...]
    classes: Mapping[str, str]
    chroot: str = ""
    with_acls: bool = False

    @property
    def name(self) -> str:
        return f"kafka-{self.version}{'-acl' * self.with_acls}"

    @property
    def class_path(self) -> str:
        return f"{jars(f'kafka-{self.version}', self.artifacts)}/*"


SHELL = "org.apache.zookeeper.ZooKeeperMainWithTlsSupportForKafka"
KAFKA_340 = Release(
    "3.4.0",
    ("org.apache.kafka:kafka_2.13:3.4.0", BINDING),
    {
        "kafka-server-start": "kafka.Kafka",
        "kafka-topics": "kafka.admin.TopicCommand",
        "kafka-console-producer": "kafka.tools.ConsoleProducer",
        "kafka-console-consumer": "kafka.tools.ConsoleConsumer",
        "kafka-configs": "kafka.admin.ConfigCommand",
        "kafka-get-offsets": "kafka.tools.GetOffsetShell",
        "zookeeper-shell": SHELL,
        "zookeeper-security-migration": "kafka.admin.ZkSecurityMigrator",
    },
)
KAFKA_340_ACL = replace(KAFKA_340, with_acls=True)
KAFKA_392 = Release(
    "3.9.2",
    ("org.apache.kafka:kafka_2.13:3.9.2", "org.apache.kafka:kafka-tools:3.9.2", BINDING),
    {
        "kafka-server-start": "kafka.Kafka",
        "kafka-topics": "org.apache.kafka.tools.TopicCommand",
        "kafka-console-producer": "kafka.tools.ConsoleProducer",
        "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
        "kafka-configs": "kafka.admin.ConfigCommand",
        "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
        "zookeeper-shell": SHELL,
    },
    chroot="/kafka",
)


class ToolError(AssertionError):
    """A tool of Kafka ended with an error; the message has its output."""


class Broker(ServerProcess):
    """Broker `number` on a host; its data, properties and log are in `folder`."""

    stop_timeout_s = 60.0

    def __init__(self, folder: Path, number: int, host: str, prefix: tuple[str, ...], properties: str) -> None:
        self.number, self.host, self.prefix = number, host, prefix
        self.properties = properties
        self.program: list[str] = []
        super().__init__(folder, PORT)

    def configure(self, _: Mapping[str, object]) -> None:
        self.config_path = self.folder / "server.properties"
        own = f"broker.id={self.number}\nlisteners=PLAINTEXT://{self.host}:{PORT}\nlog.dirs={self.data_dir}\n"
        self.config_path.write_text(own + self.properties)

    def command(self) -> list[str]:
        return [*self.prefix, *self.program, str(self.config_path)]

    @property
    def address(self) -> str:
        return f"{self.host}:{PORT}"

    def logged(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def complaints(self) -> list[str]:
        """Lines of its log at level ERROR or FATAL."""
        return re.findall(r"^\[[^]]*\] (?:ERROR|FATAL) .*", self.logged(), re.MULTILINE)


class Cluster:
    """The brokers of one release, and its tools, which run on the same hosts.

    Args:
        folder: each broker's files are in kafka-N below it.
        connect: `zookeeper.connect` without the chroot.
    """

    def __init__(self, folder: Path, release: Release, network: Network, connect: str) -> None:
        self.release = release
        self.network = network
        self.connect = connect + release.chroot
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name, level, target in (("broker", "INFO", "System.out"), ("tool", "WARN", "System.err")):
            (folder / f"{name}-log4j.properties").write_text(LOG4J.format(level=level, target=target))
        (folder / "jaas.conf").write_text(CLIENT_JAAS)
        properties = f"zookeeper.connect={self.connect}\nzookeeper.connection.timeout.ms=18000\n{STOCK_PROPERTIES}"
        properties += "zookeeper.set.acl=true\n" * release.with_acls
        self.brokers = {
            sid - 1: Broker(folder / f"kafka-{sid}", sid - 1, host, network.inside(sid), properties)
            for sid, host in network.hosts.items()
        }
        for broker in self.brokers.values():
            broker.program = self._java("kafka-server-start", "broker", BROKER_FLAGS)

    def __getitem__(self, number: int) -> Broker:
        return self.brokers[number]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for broker in self.brokers.values():
            broker.kill()

    def _java(self, script: str, log: str, flags: Iterable[str]) -> list[str]:
        logging = f"-Dlog4j.configuration=file:{self.folder}/{log}-log4j.properties"
        login = [f"-Djava.security.auth.login.config={self.folder}/jaas.conf"] if self.release.with_acls else []
        return [need("java"), *flags, logging, *login, "-cp", self.release.class_path, self.release.classes[script]]

    @property
    def bootstrap(self) -> str:
        return ",".join(broker.address for broker in self.brokers.values())

    def command(self, script: str, *words: str, on: int = 0) -> list[str]:
        """The command line of a tool on the host of broker `on`."""
        return [*self.brokers[on].prefix, *self._java(script, "tool", TOOL_FLAGS), *words]

    def tool(self, script: str, *words: str, on: int = 0, stdin: IO[str] | None = None) -> str:
        """Run a tool to its end; what it printed.

        Raises:
            ToolError: it failed, or did not end.
        """
        try:
            done = subprocess.run(
                self.command(script, *words, on=on),
                stdin=stdin or subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=TOOL_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise ToolError(f"{script} {' '.join(words)}: no end in {TOOL_TIMEOUT_S} s: {late.output!r}") from None
        if done.returncode != 0:
            raise ToolError(f"{script} {' '.join(words)}: {done.stdout[-1500:]}\n{done.stderr[-1500:]}")
        return done.stdout

    def topics(self, *words: str) -> str:
        return self.tool("kafka-topics", "--bootstrap-server", self.bootstrap, *words)

    def configs(self, *words: str) -> str:
        return self.tool("kafka-configs", "--bootstrap-server", self.bootstrap, *words)

    def end_offsets(self, topic: str) -> int:
        """How many records the partitions of a topic have been given, together."""
        printed = self.tool("kafka-get-offsets", "--bootstrap-server", self.bootstrap, "--topic", topic)
        return sum(int(line.rpartition(":")[2]) for line in printed.splitlines() if line.startswith(f"{topic}:"))

    def consume(self, topic: str, count: int, on: int = 0) -> list[str]:
        """The first `count` records of a topic, from the beginning."""
        printed = self.tool(
            *("kafka-console-consumer", "--bootstrap-server", self.brokers[on].address, "--topic", topic),
            *("--from-beginning", "--max-messages", str(count), "--timeout-ms", "60000"),
            on=on,
        )
        return printed.splitlines()

    def zookeeper_shell(self, *words: str) -> str:
        """What Kafka's shell for ZooKeeper prints for one command."""
        return self.tool("zookeeper-shell", "-server", self.connect, *words)


def parsed(data: bytes) -> dict[str, object]:
    """The JSON that Kafka keeps in a znode."""
    value = json.loads(data)
    assert isinstance(value, dict)
    return value
