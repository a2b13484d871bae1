"""Settings of a server as a member of an ensemble. The server list itself is parsed in `pyzk.zab.servers`."""

from dataclasses import replace

from pyzk.server.config.groups import Settings
from pyzk.server.config.kinds import (
    BOOLEAN,
    COUNT,
    MILLISECONDS,
    PORT,
    STRICT_BOOLEAN,
    TEXT,
    YES_NO,
    choice,
    decimal,
    integer,
    setting,
)
from pyzk.zab.servers import OBSERVER, PARTICIPANT


class MembershipSettings(Settings):
    """Who takes part, and where the list of servers is."""

    init_limit_ticks: int = setting(
        "initLimit",
        COUNT,
        0,
        "Ticks that the first synchronisation may take. Required in an ensemble.",
    )
    sync_limit_ticks: int = setting(
        "syncLimit",
        COUNT,
        0,
        "Ticks that a learner may lag behind. Required in an ensemble.",
    )
    election_alg: int = setting(
        "electionAlg",
        replace(integer(3, 3), complaint="Invalid electionAlg value. Only 3 is supported."),
        3,
        "Only 3 is there.",
    )
    peer_type: str = setting(
        "peerType",
        choice(PARTICIPANT, OBSERVER, complaint="Unrecognised peertype: {text}"),
        PARTICIPANT,
        "participant or observer; the server list decides when both speak.",
    )
    dynamic_config_file: str | None = setting(
        "dynamicConfigFile", TEXT, None, "File with the server list; the main file may then have none."
    )
    standalone_enabled: bool = setting(
        "standaloneEnabled", STRICT_BOOLEAN, True, "A single server runs standalone; false: as an ensemble of one."
    )
    reconfig_enabled: bool = setting(
        "reconfigEnabled", STRICT_BOOLEAN, False, "Clients may change the membership; false: answered -123."
    )
    multi_address_enabled: bool = setting(
        "multiAddress.enabled", STRICT_BOOLEAN, False, "A server may have several addresses, with | between them."
    )
    oracle_path: str | None = setting(
        "oraclePath",
        TEXT,
        None,
        "File that begins with 1 where one of two voters may lead alone; both servers need it.",
    )
    reachability_check_timeout_ms: int = setting(
        "multiAddress.reachabilityCheckTimeoutMs",
        MILLISECONDS,
        1000,
        "How long an address may take to answer, and what was sent on an election link to be acknowledged.",
    )
    reachability_check_enabled: bool = setting(
        "multiAddress.reachabilityCheckEnabled",
        STRICT_BOOLEAN,
        True,
        "A server with several addresses is reached at the next one when one does not answer in that time.",
    )


class LinkSettings(Settings):
    """Connections between servers."""

    quorum_listen_on_all_ips: bool = setting(
        "quorumListenOnAllIPs",
        STRICT_BOOLEAN,
        False,
        "Peer ports listen on all addresses.",
    )
    observer_master_port: int = setting(
        "observerMasterPort",
        PORT,
        0,
        "Port on which followers accept observers; 0: none.",
    )
    connect_to_learner_master_limit_ticks: int = setting(
        "connectToLearnerMasterLimit",
        COUNT,
        0,
        "Ticks that a learner may take to connect; 0: initLimit.",
    )
    connection_timeout_ms: int = setting(
        "cnxTimeout",
        MILLISECONDS,
        5000,
        "Connect timeout on election ports.",
    )
    quorum_connection_timeout_ms: int = setting(
        "quorumCnxnTimeoutMs",
        integer(-1),
        -1,
        "Read timeout on election ports; -1: syncLimit ticks.",
    )
    election_port_bind_retries: int = setting(
        "electionPortBindRetry",
        COUNT,
        3,
        "Attempts to open the election port before exit code 14; 0: for ever.",
    )
    quorum_tcp_keep_alive: bool = setting(
        "tcpKeepAlive",
        BOOLEAN,
        False,
        "SO_KEEPALIVE on election connections.",
    )
    peer_out_buffer_bytes_max: int = setting(
        "pyzk.peerOutBufferBytesMax",
        integer(2**20),
        256 * 2**20,
        "Packets waiting for a slow server; its link is closed when more is sent than this.",
        apache_default="no limit",
    )
    leader_no_delay: bool = setting(
        "leader.nodelay",
        BOOLEAN,
        True,
        "TCP_NODELAY on the leader's links.",
    )
    follower_no_delay: bool = setting(
        "follower.nodelay",
        BOOLEAN,
        True,
        "TCP_NODELAY on a learner's link.",
    )
    leader_connect_delay_ms: int = setting(
        "leaderConnectDelayDuringRetryMs",
        MILLISECONDS,
        100,
        "Pause of a learner between two attempts to connect.",
    )


class AgreementSettings(Settings):
    """Election, synchronisation and the leader's duties."""

    leader_serves: bool = setting(
        "leaderServes",
        YES_NO,
        True,
        "no: a leader with followers opens no client port.",
        fallback=True,
    )
    min_notification_interval_ms: int = setting(
        "fastleader.minNotificationInterval",
        integer(1),
        200,
        "First pause before votes are sent again.",
    )
    max_notification_interval_ms: int = setting(
        "fastleader.maxNotificationInterval",
        integer(1),
        60_000,
        "Longest such pause.",
    )
    max_time_to_wait_for_epoch_ms: int = setting(
        "leader.maxTimeToWaitForEpoch",
        integer(-1),
        -1,
        "How long a new leader waits for followers; -1: initLimit ticks.",
        also=("maxTimeToWaitForEpoch",),
    )
    max_concurrent_snap_syncs: int = setting(
        "leader.maxConcurrentSnapSyncs",
        integer(1),
        10,
        "Learners that get a snapshot at a time.",
    )
    max_concurrent_diff_syncs: int = setting(
        "leader.maxConcurrentDiffSyncs",
        integer(1),
        100,
        "Learners that get a difference at a time.",
    )
    force_snapshot_sync: bool = setting(
        "forceSnapshotSync",
        BOOLEAN,
        False,
        "A learner always gets a snapshot (for tests).",
    )
    snapshot_size_factor: float = setting(
        "snapshotSizeFactor",
        decimal(-1e9, 1.0),
        0.33,
        "Share of the snapshot's size up to which a learner gets a difference out of the logs; negative: never.",
        fallback=0.33,
    )
    observer_sync_enabled: bool = setting(
        "syncEnabled",
        STRICT_BOOLEAN,
        True,
        "An observer writes log and snapshots.",
        also=("observer.syncEnabled",),
    )
    observer_reconnect_delay_ms: int = setting(
        "observer.reconnectDelayMs",
        MILLISECONDS,
        0,
        "Longest pause before an observer dials its leader, or those who serve observers once more.",
    )
    observer_election_delay_ms: int = setting(
        "observer.election.DelayMs",
        MILLISECONDS,
        200,
        "Longest pause before an observer looks for a leader again.",
    )
