"""Apache's own servers as a peer to compare with: Debian's 3.8.0 and Maven's 3.9.5.

Nothing is installed into the system: maven.py fetches into a cache outside the repository. Where Java, the package or
the registry is missing, `UnavailableError` says which.
"""

from pathlib import Path
from typing import Any

from tests.integration.processes import ServerProcess
from tests.interop.maven import UnavailableError, cache_folder, jars, need

__all__ = ["ApacheServer", "UnavailableError", "cache_folder", "class_path", "java_command", "need"]

DEBIAN_JAR = Path("/usr/share/java/zookeeper.jar")
RELEASE = "3.9.5"
VERSIONS = ("3.8", "3.9")
MAIN_CLASS = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
# zookeeper's own artifact calls these three "provided", yet neither the server nor its shell starts without them.
ARTIFACTS = (
    f"org.apache.zookeeper:zookeeper:{RELEASE}",
    "io.dropwizard.metrics:metrics-core:4.1.12.1",
    "org.xerial.snappy:snappy-java:1.1.10.5",
    "commons-cli:commons-cli:1.5.0",
    "org.slf4j:slf4j-simple:2.0.13",
)
# What the admin server and the provider for Prometheus need beside that. The provider's sources in 3.9.5, whose jar is
# not everywhere to be had, are those of 3.9.4.
METRICS_ARTIFACTS = (
    *ARTIFACTS,
    "org.apache.zookeeper:zookeeper-prometheus-metrics:3.9.4",
    "org.eclipse.jetty:jetty-servlet:9.4.57.v20241219",
    "com.fasterxml.jackson.core:jackson-databind:2.15.2",
)
# Debian's log without a binding is empty; what a member did is read from its log.
DEBIAN_LOG_JAR = DEBIAN_JAR.with_name("slf4j-simple.jar")
# Debian's zookeeper.jar names only some of the Netty jars that TLS and its Netty server need.
NETTY = ("buffer", "codec", "common", "handler", "resolver", "transport")
LOG_FLAGS = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.showShortLogName=true",
)
JVM_FLAGS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8")


def class_path(version: str) -> str:
    """The Java class path of "3.8" (Debian's package) or "3.9" (Maven, fetched once)."""
    if version == "3.8":
        if not DEBIAN_JAR.exists():
            raise UnavailableError("Debian's libzookeeper-java is not installed")
        return ":".join(
            map(str, [DEBIAN_JAR, DEBIAN_LOG_JAR, *(DEBIAN_JAR.with_name(f"netty-{name}.jar") for name in NETTY)])
        )
    return f"{jars(f'apache-{RELEASE}', ARTIFACTS)}/*"


def metrics_flags() -> tuple[str, ...]:
    """Flags for a server of 3.9 that has the admin server and the provider for Prometheus.

    Raises:
        UnavailableError: Maven is missing, or cannot fetch them.
    """
    return ("-cp", f"{jars(f'apache-{RELEASE}-metrics', METRICS_ARTIFACTS)}/*")


def java_command(version: str, flags: tuple[str, ...] = ()) -> list[str]:
    """What starts a server of "3.8" or "3.9", up to the path of its zoo.cfg.

    Raises:
        UnavailableError: Java, the package or the registry is missing.
    """
    return [need("java"), *JVM_FLAGS, *LOG_FLAGS, "-cp", class_path(version), *flags, MAIN_CLASS]


class ApacheServer(ServerProcess):
    """A standalone Apache server; `flags` are system properties such as "-Dzookeeper.enforceQuota=true"."""

    def __init__(self, folder: Path, version: str = "3.9", flags: tuple[str, ...] = (), **options: Any) -> None:
        self._command = java_command(version, flags)
        super().__init__(folder, **options)

    def command(self) -> list[str]:
        return [*self._command, str(self.config_path)]
