"""Watches: who is told when a znode changes.

Pure bookkeeping by connection (an int). Firing answers with what to send to whom; that a connection without READ is
left out, and the bytes, are the caller's business. Source: docs/protocol/data-model.md section 5.

Each connection has its own dict from path to bits, which is the truth; the tables from path to connections are there
to find them.
"""

from collections.abc import Collection, Iterator

from pyzk.codec.opcodes import EventType, WatcherType
from pyzk.errors import MarshallingError
from pyzk.tree.paths import Above

Event = tuple[EventType, bytes, Collection[int]]
"""What happened, the path, and the connections to tell, each once."""

BYTES_A_WATCH = 200
"""What a watch takes beside its path: entries of two dicts and of their tables."""

# A persistent watch always stands in both tables at once, a recursive one only with the data watches.
_DATA = 1
_CHILD = 2
_PERSISTENT = 4
_RECURSIVE = 8

_BITS: dict[int, int] = {
    WatcherType.CHILDREN: _CHILD,
    WatcherType.DATA: _DATA,
    WatcherType.ANY: _DATA | _CHILD | _PERSISTENT | _RECURSIVE,
    WatcherType.PERSISTENT: _PERSISTENT,
    WatcherType.PERSISTENT_RECURSIVE: _RECURSIVE,
}


class _Table:
    """The connections that watch a path in one way or another.

    Args:
        mask: the bits that put a connection into this table.
        one_shot: the bit among them that is used up when it fires.
    """

    __slots__ = ("mask", "one_shot", "total", "watchers")

    def __init__(self, mask: int, one_shot: int) -> None:
        self.mask = mask
        self.one_shot = one_shot
        self.total = 0
        # A path with a single watcher, as most have, holds the connection itself and saves the dict.
        self.watchers: dict[bytes, int | dict[int, None]] = {}

    def enter(self, path: bytes, connection: int) -> None:
        """Add a connection that is not in the table at this path."""
        self.total += 1
        present = self.watchers.get(path)
        if present is None:
            self.watchers[path] = connection
        elif isinstance(present, dict):
            present[connection] = None
        else:
            self.watchers[path] = {present: None, connection: None}

    def leave(self, path: bytes, connection: int) -> None:
        """Take out a connection that is in the table at this path."""
        self.total -= 1
        present = self.watchers[path]
        if isinstance(present, dict) and len(present) > 1:
            del present[connection]
        else:
            del self.watchers[path]

    def at(self, path: bytes) -> list[int]:
        """The connections at this path, in the order in which they came."""
        present = self.watchers.get(path)
        if present is None:
            return []
        return list(present) if isinstance(present, dict) else [present]

    def keep(self, path: bytes, staying: list[int], gone: int) -> None:
        """Leave only `staying` at this path, `gone` connections less than before."""
        self.total -= gone
        if staying:
            self.watchers[path] = dict.fromkeys(staying)
        else:
            del self.watchers[path]


class Watches:
    """All watches of one server.

    Attributes:
        bytes_of: what the watches of each connection take, roughly.
    """

    __slots__ = ("_above", "_by_connection", "_child", "_data", "_recursive", "bytes_of")

    def __init__(self) -> None:
        self._by_connection: dict[int, dict[bytes, int]] = {}
        self.bytes_of: dict[int, int] = {}
        self._data = _Table(_DATA | _PERSISTENT | _RECURSIVE, _DATA)
        self._child = _Table(_CHILD | _PERSISTENT, _CHILD)
        # Once more those of `_data` that also see what happens below their path: usually none at all.
        self._recursive = _Table(_RECURSIVE, 0)
        self._above = Above()

    # Registering.

    def add_data(self, connection: int, path: bytes) -> None:
        """Tell once when the znode is created, deleted or gets other data (exists, getData)."""
        self._set(connection, path, _DATA)

    def add_child(self, connection: int, path: bytes) -> None:
        """Tell once when a child comes or goes, or the znode itself is deleted (getChildren)."""
        self._set(connection, path, _CHILD)

    def add_persistent(self, connection: int, path: bytes) -> None:
        """Both of these, again and again (addWatch mode 0)."""
        self._set(connection, path, _PERSISTENT)

    def add_recursive(self, connection: int, path: bytes) -> None:
        """What a data watch sees, again and again, for the znode and everything below it (addWatch mode 1)."""
        self._set(connection, path, _RECURSIVE)

    def check(self, connection: int, path: bytes, watcher_type: int) -> bool:
        """Is there a watch of this type? Raises MarshallingError for a type that does not exist."""
        return bool(self._bits(connection, path) & _bits_of(watcher_type))

    def remove(self, connection: int, path: bytes, watcher_type: int) -> bool:
        """Take the watches of this type away; False if there was none. Raises MarshallingError like `check`."""
        mask = _bits_of(watcher_type)
        before = self._bits(connection, path)
        if not before & mask:
            return False
        self._store(connection, path, before, before & ~mask)
        return True

    def drop(self, connection: int) -> None:
        """The connection is gone, and all it watched with it."""
        paths = self._by_connection.get(connection)
        for path, bits in list(paths.items()) if paths else ():
            self._store(connection, path, bits, 0)

    # Firing.

    @property
    def any(self) -> bool:
        """Is there any watch at all?"""
        return bool(self._by_connection)

    def sees_data(self, path: bytes) -> bool:
        """Whether somebody may be told when this znode gets other data."""
        return path in self._data.watchers or self._recursive.total > 0

    def sees_created(self, path: bytes, parent: bytes) -> bool:
        """Whether somebody may be told when this znode is created."""
        return self.sees_data(path) or parent in self._child.watchers

    def fire_created(self, path: bytes, parent: bytes) -> list[Event]:
        """A znode was created."""
        return _events(
            (EventType.NODE_CREATED, path, self._take_data(path)),
            (EventType.NODE_CHILDREN_CHANGED, parent, self._take(self._child, parent)),
        )

    def fire_changed(self, path: bytes) -> list[Event]:
        """A znode got other data."""
        told = self._take_data(path)
        return [(EventType.NODE_DATA_CHANGED, path, told)] if told else []

    def fire_deleted(self, path: bytes, parent: bytes) -> list[Event]:
        """A znode was deleted. A connection that watches both its data and its children is told once."""
        told = self._take_data(path)
        others = self._take(self._child, path)
        if told and others:
            already = dict.fromkeys(told)
            others = [connection for connection in others if connection not in already]
        return _events(
            (EventType.NODE_DELETED, path, told),
            (EventType.NODE_DELETED, path, others),
            (EventType.NODE_CHILDREN_CHANGED, parent, self._take(self._child, parent)),
        )

    # Counting, for the words wchs, wchc and wchp (data table only) and zk_watch_count (both).

    @property
    def total(self) -> int:
        """Pairs of connection and path in both tables."""
        return self._data.total + self._child.total

    @property
    def data_total(self) -> int:
        """Pairs of connection and path with a data, persistent or recursive watch."""
        return self._data.total

    @property
    def data_paths(self) -> int:
        """Paths with a data, persistent or recursive watch."""
        return len(self._data.watchers)

    @property
    def data_connections(self) -> int:
        """Connections with a data, persistent or recursive watch."""
        return sum(any(bits & self._data.mask for bits in paths.values()) for paths in self._by_connection.values())

    def by_connection(self) -> Iterator[tuple[int, list[bytes]]]:
        """Each connection with the paths it has data, persistent or recursive watches on."""
        for connection, paths in self._by_connection.items():
            watched = [path for path, bits in paths.items() if bits & self._data.mask]
            if watched:
                yield connection, watched

    def by_path(self) -> Iterator[tuple[bytes, list[int]]]:
        """Each path with the connections that have data, persistent or recursive watches on it."""
        for path in self._data.watchers:
            yield path, self._data.at(path)

    # How it is kept.

    def _bits(self, connection: int, path: bytes) -> int:
        paths = self._by_connection.get(connection)
        return paths.get(path, 0) if paths else 0

    def _set(self, connection: int, path: bytes, bit: int) -> None:
        before = self._bits(connection, path)
        if not before & bit:
            self._store(connection, path, before, before | bit)

    def _store(self, connection: int, path: bytes, before: int, after: int) -> None:
        """Change the bits of one connection on one path, and the tables accordingly."""
        if after:
            self._by_connection.setdefault(connection, {})[path] = after
            if not before:
                self.bytes_of[connection] = self.bytes_of.get(connection, 0) + len(path) + BYTES_A_WATCH
        else:
            self._forget(connection, path)
        for table in (self._data, self._child, self._recursive):
            if before & table.mask:
                if not after & table.mask:
                    table.leave(path, connection)
            elif after & table.mask:
                table.enter(path, connection)
        if (before ^ after) & _RECURSIVE:
            (self._above.add if after & _RECURSIVE else self._above.remove)(path)

    def _forget(self, connection: int, path: bytes) -> None:
        paths = self._by_connection[connection]
        del paths[path]
        if paths:
            self.bytes_of[connection] -= len(path) + BYTES_A_WATCH
        else:
            del self._by_connection[connection], self.bytes_of[connection]

    def _take_data(self, path: bytes) -> Collection[int]:
        """Who is told about the znode itself."""
        told = self._take(self._data, path)
        if not self._recursive.total:
            return told
        return dict.fromkeys(told) | dict.fromkeys(
            [connection for ancestor in self._above.candidates(path) for connection in self._recursive.at(ancestor)]
        )

    def _take(self, table: _Table, path: bytes) -> list[int]:
        """The watchers of a path in one table; those that were there for once leave it, in the same pass."""
        if path not in table.watchers:
            return []
        watchers = table.at(path)
        kept = ~table.one_shot
        staying = []
        for connection in watchers:
            paths = self._by_connection[connection]
            bits = paths[path] & kept
            if bits:
                paths[path] = bits
                if bits & table.mask:
                    staying.append(connection)
            else:
                self._forget(connection, path)
        gone = len(watchers) - len(staying)
        if gone:
            table.keep(path, staying, gone)
        return watchers


def _bits_of(watcher_type: int) -> int:
    bits = _BITS.get(watcher_type)
    if bits is None:
        raise MarshallingError(f"no such watcher type: {watcher_type}")
    return bits


def _events(*candidates: Event) -> list[Event]:
    return [event for event in candidates if event[2]]
