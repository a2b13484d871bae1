"""Txns for simulated leaders: valid ones, made from what the leader's tree holds, so that trees can be compared."""

from random import Random

from pyzk.codec.opcodes import OpCode
from pyzk.codec.record import Record
from pyzk.codec.records import ACL
from pyzk.codec.txns import CreateSessionTxn, CreateTxn, DeleteTxn, ErrorTxn, SetDataTxn, Txn, TxnHeader
from pyzk.tree.tree import Tree

OPEN = [ACL(31, b"world", b"anyone")]


class TxnMaker:
    """Makes txns; paths are never used twice, so that each is valid wherever it comes."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.count = 0

    def make(self, zxid: int, tree: Tree, deleting: set[bytes]) -> bytes:
        """The payload of one txn.

        Args:
            zxid: that it gets.
            tree: of the leader, without what is outstanding.
            deleting: paths whose deletion is outstanding; the set is added to.
        """
        self.count += 1
        chance = self.rng.random()
        if chance < 0.5:
            path = b"/n%d" % self.count
            return _encode(zxid, OpCode.CREATE, CreateTxn(path, self.rng.randbytes(8), OPEN, ephemeral=False))
        if chance < 0.75:
            return _encode(zxid, OpCode.SET_DATA, SetDataTxn(b"/", b"%d" % self.count, self.count))
        if chance < 0.85:
            return _encode(zxid, OpCode.CREATE_SESSION, CreateSessionTxn(10_000), session_id=self.count)
        path = self._some_leaf(tree)
        if chance < 0.95 and path and path not in deleting:
            deleting.add(path)
            return _encode(zxid, OpCode.DELETE, DeleteTxn(path))
        return _encode(zxid, OpCode.ERROR, ErrorTxn(-101))

    def _some_leaf(self, tree: Tree) -> bytes:
        """A znode that we have made, if a guess finds one."""
        path = b"/n%d" % self.rng.randrange(1, self.count + 1)
        return path if path in tree.nodes else b""


def _encode(zxid: int, kind: OpCode, record: Record, session_id: int = 1) -> bytes:
    return Txn(TxnHeader(session_id, 0, zxid, zxid, kind), record).encode()
