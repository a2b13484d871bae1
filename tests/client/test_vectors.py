"""The session understands what Apache 3.9.5 answered: every recorded reply, and the events before it."""

import json
from functools import cache
from pathlib import Path
from random import Random

import pytest

from pyzk import errors
from pyzk.client.effects import Answered, Failed, Notified, RawAnswered
from pyzk.client.session import Session
from pyzk.codec.framing import frame
from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ConnectResponse, RequestHeader
from pyzk.codec.replies import REPLIES
from pyzk.codec.requests import REQUESTS

VECTORS = Path(__file__).parent.parent / "vectors" / "client.jsonl"
PASSED_OVER = {"connect", "framing", "watch", "createSession", "ping", "auth", "setWatches", "setWatches2"}


@cache
def lines():
    every = [json.loads(line) for line in VECTORS.read_text(encoding="utf-8").splitlines()]
    return [line for line in every if line["op"] not in PASSED_OVER and line["reply_hex"]]


def established():
    session = Session([("server", 1)], Random(1))
    session.start(0.0)
    session.opened(0.0)
    session.receive(frame(ConnectResponse(0, 10_000, 1, bytes(16), read_only=False).encode()), 0.0)
    return session


def put_xid(line, xid):
    """The reply with the xid that this session has used."""
    raw = bytes.fromhex(line["reply_hex"])
    return raw[:4] + xid.to_bytes(4) + raw[8:]


@pytest.mark.parametrize("line", lines(), ids=lambda line: f"{line['name']}-{line['server']}")
def test_recorded_reply_answers_the_raw_request(line):
    session = established()
    request = bytes.fromhex(line["request_hex"])[4:]
    header = RequestHeader.from_bytes(request)
    session.submit_raw("token", header.type, request[8:], 0.0)
    before = b"".join(bytes.fromhex(event) for event in line.get("before_hex") or [])
    *events, answer = session.receive(before + put_xid(line, 1), 0.0)
    assert all(isinstance(event, Notified) for event in events)
    assert len(events) == len(line.get("before_hex") or [])
    assert isinstance(answer, RawAnswered)
    assert frame(answer.header.encode() + answer.body) == put_xid(line, 1)


def record_of(line):
    """The request as a record; None for those that are malformed on purpose and opcodes without records."""
    request = bytes.fromhex(line["request_hex"])[4:]
    opcode = RequestHeader.from_bytes(request).type
    if opcode not in REPLIES:
        return None
    try:
        return OpCode(opcode), REQUESTS[opcode].decode(Reader(request, 8))
    except errors.DecodeError:
        return None


def well_formed():
    return [line for line in lines() if record_of(line) is not None]


@pytest.mark.parametrize("line", well_formed(), ids=lambda line: f"{line['name']}-{line['server']}")
def test_recorded_reply_is_decoded_or_becomes_its_error(line):
    session = established()
    session.submit("token", *record_of(line), 0.0)
    *_, answer = session.receive(put_xid(line, 1), 0.0)
    err = int.from_bytes(bytes.fromhex(line["reply_hex"])[16:20], signed=True)
    if err:
        assert isinstance(answer, Failed)
        assert type(answer.error) is errors.BY_CODE[err]
    else:
        assert isinstance(answer, Answered)
        assert answer.header.encode() + answer.reply.encode() == put_xid(line, 1)[4:]
