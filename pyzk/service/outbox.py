"""What service hands to its shell, and its settings."""

from dataclasses import dataclass, field

from pyzk.codec.framing import JUTE_MAX_BUFFER_DEFAULT
from pyzk.service.throttle import RequestLimits, SessionWeights
from pyzk.tree.request import Request

WATCH_BYTES_MAX_DEFAULT = 256 << 20
"""A million watches, about."""


@dataclass(slots=True)
class Settings:
    """What an operator can set about the service; `outstanding_max` is globalOutstandingLimit.

    Attributes:
        required_schemes: clients must authenticate by one of these (enforce.auth.schemes); empty: they need not.
        sasl_failures_allowed: a client that fails at SASL stays, without an identity (allowSaslFailedClients).
        super_users: SASL names that may do anything (superUser).
        watch_bytes_max: what the watches of one connection may take; with more it is closed.
        eager_acl_check: what an ACL forbids is refused before the leader sees it (enableEagerACLCheck); not on a
            standalone server.
        local_sessions: sessions begin as local ones (localSessionsEnabled); not on a standalone server.
        local_sessions_upgrade: they become global when they need to (localSessionsUpgradingEnabled).
    """

    tick_ms: int = 2000
    session_timeout_min_ms: int = 4000
    session_timeout_max_ms: int = 40000
    frame_bytes_max: int = JUTE_MAX_BUFFER_DEFAULT
    string_bytes_max: int = 2 * JUTE_MAX_BUFFER_DEFAULT
    outstanding_max: int = 1000
    super_digest: bytes | None = None
    digest_algorithm: str = "SHA1"
    digest_auth_enabled: bool = True
    required_schemes: frozenset[bytes] = frozenset()
    sasl_failures_allowed: bool = False
    super_users: frozenset[bytes] = frozenset()
    eager_acl_check: bool = False
    local_sessions: bool = False
    local_sessions_upgrade: bool = False
    watch_bytes_max: int = WATCH_BYTES_MAX_DEFAULT
    requests: RequestLimits = field(default_factory=RequestLimits)
    session_weights: SessionWeights = field(default_factory=SessionWeights)


@dataclass(slots=True)
class Closing:
    """A connection to close once its outgoing list is sent; `notable` if an operator may want to know why."""

    connection: int
    reason: str
    notable: bool = False


@dataclass(slots=True)
class Outbox:
    """The shell takes these lists after each call and leaves empty ones.

    Attributes:
        dirty: connections whose outgoing list is not empty.
        submitted: requests for the proposer or the leader, in order.
        packets: for the leader, besides the requests: REVALIDATEs.
        closing: connections to close.
        reading: connections to stop reading from (False) or to read from again (True); the last word counts.
        unfinished: connections with more requests at hand than one turn serves; `go_on` with them when they have taken
            what they were sent.
    """

    dirty: dict[int, None] = field(default_factory=dict)
    submitted: list[Request] = field(default_factory=list)
    packets: list[bytes] = field(default_factory=list)
    closing: list[Closing] = field(default_factory=list)
    reading: dict[int, bool] = field(default_factory=dict)
    unfinished: dict[int, None] = field(default_factory=dict)
