from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pyzk.codec.opcodes import EventType, WatcherType
from pyzk.errors import MarshallingError
from pyzk.service.watches import BYTES_A_WATCH, Event, Watches
from pyzk.tree.paths import ancestors, parent_of

CREATED, DELETED = EventType.NODE_CREATED, EventType.NODE_DELETED
CHANGED, CHILDREN = EventType.NODE_DATA_CHANGED, EventType.NODE_CHILDREN_CHANGED


def told(events: list[Event]) -> list[tuple[EventType, bytes, list[int]]]:
    return [(kind, path, list(connections)) for kind, path, connections in events]


def test_a_data_watch_is_told_once() -> None:
    watches = Watches()
    watches.add_data(1, b"/a")
    assert told(watches.fire_changed(b"/a")) == [(CHANGED, b"/a", [1])]
    assert watches.fire_changed(b"/a") == []
    assert not watches.any


def test_a_watch_set_twice_is_told_once() -> None:
    watches = Watches()
    watches.add_data(1, b"/a")
    watches.add_data(1, b"/a")
    assert watches.total == 1
    assert told(watches.fire_created(b"/a", b"/")) == [(CREATED, b"/a", [1])]
    assert watches.total == 0


def test_a_create_tells_of_the_znode_before_it_tells_of_the_parent() -> None:
    watches = Watches()
    watches.add_child(1, b"/")
    watches.add_data(2, b"/a")
    watches.add_data(1, b"/a")
    assert told(watches.fire_created(b"/a", b"/")) == [(CREATED, b"/a", [2, 1]), (CHILDREN, b"/", [1])]


def test_a_data_watch_on_the_parent_sees_nothing_of_children() -> None:
    watches = Watches()
    watches.add_data(1, b"/a")
    assert watches.fire_created(b"/a/b", b"/a") == []
    assert watches.fire_deleted(b"/a/b", b"/a") == []


def test_a_deleted_znode_is_told_once_to_who_watches_data_and_children() -> None:
    watches = Watches()
    watches.add_data(1, b"/a")
    watches.add_child(1, b"/a")
    watches.add_child(2, b"/a")
    watches.add_child(3, b"/")
    expected = [(DELETED, b"/a", [1]), (DELETED, b"/a", [2]), (CHILDREN, b"/", [3])]
    assert told(watches.fire_deleted(b"/a", b"/")) == expected
    assert watches.total == 0, "the child watch that was passed over is used up, too"


def test_a_persistent_watch_sees_data_and_children_again_and_again() -> None:
    watches = Watches()
    watches.add_persistent(1, b"/a")
    for _ in range(2):
        assert told(watches.fire_created(b"/a", b"/")) == [(CREATED, b"/a", [1])]
        assert told(watches.fire_created(b"/a/b", b"/a")) == [(CHILDREN, b"/a", [1])]
        assert told(watches.fire_changed(b"/a")) == [(CHANGED, b"/a", [1])]
        assert told(watches.fire_deleted(b"/a", b"/")) == [(DELETED, b"/a", [1])]


def test_a_recursive_watch_sees_everything_below_but_never_children_changed() -> None:
    watches = Watches()
    watches.add_recursive(1, b"/a")
    assert told(watches.fire_created(b"/a", b"/")) == [(CREATED, b"/a", [1])]
    assert told(watches.fire_created(b"/a/b/c", b"/a/b")) == [(CREATED, b"/a/b/c", [1])]
    assert told(watches.fire_changed(b"/a/b")) == [(CHANGED, b"/a/b", [1])]
    assert told(watches.fire_deleted(b"/a/b/c", b"/a/b")) == [(DELETED, b"/a/b/c", [1])]
    assert watches.fire_changed(b"/ab") == watches.fire_changed(b"/") == []


def test_a_recursive_watch_on_the_root_sees_the_whole_tree() -> None:
    watches = Watches()
    watches.add_recursive(1, b"/")
    assert told(watches.fire_changed(b"/a/b")) == [(CHANGED, b"/a/b", [1])]
    assert told(watches.fire_changed(b"/")) == [(CHANGED, b"/", [1])]


def test_a_connection_is_told_once_however_many_of_its_watches_match() -> None:
    watches = Watches()
    watches.add_data(1, b"/a/b")
    watches.add_persistent(1, b"/a/b")
    for path in (b"/", b"/a", b"/a/b"):
        watches.add_recursive(1, path)
    watches.add_recursive(2, b"/a")
    assert told(watches.fire_changed(b"/a/b")) == [(CHANGED, b"/a/b", [1, 2])]


def test_modes_on_one_path_do_not_replace_each_other() -> None:
    watches = Watches()
    watches.add_data(1, b"/a")
    watches.add_persistent(1, b"/a")
    watches.add_recursive(1, b"/a")
    assert watches.remove(1, b"/a", WatcherType.PERSISTENT_RECURSIVE)
    assert watches.remove(1, b"/a", WatcherType.PERSISTENT)
    assert watches.check(1, b"/a", WatcherType.DATA)
    assert told(watches.fire_changed(b"/a")) == [(CHANGED, b"/a", [1])]
    assert not watches.any


def test_removing_what_is_not_there_finds_nothing() -> None:
    watches = Watches()
    watches.add_data(1, b"/a")
    assert not watches.remove(1, b"/a", WatcherType.CHILDREN)
    assert not watches.remove(2, b"/a", WatcherType.ANY)
    assert not watches.remove(1, b"/b", WatcherType.ANY)
    assert watches.remove(1, b"/a", WatcherType.ANY)
    assert not watches.remove(1, b"/a", WatcherType.ANY)


def test_a_recursive_watch_is_found_by_its_own_path_only() -> None:
    watches = Watches()
    watches.add_recursive(1, b"/a")
    assert watches.check(1, b"/a", WatcherType.PERSISTENT_RECURSIVE)
    assert not watches.check(1, b"/a/b", WatcherType.ANY)


@pytest.mark.parametrize("watcher_type", [0, 6, -1])
def test_an_unknown_watcher_type_is_a_marshalling_error(watcher_type: int) -> None:
    for ask in (Watches().check, Watches().remove):
        with pytest.raises(MarshallingError):
            ask(1, b"/a", watcher_type)


def test_a_closed_connection_leaves_nothing_behind() -> None:
    watches = Watches()
    for add in (watches.add_data, watches.add_child, watches.add_persistent, watches.add_recursive):
        add(1, b"/a")
        add(2, b"/b")
    watches.drop(1)
    watches.drop(1)
    assert watches.fire_deleted(b"/a", b"/") == []
    assert told(watches.fire_deleted(b"/b", b"/")) == [(DELETED, b"/b", [2])]
    watches.drop(2)
    assert not watches.any
    assert (watches.total, watches.data_paths, watches.data_connections) == (0, 0, 0)


def test_the_words_count_data_watches_and_the_metric_counts_both() -> None:
    watches = Watches()
    watches.add_data(1, b"/a")
    watches.add_recursive(1, b"/a")
    watches.add_recursive(2, b"/b")
    watches.add_persistent(2, b"/a")
    watches.add_child(3, b"/c")
    assert (watches.data_connections, watches.data_paths, watches.data_total) == (2, 2, 3)
    assert watches.total == 5
    assert dict(watches.by_connection()) == {1: [b"/a"], 2: [b"/b", b"/a"]}
    assert dict(watches.by_path()) == {b"/a": [1, 2], b"/b": [2]}


def test_a_hundred_thousand_one_shot_watchers_of_one_path_are_told_together() -> None:
    watches = Watches()
    for connection in range(100_000):
        watches.add_data(connection, b"/hot")
    events = told(watches.fire_changed(b"/hot"))
    assert events == [(CHANGED, b"/hot", list(range(100_000)))]
    assert not watches.any


TABLES = {
    "data": [("standard", "data")],
    "child": [("standard", "child")],
    "persistent": [("persistent", "data"), ("persistent", "child")],
    "recursive": [("recursive", "data")],
}
REMOVED = {
    1: [("standard", "child")],
    2: [("standard", "data")],
    3: [(mode, table) for mode in ("standard", "persistent", "recursive") for table in ("data", "child")],
    4: [("persistent", "data"), ("persistent", "child")],
    5: [("recursive", "data")],
}


class WatchesAgainstModel(RuleBasedStateMachine):
    """The model: a set of (connection, path, mode, table), read as the tables of the protocol page are written."""

    connections = st.integers(1, 3)
    paths = st.sampled_from([b"/", b"/a", b"/a/b", b"/a/b/c", b"/b", b"/ab"])

    @initialize()
    def begin(self) -> None:
        self.watches = Watches()
        self.model: set[tuple[int, bytes, str, str]] = set()

    @rule(kind=st.sampled_from(sorted(TABLES)), connection=connections, path=paths)
    def add(self, kind: str, connection: int, path: bytes) -> None:
        getattr(self.watches, f"add_{kind}")(connection, path)
        self.model |= {(connection, path, mode, table) for mode, table in TABLES[kind]}

    @rule(watcher_type=st.integers(1, 5), connection=connections, path=paths)
    def remove(self, watcher_type: int, connection: int, path: bytes) -> None:
        chosen = {(connection, path, mode, table) for mode, table in REMOVED[watcher_type]} & self.model
        assert self.watches.check(connection, path, watcher_type) is bool(chosen)
        assert self.watches.remove(connection, path, watcher_type) is bool(chosen)
        self.model -= chosen

    @rule(connection=connections)
    def drop(self, connection: int) -> None:
        self.watches.drop(connection)
        self.model = {watch for watch in self.model if watch[0] != connection}

    def fire(self, path: bytes, table: str) -> set[int]:
        here = {watch for watch in self.model if watch[1] == path and watch[3] == table}
        above = set(ancestors(path))
        recursive = {w[0] for w in self.model if w[1] in above and w[2] == "recursive" and w[3] == table}
        self.model -= {watch for watch in here if watch[2] == "standard"}
        return {watch[0] for watch in here} | recursive

    @rule(path=paths)
    def change(self, path: bytes) -> None:
        self.compare(self.watches.fire_changed(path), [(CHANGED, path, self.fire(path, "data"))])

    @rule(path=paths)
    def create(self, path: bytes) -> None:
        parent = parent_of(path)
        expected = [(CREATED, path, self.fire(path, "data")), (CHILDREN, parent, self.fire(parent, "child"))]
        self.compare(self.watches.fire_created(path, parent), expected)

    @rule(path=paths)
    def delete(self, path: bytes) -> None:
        parent = parent_of(path)
        first = self.fire(path, "data")
        second = self.fire(path, "child") - first
        expected = [(DELETED, path, first), (DELETED, path, second), (CHILDREN, parent, self.fire(parent, "child"))]
        self.compare(self.watches.fire_deleted(path, parent), expected)

    def compare(self, events: list[Event], expected: list[tuple[EventType, bytes, set[int]]]) -> None:
        assert [(kind, path, set(who)) for kind, path, who in events] == [event for event in expected if event[2]]
        assert all(len(set(who)) == len(who) for _, _, who in events)

    @invariant()
    def weigh(self) -> None:
        pairs = {(connection, path) for connection, path, _, _ in self.model}
        weights = Counter[int]()
        for connection, path in pairs:
            weights[connection] += len(path) + BYTES_A_WATCH
        assert self.watches.bytes_of == dict(weights)

    @invariant()
    def agree(self) -> None:
        data = {(connection, path) for connection, path, _, table in self.model if table == "data"}
        child = {(connection, path) for connection, path, _, table in self.model if table == "child"}
        assert (self.watches.data_total, self.watches.total) == (len(data), len(data) + len(child))
        assert self.watches.data_paths == len({path for _, path in data})
        assert self.watches.data_connections == len({connection for connection, _ in data})
        assert self.watches.any is bool(self.model)
        assert Counter((c, p) for c, paths in self.watches.by_connection() for p in paths) == Counter(data)
        assert Counter((c, p) for p, connections in self.watches.by_path() for c in connections) == Counter(data)


TestWatchesAgainstModel = WatchesAgainstModel.TestCase
