"""What outstanding txns will change: design.md section 3, rule 6."""

from pyzk.codec.opcodes import OpCode
from pyzk.codec.requests import PathVersionRequest, SetDataRequest
from pyzk.errors import NoNodeError, NotEmptyError
from pyzk.tree.overlay import Overlay
from tests.tree.leader import Leader, creating


def test_latest_change_of_a_path_wins_and_stays_until_the_txn_that_wrote_it_is_applied():
    leader = Leader()
    leader.create(b"/x")
    for _ in range(3):
        leader.submit(OpCode.SET_DATA, SetDataRequest(b"/x", b"", -1))
    for applied in range(3):
        assert leader.overlay.find(b"/x").version == 3
        assert len(leader.overlay) == 1
        leader.apply_next()
        assert leader.tree.state(b"/x").version == applied + 1
    assert len(leader.overlay) == 0


def test_pending_delete_hides_the_znode_and_a_pending_create_shows_it():
    leader = Leader()
    leader.create(b"/x")
    leader.submit(OpCode.DELETE, PathVersionRequest(b"/x", -1))
    assert leader.overlay.find(b"/x") is None
    leader.submit(OpCode.CREATE, creating(b"/x"))
    assert leader.overlay.find(b"/x").czxid == leader.zxid
    assert leader.tree.state(b"/x").czxid == 1


def test_children_that_are_still_pending_keep_their_parent_from_being_deleted():
    leader = Leader()
    leader.create(b"/p")
    leader.submit(OpCode.CREATE, creating(b"/p/x"))
    leader.submit(OpCode.DELETE, PathVersionRequest(b"/p", -1))
    leader.submit(OpCode.DELETE, PathVersionRequest(b"/p/x", -1))
    leader.submit(OpCode.DELETE, PathVersionRequest(b"/p", -1))
    leader.submit(OpCode.CREATE, creating(b"/p/y"))
    assert [applied.err for applied in leader.apply_all()] == [0, NotEmptyError.code, 0, 0, NoNodeError.code]


def test_root_has_one_name_so_that_pending_creates_and_set_data_see_each_other():
    leader = Leader()
    leader.submit(OpCode.CREATE, creating(b"/x"))
    leader.submit(OpCode.SET_DATA, SetDataRequest(b"/", b"root", -1))
    last = leader.submit(OpCode.CREATE, creating(b"/y"))
    leader.apply_all()
    assert leader.tree.digest == last.digest.tree_digest


def test_thrown_away_overlay_leaves_the_committed_tree():
    leader = Leader()
    leader.submit(OpCode.CREATE, creating(b"/x"))
    overlay = Overlay(leader.tree)
    assert overlay.find(b"/x") is None
    assert overlay.digest == leader.tree.digest == 0x51C6D660


def test_settling_a_path_that_a_later_txn_wrote_keeps_the_later_state():
    leader = Leader()
    first = leader.submit(OpCode.CREATE, creating(b"/x"))
    leader.submit(OpCode.DELETE, PathVersionRequest(b"/x", -1))
    leader.overlay.settle(first.header.zxid, [b"/x", b"/", b"/never"])
    assert leader.overlay.find(b"/x") is None
    assert len(leader.overlay) == 2
