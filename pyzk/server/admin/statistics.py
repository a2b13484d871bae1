"""What the shell of a server counts beside service, and how all of it is reset."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyzk.service.counters import Distribution

if TYPE_CHECKING:
    from pyzk.server.driver import Driver

TRACE_MASK_DEFAULT = 0o462


@dataclass(slots=True)
class Handshakes:
    """TLS handshakes of the ports that share this: under way, refused by a limit, failed."""

    under_way: int = 0
    refused: int = 0
    failed: int = 0


@dataclass(slots=True)
class Statistics:
    """Totals of one server; those of its service are in `peer.service.counters`, those of its log in `peer.log`.

    Attributes:
        started_at: when it began to serve, monotonic seconds.
        load_ms, replayed, digest_mismatches: of the start; they stay.
        snapshot_ms: how long snapshots took.
        restore_ms: how long it took to take another tree in.
        queued_at_learners: txns that a learner has not acknowledged, sampled, by its id.
        failures: what brought the server down.
        handshakes: of the ports for clients.
        trace_mask: the number that gtmk and stmk tell and set; nothing depends on it.
    """

    peer: Driver
    started_at: float
    load_ms: int = 0
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

    def reset(self) -> None:
        """Start again from nothing (word `srst`)."""
        self.peer.reset_statistics()
        self.connections_rejected = self.snapshot_errors = 0
        self.snapshot_ms.reset()
        self.restore_ms.reset()
        self.queued_at_learners.clear()
