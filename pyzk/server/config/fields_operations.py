"""Settings of what operators look at: four-letter words, the admin server, metrics, the audit log, the log."""

from pyzk.server.config.groups import Settings
from pyzk.server.config.kinds import (
    BOOLEAN,
    LEVELS_BY_PART,
    MILLISECONDS,
    PORT,
    STRICT_BOOLEAN,
    TEXT,
    WORDS,
    Kind,
    choice,
    integer,
    setting,
)

ALL_WORDS_MARK = "*"
FOUR_LETTER_WORDS = frozenset(
    [
        "conf",
        "cons",
        "crst",
        "dirs",
        "dump",
        "envi",
        "gtmk",
        "hash",
        "isro",
        "mntr",
        "ruok",
        "srst",
        "srvr",
        "stat",
        "stmk",
        "wchc",
        "wchp",
        "wchs",
    ]
)
# Differs from Apache: health checks work out of the box; words that list clients or change state do not.
HEALTH_WORDS = frozenset(["ruok", "srvr", "stat", "mntr", "conf", "isro", "dirs", "wchs"])


class AdminSettings(Settings):
    """Four-letter words and the HTTP server for operators."""

    four_letter_whitelist: frozenset[str] = setting(
        "4lw.commands.whitelist",
        WORDS,
        HEALTH_WORDS,
        "Four-letter words that are answered, * for all; srvr always is.",
        apache_default="srvr",
    )
    admin_enabled: bool = setting("admin.enableServer", BOOLEAN, True, "The admin server runs.", fallback=True)
    admin_address: str = setting(
        "admin.serverAddress",
        TEXT,
        "127.0.0.1",
        "Address the admin server listens on.",
        apache_default="0.0.0.0",
    )
    admin_port: int = setting("admin.serverPort", PORT, 8080, "Port the admin server listens on.")
    admin_command_url: str = setting("admin.commandURL", TEXT, "/commands", "Path below which the commands are.")
    admin_idle_timeout_ms: int = setting(
        "admin.idleTimeout", MILLISECONDS, 30_000, "An idle connection is closed after this."
    )
    admin_rate_limit_interval_ms: int = setting(
        "admin.rateLimiterIntervalInMS",
        integer(0),
        300_000,
        "Time between two snapshot commands, and between two restore commands, in ms; 0: no limit.",
    )
    admin_snapshot_enabled: bool = setting("admin.snapshot.enabled", BOOLEAN, True, "The command snapshot is there.")
    admin_restore_enabled: bool = setting("admin.restore.enabled", BOOLEAN, True, "The command restore is there.")
    admin_connections_max: int = setting(
        "pyzk.adminConnectionsMax",
        integer(1, 10_000),
        50,
        "Connections to the admin port at a time; more are closed at once. The same limit holds for the metrics port.",
    )
    admin_restore_bytes_max: int = setting(
        "pyzk.adminRestoreBytesMax",
        integer(1, 2**63 - 1),
        4 << 30,
        "The longest snapshot that the command restore takes, in bytes.",
    )


PROVIDERS = {
    "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider": "",
    "org.apache.zookeeper.metrics.impl.NullMetricsProvider": "",
    "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider": "prometheus",
}


def _parse_provider(text: str) -> str:
    if text not in PROVIDERS:
        raise ValueError(text)
    return text


PROVIDER = Kind(
    " or ".join(PROVIDERS), _parse_provider, complaint="metrics provider class was not found [{name}={text}]"
)


class MetricsSettings(Settings):
    """Numbers for monitoring systems."""

    metrics_provider: str = setting(
        "metricsProvider.className",
        PROVIDER,
        "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider",
        "Who tells the metrics: `...prometheus.PrometheusMetricsProvider` opens a port for Prometheus.",
    )
    metrics_address: str = setting("metricsProvider.httpHost", TEXT, "0.0.0.0", "Address the metrics port listens on.")
    metrics_port: int = setting("metricsProvider.httpPort", PORT, 7000, "Port of /metrics.")
    metrics_process: bool = setting(
        "metricsProvider.exportJvmInfo", BOOLEAN, True, "Names that dashboards of Java servers read are told too."
    )


class ReportSettings(Settings):
    """What is written down: the server's log and the audit log."""

    audit_enabled: bool = setting(
        "audit.enable", BOOLEAN, False, "Who changed what, from where, with what result, is logged."
    )
    audit_file: str = setting(
        "pyzk.auditFile", TEXT, "", "File of the audit log, rotated at 10 MB, ten kept; the server's log when absent."
    )
    pause_monitor: bool = setting(
        "jvm.pause.monitor",
        STRICT_BOOLEAN,
        False,
        "Pauses of the event loop are logged, and what it has worked of them; the rest others had of the machine.",
    )
    pause_info_threshold_ms: int = setting(
        "jvm.pause.info-threshold.ms", MILLISECONDS, 1000, "Pauses longer than this are logged."
    )
    pause_warn_threshold_ms: int = setting(
        "jvm.pause.warn-threshold.ms", MILLISECONDS, 10_000, "Pauses longer than this are logged as warnings."
    )
    log_levels: str = setting(
        "pyzk.logLevels",
        LEVELS_BY_PART,
        "",
        "Levels of parts of the server, as `zab=debug,server.clients=error`; others have that of --log-level.",
    )
    log_format: str = setting(
        "pyzk.logFormat",
        choice("", "json", "console", complaint="{name}={text} is no format of the log"),
        "",
        "json, or console; absent: console in a terminal, json elsewhere.",
    )
