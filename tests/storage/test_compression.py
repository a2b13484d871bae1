import gzip
import zlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.errors import DecodeError
from pyzk.storage import compression
from pyzk.storage.compression import STREAMS, compress_block, decompress, decompress_block


@pytest.fixture(params=["ours", "cramjam"])
def implementation(request, monkeypatch):
    """Our own snappy, and that of the extra where it is installed."""
    if request.param == "ours":
        monkeypatch.setattr(compression, "find_cramjam", lambda: None)
    elif compression.find_cramjam() is None:
        pytest.skip("the snappy extra is not installed")


@pytest.mark.parametrize("method", STREAMS)
@given(chunks=st.lists(st.binary(max_size=100), max_size=5))
def test_what_is_compressed_is_read_back(method, chunks):
    whole = b"ZKSN" + b"".join(chunks)
    assert decompress(b"".join(STREAMS[method](iter([b"ZKSN", *chunks])))) == whole


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize("method", STREAMS)
def test_large_chunks_are_read_back(method):
    chunks = [b"ZKSN", b"a" * 100_000, Random(1).randbytes(70_000)]
    assert decompress(b"".join(STREAMS[method](iter(chunks)))) == b"".join(chunks)


@pytest.mark.parametrize("method", STREAMS)
def test_work_is_handed_over_chunk_by_chunk(method):
    taken = []
    stream = STREAMS[method](taken.append(number) or b"x" * 10 for number in range(5))
    next(stream)
    assert len(taken) <= 1


def test_gzip_is_one_stream_that_others_read():
    assert gzip.decompress(b"".join(compression.gzip([b"abc", b"def"]))) == b"abcdef"


def test_snappy_blocks_hold_at_most_32_kib():
    data = b"".join(compression.snappy([bytes(100_000)]))
    assert data.startswith(compression.XERIAL_HEADER)
    blocks = [decompress_block(block) for block in compression._blocks(data)]
    assert [len(block) for block in blocks] == [32768, 32768, 32768, 1696]


def test_literal_block_is_the_one_that_apache_was_seen_to_read(monkeypatch):
    monkeypatch.setattr(compression, "find_cramjam", lambda: None)
    assert compress_block(b"abc") == b"\x03\xf4\x02\x00abc"


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize(
    ("block", "data"),
    [
        (b"\x03\x08abc", b"abc"),  # short literal
        (b"\x06\x08abc\x0a\x03\x00", b"abcabc"),  # copy, 2-byte offset: length 3
        (b"\x07\x08abc\x01\x03", b"abcabca"),  # copy, 1-byte offset, overlapping itself: length 4
        (b"\x08\x00a\x1a\x01\x00", b"aaaaaaaa"),  # run of one byte
        (b"\x05\x08abc\x07\x03\x00\x00\x00", b"abcab"),  # copy, 4-byte offset: length 2
    ],
)
def test_elements_of_a_block(block, data):
    assert decompress_block(block) == data


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize(
    "block", [b"", b"\xff\xff\xff\xff\xff", b"\x05\x08abc", b"\x04\x08abc\x01\x09", b"\x04\x08abc\x0a\x00\x00"]
)
def test_damaged_block_is_an_error(block):
    with pytest.raises(DecodeError):
        decompress_block(block)


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(b"abc", mtime=0)[:-3],
        gzip.compress(b"abc", mtime=0)[:-8] + bytes(8),
        compression.XERIAL_HEADER + b"\0\0",
        compression.XERIAL_HEADER + b"\0\0\0\x20abc",
        compression.XERIAL_HEADER + b"\xff\xff\xff\xffabc",
    ],
)
def test_damaged_file_is_an_error(data):
    with pytest.raises(DecodeError):
        decompress(data)


def test_plain_file_is_taken_as_it_is():
    assert decompress(b"ZKSN...") == b"ZKSN..."


def test_gzip_reads_any_level():
    assert decompress(zlib.compressobj(9, zlib.DEFLATED, 31).flush()) == b""
