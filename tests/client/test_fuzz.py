"""Whatever a server sends, the session answers with effects and goes on."""

import json
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from pyzk.client.effects import State
from pyzk.codec.framing import frame
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ReplyHeader
from pyzk.codec.replies import PathReply
from pyzk.codec.requests import REQUESTS, MultiRequest, PathRequest, PathTypeRequest, PathWatchRequest
from tests.client.harness import Harness

VECTORS = Path(__file__).parent.parent / "vectors" / "client.jsonl"
SUBMITTED = [
    (OpCode.GET_DATA, PathWatchRequest(b"/", watch=True)),
    (OpCode.GET_CHILDREN2, PathWatchRequest(b"/", watch=True)),
    (OpCode.GET_ACL, PathRequest(b"/")),
    (OpCode.MULTI, MultiRequest()),
    (OpCode.REMOVE_WATCHES, PathTypeRequest(b"/", 99)),
    (OpCode.ADD_WATCH, PathTypeRequest(b"/", 99)),
    (OpCode.WHO_AM_I, REQUESTS[OpCode.WHO_AM_I]()),
]


def busy(connected=True):
    """A session that has asked for many kinds of things and has heard nothing yet."""
    harness = Harness()
    if connected:
        harness.connect()
    else:
        harness.accept()
    for number, (opcode, record) in enumerate(SUBMITTED):
        harness.submit(number, opcode, record, number)
    harness.perform(harness.session.add_auth("auth", b"digest", b"bob:pw", 0.0))
    return harness


def check_that_it_goes_on(harness):
    """The next server is a good one, which knows as much as the bad one claimed."""
    harness.ensemble.zxid = max(harness.ensemble.zxid, harness.session.progress.seen)
    if harness.session.state.final:
        return
    if harness.connection is not None:
        harness.lose()
    harness.connect()
    if harness.session.state is State.CONNECTING:
        harness.connect()  # it has hung up on a request that had waited and that it does not know
    if harness.session.state is State.EXPIRED:
        return  # the bad one has given us a session of its own
    assert harness.session.state is State.CONNECTED
    assert harness.ask(OpCode.SYNC, PathRequest(b"/")) == PathReply(b"/")


@given(st.lists(st.binary(max_size=200), max_size=4), st.booleans())
def test_any_bytes(chunks, connected):
    harness = busy(connected)
    for data in chunks:
        if harness.connection is not None:
            harness.perform(harness.session.receive(data, 0.0))
    check_that_it_goes_on(harness)


@given(st.lists(st.tuples(st.integers(-10, 10), st.integers(-1, 3), st.sampled_from([0, -101, -6, 7]), st.binary())))
def test_any_replies(replies):
    harness = busy()
    for xid, zxid, err, body in replies:
        if harness.connection is not None:
            harness.perform(harness.session.receive(frame(ReplyHeader(xid, zxid, err).encode() + body), 0.0))
    check_that_it_goes_on(harness)


def test_recorded_replies_with_damaged_bytes(rng):
    lines = [json.loads(line) for line in VECTORS.read_text(encoding="utf-8").splitlines()]
    replies = [bytes.fromhex(line["reply_hex"]) for line in lines if line["reply_hex"]]
    for _ in range(1_000):
        seed = rng.getrandbits(32)
        print(f"case {seed}")
        case = Random(seed)
        harness = busy(connected=case.random() < 0.9)
        for xid in range(1, 8):
            reply = bytearray(case.choice(replies))
            reply[4:8] = xid.to_bytes(4)
            for _ in range(case.randint(0, 3)):
                reply[case.randrange(8, len(reply))] = case.choice([0, 1, 0x7F, 0x80, 0xFF])
            if harness.connection is not None:
                harness.perform(harness.session.receive(bytes(reply), 0.0))
        check_that_it_goes_on(harness)
