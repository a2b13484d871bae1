"""Keys that no field of `Config` stands for, because only a Java server has a use for them.

They are rows of the same table: an operator is told about each of them, and a misspelt key is not mistaken for one.
"""

from collections.abc import Iterator

from pyzk.server.config.kinds import Setting, Status

_JAVA_ONLY = "Threads and buffers of the Java server."
_KERBEROS = "Kerberos."


def _rows(status: Status, summary: str, names: str, *, is_prefix: bool = False) -> Iterator[Setting]:
    return (Setting(name, summary, status=status, is_prefix=is_prefix) for name in names.split())


WITHOUT_EFFECT: tuple[Setting, ...] = (
    *_rows(Status.IGNORED, "Clients' certificates are those of the scheme x509.", "ssl.authProvider"),
    *_rows(Status.JVM, "OpenSSL encrypts.", "ssl.sslProvider"),
    *_rows(Status.IGNORED, "The event loop is looked at forty times a second.", "jvm.pause.sleep.time.ms"),
    *_rows(Status.IGNORED, _KERBEROS, "kerberos.", is_prefix=True),
    *_rows(
        Status.IGNORED,
        "Never had an effect in Apache's server either; sessionRequireClientSASLAuth has.",
        "requireClientAuthScheme",
    ),
    *_rows(Status.IGNORED, "TTL znodes of a test release.", "emulate353TTLNodes"),
    *_rows(Status.IGNORED, "Class that writes the audit log.", "audit.impl.class"),
    *_rows(Status.IGNORED, "HTTP version of the admin server.", "admin.httpVersion"),
    *_rows(
        Status.IGNORED,
        "Order of processors in the Java server.",
        "follower.skipLearnerRequestToNextProcessor forward_learner_requests_to_commit_processor_disabled "
        "leader.ackLoggingFrequency",
    ),
    *_rows(
        Status.IGNORED,
        "Txns that a follower keeps for observers: here they are brought up from its window, its log or its tree.",
        "observerMaster.sizeLimit",
    ),
    *_rows(Status.IGNORED, "Switches of Apache's own tests.", "test. testingonly.", is_prefix=True),
    *_rows(Status.IGNORED, "Switches of the Netty server.", "netty.", is_prefix=True),
    *_rows(Status.IGNORED, "Statistics of paths and messages.", "pathStats. messageTracker.", is_prefix=True),
    *_rows(Status.JVM, "Threads of the Java metrics provider.", "metricsProvider.", is_prefix=True),
    *_rows(Status.JVM, "Class that serves client connections.", "serverCnxnFactory"),
    *_rows(Status.JVM, _JAVA_ONLY, "quorum.cnxn.threads.size intBufferStartingSizeBytes"),
    *_rows(Status.JVM, _JAVA_ONLY, "nio. commitProcessor. watcherClean", is_prefix=True),
    *_rows(Status.JVM, _JAVA_ONLY, "watchManagerName maxInProcessingDeadWatchers bitHashCacheSize"),
    *_rows(Status.JVM, _JAVA_ONLY, "leader.closeSocketAsync learner.closeSocketAsync learner.asyncSending"),
    *_rows(
        Status.JVM,
        "Replies that the Java server keeps: here a znode is kept as its reply.",
        "maxResponseCacheSize maxGetChildrenResponseCacheSize",
    ),
    *_rows(
        Status.JVM,
        "How long the Java server's throttler sleeps: here the next request goes on when there is room.",
        "request_throttle_stall_time requestThrottleStallTime",
    ),
    *_rows(
        Status.JVM,
        "How long the threads of the Java server may take to stop.",
        "request_throttler.shutdownTimeout",
    ),
    *_rows(Status.JVM, "Logging of the Java server.", "log4j. logback. log. console.", is_prefix=True),
    *_rows(Status.JVM, "Logging of the Java server.", "datadir root.logger"),
)
