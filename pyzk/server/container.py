"""The first process of a container: makes zoo.cfg and myid out of variables, then becomes the server.

The variables are those of the official ZooKeeper image, and the commonest of Bitnami's (docs/containers.md). A
configuration that somebody has mounted at /conf/zoo.cfg is taken as it is. One that we make stands on the volume,
because reconfiguration goes on writing it; from then on it is left alone.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pyzk.server.control.address import read_values

LINKED = Path("/conf/zoo.cfg")
"""Where scripts look; in the image a link to MADE, which a mounted file takes the place of."""
MADE = Path("/data/zoo.cfg")

# Variable -> key. With a default the line is always there; the defaults are the official image's.
KEYS: dict[str, tuple[str, str]] = {
    "ZOO_DATA_DIR": ("dataDir", "/data"),
    "ZOO_DATA_LOG_DIR": ("dataLogDir", "/datalog"),
    "ZOO_TICK_TIME": ("tickTime", "2000"),
    "ZOO_INIT_LIMIT": ("initLimit", "5"),
    "ZOO_SYNC_LIMIT": ("syncLimit", "2"),
    "ZOO_MAX_CLIENT_CNXNS": ("maxClientCnxns", "60"),
    "ZOO_STANDALONE_ENABLED": ("standaloneEnabled", "true"),
    "ZOO_ADMINSERVER_ENABLED": ("admin.enableServer", "true"),
    "ZOO_AUTOPURGE_PURGEINTERVAL": ("autopurge.purgeInterval", ""),
    "ZOO_AUTOPURGE_SNAPRETAINCOUNT": ("autopurge.snapRetainCount", ""),
    "ZOO_4LW_COMMANDS_WHITELIST": ("4lw.commands.whitelist", ""),
    # Bitnami's.
    "ZOO_AUTOPURGE_INTERVAL": ("autopurge.purgeInterval", ""),
    "ZOO_AUTOPURGE_RETAIN_COUNT": ("autopurge.snapRetainCount", ""),
    "ZOO_ENABLE_ADMIN_SERVER": ("admin.enableServer", ""),
    "ZOO_ADMIN_SERVER_PORT_NUMBER": ("admin.serverPort", ""),
    "ZOO_MAX_CNXNS": ("maxCnxns", ""),
    "ZOO_MIN_SESSION_TIMEOUT": ("minSessionTimeout", ""),
    "ZOO_MAX_SESSION_TIMEOUT": ("maxSessionTimeout", ""),
    "ZOO_PRE_ALLOC_SIZE": ("preAllocSize", ""),
    "ZOO_SNAPCOUNT": ("snapCount", ""),
    "ZOO_FSYNC_WARNING_THRESHOLD_MS": ("fsync.warningthresholdms", ""),
    "ZOO_RECONFIG_ENABLED": ("reconfigEnabled", ""),
    "ZOO_LISTEN_ALLIPS_ENABLED": ("quorumListenOnAllIPs", ""),
    "ZOO_PEER_TYPE": ("peerType", ""),
    "ZOO_PROMETHEUS_METRICS_PORT_NUMBER": ("metricsProvider.httpPort", ""),
}
IDS = ("ZOO_MY_ID", "ZOO_SERVER_ID")
PROMETHEUS = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
OTHERS = {
    *IDS,
    *("ZOO_SERVERS", "ZOO_CFG_EXTRA", "ZOO_PORT_NUMBER", "ZOO_ENABLE_PROMETHEUS_METRICS", "ZOO_LOG_LEVEL"),
    # Of scripts and images; they are no settings.
    *("ZOO_CONF_DIR", "ZOO_LOG_DIR", "ZOO_NOEXEC", "ZOO_HEAP_SIZE", "ZOO_LOG4J_PROP"),
}
BOOLEANS = {"yes": "true", "no": "false"}
"""As Bitnami's image writes them."""
LEVELS = {"DEBUG": "debug", "TRACE": "debug", "INFO": "info", "WARN": "warning", "ERROR": "error", "FATAL": "error"}
BITNAMI_SERVER = re.compile(r"(?P<address>[^:]+:\d+:\d+[^:]*)(?:::(?P<id>\d+))?")


def configuration(environ: Mapping[str, str]) -> str:
    """The text of zoo.cfg."""
    values: dict[str, str] = {}
    for variable, (key, default) in KEYS.items():
        value = environ.get(variable) or values.get(key) or default
        if value:
            values[key] = BOOLEANS.get(value, value)
    # Differs from our default: what is not published cannot be reached from outside, and probes come from there.
    values["admin.serverAddress"] = "0.0.0.0"  # noqa: S104
    if environ.get("ZOO_ENABLE_PROMETHEUS_METRICS") in {"yes", "true"}:
        values["metricsProvider.className"] = PROMETHEUS
    level = LEVELS.get(environ.get("ZOO_LOG_LEVEL", "").upper(), "info")
    if level != "info":
        values["pyzk.logLevels"] = f"server={level},zab={level}"
    servers = dict(_servers(environ.get("ZOO_SERVERS", "")))
    if not any(";" in line for line in servers.values()):
        values["clientPort"] = environ.get("ZOO_PORT_NUMBER") or "2181"
    extra = (word.partition("=")[::2] for word in environ.get("ZOO_CFG_EXTRA", "").split())
    return "".join(f"{key}={value}\n" for key, value in {**values, **servers, **dict(extra)}.items())


def _servers(text: str) -> Iterator[tuple[str, str]]:
    """Keys server.N and their values, out of the official image's form, or of Bitnami's `HOST:2888:3888::N`."""
    if "server." in text:
        yield from (word.partition("=")[::2] for word in text.split())
        return
    for number, entry in enumerate(filter(None, re.split(r"[,;\s]+", text)), 1):
        match = BITNAMI_SERVER.fullmatch(entry)
        address, server_id = (match["address"], match["id"]) if match else (entry, None)
        yield f"server.{server_id or number}", address


def unknown(environ: Mapping[str, str]) -> list[str]:
    """Variables that look like settings, and are none here."""
    return sorted(name for name in environ if name.startswith("ZOO_") and name not in KEYS and name not in OTHERS)


def prepare(environ: Mapping[str, str], linked: Path = LINKED, made: Path = MADE) -> str:
    """The configuration to start with; made anew from the variables unless it is somebody else's. Raises OSError."""
    if linked.exists() and linked.resolve() != made.resolve():
        path = linked
    else:
        path = made
        if not made.exists() or "dynamicConfigFile" not in read_values(str(made)):
            made.write_text(configuration(environ), encoding="utf-8")
    _write_id(environ, Path(read_values(str(path)).get("dataDir", ""), "myid"))
    return str(path)


def _write_id(environ: Mapping[str, str], path: Path) -> None:
    """An id that is there stays: it belongs to the data beside it."""
    server_id = next((environ[name] for name in IDS if environ.get(name)), None)
    if server_id is None and environ.get("ZOO_SERVERS"):
        server_id = "1"
    if server_id is not None and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{server_id}\n", encoding="ascii")


def main(arguments: Sequence[str] | None = None) -> None:
    """`zkServer.sh VERB` with the configuration of this container; anything else as it is. Does not return."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["sh"]
    if words[0] == "zkServer.sh" and len(words) == 2:
        for name in unknown(os.environ):
            sys.stderr.write(f"{name} has no effect here: write what it stands for into ZOO_CFG_EXTRA\n")
        try:
            words.append(prepare(os.environ))
        except OSError as error:
            sys.exit(f"{error}: is the volume writable for this user ({os.getuid()}:{os.getgid()})?")
    os.execvp(words[0], words)  # noqa: S606 - what the operator asks for


if __name__ == "__main__":
    main()
