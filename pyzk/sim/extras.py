"""What a run has beside the plain ensemble: rarer requests, strangers, and settings that most servers are without.

It is drawn from a generator of its own, so that the rest of a plan stays as it would be without; half of all runs are
plain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from pyzk.service.throttle import RequestLimits, SessionWeights, TokenRates

PLAIN_CHANCE = 0.5
RARE_SHARES = 0.05, 0.1, 0.15
BURST_SHARES = 0.0, 0.01, 0.05
OUTSTANDING_MAX = 1000
LARGE_BYTES = 40


@dataclass(slots=True)
class Extras:
    """All off is a plain run.

    Attributes:
        rare_share: how many requests of the rarer kinds a client makes for each of the others.
        burst_share: how many bursts of requests a client makes for each request.
        sweep_ticks: after so many ticks a leader looks for empty containers and old TTL znodes; 0: never.
        never_used_max_ms: age at which containers go that never had children; 0: they do not.
        has_quotas: quotas are enforced, and set.
        has_strangers: connections are opened by who does not speak as clients do.
        has_operator: somebody looks at what servers count, and lets them begin anew.
        is_audited: servers tell who has changed what.
        local_sessions, local_sessions_upgrade: as the settings.
        login: `sasl` if clients log in; `required` if they must.
        outstanding_max, requests, weights: of every server.
        rates: of new connections; None: no throttle.
        peers_log_in: servers prove to each other who they are.
        compression: of snapshots, in place of the plan's; empty: that.
        snapshot_txns: after about so many txns a server begins a snapshot by itself; 0: never.
        reconfigs: reconfigurations are asked for, whatever the plan would have.
        has_log_directory: the log has a directory of its own.
        with_last_zxid: as the setting of snapshots.
        autocreate: an empty directory is a new server; else somebody has to say so (db.autocreate).
    """

    rare_share: float = 0.0
    burst_share: float = 0.0
    sweep_ticks: int = 0
    never_used_max_ms: int = 0
    has_quotas: bool = False
    has_strangers: bool = False
    has_operator: bool = False
    is_audited: bool = False
    local_sessions: bool = False
    local_sessions_upgrade: bool = False
    login: str = ""
    outstanding_max: int = OUTSTANDING_MAX
    requests: RequestLimits = field(default_factory=RequestLimits)
    weights: SessionWeights = field(default_factory=SessionWeights)
    rates: TokenRates | None = None
    peers_log_in: bool = False
    compression: str = ""
    snapshot_txns: int = 0
    reconfigs: bool = False
    has_log_directory: bool = False
    with_last_zxid: bool = True
    autocreate: bool = True


def draw_extras(seed: int) -> Extras:
    """What a seed says about them."""
    rng = Random(f"{seed} extras")
    if rng.random() < PLAIN_CHANCE:
        return Extras()
    return Extras(
        rare_share=rng.choice(RARE_SHARES),
        sweep_ticks=rng.choice((1, 3, 10)),
        never_used_max_ms=rng.choice((0, 5_000)),
        has_quotas=rng.random() < 0.3,
        has_strangers=rng.random() < 0.5,
        has_operator=rng.random() < 0.5,
        is_audited=rng.random() < 0.5,
        # Local sessions do not move, so they are few.
        local_sessions=rng.random() < 0.1,
        local_sessions_upgrade=rng.random() < 0.8,
        login=rng.choice(("", "", "", "", "sasl", "required")),
        outstanding_max=rng.choice((OUTSTANDING_MAX, OUTSTANDING_MAX, 2)),
        requests=_draw_limits(rng),
        weights=rng.choice((SessionWeights(), SessionWeights(3, 1, 2))),
        rates=_draw_rates(rng),
        peers_log_in=rng.random() < 0.3,
        compression=rng.choice(("", "", "snappy")),
        snapshot_txns=rng.choice((0, 20, 200)),
        reconfigs=rng.random() < 0.2,
        has_log_directory=rng.random() < 0.3,
        with_last_zxid=rng.random() < 0.7,
        autocreate=rng.random() < 0.7,
        burst_share=rng.choice(BURST_SHARES),
    )


def _draw_limits(rng: Random) -> RequestLimits:
    """Of requests under way; off in most runs."""
    limits = RequestLimits()
    if rng.random() < 0.25:
        limits.requests_max = rng.choice((1, 3))
        limits.wait_ms_max = rng.choice((0, 100))
        limits.drop_stale = rng.random() < 0.5
        limits.stale_when_expired = rng.random() < 0.5
    if rng.random() < 0.25:
        limits.large_bytes, limits.large_total_bytes_max = LARGE_BYTES, rng.choice((200, 4000))
    return limits


def _draw_rates(rng: Random) -> TokenRates | None:
    if rng.random() < 0.75:
        return None
    freeze_time_ms = rng.choice((-1, 500))
    return TokenRates(tokens_max=6, fill_time_ms=200, freeze_time_ms=freeze_time_ms, drop_increase=0.1)
