"""Settings of what one server does for its clients: ports, sessions, limits, throttles, access."""

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
    derived,
    integer,
    literal,
    setting,
)

# What the word conf shows for a port that is not there.
PORT_UNSET = -1
JUTE_MAX_BUFFER = 0xFFFFF
_DIGEST_ALGORITHMS = (
    *("sha1", "sha-1", "sha224", "sha-224", "sha256", "sha-256", "sha384", "sha-384", "sha512", "sha-512", "md5"),
    *("sha3-224", "sha3-256", "sha3-384", "sha3-512"),
)


class PortSettings(Settings):
    """Where clients connect, and how many of them."""

    client_port: int | None = setting(
        "clientPort", PORT, None, "Port for clients; 0 lets the system pick one. Unset: no plain client port."
    )
    client_port_address: str | None = setting(
        "clientPortAddress", TEXT, None, "Address the client port listens on; all addresses when absent."
    )
    listen_backlog: int = setting(
        "clientPortListenBacklog", integer(-1), -1, "Connections that may wait to be accepted; -1: the system decides."
    )
    max_client_connections_per_address: int = setting(
        "maxClientCnxns", COUNT, 60, "Connections from one address; 0: no limit."
    )
    max_connections: int = setting("maxCnxns", COUNT, 0, "Connections of the whole server; 0: no limit.")
    sessionless_timeout_ms: int = setting(
        "nio.sessionlessCnxnTimeout", MILLISECONDS, 10_000, "A connection that opens no session is closed after this."
    )
    client_tcp_keep_alive: bool = setting("clientTcpKeepAlive", BOOLEAN, False, "SO_KEEPALIVE on client connections.")
    client_out_buffer_bytes_max: int = setting(
        "pyzk.clientOutBufferBytesMax",
        integer(65_536),
        16 * 2**20,
        "Replies and events waiting for a slow client; a connection with more than this is closed.",
        apache_default="no limit",
    )


class SessionSettings(Settings):
    """Time and sessions."""

    tick_time_ms: int = setting("tickTime", MILLISECONDS, 3000, "Length of a tick: sessions expire in these steps.")
    min_session_timeout_ms: int = setting(
        "minSessionTimeout",
        integer(-1),
        derived(lambda self: 2 * self.tick_time_ms),
        "Shortest session timeout that is granted; -1 or absent: 2 ticks.",
    )
    max_session_timeout_ms: int = setting(
        "maxSessionTimeout",
        integer(-1),
        derived(lambda self: 20 * self.tick_time_ms),
        "Longest session timeout that is granted; -1 or absent: 20 ticks.",
    )
    local_sessions_enabled: bool = setting(
        "localSessionsEnabled",
        STRICT_BOOLEAN,
        False,
        "Sessions known to their own server only.",
    )
    local_sessions_upgrading_enabled: bool = setting(
        "localSessionsUpgradingEnabled",
        STRICT_BOOLEAN,
        False,
        "A local session becomes a global one when it creates an ephemeral znode.",
    )


class LimitSettings(Settings):
    """Sizes of requests and how many may wait."""

    jute_max_buffer: int = setting(
        "jute.maxbuffer", literal(1), JUTE_MAX_BUFFER, "Longest request in bytes; a longer one closes its connection."
    )
    jute_extra_size: int = setting(
        "jute.maxbuffer.extrasize",
        literal(0),
        derived(lambda self: self.jute_max_buffer),
        "Bytes by which a stored txn may exceed jute.maxbuffer; absent: the same again.",
    )
    global_outstanding_limit: int = setting(
        "globalOutstandingLimit", integer(1), 1000, "Requests in progress before reading from clients pauses."
    )
    large_request_threshold: int = setting(
        "largeRequestThreshold",
        integer(-1),
        -1,
        "Requests of more bytes than this are large; -1: none is.",
    )
    large_request_bytes_max: int = setting(
        "largeRequestMaxBytes",
        integer(1),
        104_857_600,
        "Bytes of all large requests in progress.",
    )
    request_throttle_requests_max: int = setting(
        "request_throttle_max_requests",
        COUNT,
        0,
        "Requests in progress before the throttler holds further ones back; 0: off.",
        also=("requestThrottleLimit",),
    )
    request_throttle_drop_stale: bool = setting(
        "request_throttle_drop_stale",
        BOOLEAN,
        True,
        "The throttler drops requests that went stale in its queue.",
        also=("requestThrottleDropStale",),
    )
    request_stale_connection_check: bool = setting(
        "request_stale_connection_check",
        BOOLEAN,
        True,
        "A request is stale when its connection is closed.",
        also=("requestStaleConnectionCheck",),
    )
    request_stale_latency_check: bool = setting(
        "request_stale_latency_check",
        BOOLEAN,
        False,
        "A request is stale when it is older than its session's timeout.",
        also=("requestStaleLatencyCheck",),
    )
    throttled_op_wait_time_ms: int = setting(
        "throttled_op_wait_time",
        MILLISECONDS,
        0,
        "Requests that waited longer in the throttler are answered THROTTLEDOP; 0: off.",
    )
    watch_bytes_max: int = setting(
        "pyzk.watchBytesPerConnectionMax",
        integer(100_000),
        256 * 2**20,
        "Watched paths of one connection in bytes, and 200 for each of them; a connection with more is closed.",
        apache_default="no limit",
    )


class ConnectionThrottleSettings(Settings):
    """The token bucket that new connections draw from."""

    connection_max_tokens: int = setting(
        "connection_throttle_tokens",
        COUNT,
        0,
        "Size of the bucket; 0: no throttle.",
        also=("connectionMaxTokens",),
    )
    connection_token_fill_time_ms: int = setting(
        "connection_throttle_fill_time",
        integer(1),
        1,
        "Time between two fills.",
        also=("connectionTokenFillTime",),
    )
    connection_token_fill_count: int = setting(
        "connection_throttle_fill_count",
        COUNT,
        1,
        "Tokens of one fill.",
        also=("connectionTokenFillCount",),
    )
    connection_freeze_time_ms: int = setting(
        "connection_throttle_freeze_time",
        integer(-1),
        -1,
        "Time between two changes of the drop probability; -1: it is never used.",
        also=("connectionFreezeTime",),
    )
    connection_drop_increase: float = setting(
        "connection_throttle_drop_increase",
        decimal(0, 1),
        0.02,
        "Added to the drop probability when the bucket is empty.",
        also=("connectionDropIncrease",),
    )
    connection_drop_decrease: float = setting(
        "connection_throttle_drop_decrease",
        decimal(0, 1),
        0.002,
        "Taken off the drop probability when tokens are left.",
        also=("connectionDropDecrease",),
    )
    connection_decrease_ratio: float = setting(
        "connection_throttle_decrease_ratio",
        decimal(0, 1),
        0.0,
        "Share of the bucket that must be left for that.",
        also=("connectionDecreaseRatio",),
    )
    connection_weight_enabled: bool = setting(
        "connection_throttle_weight_enabled",
        BOOLEAN,
        False,
        "Sessions cost tokens by their weight.",
    )
    connection_global_session_weight: int = setting(
        "connection_throttle_global_session_weight",
        integer(1),
        3,
        "Tokens of a new global session.",
    )
    connection_local_session_weight: int = setting(
        "connection_throttle_local_session_weight",
        integer(1),
        1,
        "Tokens of a new local session.",
    )
    connection_renew_session_weight: int = setting(
        "connection_throttle_renew_session_weight",
        integer(1),
        2,
        "Tokens of a session that comes back.",
    )


class AccessSettings(Settings):
    """Who may do what, and which znodes may be created."""

    skip_acl: bool = setting("skipACL", YES_NO, False, "yes: ACLs are not checked.", fallback=False)
    enable_eager_acl_check: bool = setting(
        "enableEagerACLCheck",
        BOOLEAN,
        False,
        "A server of an ensemble refuses by itself what an ACL forbids, unless the session has other writes under way.",
    )
    enforce_quota: bool = setting("enforceQuota", BOOLEAN, False, "A write that breaks a hard quota is refused.")
    digest_auth_enabled: bool = setting(
        "DigestAuthenticationProvider.enabled", BOOLEAN, True, "Scheme digest is there."
    )
    digest_alg: str = setting(
        "DigestAuthenticationProvider.digestAlg",
        choice(*_DIGEST_ALGORITHMS, complaint="{text} MessageDigest not available"),
        "sha1",
        "Hash of the scheme digest.",
    )
    super_digest: str | None = setting(
        "DigestAuthenticationProvider.superDigest",
        TEXT,
        None,
        "super:BASE64(SHA1(super:PASSWORD)) of the identity that may do everything; unset: there is none.",
        is_secret=True,
    )
    extended_types_enabled: bool = setting("extendedTypesEnabled", BOOLEAN, False, "TTL znodes may be created.")
    read_only_mode_enabled: bool = setting(
        "readonlymode.enabled",
        BOOLEAN,
        False,
        "A server without a quorum serves reads to clients that allow it.",
    )
