import inspect

import pytest

from pyzk import errors
from pyzk.codec import opcodes
from pyzk.codec.opcodes import CreateMode, OpCode, Perms
from pyzk.codec.replies import MULTI_REPLIES, REPLIES
from pyzk.codec.requests import MULTI_REQUESTS, REQUESTS
from pyzk.codec.txns import SUB_TXNS, TXNS

NO_REQUEST = {OpCode.NOTIFICATION, OpCode.ERROR}
"""A server's own: events, and the type of an error txn."""
NO_REPLY = {*NO_REQUEST, OpCode.CREATE_SESSION}
"""createSession is answered with a ConnectResponse."""
NOT_IN_A_TXN = {
    opcode
    for opcode in OpCode
    if opcode not in opcodes.WRITE_OPCODES
    and opcode not in {OpCode.CREATE_SESSION, OpCode.DELETE_CONTAINER, OpCode.CHECK, OpCode.ERROR}
}


def test_every_opcode_has_a_request_record_or_is_a_known_exception():
    assert set(REQUESTS) == set(OpCode) - NO_REQUEST


def test_every_opcode_has_a_reply_record_or_is_a_known_exception():
    assert set(REPLIES) == set(OpCode) - NO_REPLY


def test_every_write_has_a_txn_record_and_nothing_else_has():
    assert set(TXNS) == set(OpCode) - NOT_IN_A_TXN


def test_multi_holds_the_ops_of_the_protocol_page():
    assert {int(opcode) for opcode in MULTI_REQUESTS} == {1, 15, 19, 21, 2, 5, 13, 4, 8}
    assert {int(opcode) for opcode in MULTI_REPLIES} == {1, 15, 2, 5, 13, 4, 8, -1}
    assert {int(opcode) for opcode in SUB_TXNS} == {1, 15, 21, 19, 2, 20, 5, 13, -1}


def test_create_modes_fall_into_their_three_groups():
    assert {CreateMode(1), CreateMode(3)} == opcodes.EPHEMERAL_MODES
    assert {CreateMode(2), CreateMode(3), CreateMode(6)} == opcodes.SEQUENTIAL_MODES
    assert {CreateMode(5), CreateMode(6)} == opcodes.TTL_MODES


def test_all_permissions_are_the_five_bits():
    assert Perms.READ | Perms.WRITE | Perms.CREATE | Perms.DELETE | Perms.ADMIN == Perms.ALL == 31


def request_errors() -> list[type[errors.RequestError]]:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    return [kind for kind in kinds if issubclass(kind, errors.RequestError) and kind is not errors.RequestError]


@pytest.mark.parametrize("kind", request_errors(), ids=lambda kind: kind.__name__)
def test_every_request_error_is_found_by_its_code(kind: type[errors.RequestError]):
    assert errors.BY_CODE[kind.code] is kind


def test_every_code_that_a_server_sends_has_an_error():
    sent = {-1, -2, -3, -5, -6, -8, -12, -13, -14, -100, -101, -102, -103, -108, -110, -111, -112, -114, -115, -118}
    assert set(errors.BY_CODE) == sent | {-119, -120, -121, -123, -124, -125, -127}
