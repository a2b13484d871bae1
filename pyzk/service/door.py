"""The door: requests that must not become a txn of their kind, because Apache's servers cannot live with it.

The server that reads such a request from its client answers it in the session's order, without a zxid; nothing reaches
the log. Source: docs/protocol/apache-defects.md, rows 1 to 5; docs/differences.md.
"""

from collections.abc import Callable

from pyzk.codec.jute import INT32, Reader
from pyzk.codec.opcodes import TTL_MODES, CreateMode, OpCode
from pyzk.codec.record import Record
from pyzk.codec.records import OPEN_ACL, OPEN_ACL_BYTES
from pyzk.codec.requests import REQUESTS, CreateRequest, CreateTTLRequest, EmptyRequest, MultiRequest, SetDataRequest
from pyzk.errors import BadArgumentsError, DecodeError, MarshallingError
from pyzk.tree.prepare import MULTI_CREATE_MODES, MULTI_OPCODES
from pyzk.tree.quota import QUOTA_PREFIX, Quota, path_of_limits, path_of_stats

CREATE_MODES = frozenset(CreateMode)
CREATE_REQUESTS = (CreateRequest, CreateTTLRequest)
SET_DATA = int(OpCode.SET_DATA)

PLAIN = frozenset({OpCode.CREATE, OpCode.CREATE2, OpCode.SET_DATA})
PLAIN_BYTES_MIN = 12
"""Path, data, one number more; strings are shorter than frames may be, so that their limit is not looked at."""
UNREADABLE_MULTI = MultiRequest([(OpCode.ERROR, EmptyRequest())])
"""Stands for a multi that cannot be decoded: prepare refuses it under a zxid of its own, as Apache does (only here)."""


def read_request(opcode: int, body: Reader) -> Record:
    """Decode the body of a write and let it pass, or not.

    Raises:
        MarshallingError: it cannot be decoded.
        BadArgumentsError: as a txn it would stop a server of Apache.
    """
    try:
        record = REQUESTS[opcode].decode(body)
    except DecodeError as error:
        if opcode == OpCode.MULTI:
            return UNREADABLE_MULTI
        raise MarshallingError(str(error)) from error
    check = CHECKS.get(opcode)
    if check is not None:
        check(record)
    return record


def read_write(opcode: int, source: bytes, start: int, string_max: int) -> Record:
    """As `read_request`, of what begins there; in one step where that will do."""
    record = read_plain(opcode, source, start) if opcode in PLAIN else None
    return read_request(opcode, Reader(source, start, string_max=string_max)) if record is None else record


def read_plain(opcode: int, frame: bytes, start: int) -> SetDataRequest | CreateRequest | None:
    """As `read_request`, of what begins there, in one step; None for one that must be looked at closely."""
    size = len(frame)
    if size < start + PLAIN_BYTES_MIN:
        return None
    (length,) = INT32.unpack_from(frame, start)
    path_start = start + 4
    path_end = path_start + length
    if length < 0 or path_end + 8 > size:
        return None
    (length,) = INT32.unpack_from(frame, path_end)
    data_end = path_end + 4 + length
    path = frame[path_start:path_end]
    if length < 0 or data_end + 4 > size or path.startswith(QUOTA_PREFIX):
        return None
    if opcode == SET_DATA:
        return SetDataRequest(path, frame[path_end + 4 : data_end], INT32.unpack_from(frame, data_end)[0])
    acl_end = data_end + len(OPEN_ACL_BYTES)
    if acl_end + 4 > size or not frame.startswith(OPEN_ACL_BYTES, data_end):
        return None
    return CreateRequest(path, frame[path_end + 4 : data_end], OPEN_ACL, INT32.unpack_from(frame, acl_end)[0])


def check_forwarded(opcode: int, record: Record) -> None:
    """What the leader, of whatever make, would refuse as a whole must not go there: it may never answer.

    Raises:
        MarshallingError: such a multi (docs/protocol/apache-defects.md, rows 1 and 17).
    """
    if opcode != OpCode.MULTI:
        return
    assert isinstance(record, MultiRequest)
    for op_opcode, op in record.ops:
        if op_opcode not in MULTI_OPCODES or op.path is None:  # type: ignore[attr-defined]
            raise MarshallingError(f"a multi with opcode {op_opcode}, or without a path")
        if isinstance(op, CreateRequest) and op.flags not in MULTI_CREATE_MODES:
            raise MarshallingError(f"create flags {op.flags} inside a multi")
        if isinstance(op, CreateRequest | CreateTTLRequest) and any(entry.id is None for entry in op.acl or ()):
            raise MarshallingError("an ACL entry without an id inside a multi")


def _check_create(record: Record) -> None:
    assert isinstance(record, CREATE_REQUESTS)
    if record.path is None or not record.path.startswith(QUOTA_PREFIX):
        return
    if path_of_limits(record.path) == b"":
        raise BadArgumentsError("a quota on the root")
    if path_of_stats(record.path) is not None:
        _check_stats(record.data)


def _check_create_ttl(record: Record) -> None:
    assert isinstance(record, CreateTTLRequest)
    if 0 <= record.flags <= 4 and record.flags not in TTL_MODES and record.ttl_ms < 0:
        raise BadArgumentsError("createTTL without a TTL")
    _check_create(record)


def _check_set_data(record: Record) -> None:
    assert isinstance(record, SetDataRequest)
    path = record.path
    if path is not None and path.startswith(QUOTA_PREFIX) and path_of_stats(path) is not None:
        _check_stats(record.data)


def _check_stats(data: bytes | None) -> None:
    if data and Quota.parse(data) is None:
        raise BadArgumentsError("quota stats that cannot be parsed")


def _check_multi(record: Record) -> None:
    assert isinstance(record, MultiRequest)
    for opcode, op in record.ops:
        if opcode == SET_DATA:
            _check_set_data(op)
            continue
        if isinstance(op, CreateRequest):
            if op.acl is None and op.flags in CREATE_MODES:
                raise MarshallingError("a create without an ACL list inside a multi")
            if op.flags not in MULTI_CREATE_MODES:
                return  # prepare refuses the whole of it
        if opcode not in MULTI_OPCODES:
            return  # this too
        check = MULTI_CHECKS.get(opcode)
        if check is not None:
            check(op)


MULTI_CHECKS: dict[int, Callable[[Record], None]] = {
    OpCode.CREATE: _check_create,
    OpCode.CREATE2: _check_create,
    OpCode.CREATE_CONTAINER: _check_create,
    OpCode.CREATE_TTL: _check_create,
}

CHECKS: dict[int, Callable[[Record], None]] = {
    OpCode.CREATE: _check_create,
    OpCode.CREATE2: _check_create,
    OpCode.CREATE_CONTAINER: _check_create,
    OpCode.CREATE_TTL: _check_create_ttl,
    OpCode.SET_DATA: _check_set_data,
    OpCode.MULTI: _check_multi,
}
