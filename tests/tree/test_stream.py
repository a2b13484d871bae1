"""A tree taken from the bytes of a SNAP is the tree, however the bytes are cut."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyzk.codec.jute import Reader, pack_buffer, pack_int32, pack_int64
from pyzk.codec.quorum import STREAM_SIGNATURE
from pyzk.codec.records import ACL, ACLS
from pyzk.errors import DecodeError
from pyzk.tree.stream import TreeStream
from pyzk.tree.tree import Tree
from pyzk.tree.walk import END_MARK, finish_load, load, walk
from tests.tree.leader import BOBS, Leader, image
from tests.tree.test_walk import DAMAGED, body, node, varied

VECTORS = Path(__file__).parent.parent / "vectors" / "peer.jsonl"
STREAMS = {
    vector["name"]: vector
    for vector in map(json.loads, VECTORS.read_text().splitlines())
    if vector["name"].startswith("stream.snapshot.")
}
SENT = image(varied().tree) + STREAM_SIGNATURE


def loaded(data: bytes) -> Tree:
    tree = load(Reader(data))
    finish_load(tree)
    return tree


def take(pieces: list[bytes]) -> TreeStream:
    stream = TreeStream()
    answers = [stream.feed(piece) for piece in pieces]
    assert answers == [False] * (len(pieces) - 1) + [True]
    return stream


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
def test_streams_of_apache_are_taken_in_any_pieces(name: str, size: int):
    vector = STREAMS[name]
    data = bytes.fromhex(vector["hex"])
    tree = take([data[at : at + size] for at in range(0, len(data), size)]).tree
    assert {path.decode() for path in tree.nodes} == {path or "/" for path in vector["decoded"]["nodes"]}
    assert len(tree.sessions) == len(vector["decoded"]["sessions"])
    assert tree.digest == loaded(data).digest


@given(st.lists(st.integers(0, len(SENT) - 1), max_size=12), st.binary(max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_cut_gives_the_tree_that_loading_gives(cuts: list[int], rest: bytes):
    data = SENT + rest
    stream = take([data[start:end] for start, end in pairwise([0, *sorted(cuts), len(data)])])
    expected = loaded(SENT)
    assert image(stream.tree) == image(expected)
    assert stream.tree.digest == expected.digest
    assert (stream.tree.sessions, stream.tree.ephemerals) == (expected.sessions, expected.ephemerals)
    assert (stream.tree.containers, stream.tree.ttls) == (expected.containers, expected.ttls)
    assert stream.rest == rest


def test_tree_can_be_had_only_when_the_stream_is_complete():
    stream = TreeStream()
    stream.feed(SENT[:-1])
    with pytest.raises(AssertionError, match="half a tree"):
        _ = stream.tree
    assert stream.feed(SENT[-1:])
    assert stream.tree.node_count == varied().tree.node_count


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
def test_damaged_stream_is_a_decode_error_or_never_complete(damaged: bytes):
    with pytest.raises(DecodeError):
        load(Reader(damaged))
    for size in (1, len(damaged) + 20):
        stream = TreeStream()
        data = damaged + STREAM_SIGNATURE
        try:
            for at in range(0, len(data), size):
                assert not stream.feed(data[at : at + size])
        except DecodeError:
            continue


def test_other_signature_is_refused():
    with pytest.raises(DecodeError, match="signature"):
        TreeStream().feed(SENT[:-1] + b"x")


LONG = pack_int32(1001)


@pytest.mark.parametrize(
    "damaged",
    [
        body(node(b""))[: -len(END_MARK)] + LONG,
        body(node(b""))[: -len(END_MARK)] + pack_buffer(b"/a") + LONG,
        body(node(b""))[: -len(END_MARK)] + pack_buffer(b"/a") + pack_int32(-2),
        pack_int32(0) + pack_int32(1) + pack_int64(1) + pack_int32(1) + pack_int32(31) + LONG,
    ],
)
def test_length_above_the_limit_is_refused_before_its_bytes_come(damaged: bytes):
    with pytest.raises(DecodeError, match=r"in the bytes from \d+ on"):
        TreeStream(string_max=1000).feed(damaged)


def test_long_acl_lists_and_null_ids_are_taken():
    long = [ACL(1, b"digest", b"user%d:hash" % number) for number in range(500)] + [ACL(1, b"world", None)]
    acls = pack_int32(2) + pack_int64(3) + ACLS.write(long) + pack_int64(9) + ACLS.write(BOBS)
    data = body(node(b"", acl=3), acls=acls) + STREAM_SIGNATURE
    tree = take([data[at : at + 1] for at in range(len(data))]).tree
    assert tree.acls.get(3) == long


def test_work_is_in_proportion_to_the_bytes():
    """A megabyte in small pieces is joined a few times, not once a piece."""
    leader = Leader()
    leader.create(b"/big", b"x" * 1_000_000)
    for number in range(2000):
        leader.create(b"/n%d" % number, b"y" * 100)
    data = b"".join(walk(leader.tree)) + STREAM_SIGNATURE
    stream, joined, window = TreeStream(), 0, b""
    for at in range(0, len(data), 100):
        stream.feed(data[at : at + 100])
        if stream._source is not window:
            window = stream._source
            joined += len(window)
    assert stream.tree.digest == leader.tree.digest
    assert joined < 4 * len(data)
