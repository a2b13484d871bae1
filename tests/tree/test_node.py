import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.codec.records import Stat
from pyzk.codec.replies import DataReply
from pyzk.tree.node import (
    LEAF_TAIL_SIZE,
    OWNER_CONTAINER,
    OWNER_TTL,
    TTL_MS_MAX,
    body_of,
    branch_from_leaf,
    data_length_of,
    data_of,
    is_session,
    is_ttl,
    pack_leaf,
    stat_of,
    wrap_int32,
)

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
LEAVES = st.builds(
    pack_leaf,
    st.none() | st.binary(max_size=300),
    *[INT64] * 4,
    *[INT32] * 3,
    st.sampled_from([0, 5, -5, OWNER_CONTAINER, OWNER_TTL + 1, 2**63 - 1]),
    INT64,
    INT64,
    st.integers(0, 2**32 - 1),
)


@given(LEAVES)
def test_leaf_and_branch_are_the_same_znode(leaf: bytes):
    branch = branch_from_leaf(b"/x", leaf)
    assert data_of(branch) == data_of(leaf)
    assert data_length_of(branch) == data_length_of(leaf) == len(data_of(leaf) or b"")
    assert stat_of(branch) == stat_of(leaf)
    assert body_of(branch) == body_of(leaf) == DataReply(data_of(leaf), Stat.from_bytes(stat_of(leaf))).encode()


def test_data_that_begins_like_a_null_length_is_data():
    leaf = pack_leaf(b"\xff" * 4, *[0] * 11)
    assert data_of(leaf) == b"\xff" * 4
    assert data_of(pack_leaf(None, *[0] * 11)) is None


def test_leaf_costs_its_data_and_little_more():
    assert LEAF_TAIL_SIZE == 68 + 24
    assert len(pack_leaf(b"12345", *[0] * 11)) == 4 + 5 + LEAF_TAIL_SIZE


@pytest.mark.parametrize(
    ("owner", "session", "ttl"),
    [
        (0, False, False),
        (1, True, False),
        (2**63 - 1, True, False),
        (OWNER_CONTAINER, False, False),
        (OWNER_CONTAINER + 1, True, False),
        (OWNER_TTL - 1, True, False),
        (OWNER_TTL + 1, False, True),
        (OWNER_TTL + TTL_MS_MAX, False, True),
    ],
)
def test_owner_tells_the_kind_of_znode(owner: int, session: bool, ttl: bool):
    assert (is_session(owner), is_ttl(owner)) == (session, ttl)


@given(st.integers(-(2**40), 2**40))
def test_int32_wraps_as_in_java(value: int):
    wrapped = wrap_int32(value)
    assert -(2**31) <= wrapped < 2**31
    assert (wrapped - value) % 2**32 == 0
