"""What the proposer adds to prepare: zxids, payloads, and the limit of the peers."""

import pytest

from pyzk.codec.opcodes import CreateMode, OpCode
from pyzk.codec.records import OPEN_ACL
from pyzk.codec.requests import CreateRequest, CreateSessionRequest, EmptyRequest, PathVersionRequest
from pyzk.codec.txns import CloseSessionTxn, ErrorTxn, decode_txn
from pyzk.service.proposer import Proposer
from pyzk.tree.acl import AccessControl
from pyzk.tree.apply import apply, apply_record
from pyzk.tree.request import Request, Rules
from pyzk.tree.tree import Tree

WALL_MS = 1_700_000_000_000
SESSION = 7


def create(path: bytes, data: bytes = b"", mode: CreateMode = CreateMode.PERSISTENT) -> Request:
    return Request(SESSION, 1, OpCode.CREATE, CreateRequest(path, data, OPEN_ACL, mode))


def settle(proposer: Proposer, request: Request) -> bytes:
    """Propose and apply; the payload."""
    proposal = proposer.propose(request, WALL_MS)
    apply_record(proposer.overlay.tree, proposal.header, proposal.record, proposal.written)
    assert proposer.settle([proposal], is_all=True) == len(proposal.written)
    assert not len(proposer.overlay)
    return proposal.payload


def test_every_zxid_ends_in_one_txn_also_when_the_request_fails():
    proposer = Proposer(Tree(), Rules(AccessControl()))
    requests = [create(b"/a"), create(b"/a"), Request(SESSION, 2, OpCode.DELETE, PathVersionRequest(b"/none", -1))]
    txns = [decode_txn(settle(proposer, request)) for request in requests]
    assert [txn.header.zxid for txn in txns] == [1, 2, 3]
    assert [txn.record for txn in txns[1:]] == [ErrorTxn(-110), ErrorTxn(-101)]
    assert txns[1].digest is None


def test_what_is_applied_is_settled_and_what_is_outstanding_stays():
    proposer = Proposer(Tree(), Rules(AccessControl()))
    first, second = [proposer.propose(create(path), WALL_MS) for path in (b"/a", b"/b")]
    apply_record(proposer.overlay.tree, first.header, first.record, first.written)
    assert proposer.settle([first], is_all=False) == 2, "the znode and its parent"
    assert proposer.overlay.is_outstanding(b"/b")
    assert not proposer.overlay.is_outstanding(b"/a")
    assert proposer.overlay.find(b"/").child_count == 3, "with /zookeeper"
    apply_record(proposer.overlay.tree, second.header, second.record, second.written)
    proposer.settle([second], is_all=True)
    assert not len(proposer.overlay)


@pytest.mark.parametrize("digest_enabled", [True, False])
def test_payload_says_the_digest_of_the_tree_after_it_when_digests_are_on(digest_enabled: bool):
    proposer = Proposer(Tree(), Rules(AccessControl()), digest_enabled=digest_enabled)
    txn = decode_txn(settle(proposer, create(b"/a", b"data")))
    assert (txn.digest is not None) == digest_enabled
    if txn.digest is not None:
        assert txn.digest.tree_digest == proposer.overlay.tree.digest


def test_txn_that_peers_would_not_take_is_refused_and_leaves_nothing_behind():
    proposer = Proposer(Tree(), Rules(AccessControl()), txn_bytes_max=1000)
    before = proposer.overlay.digest
    assert decode_txn(settle(proposer, create(b"/a", bytes(2000)))).record == ErrorTxn(-8)
    assert proposer.overlay.digest == before
    assert len(proposer.overlay) == 0


def test_row_20_close_of_a_session_with_too_many_ephemerals_goes_without_its_list_and_deletes_them_all_the_same():
    proposer = Proposer(Tree(), Rules(AccessControl()), txn_bytes_max=1000)
    replica = Tree()
    requests = [
        Request(SESSION, 0, OpCode.CREATE_SESSION, CreateSessionRequest(4000)),
        *[create(b"/ephemeral-%040d" % number, mode=CreateMode.EPHEMERAL) for number in range(50)],
        Request(SESSION, 0, OpCode.CLOSE_SESSION, EmptyRequest()),
    ]
    for request in requests:
        txn = decode_txn(settle(proposer, request))
        apply(replica, txn)
    assert txn.record == CloseSessionTxn(None)
    assert txn.digest is None
    assert list(replica.nodes) == list(proposer.overlay.tree.nodes) == list(Tree().nodes)
    assert replica.digest == proposer.overlay.tree.digest == proposer.overlay.digest


def test_a_request_that_is_not_to_be_prepared_takes_a_zxid_too():
    proposer = Proposer(Tree(), Rules(AccessControl()))
    proposal = proposer.refuse(SESSION, 9, WALL_MS, -118, origin=4)
    assert decode_txn(proposal.payload).record == ErrorTxn(-118)
    assert (proposal.header.zxid, proposal.header.cxid, proposal.origin) == (1, 9, 4)
    assert decode_txn(settle(proposer, create(b"/a"))).header.zxid == 2


def test_a_new_epoch_begins_with_nothing_outstanding_and_its_own_zxid():
    proposer = Proposer(Tree(), Rules(AccessControl()))
    proposer.propose(create(b"/never"), WALL_MS)
    proposer.begin(proposer.overlay.tree, 5 << 32)
    assert len(proposer.overlay) == 0
    txn = decode_txn(settle(proposer, create(b"/never")))
    assert (txn.header.zxid, txn.header.type) == ((5 << 32) + 1, OpCode.CREATE)
