"""What prepared but not yet applied txns will change: the tree as the next request must see it.

Per path the latest change wins; an entry goes when the txn that wrote it is applied. A multi that fails half-way is
undone exactly, digest included. The overlay belongs to the leader's role and is thrown away with it.
Source: docs/protocol/data-model.md section 4.
"""

from dataclasses import dataclass, field
from zlib import crc32

from pyzk.tree.digest import DIGESTED, TREE_DIGEST_MASK, ZOOKEEPER_PREFIX, data_crc
from pyzk.tree.node import NodeState, data_of, is_session
from pyzk.tree.tree import Tree


@dataclass(slots=True)
class Draft:
    """What the txn being prepared writes: paths for `settle`, znode digests for apply, and what was there `before`."""

    zxid: int = 0
    time_ms: int = 0
    paths: list[bytes] = field(default_factory=list)
    node_digests: list[int] = field(default_factory=list)
    before: list[NodeState | None] = field(default_factory=list)
    tree_digest: int = 0


class Overlay:
    """The committed tree with everything outstanding on top.

    Attributes:
        digest: of the tree once all that is outstanding is applied.
        draft: of the txn that is being prepared.
    """

    __slots__ = ("_ephemerals", "_states", "digest", "draft", "tree")

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.digest = tree.digest
        self.draft = Draft()
        self._states: dict[bytes, NodeState] = {}
        self._ephemerals: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._states)

    def begin(self, zxid: int, time_ms: int) -> None:
        """Start a txn; what is written from now on belongs to it."""
        self.draft = Draft(zxid, time_ms, [], [], [], self.digest)

    def roll_back(self) -> None:
        """Take back all that was written since `begin`."""
        draft = self.draft
        for path, previous in zip(reversed(draft.paths), reversed(draft.before), strict=True):
            if previous is None:
                del self._states[path]
                self._ephemerals.pop(path, None)
            else:
                self._states[path] = previous
                self._note_owner(path, previous)
        self.digest = draft.tree_digest
        self.begin(draft.zxid, draft.time_ms)

    def settle(self, zxid: int, paths: list[bytes]) -> None:
        """The txn that wrote `paths` is applied: the tree itself says so now."""
        for path in paths:
            state = self._states.get(path)
            if state is not None and state.writer == zxid:
                del self._states[path]
                self._ephemerals.pop(path, None)

    def find(self, path: bytes) -> NodeState | None:
        """The znode as it will be; None if it will not exist. Not to be changed: see `edit`."""
        state = self._states.get(path)
        if state is None:
            return self.tree.state(path)
        return state if state.exists else None

    def edit(self, state: NodeState) -> NodeState:
        """A copy to change and to hand to `write`, `create` or `delete`."""
        # One without a writer was made for this caller by `Tree.state`.
        return state.copy() if state.writer else state

    def write(self, path: bytes, state: NodeState) -> None:
        """The current txn leaves an existing znode like this."""
        if state.data_crc == -1:
            state.data_crc = data_crc(path, data_of(self.tree.nodes[path]))
        digest = _digest(path, state)
        self.digest = self.digest + digest - state.digest & TREE_DIGEST_MASK
        state.digest = digest
        self.draft.node_digests.append(digest)
        self._put(path, state)

    def create(self, path: bytes, state: NodeState) -> None:
        """The current txn creates this znode; its `data_crc` is known."""
        state.digest = _digest(path, state)
        self.digest = self.digest + state.digest & TREE_DIGEST_MASK
        self.draft.node_digests.append(state.digest)
        self._put(path, state)

    def delete(self, path: bytes, state: NodeState) -> None:
        """The current txn deletes this znode."""
        self.digest = self.digest - state.digest & TREE_DIGEST_MASK
        state.exists = False
        self._put(path, state)

    def _put(self, path: bytes, state: NodeState) -> None:
        draft = self.draft
        draft.before.append(self._states.get(path))
        draft.paths.append(path)
        state.writer = draft.zxid
        self._states[path] = state
        if state.owner or self._ephemerals:
            self._note_owner(path, state)

    def _note_owner(self, path: bytes, state: NodeState) -> None:
        if state.exists and is_session(state.owner):
            self._ephemerals[path] = None
        else:
            self._ephemerals.pop(path, None)

    def ephemerals_of(self, session_id: int) -> list[bytes]:
        """Ephemeral znodes that the session will own: committed or being created, and not being deleted."""
        candidates = dict.fromkeys([*self.tree.ephemerals.get(session_id, ()), *self._ephemerals])
        return [path for path in candidates if self._will_own(session_id, path)]

    def _will_own(self, session_id: int, path: bytes) -> bool:
        state = self._states.get(path)
        return state is None or (state.exists and state.owner == session_id)


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
