"""The sessions of a learner."""

from pyzk.service.touches import TouchTable
from pyzk.tree.tree import Tree

SESSION = 0x200000000000001


def table_of(*sessions: int) -> TouchTable:
    tree = Tree()
    tree.sessions.update(dict.fromkeys(sessions, 4000))
    return TouchTable(tree)


def test_a_session_of_the_tree_may_act_and_is_told_with_its_latest_timeout() -> None:
    table = table_of(SESSION)
    assert table.touch(SESSION, 4000, 0.0)
    assert table.touch(SESSION, 6000, 0.0)
    assert table.take() == {SESSION: 6000}
    assert table.take() == {}


def test_a_session_that_nobody_knows_may_not() -> None:
    table = table_of()
    assert not table.touch(SESSION, 4000, 0.0)
    assert table.take() == {}


def test_a_session_that_the_leader_vouches_for_may() -> None:
    table = table_of()
    table.attach(SESSION, 4000)
    assert SESSION in table
    assert table.touch(SESSION, 4000, 0.0)


def test_a_closing_session_may_not_act_before_it_is_known_again() -> None:
    table = table_of(SESSION)
    table.set_closing(SESSION)
    assert not table.touch(SESSION, 4000, 0.0)
    table.add(SESSION, 4000, 0.0)
    assert table.touch(SESSION, 4000, 0.0)


def test_a_session_that_is_closed_is_not_told() -> None:
    table = table_of()
    table.attach(SESSION, 4000)
    table.remove(SESSION)
    assert SESSION not in table
    assert table.take() == {}


def test_nobody_expires_on_a_learner() -> None:
    table = table_of(SESSION)
    assert table.touch(SESSION, 4000, 0.0)
    table.shift(5.0)
    assert table.expired(1e9) == []
    assert table.deadline() is None
    assert list(table.buckets()) == []
    assert len(table) == 1


def test_no_tick_matters_where_nobody_expires() -> None:
    assert table_of(SESSION).tick_end(1000.0) is None
