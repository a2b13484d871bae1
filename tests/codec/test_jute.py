import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.codec.jute import INT32, STRING_MAX_DEFAULT, Reader, pack_boolean, pack_buffer, pack_int32, pack_int64
from pyzk.codec.record import Field, vector_of
from pyzk.errors import DecodeError
from tests.codec.generate import BUFFER, THOROUGH

READERS = [Reader.int32, Reader.int64, Reader.boolean, Reader.buffer]


def test_integers_are_big_endian_and_signed():
    assert pack_int32(-2) == b"\xff\xff\xff\xfe"
    assert pack_int64(-2) == b"\xff" * 7 + b"\xfe"
    reader = Reader(pack_int32(-2) + pack_int64(2**63 - 1))
    assert (reader.int32(), reader.int64(), reader.remaining) == (-2, 2**63 - 1, 0)


@pytest.mark.parametrize(("byte", "value"), [(b"\x00", False), (b"\x01", True), (b"\x02", True), (b"\xff", True)])
def test_any_byte_but_zero_reads_as_true(byte: bytes, value: bool):
    assert Reader(byte).boolean() is value


def test_booleans_are_written_as_zero_and_one():
    assert (pack_boolean(value=False), pack_boolean(value=7)) == (b"\x00", b"\x01")


def test_null_and_empty_buffers_differ():
    assert (pack_buffer(None), pack_buffer(b"")) == (b"\xff" * 4, b"\x00" * 4)
    assert (Reader(b"\xff" * 4).buffer(), Reader(b"\x00" * 4).buffer()) == (None, b"")


@given(st.lists(BUFFER, max_size=5))
@THOROUGH
def test_vectors_of_buffers_survive_the_wire(values: list[bytes | None]):
    strings = vector_of(Field(Reader.buffer, pack_buffer))
    assert Reader(strings.write(values)).vector(Reader.buffer) == values


def test_null_vector_is_not_an_empty_one():
    strings = vector_of(Field(Reader.buffer, pack_buffer))
    assert strings.write(None) == b"\xff" * 4
    assert strings.read(Reader(b"\xff" * 4)) is None
    assert strings.read(Reader(strings.write([]))) == []


def test_vector_counts_below_minus_one_read_as_empty():
    assert Reader(pack_int32(-7)).vector(Reader.buffer) == []


@pytest.mark.parametrize("length", [-2, -(2**31), STRING_MAX_DEFAULT + 1, 2**31 - 1])
def test_unreasonable_buffer_lengths_are_refused(length: int):
    with pytest.raises(DecodeError, match="unreasonable"):
        Reader(pack_int32(length) + b"x" * 8).buffer()


def test_string_limit_is_inclusive():
    assert Reader(pack_buffer(b"abc"), string_max=3).buffer() == b"abc"
    with pytest.raises(DecodeError):
        Reader(pack_buffer(b"abcd"), string_max=3).buffer()


@pytest.mark.parametrize("count", [9, 2**31 - 1])
def test_vector_that_cannot_fit_is_refused_before_an_item_is_read(count: int):
    def read(_: Reader) -> None:
        pytest.fail("an item was read")

    with pytest.raises(DecodeError, match="cannot fit"):
        Reader(pack_int32(count) + b"x" * 8).vector(read)


@pytest.mark.parametrize("number", [2**31 - 1, 2**31 - 2, STRING_MAX_DEFAULT])
def test_huge_lengths_and_counts_cost_no_memory(number: int):
    tracemalloc.start()
    for read in (Reader.buffer, lambda reader: reader.vector(Reader.buffer)):
        with pytest.raises(DecodeError):
            read(Reader(pack_int32(number), string_max=2**31 - 1))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 100_000


@pytest.mark.parametrize("read", READERS)
def test_reading_past_the_end_is_a_decode_error(read):
    with pytest.raises(DecodeError):
        read(Reader(b""))


def test_reader_stops_at_its_end_and_not_at_the_end_of_the_bytes():
    reader = Reader(b"\x00" * 12, position=4, end=8)
    assert reader.int32() == 0
    with pytest.raises(DecodeError):
        reader.boolean()


def test_failed_read_leaves_the_position_where_it_was():
    reader = Reader(b"abc")
    with pytest.raises(DecodeError):
        reader.int32()
    assert reader.position == 0


@given(st.binary(max_size=40), st.lists(st.sampled_from(READERS), max_size=6))
@THOROUGH
def test_random_bytes_give_values_or_decode_errors(data: bytes, reads):
    reader = Reader(data)
    try:
        for read in reads:
            read(reader)
    except DecodeError:
        pass
    assert 0 <= reader.position <= len(data)


@given(st.integers(-(2**31), 2**31 - 1))
@THOROUGH
def test_int32_agrees_with_struct(value: int):
    assert pack_int32(value) == struct.pack(">i", value) == INT32.pack(value)
