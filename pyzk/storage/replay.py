"""Applying logged txns to a tree, fast: at a start hundreds of thousands stand in line.

Nearly all of them are plain creates. `Replay` does these in one flat step from the log's bytes to the leaf; everything
out of the ordinary (other types, ephemerals, quotas, a znode that exists, no digest, an ACL list not seen before) goes
the way of `decode_txn` and `apply`, which says what a txn means. tests/storage/test_replay.py holds the two together.
"""

from struct import Struct
from typing import cast

from zlib_ng.zlib_ng import crc32

from pyzk.codec.jute import INT32
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ACL, ACLS
from pyzk.codec.txns import DIGEST_VERSION, TXN_HEADER, CreateTxn, Txn, decode_txn
from pyzk.tree.apply import apply
from pyzk.tree.digest import DIGESTED, TREE_DIGEST_MASK, ZOOKEEPER_PREFIX
from pyzk.tree.node import LEAF_TAIL, Branch
from pyzk.tree.paths import SLASH, parent_of
from pyzk.tree.tree import Tree

CREATES = frozenset({OpCode.CREATE, OpCode.CREATE2})
PATH_AT = TXN_HEADER.size + 4
TAIL = Struct(">?iiQ")
"""What stands behind the ACL list of a create: ephemeral, parentCVersion, version of the digest, digest."""


class Replay:
    """Applies payloads of the log, in order, to a tree that nobody else changes."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.acls: dict[bytes, list[ACL] | None] = {}
        """ACL lists by their bytes in the log."""

    def apply(self, payload: bytes) -> int | None:
        """Apply one txn; returns the logged digest of the tree after it, None if there is none of our version.

        Raises DecodeError.
        """
        _, _, zxid, time_ms, kind = TXN_HEADER.unpack_from(payload)
        if kind in CREATES and len(payload) > PATH_AT + TAIL.size and not self.tree.quotas:
            logged = self._create(payload, zxid, time_ms)
            if logged is not None:
                return logged
        txn = decode_txn(payload)
        apply(self.tree, txn)
        self._learn(txn)
        if txn.digest is None or txn.digest.version != DIGEST_VERSION:
            return None
        return txn.digest.tree_digest

    def _learn(self, txn: Txn) -> None:
        record = txn.record
        if isinstance(record, CreateTxn):
            self.acls[ACLS.write(record.acl)] = record.acl

    def _create(self, payload: bytes, zxid: int, time_ms: int) -> int | None:
        """A create of an ordinary znode; None if it is not one, and then nothing was done.

        An ACL list of known bytes, behind which 17 bytes are left, cannot be anything else: no list is the beginning
        of another one.
        """
        path_length = INT32.unpack_from(payload, PATH_AT - 4)[0]
        if not 0 < path_length <= len(payload) - PATH_AT - 4 - TAIL.size or payload[PATH_AT] != SLASH:
            return None
        data_at = PATH_AT + path_length + 4
        data_length = INT32.unpack_from(payload, data_at - 4)[0]
        acl_at = data_at + data_length
        if data_length < 0 or payload[acl_at : -TAIL.size] not in self.acls:
            return None
        ephemeral, parent_cversion, version, logged = TAIL.unpack_from(payload, len(payload) - TAIL.size)
        if ephemeral or parent_cversion < 0 or version != DIGEST_VERSION:
            return None
        path = payload[PATH_AT : data_at - 4]
        parent_path = parent_of(path)
        parent = self.tree.nodes.get(parent_path)
        if not isinstance(parent, Branch) or path in self.tree.nodes or path.startswith(ZOOKEEPER_PREFIX):
            return None
        if parent_cversion > parent.cversion:
            parent.cversion, parent.pzxid = parent_cversion, zxid
        acl = self.tree.acls.intern(self.acls[payload[acl_at : -TAIL.size]])
        self._plant(path, parent_path, payload[data_at - 4 : acl_at], acl, zxid, time_ms)
        self._digest(parent)
        return cast("int", logged)

    def _plant(self, path: bytes, parent_path: bytes, data: bytes, acl: int, zxid: int, time_ms: int) -> None:
        """Add a leaf; `data` with its length in front, as both log and leaf have it."""
        tree = self.tree
        crc = crc32(DIGESTED.pack(zxid, zxid, zxid, time_ms, time_ms, 0, 0, 0, 0), crc32(data[4:], crc32(path)))
        stat = (zxid, zxid, time_ms, time_ms, 0, 0, 0, 0, len(data) - 4, 0, zxid)
        tree.add(path, data + LEAF_TAIL.pack(*stat, 0, acl, crc, 0), 0, parent_path)
        tree.digest += crc
        tree.last_zxid = zxid

    def _digest(self, node: Branch) -> None:
        """Reckon the digest of the parent anew."""
        numbers = DIGESTED.pack(
            node.czxid,
            node.mzxid,
            node.pzxid,
            node.ctime,
            node.mtime,
            node.version,
            node.cversion,
            node.aversion,
            node.owner,
        )
        digest = crc32(numbers, node.data_crc)
        tree = self.tree
        tree.digest = tree.digest + digest - node.digest & TREE_DIGEST_MASK
        node.digest = digest
