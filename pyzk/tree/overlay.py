"""What prepared but not yet applied txns will change: the tree as the next request must see it.

Per path the latest change wins; an entry goes when the txn that wrote it is applied. Where a txn leaves a leaf, the
entry is that very leaf, and apply has only to put it into the tree; otherwise it holds the numbers. A multi that fails
half-way is undone exactly, digest included. The overlay belongs to the leader's role and is thrown away with it.
Source: docs/protocol/data-model.md section 4.
"""

from collections.abc import Iterable

from zlib_ng.zlib_ng import crc32

from pyzk.tree.digest import DIGESTED, TREE_DIGEST_MASK, ZOOKEEPER_PREFIX, data_crc
from pyzk.tree.node import (
    OPEN,
    Before,
    Gone,
    NodeState,
    Pending,
    Written,
    data_of,
    is_session,
    new_leaf,
    rewritten_leaf,
)
from pyzk.tree.tree import Tree, owner_of


class Overlay:
    """The committed tree with everything outstanding on top.

    Attributes:
        digest: of the tree once all that is outstanding is applied.
        zxid: of the txn that is being prepared.
        time_ms: its time.
        written: what it writes, in the order in which apply needs it.
        rewritten: how many of these are leaves with other data, complete as apply needs them.
    """

    __slots__ = (
        "_digest_before",
        "_ephemerals",
        "_states",
        "digest",
        "rewritten",
        "time_ms",
        "tree",
        "written",
        "zxid",
    )

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.digest = self._digest_before = tree.digest
        self.zxid = self.time_ms = self.rewritten = 0
        self.written: list[Written] = []
        self._states: dict[bytes, Pending] = {}
        self._ephemerals: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._states)

    def begin(self, zxid: int, time_ms: int) -> None:
        """Start a txn; what is written from now on belongs to it."""
        self.zxid, self.time_ms, self.written, self._digest_before = zxid, time_ms, [], self.digest
        self.rewritten = 0

    def roll_back(self) -> None:
        """Take back all that was written since `begin`."""
        for path, _, previous, _ in reversed(self.written):
            if previous is None:
                del self._states[path]
                self._ephemerals.pop(path, None)
            else:
                self._states[path] = previous
                self._note_owner(path, _owner(previous))
        self.digest = self._digest_before
        self.written = []

    def settle(self, written: Iterable[Written]) -> None:
        """The txn that wrote this is applied: the tree itself says so now."""
        states = self._states
        for path, pending, _, _ in written:
            if states.get(path) is pending:
                del states[path]
                if self._ephemerals:
                    self._ephemerals.pop(path, None)

    def clear(self) -> None:
        """All txns are applied."""
        self._states.clear()
        self._ephemerals.clear()

    def find(self, path: bytes) -> NodeState | None:
        """The znode as it will be; None if it will not exist. Not to be changed: see `edit`."""
        state = self._states.get(path)
        if state is None:
            return self.tree.state(path)
        if isinstance(state, bytes):
            return self.tree.leaf_state(state)
        return None if isinstance(state, Gone) else state

    def leaf(self, path: bytes) -> bytes | None:
        """The very leaf that will be there; None if none will be or if only its numbers are known (`find`)."""
        pending = self._states.get(path) or self.tree.nodes.get(path)
        return pending if isinstance(pending, bytes) else None

    def exists(self, path: bytes) -> bool:
        """Whether the znode will exist."""
        state = self._states.get(path)
        return path in self.tree.nodes if state is None else not isinstance(state, Gone)

    def is_outstanding(self, path: bytes) -> bool:
        """Whether something that is not applied yet writes this znode."""
        return path in self._states

    def edit(self, state: NodeState) -> NodeState:
        """A copy to change and to hand to `write`."""
        # One without a writer was made for this caller by `find`.
        return state.copy() if state.writer else state

    def write(self, path: bytes, state: NodeState) -> None:
        """The current txn leaves an existing znode like this."""
        if state.data_crc == -1:
            state.data_crc = data_crc(path, self._data(path))
        digest = _digest(path, state)
        change, state.digest, state.writer = digest - state.digest, digest, self.zxid
        self._put(path, state, change, state.owner)

    def write_leaf(self, path: bytes, before: Before, data: bytes | None, version: int) -> None:
        """The current txn gives other data to a leaf, which ended with `before`."""
        leaf, change = rewritten_leaf(path, before, data, self.zxid, self.time_ms, version)
        self.written.append((path, leaf, self._states.get(path), change))
        self._states[path] = leaf
        self.digest = self.digest + change & TREE_DIGEST_MASK
        if before[9] != OPEN:  # one that is still to be created does not know the index of its ACL list
            self.rewritten += 1

    def create(self, path: bytes, state: NodeState) -> None:
        """The current txn creates this znode; its `data_crc` is known."""
        state.digest, state.writer = _digest(path, state), self.zxid
        self._put(path, state, state.digest, state.owner)

    def create_leaf(self, path: bytes, data: bytes | None, owner: int) -> None:
        """The current txn creates this znode with the open ACL list; apply knows the index of that."""
        leaf, digest = new_leaf(path, data, self.zxid, self.time_ms, owner, OPEN)
        self._put(path, leaf, digest, owner)

    def delete(self, path: bytes, digest: int) -> None:
        """The current txn deletes this znode, which has that digest."""
        self._put(path, Gone(), -digest, 0)

    def _put(self, path: bytes, pending: Pending, change: int, owner: int) -> None:
        self.written.append((path, pending, self._states.get(path), change))
        self._states[path] = pending
        self.digest = self.digest + change & TREE_DIGEST_MASK
        if owner or self._ephemerals:
            self._note_owner(path, owner)

    def _note_owner(self, path: bytes, owner: int) -> None:
        if is_session(owner):
            self._ephemerals[path] = None
        else:
            self._ephemerals.pop(path, None)

    def _data(self, path: bytes) -> bytes | None:
        """Data of a znode whose numbers were found without their `data_crc`: of a leaf, pending or in the tree."""
        pending = self._states.get(path)
        return data_of(pending if isinstance(pending, bytes) else self.tree.nodes[path])

    def ephemerals_of(self, session_id: int) -> list[bytes]:
        """Ephemeral znodes that the session will own: committed or being created, and not being deleted."""
        candidates = dict.fromkeys([*self.tree.ephemerals.get(session_id, ()), *self._ephemerals])
        return [path for path in candidates if self._will_own(session_id, path)]

    def _will_own(self, session_id: int, path: bytes) -> bool:
        state = self._states.get(path)
        return state is None or _owner(state) == session_id


def _owner(pending: Pending) -> int:
    if isinstance(pending, bytes):
        return owner_of(pending)
    return 0 if isinstance(pending, Gone) else pending.owner


def _digest(path: bytes, state: NodeState) -> int:
    if path.startswith(ZOOKEEPER_PREFIX):
        return 0
    numbers = DIGESTED.pack(
        state.czxid,
        state.mzxid,
        state.pzxid,
        state.ctime,
        state.mtime,
        state.version,
        state.cversion,
        state.aversion,
        state.owner,
    )
    return crc32(numbers, state.data_crc)
