"""Applying txns: one function per txn type, found through a table.

Applying is deterministic and never fails half-way; it also tolerates what a replay over a fuzzy snapshot brings (a
create of a znode that exists, a delete of one that does not). The leader hands over what it made when it prepared the
txn, whole leaves and digests, so that nothing is reckoned twice; without that, apply makes the same. Source:
docs/protocol/data-model.md section 1.1, docs/protocol/storage.md section 5.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pyzk.codec.jute import INT64
from pyzk.codec.opcodes import EventType, OpCode
from pyzk.codec.record import Record
from pyzk.codec.records import ACL
from pyzk.codec.txns import (
    MULTI_TXNS,
    CloseSessionTxn,
    CreateContainerTxn,
    CreateSessionTxn,
    CreateTTLTxn,
    CreateTxn,
    DeleteTxn,
    ErrorTxn,
    PlainSetData,
    SetACLTxn,
    SetDataTxn,
    Step,
    Txn,
    TxnHeader,
)
from pyzk.errors import NodeExistsError, NoNodeError, RuntimeInconsistencyError
from pyzk.tree import usage
from pyzk.tree.digest import TREE_DIGEST_MASK, data_crc, node_digest
from pyzk.tree.node import (
    ACL_OFFSET,
    LEAF_BEFORE,
    LEAF_TAIL,
    LEAF_TAIL_SIZE,
    OPEN,
    OWNER_CONTAINER,
    OWNER_TTL,
    PRIVATE_SIZE,
    Branch,
    NodeState,
    Written,
    data_of,
    new_leaf,
    pack_leaf,
    rewritten_leaf,
    stat_of,
    with_acl_index,
)
from pyzk.tree.paths import parent_of
from pyzk.tree.quota import QUOTA_PREFIX
from pyzk.tree.tree import Tree, acl_index_of

# Looked up once: an enum's members are slow to come by.
CREATE = int(OpCode.CREATE)
CREATED, DELETED, DATA_CHANGED = EventType.NODE_CREATED, EventType.NODE_DELETED, EventType.NODE_DATA_CHANGED

Change = tuple[EventType, bytes, bytes | None, list[ACL] | None, list[ACL] | None]
"""What happened to a znode: event, path, parent (None if its child list stays), ACL list of both (None is open)."""

Handed = Iterator[Written] | None
"""What prepare has made of the changed znodes, in the order in which apply needs it; None: apply makes it itself."""


@dataclass(slots=True)
class Applied:
    """What a txn did: error code, path and Stat (68 bytes) for the reply, changes for watches, results of a multi."""

    err: int = 0
    path: bytes = b""
    stat: bytes = b""
    changes: Sequence[Change] = ()
    results: Sequence["Applied"] = ()


def apply(tree: Tree, txn: Txn, written: Sequence[Written] | None = None) -> Applied:
    """Apply one txn and move the tree's last zxid.

    Args:
        tree: is changed.
        txn: with a zxid above the tree's.
        written: as prepare left it in the overlay for this very txn; None if the txn came from elsewhere.
    """
    return apply_record(tree, txn.header, txn.record, written)


def apply_record(tree: Tree, header: TxnHeader, record: Record, written: Sequence[Written] | None) -> Applied:
    """As `apply`, for a txn whose header and record are at hand."""
    applied = APPLY[header.type](tree, header, record, None if written is None else iter(written))
    tree.last_zxid = header.zxid
    return applied


def apply_leaves(tree: Tree, zxid: int, written: Sequence[Written]) -> list[bytes] | None:
    """As `apply_record`, of a txn that only gives other data to leaves: their Stats; None where more is to be done.

    `written` is these leaves, complete (`Overlay.rewritten`).
    """
    if tree.walks or tree.quotas.paths:
        return None
    nodes, digest, grown_bytes = tree.nodes, tree.digest, 0
    stats = []
    for path, leaf, _, change in written:
        assert isinstance(leaf, bytes), "prepare has made it"
        grown_bytes += len(leaf) - len(nodes[path])  # type: ignore[arg-type] # of a leaf, as when this was prepared
        nodes[path] = leaf
        digest += change
        stats.append(leaf[-LEAF_TAIL_SIZE:-PRIVATE_SIZE])
    tree.digest = digest & TREE_DIGEST_MASK
    tree.data_bytes += grown_bytes
    tree.last_zxid = zxid
    return stats


def apply_create(tree: Tree, header: TxnHeader, record: CreateTxn, written: Sequence[Written]) -> bytes | None:
    """As `apply_record`, of one create that was prepared here: the Stat; None where more is to be done."""
    (path, leaf, _, digest), (parent_path, state, _, change) = written
    parent = tree.nodes.get(parent_path)
    if not isinstance(leaf, bytes) or not isinstance(parent, Branch) or not isinstance(state, NodeState):
        return None
    if tree.walks or tree.quotas.paths or path.startswith(QUOTA_PREFIX):
        return None
    leaf = with_acl_index(leaf, tree.acls.intern(record.acl))
    tree.put(path, leaf, header.client_id if record.ephemeral else 0)
    parent.children[path] = None
    tree.listings.discard(parent_path)
    parent.cversion, parent.pzxid, parent.digest = state.cversion, state.pzxid, state.digest
    tree.digest = tree.digest + digest + change & TREE_DIGEST_MASK
    tree.last_zxid = header.zxid
    return leaf[-LEAF_TAIL_SIZE:-PRIVATE_SIZE]


def apply_set_data(tree: Tree, plain: PlainSetData) -> bytes | None:
    """As `apply`, of a setData that another server has prepared: the Stat; None where more is to be done."""
    _, _, zxid, time_ms, path, data, version, _ = plain
    node = tree.nodes.get(path)
    if not isinstance(node, bytes) or tree.walks or tree.quotas.paths:
        return None
    before = LEAF_BEFORE.unpack_from(node, len(node) - LEAF_TAIL_SIZE)
    leaf, change = rewritten_leaf(path, before, data, zxid, time_ms, version)
    tree.nodes[path] = leaf
    tree.digest = tree.digest + change & TREE_DIGEST_MASK
    tree.data_bytes += len(leaf) - len(node)
    tree.last_zxid = zxid
    return leaf[-LEAF_TAIL_SIZE:-PRIVATE_SIZE]


def _create(tree: Tree, header: TxnHeader, record: Record, written: Handed) -> Applied:
    assert isinstance(record, CreateTxn)
    owner = header.client_id if record.ephemeral else 0
    return _plant(tree, header, record, owner, written, raise_parent=header.type == CREATE)


def _create_container(tree: Tree, header: TxnHeader, record: Record, written: Handed) -> Applied:
    assert isinstance(record, CreateContainerTxn)
    return _plant(tree, header, record, OWNER_CONTAINER, written)


def _create_ttl(tree: Tree, header: TxnHeader, record: Record, written: Handed) -> Applied:
    assert isinstance(record, CreateTTLTxn)
    return _plant(tree, header, record, OWNER_TTL + record.ttl_ms, written)


def _plant(
    tree: Tree,
    header: TxnHeader,
    record: CreateTxn | CreateContainerTxn | CreateTTLTxn,
    owner: int,
    written: Handed,
    *,
    raise_parent: bool = False,
) -> Applied:
    path, zxid = record.path, header.zxid
    parent_path = parent_of(path)
    if parent_path not in tree.nodes:
        return Applied(NoNodeError.code)
    if path in tree.nodes:
        return _exists_already(tree, header, record, raise_parent=raise_parent)
    if tree.walks:
        tree.preserve(parent_path)
    acls = tree.acls
    acl = acls.intern(record.acl)
    leaf, digest = _planted(header, record, owner, acl, written)
    parent = tree.add(path, leaf, owner, parent_path)
    _raise_cversion(parent, record.parent_cversion, zxid)
    tree.digest += digest
    _digest_branch(tree, parent_path, parent, written)
    if tree.quotas.paths or path.startswith(QUOTA_PREFIX):
        usage.created(tree, path, len(record.data or b""))
    acl_list = None if acl in acls.open else acls.get(acl)
    parent_acl = None if parent.acl in acls.open else acls.get(parent.acl)
    change = (CREATED, path, parent_path, acl_list, parent_acl)
    return Applied(0, path, leaf[-LEAF_TAIL_SIZE:-PRIVATE_SIZE], (change,))


def _planted(
    header: TxnHeader, record: CreateTxn | CreateContainerTxn | CreateTTLTxn, owner: int, acl: int, written: Handed
) -> tuple[bytes, int]:
    """The new leaf and its digest: the one that prepare has made, or the same made here."""
    if written is not None:
        _, pending, _, digest = next(written)
        if isinstance(pending, bytes):
            return with_acl_index(pending, acl), digest
    return new_leaf(record.path, record.data, header.zxid, header.time_ms, owner, acl)


def _raise_cversion(parent: Branch, parent_cversion: int, zxid: int) -> None:
    if parent_cversion == -1:  # written before the field existed
        parent_cversion = parent.cversion + 1
    if parent_cversion > parent.cversion:
        parent.cversion = parent_cversion
        parent.pzxid = zxid


def _exists_already(
    tree: Tree,
    header: TxnHeader,
    record: CreateTxn | CreateContainerTxn | CreateTTLTxn,
    *,
    raise_parent: bool,
) -> Applied:
    """Replay over a snapshot that holds the znode already: take the ACL, and, for a plain create, raise the parent."""
    _set_acl_index(tree, record.path, record.acl)
    if raise_parent:
        parent_path = parent_of(record.path)
        tree.preserve(parent_path)
        parent = tree.branch(parent_path)
        _raise_cversion(parent, record.parent_cversion, header.zxid)
        _digest_branch(tree, parent_path, parent, None)
    return Applied(NodeExistsError.code)


def _digest_branch(tree: Tree, path: bytes, node: Branch, written: Handed) -> None:
    if written is not None:
        _, state, _, change = next(written)
        assert isinstance(state, NodeState), "of a branch, prepare writes the numbers"
        tree.digest = tree.digest + change & TREE_DIGEST_MASK
        node.digest = state.digest
        return
    digest = node_digest(
        path,
        node.data_crc,
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
    tree.digest = tree.digest + digest - node.digest & TREE_DIGEST_MASK
    node.digest = digest


def _delete(tree: Tree, header: TxnHeader, record: Record, written: Handed) -> Applied:
    assert isinstance(record, DeleteTxn)
    return _uproot(tree, header.zxid, record.path, written)


def _uproot(tree: Tree, zxid: int, path: bytes, written: Handed) -> Applied:
    parent_path = parent_of(path)
    if parent_path not in tree.nodes:
        return Applied(NoNodeError.code)
    if tree.walks:
        tree.preserve(parent_path)
    parent = tree.branch(parent_path)
    parent.pzxid = max(parent.pzxid, zxid)
    node = tree.nodes.get(path)
    if node is None:
        _digest_branch(tree, parent_path, parent, None)
        return Applied(NoNodeError.code)
    if tree.walks:
        tree.preserve(path)
    if isinstance(node, bytes):
        tail = LEAF_TAIL.unpack_from(node, len(node) - LEAF_TAIL_SIZE)
        length, owner, acl, digest = tail[8], *tail[11:14]
    else:
        length, owner, acl, digest = len(node.data or b""), node.owner, node.acl, node.digest
    acls = tree.acls
    acl_list = None if acl in acls.open else acls.get(acl)
    parent_acl = None if parent.acl in acls.open else acls.get(parent.acl)
    tree.remove(path, length, owner, parent_path)
    acls.release(acl)
    tree.digest -= digest
    if written is not None:
        next(written)
    _digest_branch(tree, parent_path, parent, written)
    if tree.quotas.paths:
        usage.deleted(tree, path, length)
    return Applied(0, path, b"", ((DELETED, path, parent_path, acl_list, parent_acl),))


def _set_data(tree: Tree, header: TxnHeader, record: Record, written: Handed) -> Applied:
    assert isinstance(record, SetDataTxn)
    path = record.path
    node = tree.nodes.get(path)
    if node is None:
        return Applied(NoNodeError.code)
    if tree.walks:
        tree.preserve(path)
    if isinstance(node, bytes):
        leaf, change = _rewritten(header, record, node, written)
        acl: int = INT64.unpack_from(leaf, len(leaf) - ACL_OFFSET)[0]
        if acl == OPEN:
            # One that was still to be created when this was prepared did not know the index of its ACL list.
            acl = acl_index_of(node)
            leaf = with_acl_index(leaf, acl)
        tree.nodes[path] = leaf
        tree.digest = tree.digest + change & TREE_DIGEST_MASK
        grown, stat = len(leaf) - len(node), leaf[-LEAF_TAIL_SIZE:-PRIVATE_SIZE]
    else:
        acl, grown = node.acl, _set_branch_data(tree, header, record, node, written)
        stat = node.stat()
    tree.data_bytes += grown
    if tree.quotas.paths:
        usage.changed(tree, path, 0, grown)
    acl_list = None if acl in tree.acls.open else tree.acls.get(acl)
    return Applied(0, path, stat, ((DATA_CHANGED, path, None, acl_list, None),))


def _rewritten(header: TxnHeader, record: SetDataTxn, old: bytes, written: Handed) -> tuple[bytes, int]:
    """A leaf with its new data, and the change of its digest: as prepare has made it, or the same made here."""
    if written is not None:
        _, leaf, _, change = next(written)
        if isinstance(leaf, bytes):
            return leaf, change
    before = LEAF_BEFORE.unpack_from(old, len(old) - LEAF_TAIL_SIZE)
    return rewritten_leaf(record.path, before, record.data, header.zxid, header.time_ms, record.version)


def _set_branch_data(tree: Tree, header: TxnHeader, record: SetDataTxn, node: Branch, written: Handed) -> int:
    """By how many bytes it grows."""
    data = record.data
    grown = len(data or b"") - len(node.data or b"")
    node.data, node.mzxid, node.mtime, node.version = data, header.zxid, header.time_ms, record.version
    node.data_crc = data_crc(record.path, data)
    _digest_branch(tree, record.path, node, written)
    return grown


def _set_acl(tree: Tree, header: TxnHeader, record: Record, written: Handed) -> Applied:  # noqa: ARG001
    assert isinstance(record, SetACLTxn)
    path = record.path
    if path not in tree.nodes:
        return Applied(NoNodeError.code)
    tree.preserve(path)
    _set_acl_index(tree, path, record.acl)
    node = tree.nodes[path]
    if isinstance(node, Branch):
        node.aversion = record.version
        _digest_branch(tree, path, node, written)
        return Applied(0, path, node.stat())
    if written is not None:
        next(written)
    tail = LEAF_TAIL.unpack_from(node, len(node) - LEAF_TAIL_SIZE)
    czxid, mzxid, ctime, mtime, version, _, _, _, _, _, pzxid, owner, acl, old, cversion = tail
    data = data_of(node)
    numbers = (czxid, mzxid, pzxid, ctime, mtime, version, cversion, record.version, owner)
    digest = node_digest(path, data_crc(path, data), *numbers)
    numbers = (czxid, mzxid, ctime, mtime, version, cversion, record.version, owner, pzxid)
    tree.nodes[path] = pack_leaf(data, *numbers, acl, digest)
    tree.digest = tree.digest + digest - old & TREE_DIGEST_MASK
    return Applied(0, path, stat_of(tree.nodes[path]))


def _set_acl_index(tree: Tree, path: bytes, acl: list[ACL] | None) -> None:
    node = tree.nodes[path]
    tree.preserve(path)
    index = tree.acls.intern(acl)
    tree.acls.release(acl_index_of(node))
    if isinstance(node, Branch):
        node.acl = index
        return
    tail = LEAF_TAIL.unpack_from(node, len(node) - LEAF_TAIL_SIZE)
    tree.nodes[path] = node[:-LEAF_TAIL_SIZE] + LEAF_TAIL.pack(*tail[:12], index, *tail[13:])


def _check(tree: Tree, header: TxnHeader, record: Record, written: Handed) -> Applied:  # noqa: ARG001
    return Applied()


def _multi(tree: Tree, header: TxnHeader, record: Record, written: Handed) -> Applied:
    assert isinstance(record, MULTI_TXNS)
    if record.has_failed:
        return Applied(results=_failed_results(record.steps()))
    results: list[Applied] = []
    changes: list[Change] = []
    step = TxnHeader(header.client_id, header.cxid, header.zxid, header.time_ms, header.type)
    for kind, sub_record in record.steps():
        step.type = kind
        result = APPLY[kind](tree, step, sub_record, written)
        results.append(result)
        changes += result.changes
    return Applied(changes=changes, results=results)


def _failed_results(steps: list[Step]) -> list[Applied]:
    """0 before the op that failed, its code, and -2 for those behind it, which were not tried."""
    results = []
    failed = False
    for _, record in steps:
        code = record.err if isinstance(record, ErrorTxn) else 0
        results.append(Applied(RuntimeInconsistencyError.code if failed else code))
        failed = failed or code != 0
    return results


def _create_session(tree: Tree, header: TxnHeader, record: Record, written: Handed) -> Applied:  # noqa: ARG001
    assert isinstance(record, CreateSessionTxn)
    tree.sessions[header.client_id] = record.timeout_ms
    return Applied()


def _close_session(tree: Tree, header: TxnHeader, record: Record, written: Handed) -> Applied:
    assert isinstance(record, CloseSessionTxn)
    session_id = header.client_id
    tree.sessions.pop(session_id, None)
    changes: list[Change] = []
    for path in record.paths or ():
        changes += _uproot(tree, header.zxid, path, written).changes
    # Left-overs: logs from before 3.6 list no paths, and a fuzzy snapshot may hold more than the list.
    for path in list(tree.ephemerals.get(session_id, ())):
        changes += _uproot(tree, header.zxid, path, None).changes
    return Applied(changes=changes)


def _error(tree: Tree, header: TxnHeader, record: Record, written: Handed) -> Applied:  # noqa: ARG001
    assert isinstance(record, ErrorTxn)
    return Applied(record.err)


APPLY: dict[int, Callable[[Tree, TxnHeader, Record, Handed], Applied]] = {
    OpCode.CREATE: _create,
    OpCode.CREATE2: _create,
    OpCode.CREATE_CONTAINER: _create_container,
    OpCode.CREATE_TTL: _create_ttl,
    OpCode.DELETE: _delete,
    OpCode.DELETE_CONTAINER: _delete,
    OpCode.SET_DATA: _set_data,
    OpCode.RECONFIG: _set_data,
    OpCode.SET_ACL: _set_acl,
    OpCode.CHECK: _check,
    OpCode.MULTI: _multi,
    OpCode.CREATE_SESSION: _create_session,
    OpCode.CLOSE_SESSION: _close_session,
    OpCode.ERROR: _error,
}
