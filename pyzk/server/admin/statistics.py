"""What the shell of a server counts beside service, and how all of it is reset."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyzk.server.clock import monotonic_seconds
from pyzk.service.counters import Distribution

if TYPE_CHECKING:
    from pyzk.server.driver import Driver

TRACE_MASK_DEFAULT = 0o462


@dataclass(slots=True)
class Handshakes:
    """TLS handshakes of the ports that share this: under way, refused by a limit, failed; and who came without TLS."""

    under_way: int = 0
    refused: int = 0
    failed: int = 0
    plain: int = 0


@dataclass(slots=True)
class LoadTimes:
    """When a start began, had the snapshot in memory, had applied the txns behind it, and was done: monotonic seconds.

    A snapshot that has been passed over because it cannot be read is in the time of the one that was taken.
    """

    began_at: float = field(default_factory=monotonic_seconds)
    snapshot_at: float = 0.0
    replayed_at: float = 0.0
    done_at: float = 0.0

    def snapshot_loaded(self) -> None:
        """It is in memory."""
        self.snapshot_at = monotonic_seconds()

    def replayed(self) -> None:
        """All txns are applied."""
        self.replayed_at = monotonic_seconds()
        self.snapshot_at = self.snapshot_at or self.replayed_at

    def done(self) -> None:
        """Everything is ready to serve."""
        self.done_at = monotonic_seconds()


@dataclass(slots=True)
class Statistics:
    """Totals of one server; those of its service are in `peer.service.counters`, those of its log in `peer.log`.

    Attributes:
        started_at: when it began to serve, monotonic seconds.
        load_times, replayed, digest_mismatches: of the start; they stay.
        snapshot_ms: how long snapshots took.
        restore_ms: how long it took to take another tree in.
        queued_at_learners: txns that a learner has not acknowledged, sampled, by its id.
        failures: what brought the server down.
        handshakes: of the ports for clients.
        admin_handshakes: of the admin port.
        trace_mask: the number that gtmk and stmk tell and set; nothing depends on it.
    """

    peer: Driver
    started_at: float
    load_times: LoadTimes = field(default_factory=LoadTimes)
    replayed: int = 0
    digest_mismatches: int = 0
    connections_rejected: int = 0
    snapshot_errors: int = 0
    connections_not_served: int = 0
    snapshots_rate_limited: int = 0
    restores_rate_limited: int = 0
    restore_errors: int = 0
    failures: int = 0
    snapshot_ms: Distribution = field(default_factory=Distribution)
    restore_ms: Distribution = field(default_factory=Distribution)
    queued_at_learners: dict[int, Distribution] = field(default_factory=dict)
    trace_mask: int = TRACE_MASK_DEFAULT
    handshakes: Handshakes = field(default_factory=Handshakes)
    admin_handshakes: Handshakes = field(default_factory=Handshakes)

    def reset(self) -> None:
        """Start again from nothing (word `srst`)."""
        self.peer.reset_statistics()
        self.connections_rejected = self.snapshot_errors = 0
        self.snapshot_ms.reset()
        self.restore_ms.reset()
        self.queued_at_learners.clear()
