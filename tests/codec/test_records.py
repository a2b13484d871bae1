import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.codec import jute, record, records
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ConnectRequest, ConnectResponse, open_acl
from pyzk.codec.replies import MULTI_REPLIES, MultiReply
from pyzk.codec.requests import MULTI_REQUESTS, EmptyRequest, MultiRequest
from pyzk.errors import DecodeError
from tests.codec.generate import ALL_KINDS, FAST, of_kind

EVERY_KIND = pytest.mark.parametrize("kind", ALL_KINDS, ids=lambda kind: kind.__name__)
MULTI_HEADER_OF_EXISTS = b"\x00\x00\x00\x03\x00\xff\xff\xff\xff"


@EVERY_KIND
@given(data=st.data())
@FAST
def test_every_record_survives_the_wire(kind: type[record.Record], data: st.DataObject):
    record = data.draw(of_kind(kind))
    encoded = record.encode()
    decoded = kind.from_bytes(encoded)
    assert decoded == record
    assert decoded.encode() == encoded


@EVERY_KIND
@given(data=st.data())
@FAST
def test_decoding_takes_exactly_what_encoding_made(kind: type[record.Record], data: st.DataObject):
    encoded = data.draw(of_kind(kind)).encode()
    reader = jute.Reader(b"before" + encoded, position=6)
    kind.decode(reader)
    assert reader.remaining == 0


@EVERY_KIND
@given(data=st.data())
@FAST
def test_truncated_records_are_decode_errors_or_shorter_records(kind: type[record.Record], data: st.DataObject):
    encoded = data.draw(of_kind(kind)).encode()
    cut = data.draw(st.integers(0, len(encoded)))
    try:
        decoded = kind.from_bytes(encoded[:cut])
    except DecodeError:
        return
    # Only records whose last field may be missing get here with less than all bytes.
    assert isinstance(decoded, kind)


@EVERY_KIND
@given(data=st.binary(max_size=60))
@FAST
def test_random_bytes_are_records_or_decode_errors(kind: type[record.Record], data: bytes):
    try:
        record = kind.from_bytes(data)
    except DecodeError:
        return
    assert kind.from_bytes(record.encode()) == record


@EVERY_KIND
@given(data=st.data())
@FAST
def test_flipped_bytes_are_records_or_decode_errors(kind: type[record.Record], data: st.DataObject):
    encoded = bytearray(data.draw(of_kind(kind)).encode() or b"\x00")
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.sampled_from([0, 1, 2, 127, 128, 255]))
    try:
        record = kind.from_bytes(bytes(encoded))
    except DecodeError:
        return
    assert kind.from_bytes(record.encode()) == record


def test_stat_is_68_bytes_long():
    assert len(records.Stat(*range(11)).encode()) == 68


@pytest.mark.parametrize(
    ("read_only", "length", "last"), [(None, 44, b"\x00"), (False, 45, b"\x00"), (True, 45, b"\x01")]
)
def test_connect_request_ends_with_the_read_only_byte_if_the_client_knows_it(
    read_only: bool | None,
    length: int,
    last: bytes,
):
    request = ConnectRequest(0, 0, 30000, 0, bytes(16), read_only)
    encoded = request.encode()
    assert (len(encoded), encoded[-1:]) == (length, last)
    assert ConnectRequest.from_bytes(encoded).read_only is read_only


def test_connect_response_is_37_bytes_for_new_clients_and_36_for_old_ones():
    assert len(ConnectResponse(0, 30000, 1, bytes(16), read_only=False).encode()) == 37
    assert len(ConnectResponse(0, 30000, 1, bytes(16)).encode()) == 36


def test_open_acl_is_a_new_list_each_time():
    first = open_acl()
    first.clear()
    assert open_acl() == [records.ACL(31, b"world", b"anyone")]


@pytest.mark.parametrize("kind", [MultiRequest, MultiReply])
def test_multi_without_its_end_mark_is_a_decode_error(kind: type[record.Record]):
    with pytest.raises(DecodeError):
        kind.from_bytes(b"")


def test_multi_reply_with_a_result_that_it_cannot_hold_is_a_decode_error():
    with pytest.raises(DecodeError, match="opcode 3"):
        MultiReply.from_bytes(MULTI_HEADER_OF_EXISTS)


def test_multi_request_ends_at_an_op_that_it_cannot_hold_so_that_the_server_can_refuse_it():
    assert MultiRequest.from_bytes(MULTI_HEADER_OF_EXISTS).ops == [(OpCode.EXISTS, EmptyRequest())]


def test_empty_multi_is_only_the_end_mark():
    assert MultiRequest([]).encode() == MultiReply([]).encode() == bytes.fromhex("ffffffff01ffffffff")


def test_multi_tables_hold_no_multi():
    nested = {MultiRequest, MultiReply}
    assert not nested & {*MULTI_REQUESTS.values(), *MULTI_REPLIES.values()}
