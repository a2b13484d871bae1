"""Preparing: a write request becomes a txn, or an error; one function per opcode, found through a table.

The checks stand in the order that clients can observe: the first that fails decides the error code. A prepared txn
carries results (final path, new version), so that applying it needs no decision.
Source: docs/protocol/client-protocol.md sections 5 and 6, docs/protocol/data-model.md section 4.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from pyzk.codec.jute import Record
from pyzk.codec.opcodes import EPHEMERAL_MODES, SEQUENTIAL_MODES, TTL_MODES, CreateMode, OpCode, Perms
from pyzk.codec.records import ACL, OPEN_ACL
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
    CreateContainerTxn,
    CreateSessionTxn,
    CreateTTLTxn,
    CreateTxn,
    DeleteTxn,
    ErrorTxn,
    MultiTxn,
    PreparedMultiTxn,
    SetACLTxn,
    SetDataTxn,
    SubTxn,
)
from pyzk.errors import (
    BadArgumentsError,
    BadVersionError,
    MarshallingError,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    QuotaExceededError,
    ReconfigDisabledError,
    RequestError,
    RuntimeInconsistencyError,
    UnimplementedError,
)
from pyzk.tree import usage
from pyzk.tree.acl import AccessControl, Identity
from pyzk.tree.digest import data_crc
from pyzk.tree.node import (
    LEAF_TAIL,
    LEAF_TAIL_SIZE,
    OWNER_CONTAINER,
    OWNER_TTL,
    TTL_MS_MAX,
    NodeState,
    is_session,
    wrap_int32,
)
from pyzk.tree.overlay import Overlay
from pyzk.tree.paths import is_plain, parent_of, require_slash, validate
from pyzk.tree.quota import Verdict, judge
from pyzk.tree.tree import CONFIG_PATH, RESERVED_PATHS


@dataclass(slots=True)
class Rules:
    """Settings that prepare depends on.

    Attributes:
        reconfigure: what a reconfig request makes of the ensemble's configuration: its text, given the zxid of the
            txn; raises RequestError. None on a server without an ensemble.
    """

    access: AccessControl
    extended_types_enabled: bool = False
    enforce_quota: bool = False
    reconfig_enabled: bool = False
    close_session_lists_paths: bool = True
    reconfigure: Callable[[ReconfigRequest, int], bytes] | None = None


@dataclass(slots=True)
class Request:
    """A write request: what its txn depends on, and, for whoever answers it, where and when it came in.

    Attributes:
        record: the decoded body.
        origin: the number of the connection that waits for the reply, 0 for none.
        received_at: monotonic seconds.
        frame_bytes: length of its frame.
        err: why it will not become a txn although it was taken (throttled), 0 otherwise.
        body: the record as the client sent it, where it will be forwarded; None for one that a server makes itself.
    """

    session_id: int
    cxid: int
    opcode: int
    record: Record
    identities: Collection[Identity] = ()
    origin: int = 0
    received_at: float = 0.0
    frame_bytes: int = 0
    err: int = 0
    body: bytes | None = None


def prepare(overlay: Overlay, rules: Rules, request: Request) -> Record:
    """The txn record for a request; what it will change is written to the overlay.

    `overlay.begin` was called for this txn. Raises RequestError, and then nothing was written.
    """
    return PREPARE[request.opcode](overlay, rules, request)


def _create(overlay: Overlay, rules: Rules, request: Request) -> Record:
    record = request.record
    assert isinstance(record, CreateRequest)
    mode = _create_mode(rules, record.flags, -1)
    owner = request.session_id if mode in EPHEMERAL_MODES else 0
    path, acl, parent_cversion = _plant(overlay, rules, request, record, mode, owner)
    return CreateTxn(path, record.data, acl, mode in EPHEMERAL_MODES, parent_cversion)


def _create_container(overlay: Overlay, rules: Rules, request: Request) -> Record:
    record = request.record
    assert isinstance(record, CreateRequest)
    mode = _create_mode(rules, record.flags, -1)
    path, acl, parent_cversion = _plant(overlay, rules, request, record, mode, OWNER_CONTAINER)
    return CreateContainerTxn(path, record.data, acl, parent_cversion)


def _create_ttl(overlay: Overlay, rules: Rules, request: Request) -> Record:
    record = request.record
    assert isinstance(record, CreateTTLRequest)
    mode = _create_mode(rules, record.flags, record.ttl_ms)
    if mode not in TTL_MODES:
        # Differs from Apache: such a txn kills its server when applied, and again at each replay.
        raise BadArgumentsError(f"createTTL with mode {mode.name}")
    path, acl, parent_cversion = _plant(overlay, rules, request, record, mode, OWNER_TTL + record.ttl_ms)
    return CreateTTLTxn(path, record.data, acl, parent_cversion, record.ttl_ms)


def _create_mode(rules: Rules, flags: int, ttl_ms: int) -> CreateMode:
    mode = CREATE_MODES.get(flags)
    if mode is None:
        raise BadArgumentsError(f"create flags {flags} are not 0 to 6")
    if mode in TTL_MODES:
        if not rules.extended_types_enabled:
            raise UnimplementedError("TTL znodes need extendedTypesEnabled=true")
        if not 0 < ttl_ms <= TTL_MS_MAX:
            raise BadArgumentsError(f"TTL {ttl_ms} ms is not 1 to {TTL_MS_MAX}")
    elif ttl_ms >= 0:
        raise BadArgumentsError(f"a TTL with mode {mode.name}")
    return mode


def _plant(
    overlay: Overlay,
    rules: Rules,
    request: Request,
    record: CreateRequest | CreateTTLRequest,
    mode: CreateMode,
    owner: int,
) -> tuple[bytes, list[ACL], int]:
    """Checks and effects common to all creates; final path, ACL list to store, new cversion of the parent."""
    path = record.path
    if path is None:
        raise MarshallingError("null path")
    plain = is_plain(path)
    if not plain:
        require_slash(path)
    acl = rules.access.fix_up(record.acl, request.identities)
    parent_path = parent_of(path)
    parent = overlay.find(parent_path)
    if parent is None:
        raise NoNodeError
    if parent.acl is not None:
        _allow(rules, request, parent, Perms.CREATE)
    if mode in SEQUENTIAL_MODES:
        path = b"%b%010d" % (path, parent.cversion)
    if not plain:
        validate(path)
    _check_new(overlay, rules, path, parent, record.data)
    if acl is OPEN_ACL:
        overlay.create_leaf(path, record.data, owner)
    else:
        overlay.create(path, _new_state(overlay, path, record.data, owner, acl))
    cversion = wrap_int32(parent.cversion + 1)
    parent = overlay.edit(parent)
    parent.child_count += 1
    if cversion > parent.cversion:  # false only where the counter overflows: then it sticks, as in Apache
        parent.cversion, parent.pzxid = cversion, overlay.zxid
    overlay.write(parent_path, parent)
    return path, acl, cversion


def _new_state(overlay: Overlay, path: bytes, data: bytes | None, owner: int, acl: list[ACL]) -> NodeState:
    crc, length = data_crc(path, data), len(data or b"")
    zxid, time_ms = overlay.zxid, overlay.time_ms
    return NodeState(zxid, zxid, time_ms, time_ms, 0, 0, 0, owner, zxid, acl, 0, crc, length, child_count=0)


def _check_new(overlay: Overlay, rules: Rules, path: bytes, parent: NodeState, data: bytes | None) -> None:
    if overlay.exists(path):
        raise NodeExistsError
    if parent.owner and is_session(parent.owner):
        raise NoChildrenForEphemeralsError
    if rules.enforce_quota:
        _check_quota(overlay, path, 1, len(data or b""))


def _check_quota(overlay: Overlay, path: bytes, count: int, size_bytes: int) -> None:
    """Against committed usage only, as in Apache: pipelined writes may overshoot."""
    numbers = usage.limits_of(overlay.tree, path)
    if numbers is not None and judge(*numbers, count, size_bytes) is Verdict.OVER_HARD:
        raise QuotaExceededError


def _allow(rules: Rules, request: Request, state: NodeState, perms: int) -> None:
    if state.acl is not None and not rules.access.permits(state.acl, perms, request.identities):
        raise NoAuthError


def _require(overlay: Overlay, path: bytes | None) -> tuple[bytes, NodeState]:
    """Path and state for setData, setACL and check, which validate the path before they look for the znode."""
    if path is None:
        raise BadArgumentsError("null path")
    state = overlay.find(path)
    if state is None:
        validate(path)
        raise NoNodeError
    return path, state


def _check_version(expected: int, actual: int) -> None:
    if expected not in (-1, actual):
        raise BadVersionError


def _delete(overlay: Overlay, rules: Rules, request: Request) -> Record:
    record = request.record
    assert isinstance(record, PathVersionRequest)
    path, parent_path = _deletable(record.path)
    parent = overlay.find(parent_path)
    if parent is None:
        raise NoNodeError
    _allow(rules, request, parent, Perms.DELETE)
    state = overlay.find(path)
    if state is None:
        raise NoNodeError
    _check_version(record.version, state.version)
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
    tail = LEAF_TAIL.unpack_from(leaf, len(leaf) - LEAF_TAIL_SIZE)
    version, acl, acls = tail[4], tail[12], overlay.tree.acls
    if acl not in acls.open and not rules.access.permits(acls.get(acl), Perms.WRITE, request.identities):
        raise NoAuthError
    if rules.enforce_quota:
        _check_quota(overlay, path, 0, (0 if data is None else len(data)) - tail[8])
    if record.version not in (-1, version):
        raise BadVersionError
    version = wrap_int32(version + 1)
    overlay.write_leaf(path, tail, data, version)
    return SetDataTxn(path, data, version)


def _set_data_by_numbers(overlay: Overlay, rules: Rules, request: Request, record: SetDataRequest) -> Record:
    """As above, for a znode that is no leaf, or of which only the numbers are known."""
    path, state = _require(overlay, record.path)
    _allow(rules, request, state, Perms.WRITE)
    data = record.data
    length = 0 if data is None else len(data)
    if rules.enforce_quota:
        _check_quota(overlay, path, 0, length - state.data_length)
    _check_version(record.version, state.version)
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
    path, state = _require(overlay, record.path)
    _allow(rules, request, state, Perms.ADMIN)
    _check_version(record.version, state.aversion)
    state = overlay.edit(state)
    state.acl, state.aversion = acl, wrap_int32(state.aversion + 1)
    overlay.write(path, state)
    return SetACLTxn(path, acl, state.aversion)


def _check(overlay: Overlay, rules: Rules, request: Request) -> Record:
    record = request.record
    assert isinstance(record, PathVersionRequest)
    path, state = _require(overlay, record.path)
    _allow(rules, request, state, Perms.READ)
    _check_version(record.version, state.version)
    return CheckVersionTxn(path, wrap_int32(state.version + 1))


def _reconfig(overlay: Overlay, rules: Rules, request: Request) -> Record:
    """The ACL comes last, as in Apache (zab.md section 12.3)."""
    assert isinstance(request.record, ReconfigRequest)
    if not rules.reconfig_enabled:
        raise ReconfigDisabledError
    if rules.reconfigure is None:
        raise UnimplementedError("a standalone server has no ensemble to reconfigure")
    text = rules.reconfigure(request.record, overlay.zxid)
    path, state = _require(overlay, CONFIG_PATH)
    _allow(rules, request, state, Perms.WRITE)
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
    ops = [_multi_op(opcode, op) for opcode, op in record.ops]
    txns: list[SubTxn] = []
    records: list[Record] = []
    step = Request(request.session_id, request.cxid, request.opcode, record, request.identities)
    for opcode, op in ops:
        step.opcode, step.record = opcode, op
        try:
            sub = PREPARE[opcode](overlay, rules, step)
        except MarshallingError:  # a null inside an op fails the whole request
            overlay.roll_back()
            raise
        except RequestError as error:
            overlay.roll_back()
            return _failed_multi(txns, error.code, len(ops))
        txns.append(SubTxn(opcode, sub.encode()))
        records.append(sub)
    return PreparedMultiTxn(txns, records)


def _failed_multi(done: list[SubTxn], code: int, count: int) -> MultiTxn:
    """Ops before the failure keep their records, the failing one gets its code, the others -2."""
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


CREATE_MODES = {int(mode): mode for mode in CreateMode}
MULTI_CREATE_MODES = frozenset(CreateMode) - TTL_MODES

MULTI_OPCODES = frozenset(
    {
        OpCode.CREATE,
        OpCode.CREATE2,
        OpCode.CREATE_CONTAINER,
        OpCode.CREATE_TTL,
        OpCode.DELETE,
        OpCode.SET_DATA,
        OpCode.CHECK,
    }
)

PREPARE: dict[int, Callable[[Overlay, Rules, Request], Record]] = {
    OpCode.CREATE: _create,
    OpCode.CREATE2: _create,
    OpCode.CREATE_CONTAINER: _create_container,
    OpCode.CREATE_TTL: _create_ttl,
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
