"""multi: what its ops become, what a failure undoes, what each op answers. client-protocol.md section 6."""

import pytest

from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ACL, Stat, open_acl
from pyzk.codec.requests import (
    CreateTTLRequest,
    MultiRequest,
    PathRequest,
    PathVersionRequest,
    PathWatchRequest,
    SetDataRequest,
)
from pyzk.codec.txns import decode_sub_txn
from pyzk.errors import (
    BadArgumentsError,
    BadVersionError,
    MarshallingError,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    RuntimeInconsistencyError,
    UnimplementedError,
)
from tests.tree.leader import ANYONE, READ_ONLY, Leader, creating, rules

OK, MARSHALLING, NOT_TRIED = 0, MarshallingError.code, RuntimeInconsistencyError.code


def create(path: bytes | None, flags: int = 0, opcode: int = OpCode.CREATE, acl=None):
    return opcode, creating(path, b"", flags, acl)


def create_ttl(path: bytes | None, flags: int, ttl_ms: int = 1000):
    return OpCode.CREATE_TTL, CreateTTLRequest(path, b"", open_acl(), flags, ttl_ms)


def delete(path: bytes | None, version: int = -1):
    return OpCode.DELETE, PathVersionRequest(path, version)


def check(path: bytes | None, version: int = -1):
    return OpCode.CHECK, PathVersionRequest(path, version)


def set_data(path: bytes | None, data: bytes = b"", version: int = -1):
    return OpCode.SET_DATA, SetDataRequest(path, data, version)


@pytest.fixture
def leader() -> Leader:
    leader = Leader()
    leader.create(b"/a", b"data")
    return leader


def submit(leader: Leader, *ops):
    return leader.submit(OpCode.MULTI, MultiRequest(list(ops)), [ANYONE])


def test_each_op_sees_what_the_ones_before_it_did(leader: Leader):
    codes = leader.multi(
        create(b"/p"), create(b"/p/s", 2), create(b"/p/s", 2), set_data(b"/p", b"x", 0), check(b"/p", 1), delete(b"/a")
    )
    assert codes == [OK] * 6
    assert sorted(leader.tree.nodes)[1:4] == [b"/p", b"/p/s0000000000", b"/p/s0000000001"]


def test_znode_created_and_deleted_in_one_multi_leaves_only_its_traces_in_the_parent(leader: Leader):
    before = leader.tree.state(b"/")
    assert leader.multi(create(b"/x"), delete(b"/x"), create(b"/x"), delete(b"/x")) == [OK] * 4
    after = leader.tree.state(b"/")
    assert (after.cversion, after.child_count) == (before.cversion + 2, before.child_count)
    assert leader.tree.digest == leader.overlay.digest


def test_all_ops_share_one_zxid_and_stats_are_taken_after_each_op(leader: Leader):
    applied = leader.do(
        OpCode.MULTI, MultiRequest([create(b"/x"), create(b"/x/y"), set_data(b"/x", b"abc"), delete(b"/x/y")])
    )
    stats = [Stat.from_bytes(result.stat) if result.stat else None for result in applied.results]
    zxid = leader.tree.last_zxid
    assert [(stat.czxid, stat.mzxid, stat.num_children, stat.data_length) for stat in stats[:3]] == [
        (zxid, zxid, 0, 0),
        (zxid, zxid, 0, 0),
        (zxid, zxid, 1, 3),
    ]
    assert stats[3] is None


def test_results_before_the_failure_are_zero_and_those_behind_it_inconsistent(leader: Leader):
    codes = leader.multi(create(b"/b"), check(b"/a", 7), delete(b"/a"), set_data(b"/b"))
    assert codes == [OK, BadVersionError.code, NOT_TRIED, NOT_TRIED]
    assert b"/b" not in leader.tree.nodes


FAILURES = [
    [create(b"/a"), create(b"/z")],
    [create(b"/b"), create(b"/b")],
    [set_data(b"/a", b"x"), set_data(b"/a", b"y"), delete(b"/a", 7)],
    [delete(b"/a"), create(b"/a", 1), delete(b"/a"), delete(b"/a")],
    [create(b"/e", 1), delete(b"/e"), create(b"/e", 1), check(b"/none")],
    [create(b"/s", 2), create(b"/s", 2), create(b"/s/x/y")],
]


@pytest.mark.parametrize("ops", FAILURES)
@pytest.mark.parametrize("outstanding", [0, 1, 2])
def test_failed_multi_leaves_the_overlay_exactly_as_before(leader: Leader, ops, outstanding: int):
    leader.submit(OpCode.SET_DATA, SetDataRequest(b"/a", b"pending", -1))
    for number in range(outstanding):
        leader.submit(OpCode.CREATE, creating(b"/pending%d" % number, b"", 1))
    overlay = leader.overlay
    before = (overlay.digest, repr(overlay._states), set(overlay._ephemerals), overlay.ephemerals_of(1))
    txn = submit(leader, *ops)
    assert any(sub.type == OpCode.ERROR for sub in txn.record.txns)
    assert txn.digest.tree_digest == before[0]
    assert (overlay.digest, repr(overlay._states), set(overlay._ephemerals), overlay.ephemerals_of(1)) == before
    assert leader.outstanding[-1].written == []
    leader.apply_all()
    assert leader.tree.digest == overlay.digest
    assert len(overlay) == 0


def test_failed_multi_is_logged_with_the_real_records_before_the_failure(leader: Leader):
    txn = submit(leader, create(b"/b"), delete(b"/none"), create(b"/c"))
    assert txn.header.type == OpCode.MULTI
    assert [sub.type for sub in txn.record.txns] == [OpCode.CREATE, OpCode.ERROR, OpCode.ERROR]
    records = [decode_sub_txn(sub) for sub in txn.record.txns]
    assert records[0].path == b"/b"
    assert [record.err for record in records[1:]] == [NoNodeError.code, NOT_TRIED]


def test_empty_multi_succeeds_and_takes_a_zxid(leader: Leader):
    zxid = leader.tree.last_zxid
    assert leader.multi() == []
    assert leader.tree.last_zxid == zxid + 1


CONVERSIONS = [
    (create(b"/x", 4), OpCode.CREATE_CONTAINER),
    (create(b"/x", 4, OpCode.CREATE2), OpCode.CREATE_CONTAINER),
    (create(b"/x", 4, OpCode.CREATE_CONTAINER), OpCode.CREATE_CONTAINER),
    (create(b"/x", 0, OpCode.CREATE_CONTAINER), OpCode.CREATE_CONTAINER),
    (create(b"/x", 3, OpCode.CREATE_CONTAINER), OpCode.CREATE_CONTAINER),
    (create(b"/x", 1), OpCode.CREATE),
    (create(b"/x", 2, OpCode.CREATE2), OpCode.CREATE2),
    (create_ttl(b"/x", 5), OpCode.CREATE_TTL),
    (create_ttl(b"/x", 6), OpCode.CREATE_TTL),
    (create_ttl(b"/x", 0), OpCode.CREATE),
    (create_ttl(b"/x", 3, -1), OpCode.CREATE),
    (create_ttl(b"/x", 4), OpCode.CREATE_CONTAINER),
    (check(b"/a"), OpCode.CHECK),
    (delete(b"/a"), OpCode.DELETE),
    (set_data(b"/a"), OpCode.SET_DATA),
]


@pytest.mark.parametrize(("op", "opcode"), CONVERSIONS)
def test_ops_become_txns_of_the_type_that_section_6_1_says(leader: Leader, op, opcode: OpCode):
    txn = submit(leader, op)
    assert txn.record.types == [opcode]
    assert leader.apply_all()[0].results[0].err == OK


WHOLE_FAILURES = [
    (OpCode.EXISTS, PathRequest(b"/a")),
    (OpCode.SET_ACL, PathRequest(b"/a")),
    (OpCode.DELETE_CONTAINER, PathRequest(b"/a")),
    (OpCode.GET_DATA, PathWatchRequest(b"/a", watch=False)),
    (OpCode.GET_CHILDREN, PathWatchRequest(b"/a", watch=False)),
    (OpCode.MULTI, MultiRequest([])),
    create(b"/x", 5),
    create(b"/x", 6, OpCode.CREATE2),
    create(b"/x", 5, OpCode.CREATE_CONTAINER),
    create(b"/x", 7),
    create(b"/x", -1),
    create(None),
    create_ttl(None, 5),
    delete(None),
    check(None),
    set_data(None),
    create(b"/x", acl=[ACL(31, b"digest", None)]),
]


@pytest.mark.parametrize("op", WHOLE_FAILURES)
def test_op_that_no_multi_can_hold_fails_the_whole_request_and_undoes_what_came_before(leader: Leader, op):
    digest = leader.overlay.digest
    assert leader.multi(create(b"/b"), set_data(b"/a"), op) == [MARSHALLING]
    assert leader.overlay.digest == leader.tree.digest == digest
    assert b"/b" not in leader.tree.nodes


def test_null_path_fails_the_whole_request_even_behind_an_op_that_fails(leader: Leader):
    assert leader.multi(delete(b"/none"), create(None)) == [MARSHALLING]
    assert leader.multi(delete(b"/none"), set_data(None)) == [MARSHALLING]


def test_ttl_op_fails_alone_where_extended_types_are_off():
    leader = Leader(rules=rules())
    assert leader.multi(create(b"/x"), create_ttl(b"/y", 5)) == [OK, UnimplementedError.code]


@pytest.mark.parametrize("flags", [7, -1])
def test_flags_that_do_not_exist_fail_only_the_op_of_a_create_ttl(leader: Leader, flags: int):
    assert leader.multi(create(b"/x"), create_ttl(b"/y", flags)) == [OK, BadArgumentsError.code]


def test_permissions_hold_inside_a_multi(leader: Leader):
    leader.create(b"/closed", acl=READ_ONLY)
    codes = leader.multi(check(b"/closed"), create(b"/closed/x"), identities=[ANYONE])
    assert codes == [OK, NoAuthError.code]


def test_acl_set_before_a_multi_is_applied_counts_already(leader: Leader):
    leader.submit(OpCode.CREATE, creating(b"/closed", acl=READ_ONLY))
    submit(leader, create(b"/closed/x"))
    assert leader.apply_all()[-1].results[0].err == NoAuthError.code


def test_quota_is_asked_for_committed_usage_so_that_a_multi_may_overshoot():
    leader = Leader(rules=rules(enforce_quota=True))
    leader.create(b"/q")
    for path, data in [(b"", b""), (b"/zookeeper_limits", b"count=-1=;countHardLimit=2"), (b"/zookeeper_stats", b"")]:
        leader.create(b"/zookeeper/quota/q" + path, data)
    assert leader.multi(create(b"/q/1"), create(b"/q/2"), create(b"/q/3")) == [OK] * 3
    assert leader.multi(create(b"/q/4")) == [-125]


def test_changes_of_a_multi_are_told_in_the_order_of_its_ops(leader: Leader):
    applied = leader.do(OpCode.MULTI, MultiRequest([create(b"/b"), set_data(b"/a"), delete(b"/b")]))
    assert [(int(change[0]), change[1]) for change in applied.changes] == [(1, b"/b"), (3, b"/a"), (2, b"/b")]


def test_existing_znode_fails_its_op(leader: Leader):
    assert leader.multi(create(b"/a")) == [NodeExistsError.code]
