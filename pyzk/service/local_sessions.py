"""Sessions that only one server knows, until they need an ephemeral znode (localSessionsEnabled).

They are created, expired and closed without a txn, and cannot be resumed elsewhere. A read-only server has no others.
Source: docs/protocol/zab.md section 8.6, docs/protocol/data-model.md section 7.1.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from pyzk.codec.opcodes import EPHEMERAL_MODES, OpCode
from pyzk.codec.requests import CreateRequest, MultiRequest
from pyzk.errors import EphemeralOnLocalSessionError, RequestError
from pyzk.service.connection import Parting
from pyzk.service.door import read_request
from pyzk.service.sessions import Sessions, SessionTracker
from pyzk.service.writes import body_of, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyzk.codec.record import Record
    from pyzk.service.connection import Connection
    from pyzk.service.service import Service
    from pyzk.service.writes import Write, Writes

CREATES = (OpCode.CREATE, OpCode.CREATE2, OpCode.MULTI)
"""Requests that are examined for ephemeral znodes; createContainer and createTTL are not, as in Apache."""


def makes_ephemerals(record: Record) -> bool:
    """Whether a create, create2 or multi makes an ephemeral znode."""
    if isinstance(record, MultiRequest):
        return any(makes_ephemerals(op) for opcode, op in record.ops if opcode in CREATES)
    return isinstance(record, CreateRequest) and record.flags in EPHEMERAL_MODES


class LocalSessions:
    """The local sessions in front of the global ones: whoever asks about a session need not know which it is.

    Args:
        shared: knows the global sessions.
        tick_ms: tickTime.
        upgrades: whether a session becomes global when it needs to (localSessionsUpgradingEnabled).
    """

    __slots__ = ("_local", "_upgrading", "shared", "upgrades")

    def __init__(self, shared: Sessions, tick_ms: int, *, upgrades: bool) -> None:
        self.shared = shared
        self.upgrades = upgrades
        self._local = SessionTracker(tick_ms)
        self._upgrading: dict[int, None] = {}

    def is_local(self, session: int) -> bool:
        """Whether only this server knows the session; one that is being upgraded counts as global."""
        return session in self._local

    def timeouts_ms(self) -> dict[int, int]:
        """The local sessions, with their timeouts."""
        return {session: self._local.timeout_of(session) or 0 for session in self._local}

    def create(self, session: int, timeout_ms: int, now: float) -> None:
        """A new local session."""
        self._local.add(session, timeout_ms, now)

    # Handlers of requests.

    def guard(self, writes: Writes) -> Writes:
        """The table of handlers with those in front that local sessions need."""
        guarded = dict(self.guard_close(writes))
        guarded.update((opcode, self._examine_creates(writes[opcode])) for opcode in CREATES)
        return guarded

    def guard_close(self, writes: Writes) -> Writes:
        """As `guard`, on a server that takes no creates anyway."""
        return {**writes, OpCode.CLOSE_SESSION: self._end_local(writes[OpCode.CLOSE_SESSION])}

    def _end_local(self, write: Write) -> Write:
        def end(service: Service, state: Connection, xid: int, opcode: int, frame: bytes, now: float) -> None:
            if not self.is_local(state.session_id):
                write(service, state, xid, opcode, frame, now)
                return
            state.deaf = True
            self._local.set_closing(state.session_id)
            if state.queue:
                state.wait(Parting(xid))
            else:
                service.part(state, xid)

        return end

    def _examine_creates(self, write: Write) -> Write:
        def examine(service: Service, state: Connection, xid: int, opcode: int, frame: bytes, now: float) -> None:
            if self.is_local(state.session_id) and _needs_global(service, opcode, frame):
                if not self.upgrades:
                    refuse(service, state, xid, EphemeralOnLocalSessionError.code)
                    return
                self._upgrade(service, state)
            write(service, state, xid, opcode, frame, now)

        return examine

    def _upgrade(self, service: Service, state: Connection) -> None:
        """Make the session global, ahead of the request that needs it."""
        self._local.remove(state.session_id)
        self._upgrading[state.session_id] = None
        service.create_session(state.session_id, state.timeout_ms, 0)

    # Sessions

    def created(self, session: int, timeout_ms: int, now: float) -> None:
        """A global session; if it was ours, its upgrade is done."""
        self._upgrading.pop(session, None)
        self.shared.created(session, timeout_ms, now)

    def add(self, session: int, timeout_ms: int, now: float) -> None:
        """Know a global session."""
        self.shared.add(session, timeout_ms, now)

    def touch(self, session: int, timeout_ms: int, now: float) -> bool:
        """The session has shown life. False if it is closing or not known."""
        return (
            self._local.touch(session, timeout_ms, now)
            or self.shared.touch(session, timeout_ms, now)
            or session in self._upgrading
        )

    def set_closing(self, session: int) -> None:
        """The session is about to be closed."""
        self._upgrading.pop(session, None)
        (self._local if self.is_local(session) else self.shared).set_closing(session)

    def remove(self, session: int) -> None:
        """Forget a session."""
        self._local.remove(session)
        self.shared.remove(session)

    def expired(self, now: float) -> list[int]:
        """Local sessions, and those that `shared` decides about."""
        return [*self._local.expired(now), *self.shared.expired(now)]

    def deadline(self) -> float | None:
        """The earlier one."""
        deadlines = (self._local.deadline(), self.shared.deadline())
        return min([deadline for deadline in deadlines if deadline is not None], default=None)

    def tick_end(self, now: float) -> float:
        """Of the local ones; a tracker of the others is of the same age, and has the same ticks."""
        return self._local.tick_end(now)

    def shift(self, stall_seconds: float) -> None:
        """Give everybody time back."""
        self._local.shift(stall_seconds)
        self.shared.shift(stall_seconds)

    def buckets(self) -> Iterator[tuple[float, list[int]]]:
        """Of both, the earliest first."""
        yield from sorted(chain(self._local.buckets(), self.shared.buckets()))

    def __len__(self) -> int:
        return len(self._local) + len(self.shared)

    def __contains__(self, session: object) -> bool:
        return session in self._local or session in self.shared


def _needs_global(service: Service, opcode: int, frame: bytes) -> bool:
    """What is refused at the door needs nothing."""
    if service.writes_refused:
        return False
    try:
        return makes_ephemerals(read_request(opcode, body_of(service, frame)))
    except RequestError:
        return False
