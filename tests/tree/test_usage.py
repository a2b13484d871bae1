"""How the tree reacts to quota znodes: docs/protocol/data-model.md section 3."""

import pytest

from pyzk.codec.opcodes import OpCode
from pyzk.codec.requests import PathVersionRequest, SetDataRequest
from pyzk.errors import QuotaExceededError
from pyzk.tree.node import data_of
from pyzk.tree.quota import limits_path, stats_path
from pyzk.tree.walk import finish_load
from tests.tree.leader import Leader, creating, reload, rules, stat

EXCEEDED = QuotaExceededError.code


@pytest.fixture
def leader() -> Leader:
    """/q with two children of three bytes each."""
    leader = Leader()
    leader.create(b"/q", b"12345")
    leader.create(b"/q/1", b"abc")
    leader.create(b"/q/2", b"abc")
    return leader


def plant(leader: Leader, covered: bytes, limits: bytes = b"count=9,bytes=-1", stats: bytes = b"") -> None:
    """Set a quota as clients do."""
    path = b"/zookeeper/quota"
    for name in covered.split(b"/")[1:]:
        path += b"/" + name
        leader.create(path)
    leader.create(limits_path(covered), limits)
    leader.create(stats_path(covered), stats)


def usage(leader: Leader, covered: bytes) -> bytes | None:
    return data_of(leader.tree.nodes[stats_path(covered)])


def test_new_stats_znode_is_filled_with_what_is_used(leader: Leader):
    plant(leader, b"/q", stats=b"anything")
    assert b"/q" in leader.tree.quotas
    assert usage(leader, b"/q") == b"count=3,bytes=11"


def test_stats_of_a_path_that_does_not_exist_are_zero(leader: Leader):
    plant(leader, b"/none")
    assert usage(leader, b"/none") == b"count=0,bytes=0"
    leader.create(b"/none", b"12")
    assert usage(leader, b"/none") == b"count=1,bytes=2"


def test_create_delete_and_set_data_move_the_usage(leader: Leader):
    plant(leader, b"/q")
    leader.create(b"/q/1/deep", b"1234")
    assert usage(leader, b"/q") == b"count=4,bytes=15"
    leader.set_data(b"/q/1/deep", None)
    assert usage(leader, b"/q") == b"count=4,bytes=11"
    leader.set_data(b"/q", b"")
    assert usage(leader, b"/q") == b"count=4,bytes=6"
    leader.delete(b"/q/2")
    assert usage(leader, b"/q") == b"count=3,bytes=3"


def test_neighbours_with_a_common_beginning_are_not_covered(leader: Leader):
    plant(leader, b"/q")
    leader.create(b"/qq", b"123")
    assert usage(leader, b"/q") == b"count=3,bytes=11"


def test_only_the_deepest_quota_counts(leader: Leader):
    plant(leader, b"/q")
    plant(leader, b"/q/1")
    leader.create(b"/q/1/x", b"12")
    leader.create(b"/q/3", b"1")
    assert usage(leader, b"/q/1") == b"count=2,bytes=5"
    assert usage(leader, b"/q") == b"count=4,bytes=12"


def test_usage_moves_no_stat_no_digest_and_tells_no_watcher(leader: Leader):
    plant(leader, b"/q")
    before = stat(leader.tree, stats_path(b"/q"))
    digest = leader.tree.digest
    applied = leader.do(OpCode.SET_DATA, SetDataRequest(b"/q/1", b"a longer one", -1))
    assert [change[1] for change in applied.changes] == [b"/q/1"]
    after = stat(leader.tree, stats_path(b"/q"))
    before.data_length = after.data_length
    assert after == before
    assert leader.tree.digest == leader.overlay.digest != digest


def test_deleted_limits_end_the_counting(leader: Leader):
    plant(leader, b"/q")
    leader.delete(limits_path(b"/q"))
    assert not leader.tree.quotas
    leader.create(b"/q/3")
    assert usage(leader, b"/q") == b"count=3,bytes=11"


def test_deleted_stats_end_the_counting_until_they_are_there_again(leader: Leader):
    plant(leader, b"/q")
    leader.delete(stats_path(b"/q"))
    leader.create(b"/q/3")
    leader.create(stats_path(b"/q"))
    assert usage(leader, b"/q") == b"count=4,bytes=11"


@pytest.mark.parametrize("text", [b"garbage", b"count=", None, b"", b"count=1", b"bytes=1", b"count=x,bytes=1"])
def test_stats_that_cannot_be_parsed_are_reckoned_anew_with_the_change_in_them(leader: Leader, text: bytes | None):
    plant(leader, b"/q")
    for change, expected in [
        (lambda: leader.set_data(b"/q/1", b"abcdef"), b"count=3,bytes=14"),
        (lambda: leader.create(b"/q/3", b"xy"), b"count=4,bytes=16"),
        (lambda: leader.delete(b"/q/3"), b"count=3,bytes=14"),
    ]:
        leader.set_data(stats_path(b"/q"), text)
        assert usage(leader, b"/q") == text
        change()
        assert usage(leader, b"/q") == expected


def test_stats_that_clients_wrote_are_counted_on_from(leader: Leader):
    plant(leader, b"/q")
    leader.set_data(stats_path(b"/q"), b"count=100,bytes=1000=;byteHardLimit=7")
    leader.create(b"/q/3", b"1")
    assert usage(leader, b"/q") == b"count=101,bytes=1001=;byteHardLimit=7"


def test_stats_znode_with_children_is_kept_up_too(leader: Leader):
    plant(leader, b"/q")
    leader.create(stats_path(b"/q") + b"/child")
    leader.create(b"/q/3", b"12")
    assert usage(leader, b"/q") == b"count=4,bytes=13"


def test_quota_on_the_root_never_counts(leader: Leader):
    leader.create(b"/zookeeper/quota/zookeeper_limits", b"count=1")
    leader.create(b"/zookeeper/quota/zookeeper_stats", b"mine")
    leader.create(b"/x")
    assert not leader.tree.quotas
    assert data_of(leader.tree.nodes[b"/zookeeper/quota/zookeeper_stats"]) == b"mine"
    leader.delete(b"/zookeeper/quota/zookeeper_limits")


def test_znodes_below_zookeeper_can_have_a_quota_as_any_other(leader: Leader):
    leader.create(b"/zookeeper/mine")
    plant(leader, b"/zookeeper/mine")
    leader.create(b"/zookeeper/mine/x", b"12")
    assert usage(leader, b"/zookeeper/mine") == b"count=2,bytes=2"


def test_limits_elsewhere_below_zookeeper_are_ordinary_znodes(leader: Leader):
    leader.create(b"/zookeeper/zookeeper_limits", b"count=1")
    assert not leader.tree.quotas
    assert leader.delete(b"/zookeeper/zookeeper_limits") == 0


def test_loading_finds_all_limits_and_reckons_all_stats_anew(leader: Leader):
    plant(leader, b"/q")
    plant(leader, b"/q/1")
    leader.create(b"/zookeeper/quota/zookeeper_limits", b"count=1")
    leader.set_data(stats_path(b"/q/1"), b"garbage")
    loaded = reload(leader.tree)
    assert not loaded.quotas
    finish_load(loaded)
    assert sorted(loaded.quotas) == [b"/q", b"/q/1"]
    assert data_of(loaded.nodes[stats_path(b"/q")]) == b"count=3,bytes=11"
    assert data_of(loaded.nodes[stats_path(b"/q/1")]) == b"count=1,bytes=3"


def test_loading_bears_a_quota_without_stats(leader: Leader):
    plant(leader, b"/q")
    leader.delete(stats_path(b"/q"))
    loaded = reload(leader.tree)
    finish_load(loaded)
    assert list(loaded.quotas) == [b"/q"]


# Enforcement


def enforcing(limits: bytes) -> Leader:
    """/q holds one znode of four bytes."""
    leader = Leader(rules=rules(enforce_quota=True))
    leader.create(b"/q", b"1234")
    plant(leader, b"/q", limits)
    return leader


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (b"count=-1,bytes=-1=;countHardLimit=1", EXCEEDED),
        (b"count=-1,bytes=-1=;countHardLimit=2", 0),
        (b"count=5,bytes=-1=;countHardLimit=1", EXCEEDED),
        (b"count=1,bytes=-1", 0),  # soft: only a warning
        (b"count=-1,bytes=-1=;byteHardLimit=5", EXCEEDED),
        (b"count=-1,bytes=-1=;byteHardLimit=6", 0),
        (b"count=-1,bytes=1", 0),
        (b"", 0),
        (b"unparsable", 0),
    ],
)
def test_create_is_held_against_the_hard_limits(limits: bytes, code: int):
    assert enforcing(limits).create(b"/q/x", b"12") == code


def test_set_data_is_held_against_the_difference_in_bytes():
    leader = enforcing(b"count=-1,bytes=-1=;byteHardLimit=5;countHardLimit=0")
    assert leader.set_data(b"/q", b"123456") == EXCEEDED
    assert leader.set_data(b"/q", b"12345") == 0
    assert leader.set_data(b"/q", b"54321") == 0


def test_znode_over_its_limit_may_still_be_written_with_data_of_the_same_length():
    leader = enforcing(b"count=-1,bytes=-1=;byteHardLimit=1")
    assert leader.set_data(b"/q", b"4321") == 0


def test_new_limits_hold_from_the_next_request_on():
    leader = enforcing(b"count=-1=;countHardLimit=1")
    leader.set_data(limits_path(b"/q"), b"count=-1=;countHardLimit=2")
    assert [leader.create(b"/q/x"), leader.create(b"/q/y")] == [0, EXCEEDED]


def test_pipelined_writes_may_overshoot_because_only_committed_usage_counts():
    leader = enforcing(b"count=-1=;countHardLimit=2")
    leader.submit(OpCode.CREATE, creating(b"/q/x"))
    leader.submit(OpCode.CREATE, creating(b"/q/y"))
    assert [applied.err for applied in leader.apply_all()] == [0, 0]
    assert leader.create(b"/q/z") == EXCEEDED


@pytest.mark.parametrize("gone", [limits_path(b"/q"), stats_path(b"/q")])
def test_without_limits_or_stats_nothing_is_enforced(gone: bytes):
    leader = enforcing(b"count=-1=;countHardLimit=1")
    leader.delete(gone)
    assert leader.create(b"/q/x") == 0


def test_limits_deleted_but_not_yet_applied_still_hold():
    leader = enforcing(b"count=-1=;countHardLimit=1")
    leader.submit(OpCode.DELETE, PathVersionRequest(limits_path(b"/q"), -1))
    leader.submit(OpCode.CREATE, creating(b"/q/x"))
    assert [applied.err for applied in leader.apply_all()] == [0, EXCEEDED]


def test_nothing_is_enforced_unless_asked_for():
    leader = Leader()
    leader.create(b"/q")
    plant(leader, b"/q", b"count=0=;countHardLimit=0")
    assert leader.create(b"/q/x") == 0
