"""What outstanding txns will change: design.md section 3, rule 6."""

from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import open_acl
from pyzk.codec.requests import CreateRequest, PathVersionRequest, SetACLRequest, SetDataRequest
from pyzk.codec.txns import decode_txn
from pyzk.errors import NoNodeError, NotEmptyError
from pyzk.tree.apply import apply
from pyzk.tree.overlay import Overlay
from pyzk.tree.tree import Tree, acl_index_of
from tests.tree.leader import BOB, BOBS, Leader, creating, image


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


def test_apply_puts_the_very_leaf_into_the_tree_that_prepare_has_made():
    leader = Leader()
    leader.create(b"/x", b"old")
    leader.submit(OpCode.SET_DATA, SetDataRequest(b"/x", b"new", -1))
    leaf = leader.overlay.leaf(b"/x")
    leader.apply_next()
    assert leader.tree.nodes[b"/x"] is leaf


def test_leaf_of_a_znode_still_to_be_created_gets_the_acl_index_when_it_is_applied():
    leader, follower = Leader(), Tree()
    for request in (creating(b"/x", b"old"), SetDataRequest(b"/x", None, -1), SetDataRequest(b"/x", b"new", -1)):
        leader.submit(OpCode.CREATE if isinstance(request, CreateRequest) else OpCode.SET_DATA, request)
    follow(leader, follower)
    assert leader.tree.acls.get(acl_index_of(leader.tree.nodes[b"/x"])) == open_acl()


def test_acl_list_that_is_dropped_while_a_create_with_it_waits_is_there_again_when_it_is_applied():
    leader, follower = Leader(), Tree()
    leader.submit(OpCode.CREATE, creating(b"/x"))
    follow(leader, follower)
    lists = len(leader.tree.acls)
    leader.submit(OpCode.DELETE, PathVersionRequest(b"/x", -1))
    leader.submit(OpCode.CREATE, creating(b"/y"))
    follow(leader, follower, count=1)
    assert len(leader.tree.acls) == lists - 1
    leader.submit(OpCode.SET_DATA, SetDataRequest(b"/y", b"d", -1))
    leader.submit(OpCode.SET_ACL, SetACLRequest(b"/y", BOBS, -1))
    leader.submit(OpCode.CREATE, creating(b"/y/z"), [BOB])
    follow(leader, follower)
    assert leader.tree.state(b"/y").child_count == 1


def test_data_of_an_ephemeral_still_to_be_created_does_not_hide_it_from_the_end_of_its_session():
    leader = Leader()
    leader.submit(OpCode.CREATE, creating(b"/x", flags=1), session=7)
    leader.submit(OpCode.SET_DATA, SetDataRequest(b"/x", b"d", -1))
    assert leader.overlay.ephemerals_of(7) == [b"/x"]
    leader.apply_next()
    assert leader.overlay.ephemerals_of(7) == [b"/x"]
    leader.apply_next()
    assert (leader.overlay.ephemerals_of(7), leader.overlay.ephemerals_of(8)) == ([b"/x"], [])


def follow(leader: Leader, follower: Tree, count: int = 99) -> None:
    """Apply on the leader, and on a server that has nothing but the bytes of the txns: both must have the same."""
    for outstanding in leader.outstanding[:count]:
        leader.apply_next()
        apply(follower, decode_txn(outstanding.txn.encode()))
    assert (follower.nodes, image(follower)) == (leader.tree.nodes, image(leader.tree))
    assert follower.digest == leader.tree.digest


def test_settling_a_path_that_a_later_txn_wrote_keeps_the_later_state():
    leader = Leader()
    leader.submit(OpCode.CREATE, creating(b"/x"))
    leader.submit(OpCode.DELETE, PathVersionRequest(b"/x", -1))
    leader.overlay.settle(leader.outstanding[0].written)
    assert leader.overlay.find(b"/x") is None
    assert len(leader.overlay) == 2
