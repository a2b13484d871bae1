"""A write request on its way to be prepared, the settings that decide about it, and checks that several opcodes share.

Source: docs/protocol/data-model.md section 4.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from pyzk.codec.record import Record
from pyzk.codec.requests import ReconfigRequest
from pyzk.errors import BadArgumentsError, BadVersionError, NoAuthError, NoNodeError, QuotaExceededError
from pyzk.tree import usage
from pyzk.tree.acl import AccessControl, Identity
from pyzk.tree.node import NodeState
from pyzk.tree.overlay import Overlay
from pyzk.tree.paths import validate
from pyzk.tree.quota import Verdict, judge


@dataclass(slots=True)
class Rules:
    """Settings that prepare depends on.

    Attributes:
        reconfigure: what a reconfig request makes of the ensemble's configuration: its text, given the zxid of the
            txn; raises RequestError. None on a server without an ensemble.
    """

    access: AccessControl
    extended_types_enabled: bool = False
    enforce_quota: bool = False
    reconfig_enabled: bool = False
    close_session_lists_paths: bool = True
    reconfigure: Callable[[ReconfigRequest, int], bytes] | None = None


@dataclass(slots=True)
class Request:
    """A write request: what its txn depends on, and, for whoever answers it, where and when it came in.

    Attributes:
        record: the decoded body.
        origin: the number of the connection that waits for the reply, 0 for none.
        received_at: monotonic seconds.
        frame_bytes: length of its frame.
        err: why it will not become a txn although it was taken (throttled), 0 otherwise.
        body: the record as the client sent it, where it will be forwarded; None for one that a server makes itself.
    """

    session_id: int
    cxid: int
    opcode: int
    record: Record
    identities: Collection[Identity] = ()
    origin: int = 0
    received_at: float = 0.0
    frame_bytes: int = 0
    err: int = 0
    body: bytes | None = None


def allow(rules: Rules, request: Request, state: NodeState, perms: int) -> None:
    """Raises NoAuthError where the ACL of a znode does not let the session do this."""
    if state.acl is not None and not rules.access.permits(state.acl, perms, request.identities):
        raise NoAuthError


def require(overlay: Overlay, path: bytes | None) -> tuple[bytes, NodeState]:
    """Path and state for setData, setACL and check, which validate the path before they look for the znode."""
    if path is None:
        raise BadArgumentsError("null path")
    state = overlay.find(path)
    if state is None:
        validate(path)
        raise NoNodeError
    return path, state


def check_version(expected: int, actual: int) -> None:
    """Raises BadVersionError; -1 is any."""
    if expected not in (-1, actual):
        raise BadVersionError


def check_quota(overlay: Overlay, path: bytes, count: int, size_bytes: int) -> None:
    """Against committed usage only, as in Apache: pipelined writes may overshoot. Raises QuotaExceededError."""
    numbers = usage.limits_of(overlay.tree, path)
    if numbers is not None and judge(*numbers, count, size_bytes) is Verdict.OVER_HARD:
        raise QuotaExceededError
