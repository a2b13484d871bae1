import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.codec.jute import INT32, INT64, Reader, pack_buffer, pack_int32
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ACL, open_acl
from pyzk.codec.txns import (
    TXN_STRING_MAX,
    CloseSessionTxn,
    CreateSessionTxn,
    CreateTxn,
    DeleteTxn,
    ErrorTxn,
    MultiTxn,
    PreparedMultiTxn,
    SetDataTxn,
    SubTxn,
    Txn,
    TxnDigest,
    TxnHeader,
    decode_sub_txn,
    decode_txn,
)
from pyzk.errors import DecodeError
from tests.codec.generate import THOROUGH, sub_txns, whole_txns

STORAGE = Path(__file__).parent.parent / "vectors" / "storage"
EXPECTED = json.loads((STORAGE / "expected.json").read_text())
LOGS = sorted(path.relative_to(STORAGE) for path in STORAGE.glob("*/version-2/log.*"))


def payloads(log: Path) -> list[bytes]:
    """Payloads of a whole log file, in order; storage.md section 2."""
    reader = Reader((STORAGE / log).read_bytes(), 16)
    found = []
    while reader.remaining >= 12:
        reader.take(8)
        payload = reader.buffer()
        if not payload:
            break
        found.append(payload)
        reader.take(1)
    return found


def expected_records(log: Path) -> list[dict]:
    case = EXPECTED[log.parts[0]]
    return case["records"] if "records" in case else case["files"][log.name]["records"]


@given(whole_txns())
@THOROUGH
def test_txns_survive_log_and_wire(txn: Txn):
    assert decode_txn(txn.encode()) == txn


@given(whole_txns(), st.data())
@THOROUGH
def test_truncated_txns_are_shorter_txns_or_decode_errors(txn: Txn, data: st.DataObject):
    encoded = txn.encode()
    cut = data.draw(st.integers(0, len(encoded)))
    with contextlib.suppress(DecodeError):
        decode_txn(encoded[:cut])


PLAIN_SET_DATA = Txn(TxnHeader(1, 2, 3, 4, OpCode.SET_DATA), SetDataTxn(b"/a", b"data", 5), TxnDigest(2, 6)).encode()


def outcome(decode: Callable[[bytes], Txn], encoded: bytes) -> Txn | type[DecodeError]:
    try:
        return decode(encoded)
    except DecodeError:
        return DecodeError


@given(st.integers(0, len(PLAIN_SET_DATA)), st.integers(0, len(PLAIN_SET_DATA) - 1), st.integers(0, 255))
@THOROUGH
def test_a_set_data_is_the_same_txn_in_one_step_as_field_by_field(length: int, place: int, value: int):
    """Cut, or longer, and with any byte changed."""
    damaged = bytearray(PLAIN_SET_DATA)
    damaged[place] = value
    for encoded in (bytes(damaged)[:length], bytes(damaged) + bytes(length)):
        by_fields = outcome(lambda data: Txn.decode(Reader(data, string_max=TXN_STRING_MAX)), encoded)
        assert outcome(decode_txn, encoded) == by_fields


@given(whole_txns(), st.data())
@THOROUGH
def test_damaged_txns_are_other_txns_or_decode_errors(txn: Txn, data: st.DataObject):
    encoded = bytearray(txn.encode())
    encoded[data.draw(st.integers(28, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_txn(bytes(encoded))
        for sub in decoded.record.txns if isinstance(decoded.record, MultiTxn) else []:
            decode_sub_txn(sub)
    except DecodeError:
        pass


def test_the_logs_of_the_vectors_are_all_found():
    assert len(LOGS) >= 4


@pytest.mark.parametrize("log", LOGS, ids=str)
def test_every_txn_of_apaches_logs_is_encoded_as_it_was_read(log: Path):
    found = payloads(log)
    assert [decode_txn(payload).encode() for payload in found] == found


@pytest.mark.parametrize("log", LOGS, ids=str)
def test_headers_and_digests_of_apaches_logs_are_those_of_the_independent_reader(log: Path):
    found = [decode_txn(payload) for payload in payloads(log)]
    expected = expected_records(log)
    assert len(found) == len(expected)
    for txn, line in zip(found, expected, strict=True):
        header = line["hdr"]
        assert txn.header == TxnHeader(
            int(header["clientId"], 16),
            header["cxid"],
            int(header["zxid"], 16),
            header["time"],
            int(header["type"].partition("(")[0]),
        )
        digest = line["digest"] and TxnDigest(line["digest"]["version"], int(line["digest"]["treeDigest"], 16))
        assert txn.digest == digest


HEADER = TxnHeader(1, 2, 3, 4, 1)


def test_create_from_before_the_parents_cversion_was_stored_reads_as_minus_one():
    record = pack_buffer(b"/a") + pack_buffer(None) + b"\xff" * 4 + b"\x01"
    assert decode_txn(HEADER.encode() + record).record == CreateTxn(b"/a", None, None, ephemeral=True)


@pytest.mark.parametrize("tree_digest", [0, 1, 0x51C6D660, 0x100000000, 0xFFFFFFFFFFFFFFFF])
def test_digest_right_behind_the_header_of_close_session_is_no_list_of_paths(tree_digest: int):
    header = TxnHeader(1, 2, 3, 4, -11)
    txn = decode_txn(header.encode() + TxnDigest(2, tree_digest).encode())
    assert txn == Txn(header, CloseSessionTxn(None), TxnDigest(2, tree_digest))


def test_close_session_without_its_list_is_written_without_digest_because_java_would_take_it_for_the_list():
    header = TxnHeader(1, 2, 3, 4, -11)
    assert Txn(header, CloseSessionTxn(None), TxnDigest(2, 7)).encode() == header.encode()
    assert decode_txn(header.encode()).record == CloseSessionTxn(None)


def test_empty_list_of_ephemerals_is_written():
    assert CloseSessionTxn([]).encode() == bytes(4)


def test_golden_bytes_of_create_session():
    header = TxnHeader(0x1000013D87C0000, 0, 1, 0x1A204E7FF4B, -10)
    encoded = Txn(header, CreateSessionTxn(40000), TxnDigest(2, 0x51C6D660)).encode()
    assert encoded.hex() == (
        "01000013d87c0000000000000000000000000001000001a204e7ff4bfffffff600009c40000000020000000051c6d660"
    )


def test_golden_bytes_of_create():
    header = TxnHeader(0x1000013D87C0000, 1, 2, 0x1A204E7FF6E, 1)
    record = CreateTxn(b"/a", b"hello", open_acl(), ephemeral=False, parent_cversion=1)
    body = Txn(header, record, TxnDigest(2, 0xA30B7DC6)).encode()[32:].hex()
    assert body == (
        "000000022f610000000568656c6c6f000000010000001f00000005776f726c6400000006616e796f6e65"
        "0000000001" + "0000000200000000a30b7dc6"
    )


@pytest.mark.parametrize("opcode", [0, 3, 4, 12, 99, -2])
def test_unknown_type_is_a_decode_error_that_names_the_zxid(opcode: int):
    with pytest.raises(DecodeError, match=r"0x3 .* type"):
        decode_txn(TxnHeader(1, 2, 3, 4, opcode).encode())


@pytest.mark.parametrize("opcode", [14, 7, -10, -11, 16, 3, 99])
def test_multi_holds_no_multi_and_nothing_else_that_apache_cannot_read(opcode: int):
    with pytest.raises(DecodeError, match=f"type {opcode}"):
        decode_sub_txn(SubTxn(opcode, bytes(50)))


def test_null_op_of_a_multi_is_a_decode_error():
    with pytest.raises(DecodeError, match="null"):
        MultiTxn.from_bytes(pack_int32(1) + pack_int32(1) + b"\xff" * 4)


@given(st.lists(sub_txns(), max_size=6))
def test_a_multi_that_was_prepared_is_written_as_any_other(ops: list[SubTxn]):
    prepared = PreparedMultiTxn([(op.type, decode_sub_txn(op)) for op in ops])
    assert prepared.encode() == MultiTxn(ops).encode()
    assert prepared.types == MultiTxn(ops).types


def test_null_multi_reads_as_an_empty_one():
    assert MultiTxn.from_bytes(b"\xff" * 4) == MultiTxn([])


@pytest.mark.parametrize("path", [None, b"", b"a", b"a/b"])
def test_txns_change_nothing_but_absolute_paths(path: bytes | None):
    with pytest.raises(DecodeError, match="no path"):
        DeleteTxn.from_bytes(pack_buffer(path))


def test_strings_in_a_txn_may_be_as_long_as_the_record():
    data = bytes(3 * 0xFFFFF)
    txn = Txn(HEADER, CreateTxn(b"/a", data, [ACL(31, b"world", b"anyone")], ephemeral=False, parent_cversion=1))
    assert decode_txn(txn.encode()) == txn


def test_error_txn_carries_no_digest():
    encoded = Txn(TxnHeader(1, 2, 3, 4, -1), ErrorTxn(-110)).encode()
    assert encoded[32:] == INT32.pack(-110)
    assert len(encoded) == 36


def test_digest_is_an_unsigned_number():
    digest = TxnDigest(2, 2**64 - 1)
    assert digest.encode()[4:] == INT64.pack(-1)
    assert TxnDigest.from_bytes(digest.encode()) == digest
