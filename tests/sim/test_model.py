"""The reference model: what it remembers of every place, and which txns it does not believe."""

from collections import Counter

import pytest

from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ACL
from pyzk.codec.txns import (
    CloseSessionTxn,
    CreateContainerTxn,
    CreateSessionTxn,
    CreateTTLTxn,
    CreateTxn,
    DeleteTxn,
    SetACLTxn,
    SetDataTxn,
    Txn,
    TxnHeader,
)
from pyzk.sim.model import Model
from pyzk.sim.sequence import BrokenInvariantError


def require(holds, invariant, details):
    if not holds:
        raise BrokenInvariantError(invariant, details)


@pytest.fixture
def model():
    return Model(Counter(), require)


def apply(model, kind, record, session_id=1):
    zxid = len(model.headers) + 1
    model.apply(Txn(TxnHeader(session_id, 0, zxid, 0, kind), record).encode())
    return zxid


def create(model, path, *, ephemeral=False):
    return apply(model, OpCode.CREATE, CreateTxn(path, b"x", None, ephemeral))


def test_every_place_is_remembered(model):
    made = create(model, b"/a")
    child = create(model, b"/a/b")
    written = apply(model, OpCode.SET_DATA, SetDataTxn(b"/a", b"y", 1))
    gone = apply(model, OpCode.DELETE, DeleteTxn(b"/a/b"))
    assert model.node(b"/a", made - 1) is None
    assert [model.node(b"/a", place).data for place in (made, child, written)] == [b"x", b"x", b"y"]
    assert [model.children(b"/a", place) for place in (made, child, gone)] == [(), (b"b",), ()]
    assert model.next_node_change(b"/a", made) == written
    assert model.next_child_change(b"/a", child) == gone
    assert model.next_child_change(b"/a/b", child) == gone
    assert model.next_node_change(b"/a", written) == 0


def test_ephemerals_end_with_their_session(model):
    apply(model, OpCode.CREATE_SESSION, CreateSessionTxn(1000))
    create(model, b"/e", ephemeral=True)
    with pytest.raises(BrokenInvariantError, match="ephemerals live as long"):
        apply(model, OpCode.CLOSE_SESSION, CloseSessionTxn([]))
    with pytest.raises(BrokenInvariantError, match="ephemerals live as long"):
        create(model, b"/f", ephemeral=True)


def test_closing_a_session_takes_its_ephemerals(model):
    apply(model, OpCode.CREATE_SESSION, CreateSessionTxn(1000))
    create(model, b"/e", ephemeral=True)
    apply(model, OpCode.CLOSE_SESSION, CloseSessionTxn([b"/e"]))
    assert b"/e" not in model.paths
    assert model.sessions == {}


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        (OpCode.CREATE, CreateTxn(b"/a", b"", None, ephemeral=False)),
        (OpCode.CREATE, CreateTxn(b"/no/child", b"", None, ephemeral=False)),
        (OpCode.DELETE, DeleteTxn(b"/no")),
        (OpCode.DELETE, DeleteTxn(b"/a")),
        (OpCode.SET_DATA, SetDataTxn(b"/no", b"", 1)),
        (OpCode.SET_DATA, SetDataTxn(b"/a", b"", 7)),
    ],
)
def test_a_txn_that_does_not_fit_is_not_believed(model, kind, record):
    create(model, b"/a")
    create(model, b"/a/b")
    with pytest.raises(BrokenInvariantError, match="a txn fits to what was before it"):
        apply(model, kind, record)


STRANGER, OWNER = (b"digest", b"b:x"), (b"digest", b"a:x")


def test_what_an_acl_forbids_is_not_believed(model):
    only_for_owner = [ACL(31, *OWNER)]
    apply(model, OpCode.CREATE, CreateTxn(b"/a", b"", only_for_owner, ephemeral=False), session_id=1)
    model.claims = {1: {OWNER}, 2: {STRANGER}}
    written = apply(model, OpCode.SET_DATA, SetDataTxn(b"/a", b"y", 1), session_id=1)
    for record, kind in (
        (SetDataTxn(b"/a", b"z", 2), OpCode.SET_DATA),
        (SetACLTxn(b"/a", None, 1), OpCode.SET_ACL),
        (CreateTxn(b"/a/b", b"", None, ephemeral=False), OpCode.CREATE),
    ):
        with pytest.raises(BrokenInvariantError, match="ACLs keep strangers out"):
            apply(model, kind, record, session_id=2)
    assert model.acl(b"/a", written) == tuple(only_for_owner)


def test_only_containers_and_ttl_znodes_go_by_themselves(model):
    create(model, b"/a")
    apply(model, OpCode.CREATE_CONTAINER, CreateContainerTxn(b"/c", b"", None, 1))
    apply(model, OpCode.CREATE_TTL, CreateTTLTxn(b"/t", b"", None, 1, 1000))
    apply(model, OpCode.DELETE_CONTAINER, DeleteTxn(b"/c"))
    apply(model, OpCode.DELETE_CONTAINER, DeleteTxn(b"/t"))
    with pytest.raises(BrokenInvariantError, match="go by themselves"):
        apply(model, OpCode.DELETE_CONTAINER, DeleteTxn(b"/a"))


def test_it_knows_whether_a_container_was_used(model):
    made = apply(model, OpCode.CREATE_CONTAINER, CreateContainerTxn(b"/c", b"", None, 1))
    used = create(model, b"/c/x")
    empty = apply(model, OpCode.DELETE, DeleteTxn(b"/c/x"))
    assert [model.had_children(b"/c", place) for place in (made, used, empty)] == [False, True, True]
    again = apply(model, OpCode.DELETE_CONTAINER, DeleteTxn(b"/c"))
    again = apply(model, OpCode.CREATE_CONTAINER, CreateContainerTxn(b"/c", b"", None, 1))
    assert not model.had_children(b"/c", again)


def test_it_remembers_whose_ephemerals_there_were_and_what_is_below_a_path(model):
    apply(model, OpCode.CREATE_SESSION, CreateSessionTxn(1000))
    create(model, b"/a")
    one = create(model, b"/a/e", ephemeral=True)
    two = create(model, b"/a/f", ephemeral=True)
    gone = apply(model, OpCode.CLOSE_SESSION, CloseSessionTxn([b"/a/e", b"/a/f"]))
    assert [model.ephemerals(1, place) for place in (one, two, gone)] == [(b"/a/e",), (b"/a/e", b"/a/f"), ()]
    assert [len(model.below(b"/a", place)) for place in (one, two, gone)] == [1, 2, 0]
