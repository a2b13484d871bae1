"""The leader's half of service: a write request becomes a proposal, in the one order that all servers will see.

Every zxid that is taken ends in exactly one txn: the request's, or an error txn. The overlay holds what is proposed
and not yet applied. Source: docs/protocol/data-model.md section 4, docs/protocol/client-protocol.md section 3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyzk.codec.opcodes import OpCode
from pyzk.codec.record import Record
from pyzk.codec.txns import DIGEST_VERSION, TXN_DIGEST, TXN_HEADER, CloseSessionTxn, ErrorTxn, Txn, TxnHeader
from pyzk.errors import BadArgumentsError, QuotaExceededError, RequestError
from pyzk.tree.node import Written
from pyzk.tree.overlay import Overlay
from pyzk.tree.prepare import PREPARE
from pyzk.tree.request import Request, Rules
from pyzk.tree.tree import Tree

TXN_BYTES_MAX = 2 * 0xFFFFF
"""What a peer accepts in one packet: jute.maxbuffer plus extrasize."""


def _ignore(path: bytes) -> None:
    """Nobody counts."""


@dataclass(slots=True)
class Proposal:
    """A txn on its way.

    Attributes:
        payload: the encoded txn: the log's entry and the PROPOSAL's bytes.
        written: what prepare made of znodes, for apply and for the overlay; None for a txn of another server.
        origin: the connection that waits for the reply, 0 for none.
        is_plain: whether it only gives other data to leaves, and `written` is these leaves as they will be.
    """

    header: TxnHeader
    record: Record
    payload: bytes
    written: list[Written] | None
    origin: int
    is_plain: bool = False


class Proposer:
    """Turns requests into proposals.

    Args:
        tree: the committed state.
        rules: settings of prepare.
        digest_enabled: whether txns carry the digest of the tree.
        txn_bytes_max: longest payload that peers accept.
    """

    __slots__ = ("digest_enabled", "on_quota_exceeded", "overlay", "rules", "txn_bytes_max", "zxid")

    def __init__(
        self, tree: Tree, rules: Rules, *, digest_enabled: bool = True, txn_bytes_max: int = TXN_BYTES_MAX
    ) -> None:
        self.overlay = Overlay(tree)
        self.rules = rules
        self.digest_enabled = digest_enabled
        self.txn_bytes_max = txn_bytes_max
        self.zxid = tree.last_zxid
        self.on_quota_exceeded: Callable[[bytes], None] = _ignore

    def propose(self, request: Request, wall_ms: int) -> Proposal:
        """The proposal for a request; a request that fails becomes an error txn."""
        overlay = self.overlay
        zxid = self.zxid = self.zxid + 1
        overlay.begin(zxid, wall_ms)
        try:
            record = PREPARE[request.opcode](overlay, self.rules, request)
        except RequestError as error:
            return self._failed(request, wall_ms, error.code)
        header = TxnHeader(request.session_id, request.cxid, zxid, wall_ms, request.opcode)
        payload = self._encode(header, record)
        if len(payload) > self.txn_bytes_max:
            if not isinstance(record, CloseSessionTxn):
                return self._failed(request, wall_ms, BadArgumentsError.code)
            # Too many ephemerals for one packet: without the list every server deletes those that it has itself.
            record.paths = None
            payload = self._encode(header, record)
        written = overlay.written
        return Proposal(header, record, payload, written, request.origin, 0 < overlay.rewritten == len(written))

    def _encode(self, header: TxnHeader, record: Record) -> bytes:
        head = TXN_HEADER.pack(header.client_id, header.cxid, header.zxid, header.time_ms, header.type)
        body = record.encode()
        if not self.digest_enabled or not body:  # see Txn.encode
            return head + body
        return b"".join((head, body, TXN_DIGEST.pack(DIGEST_VERSION, self.overlay.digest)))

    def _failed(self, request: Request, wall_ms: int, code: int) -> Proposal:
        if code == QuotaExceededError.code:
            self.on_quota_exceeded(getattr(request.record, "path", None) or b"/")
        self.overlay.roll_back()
        return self._error(request.session_id, request.cxid, wall_ms, code, request.origin)

    def refuse(self, session_id: int, cxid: int, wall_ms: int, code: int, origin: int = 0) -> Proposal:
        """An error txn for a request that is not to be prepared; it takes a zxid all the same."""
        self.zxid += 1
        return self._error(session_id, cxid, wall_ms, code, origin)

    def _error(self, session_id: int, cxid: int, wall_ms: int, code: int, origin: int) -> Proposal:
        header = TxnHeader(session_id, cxid, self.zxid, wall_ms, OpCode.ERROR)
        record = ErrorTxn(code)
        return Proposal(header, record, Txn(header, record).encode(), [], origin)

    def settle(self, applied: Sequence[Proposal], *, is_all: bool) -> int:
        """These are applied: the tree has them. Returns how many znodes they wrote; `is_all`: nothing else is left."""
        written = [proposal.written for proposal in applied if proposal.written]
        if is_all:
            self.overlay.clear()
        else:
            for changes in written:
                self.overlay.settle(changes)
        return sum(map(len, written))

    def begin(self, tree: Tree, zxid: int) -> None:
        """Start anew on top of `tree`, which holds all that is outstanding so far; the next txn has `zxid` + 1."""
        self.overlay = Overlay(tree)
        self.zxid = zxid

    def drop_outstanding(self) -> None:
        """Forget all that is proposed and not applied: it could not be written."""
        self.begin(self.overlay.tree, self.overlay.tree.last_zxid)
