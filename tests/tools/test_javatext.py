"""Numbers, dates and orders as Java has them."""

import pytest
from hypothesis import given, strategies

from pyzk.tools import javatext
from pyzk.tools.javatext import hash_order, long_hash, string_hash


@pytest.fixture(autouse=True)
def in_utc(monkeypatch):
    monkeypatch.setattr(javatext, "local_time", _utc)


def _utc(time_ms):
    try:
        return javatext.EPOCH + javatext.timedelta(milliseconds=time_ms)
    except OverflowError:
        return None


def test_dates_are_written_as_java_writes_them():
    assert javatext.date(1795378642763) == "Sun Nov 22 20:17:22 UTC 2026"
    assert javatext.short_date(1795378642763) == "11/22/26, 8:17:22 PM UTC"
    assert javatext.medium_date(1795378642763) == "Nov 22, 2026, 8:17:22 PM"


@given(strategies.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_no_time_in_a_damaged_file_is_too_strange(time_ms):
    for write in (javatext.date, javatext.short_date, javatext.medium_date):
        assert write(time_ms)


def test_negative_numbers_are_64_bits():
    assert javatext.hexadecimal(-1) == "f" * 16
    assert javatext.padded_hexadecimal(0x1C) == "0x0000000000001c"


@pytest.mark.parametrize(("text", "value"), [("", 0), ("a", 97), ("hello", 99162322), ("😀", 1772899)])
def test_hashes_of_strings_are_java_s(text, value):
    assert string_hash(text) == value


def test_hashes_of_longs_fold_the_upper_half():
    assert long_hash(1) == 1
    assert long_hash(1 << 32) == 1
    assert long_hash(-1) == 0


def test_a_hash_set_iterates_by_bucket():
    # As Apache's SnapshotFormatter shows /a of tests/vectors/storage/b-snap-395.
    names = ["null", "seq-0000000002", "seq-0000000003"]
    assert hash_order([(string_hash(name), name) for name in names], 8) == [
        "seq-0000000003",
        "seq-0000000002",
        "null",
    ]
