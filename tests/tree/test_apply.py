"""Applying: what each txn moves, Apache's own log, and what a replay over a fuzzy snapshot must bear."""

import json
from pathlib import Path

import pytest

from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import EventType, OpCode
from pyzk.codec.records import ACL, ACLS, open_acl
from pyzk.codec.requests import EmptyRequest, PathVersionRequest, SetACLRequest
from pyzk.codec.txns import (
    CheckVersionTxn,
    CloseSessionTxn,
    CreateContainerTxn,
    CreateTTLTxn,
    CreateTxn,
    DeleteTxn,
    ErrorTxn,
    MultiTxn,
    SetACLTxn,
    SetDataTxn,
    SubTxn,
    Txn,
    TxnHeader,
    decode_txn,
)
from pyzk.errors import DecodeError, NodeExistsError, NoNodeError
from pyzk.tree import query
from pyzk.tree.acl import AccessControl
from pyzk.tree.apply import APPLY, apply
from pyzk.tree.node import OWNER_CONTAINER, OWNER_TTL, data_of, stat_of
from pyzk.tree.overlay import Overlay
from pyzk.tree.prepare import PREPARE
from pyzk.tree.tree import Tree, acl_index_of
from pyzk.tree.walk import walk
from tests.tree.leader import BOBS, READ_ONLY, Leader, creating, image, reload, stat

STORAGE = Path(__file__).parent.parent / "vectors" / "storage"
EXPECTED = json.loads((STORAGE / "expected.json").read_text())["a-log"]
SESSION = 0x100


def a_log() -> list[Txn]:
    """The 28 txns of the vector a-log."""
    reader = Reader((STORAGE / "a-log" / "version-2" / "log.1").read_bytes(), 16)
    txns = []
    for _ in range(28):
        reader.take(8)
        txns.append(decode_txn(reader.buffer()))
        reader.take(1)
    return txns


def txn(tree: Tree, record, opcode: int, *, client_id: int = SESSION, time_ms: int = 5000) -> Txn:
    return Txn(TxnHeader(client_id, 0, tree.last_zxid + 1, time_ms, opcode), record)


def replay(tree: Tree, record, opcode: int, **options):
    return apply(tree, txn(tree, record, opcode, **options))


def create_txn(path: bytes, parent_cversion: int, *, acl=None, ephemeral: bool = False) -> CreateTxn:
    return CreateTxn(path, b"d", acl or open_acl(), ephemeral, parent_cversion)


# Apache's log


def test_golden_digest_of_the_fresh_tree():
    assert Tree().digest == 0x51C6D660


def test_digest_is_apaches_after_every_txn_of_its_log():
    tree = Tree()
    compared = 0
    for logged in a_log():
        apply(tree, logged)
        if logged.digest is not None:
            assert (hex(logged.header.zxid), tree.digest) == (hex(logged.header.zxid), logged.digest.tree_digest)
            compared += 1
    print(f"{compared} digests compared")
    assert compared == 26
    assert tree.digest == int(EXPECTED["tree_digest"], 16)


def test_log_of_apache_gives_the_tree_that_apache_showed():
    tree = Tree()
    for logged in a_log():
        apply(tree, logged)
    assert tree.last_zxid == int(EXPECTED["last_zxid"], 16)
    assert tree.sessions == {int(session, 16): timeout_ms for session, timeout_ms in EXPECTED["sessions"].items()}
    assert {path.decode() for path in tree.nodes} == set(EXPECTED["tree"])
    for path, expected in EXPECTED["tree"].items():
        assert shown(tree, path.encode()) == expected, path


def shown(tree: Tree, path: bytes) -> dict:
    """A znode as the independent reader writes it: stored values and what is counted."""
    state, data = tree.state(path), data_of(tree.nodes[path])
    acl = ACLS.read(Reader(query.get_acl(tree, AccessControl(skip=True), path, ())))
    return {
        "acl": [{"id": entry.id.decode(), "perms": entry.perms, "scheme": entry.scheme.decode()} for entry in acl],
        "data_hex": None if data is None else data.hex(),
        "stat": {
            "aversion": state.aversion,
            "ctime": state.ctime,
            "cversion": state.cversion,
            "czxid": state.czxid,
            "dataLength": state.data_length,
            "ephemeralOwner": state.owner,
            "mtime": state.mtime,
            "mzxid": state.mzxid,
            "numChildren": state.child_count,
            "pzxid": state.pzxid,
            "version": state.version,
        },
    }


def test_log_replayed_over_its_own_result_changes_neither_znodes_nor_digest():
    tree = Tree()
    for logged in a_log():
        apply(tree, logged)
    before = {path: stat_of(node) for path, node in tree.nodes.items()}
    # Deletes raise the parent's pzxid to what it is; creates find their znodes; what was deleted since comes and goes.
    for logged in a_log()[-3:]:
        apply(tree, logged)
    assert {path: stat_of(node) for path, node in tree.nodes.items()} == before


# Replay tolerance, docs/protocol/storage.md section 5


@pytest.fixture
def tree() -> Tree:
    leader = Leader()
    for path in [b"/p", b"/p/x"]:
        leader.create(path, b"old")
    return leader.tree


def test_create_of_a_znode_that_exists_takes_its_acl_and_raises_the_parent(tree: Tree):
    before = stat(tree, b"/p/x")
    assert replay(tree, create_txn(b"/p/x", 9, acl=READ_ONLY), OpCode.CREATE).err == NodeExistsError.code
    assert stat(tree, b"/p/x") == before
    assert tree.acls.get(acl_index_of(tree.nodes[b"/p/x"])) == READ_ONLY
    parent = tree.state(b"/p")
    assert (parent.cversion, parent.pzxid) == (9, tree.last_zxid)


@pytest.mark.parametrize(
    ("opcode", "record"),
    [
        (OpCode.CREATE2, create_txn(b"/p/x", 9)),
        (OpCode.CREATE_CONTAINER, CreateContainerTxn(b"/p/x", b"", open_acl(), 9)),
        (OpCode.CREATE_TTL, CreateTTLTxn(b"/p/x", b"", open_acl(), 9, 60_000)),
    ],
)
def test_other_creates_of_a_znode_that_exists_leave_the_parent_alone(tree: Tree, opcode: OpCode, record):
    before = stat(tree, b"/p")
    assert replay(tree, record, opcode).err == NodeExistsError.code
    assert stat(tree, b"/p") == before
    assert not tree.containers
    assert not tree.ttls


def test_create_of_a_znode_that_exists_never_lowers_the_parent(tree: Tree):
    before = stat(tree, b"/p")
    replay(tree, create_txn(b"/p/x", 1), OpCode.CREATE)
    assert stat(tree, b"/p") == before


def test_create_below_a_missing_parent_is_ignored(tree: Tree):
    before = image(tree)
    assert replay(tree, create_txn(b"/gone/x", 1), OpCode.CREATE).err == NoNodeError.code
    assert image(tree) == before


def test_new_znode_raises_the_parents_pzxid_only_with_its_cversion(tree: Tree):
    before = stat(tree, b"/p")
    assert replay(tree, create_txn(b"/p/y", 1), OpCode.CREATE).err == 0
    after = stat(tree, b"/p")
    assert (after.pzxid, after.num_children) == (before.pzxid, 2)


def test_create_without_the_parents_cversion_counts_on_from_what_is_stored(tree: Tree):
    replay(tree, create_txn(b"/p/y", -1), OpCode.CREATE)
    assert tree.state(b"/p").cversion == 2


def test_delete_of_a_missing_znode_still_raises_the_parents_pzxid(tree: Tree):
    digest = tree.digest
    assert replay(tree, DeleteTxn(b"/p/gone"), OpCode.DELETE).err == NoNodeError.code
    assert tree.state(b"/p").pzxid == tree.last_zxid
    assert tree.digest != digest
    assert Overlay(tree).digest == reload(tree).digest == tree.digest


def test_delete_never_lowers_the_parents_pzxid(tree: Tree):
    pzxid = tree.state(b"/p").pzxid
    apply(tree, Txn(TxnHeader(1, 0, 1, 0, OpCode.DELETE), DeleteTxn(b"/p/x")))
    assert tree.state(b"/p").pzxid == pzxid


@pytest.mark.parametrize(
    ("opcode", "record"),
    [
        (OpCode.DELETE, DeleteTxn(b"/gone/x")),
        (OpCode.DELETE_CONTAINER, DeleteTxn(b"/gone/x")),
        (OpCode.SET_DATA, SetDataTxn(b"/gone", b"", 3)),
        (OpCode.SET_ACL, SetACLTxn(b"/gone", BOBS, 3)),
    ],
)
def test_changes_of_missing_znodes_are_ignored(tree: Tree, opcode: OpCode, record):
    before = image(tree)
    assert replay(tree, record, opcode).err == NoNodeError.code
    assert image(tree) == before


def test_set_data_and_set_acl_carry_absolute_versions(tree: Tree):
    assert replay(tree, SetDataTxn(b"/p/x", None, 7), OpCode.SET_DATA).err == 0
    assert replay(tree, SetACLTxn(b"/p/x", None, 8), OpCode.SET_ACL).err == 0
    node = stat(tree, b"/p/x")
    assert (node.version, node.aversion, node.mzxid, node.data_length) == (7, 8, tree.last_zxid - 1, 0)


def test_reconfig_writes_the_config_znode(tree: Tree):
    assert replay(tree, SetDataTxn(b"/zookeeper/config", b"server.1=", -1), OpCode.RECONFIG).err == 0
    node = stat(tree, b"/zookeeper/config")
    assert (node.version, node.aversion, node.data_length) == (-1, -1, 9)


def test_error_and_check_only_move_the_zxid(tree: Tree):
    before, zxid = image(tree), tree.last_zxid
    assert replay(tree, ErrorTxn(-110), OpCode.ERROR).err == -110
    assert replay(tree, CheckVersionTxn(b"/p", 1), OpCode.CHECK).err == 0
    assert (image(tree), tree.last_zxid) == (before, zxid + 2)


def test_multi_with_an_error_applies_nothing_wherever_the_error_stands(tree: Tree):
    before = image(tree)
    create = SubTxn(OpCode.CREATE, create_txn(b"/new", 9).encode())
    error = [SubTxn(OpCode.ERROR, ErrorTxn(code).encode()) for code in (-101, -2)]
    applied = replay(tree, MultiTxn([create, error[0], error[1], create]), OpCode.MULTI)
    assert [result.err for result in applied.results] == [0, -101, -2, -2]
    assert (applied.err, image(tree)) == (0, before)


def test_multi_that_cannot_be_decoded_applies_nothing(tree: Tree):
    before, zxid = image(tree), tree.last_zxid
    create = SubTxn(OpCode.CREATE, create_txn(b"/new", 9).encode())
    with pytest.raises(DecodeError):
        replay(tree, MultiTxn([create, SubTxn(OpCode.CREATE, b"")]), OpCode.MULTI)
    assert (image(tree), tree.last_zxid) == (before, zxid)


def test_multi_tolerates_on_replay_what_single_txns_tolerate(tree: Tree):
    ops = [SubTxn(OpCode.CREATE, create_txn(b"/p/x", 3).encode()), SubTxn(OpCode.DELETE, DeleteTxn(b"/none").encode())]
    assert [result.err for result in replay(tree, MultiTxn(ops), OpCode.MULTI).results] == [-110, -101]


# Sessions


def test_close_session_deletes_the_listed_znodes_then_what_is_left_and_tells_the_watchers(tree: Tree):
    for name in (b"/e1", b"/e2", b"/other"):
        replay(tree, create_txn(name, 9, ephemeral=True), OpCode.CREATE, client_id=7 if name == b"/other" else SESSION)
    tree.sessions[SESSION] = 4000
    applied = replay(tree, CloseSessionTxn([b"/e2", b"/gone"]), OpCode.CLOSE_SESSION)
    assert [(change[0], change[1]) for change in applied.changes] == [
        (EventType.NODE_DELETED, b"/e2"),
        (EventType.NODE_DELETED, b"/e1"),
    ]
    assert SESSION not in tree.sessions
    assert tree.ephemerals == {7: {b"/other": None}}


def test_close_session_without_a_list_deletes_what_this_server_knows(tree: Tree):
    replay(tree, create_txn(b"/e1", 9, ephemeral=True), OpCode.CREATE)
    replay(tree, CloseSessionTxn(None), OpCode.CLOSE_SESSION)
    assert tree.ephemeral_count == 0
    assert b"/e1" not in tree.nodes


def test_close_session_takes_pending_creates_along_and_leaves_pending_deletes():
    leader = Leader()
    for path in (b"/committed", b"/deleted", b"/moved"):
        leader.create(path, flags=1, session=SESSION)
    leader.submit(OpCode.CREATE, creating(b"/pending", flags=1), session=SESSION)
    leader.submit(OpCode.DELETE, PathVersionRequest(b"/deleted", -1))
    leader.submit(OpCode.DELETE, PathVersionRequest(b"/moved", -1))
    leader.submit(OpCode.CREATE, creating(b"/moved", flags=1), session=7)
    closing = leader.submit(OpCode.CLOSE_SESSION, EmptyRequest(), session=SESSION)
    assert sorted(closing.record.paths) == [b"/committed", b"/pending"]
    leader.apply_all()
    assert leader.tree.ephemerals == {7: {b"/moved": None}}
    assert leader.tree.digest == closing.digest.tree_digest


def test_close_session_may_leave_its_list_out():
    leader = Leader()
    leader.rules.close_session_lists_paths = False
    leader.create(b"/e", flags=1, session=SESSION)
    closing = leader.submit(OpCode.CLOSE_SESSION, EmptyRequest(), session=SESSION)
    assert closing.record.paths is None
    leader.apply_all()
    assert leader.tree.digest == closing.digest.tree_digest
    assert b"/e" not in leader.tree.nodes


# Kinds of znodes


def test_containers_and_ttl_znodes_are_found_without_a_search():
    leader = Leader()
    leader.create_container(b"/c")
    leader.create_ttl(b"/t", 1500)
    assert (list(leader.tree.containers), list(leader.tree.ttls)) == ([b"/c"], [b"/t"])
    assert leader.tree.state(b"/c").owner == OWNER_CONTAINER
    assert leader.tree.state(b"/t").owner == OWNER_TTL + 1500
    assert leader.tree.ephemeral_count == 0
    loaded = reload(leader.tree)
    assert (list(loaded.containers), list(loaded.ttls)) == ([b"/c"], [b"/t"])


def test_children_live_below_containers_and_ttl_znodes():
    leader = Leader()
    leader.create_container(b"/c")
    leader.create_ttl(b"/t", 1500)
    assert [leader.create(b"/c/x"), leader.create(b"/t/x"), leader.delete_container(b"/c")] == [0, 0, -111]


def test_only_its_own_set_data_renews_the_time_of_a_ttl_znode():
    leader = Leader()
    leader.create_ttl(b"/t", 1500)
    mtime = stat(leader.tree, b"/t").mtime
    leader.create(b"/t/x")
    leader.set_acl(b"/t", open_acl())
    assert stat(leader.tree, b"/t").mtime == mtime
    leader.set_data(b"/t", b"")
    assert stat(leader.tree, b"/t").mtime > mtime


# Tables and changes


def test_every_txn_type_is_applied_and_every_write_prepared():
    assert set(APPLY) == {-11, -10, -1, 1, 2, 5, 7, 13, 14, 15, 16, 19, 20, 21}
    assert set(PREPARE) == set(APPLY) - {OpCode.ERROR}


def test_changes_carry_the_acl_lists_that_decide_who_may_see_them():
    leader = Leader()
    leader.create(b"/p", acl=BOBS)
    applied = leader.do(OpCode.CREATE, creating(b"/p/x", acl=READ_ONLY), [(b"super", b"")])
    assert applied.changes[0] == (EventType.NODE_CREATED, b"/p/x", b"/p", READ_ONLY, BOBS)
    leader.set_acl(b"/p/x", open_acl(), identities=[(b"super", b"")])
    applied = leader.do(OpCode.DELETE, PathVersionRequest(b"/p/x", -1), [(b"super", b"")])
    assert applied.changes[0] == (EventType.NODE_DELETED, b"/p/x", b"/p", None, BOBS)


def test_set_acl_tells_nobody():
    leader = Leader()
    leader.create(b"/p")
    leader.create(b"/p/x")
    for path in (b"/p", b"/p/x"):
        leader.submit(OpCode.SET_ACL, SetACLRequest(path, BOBS, -1))
        assert list(leader.apply_next().changes) == []


def test_acl_lists_live_as_long_as_a_znode_uses_them():
    leader = Leader()
    leader.create(b"/x", acl=BOBS)
    leader.create(b"/y", acl=[ACL(31, b"digest", b"bob:hash")])
    lists = len(leader.tree.acls)
    leader.delete(b"/x")
    assert len(leader.tree.acls) == lists
    leader.set_acl(b"/y", open_acl(), identities=[(b"super", b"")])
    assert BOBS not in [acl for _, acl in leader.tree.acls]


def test_walk_after_every_txn_of_apaches_log_loads_to_the_same_tree():
    tree = Tree()
    for logged in a_log():
        apply(tree, logged)
        loaded = reload(tree)
        assert (loaded.digest, b"".join(walk(loaded))) == (tree.digest, image(tree))
