"""docs/protocol/zab.md sections 4.1 and 4.2: what a learner is sent, by where its log ends."""

import pytest

from pyzk.codec.quorum import PacketType
from pyzk.zab.catchup import plan, plan_from_log

DIFF, TRUNC, SNAP = PacketType.DIFF, PacketType.TRUNC, PacketType.SNAP


def zxid(text):
    """`2:7` is the seventh txn of epoch 2."""
    epoch, counter = text.split(":")
    return int(epoch) << 32 | int(counter)


def window_of(text):
    return [(zxid(part), part.encode()) for part in text.split()]


@pytest.mark.parametrize(
    ("why", "learner", "tree", "window", "kind", "sent", "entries"),
    [
        ("row 2: it has all there is", "1:5", "1:5", "1:3 1:4 1:5", DIFF, "1:5", ""),
        ("row 2: and nothing is in memory", "1:5", "1:5", "", DIFF, "1:5", ""),
        ("row 2: both are empty", "0:0", "0:0", "", DIFF, "0:0", ""),
        ("row 3: it has more than was committed", "1:7", "1:5", "1:4 1:5", TRUNC, "1:5", ""),
        ("row 3: more than we, who have nothing in memory", "1:7", "1:5", "", TRUNC, "1:5", ""),
        (
            "row 3: captured: an uncommitted end, a new epoch without txns",
            "2:40",
            "3:0",
            "2:38 2:39",
            TRUNC,
            "2:39",
            "",
        ),
        ("row 4: it is behind", "1:3", "1:5", "1:3 1:4 1:5", DIFF, "1:5", "1:4 1:5"),
        ("row 4: it is behind by an epoch", "1:4", "2:2", "1:3 1:4 2:1 2:2", DIFF, "2:2", "2:1 2:2"),
        ("row 4: it has all, and an epoch without txns has begun", "1:5", "2:0", "1:4 1:5", DIFF, "1:5", ""),
        ("row 4: it was established, and deposed before it proposed", "2:0", "3:1", "1:4 1:5 3:1", DIFF, "3:1", "3:1"),
        ("row 4: our epoch is new to it", "2:0", "2:2", "1:5 2:1 2:2", DIFF, "2:2", "2:1 2:2"),
        ("row 4: one txn of its epoch is its own", "1:4", "1:6", "1:3 1:5 1:6", TRUNC, "1:3", "1:5 1:6"),
        ("row 4: captured: the same with a txn of a new epoch", "2:40", "3:1", "2:38 2:39 3:1", SNAP, None, ""),
        ("row 6: an epoch has begun there that nobody else knows", "3:0", "2:5", "2:4 2:5", SNAP, None, ""),
    ],
)
def test_what_is_sent_depends_on_where_the_log_of_the_learner_ends(why, learner, tree, window, kind, sent, entries):
    found = plan(zxid(learner), zxid(tree), window_of(window))
    assert found is not None, why
    assert found.kind == kind, why
    if sent is not None:
        assert found.zxid == zxid(sent), why
        assert found.entries == window_of(entries), why


def test_after_a_plan_the_learner_has_what_was_committed_and_is_sent_all_behind_it():
    for learner in ("1:3", "1:5", "1:9"):
        assert plan(zxid(learner), zxid("1:5"), window_of("1:3 1:4 1:5")).forward_after == zxid("1:5")


@pytest.mark.parametrize(("learner", "window"), [("1:1", "1:3 1:5"), ("1:1", ""), ("0:0", "1:2 1:5"), ("-1:0", "1:5")])
def test_row_5_what_is_behind_the_memory_has_to_be_looked_up_in_the_log(learner, window):
    assert plan(zxid(learner), zxid("1:5"), window_of(window)) is None


def test_row_5_the_log_gives_what_the_memory_has_not_and_the_memory_the_rest():
    until = zxid("1:5")
    found = plan_from_log(window_of("1:2 1:3 1:4 1:5"), until, window_of("1:4 1:5 1:6 1:7"))
    assert (found.kind, found.zxid) == (DIFF, zxid("1:7"))
    assert found.entries == window_of("1:2 1:3 1:4 1:5 1:6 1:7")


@pytest.mark.parametrize(
    ("why", "logged", "window"),
    [
        ("the log does not go back so far, or holds too much", None, "1:4 1:5"),
        ("it has nothing", "", "1:4 1:5"),
        ("it does not reach what was committed when it was asked", "1:2 1:3", "1:4 1:5"),
        ("the memory has moved on beyond it", "1:2 1:3 1:4 1:5", "1:7 1:8"),
    ],
)
def test_row_5_without_a_log_that_joins_the_memory_the_whole_tree_is_sent(why, logged, window):
    entries = None if logged is None else window_of(logged)
    assert plan_from_log(entries, zxid("1:5"), window_of(window)).kind == SNAP, why
