"""The watches of a session: who waits for what, what an event ends, what a reconnect must restore.

A watch lives on the server's connection and dies with it, so the client keeps this table and registers again.
Paths are the server's (with chroot). A watcher is anything hashable that the shell knows how to tell.
Source: docs/protocol/data-model.md section 5, client-protocol.md section 7.
"""

from collections.abc import Hashable, Iterator
from enum import Enum

from pyzk.codec.opcodes import AddWatchMode, EventType, OpCode, WatcherType
from pyzk.codec.record import Record
from pyzk.codec.requests import PathTypeRequest, PathWatchRequest, SetWatches2Request, SetWatchesRequest
from pyzk.errors import NoNodeError

SET_WATCHES_BYTES_MAX = 128 * 1024
"""Largest body of one setWatches: far below any jute.maxbuffer. Apache's Java client uses the same figure."""

_OVERHEAD_BYTES = 8 + 5 * 4


class WatchKind(Enum):
    """How a watch was set, in the order of the lists of setWatches2.

    EXIST is a data watch that was left on a znode that did not exist: after a reconnect it waits for something else.
    """

    DATA = "data"
    EXIST = "exist"
    CHILD = "child"
    PERSISTENT = "persistent"
    RECURSIVE = "recursive"


ENDED_BY = {
    EventType.NODE_CREATED: (WatchKind.DATA, WatchKind.EXIST),
    EventType.NODE_DELETED: (WatchKind.DATA, WatchKind.EXIST, WatchKind.CHILD),
    EventType.NODE_DATA_CHANGED: (WatchKind.DATA, WatchKind.EXIST),
    EventType.NODE_CHILDREN_CHANGED: (WatchKind.CHILD,),
}
"""The one-shot watches that an event of a path uses up."""

REMOVED_AS: dict[int, dict[WatchKind, EventType]] = {
    WatcherType.CHILDREN: {WatchKind.CHILD: EventType.CHILD_WATCH_REMOVED},
    WatcherType.DATA: {
        WatchKind.DATA: EventType.DATA_WATCH_REMOVED,
        WatchKind.EXIST: EventType.DATA_WATCH_REMOVED,
    },
    WatcherType.PERSISTENT: {WatchKind.PERSISTENT: EventType.PERSISTENT_WATCH_REMOVED},
    WatcherType.PERSISTENT_RECURSIVE: {WatchKind.RECURSIVE: EventType.PERSISTENT_WATCH_REMOVED},
}
REMOVED_AS[WatcherType.ANY] = {kind: event for kinds in list(REMOVED_AS.values()) for kind, event in kinds.items()}
"""What each type of removeWatches removes, and the event that tells the watchers."""


LEFT_BY_READ: dict[tuple[int, int], WatchKind] = {
    (OpCode.EXISTS, 0): WatchKind.DATA,
    (OpCode.EXISTS, NoNodeError.code): WatchKind.EXIST,
    (OpCode.GET_DATA, 0): WatchKind.DATA,
    (OpCode.GET_CHILDREN, 0): WatchKind.CHILD,
    (OpCode.GET_CHILDREN2, 0): WatchKind.CHILD,
}
"""Which watch a read leaves on the server, by opcode and result."""

LEFT_BY_ADD_WATCH: dict[int, WatchKind] = {
    AddWatchMode.PERSISTENT: WatchKind.PERSISTENT,
    AddWatchMode.PERSISTENT_RECURSIVE: WatchKind.RECURSIVE,
}


def watch_left(opcode: int, record: Record | None, err: int) -> WatchKind | None:
    """The kind of watch that an answered request has left on the server, if any."""
    if isinstance(record, PathWatchRequest) and record.watch:
        return LEFT_BY_READ.get((opcode, err))
    if isinstance(record, PathTypeRequest) and opcode == OpCode.ADD_WATCH and not err:
        return LEFT_BY_ADD_WATCH.get(record.type)
    return None


class WatchTable:
    """Watchers by kind and path, each in the order of registration."""

    def __init__(self) -> None:
        self._tables: dict[WatchKind, dict[bytes, dict[Hashable, None]]] = {kind: {} for kind in WatchKind}

    def __len__(self) -> int:
        return sum(len(table) for table in self._tables.values())

    def add(self, kind: WatchKind, path: bytes, watcher: Hashable) -> None:
        """Register; the same watcher twice counts once."""
        self._tables[kind].setdefault(path, {})[watcher] = None

    def discard(self, kind: WatchKind, path: bytes, watcher: Hashable) -> bool:
        """Forget one watcher; true when it was the last of its kind and path."""
        watchers = self._tables[kind].get(path, {})
        if watcher not in watchers:
            return False
        del watchers[watcher]
        if watchers:
            return False
        del self._tables[kind][path]
        return True

    def remove(self, path: bytes, which: int) -> Iterator[tuple[EventType, tuple[Hashable, ...]]]:
        """Forget all watchers of these kinds; yields those that must be told, with the event to tell."""
        for kind, event in REMOVED_AS.get(which, {}).items():
            watchers = self._tables[kind].pop(path, None)
            if watchers:
                yield event, tuple(watchers)

    def fire(self, event: EventType, path: bytes) -> tuple[Hashable, ...]:
        """Everybody who waits for this event, each once; one-shot watches are used up."""
        told: dict[Hashable, None] = {}
        for kind in ENDED_BY[event]:
            told |= self._tables[kind].pop(path, {})
        told |= self._tables[WatchKind.PERSISTENT].get(path, {})
        if event is not EventType.NODE_CHILDREN_CHANGED:
            told |= self._recursive(path)
        return tuple(told)

    def _recursive(self, path: bytes) -> dict[Hashable, None]:
        told: dict[Hashable, None] = {}
        table = self._tables[WatchKind.RECURSIVE]
        if table:
            for ancestor in ancestors(path):
                told |= table.get(ancestor, {})
        return told

    def watchers(self, *kinds: WatchKind) -> tuple[Hashable, ...]:
        """Everybody with a watch of these kinds (of any, when none is given), each once."""
        told: dict[Hashable, None] = {}
        for kind in kinds or WatchKind:
            for watchers in self._tables[kind].values():
                told |= watchers
        return tuple(told)

    def clear(self) -> None:
        """Forget all: the session has ended."""
        for table in self._tables.values():
            table.clear()

    def restore(self, relative_zxid: int) -> Iterator[tuple[OpCode, Record]]:
        """The setWatches requests that register everything again, each below SET_WATCHES_BYTES_MAX.

        Args:
            relative_zxid: up to which txn every event has been received: later changes are reported at once.
        """
        chunk = _Chunk()
        for kind, table in self._tables.items():
            for path in table:
                if chunk.paths and chunk.size_bytes + 4 + len(path) > SET_WATCHES_BYTES_MAX:
                    yield chunk.request(relative_zxid)
                    chunk = _Chunk()
                chunk.add(kind, path)
        if chunk.paths:
            yield chunk.request(relative_zxid)


class _Chunk:
    def __init__(self) -> None:
        self.paths: list[tuple[WatchKind, bytes]] = []
        self.size_bytes = _OVERHEAD_BYTES

    def add(self, kind: WatchKind, path: bytes) -> None:
        self.paths.append((kind, path))
        self.size_bytes += 4 + len(path)

    def request(self, relative_zxid: int) -> tuple[OpCode, Record]:
        lists: dict[WatchKind, list[bytes | None]] = {kind: [] for kind in WatchKind}
        for kind, path in self.paths:
            lists[kind].append(path)
        data, exist, child, persistent, recursive = lists.values()
        if persistent or recursive:
            request = SetWatches2Request(relative_zxid, data, exist, child, persistent, recursive)
            return OpCode.SET_WATCHES2, request
        # The older request, which servers before 3.6 know too.
        return OpCode.SET_WATCHES, SetWatchesRequest(relative_zxid, data, exist, child)


def ancestors(path: bytes) -> Iterator[bytes]:
    """The path itself, its parent, and so on up to the root."""
    while path not in {b"/", b""}:
        yield path
        path = path[: path.rfind(b"/")]
    yield b"/"


class Progress:
    """How far this client has come, as two zxids that must not be mixed up.

    `seen`: the latest state of which the client has any knowledge; it must not meet a server that is behind it.
    `complete`: up to which txn every event of every watch has surely been received; watches are restored from there.
    A reply follows the events of all txns up to its zxid, so it moves both. An event moves only `seen`: it proves
    nothing about the other events of its txn. Nor does the reply to one of several setWatches prove anything about the
    watches in the next ones, so `complete` stands still until the last of them is answered.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.complete = 0
        self._restores_pending = 0

    def event(self, zxid: int) -> None:
        """A watch event of this zxid has come (-1: unknown)."""
        self.seen = max(self.seen, zxid)

    def reply(self, zxid: int) -> None:
        """A reply with this zxid has come (0 or -1: made ahead of the server's queue)."""
        self.seen = max(self.seen, zxid)
        if not self._restores_pending:
            self.complete = max(self.complete, zxid)

    def restoring(self) -> None:
        """A setWatches was sent."""
        self._restores_pending += 1

    def restored(self, zxid: int) -> None:
        """A setWatches was answered."""
        self._restores_pending -= 1
        self.reply(zxid)

    def disconnected(self) -> None:
        """The answers to setWatches will not come any more."""
        self._restores_pending = 0
