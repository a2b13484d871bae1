"""Preparing: a write request becomes a txn, or an error; one function per opcode, found through a table.

The checks stand in the order that clients can observe: the first that fails decides the error code. A prepared txn
carries results (final path, new version), so that applying it needs no decision.
Source: docs/protocol/client-protocol.md sections 5 and 6, docs/protocol/data-model.md section 4.
"""

from collections.abc import Callable

from pyzk.codec.opcodes import TTL_MODES, CreateMode, OpCode, Perms
from pyzk.codec.record import Record
from pyzk.codec.requests import (
    CreateRequest,
    CreateSessionRequest,
    CreateTTLRequest,
    MultiRequest,
    PathRequest,
    PathVersionRequest,
    ReconfigRequest,
    SetACLRequest,
    SetDataRequest,
)
from pyzk.codec.txns import (
    CheckVersionTxn,
    CloseSessionTxn,
    CreateSessionTxn,
    DeleteTxn,
    ErrorTxn,
    MultiTxn,
    PreparedMultiTxn,
    SetACLTxn,
    SetDataTxn,
    Step,
    SubTxn,
)
from pyzk.errors import (
    BadArgumentsError,
    BadVersionError,
    MarshallingError,
    NoAuthError,
    NoNodeError,
    NotEmptyError,
    ReconfigDisabledError,
    ReconfigInProgressError,
    RequestError,
    RuntimeInconsistencyError,
    UnimplementedError,
)
from pyzk.tree.digest import data_crc
from pyzk.tree.node import (
    LEAF_BEFORE,
    LEAF_TAIL_SIZE,
    Before,
    NodeState,
    is_session,
    wrap_int32,
)
from pyzk.tree.overlay import Overlay
from pyzk.tree.paths import parent_of, require_slash, validate
from pyzk.tree.planting import create, create_container, create_ttl
from pyzk.tree.request import Request, Rules, allow, check_quota, check_version, require
from pyzk.tree.tree import CONFIG_PATH, RESERVED_PATHS


def prepare(overlay: Overlay, rules: Rules, request: Request) -> Record:
    """The txn record for a request; what it will change is written to the overlay.

    `overlay.begin` was called for this txn. Raises RequestError, and then nothing was written.
    """
    return PREPARE[request.opcode](overlay, rules, request)


def _delete(overlay: Overlay, rules: Rules, request: Request) -> Record:
    record = request.record
    assert isinstance(record, PathVersionRequest)
    path, parent_path = _deletable(record.path)
    parent = overlay.find(parent_path)
    if parent is None:
        raise NoNodeError
    allow(rules, request, parent, Perms.DELETE)
    state = overlay.find(path)
    if state is None:
        raise NoNodeError
    check_version(record.version, state.version)
    if state.child_count:
        raise NotEmptyError
    _uproot(overlay, path, state)
    return DeleteTxn(path)


def _deletable(path: bytes | None) -> tuple[bytes, bytes]:
    if path is None:
        raise MarshallingError("null path")
    require_slash(path)
    if path in RESERVED_PATHS:
        raise BadArgumentsError(f"{path!r} cannot be deleted")
    return path, parent_of(path)


def _uproot(overlay: Overlay, path: bytes, state: NodeState) -> None:
    overlay.delete(path, state.digest)
    parent_path = parent_of(path)
    found = overlay.find(parent_path)
    assert found is not None, "a znode has a parent"
    parent = overlay.edit(found)
    parent.child_count -= 1
    parent.pzxid = max(parent.pzxid, overlay.zxid)
    overlay.write(parent_path, parent)


def _delete_container(overlay: Overlay, rules: Rules, request: Request) -> Record:  # noqa: ARG001
    record = request.record
    assert isinstance(record, PathRequest)
    path, _ = _deletable(record.path)
    state = overlay.find(path)
    if state is None:
        raise NoNodeError
    if state.child_count:
        raise NotEmptyError
    if is_session(state.owner):
        raise BadVersionError
    _uproot(overlay, path, state)
    return DeleteTxn(path)


def _set_data(overlay: Overlay, rules: Rules, request: Request) -> Record:
    record = request.record
    assert isinstance(record, SetDataRequest)
    path, data = record.path, record.data
    leaf = None if path is None else overlay.leaf(path)
    if path is None or leaf is None:
        return _set_data_by_numbers(overlay, rules, request, record)
    before: Before = LEAF_BEFORE.unpack_from(leaf, len(leaf) - LEAF_TAIL_SIZE)
    version, acl, acls = before[2], before[9], overlay.tree.acls
    if acl not in acls.open and not rules.access.permits(acls.get(acl), Perms.WRITE, request.identities):
        raise NoAuthError
    if rules.enforce_quota:
        check_quota(overlay, path, 0, (0 if data is None else len(data)) - before[6])
    if record.version not in (-1, version):
        raise BadVersionError
    version = wrap_int32(version + 1)
    overlay.write_leaf(path, before, data, version)
    return SetDataTxn(path, data, version)


def _set_data_by_numbers(overlay: Overlay, rules: Rules, request: Request, record: SetDataRequest) -> Record:
    """As above, for a znode that is no leaf, or of which only the numbers are known."""
    path, state = require(overlay, record.path)
    allow(rules, request, state, Perms.WRITE)
    data = record.data
    length = 0 if data is None else len(data)
    if rules.enforce_quota:
        check_quota(overlay, path, 0, length - state.data_length)
    check_version(record.version, state.version)
    state = overlay.edit(state)
    state.version = wrap_int32(state.version + 1)
    state.mzxid, state.mtime = overlay.zxid, overlay.time_ms
    state.data_crc, state.data_length = data_crc(path, data), length
    overlay.write(path, state)
    return SetDataTxn(path, data, state.version)


def _set_acl(overlay: Overlay, rules: Rules, request: Request) -> Record:
    record = request.record
    assert isinstance(record, SetACLRequest)
    if record.path is None:
        raise BadArgumentsError("null path")
    if overlay.find(record.path) is None:
        validate(record.path)
    acl = rules.access.fix_up(record.acl, request.identities)
    path, state = require(overlay, record.path)
    allow(rules, request, state, Perms.ADMIN)
    check_version(record.version, state.aversion)
    state = overlay.edit(state)
    state.acl, state.aversion = acl, wrap_int32(state.aversion + 1)
    overlay.write(path, state)
    return SetACLTxn(path, acl, state.aversion)


def _check(overlay: Overlay, rules: Rules, request: Request) -> Record:
    record = request.record
    assert isinstance(record, PathVersionRequest)
    path, state = require(overlay, record.path)
    allow(rules, request, state, Perms.READ)
    check_version(record.version, state.version)
    return CheckVersionTxn(path, wrap_int32(state.version + 1))


def _reconfig(overlay: Overlay, rules: Rules, request: Request) -> Record:
    """The ACL comes last, as in Apache (zab.md section 12.3)."""
    assert isinstance(request.record, ReconfigRequest)
    if not rules.reconfig_enabled:
        raise ReconfigDisabledError
    if rules.reconfigure is None:
        raise UnimplementedError("a standalone server has no ensemble to reconfigure")
    if overlay.is_outstanding(CONFIG_PATH):
        raise ReconfigInProgressError  # prepared in the same turn: who decides about the rest does not know of it yet
    text = rules.reconfigure(request.record, overlay.zxid)
    path, state = require(overlay, CONFIG_PATH)
    allow(rules, request, state, Perms.WRITE)
    state = overlay.edit(state)
    state.data_crc, state.data_length = data_crc(path, text), len(text)
    state.version, state.mzxid, state.mtime = -1, overlay.zxid, overlay.time_ms
    overlay.write(path, state)
    return SetDataTxn(path, text, -1)


def _create_session(overlay: Overlay, rules: Rules, request: Request) -> Record:  # noqa: ARG001
    record = request.record
    assert isinstance(record, CreateSessionRequest)
    return CreateSessionTxn(record.timeout_ms)


def _close_session(overlay: Overlay, rules: Rules, request: Request) -> Record:
    paths = overlay.ephemerals_of(request.session_id)
    for path in paths:
        state = overlay.find(path)
        assert state is not None, "ephemerals_of names what exists"
        _uproot(overlay, path, state)
    return CloseSessionTxn(paths if rules.close_session_lists_paths else None)


def _multi(overlay: Overlay, rules: Rules, request: Request) -> Record:
    record = request.record
    assert isinstance(record, MultiRequest)
    ops = [op if op[0] in MULTI_PLAIN and op[1].path is not None else _multi_op(*op) for op in record.ops]  # type: ignore[attr-defined]
    steps: list[Step] = []
    step = Request(request.session_id, request.cxid, request.opcode, record, request.identities)
    for opcode, op in ops:
        step.opcode, step.record = opcode, op
        try:
            steps.append((opcode, PREPARE[opcode](overlay, rules, step)))
        except MarshallingError:  # a null inside an op fails the whole request
            overlay.roll_back()
            raise
        except RequestError as error:
            overlay.roll_back()
            return _failed_multi(steps, error.code, len(ops))
    return PreparedMultiTxn(steps)


def _failed_multi(steps: list[Step], code: int, count: int) -> MultiTxn:
    """Ops before the failure keep their records, the failing one gets its code, the others -2."""
    done = [SubTxn(opcode, record.encode()) for opcode, record in steps]
    failure = SubTxn(OpCode.ERROR, ErrorTxn(code).encode())
    rest = SubTxn(OpCode.ERROR, ErrorTxn(RuntimeInconsistencyError.code).encode())
    return MultiTxn([*done, failure, *[rest] * (count - len(done) - 1)])


def _multi_op(opcode: int, op: Record) -> tuple[int, Record]:
    """What an op of a multi stands for. Raises MarshallingError for those that fail the whole request."""
    if opcode not in MULTI_OPCODES:
        raise MarshallingError(f"opcode {opcode} inside a multi")
    if op.path is None:  # type: ignore[attr-defined]
        raise MarshallingError("null path inside a multi")
    if isinstance(op, CreateRequest):
        if op.flags not in MULTI_CREATE_MODES:
            raise MarshallingError(f"create flags {op.flags} inside a multi")
        return _multi_create(opcode, op)
    if isinstance(op, CreateTTLRequest) and op.flags not in TTL_MODES:
        # Without a TTL it is a plain create. Flags that do not exist fail the op only, unlike those of a create.
        return _multi_create(OpCode.CREATE, CreateRequest(op.path, op.data, op.acl, op.flags))
    return opcode, op


def _multi_create(opcode: int, op: CreateRequest) -> tuple[int, Record]:
    return (OpCode.CREATE_CONTAINER if op.flags == CreateMode.CONTAINER else opcode), op


MULTI_CREATE_MODES = frozenset(CreateMode) - TTL_MODES

MULTI_PLAIN = frozenset({OpCode.DELETE, OpCode.SET_DATA, OpCode.CHECK})
"""Ops that are what they look like."""
MULTI_OPCODES = MULTI_PLAIN | {OpCode.CREATE, OpCode.CREATE2, OpCode.CREATE_CONTAINER, OpCode.CREATE_TTL}

PREPARE: dict[int, Callable[[Overlay, Rules, Request], Record]] = {
    OpCode.CREATE: create,
    OpCode.CREATE2: create,
    OpCode.CREATE_CONTAINER: create_container,
    OpCode.CREATE_TTL: create_ttl,
    OpCode.DELETE: _delete,
    OpCode.DELETE_CONTAINER: _delete_container,
    OpCode.SET_DATA: _set_data,
    OpCode.SET_ACL: _set_acl,
    OpCode.CHECK: _check,
    OpCode.RECONFIG: _reconfig,
    OpCode.MULTI: _multi,
    OpCode.CREATE_SESSION: _create_session,
    OpCode.CLOSE_SESSION: _close_session,
}
