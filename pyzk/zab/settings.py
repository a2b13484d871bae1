"""What an operator can set about agreement; defaults are Apache's. Source: docs/protocol/zab.md section 17."""

from dataclasses import dataclass


@dataclass(slots=True)
class AgreementSettings:
    """Settings of one member of an ensemble.

    Attributes:
        init_ticks, sync_ticks: initLimit and syncLimit, in ticks.
        connect_ticks: connectToLearnerMasterLimit, in ticks; 0 is init_ticks.
        redial_delay_ms: pause between two tries to reach the leader.
        observer_election_delay_ms: an observer that lost its leader waits at most so long before it looks again.
        observer_reconnect_delay_ms: an observer waits at most so long before it dials the leader, or once more all who
            serve observers in its place.
        observer_sync_enabled: whether an observer logs what it is told.
        epoch_wait_ms_max: a leader whose followers do not come gives up after that when one of them looks for a leader
            again (leader.maxTimeToWaitForEpoch); -1: never.
        window_txns: committed txns kept in memory for learners that are a little behind.
        snapshot_size_factor: share of the snapshot's size up to which a learner is brought up from the log files.
        snap_syncs_max, diff_syncs_max: observers that may be brought up at a time.
        packet_bytes_max: longest buffer in a packet (jute.maxbuffer plus extrasize).
        observer_master_port: where followers serve observers (observerMasterPort); 0: only the leader does.
    """

    tick_ms: int = 2000
    init_ticks: int = 10
    sync_ticks: int = 5
    connect_ticks: int = 0
    redial_delay_ms: int = 100
    observer_election_delay_ms: int = 200
    observer_reconnect_delay_ms: int = 0
    observer_sync_enabled: bool = True
    epoch_wait_ms_max: int = -1
    window_txns: int = 500
    force_snapshot_sync: bool = False
    snapshot_size_factor: float = 0.33
    snap_syncs_max: int = 10
    diff_syncs_max: int = 100
    packet_bytes_max: int = 2 * 0xFFFFF
    observer_master_port: int = 0
    oracle_enabled: bool = False
    reconfig_enabled: bool = False
    standalone_enabled: bool = True
    multi_address_enabled: bool = False

    @property
    def init_seconds(self) -> float:
        """How long discovery and synchronisation may take."""
        return self.init_ticks * self.tick_ms / 1000

    @property
    def sync_seconds(self) -> float:
        """How long an established link may be silent, or a proposal go without an ack."""
        return self.sync_ticks * self.tick_ms / 1000

    @property
    def connect_seconds(self) -> float:
        """How long a learner tries to reach its leader."""
        return (self.connect_ticks or self.init_ticks) * self.tick_ms / 1000
