"""Which error wins, row by row: docs/protocol/client-protocol.md sections 5.1 to 5.5, 5.9 and 5.11."""

import pytest

from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ACL, open_acl
from pyzk.codec.requests import CreateTTLRequest, PathVersionRequest, ReconfigRequest
from pyzk.codec.txns import CreateContainerTxn, CreateTTLTxn, CreateTxn
from pyzk.errors import (
    BadArgumentsError,
    BadVersionError,
    InvalidAclError,
    MarshallingError,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    QuotaExceededError,
    ReconfigDisabledError,
    ReconfigInProgressError,
    UnimplementedError,
)
from pyzk.tree.node import OWNER_CONTAINER, OWNER_TTL, TTL_MS_MAX, is_session
from pyzk.tree.tree import RESERVED_PATHS
from tests.tree.leader import ANYONE, BOB, BOBS, READ_ONLY, SUPER, Leader, creating, rules, stat

SESSION = 0x100
NO_ACL: list[ACL] = []
CREATES = [OpCode.CREATE, OpCode.CREATE2, OpCode.CREATE_CONTAINER]


@pytest.fixture
def leader() -> Leader:
    """/open, /closed (read only), /eph (ephemeral), /full (its hard quota is reached); TTL znodes not enabled."""
    leader = Leader(rules=rules(enforce_quota=True))
    for path in [b"/open", b"/open/child", b"/full"]:
        assert leader.create(path) == 0
    assert leader.create(b"/closed", acl=READ_ONLY) == 0
    assert leader.create(b"/closed/gone") == NoAuthError.code
    assert leader.create(b"/eph", flags=1, session=SESSION) == 0
    limits = b"count=-1,bytes=-1=;countHardLimit=1;byteHardLimit=1"
    for path, data in [(b"", b""), (b"/zookeeper_limits", limits), (b"/zookeeper_stats", b"")]:
        assert leader.create(b"/zookeeper/quota/full" + path, data) == 0
    return leader


# 5.1 create

CREATE_ROWS = [
    # Each row breaks one rule and all those below it that it can: the first must win.
    ("flags", creating(b"noslash", flags=7, acl=NO_ACL), BadArgumentsError),
    ("flags below zero", creating(b"/open/child", flags=-1), BadArgumentsError),
    ("TTL mode is not enabled", creating(b"noslash", flags=5, acl=NO_ACL), UnimplementedError),
    ("sequential TTL mode is not enabled", creating(b"/open/x", flags=6), UnimplementedError),
    ("null path", creating(None, acl=NO_ACL), MarshallingError),
    ("no slash", creating(b"noslash", acl=NO_ACL), BadArgumentsError),
    ("empty path", creating(b"", acl=NO_ACL), BadArgumentsError),
    ("NUL", creating(b"/no/such\0", acl=NO_ACL), BadArgumentsError),
    ("ACL before missing parent", creating(b"/no/such", acl=NO_ACL), InvalidAclError),
    ("ACL before permission", creating(b"/closed/x", acl=NO_ACL), InvalidAclError),
    ("ACL entry without an id", creating(b"/no/such", acl=[ACL(31, b"world", None)]), MarshallingError),
    ("missing parent before bad name", creating(b"/no/such/"), NoNodeError),
    ("missing parent of a path without a slash in front", creating(b"open/x"), NoNodeError),
    ("permission before bad name", creating(b"/closed/"), NoAuthError),
    ("permission before existence", creating(b"/closed/.."), NoAuthError),
    ("bad name", creating(b"/open/"), BadArgumentsError),
    ("relative name below an ephemeral", creating(b"/eph/.."), BadArgumentsError),
    ("two slashes", creating(b"//open"), BadArgumentsError),
    ("existence", creating(b"/open/child"), NodeExistsError),
    ("the root", creating(b"/"), NodeExistsError),
    ("ephemeral parent", creating(b"/eph/child"), NoChildrenForEphemeralsError),
    ("quota", creating(b"/full/child", b"xx"), QuotaExceededError),
]


@pytest.mark.parametrize("opcode", CREATES)
@pytest.mark.parametrize(("row", "request_record", "error"), CREATE_ROWS, ids=[row[0] for row in CREATE_ROWS])
def test_first_failing_rule_of_create_decides(leader: Leader, opcode, row, request_record, error):
    assert (row, leader.do(opcode, request_record, [ANYONE]).err) == (row, error.code)


def test_sequence_number_is_validated_with_the_name_and_makes_it_good(leader: Leader):
    applied = leader.do(OpCode.CREATE, creating(b"/open/", flags=2))
    assert (applied.err, applied.path) == (0, b"/open/0000000001")
    assert leader.do(OpCode.CREATE, creating(b"/", flags=2)).path == b"/0000000004"
    assert leader.create(b"/open//", flags=2) == NoNodeError.code
    assert leader.create(b"/open/\x01", flags=2) == BadArgumentsError.code


def ttl_request(flags: int, ttl_ms: int, path: bytes | None = b"/ttl") -> CreateTTLRequest:
    return CreateTTLRequest(path, b"", open_acl(), flags, ttl_ms)


@pytest.mark.parametrize(
    ("flags", "ttl_ms", "error"),
    [
        (5, 0, BadArgumentsError),
        (5, -1, BadArgumentsError),
        (6, TTL_MS_MAX + 1, BadArgumentsError),
        (0, 0, BadArgumentsError),
        (4, 1000, BadArgumentsError),
        (0, -1, BadArgumentsError),  # apache-defects.md row 2
        (1, -5, BadArgumentsError),
        (9, 1000, BadArgumentsError),
    ],
)
def test_create_ttl_wants_a_ttl_mode_and_a_ttl_in_range(flags: int, ttl_ms: int, error):
    assert Leader().do(OpCode.CREATE_TTL, ttl_request(flags, ttl_ms, None)).err == error.code


def test_create_ttl_is_not_implemented_unless_extended_types_are_on(leader: Leader):
    assert leader.do(OpCode.CREATE_TTL, ttl_request(5, 0)).err == UnimplementedError.code
    assert leader.do(OpCode.CREATE_TTL, ttl_request(0, 1)).err == BadArgumentsError.code


@pytest.mark.parametrize("opcode", CREATES)
@pytest.mark.parametrize("flags", [5, 6])
def test_ttl_modes_without_a_ttl_are_bad_arguments_even_with_extended_types(opcode: OpCode, flags: int):
    assert Leader().do(opcode, creating(b"/x", flags=flags)).err == BadArgumentsError.code


SUFFIX = b"0000000000"
MODE_ROWS = [
    (OpCode.CREATE, 0, b"", 0),
    (OpCode.CREATE, 1, b"", SESSION),
    (OpCode.CREATE, 2, SUFFIX, 0),
    (OpCode.CREATE, 3, SUFFIX, SESSION),
    (OpCode.CREATE, 4, b"", 0),
    (OpCode.CREATE2, 0, b"", 0),
    (OpCode.CREATE2, 1, b"", SESSION),
    (OpCode.CREATE2, 2, SUFFIX, 0),
    (OpCode.CREATE2, 3, SUFFIX, SESSION),
    (OpCode.CREATE2, 4, b"", 0),
    (OpCode.CREATE_CONTAINER, 0, b"", OWNER_CONTAINER),
    (OpCode.CREATE_CONTAINER, 1, b"", OWNER_CONTAINER),
    (OpCode.CREATE_CONTAINER, 2, SUFFIX, OWNER_CONTAINER),
    (OpCode.CREATE_CONTAINER, 3, SUFFIX, OWNER_CONTAINER),
    (OpCode.CREATE_CONTAINER, 4, b"", OWNER_CONTAINER),
    (OpCode.CREATE_TTL, 5, b"", OWNER_TTL + 1000),
    (OpCode.CREATE_TTL, 6, SUFFIX, OWNER_TTL + 1000),
]


@pytest.mark.parametrize(("opcode", "flags", "suffix", "owner"), MODE_ROWS)
def test_opcode_and_mode_decide_name_and_owner(opcode: OpCode, flags: int, suffix: bytes, owner: int):
    leader = Leader()
    leader.create(b"/p")
    request = (
        CreateTTLRequest(b"/p/n", b"d", open_acl(), flags, 1000) if opcode == 21 else creating(b"/p/n", b"d", flags)
    )
    applied = leader.do(opcode, request, session=SESSION)
    path = b"/p/n" + suffix
    assert (applied.err, applied.path) == (0, path)
    state = leader.tree.state(path)
    assert state.owner == owner
    assert stat(leader.tree, path).ephemeral_owner == (owner if is_session(owner) else 0)


@pytest.mark.parametrize(
    ("opcode", "kind"),
    [
        (OpCode.CREATE, CreateTxn),
        (OpCode.CREATE2, CreateTxn),
        (OpCode.CREATE_CONTAINER, CreateContainerTxn),
        (OpCode.CREATE_TTL, CreateTTLTxn),
    ],
)
def test_each_create_writes_its_own_kind_of_txn(opcode: OpCode, kind: type):
    request = ttl_request(5, 1, b"/x") if opcode == 21 else creating(b"/x")
    txn = Leader().submit(opcode, request)
    assert (txn.header.type, type(txn.record)) == (opcode, kind)


def test_sequence_numbers_count_all_creates_ever_made_below_a_parent():
    leader = Leader()
    for path in [b"/p", b"/p/a", b"/p/b"]:
        leader.create(path)
    leader.delete(b"/p/a")
    names = [leader.submit(OpCode.CREATE, creating(b"/p/" + name, flags=2)).record.path for name in [b"x", b"y", b"x"]]
    assert names == [b"/p/x0000000002", b"/p/y0000000003", b"/p/x0000000004"]


def test_counter_of_children_sticks_where_it_overflows():
    leader = Leader()
    leader.create(b"/p")
    leader.tree.branch(b"/p").cversion = 2**31 - 2
    paths = []
    for _ in range(3):
        applied = leader.do(OpCode.CREATE, creating(b"/p/s", flags=2))
        paths.append((applied.err, applied.path))
    assert paths == [(0, b"/p/s2147483646"), (0, b"/p/s2147483647"), (NodeExistsError.code, b"")]
    assert leader.tree.state(b"/p").cversion == 2**31 - 1


# 5.2 delete

DELETE_ROWS = [
    ("null path", None, -1, MarshallingError),
    ("no slash", b"open", -1, BadArgumentsError),
    ("NUL", b"/closed/\0", -1, BadArgumentsError),
    ("missing parent", b"/no/such", 5, NoNodeError),
    ("permission before existence", b"/closed/none", 5, NoAuthError),
    ("existence before version", b"/open/none", 5, NoNodeError),
    ("no syntax check", b"/open/", -1, NoNodeError),
    ("version before children", b"/open", 5, BadVersionError),
    ("negative version that is not -1", b"/open", -2, BadVersionError),
    ("children", b"/open", 0, NotEmptyError),
]


@pytest.mark.parametrize(("row", "path", "version", "error"), DELETE_ROWS, ids=[row[0] for row in DELETE_ROWS])
def test_first_failing_rule_of_delete_decides(leader: Leader, row, path, version, error):
    assert (row, leader.delete(path, version, identities=[ANYONE])) == (row, error.code)


@pytest.mark.parametrize("path", sorted(RESERVED_PATHS))
def test_reserved_znodes_are_never_deleted(path: bytes):
    leader = Leader()
    assert leader.delete(path, identities=[SUPER]) == BadArgumentsError.code
    assert leader.delete_container(path) == BadArgumentsError.code


def test_other_znodes_below_zookeeper_come_and_go():
    leader = Leader()
    assert [leader.create(b"/zookeeper/mine"), leader.delete(b"/zookeeper/mine")] == [0, 0]


def test_delete_asks_the_parent_and_not_the_znode():
    leader = Leader()
    leader.create(b"/bobs", acl=BOBS)
    assert leader.delete(b"/bobs", identities=[ANYONE]) == 0


# 5.3 setData, 5.4 setACL, 5.5 check

SET_DATA_ROWS = [
    ("null path", None, 9, BadArgumentsError),
    ("bad path", b"/open/", 9, BadArgumentsError),
    ("empty path is no name of the root", b"", 9, BadArgumentsError),
    ("missing", b"/none", 9, NoNodeError),
    ("permission before version", b"/closed", 9, NoAuthError),
    ("config is writable by nobody", b"/zookeeper/config", -1, NoAuthError),
    ("quota before version", b"/full", 9, QuotaExceededError),
    ("version", b"/open", 9, BadVersionError),
    ("negative version", b"/open", -2, BadVersionError),
]


@pytest.mark.parametrize(("row", "path", "version", "error"), SET_DATA_ROWS, ids=[row[0] for row in SET_DATA_ROWS])
def test_first_failing_rule_of_set_data_decides(leader: Leader, row, path, version, error):
    assert (row, leader.set_data(path, b"xx", version, identities=[ANYONE])) == (row, error.code)


def test_set_data_keeps_null_apart_from_empty_and_counts_versions():
    leader = Leader()
    leader.create(b"/x", b"data")
    assert [leader.set_data(b"/x", None, 0), leader.set_data(b"/x", b"", 1), leader.set_data(b"/", b"root")] == [0] * 3
    assert stat(leader.tree, b"/x").version == 2
    assert stat(leader.tree, b"/").data_length == 4


def test_version_of_data_wraps_as_in_java():
    leader = Leader()
    leader.create(b"/x")
    leader.create(b"/x/child")
    leader.tree.branch(b"/x").version = 2**31 - 1
    assert leader.set_data(b"/x", b"", 2**31 - 1) == 0
    assert stat(leader.tree, b"/x").version == -(2**31)


SET_ACL_ROWS = [
    ("null path", None, NO_ACL, 9, BadArgumentsError),
    ("bad path before ACL", b"/open/", NO_ACL, 9, BadArgumentsError),
    ("ACL before existence", b"/none", NO_ACL, 9, InvalidAclError),
    ("ACL before permission", b"/closed", NO_ACL, 9, InvalidAclError),
    ("null list", b"/open", None, 9, InvalidAclError),
    ("missing", b"/none", BOBS, 9, NoNodeError),
    ("permission before version", b"/closed", BOBS, 9, NoAuthError),
    ("version", b"/open", BOBS, 9, BadVersionError),
]


@pytest.mark.parametrize(("row", "path", "acl", "version", "error"), SET_ACL_ROWS, ids=[row[0] for row in SET_ACL_ROWS])
def test_first_failing_rule_of_set_acl_decides(leader: Leader, row, path, acl, version, error):
    assert (row, leader.set_acl(path, acl, version, identities=[ANYONE])) == (row, error.code)


def test_set_acl_compares_and_raises_aversion_and_nothing_else():
    leader = Leader()
    leader.create(b"/x", b"data")
    before = stat(leader.tree, b"/x")
    assert leader.set_acl(b"/x", BOBS, 0) == 0
    before.aversion = 1
    assert stat(leader.tree, b"/x") == before
    assert leader.set_acl(b"/x", open_acl(), 1, identities=[ANYONE]) == NoAuthError.code
    assert leader.set_acl(b"/x", open_acl(), 1, identities=[BOB]) == 0


CHECK_ROWS = [
    ("bad path", b"/open/", 9, BadArgumentsError),
    ("missing", b"/none", 9, NoNodeError),
    ("permission before version", b"/bobs", 9, NoAuthError),
    ("version", b"/open", 9, BadVersionError),
]


@pytest.mark.parametrize(("row", "path", "version", "error"), CHECK_ROWS, ids=[row[0] for row in CHECK_ROWS])
def test_first_failing_rule_of_check_decides(leader: Leader, row, path, version, error):
    leader.create(b"/bobs", acl=BOBS)
    codes = leader.multi((OpCode.CHECK, PathVersionRequest(path, version)), identities=[ANYONE])
    assert (row, codes) == (row, [error.code])


# 5.9 deleteContainer

CONTAINER_ROWS = [
    ("null path", None, MarshallingError),
    ("no slash", b"open", BadArgumentsError),
    ("missing parent", b"/no/such", NoNodeError),
    ("missing", b"/none", NoNodeError),
    ("children", b"/open", NotEmptyError),
    ("ephemeral", b"/eph", BadVersionError),
]


@pytest.mark.parametrize(("row", "path", "error"), CONTAINER_ROWS, ids=[row[0] for row in CONTAINER_ROWS])
def test_first_failing_rule_of_delete_container_decides(leader: Leader, row, path, error):
    assert (row, leader.delete_container(path)) == (row, error.code)


def test_delete_container_asks_nobody_and_takes_containers_and_ttl_znodes():
    leader = Leader()
    leader.create_container(b"/cont")
    leader.create_ttl(b"/ttl", 5)
    leader.set_acl(b"/", READ_ONLY)
    assert [leader.delete_container(b"/cont"), leader.delete_container(b"/ttl")] == [0, 0]
    assert not leader.tree.containers
    assert not leader.tree.ttls


# 5.11 reconfig


@pytest.mark.parametrize(
    ("enabled", "error"), [(False, ReconfigDisabledError), (True, UnimplementedError)], ids=["disabled", "standalone"]
)
def test_standalone_server_is_not_reconfigured(enabled: bool, error):
    leader = Leader(rules=rules(reconfig_enabled=enabled))
    assert leader.do(OpCode.RECONFIG, ReconfigRequest(None, None, None, -1)).err == error.code


def test_a_reconfig_is_refused_while_another_one_is_only_prepared():
    leader = Leader(rules=rules(reconfig_enabled=True, reconfigure=lambda _request, zxid: b"version=%x" % zxid))
    request = ReconfigRequest(None, None, None, -1)
    leader.submit(OpCode.RECONFIG, request, [SUPER])
    leader.submit(OpCode.RECONFIG, request, [SUPER])
    assert [applied.err for applied in leader.apply_all()] == [0, ReconfigInProgressError.code]
    assert leader.do(OpCode.RECONFIG, request, [SUPER]).err == 0


# Every failure


def test_failed_request_takes_a_zxid_and_changes_nothing(leader: Leader):
    digest, zxid = leader.tree.digest, leader.tree.last_zxid
    assert leader.create(b"/open") == NodeExistsError.code
    assert (leader.tree.digest, leader.tree.last_zxid) == (digest, zxid + 1)
    assert (leader.overlay.digest, len(leader.overlay)) == (digest, 0)
