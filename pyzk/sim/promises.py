"""What every client of an ensemble may rely on, checked at each thing that it hears.

A client that sees an older state than before, a read that shows anything but the state at its zxid, a watch that fires
twice, or late, a session that ends though it shows life: each is a broken promise.
Source: docs/protocol/data-model.md sections 5 and 8, docs/protocol/client-protocol.md section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pyzk.client.watches import WatchKind
from pyzk.codec.opcodes import WRITE_OPCODES, OpCode
from pyzk.codec.replies import Children2Reply, ChildrenReply, DataReply, StatReply
from pyzk.sim.sequence import require

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.client.effects import Notification
    from pyzk.codec.jute import Record
    from pyzk.codec.records import ReplyHeader
    from pyzk.sim.checker import Checker
    from pyzk.sim.model import Model


@dataclass(slots=True, eq=False)
class Watch:
    """A one-shot watch that a client has set.

    Attributes:
        kind: what it waits for.
        place: of the state that the client was shown when it set it.
        is_loose: a connection was lost since then, and changes that are undone meanwhile are not reported.
    """

    kind: WatchKind
    path: bytes
    place: int
    is_loose: bool = False


@dataclass(slots=True, eq=False)
class Asked:
    """A request.

    Attributes:
        mark: how much was committed when it was sent.
        session_id: of the session that asks.
        at: when it was sent, seconds.
        watch: that it leaves.
    """

    opcode: OpCode
    record: Record
    mark: int
    session_id: int
    at: float
    watch: Watch | None = None

    @property
    def path(self) -> bytes:
        """That it is about."""
        return getattr(self.record, "path", b"") or b""


class Promises:
    """What one session was shown, and what it waits for.

    Attributes:
        place: the newest state that it was shown.
        watches: not fired yet.
        written: acknowledged writes.
    """

    def __init__(self, checker: Checker, name: str) -> None:
        self.checker = checker
        self.name = name
        self.place = 0
        self.written = 0
        self.watches: dict[Watch, None] = {}

    @property
    def _model(self) -> Model:
        return self.checker.model

    def _require(self, holds: bool, invariant: str, details: str) -> None:  # noqa: FBT001 - a statement, not a flag
        require(holds, invariant, f"{self.name}: {details}")

    # Replies.

    def answered(self, asked: Asked, header: ReplyHeader, reply: Record) -> None:
        """A request has succeeded."""
        place = self._shown(header.zxid)
        if asked.opcode in WRITE_OPCODES:
            self._wrote(asked, header.zxid, place)
        elif asked.opcode == OpCode.SYNC:
            self.checker.world.tally["syncs"] += 1
            what = f"shown {place}, committed were {asked.mark}"
            self._require(place >= asked.mark, "a sync shows what was committed before", what)
        else:
            read = self._READS.get(type(reply))
            if read is not None:
                read(self, asked.path, reply, place)
        self._set_watch(asked, place, is_there=True)

    def _shown(self, zxid: int) -> int:
        """The place of what is shown, which is committed, never older than before, and behind no watch that waits."""
        checker = self.checker
        place = checker.sequence.place_of(zxid)
        self._require(place >= 0, "what is acknowledged is committed", f"{zxid:x}")
        self._require(place >= self.place, "no session sees an older state than before", f"{place} < {self.place}")
        self.place = place
        for watch in self.watches:
            due = self._due(watch)
            what = f"{watch.kind.value} of {watch.path!r} at {due}, set at {watch.place}, shown {place}"
            is_late = 0 < due <= place and not watch.is_loose
            self._require(not is_late, "a watch fires before the reply that shows the change", what)
        return place

    def _wrote(self, asked: Asked, zxid: int, place: int) -> None:
        header = self._model.headers[place - 1]
        what = f"{asked.opcode.name} {asked.path!r} is answered with {zxid:x}"
        is_own = header.zxid == zxid and header.client_id == asked.session_id
        is_same = is_own and header.type == asked.opcode and self._fits(asked, place)
        self._require(is_same, "a write is answered with its own txn", what)
        self._require(place > asked.mark, "a write comes behind all that was committed before it", what)
        self.written += 1
        self.checker.world.tally["acknowledged"] += 1

    def _fits(self, asked: Asked, place: int) -> bool:
        record = self._model.records[place - 1]
        data = getattr(asked.record, "data", None)
        path: bytes = getattr(record, "path", b"")
        return path.startswith(asked.path) and (data is None or getattr(record, "data", None) == data)

    def _read_data(self, path: bytes, reply: DataReply, place: int) -> None:
        node = self._model.node(path, place)
        what = f"{path!r} at {place}: {reply.data!r} {reply.stat.version}, not {node}"
        is_same = node is not None and (node.data, node.version) == (reply.data, reply.stat.version)
        self._require(is_same, "a read shows the state at its zxid", what)
        self._read_stat(path, StatReply(reply.stat), place)

    def _read_stat(self, path: bytes, reply: StatReply, place: int) -> None:
        node = self._model.node(path, place)
        stat = reply.stat
        what = f"{path!r} at {place}: {stat}, not {node}"
        is_same = node is not None and (node.version, node.owner) == (stat.version, stat.ephemeral_owner)
        self._require(is_same, "a read shows the state at its zxid", what)

    def _read_children(self, path: bytes, reply: ChildrenReply | Children2Reply, place: int) -> None:
        names = tuple(sorted(reply.children or ()))
        found = self._model.children(path, place)
        what = f"{path!r} at {place}: {names}, not {found}"
        self._require(names == found, "a read shows the state at its zxid", what)

    _READS: ClassVar[dict[type, Callable[..., None]]] = {
        DataReply: _read_data,
        StatReply: _read_stat,
        ChildrenReply: _read_children,
        Children2Reply: _read_children,
    }

    # Watches.

    def found_nothing(self, asked: Asked, seen_zxid: int) -> None:
        """A znode that was to be read does not exist; `seen_zxid` is what the session knows."""
        place = self._shown(seen_zxid)
        node = self._model.node(asked.path, place)
        self._require(
            node is None, "a read shows the state at its zxid", f"{asked.path!r} at {place}: nothing, not {node}"
        )
        if asked.opcode == OpCode.EXISTS:
            self._set_watch(asked, place, is_there=False)

    def _set_watch(self, asked: Asked, place: int, *, is_there: bool) -> None:
        watch = asked.watch
        if watch is not None:
            watch.place = place
            if not is_there:
                watch.kind = WatchKind.EXIST
            self.watches[watch] = None

    def _due(self, watch: Watch) -> int:
        """The place of the change that a watch waits for, 0 if that is not committed."""
        if watch.kind is WatchKind.CHILD:
            return self._model.next_child_change(watch.path, watch.place)
        return self._model.next_node_change(watch.path, watch.place)

    def notified(self, notification: Notification, watches: tuple[object, ...]) -> None:
        """Watches have fired."""
        for watch in watches:
            assert isinstance(watch, Watch)
            due = self._due(watch)
            what = f"{notification} for {watch}, due at {due}"
            self._require(watch in self.watches, "a watch fires once", what)
            del self.watches[watch]
            self._require(watch.path == notification.path and due > 0, "a watch fires for a change", what)
            if notification.zxid > 0:
                place = self.checker.sequence.place_of(notification.zxid)
                is_right = place == due or (watch.is_loose and place > due)
                self._require(is_right, "a watch fires for the first change", f"{what}, not at {place}")
        self.checker.world.tally["watches"] += len(watches)

    def disconnected(self) -> None:
        """The connection is lost: of a znode that comes and goes meanwhile nothing is heard."""
        for watch in self.watches:
            watch.is_loose = watch.is_loose or watch.kind is WatchKind.EXIST
