"""Settings of what operators look at: four-letter words and the admin server."""

import attrs

from pyzk.server.config.kinds import (
    BOOLEAN,
    MILLISECONDS,
    PORT,
    TEXT,
    WORDS,
    Status,
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


@attrs.frozen(kw_only=True, slots=False)
class AdminSettings:
    """Four-letter words and the HTTP server for operators."""

    four_letter_whitelist: frozenset[str] = setting(
        "4lw.commands.whitelist",
        WORDS,
        HEALTH_WORDS,
        "Four-letter words that are answered, * for all; srvr always is.",
        apache_default="srvr",
    )
    admin_enabled: bool = setting(
        "admin.enableServer", BOOLEAN, True, "The admin server runs.", fallback=True, status=Status.PLANNED
    )
    admin_address: str = setting(
        "admin.serverAddress",
        TEXT,
        "127.0.0.1",
        "Address the admin server listens on.",
        apache_default="0.0.0.0",
        status=Status.PLANNED,
    )
    admin_port: int = setting(
        "admin.serverPort", PORT, 8080, "Port the admin server listens on.", status=Status.PLANNED
    )
    admin_command_url: str = setting(
        "admin.commandURL", TEXT, "/commands", "Path below which the commands are.", status=Status.PLANNED
    )
    admin_idle_timeout_ms: int = setting(
        "admin.idleTimeout", MILLISECONDS, 30_000, "An idle connection is closed after this.", status=Status.PLANNED
    )
    admin_rate_limit_interval_ms: int = setting(
        "admin.rateLimiterIntervalInMS",
        integer(0),
        300_000,
        "Time between two snapshot or restore commands.",
        status=Status.PLANNED,
    )
    admin_snapshot_enabled: bool = setting(
        "admin.snapshot.enabled", BOOLEAN, True, "The command snapshot is there.", status=Status.PLANNED
    )
    admin_restore_enabled: bool = setting(
        "admin.restore.enabled", BOOLEAN, True, "The command restore is there.", status=Status.PLANNED
    )
