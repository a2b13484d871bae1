"""Settings of what is kept on disk and in the tree: directories, log, snapshots, purge, digest, containers."""

from dataclasses import replace

from pyzk.server.config.groups import Settings
from pyzk.server.config.kinds import (
    BOOLEAN,
    COUNT,
    INT_MAX,
    LONG_MAX,
    MILLISECONDS,
    TEXT,
    YES_NO,
    choice,
    derived,
    integer,
    setting,
)

PURGE_COUNT_MIN = 3


class DirectorySettings(Settings):
    """Where files are, and whether they may be made."""

    data_dir: str = setting("dataDir", TEXT, "./data", "Snapshots, myid and the pid file. Required in a file.")
    data_log_dir: str = setting(
        "dataLogDir",
        TEXT,
        derived(lambda self: self.data_dir),
        "Transaction logs; absent: dataDir.",
    )
    data_dir_autocreate: bool = setting(
        "datadir.autocreate",
        BOOLEAN,
        True,
        "Missing data directories are made; false: the server does not start without them.",
    )
    db_autocreate: bool = setting(
        "db.autocreate",
        BOOLEAN,
        True,
        "An empty dataDir is accepted; false: only when it has a file `initialize`.",
    )


class LogSettings(Settings):
    """The transaction log and its group commit."""

    snap_count: int = setting(
        "snapCount",
        integer(2, clamped=True),
        100_000,
        "A snapshot is written after a random number of txns between half of this and this; at least 2.",
    )
    snap_size_limit_kib: int = setting(
        "snapSizeLimitInKb", integer(-LONG_MAX, LONG_MAX), 4_194_304, "The same by the log's size; 0 or less: off."
    )
    pre_alloc_size_kib: int = setting(
        "preAllocSize", COUNT, 65_536, "Log files grow in steps of this.", fallback=65_536
    )
    txn_log_size_limit_kib: int = setting(
        "txnLogSizeLimitInKb", integer(-LONG_MAX, LONG_MAX), -1, "A new log file begins at this size; 0 or less: off."
    )
    force_sync: bool = setting(
        "forceSync", YES_NO, True, "no: writes are acknowledged before they are on disk.", fallback=True
    )
    fsync_warning_threshold_ms: int = setting(
        "fsync.warningthresholdms",
        MILLISECONDS,
        1000,
        "A sync of the log that takes longer is logged as a warning.",
    )
    flush_delay_ms: int = setting(
        "flushDelay",
        MILLISECONDS,
        0,
        "Least time between two syncs of the log, so that more writes share one; 0: as soon as the last one has ended.",
    )
    write_queue_poll_ms_max: int = setting(
        "maxWriteQueuePollTime",
        MILLISECONDS,
        derived(lambda self: self.flush_delay_ms // 3),
        "No write for this long ends that wait. Absent: a third of flushDelay.",
    )
    max_batch_size: int = setting(
        "maxBatchSize",
        COUNT,
        1000,
        "So many writes end that wait too; 0: no number does.",
    )
    log_batch_bytes_max: int = setting(
        "pyzk.logBatchBytesMax",
        integer(65_536),
        4 * 2**20,
        "Bytes written to the log with one sync; what comes meanwhile is the next batch.",
        apache_default="no limit",
    )
    commit_log_count: int = setting(
        "commitLogCount",
        integer(1),
        500,
        "Committed proposals kept in memory for learners.",
        fallback=500,
    )
    close_session_txn_enabled: bool = setting(
        "closeSessionTxn.enabled",
        BOOLEAN,
        True,
        "The txn that closes a session lists its ephemeral znodes.",
    )


class SnapshotSettings(Settings):
    """Snapshots and what is removed when."""

    snapshot_compression: str = setting(
        "snapshot.compression.method",
        choice("", "gz", "snappy", complaint="unknown compression method {text}"),
        "",
        "gz or snappy (its blocks are compressed only where the package cramjam is installed); nothing: plain.",
    )
    serialize_last_processed_zxid: bool = setting(
        "serializeLastProcessedZxid.enabled", BOOLEAN, True, "A snapshot ends with its zxid."
    )
    snapshot_trust_empty: bool = setting(
        "snapshot.trust.empty", BOOLEAN, False, "A log without any snapshot is accepted."
    )
    snapshot_trust_gaps: bool = setting(
        "snapshot.trust.gaps", BOOLEAN, False, "Missing txns between two files are accepted: they are lost for good."
    )
    trust_own_data: bool = setting(
        "pyzk.trustOwnData",
        BOOLEAN,
        False,
        "A member that may have lost acknowledged data takes what it can read for all there was: for one start only.",
    )
    digest_enabled: bool = setting("digest.enabled", BOOLEAN, True, "The tree's digest is kept and compared.")
    snap_retain_count: int = setting(
        "autopurge.snapRetainCount",
        replace(integer(PURGE_COUNT_MIN), complaint="Invalid {name}: {text}. Defaulting to 3"),
        PURGE_COUNT_MIN,
        "Snapshots that a purge keeps, with the logs they need.",
        fallback=PURGE_COUNT_MIN,
    )
    purge_interval_hours: int = setting(
        "autopurge.purgeInterval",
        integer(-INT_MAX),
        1,
        "Old snapshots and logs are removed at start and then every so many hours; 0 or less: never.",
        apache_default="0",
    )


class ContainerSettings(Settings):
    """The sweep for empty containers and TTL znodes whose time is over."""

    container_check_interval_ms: int = setting(
        "znode.container.checkIntervalMs", MILLISECONDS, 60_000, "Time between two sweeps; 0: none."
    )
    container_max_per_minute: int = setting(
        "znode.container.maxPerMinute", integer(1), 10_000, "Znodes that a sweep may delete in a minute."
    )
    container_max_never_used_ms: int = setting(
        "znode.container.maxNeverUsedIntervalMs",
        integer(0, LONG_MAX),
        0,
        "A container that never had a child is deleted after this; 0: never.",
    )
