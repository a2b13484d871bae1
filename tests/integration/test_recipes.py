"""kazoo's recipes: what most programs use a ZooKeeper for."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kazoo.client import KazooClient
from kazoo.recipe.cache import TreeCache, TreeEvent

from tests.integration.conftest import Connect
from tests.integration.processes import ServerProcess, eventually

TIMEOUT_S = 20.0


@pytest.fixture
def clients(client: KazooClient, shared_server: ServerProcess, connect: Connect) -> list[KazooClient]:
    """Three clients in one folder."""
    return [client, *(connect(shared_server, chroot=client.chroot) for _ in range(2))]


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(TIMEOUT_S) for future in [pool.submit(call) for call in calls]]


def test_a_lock_has_one_holder(clients: list[KazooClient]) -> None:
    holders: list[int] = []
    most: list[int] = []

    def work(client: KazooClient) -> None:
        for _ in range(10):
            with client.Lock("/lock"):
                holders.append(1)
                most.append(len(holders))
                holders.pop()

    at_once(*(lambda client=client: work(client) for client in clients))
    assert most == [1] * 30


def test_a_lock_passes_on_when_its_holder_leaves(clients: list[KazooClient]) -> None:
    first, second, _ = clients
    held = first.Lock("/lock", "first")
    assert held.acquire()
    waiting = second.Lock("/lock", "second")
    assert not waiting.acquire(blocking=False)
    eventually(lambda: held.contenders() == ["first"], "one contender")
    with ThreadPoolExecutor(1) as pool:
        acquired = pool.submit(waiting.acquire, timeout=TIMEOUT_S)
        eventually(lambda: len(held.contenders()) == 2, "a second contender")
        first.stop()
        assert acquired.result(TIMEOUT_S)


def test_an_election_has_one_leader_at_a_time(clients: list[KazooClient]) -> None:
    led: list[int] = []
    at_once(*(lambda index=i, client=c: client.Election("/e").run(led.append, index) for i, c in enumerate(clients)))
    assert sorted(led) == [0, 1, 2]


def test_a_queue_gives_each_item_once(clients: list[KazooClient]) -> None:
    for number in range(20):
        clients[number % 3].Queue("/queue").put(b"%d" % number)
    taken = at_once(*(lambda client=client: drain(client.Queue("/queue").get) for client in clients))
    assert sorted(item for items in taken for item in items) == sorted(b"%d" % number for number in range(20))


def drain(get: Callable[[], bytes | None]) -> list[bytes]:
    return list(iter(get, None))


def test_a_locking_queue_returns_what_was_not_consumed(clients: list[KazooClient]) -> None:
    queue = clients[0].LockingQueue("/queue")
    queue.put_all([b"one", b"two"])
    queue.put(b"urgent", priority=1)
    assert queue.get(TIMEOUT_S) == b"urgent"
    assert queue.consume()
    assert queue.get(TIMEOUT_S) == b"one"
    clients[0].stop()
    other = clients[1].LockingQueue("/queue")
    assert other.get(TIMEOUT_S) == b"one"
    assert other.consume()


def test_a_barrier_holds_until_it_is_removed(clients: list[KazooClient]) -> None:
    barrier = clients[0].Barrier("/barrier")
    barrier.create()
    with ThreadPoolExecutor(1) as pool:
        waited = pool.submit(clients[1].Barrier("/barrier").wait, TIMEOUT_S)
        assert not waited.done()
        barrier.remove()
        assert waited.result(TIMEOUT_S)


def test_a_double_barrier_lets_all_in_and_out_together(clients: list[KazooClient]) -> None:
    inside: list[int] = []

    def meet(index: int, client: KazooClient) -> None:
        barrier = client.DoubleBarrier("/barrier", 3, str(index))
        barrier.enter()
        inside.append(index)
        barrier.leave()

    at_once(*(lambda index=i, client=c: meet(index, client) for i, c in enumerate(clients)))
    assert sorted(inside) == [0, 1, 2]


def test_a_counter_loses_no_increment(clients: list[KazooClient]) -> None:
    def count(client: KazooClient) -> None:
        counter = client.Counter("/counter")
        for _ in range(10):
            counter += 1

    at_once(*(lambda client=client: count(client) for client in clients))
    assert clients[0].Counter("/counter").value == 30


def test_a_party_knows_who_is_there(clients: list[KazooClient]) -> None:
    parties = [client.Party("/party", f"guest-{index}") for index, client in enumerate(clients)]
    for party in parties:
        party.join()
    assert sorted(parties[0]) == ["guest-0", "guest-1", "guest-2"]
    parties[1].leave()
    clients[2].stop()
    assert list(parties[0]) == ["guest-0"]


def test_a_semaphore_limits_its_leases(clients: list[KazooClient]) -> None:
    semaphores = [client.Semaphore("/semaphore", max_leases=2) for client in clients]
    assert semaphores[0].acquire(blocking=False)
    assert semaphores[1].acquire(blocking=False)
    assert not semaphores[2].acquire(blocking=False)
    semaphores[0].release()
    assert semaphores[2].acquire(timeout=TIMEOUT_S)


def test_a_tree_cache_follows_a_subtree(clients: list[KazooClient]) -> None:
    client, writer, _ = clients
    client.ensure_path("/tree/a/b")
    cache = TreeCache(client, "/tree")
    ready = threading.Event()
    cache.listen(lambda event: ready.set() if event.event_type == TreeEvent.INITIALIZED else None)
    cache.start()
    assert ready.wait(TIMEOUT_S)
    writer.set("/tree/a/b", b"1")
    writer.create("/tree/c", b"2")
    eventually(lambda: cache.get_data("/tree/a/b").data == b"1", "the new data in the cache")
    eventually(lambda: cache.get_children("/tree") == {"a", "c"}, "the new child in the cache")
    cache.close()
