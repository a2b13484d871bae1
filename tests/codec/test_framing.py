import itertools
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.codec.framing import JUTE_MAX_BUFFER_DEFAULT, FrameBuffer, frame
from pyzk.errors import FrameError
from tests.codec.generate import THOROUGH

BODIES = st.lists(st.binary(max_size=30), max_size=6)


@given(BODIES, st.lists(st.integers(0, 200), max_size=12))
@THOROUGH
def test_any_split_of_the_stream_gives_the_same_frames(bodies: list[bytes], cuts: list[int]):
    stream = b"".join(map(frame, bodies))
    offsets = sorted({0, len(stream), *[cut for cut in cuts if cut < len(stream)]})
    buffer = FrameBuffer()
    received = []
    for start, end in itertools.pairwise(offsets):
        received += buffer.feed(stream[start:end])
    assert received == bodies
    assert buffer.pending_bytes == 0


@given(BODIES)
@THOROUGH
def test_byte_by_byte_is_a_split_too(bodies: list[bytes]):
    buffer = FrameBuffer()
    received = [body for byte in b"".join(map(frame, bodies)) for body in buffer.feed(bytes([byte]))]
    assert received == bodies


def test_pending_bytes_are_those_of_the_unfinished_frame():
    buffer = FrameBuffer()
    assert buffer.feed(frame(b"one") + frame(b"second")[:7]) == [b"one"]
    assert buffer.pending_bytes == 7
    assert buffer.feed(b"ond") == [b"second"]
    assert buffer.pending_bytes == 0


def test_length_split_between_two_pieces_is_put_together():
    buffer = FrameBuffer()
    assert buffer.feed(b"\x00\x00\x00") == []
    assert buffer.feed(b"\x01") == []
    assert buffer.feed(b"x\x00\x00") == [b"x"]
    assert buffer.feed(b"\x00\x00") == [b""]


def test_nothing_is_a_piece_too():
    buffer = FrameBuffer()
    assert buffer.feed(b"") == []
    assert buffer.feed(b"\x00") == buffer.feed(b"") == []


def test_longest_frame_is_accepted_and_one_byte_more_is_not():
    buffer = FrameBuffer()
    longest = bytes(JUTE_MAX_BUFFER_DEFAULT)
    assert buffer.feed(frame(longest)) == [longest]
    with pytest.raises(FrameError, match="1048576"):
        buffer.feed(bytes.fromhex("00100000"))


@pytest.mark.parametrize("length", ["ffffffff", "80000000", "7fffffff"])
def test_absurd_lengths_are_refused_at_once_and_cost_nothing(length: str):
    tracemalloc.start()
    with pytest.raises(FrameError):
        FrameBuffer().feed(bytes.fromhex(length))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 100_000


def test_negative_length_is_refused_even_without_a_limit():
    with pytest.raises(FrameError):
        FrameBuffer(frame_bytes_max=None).feed(b"\xff\xff\xff\xff")


def test_without_a_limit_long_frames_pass():
    body = bytes(JUTE_MAX_BUFFER_DEFAULT + 1)
    assert FrameBuffer(frame_bytes_max=None).feed(frame(body)) == [body]


def test_frames_before_a_refused_one_are_lost_with_the_connection():
    with pytest.raises(FrameError):
        FrameBuffer(frame_bytes_max=3).feed(frame(b"abc") + frame(b"abcd"))


def test_long_frame_in_tiny_pieces_is_not_copied_again_with_each_of_them():
    body = bytes(JUTE_MAX_BUFFER_DEFAULT)
    stream = memoryview(frame(body))
    buffer = FrameBuffer()
    started = time.process_time()
    received = [got for start in range(0, len(stream), 64) for got in buffer.feed(bytes(stream[start : start + 64]))]
    # Sixteen thousand copies of half a megabyte on average would take seconds.
    assert time.process_time() - started < 1
    assert received == [body]
