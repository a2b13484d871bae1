"""What a server is to its clients: alone, read-only, or (in `desk` and `forwarding`) leader or learner of an ensemble.

A role says where writes and syncs go, who knows which sessions live, and whether a session may come back here. Service
asks its role and does not care which it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pyzk.service import handshake
from pyzk.service.sessions import Sessions, SessionTracker
from pyzk.service.writes import READ_ONLY_WRITES, STANDALONE_WRITES

if TYPE_CHECKING:
    from collections.abc import Sized

    from pyzk.service.connection import Connection
    from pyzk.service.service import Service
    from pyzk.service.writes import Writes


class Role:
    """A server that decides about its sessions itself; the base of the others.

    Attributes:
        sessions: who may act here.
        writes: handlers of writes and syncs by opcode.
        decides: whether it says which sessions are over.
        is_read_only: whether connect responses say so, and clients that do not want that are sent away.
    """

    writes: ClassVar[Writes] = STANDALONE_WRITES
    decides: ClassVar[bool] = True
    is_read_only: ClassVar[bool] = False

    def __init__(self, service: Service, sessions: Sessions | None = None) -> None:
        self.service = service
        self.sessions: Sessions = SessionTracker(service.settings.tick_ms) if sessions is None else sessions

    @property
    def waiting_syncs(self) -> Sized:
        """What is not empty while a sync waits for the leader's word."""
        return ()

    def begin(self, now: float) -> None:
        """Clients are served from now on."""
        self.service.start(now)

    def resume(self, state: Connection, session_id: int, now: float) -> None:
        """A client has come with its session and the right password."""
        if self.service.tracker.touch(session_id, state.timeout_ms, now):
            handshake.attach(self.service, state, session_id)
        else:
            handshake.refuse(self.service, state)

    def stop(self) -> None:
        """The role has ended."""


class Standalone(Role):
    """A server without an ensemble."""


class ReadOnly(Role):
    """A server without a quorum that shows what it has; its sessions are its own, and end with the role.

    Source: docs/protocol/zab.md section 11.
    """

    writes: ClassVar[Writes] = READ_ONLY_WRITES
    is_read_only: ClassVar[bool] = True

    def begin(self, now: float) -> None:
        """Nobody's session is decided about here."""

    def resume(self, state: Connection, session_id: int, now: float) -> None:
        """The sessions of the ensemble must not lose their time here: such clients look for another server.

        One that is not known may be younger than what is known here, or another read-only server's: it is let in.
        """
        if session_id in self.service.tree.sessions:
            self.service.close(state, "this server is read-only, and the session is one of the ensemble")
            return
        local = self.service.local_sessions
        assert local is not None, "a read-only server has its own sessions"
        # Differs from Apache: with localSessionsEnabled it calls a session expired that may well live.
        if not local.touch(session_id, state.timeout_ms, now):
            local.create(session_id, state.timeout_ms, now)
        handshake.attach(self.service, state, session_id)
