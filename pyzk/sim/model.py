"""What committed txns make of paths and sessions, kept with all that was before: small enough to be seen to be right.

The places of committed txns (1, 2, ...) are its time. It is asked what a reply should have shown at a place, and it
objects to a txn that does not fit to the state before it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyzk.codec.opcodes import EventType, OpCode, Perms
from pyzk.codec.records import OPEN_ACL
from pyzk.codec.txns import (
    CheckVersionTxn,
    CloseSessionTxn,
    CreateContainerTxn,
    CreateSessionTxn,
    CreateTTLTxn,
    CreateTxn,
    DeleteTxn,
    MultiTxn,
    SetACLTxn,
    SetDataTxn,
    decode_txn,
)
from pyzk.sim.acls import AcList, permits
from pyzk.sim.timeline import CONTAINER, FOR_EVER, Timeline, Znode
from pyzk.tree.paths import parent_of

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from pyzk.codec.record import Record
    from pyzk.codec.txns import TxnHeader
    from pyzk.tree.acl import Identity

ROOT = b"/"
RESERVED = b"/zookeeper"
"""What is below is the servers' own."""
OPEN_TO_ALL = tuple(OPEN_ACL)
Change = tuple[int, EventType, bytes]


class Model:
    """The state of an ensemble after each of its committed txns.

    Attributes:
        sessions: that live after the last of them, with their timeouts in ms.
        begun: the place of the txn that began each session.
        headers: of all committed txns, by place - 1.
        records: of the same.
        changes: what watches may be told of: place, kind and path of each, in order.
        claims: who each session may be, by all that its client has said. Others are not looked at.
    """

    def __init__(self, tally: Counter[str], require: Callable[[bool, str, str], None]) -> None:
        self.sessions: dict[int, int] = {}
        self.begun: dict[int, int] = {}
        self.headers: list[TxnHeader] = []
        self.records: list[Record] = []
        self.changes: list[Change] = []
        self.claims: dict[int, set[Identity]] = {}
        self._tally = tally
        self._require = require
        self._nodes: dict[bytes, Timeline[Znode]] = {}
        self._children: dict[bytes, Timeline[tuple[bytes, ...]]] = {}
        self._acls: dict[bytes, Timeline[AcList]] = {}
        self._ephemerals: dict[int, Timeline[tuple[bytes, ...]]] = {}
        self._owned: dict[int, dict[bytes, None]] = {}
        self._live: dict[bytes, dict[bytes, None]] = {}
        self._handlers = self._table()
        self._put(0, ROOT, Znode(b"", 0, 0, 0))

    # Questions.

    def node(self, path: bytes, place: int) -> Znode | None:
        """A znode as it was at a place."""
        timeline = self._nodes.get(path)
        return timeline.at(place) if timeline is not None else None

    def children(self, path: bytes, place: int) -> tuple[bytes, ...]:
        """The sorted names below a path at a place."""
        timeline = self._children.get(path)
        return (timeline.at(place) if timeline is not None else None) or ()

    def acl(self, path: bytes, place: int) -> AcList:
        """The ACL of a path at a place; that of a znode that is gone was its last."""
        timeline = self._acls.get(path)
        return (timeline.at(place) if timeline is not None else None) or OPEN_TO_ALL

    def ephemerals(self, session_id: int, place: int) -> tuple[bytes, ...]:
        """The sorted paths that end with a session at a place."""
        timeline = self._ephemerals.get(session_id)
        return (timeline.at(place) if timeline is not None else None) or ()

    def below(self, path: bytes, place: int) -> list[bytes]:
        """All paths below a path at a place."""
        prefix = path.rstrip(b"/") + b"/"
        return [
            other for other in self._nodes if other.startswith(prefix) and self.node(other, place) and other != ROOT
        ]

    def had_children(self, path: bytes, place: int) -> bool:
        """Whether a znode has had children since it was created."""
        node, timeline = self.node(path, place), self._children.get(path)
        return node is not None and timeline is not None and 0 < timeline.next_change(node.created - 1) <= place

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
        handler = self._handlers.get(type(record))
        if handler is not None:
            handler(self, header, record)

    def _fits(self, holds: bool, header: TxnHeader, why: str) -> None:  # noqa: FBT001 - a statement, not a flag
        self._require(holds, "a txn fits to what was before it", f"{header.zxid:x}: {why}")

    def _put(self, place: int, path: bytes, node: Znode | None) -> None:
        self._nodes.setdefault(path, Timeline()).put(place, node)

    def _list(self, path: bytes) -> None:
        names = tuple(sorted(self._live.get(path, {})))
        self._children.setdefault(path, Timeline()).put(self._place, names)

    def _create(self, header: TxnHeader, record: CreateTxn | CreateContainerTxn | CreateTTLTxn) -> None:
        path, parent = record.path, parent_of(record.path)
        if path.startswith(RESERVED):
            return
        above = self.node(parent, self._place)
        self._fits(above is not None and not above.owner, header, f"{path!r} has no parent")
        self._fits(self.node(path, self._place) is None, header, f"{path!r} exists")
        self._may(header, parent, Perms.CREATE)
        node = Znode(record.data or b"", 0, 0, self._place, _lifetime_ms(record), header.time_ms)
        if isinstance(record, CreateTxn) and record.ephemeral:
            node.owner = header.client_id
            self._require(node.owner in self.sessions, "ephemerals live as long as their sessions", f"{path!r}")
            self._owned.setdefault(node.owner, {})[path] = None
            self._note_owned(node.owner)
        self._put(self._place, path, node)
        self._acls.setdefault(path, Timeline()).put(self._place, tuple(record.acl or ()))
        self._live.setdefault(parent, {})[path[path.rfind(b"/") + 1 :]] = None
        self._list(parent)
        self._change(EventType.NODE_CREATED, path)
        self._change(EventType.NODE_CHILDREN_CHANGED, parent)

    def _change(self, kind: EventType, path: bytes) -> None:
        self.changes.append((self._place, kind, path))

    def _note_owned(self, session_id: int) -> None:
        owned = tuple(sorted(self._owned.get(session_id, {})))
        self._ephemerals.setdefault(session_id, Timeline()).put(self._place, owned)

    def _delete(self, header: TxnHeader, record: DeleteTxn) -> None:
        if record.path.startswith(RESERVED):
            return
        if header.type == OpCode.DELETE_CONTAINER:
            node = self.node(record.path, self._place)
            is_mortal = node is not None and node.lifetime_ms != FOR_EVER
            self._require(is_mortal, "only containers and TTL znodes go by themselves", f"{record.path!r}: {node}")
        else:
            self._may(header, parent_of(record.path), Perms.DELETE)
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
            self._note_owned(node.owner)
        self._change(EventType.NODE_DELETED, path)
        self._change(EventType.NODE_CHILDREN_CHANGED, parent)

    def _set_data(self, header: TxnHeader, record: SetDataTxn) -> None:
        if record.path.startswith(RESERVED):
            return
        node = self.node(record.path, self._place)
        self._fits(node is not None, header, f"{record.path!r} is not there")
        assert node is not None
        self._may(header, record.path, Perms.WRITE)
        self._fits(record.version == node.version + 1 or record.path == ROOT, header, f"version {record.version}")
        written = replace(node, data=record.data or b"", version=record.version, changed_ms=header.time_ms)
        self._put(self._place, record.path, written)
        self._change(EventType.NODE_DATA_CHANGED, record.path)

    def _set_acl(self, header: TxnHeader, record: SetACLTxn) -> None:
        self._fits(self.node(record.path, self._place) is not None, header, f"{record.path!r} is not there")
        self._may(header, record.path, Perms.ADMIN)
        self._acls.setdefault(record.path, Timeline()).put(self._place, tuple(record.acl or ()))

    def _may(self, header: TxnHeader, path: bytes, perms: Perms) -> None:
        """A session does only what an ACL lets it do."""
        if header.client_id in self.claims:
            acl, identities = self.acl(path, self._place), self.claims[header.client_id]
            what = f"0x{header.client_id:x} as {identities} did {perms!r} at {path!r}: {acl}"
            self._require(permits(acl, perms, identities), "ACLs keep strangers out", what)

    def _check(self, header: TxnHeader, record: CheckVersionTxn) -> None:
        node = self.node(record.path, self._place)
        self._fits(node is not None, header, f"{record.path!r} is not there")

    def _multi(self, header: TxnHeader, record: MultiTxn) -> None:
        if all(sub.type != OpCode.ERROR for sub in record.txns):
            for _, part in record.steps():
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
        for path in listed or list(owned):
            self._remove(header, path)
        del self._owned[header.client_id]

    @classmethod
    def _table(cls) -> dict[type, Callable[..., None]]:
        """As `zab/peer.py`."""
        return {
            CreateTxn: cls._create,
            DeleteTxn: cls._delete,
            CreateContainerTxn: cls._create,
            CreateTTLTxn: cls._create,
            SetACLTxn: cls._set_acl,
            SetDataTxn: cls._set_data,
            CheckVersionTxn: cls._check,
            MultiTxn: cls._multi,
            CreateSessionTxn: cls._create_session,
            CloseSessionTxn: cls._close_session,
        }


def _lifetime_ms(record: CreateTxn | CreateContainerTxn | CreateTTLTxn) -> int:
    if isinstance(record, CreateTTLTxn):
        return record.ttl_ms
    return CONTAINER if isinstance(record, CreateContainerTxn) else FOR_EVER
