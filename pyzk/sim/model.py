"""What committed txns make of paths and sessions, kept with all that was before: small enough to be seen to be right.

The places of committed txns (1, 2, ...) are its time. It is asked what a reply should have shown at a place, and it
objects to a txn that does not fit to the state before it.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pyzk.codec.opcodes import OpCode
from pyzk.codec.txns import (
    CheckVersionTxn,
    CloseSessionTxn,
    CreateSessionTxn,
    CreateTxn,
    DeleteTxn,
    MultiTxn,
    SetDataTxn,
    decode_txn,
)
from pyzk.tree.paths import parent_of

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from pyzk.codec.jute import Record
    from pyzk.codec.txns import TxnHeader

ROOT = b"/"


@dataclass(slots=True)
class Znode:
    """What the model knows of a znode.

    Attributes:
        data: as written.
        version: of the data.
        owner: the session that it ends with, 0 if there is none.
        created: place of the txn that made it.
    """

    data: bytes
    version: int
    owner: int
    created: int


class Timeline:
    """The states that something had, each from a place on."""

    __slots__ = ("places", "states")

    def __init__(self) -> None:
        self.places: list[int] = []
        self.states: list[Znode | tuple[bytes, ...] | None] = []

    def put(self, place: int, state: Znode | tuple[bytes, ...] | None) -> None:
        """From this place on it is so."""
        if self.places and self.places[-1] == place:
            self.states[-1] = state
        else:
            self.places.append(place)
            self.states.append(state)

    def at(self, place: int) -> Znode | tuple[bytes, ...] | None:
        """How it was at a place."""
        index = bisect_right(self.places, place)
        return self.states[index - 1] if index else None

    def next_change(self, place: int) -> int:
        """The first place behind this one where it changed; 0 if there is none."""
        index = bisect_right(self.places, place)
        return self.places[index] if index < len(self.places) else 0


class Model:
    """The state of an ensemble after each of its committed txns.

    Attributes:
        sessions: that live after the last of them, with their timeouts in ms.
        begun: the place of the txn that began each session.
        headers: of all committed txns, by place - 1.
        records: of the same.
    """

    def __init__(self, tally: Counter[str], require: Callable[[bool, str, str], None]) -> None:
        self.sessions: dict[int, int] = {}
        self.begun: dict[int, int] = {}
        self.headers: list[TxnHeader] = []
        self.records: list[Record] = []
        self._tally = tally
        self._require = require
        self._nodes: dict[bytes, Timeline] = {}
        self._children: dict[bytes, Timeline] = {}
        self._owned: dict[int, dict[bytes, None]] = {}
        self._live: dict[bytes, dict[bytes, None]] = {}
        self._put(0, ROOT, Znode(b"", 0, 0, 0))

    # Questions.

    def node(self, path: bytes, place: int) -> Znode | None:
        """A znode as it was at a place."""
        timeline = self._nodes.get(path)
        state = timeline.at(place) if timeline is not None else None
        return state if isinstance(state, Znode) else None

    def children(self, path: bytes, place: int) -> tuple[bytes, ...]:
        """The sorted names below a path at a place."""
        timeline = self._children.get(path)
        state = timeline.at(place) if timeline is not None else None
        return state if isinstance(state, tuple) else ()

    def next_node_change(self, path: bytes, place: int) -> int:
        """The first place behind this one where a path was created, written or deleted; 0 if there is none."""
        timeline = self._nodes.get(path)
        return timeline.next_change(place) if timeline is not None else 0

    def next_child_change(self, path: bytes, place: int) -> int:
        """The first place behind this one where the names below a path changed, or it was deleted."""
        timeline = self._children.get(path)
        changed = timeline.next_change(place) if timeline is not None else 0
        gone = self._next_deletion(path, place)
        return min(changed or gone, gone or changed)

    def _next_deletion(self, path: bytes, place: int) -> int:
        timeline = self._nodes.get(path)
        change = timeline.next_change(place) if timeline is not None else 0
        while timeline is not None and change and timeline.at(change) is not None:
            change = timeline.next_change(change)
        return change

    @property
    def paths(self) -> dict[bytes, Znode]:
        """All znodes as they are after the last txn."""
        last = len(self.headers)
        found = {path: self.node(path, last) for path in self._nodes}
        return {path: node for path, node in found.items() if node is not None}

    # Txns.

    def apply(self, payload: bytes) -> None:
        """The next committed txn."""
        txn = decode_txn(payload)
        self.headers.append(txn.header)
        self.records.append(txn.record)
        self._tally["writes"] += txn.header.type != OpCode.ERROR
        self._do(txn.header, txn.record)

    @property
    def _place(self) -> int:
        return len(self.headers)

    def _do(self, header: TxnHeader, record: Record) -> None:
        handler = self._HANDLERS.get(type(record))
        if handler is not None:
            handler(self, header, record)

    def _fits(self, holds: bool, header: TxnHeader, why: str) -> None:  # noqa: FBT001 - a statement, not a flag
        self._require(holds, "a txn fits to what was before it", f"{header.zxid:x}: {why}")

    def _put(self, place: int, path: bytes, node: Znode | None) -> None:
        self._nodes.setdefault(path, Timeline()).put(place, node)

    def _list(self, path: bytes) -> None:
        names = tuple(sorted(self._live.get(path, {})))
        self._children.setdefault(path, Timeline()).put(self._place, names)

    def _create(self, header: TxnHeader, record: CreateTxn) -> None:
        path, parent = record.path, parent_of(record.path)
        above = self.node(parent, self._place)
        self._fits(above is not None and not above.owner, header, f"{path!r} has no parent")
        self._fits(self.node(path, self._place) is None, header, f"{path!r} exists")
        owner = header.client_id if record.ephemeral else 0
        if owner:
            self._require(owner in self.sessions, "ephemerals live as long as their sessions", f"{path!r}")
            self._owned.setdefault(owner, {})[path] = None
        self._put(self._place, path, Znode(record.data or b"", 0, owner, self._place))
        self._live.setdefault(parent, {})[path[path.rfind(b"/") + 1 :]] = None
        self._list(parent)

    def _delete(self, header: TxnHeader, record: DeleteTxn) -> None:
        self._remove(header, record.path)

    def _remove(self, header: TxnHeader, path: bytes) -> None:
        node = self.node(path, self._place)
        self._fits(node is not None, header, f"{path!r} is not there")
        self._fits(not self._live.get(path), header, f"{path!r} has children")
        parent = parent_of(path)
        self._put(self._place, path, None)
        del self._live[parent][path[path.rfind(b"/") + 1 :]]
        self._list(parent)
        if node is not None and node.owner:
            del self._owned[node.owner][path]

    def _set_data(self, header: TxnHeader, record: SetDataTxn) -> None:
        node = self.node(record.path, self._place)
        if node is None:
            self._fits(record.path == b"/zookeeper/config", header, f"{record.path!r} is not there")
            return
        self._fits(record.version == node.version + 1 or record.path == ROOT, header, f"version {record.version}")
        written = Znode(record.data or b"", record.version, node.owner, node.created)
        self._put(self._place, record.path, written)

    def _check(self, header: TxnHeader, record: CheckVersionTxn) -> None:
        node = self.node(record.path, self._place)
        self._fits(node is not None, header, f"{record.path!r} is not there")

    def _multi(self, header: TxnHeader, record: MultiTxn) -> None:
        if all(sub.type != OpCode.ERROR for sub in record.txns):
            for part in record.records():
                self._do(header, part)

    def _create_session(self, header: TxnHeader, record: CreateSessionTxn) -> None:
        self.sessions[header.client_id] = record.timeout_ms
        self.begun[header.client_id] = self._place

    def _close_session(self, header: TxnHeader, record: CloseSessionTxn) -> None:
        self.sessions.pop(header.client_id, None)
        owned = self._owned.pop(header.client_id, {})
        listed = record.paths
        what = f"{header.zxid:x} ends 0x{header.client_id:x}: {listed}, it owns {list(owned)}"
        is_same = listed is None or sorted(listed) == sorted(owned)
        self._require(is_same, "ephemerals live as long as their sessions", what)
        self._owned[header.client_id] = owned
        for path in list(owned):
            self._remove(header, path)
        del self._owned[header.client_id]

    _HANDLERS: ClassVar[dict[type, Callable[..., None]]] = {
        CreateTxn: _create,
        DeleteTxn: _delete,
        SetDataTxn: _set_data,
        CheckVersionTxn: _check,
        MultiTxn: _multi,
        CreateSessionTxn: _create_session,
        CloseSessionTxn: _close_session,
    }
