"""Watches: the table, and that no change is missed whenever a connection is lost."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.client import watches
from pyzk.client.effects import Notification
from pyzk.client.watches import Progress, WatchKind, WatchTable, ancestors
from pyzk.codec.opcodes import EventType, OpCode, WatcherType
from pyzk.codec.requests import (
    PathTypeRequest,
    PathWatchRequest,
    SetDataRequest,
    SetWatches2Request,
    SetWatchesRequest,
)
from pyzk.errors import NoNodeError, NoWatcherError
from tests.client.harness import Harness

# The table


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (EventType.NODE_CREATED, "data exist persistent recursive"),
        (EventType.NODE_DELETED, "data exist child persistent recursive"),
        (EventType.NODE_DATA_CHANGED, "data exist persistent recursive"),
        (EventType.NODE_CHILDREN_CHANGED, "child persistent"),
    ],
)
def test_event_tells_those_who_wait_for_it(event, told):
    table = WatchTable()
    for kind in WatchKind:
        table.add(kind, b"/a", kind.value)
    assert " ".join(table.fire(event, b"/a")) == told
    assert table.fire(event, b"/a") == tuple(name for name in told.split() if name in {"persistent", "recursive"})


def test_recursive_watch_hears_of_everything_below():
    table = WatchTable()
    for path in (b"/", b"/a", b"/a/b", b"/ab"):
        table.add(WatchKind.RECURSIVE, path, path)
    assert table.fire(EventType.NODE_CREATED, b"/a/b/c") == (b"/a/b", b"/a", b"/")
    assert table.fire(EventType.NODE_CREATED, b"/abc") == (b"/",)


def test_ancestors_end_at_the_root_whatever_the_path():
    assert list(ancestors(b"/a/b")) == [b"/a/b", b"/a", b"/"]
    assert list(ancestors(b"/")) == [b"/"]
    assert list(ancestors(b""))[-1] == b"/"
    assert list(ancestors(b"no-slash"))[-1] == b"/"


def test_watcher_that_waits_in_two_ways_is_told_once():
    table = WatchTable()
    table.add(WatchKind.DATA, b"/a", "watcher")
    table.add(WatchKind.CHILD, b"/a", "watcher")
    assert table.fire(EventType.NODE_DELETED, b"/a") == ("watcher",)


def test_discard_says_when_it_was_the_last():
    table = WatchTable()
    table.add(WatchKind.PERSISTENT, b"/a", "one")
    table.add(WatchKind.PERSISTENT, b"/a", "two")
    assert not table.discard(WatchKind.PERSISTENT, b"/a", "one")
    assert not table.discard(WatchKind.PERSISTENT, b"/a", "one")
    assert table.discard(WatchKind.PERSISTENT, b"/a", "two")
    assert len(table) == 0


def test_old_servers_get_the_old_request_as_long_as_no_persistent_watch_needs_the_new_one():
    table = WatchTable()
    table.add(WatchKind.DATA, b"/a", None)
    assert list(table.restore(7)) == [(OpCode.SET_WATCHES, SetWatchesRequest(7, [b"/a"], [], []))]
    table.add(WatchKind.RECURSIVE, b"/b", None)
    assert list(table.restore(7)) == [(OpCode.SET_WATCHES2, SetWatches2Request(7, [b"/a"], [], [], [], [b"/b"]))]


@given(
    st.dictionaries(st.binary(min_size=1, max_size=40), st.sampled_from(WatchKind), max_size=60),
    st.integers(60, 400),
)
def test_restore_asks_for_every_watch_once_and_keeps_its_size(watched, limit):
    table = WatchTable()
    for path, kind in watched.items():
        table.add(kind, path, None)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watches, "SET_WATCHES_BYTES_MAX", limit)
        for opcode, request in table.restore(1):
            lists = [request.data_watches, request.exist_watches, request.child_watches]
            if opcode == OpCode.SET_WATCHES2:
                lists += [request.persistent_watches, request.persistent_recursive_watches]
            found += [(path, kind) for kind, paths in zip(WatchKind, lists, strict=False) for path in paths]
            assert len(request.encode()) <= limit or sum(map(len, lists)) == 1
    assert sorted(found, key=str) == sorted(watched.items(), key=str)


def test_a_hundred_thousand_watches_come_back_in_requests_below_128_kib():
    table = WatchTable()
    for number in range(100_000):
        table.add(WatchKind.DATA, b"/some/directory/node-%07d" % number, None)
    sizes = [len(request.encode()) for _, request in table.restore(1)]
    assert max(sizes) <= 128 * 1024
    assert len(sizes) == 25


# How far the client has come


def test_event_moves_what_was_seen_but_not_what_is_complete():
    progress = Progress()
    progress.reply(5)
    progress.event(7)
    progress.event(-1)
    assert (progress.seen, progress.complete) == (7, 5)


def test_only_the_answer_to_the_last_set_watches_completes():
    progress = Progress()
    progress.reply(5)
    progress.restoring()
    progress.restoring()
    progress.restored(9)
    assert (progress.seen, progress.complete) == (9, 5)
    progress.restored(9)
    assert progress.complete == 9


def test_lost_answers_to_set_watches_are_not_waited_for():
    progress = Progress()
    progress.restoring()
    progress.disconnected()
    progress.reply(6)
    assert progress.complete == 6


# In the session


def connected(**options):
    harness = Harness(**options)
    harness.connect()
    return harness


@pytest.mark.parametrize("kind", [WatcherType.ANY, WatcherType.DATA])
def test_watchers_are_told_when_their_watch_is_removed(kind):
    harness = connected()
    harness.ask(OpCode.GET_DATA, PathWatchRequest(b"/", watch=True), "watcher")
    harness.ask(OpCode.REMOVE_WATCHES, PathTypeRequest(b"/", kind))
    assert harness.events == [(Notification(EventType.DATA_WATCH_REMOVED, b"/", -1), ("watcher",))]
    assert len(harness.session.watches) == 0


def test_removing_a_watch_that_only_the_client_knows_removes_it_here():
    harness = connected()
    harness.ask(OpCode.GET_DATA, PathWatchRequest(b"/", watch=True), "watcher")
    harness.connection.watched("data", b"/")  # used up by an event that an ACL kept from us
    assert isinstance(harness.ask(OpCode.REMOVE_WATCHES, PathTypeRequest(b"/", WatcherType.ANY)), NoWatcherError)
    assert len(harness.session.watches) == 0


def test_failed_read_leaves_no_watch_but_exists_does():
    harness = connected()
    path = b"/none"
    assert isinstance(harness.ask(OpCode.GET_DATA, PathWatchRequest(path, watch=True), "data"), NoNodeError)
    assert isinstance(harness.ask(OpCode.GET_CHILDREN, PathWatchRequest(path, watch=True), "child"), NoNodeError)
    assert isinstance(harness.ask(OpCode.EXISTS, PathWatchRequest(path, watch=True), "exist"), NoNodeError)
    assert harness.session.watches.watchers() == ("exist",)
    harness.lose()
    harness.connect()
    assert harness.connection.requests[0][2].exist_watches == [path]


def test_used_up_watches_are_not_restored():
    harness = connected()
    harness.ask(OpCode.GET_DATA, PathWatchRequest(b"/", watch=True), "watcher")
    harness.ask(OpCode.SET_DATA, SetDataRequest(b"/", b"x", -1))
    harness.lose()
    harness.connect()
    assert harness.connection.requests == []


def test_persistent_watchers_are_told_of_the_reconnect():
    harness = connected()
    harness.ask(OpCode.ADD_WATCH, PathTypeRequest(b"/", 0), "persistent")
    harness.ask(OpCode.ADD_WATCH, PathTypeRequest(b"/", 1), "recursive")
    harness.ask(OpCode.GET_DATA, PathWatchRequest(b"/", watch=True), "once")
    harness.lose()
    harness.connect()
    assert harness.events == [(Notification(EventType.NONE, b"", -1), ("persistent", "recursive"))]
    harness.ensemble.create(b"/new")
    harness.pump()
    assert [(note.type.name, watchers) for note, watchers in harness.events[1:]] == [
        ("NODE_CREATED", ("recursive",)),
        ("NODE_CHILDREN_CHANGED", ("persistent",)),
    ]


def test_watch_of_a_set_watches_without_answer_is_restored_from_where_it_was(monkeypatch):
    monkeypatch.setattr(watches, "SET_WATCHES_BYTES_MAX", 1)
    harness = connected()
    for path in (b"/a", b"/b"):
        harness.ensemble.zxid += 1
        harness.ensemble.create(path)
        harness.ask(OpCode.GET_DATA, PathWatchRequest(path, watch=True), path)
    harness.lose()
    harness.ensemble.zxid += 1
    harness.ensemble.set_data(b"/b", b"changed")
    while harness.wanted is None:
        harness.wait_for_deadline()
    harness.accept()
    harness.deliver_requests()
    harness.deliver_replies()
    harness.deliver_requests()
    harness.deliver_replies(20)  # the first setWatches is answered, the second is not
    harness.lose()
    harness.connect()
    assert [watchers for _, watchers in harness.events] == [(b"/b",)]


# No change is missed

PATHS = (b"/a", b"/b", b"/a/x")
READS = (OpCode.EXISTS, OpCode.GET_DATA, OpCode.GET_CHILDREN)


class Reader:
    """Leaves one-shot watches and compares what its reads saw with what is there in the end."""

    def __init__(self, seed):
        self.harness = Harness(seed=seed)
        self.harness.connect()
        self.number = 0

    def view(self, opcode, path):
        """What a watch left by this read is about."""
        node = self.harness.ensemble.nodes.get(path)
        if node is None:
            return None
        return (node.czxid, tuple(node.children)) if opcode == OpCode.GET_CHILDREN else (node.czxid, node.mzxid)

    def watch(self, opcode, path):
        self.number += 1
        token = (self.number, opcode, path)
        self.harness.submit(token, opcode, PathWatchRequest(path, watch=True), token)

    def change(self, paths):
        """One txn that touches several paths: creates what is missing, changes or deletes what is there."""
        ensemble = self.harness.ensemble
        ensemble.zxid += 1
        for path in paths:
            if path not in ensemble.nodes:
                if path.count(b"/") == 1 or path[: path.rfind(b"/")] in ensemble.nodes:
                    ensemble.create(path)
            elif ensemble.nodes[path].children or len(paths) == 1:
                ensemble.set_data(path, b"%d" % ensemble.zxid)
            else:
                ensemble.delete(path)

    def check(self):
        """Every watch that was granted and not told of anything waits at the server, and nothing has changed."""
        harness = self.harness
        if harness.connection is None:
            harness.connect()
        while harness.to_server or harness.connection.output:
            harness.deliver_requests()
            harness.deliver_replies()
        told = {watcher for _, watchers in harness.events for watcher in watchers}
        for token, result in harness.results.items():
            _, opcode, path = token
            granted = not isinstance(result, Exception) or (opcode == OpCode.EXISTS and isinstance(result, NoNodeError))
            if granted and token not in told:
                table = "child" if opcode == OpCode.GET_CHILDREN else "data"
                assert harness.connection.has_watch(table, path), f"{token} waits in vain"
                assert self.same_view(result, self.view(opcode, path)), f"{token} has missed a change"

    def same_view(self, result, view):
        if isinstance(result, Exception):
            return view is None
        if view is None:
            return False
        if hasattr(result, "children"):
            return tuple(result.children) == view[1]
        return (result.stat.czxid, result.stat.mzxid) == view


def watch(reader, rng):
    reader.watch(rng.choice(READS), rng.choice(PATHS))


def change(reader, rng):
    reader.change(rng.sample(PATHS, rng.choice([1, 1, 2, 3])))


def serve(reader, _):
    reader.harness.deliver_requests()


def deliver(reader, rng):
    """A whole number of frames or not: replies are cut anywhere."""
    reader.harness.deliver_replies(rng.choice([rng.randint(1, 60), rng.randint(1, 60), None]))


def lose(reader, _):
    reader.harness.lose()


def accept(reader, _):
    while reader.harness.wanted is None:
        reader.harness.wait_for_deadline()
    reader.harness.accept()


# Changes are rare, because later ones hide those that were missed.
WHEN_CONNECTED = [watch] * 5 + [change] + [serve] * 6 + [deliver] * 9 + [lose] * 3
WHEN_DISCONNECTED = [change, accept, accept]


def test_no_watch_misses_a_change_whenever_connections_are_lost(rng, monkeypatch):
    # Every watch in a request of its own: connections are lost between them too.
    monkeypatch.setattr(watches, "SET_WATCHES_BYTES_MAX", 1)
    for _ in range(1_500):
        seed = rng.getrandbits(32)
        print(f"walk {seed}")
        walk = Random(seed)
        reader = Reader(seed)
        for _ in range(60):
            connected = reader.harness.connection is not None
            walk.choice(WHEN_CONNECTED if connected else WHEN_DISCONNECTED)(reader, walk)
        reader.check()
