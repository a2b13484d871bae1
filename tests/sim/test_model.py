"""The reference model: what it remembers of every place, and which txns it does not believe."""

from collections import Counter

import pytest

from pyzk.codec.opcodes import OpCode
from pyzk.codec.txns import CloseSessionTxn, CreateSessionTxn, CreateTxn, DeleteTxn, SetDataTxn, Txn, TxnHeader
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
