"""One tree of exceptions for the whole of pyzk.

    PyzkError
    ├── RequestError            what a request is answered with; carries its wire code
    ├── DecodeError             bytes that are no valid record
    │   └── FrameError          a frame whose length cannot be accepted
    ├── PeerError               another server of the ensemble broke the protocol: its link is closed
    ├── PeerPortError           a port for other servers that cannot be opened: exit code 14
    ├── KeyStoreError           a file with keys or certificates that cannot be used
    ├── ConfigError             a setting that cannot be used: names key, value and remedy
    ├── StorageError            files that cannot be read or written
    │   ├── DamageError         the files do not hold what was acknowledged, or may not
    │   │   ├── CorruptionError damaged bytes: file, offset and the last good zxid
    │   │   └── GapError        txns are missing between two files
    │   ├── DiskFullError       no space left: writes are refused, reads go on
    │   └── FsyncError          a failed fsync; the process must end, it is never retried
    ├── SaslError               a SASL exchange that failed, or a file for it that cannot be read
    ├── ConnectionLostError     (client) the connection ended before the reply came
    └── SessionClosedError      (client) the session was closed or has expired

Wire codes: docs/protocol/client-protocol.md section 10.
"""

from typing import ClassVar


class PyzkError(Exception):
    """Base of everything that pyzk raises on purpose."""


class RequestError(PyzkError):
    """A request that failed; `code` is the `err` field of the reply header."""

    code: ClassVar[int] = -1


class SystemRequestError(RequestError):
    """SYSTEMERROR: the server could not do what was asked, for a reason of its own."""

    code = -1


class RuntimeInconsistencyError(RequestError):
    """RUNTIMEINCONSISTENCY: an op of a multi that was not tried because an earlier one failed."""

    code = -2


class DataInconsistencyError(RequestError):
    """DATAINCONSISTENCY."""

    code = -3


class MarshallingError(RequestError):
    """MARSHALLINGERROR: the body of the request could not be decoded."""

    code = -5


class UnimplementedError(RequestError):
    """UNIMPLEMENTED: an opcode that the server does not serve."""

    code = -6


class BadArgumentsError(RequestError):
    """BADARGUMENTS: a path, flag or number that is not allowed."""

    code = -8


class UnknownSessionError(RequestError):
    """UNKNOWNSESSION (between servers only)."""

    code = -12


class NewConfigNoQuorumError(RequestError):
    """NEWCONFIGNOQUORUM: no synced quorum of the proposed configuration."""

    code = -13


class ReconfigInProgressError(RequestError):
    """RECONFIGINPROGRESS: another reconfiguration has not finished."""

    code = -14


class ApiError(RequestError):
    """APIERROR."""

    code = -100


class NoNodeError(RequestError):
    """NONODE: the znode does not exist."""

    code = -101


class NoAuthError(RequestError):
    """NOAUTH: the ACL does not allow it."""

    code = -102


class BadVersionError(RequestError):
    """BADVERSION: the version given is not the znode's."""

    code = -103


class NoChildrenForEphemeralsError(RequestError):
    """NOCHILDRENFOREPHEMERALS: an ephemeral znode cannot have children."""

    code = -108


class NodeExistsError(RequestError):
    """NODEEXISTS: the znode exists already."""

    code = -110


class NotEmptyError(RequestError):
    """NOTEMPTY: the znode has children."""

    code = -111


class SessionExpiredError(RequestError):
    """SESSIONEXPIRED: the session is closed or closing."""

    code = -112


class InvalidAclError(RequestError):
    """INVALIDACL: the ACL list is empty or has an entry that is not valid."""

    code = -114


class AuthFailedError(RequestError):
    """AUTHFAILED: the credentials were refused."""

    code = -115


class SessionMovedError(RequestError):
    """SESSIONMOVED: the session belongs to another connection by now."""

    code = -118


class NotReadOnlyError(RequestError):
    """NOTREADONLY: a write sent to a read-only server."""

    code = -119


class EphemeralOnLocalSessionError(RequestError):
    """EPHEMERALONLOCALSESSION: local sessions own no ephemeral znodes."""

    code = -120


class NoWatcherError(RequestError):
    """NOWATCHER: no such watch is registered."""

    code = -121


class ReconfigDisabledError(RequestError):
    """RECONFIGDISABLED: reconfigEnabled is false."""

    code = -123


class SaslRequiredError(RequestError):
    """SESSIONCLOSEDREQUIRESASLAUTH: the connection must authenticate first."""

    code = -124


class QuotaExceededError(RequestError):
    """QUOTAEXCEEDED: a hard quota does not allow it."""

    code = -125


class ThrottledOpError(RequestError):
    """THROTTLEDOP: the request waited longer than throttled_op_wait_time."""

    code = -127


BY_CODE: dict[int, type[RequestError]] = {kind.code: kind for kind in RequestError.__subclasses__()}


class DecodeError(PyzkError):
    """Bytes that do not hold the record that was expected."""


class FrameError(DecodeError):
    """A frame length below zero, zero, or above the limit."""


class PeerError(PyzkError):
    """Another server of the ensemble said what it must not say, or nothing in time; its link is closed."""


class SaslError(PyzkError):
    """A SASL exchange has failed, or what it needs cannot be read; the other side is not told why."""


class AdminCommandError(PyzkError):
    """A command of the admin server cannot be answered as it was asked."""


class AdminRefusalError(PyzkError):
    """A snapshot is not sent, or not taken.

    Args:
        status: of the HTTP answer.
        message: why.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class AdminPortError(PyzkError):
    """The admin server cannot have its port."""


class PeerPortError(PyzkError):
    """A port on which other servers connect cannot be opened."""


class KeyStoreError(PyzkError):
    """A file with keys or certificates that cannot be read, or does not hold what is needed."""


class ConfigError(PyzkError):
    """A setting that cannot be used.

    Args:
        setting: the key as the operator wrote it.
        value: what it was set to.
        remedy: one sentence: what is wrong and what to write instead.
    """

    def __init__(self, setting: str, value: object, remedy: str) -> None:
        super().__init__(remedy)
        self.setting = setting
        self.value = value
        self.remedy = remedy


class StorageError(PyzkError):
    """A file that cannot be read or written."""


class DamageError(StorageError):
    """The files can be read, but do not hold what was acknowledged, or it cannot be told whether they do."""


class CorruptionError(DamageError):
    """Damaged bytes in a file; they are never served.

    Args:
        file: name of the file.
        offset: where the damage begins, in bytes.
        zxid: the last good zxid before it (0 if there is none).
        what: what is wrong and what to do.
    """

    def __init__(self, file: str, offset: int, zxid: int, what: str) -> None:
        super().__init__(f"{file} at offset {offset} (last good zxid 0x{zxid:x}): {what}")
        self.file = file
        self.offset = offset
        self.zxid = zxid
        self.what = what


class GapError(DamageError):
    """Txns are missing between a snapshot and the log, or between two log files."""


class DiskFullError(StorageError):
    """No space left on the device."""


class FsyncError(StorageError):
    """A failed fsync: what reached the disk is unknown, so the process must end."""


class ConnectionLostError(PyzkError):
    """The connection ended before the reply came; the request may or may not have been executed."""


class SessionClosedError(PyzkError):
    """The session was closed or has expired; a new one must be opened."""
