"""A walk shows the tree as it was when it began; loading what it shows gives that tree back, or an error."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyzk.codec.jute import Reader, pack_buffer, pack_int32, pack_int64
from pyzk.codec.records import ACLS, open_acl
from pyzk.errors import DecodeError
from pyzk.tree import walk as walk_module
from pyzk.tree.node import data_of
from pyzk.tree.tree import Tree
from pyzk.tree.walk import CHUNK_BYTES, END_MARK, NODES_PER_CHUNK_MAX, STORED, finish_load, load, walk
from tests.tree.leader import BOBS, READ_ONLY, Leader, image, reload

STORAGE = Path(__file__).parent.parent / "vectors" / "storage"
SNAPSHOTS = {
    "b-snap-395": STORAGE / "b-snap-395" / "version-2" / "snapshot.1c",
    "c-snap-380": STORAGE / "c-snap-380" / "version-2" / "snapshot.1c",
    "d-snap-gz": STORAGE / "d-snap-gz" / "version-2" / "snapshot.1c.gz",
}


def varied() -> Leader:
    """A tree with one znode of every kind."""
    leader = Leader()
    leader.create_session(0x100)
    leader.create(b"/p", b"parent")
    leader.create(b"/p/null", None)
    leader.create(b"/p/acl", acl=BOBS)
    leader.create(b"/eph", flags=1, session=0x100)
    leader.create_container(b"/cont")
    leader.create_ttl(b"/ttl", 60_000)
    leader.set_data(b"/p", b"changed")
    leader.delete(b"/p/null")
    return leader


def change_everything(leader: Leader) -> None:
    leader.create_session(0x200)
    leader.create(b"/new", b"not in the walk")
    leader.create(b"/p/new")
    leader.create(b"/cont/new")
    leader.set_data(b"/", b"root")
    leader.set_data(b"/p", b"other")
    leader.set_acl(b"/p/acl", READ_ONLY, identities=[(b"super", b"")])
    leader.delete_container(b"/ttl")
    leader.close_session(0x100)
    leader.delete(b"/new")
    leader.create(b"/new", b"again")


@pytest.mark.parametrize("after", range(12))
def test_walk_shows_the_tree_of_its_beginning_whenever_it_changes(monkeypatch: pytest.MonkeyPatch, after: int):
    monkeypatch.setattr(walk_module, "CHUNK_BYTES", 1)
    leader = varied()
    before = image(leader.tree)
    walking = walk(leader.tree)
    chunks = [chunk for _, chunk in zip(range(after), walking, strict=False)]
    change_everything(leader)
    change_everything(leader)
    assert b"".join([*chunks, *walking]) == before
    assert not leader.tree.walks


def test_walks_do_not_disturb_each_other(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(walk_module, "CHUNK_BYTES", 1)
    leader = varied()
    first, first_image = walk(leader.tree), image(leader.tree)
    leader.set_data(b"/p", b"second")
    second, second_image = walk(leader.tree), image(leader.tree)
    leader.set_data(b"/p", b"third")
    head = next(second)
    assert b"".join(first) == first_image
    assert head + b"".join(second) == second_image


def test_walk_knows_zxid_and_digest_of_its_beginning():
    leader = varied()
    walking, zxid, digest = walk(leader.tree), leader.tree.last_zxid, leader.tree.digest
    leader.create(b"/later")
    assert (walking.zxid, walking.digest) == (zxid, digest)
    assert leader.tree.digest != digest


def test_closed_walk_keeps_nothing_and_ends():
    leader = varied()
    walking = walk(leader.tree)
    walking.close()
    walking.close()
    assert not leader.tree.walks
    assert list(walking) == []
    leader.set_data(b"/p", b"no walk to keep it for")


def test_chunks_are_bounded_by_bytes_and_by_znodes():
    leader = Leader()
    leader.create(b"/big", bytes(CHUNK_BYTES))
    for number in range(2 * NODES_PER_CHUNK_MAX):
        leader.create(b"/%d" % number)
    for number in range(40):
        leader.create(b"/kb%d" % number, bytes(1024))
    chunks = list(walk(leader.tree))
    assert len(chunks) >= 5
    assert max(map(len, chunks)) < 2 * CHUNK_BYTES + 1000


def test_loaded_tree_is_the_tree():
    leader = varied()
    loaded = reload(leader.tree)
    finish_load(loaded)
    assert image(loaded) == image(leader.tree)
    assert loaded.digest == leader.tree.digest
    assert (loaded.sessions, loaded.ephemerals) == (leader.tree.sessions, leader.tree.ephemerals)
    assert (loaded.containers, loaded.ttls) == (leader.tree.containers, leader.tree.ttls)
    assert (loaded.node_count, loaded.data_bytes) == (leader.tree.node_count, leader.tree.data_bytes)
    assert list(loaded.acls) == list(leader.tree.acls)


def test_loaded_tree_goes_on_with_acl_indexes_that_were_never_used():
    leader = varied()
    loaded = Leader(tree=reload(leader.tree))
    last = max(index for index, _ in loaded.tree.acls)
    loaded.create(b"/x", acl=BOBS + READ_ONLY)
    assert max(index for index, _ in loaded.tree.acls) == last + 1


def test_acl_lists_that_nobody_uses_are_dropped_after_loading():
    body = pack_int32(0) + pack_int32(1) + pack_int64(5) + ACLS.write(BOBS) + node(b"") + END_MARK
    loaded = load(Reader(body))
    assert len(loaded.acls) == 1
    finish_load(loaded)
    assert BOBS not in [acl for _, acl in loaded.acls]
    assert loaded.acls.last_index > 5


def test_list_that_stands_in_a_snapshot_under_two_indexes_keeps_the_one_that_is_used():
    twice = pack_int32(2) + pack_int64(1) + ACLS.write(BOBS) + pack_int64(2) + ACLS.write(BOBS)
    loaded = load(Reader(body(node(b""), node(b"/x", acl=2), acls=twice)))
    finish_load(loaded)
    assert [index for index, acl in loaded.acls if acl == BOBS] == [2]
    assert loaded.acls.intern(list(BOBS)) == 2


@pytest.mark.parametrize("case", SNAPSHOTS)
def test_snapshots_of_apache_are_loaded_to_the_digest_of_its_log(case: str):
    data = SNAPSHOTS[case].read_bytes()
    reader = Reader(gzip.decompress(data) if case == "d-snap-gz" else data, 16)
    tree = load(reader)
    finish_load(tree)
    assert tree.digest == 0x78A362D77
    assert reader.source[reader.position - 5 : reader.position] == END_MARK
    assert tree.sessions == {0x1000013D87C0000: 40000, 0x1000013D87C0002: 30000}


@pytest.mark.parametrize("case", SNAPSHOTS)
def test_snapshot_of_apache_is_written_back_as_it_was(case: str):
    data = SNAPSHOTS[case].read_bytes()
    reader = Reader(gzip.decompress(data) if case == "d-snap-gz" else data, 16)
    body_start = reader.position
    tree = load(reader)
    assert image(tree) == reader.source[body_start : reader.position]


# Damage

NUMBERS = (-1, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def node(path: bytes | None, acl: int = -1) -> bytes:
    return pack_buffer(path) + pack_buffer(b"") + STORED.pack(acl, *NUMBERS[1:])


def body(*nodes: bytes, acls: bytes = pack_int32(0)) -> bytes:
    return pack_int32(0) + acls + b"".join(nodes) + END_MARK


DAMAGED = {
    "nothing": b"",
    "no end mark": body(node(b""))[:-5],
    "no root": body(),
    "child before the root": body(node(b"/a"), node(b"")),
    "child before its parent": body(node(b""), node(b"/a/b"), node(b"/a")),
    "a path without a slash": body(node(b""), node(b"a")),
    "a path that begins without a slash": body(node(b""), node(b"/a"), node(b"a/b")),
    "the root twice": body(node(b""), node(b"")),
    "a znode twice": body(node(b""), node(b"/a"), node(b"/a")),
    "an unknown ACL index": body(node(b"", acl=3)),
    "a null ACL list": body(node(b""), acls=pack_int32(1) + pack_int64(1) + pack_int32(-1)),
    "a negative count of sessions": pack_int32(-1) + body(node(b""))[4:],
    "an absurd count of ACL lists": body(node(b""), acls=pack_int32(2**31 - 1)),
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
def test_damaged_snapshot_is_a_decode_error(damaged: bytes):
    with pytest.raises(DecodeError):
        load(Reader(damaged))


VARIED = image(varied().tree)


@given(st.data())
@settings(max_examples=150, deadline=None, print_blob=True)
def test_flipped_and_missing_bytes_give_a_tree_or_a_decode_error(data: st.DataObject):
    damaged = bytearray(VARIED[: data.draw(st.integers(0, len(VARIED)))] or b"\0")
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.sampled_from([0, 1, 47, 127, 128, 255]))
    try:
        tree = load(Reader(bytes(damaged)))
    except DecodeError:
        return
    finish_load(tree)
    assert image(reload(tree)) == image(tree)


def test_fresh_tree_survives():
    assert image(reload(Tree())) == image(Tree())
    assert data_of(reload(Tree()).nodes[b"/"]) == b""


def test_open_acl_written_as_a_list_is_as_open_as_none():
    leader = Leader()
    leader.create(b"/x", acl=open_acl())
    assert leader.tree.acl_of(leader.tree.nodes[b"/x"]) is None
    assert reload(leader.tree).state(b"/x").acl is None


def test_first_znodes_that_an_old_snapshot_lacks_are_made_when_it_is_loaded():
    tree = Tree(empty=True)
    tree.plant(b"/", b"", -1)
    loaded = load(Reader(b"".join(walk(tree))))
    finish_load(loaded)
    assert list(loaded.nodes) == list(Tree().nodes)
    assert loaded.digest == Tree().digest
