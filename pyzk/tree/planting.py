"""Preparing the creates: which znode comes to be, of what kind, under which name, and what that does to its parent.

Source: docs/protocol/client-protocol.md section 5.1, docs/protocol/data-model.md section 4.
"""

from pyzk.codec.opcodes import EPHEMERAL_MODES, SEQUENTIAL_MODES, TTL_MODES, CreateMode, Perms
from pyzk.codec.record import Record
from pyzk.codec.records import ACL, OPEN_ACL
from pyzk.codec.requests import CreateRequest, CreateTTLRequest
from pyzk.codec.txns import CreateContainerTxn, CreateTTLTxn, CreateTxn
from pyzk.errors import (
    BadArgumentsError,
    MarshallingError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    UnimplementedError,
)
from pyzk.tree.digest import data_crc
from pyzk.tree.node import OWNER_CONTAINER, OWNER_TTL, TTL_MS_MAX, NodeState, is_session, wrap_int32
from pyzk.tree.overlay import Overlay
from pyzk.tree.paths import is_plain, parent_of, require_slash, validate
from pyzk.tree.request import Request, Rules, allow, check_quota

CREATE_MODES = {int(mode): mode for mode in CreateMode}


def create(overlay: Overlay, rules: Rules, request: Request) -> Record:
    """Persistent and ephemeral znodes, with or without a number at the end."""
    record = request.record
    assert isinstance(record, CreateRequest)
    mode = _create_mode(rules, record.flags, -1)
    owner = request.session_id if mode in EPHEMERAL_MODES else 0
    path, acl, parent_cversion = _plant(overlay, rules, request, record, mode, owner)
    return CreateTxn(path, record.data, acl, mode in EPHEMERAL_MODES, parent_cversion)


def create_container(overlay: Overlay, rules: Rules, request: Request) -> Record:
    """A znode that goes when its last child has gone."""
    record = request.record
    assert isinstance(record, CreateRequest)
    mode = _create_mode(rules, record.flags, -1)
    path, acl, parent_cversion = _plant(overlay, rules, request, record, mode, OWNER_CONTAINER)
    return CreateContainerTxn(path, record.data, acl, parent_cversion)


def create_ttl(overlay: Overlay, rules: Rules, request: Request) -> Record:
    """A znode that goes when nobody has changed it for so long, with or without a number at the end."""
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
        allow(rules, request, parent, Perms.CREATE)
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
        check_quota(overlay, path, 1, len(data or b""))
