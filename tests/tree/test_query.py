"""Reads: docs/protocol/client-protocol.md sections 5.6, 5.8 and 6.3."""

import pytest

from pyzk.codec.jute import INT32, Reader
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ACL, STRINGS, Stat, open_acl
from pyzk.codec.replies import AclReply, Children2Reply, DataReply, ErrorReply, MultiReply, StatReply
from pyzk.codec.requests import MULTI_END, EmptyRequest, MultiRequest, PathVersionRequest, PathWatchRequest
from pyzk.errors import BadArgumentsError, MarshallingError, NoAuthError, NoNodeError, RequestError
from pyzk.tree import query
from pyzk.tree.acl import AccessControl
from pyzk.tree.query import READS, UnfinishedMultiError
from pyzk.tree.tree import Tree
from tests.tree.leader import ANYONE, BOB, BOBS, READ_ONLY, SUPER, Leader, stat

ACCESS = AccessControl()
SESSION = 0x100
EVERY_READ = pytest.mark.parametrize("read", READS.values(), ids=[OpCode(opcode).name for opcode in READS])
ADMIN_ONLY = [ACL(16, b"world", b"anyone"), ACL(15, b"digest", b"bob:hash")]


@pytest.fixture
def tree() -> Tree:
    leader = Leader()
    leader.create(b"/p", b"data")
    leader.create(b"/p/a", None)
    leader.create(b"/p/b")
    leader.create(b"/p/b/c", flags=1, session=SESSION)
    leader.create(b"/p/bb", flags=1, session=SESSION)
    leader.create(b"/bobs", acl=BOBS)
    leader.create(b"/mixed", acl=BOBS + READ_ONLY)
    leader.create(b"/admin", acl=ADMIN_ONLY)
    return leader.tree


def refused(tree: Tree, read, path: bytes | None, identities=(ANYONE,)) -> int:
    with pytest.raises(RequestError) as caught:
        read(tree, ACCESS, path, identities)
    return caught.value.code


@EVERY_READ
@pytest.mark.parametrize(
    ("path", "error"),
    [
        (None, MarshallingError),
        (b"/none", NoNodeError),
        (b"/p/", NoNodeError),
        (b"noslash", NoNodeError),
        (b"/p/../p", NoNodeError),
        (b"/bobs", NoAuthError),
    ],
)
def test_reads_look_for_the_znode_and_then_for_the_permission(tree: Tree, read, path: bytes | None, error):
    assert refused(tree, read, path) == error.code


@EVERY_READ
def test_nul_is_looked_at_by_exists_only(tree: Tree, read):
    error = BadArgumentsError if read is query.exists else NoNodeError
    assert refused(tree, read, b"/p\0") == error.code


@EVERY_READ
def test_empty_path_is_another_name_of_the_root(tree: Tree, read):
    assert read(tree, ACCESS, b"", ()) == read(tree, ACCESS, b"/", ())


@EVERY_READ
@pytest.mark.parametrize("identities", [(BOB,), (SUPER,)])
def test_reads_answer_those_who_may(tree: Tree, read, identities):
    assert read(tree, ACCESS, b"/bobs", identities)


@EVERY_READ
def test_skip_acl_lets_everybody_read(tree: Tree, read):
    assert read(tree, AccessControl(skip=True), b"/bobs", ())


def test_exists_answers_the_stat_of_leaf_and_branch(tree: Tree):
    for path in (b"/p", b"/p/a"):
        assert StatReply.from_bytes(query.exists(tree, ACCESS, path, ())).stat == stat(tree, path)


def test_get_data_answers_data_and_stat(tree: Tree):
    assert DataReply.from_bytes(query.get_data(tree, ACCESS, b"/p", ())) == DataReply(b"data", stat(tree, b"/p"))
    assert DataReply.from_bytes(query.get_data(tree, ACCESS, b"/p/a", ())) == DataReply(None, stat(tree, b"/p/a"))


def test_stat_of_a_parent_counts_creates_and_deletes_in_its_cversion():
    leader = Leader()
    leader.create(b"/p")
    leader.create(b"/p/x")
    leader.create(b"/p/y")
    leader.delete(b"/p/x")
    shown = stat(leader.tree, b"/p")
    assert (shown.cversion, shown.num_children, shown.pzxid) == (3, 1, leader.tree.last_zxid)
    leader.delete(b"/p/y")
    assert stat(leader.tree, b"/p").cversion == 4


def test_fresh_tree_shows_apaches_numbers():
    tree = Tree()
    shown = [stat(tree, path) for path in (b"/", b"/zookeeper", b"/zookeeper/quota", b"/zookeeper/config")]
    assert [one.cversion for one in shown] == [-1, -2, 0, 0]
    assert [one.aversion for one in shown] == [0, 0, 0, -1]
    assert tree.node_count == 5
    assert INT32.unpack(query.get_all_children_number(tree, ACCESS, b"/", ())) == (3,)


def acl_of(tree: Tree, path: bytes, identities) -> list[ACL] | None:
    return AclReply.from_bytes(query.get_acl(tree, ACCESS, path, identities)).acl


def test_get_acl_hides_hashes_from_those_who_may_not_administer(tree: Tree):
    assert acl_of(tree, b"/mixed", (ANYONE,)) == [ACL(31, b"digest", b"bob:x"), *READ_ONLY]
    assert acl_of(tree, b"/mixed", (BOB,)) == BOBS + READ_ONLY
    assert acl_of(tree, b"/mixed", (SUPER,)) == BOBS + READ_ONLY


def test_get_acl_wants_either_read_or_admin(tree: Tree):
    assert acl_of(tree, b"/admin", (ANYONE,)) == ADMIN_ONLY
    assert refused(tree, query.get_data, b"/admin") == NoAuthError.code


def test_znodes_without_a_list_show_the_open_one(tree: Tree):
    assert acl_of(tree, b"/", ()) == acl_of(tree, b"/p", ()) == open_acl()
    assert acl_of(tree, b"/zookeeper/config", ()) == READ_ONLY


def names(tree: Tree, path: bytes) -> list[bytes]:
    return sorted(STRINGS.read(Reader(query.get_children(tree, ACCESS, path, ()))))


def test_get_children_answers_names_and_follows_every_change():
    leader = Leader()
    leader.create(b"/p")
    assert names(leader.tree, b"/p") == []
    leader.create(b"/p/x")
    assert names(leader.tree, b"/p") == names(leader.tree, b"/p") == [b"x"]
    leader.create(b"/p/y")
    leader.delete(b"/p/x")
    assert names(leader.tree, b"/p") == [b"y"]
    leader.delete(b"/p/y")
    assert names(leader.tree, b"/p") == []
    leader.delete(b"/p")
    leader.create(b"/p")
    assert names(leader.tree, b"/p") == []
    assert names(leader.tree, b"/") == [b"p", b"zookeeper"]


def test_get_children2_answers_names_and_stat(tree: Tree):
    reply = Children2Reply.from_bytes(query.get_children2(tree, ACCESS, b"/p", ()))
    assert (sorted(reply.children), reply.stat) == ([b"a", b"b", b"bb"], stat(tree, b"/p"))


@pytest.mark.parametrize(("path", "count"), [(b"/p", 4), (b"/p/b", 1), (b"/p/a", 0), (b"/", 11), (b"", 11)])
def test_get_all_children_number_counts_at_any_depth(tree: Tree, path: bytes, count: int):
    assert INT32.unpack(query.get_all_children_number(tree, ACCESS, path, ())) == (count,)


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        (None, [b"/p/b/c", b"/p/bb"]),
        (b"", [b"/p/b/c", b"/p/bb"]),
        (b" ", [b"/p/b/c", b"/p/bb"]),
        (b"/", [b"/p/b/c", b"/p/bb"]),
        (b"/p/b", [b"/p/b/c", b"/p/bb"]),
        (b"/p/b/", [b"/p/b/c"]),
        (b"/none", []),
    ],
)
def test_get_ephemerals_answers_those_of_the_session_with_a_plain_prefix(tree: Tree, prefix: bytes | None, found):
    assert STRINGS.read(Reader(query.get_ephemerals(tree, SESSION, prefix))) == found


def test_get_ephemerals_of_a_session_without_any_is_empty(tree: Tree):
    assert STRINGS.read(Reader(query.get_ephemerals(tree, 7, None))) == []


# multiRead


def get_data(path: bytes | None):
    return OpCode.GET_DATA, PathWatchRequest(path, watch=True)


def get_children(path: bytes | None):
    return OpCode.GET_CHILDREN, PathWatchRequest(path, watch=True)


def multi_read(tree: Tree, *ops) -> bytes:
    return query.multi_read(tree, ACCESS, MultiRequest(list(ops)), (ANYONE,))


def test_each_op_of_a_multi_read_succeeds_or_fails_alone(tree: Tree):
    reply = MultiReply.from_bytes(
        multi_read(tree, get_data(b"/none"), get_children(b"/p/b"), get_data(b"/bobs"), get_data(b"/p"))
    )
    assert [opcode for opcode, _ in reply.results] == [-1, OpCode.GET_CHILDREN, -1, OpCode.GET_DATA]
    assert [record.err for _, record in reply.results if isinstance(record, ErrorReply)] == [-101, -102]
    assert reply.results[1][1].children == [b"c"]
    assert reply.results[3][1] == DataReply(b"data", stat(tree, b"/p"))


def test_empty_multi_read_is_only_the_end_mark(tree: Tree):
    assert multi_read(tree) == MULTI_END.encode()


WRITE = (OpCode.CHECK, PathVersionRequest(b"/p", -1))


@pytest.mark.parametrize("ops", [[WRITE], [WRITE, WRITE]])
def test_write_inside_a_multi_read_is_a_marshalling_error_with_the_end_mark_as_body(tree: Tree, ops):
    with pytest.raises(UnfinishedMultiError) as caught:
        multi_read(tree, *ops)
    assert (caught.value.code, caught.value.body) == (MarshallingError.code, MULTI_END.encode())


def test_null_path_ends_a_multi_read_with_the_results_so_far(tree: Tree):
    with pytest.raises(UnfinishedMultiError) as caught:
        multi_read(tree, get_data(b"/p"), get_data(None), get_data(b"/p"))
    assert caught.value.body == multi_read(tree, get_data(b"/p"))


@pytest.mark.parametrize("ops", [[get_data(b"/p"), WRITE], [WRITE, get_data(b"/p")], [(OpCode.EXISTS, EmptyRequest())]])
def test_mixed_multi_reads_and_unknown_ops_fail_without_a_body(tree: Tree, ops):
    with pytest.raises(MarshallingError) as caught:
        multi_read(tree, *ops)
    assert not isinstance(caught.value, UnfinishedMultiError)


def test_stat_is_that_of_the_moment_of_the_read(tree: Tree):
    body = query.exists(tree, ACCESS, b"/p", ())
    assert isinstance(body, bytes)
    assert Stat.from_bytes(body).num_children == 3


def test_a_multi_read_that_asks_for_more_than_can_be_sent_is_refused():
    leader = Leader()
    leader.create(b"/big", bytes(1_000_000))
    tree = leader.tree
    sixteen = [get_data(b"/big")] * 16
    assert len(multi_read(tree, *sixteen)) > 16_000_000
    with pytest.raises(MarshallingError, match="multiRead of more than"):
        multi_read(tree, *sixteen, get_data(b"/big"))
