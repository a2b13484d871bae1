"""Watches through kazoo: what fires them, in which order."""

import queue
from typing import Any

from kazoo.client import KazooClient
from kazoo.protocol.states import EventType, WatchedEvent

TIMEOUT_S = 10.0


class Events:
    """A watch function that keeps what it was told."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue()

    def __call__(self, event: Any) -> None:
        self._queue.put(event)

    def take(self, count: int) -> list[tuple[str, str]]:
        events: list[WatchedEvent] = [self._queue.get(timeout=TIMEOUT_S) for _ in range(count)]
        return [(event.type, event.path) for event in events]

    def value(self) -> Any:
        return self._queue.get(timeout=TIMEOUT_S)

    @property
    def waiting(self) -> int:
        return self._queue.qsize()


def test_a_data_watch_fires_once(client: KazooClient) -> None:
    events = Events()
    client.create("/node")
    client.get("/node", watch=events)
    client.set("/node", b"1")
    client.set("/node", b"2")
    assert events.take(1) == [(EventType.CHANGED, "/node")]
    client.sync("/node")
    assert events.waiting == 0


def test_an_exists_watch_waits_for_a_node(client: KazooClient) -> None:
    events = Events()
    assert client.exists("/node", watch=events) is None
    client.create("/node")
    client.exists("/node", watch=events)
    client.delete("/node")
    assert events.take(2) == [(EventType.CREATED, "/node"), (EventType.DELETED, "/node")]


def test_a_child_watch_sees_births_and_its_own_end(client: KazooClient) -> None:
    events = Events()
    client.create("/parent")
    client.get_children("/parent", watch=events)
    client.create("/parent/child")
    client.delete("/parent/child")
    client.get_children("/parent", watch=events)
    client.delete("/parent")
    assert events.take(2) == [(EventType.CHILD, "/parent"), (EventType.DELETED, "/parent")]


def test_a_watch_is_told_before_the_reply_that_shows_the_change(client: KazooClient) -> None:
    for number in range(50):
        events = Events()
        client.create(f"/node-{number}")
        client.get(f"/node-{number}", watch=events)
        client.set_async(f"/node-{number}", b"1")
        assert client.get(f"/node-{number}")[0] == b"1"
        assert events.take(1) == [(EventType.CHANGED, f"/node-{number}")]


def test_a_transaction_fires_in_its_order(client: KazooClient) -> None:
    events = Events()
    client.create("/top")
    client.get("/top", watch=events)
    client.get_children("/top", watch=events)
    client.exists("/top/a", watch=events)
    transaction = client.transaction()
    transaction.create("/top/a")
    transaction.set_data("/top", b"1")
    transaction.commit()
    assert events.take(3) == [
        (EventType.CREATED, "/top/a"),
        (EventType.CHILD, "/top"),
        (EventType.CHANGED, "/top"),
    ]


def test_kazoos_standing_watches_follow_a_node(client: KazooClient) -> None:
    values, children = Events(), Events()
    client.create("/node", b"0")
    client.DataWatch("/node")(lambda data, _stat: values(data))
    client.ChildrenWatch("/node")(lambda names: children(sorted(names)))
    assert (values.value(), children.value()) == (b"0", [])
    client.set("/node", b"1")
    assert values.value() == b"1"
    client.create("/node/a")
    assert children.value() == ["a"]
    client.create("/node/b")
    assert children.value() == ["a", "b"]
