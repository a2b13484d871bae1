"""What every client of an ensemble may rely on, checked at each thing that it hears.

A client that sees an older state than before, a read that shows anything but the state at its zxid, a watch that fires
twice, or late, a session that ends though it shows life: each is a broken promise.
Source: docs/protocol/data-model.md sections 5, 6 and 8, docs/protocol/client-protocol.md section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyzk.client.watches import WatchKind
from pyzk.codec.opcodes import WRITE_OPCODES, OpCode, Perms
from pyzk.codec.record import Record
from pyzk.service.audit import CHANGES
from pyzk.sim import reads
from pyzk.sim.acls import NEEDED, guarded_path, permits
from pyzk.sim.sequence import require
from pyzk.sim.watches import Watch, Watches

if TYPE_CHECKING:
    from pyzk.client.effects import Notification
    from pyzk.codec.records import ReplyHeader
    from pyzk.sim.checker import Checker
    from pyzk.tree.acl import Identity

AUDITED = frozenset(CHANGES)
CHANGING = frozenset({*WRITE_OPCODES, OpCode.SYNC})
"""What needs a leader."""
WATCH_TYPES = {4: WatchKind.PERSISTENT, 5: WatchKind.RECURSIVE}


@dataclass(slots=True, eq=False)
class Asked:
    """A request.

    Attributes:
        mark: how much was committed when it was sent.
        session_id: of the session that asks.
        at: when it was sent, seconds.
        watch: that it leaves.
        identities: who the server knew the session to be by then, at least.
    """

    opcode: OpCode
    record: Record
    mark: int
    session_id: int
    at: float
    watch: Watch | None = None
    identities: frozenset[Identity] = frozenset()

    @property
    def path(self) -> bytes:
        """That it is about."""
        return getattr(self.record, "path", b"") or b""


class Promises:
    """What one session was shown, and what it waits for.

    Attributes:
        place: the newest state that it was shown.
        watches: not fired yet.
        written, audited: acknowledged writes, and those that audit logs must tell of.
        identities: who the session may be, by all that its client has said.
        is_read_only: whether it is with a server that has no leader, which shows what may still be given up.
    """

    def __init__(self, checker: Checker, name: str, identities: set[Identity]) -> None:
        self.checker = checker
        self.model = checker.model
        self.name = name
        self.place = 0
        self.written = self.audited = 0
        self.is_read_only = False
        self.identities = identities
        self.watches = Watches(checker.sequence, name, lambda path, place: self.may(Perms.READ, path, place))

    def _require(self, holds: bool, invariant: str, details: str) -> None:  # noqa: FBT001 - a statement, not a flag
        require(holds, invariant, f"{self.name}: {details}")

    def may(self, perms: int, path: bytes, place: int) -> bool:
        """Whether an ACL lets the session do this, by all that its client has said."""
        return not self.checker.has_acls or permits(self.model.acl(path, place), perms, self.identities)

    # Replies.

    def answered(self, asked: Asked, header: ReplyHeader, reply: Record) -> None:
        """A request has succeeded."""
        is_change = asked.opcode in CHANGING
        self._require(not (is_change and self.is_read_only), "nobody writes without a leader", asked.opcode.name)
        if not self.may_judge(header.zxid):
            return
        place = self._shown(header.zxid)
        if asked.opcode in WRITE_OPCODES:
            self._wrote(asked, header.zxid, place)
        elif asked.opcode == OpCode.SYNC:
            self.checker.world.tally["syncs"] += 1
            what = f"shown {place}, committed were {asked.mark}"
            self._require(place >= asked.mark, "a sync shows what was committed before", what)
        elif asked.opcode == OpCode.CHECK_WATCHES:
            self._require(self._watches(asked), "a watch that is told of is there", f"{asked.record}")
        else:
            reads.check(self, asked, reply, place)
        if asked.watch is not None:
            self.watches.add(asked.watch, place)

    def may_judge(self, zxid: int) -> bool:
        """Whether it is decided what a state is: servers without a leader also show what is not committed."""
        if not self.is_read_only:
            return True
        is_decided = self.checker.sequence.place_of(zxid) >= 0
        self.checker.world.tally[f"read-only replies{'' if is_decided else ', undecided'}"] += 1
        return is_decided

    def _shown(self, zxid: int) -> int:
        """The place of what is shown, which is committed, never older than before, and behind no watch that waits."""
        place = self.checker.sequence.place_of(zxid)
        self._require(place >= 0, "what is acknowledged is committed", f"{zxid:x}")
        self._require(place >= self.place, "no session sees an older state than before", f"{place} < {self.place}")
        self.place = place
        self.watches.shown(place)
        return place

    def _wrote(self, asked: Asked, zxid: int, place: int) -> None:
        header = self.model.headers[place - 1]
        what = f"{asked.opcode.name} {asked.path!r} is answered with {zxid:x}"
        is_own = header.zxid == zxid and header.client_id == asked.session_id
        is_same = is_own and header.type == asked.opcode and self._fits(asked, place)
        self._require(is_same, "a write is answered with its own txn", what)
        self._require(place > asked.mark, "a write comes behind all that was committed before it", what)
        self.written += 1
        if self.checker.world.extras.is_audited and asked.opcode in AUDITED:
            self.audited += 1
            count = self.checker.audited[asked.session_id]
            self._require(count >= self.audited, "what is acknowledged is audited", f"{what}: {count} < {self.audited}")
        self.checker.world.tally["acknowledged"] += 1

    def _fits(self, asked: Asked, place: int) -> bool:
        record = self.model.records[place - 1]
        data = getattr(asked.record, "data", None)
        path: bytes = getattr(record, "path", b"")
        return path.startswith(asked.path) and (data is None or getattr(record, "data", None) == data)

    def _watches(self, asked: Asked) -> bool:
        """Whether the session has the persistent watch that it has asked about."""
        return self.watches.has(WATCH_TYPES[asked.record.type], asked.path)  # type: ignore[attr-defined]

    # Refusals.

    def found_nothing(self, asked: Asked, seen_zxid: int) -> None:
        """A znode that was to be read does not exist; `seen_zxid` is what the session knows."""
        place = self._shown(seen_zxid)
        node = self.model.node(asked.path, place)
        self._require(
            node is None, "a read shows the state at its zxid", f"{asked.path!r} at {place}: nothing, not {node}"
        )
        if asked.opcode == OpCode.EXISTS and asked.watch is not None:
            asked.watch.kind = WatchKind.EXIST
            self.watches.add(asked.watch, place)

    def kept_out(self, asked: Asked, seen_zxid: int) -> None:
        """A request was refused because of an ACL."""
        place, needed = self._shown(seen_zxid), NEEDED.get(asked.opcode)
        if needed is not None:
            acl = self.model.acl(guarded_path(asked.opcode, asked.path), place)
            is_right = self.checker.has_acls and not permits(acl, needed, asked.identities)
            what = f"{asked.opcode.name} of {asked.path!r} at {place} as {sorted(asked.identities)}: {acl}"
            self._require(is_right, "ACLs keep only strangers out", what)

    def has_no_watch(self, asked: Asked, seen_zxid: int) -> None:
        """A watch that was asked about, or was to be removed, is not there."""
        self._shown(seen_zxid)
        is_there = asked.opcode == OpCode.CHECK_WATCHES and self._watches(asked)
        self._require(not is_there, "a watch that was set is there", f"{asked.record}")

    def was_read_only(self, asked: Asked, seen_zxid: int) -> None:
        """A request was refused because there is no leader."""
        self._shown(seen_zxid)
        is_right = self.is_read_only and asked.opcode in CHANGING
        self._require(is_right, "writes are refused only where there is no leader", asked.opcode.name)

    # Watches.

    def notified(self, notification: Notification, watches: tuple[object, ...]) -> None:
        """Watches have fired; without a leader perhaps for what is not committed."""
        for watch in watches:
            assert isinstance(watch, Watch)
            if self.is_read_only:
                self.watches.set.pop(watch, None)
            else:
                self.watches.fired(watch, notification)
        self.checker.world.tally["watches"] += len(watches)

    def disconnected(self) -> None:
        """The connection is lost."""
        self.watches.disconnected()
