"""The flat way of replaying creates must be the same as decode and apply, for every txn there is."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.codec.records import ACL, open_acl
from pyzk.codec.txns import (
    CreateContainerTxn,
    CreateTTLTxn,
    CreateTxn,
    DeleteTxn,
    SetACLTxn,
    SetDataTxn,
    Txn,
    TxnDigest,
    TxnHeader,
    decode_txn,
)
from pyzk.errors import DecodeError
from pyzk.storage.replay import Replay
from pyzk.tree.apply import apply
from pyzk.tree.tree import Tree
from pyzk.tree.walk import walk

READ_ONLY = [ACL(1, b"world", b"anyone")]
TWO = [ACL(31, b"digest", b"bob:x"), ACL(1, b"world", b"anyone")]
LIMITS = b"/zookeeper/quota/a/zookeeper_limits"

paths = st.sampled_from(
    [b"/a", b"/b", b"/a/a", b"/a/b", b"/b/a", b"/a/b/c", b"/zookeeper/x", b"/zookeeper/quota/a", LIMITS]
)
data = st.none() | st.binary(max_size=40)
acls = st.sampled_from([None, open_acl(), READ_ONLY, TWO, []])
cversions = st.integers(-1, 9)
records = st.one_of(
    st.tuples(st.sampled_from([1, 15]), st.builds(CreateTxn, paths, data, acls, st.booleans(), cversions)),
    st.tuples(st.just(19), st.builds(CreateContainerTxn, paths, data, acls, cversions)),
    st.tuples(st.just(21), st.builds(CreateTTLTxn, paths, data, acls, cversions, st.integers(1, 99))),
    st.tuples(st.just(2), st.builds(DeleteTxn, st.sampled_from([b"/a/b/c", b"/b/a", b"/zookeeper/x"]))),
    st.tuples(st.just(5), st.builds(SetDataTxn, paths, data, st.integers(0, 9))),
    st.tuples(st.just(7), st.builds(SetACLTxn, paths, acls, st.integers(0, 9))),
)
digests = st.none() | st.builds(TxnDigest, st.sampled_from([1, 2, 3]), st.integers(0, 99))


def state(tree):
    return tree.last_zxid, tree.digest, tree.data_bytes, tree.ephemerals, tree.containers, b"".join(walk(tree))


@given(st.lists(st.tuples(records, digests), max_size=30))
def test_replay_is_decode_and_apply(txns):
    slow, fast = Tree(), Tree()
    replay = Replay(fast)
    for zxid, ((kind, record), digest) in enumerate(txns, 1):
        payload = Txn(TxnHeader(7, zxid, zxid, 1000 + zxid, kind), record, digest).encode()
        apply(slow, decode_txn(payload))
        logged = replay.apply(payload)
        assert logged == (digest.tree_digest if digest is not None and digest.version == 2 else None)
        assert state(fast) == state(slow)


@given(st.binary(max_size=60), st.sampled_from([1, 15]))
def test_nonsense_is_a_decode_error_or_a_txn(body, kind):
    replay = Replay(Tree())
    replay.apply(create(1, b"/a"))
    payload = TxnHeader(7, 2, 2, 1000, kind).encode() + body
    try:
        decode_txn(payload)
    except DecodeError:
        with pytest.raises(DecodeError):
            replay.apply(payload)


def create(zxid, path):
    record = CreateTxn(path, b"data", open_acl(), ephemeral=False, parent_cversion=zxid)
    return Txn(TxnHeader(7, zxid, zxid, 1000 + zxid, 1), record, TxnDigest(2, 0)).encode()


def test_cut_and_changed_creates_are_answered_as_decode_answers():
    seed = Random().randrange(1 << 32)
    print("seed", seed)
    rng = Random(seed)
    for _ in range(3000):
        payload = bytearray(create(2, b"/ab"))
        for _ in range(rng.randint(1, 3)):
            payload[rng.randrange(32, len(payload))] = rng.choice((0, 1, 2, 0x2F, 0xFF))
        payload = bytes(payload[: rng.choice((len(payload), rng.randrange(32, len(payload))))])
        slow, fast = Tree(), Tree()
        replay = Replay(fast)
        apply(slow, decode_txn(create(1, b"/a")))
        replay.apply(create(1, b"/a"))
        try:
            txn = decode_txn(payload)
        except DecodeError:
            with pytest.raises(DecodeError):
                replay.apply(payload)
        else:
            apply(slow, txn)
            replay.apply(payload)
        assert state(fast) == state(slow)
