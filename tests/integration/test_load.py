"""The books of the load notice what they are there to notice."""

from types import SimpleNamespace

import pytest

from tests.integration.ensemble import digest_log
from tests.integration.load import TOP, Load
from tests.integration.trees import differences

SESSION = 7


@pytest.fixture
def load():
    """A load of one worker that has ended, with something of everything in its books."""
    load = Load("127.0.0.1:1", workers=1)
    (worker,) = load.workers
    worker.session = SESSION
    books = worker.books
    books.sent = {f"{TOP}/worker-0/{name}" for name in ("unique-1", "unique-2", "ephemeral-3", "ephemeral-4")}
    books.acknowledged = {f"{TOP}/worker-0/unique-1"}
    books.gone = {f"{TOP}/worker-0/ephemeral-4"}
    books.ephemerals = {f"{TOP}/worker-0/ephemeral-3": SESSION}
    books.sequences = [f"{TOP}/sequence/0-1-0000000001", f"{TOP}/sequence/0-2-0000000002"]
    books.sequences_sent = {f"{TOP}/sequence/0-{number}-" for number in (1, 2, 3)}
    books.counter, books.counter_sent = 4, 5
    return load


@pytest.fixture
def tree():
    """What keeps every promise to that worker."""
    return {
        f"{TOP}/worker-0/unique-1": znode(),
        f"{TOP}/worker-0/ephemeral-3": znode(owner=SESSION),
        f"{TOP}/worker-0/counter": znode(b"4", version=4),
        f"{TOP}/sequence/0-1-0000000001": znode(),
        f"{TOP}/sequence/0-2-0000000002": znode(),
    }


def znode(data=b"", version=0, owner=0):
    return data, SimpleNamespace(version=version, ephemeralOwner=owner)


def test_a_tree_that_keeps_all_promises_breaks_none(load, tree):
    assert load.verify(tree) == []


@pytest.mark.parametrize("name", ["unique-1", "counter"])
def test_a_lost_write_is_noticed(load, tree, name):
    del tree[f"{TOP}/worker-0/{name}"]
    assert load.verify(tree) == [f"lost: {TOP}/worker-0/{name}"]


@pytest.mark.parametrize("name", ["worker-0/unique-9", "sequence/0-9-0000000009"])
def test_what_was_never_sent_is_noticed(load, tree, name):
    tree[f"{TOP}/{name}"] = znode()
    assert load.verify(tree) == [f"never sent: {TOP}/{name}"]


@pytest.mark.parametrize("name", ["worker-0/unique-2", "sequence/0-3-0000000003"])
def test_a_write_that_was_cut_off_may_be_there(load, tree, name):
    tree[f"{TOP}/{name}"] = znode()
    assert load.verify(tree) == []


@pytest.mark.parametrize(("value", "version", "right"), [(b"5", 5, True), (b"3", 3, False), (b"6", 6, False)])
def test_a_counter_stands_between_what_was_acknowledged_and_what_was_sent(load, tree, value, version, right):
    tree[f"{TOP}/worker-0/counter"] = znode(value, version)
    assert (load.verify(tree) == []) == right


def test_a_sequence_znode_that_was_created_twice_is_noticed(load, tree):
    tree[f"{TOP}/sequence/0-1-0000000004"] = znode()
    assert load.verify(tree) == ["a sequence znode was created twice"]


def test_an_ephemeral_lives_as_long_as_its_session_and_is_its_own(load, tree):
    path = f"{TOP}/worker-0/ephemeral-3"
    tree[path] = znode(owner=8)
    assert load.verify(tree) == [f"ephemeral {path} belongs to 0x8, not 0x7"]
    del tree[path]
    assert load.verify(tree) == [f"ephemeral {path} is gone before its session"]


def test_an_ephemeral_that_was_deleted_is_gone(load, tree):
    path = f"{TOP}/worker-0/ephemeral-4"
    tree[path] = znode(owner=SESSION)
    assert load.verify(tree) == [f"deleted, yet there: {path}"]


def test_the_longest_gap_reaches_to_both_ends(load):
    load._began, load._ended = 10.0, 20.0
    load.workers[0].books.successes = [11.0, 12.0, 15.0, 16.0]
    assert load.longest_gap_s() == 4.0
    assert load.longest_gap_s(since=16.0) == 4.0


def test_differences_are_told_from_either_side():
    found = differences({"/a": 1, "/b": 1}, {"/b": 2, "/c": 1}, ("one", "other"))
    assert found == ["/a is only on one", "/c is only on other", "/b is 1 on one and 2 on other"]


def test_digests_are_read_from_the_word_hash():
    assert digest_log("100000080: 266886506987\n100000100: 5\n\n") == {"100000080": "266886506987", "100000100": "5"}
