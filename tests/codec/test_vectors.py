"""Every captured frame of docs/protocol/client-protocol.md section 12 is read and written back as it was."""

import json
from pathlib import Path

import pytest

from pyzk.codec.framing import FrameBuffer, frame
from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import XID_NOTIFICATION, OpCode
from pyzk.codec.record import Record
from pyzk.codec.records import ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader, WatcherEvent
from pyzk.codec.replies import REPLIES, SaslReply
from pyzk.codec.requests import MULTI_END, REQUESTS
from pyzk.errors import DecodeError, FrameError

CLIENT = Path(__file__).parent.parent / "vectors" / "client.jsonl"
LINES = [json.loads(line) for line in CLIENT.read_text().splitlines()]

UNDECODABLE = {"create_truncated", "create_truncated_via_follower", "getData_truncated"}
RAW_PATH = {"deleteContainer_raw"}
LEFT_TO_THE_SERVER = {"multi_bad_type"}
UNKNOWN_OPCODE = {"opcode_10", "opcode_0_notification"}
TRAILING_BYTES = {"exists_trailing_bytes", "closeSession_with_body"}
CONNECT_RESPONSES = {"createSession_from_client"}
"""A request in the middle of a session that is answered as a handshake is."""
BARE_HEADERS = {"connect_readonly_mode_no_local_sessions"}
"""A handshake that is answered as a request is."""
ERRORS_WITH_BODY = {
    "multiRead_with_write": MULTI_END.encode(),
    "sasl_digest_md5_response_bad": SaslReply(None).encode(),
}

REQUEST_LINES = [line for line in LINES if line["request_hex"] and line["op"] not in {"framing", "connect"}]
GOOD_REQUESTS = [
    line for line in REQUEST_LINES if line["name"] not in UNDECODABLE | RAW_PATH | UNKNOWN_OPCODE | LEFT_TO_THE_SERVER
]
CONNECTS = [line for line in LINES if line["op"] == "connect"]
REPLIED = [line for line in REQUEST_LINES if line["reply_hex"] and line["name"] not in CONNECT_RESPONSES]
FRAMING = [line for line in LINES if line["op"] == "framing"]
EVENTS = [
    text
    for line in LINES
    for text in [
        *line.get("before_hex", []),
        *line.get("after_hex", []),
        *([] if line["request_hex"] else [line["reply_hex"]]),
    ]
]


def line_id(line: dict) -> str:
    return f"{line['server']}-{line['name']}"


def each(lines: list[dict]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("line", lines, ids=line_id)


def only_frame(text: str) -> bytes:
    bodies = FrameBuffer(frame_bytes_max=None).feed(bytes.fromhex(text))
    assert len(bodies) == 1
    return bodies[0]


def opened(line: dict) -> tuple[RequestHeader, Reader]:
    """Header of a line's request, and a reader behind it."""
    reader = Reader(only_frame(line["request_hex"]))
    return RequestHeader.decode(reader), reader


def test_the_vectors_are_all_there():
    counts = [len(LINES), len(REQUEST_LINES), len(CONNECTS), len(FRAMING), len(EVENTS)]
    assert counts == [427, 387, 30, 6, 38], "say here when the vectors grow"


@each(GOOD_REQUESTS)
def test_captured_request_is_encoded_as_it_was_read(line: dict):
    header, reader = opened(line)
    encoded = header.encode() + REQUESTS[header.type].decode(reader).encode()
    junk = only_frame(line["request_hex"])[-reader.remaining :] if line["name"] in TRAILING_BYTES else b""
    if header.type == OpCode.CLOSE_SESSION:
        junk = only_frame(line["request_hex"])[8:]
    assert frame(encoded + junk).hex() == line["request_hex"]


@each([line for line in REQUEST_LINES if line["name"] in UNDECODABLE])
def test_request_that_apache_cannot_decode_is_a_decode_error(line: dict):
    header, reader = opened(line)
    with pytest.raises(DecodeError):
        REQUESTS[header.type].decode(reader)
    assert line["reply_hex"].endswith("fffffffb")


@each([line for line in REQUEST_LINES if line["name"] in RAW_PATH])
def test_delete_container_of_old_clients_without_a_length_is_a_decode_error(line: dict):
    header, reader = opened(line)
    with pytest.raises(DecodeError):
        REQUESTS[header.type].decode(reader)


@each([line for line in REQUEST_LINES if line["name"] in UNKNOWN_OPCODE])
def test_opcode_that_apache_does_not_know_has_no_record(line: dict):
    assert opened(line)[0].type not in REQUESTS


@each(REPLIED)
def test_captured_reply_is_encoded_as_it_was_read(line: dict):
    body = only_frame(line["reply_hex"])
    reader = Reader(body)
    header = ReplyHeader.decode(reader)
    if header.err:
        rest = ERRORS_WITH_BODY.get(line["name"], b"")
        assert header.encode() + rest == body
        return
    record: Record = REPLIES[opened(line)[0].type].decode(reader)
    assert header.encode() + record.encode() == body


@each(CONNECTS)
def test_captured_handshake_is_encoded_as_it_was_read(line: dict):
    request = only_frame(line["request_hex"])
    assert ConnectRequest.from_bytes(request).encode() == request
    if line["reply_hex"] is None:
        assert line["closed"]
        return
    response = only_frame(line["reply_hex"])
    kind = ReplyHeader if line["name"] in BARE_HEADERS else ConnectResponse
    assert kind.from_bytes(response).encode() == response


@each([line for line in LINES if line["name"] in CONNECT_RESPONSES])
def test_create_session_from_a_client_is_answered_by_a_connect_response(line: dict):
    response = only_frame(line["reply_hex"])
    assert ConnectResponse.from_bytes(response).encode() == response


@pytest.mark.parametrize("text", EVENTS)
def test_captured_event_is_encoded_as_it_was_read(text: str):
    body = only_frame(text)
    reader = Reader(body)
    header, event = ReplyHeader.decode(reader), WatcherEvent.decode(reader)
    assert header.xid == XID_NOTIFICATION
    assert header.encode() + event.encode() == body


@each(FRAMING)
def test_frame_length_that_apache_closes_at_is_refused_or_leaves_no_room_for_a_header(line: dict):
    try:
        bodies = FrameBuffer().feed(bytes.fromhex(line["request_hex"]))
    except FrameError:
        return
    with pytest.raises(DecodeError):
        RequestHeader.from_bytes(bodies[0])
