"""Latencies in buckets: percentiles are near the exact ones, however long the latencies are."""

from hypothesis import given, strategies

from pyzk.tools.bench.histogram import BUCKETS, LARGEST_US, SUB_BUCKETS, Histogram, bucket_of, last_of, steps_us

latencies_us = strategies.integers(0, LARGEST_US)
samples = strategies.lists(latencies_us, min_size=1, max_size=200)


def filled(values_us):
    histogram = Histogram()
    for value in values_us:
        histogram.record(value / 1e6)
    return histogram


@given(latencies_us)
def test_a_bucket_ends_at_most_a_64th_behind_what_is_in_it(value):
    bucket = bucket_of(value)
    assert 0 <= bucket < BUCKETS
    assert value <= last_of(bucket) <= value + value // SUB_BUCKETS


@given(latencies_us)
def test_buckets_are_without_gaps_and_in_order(value):
    bucket = bucket_of(value)
    assert bucket_of(last_of(bucket)) == bucket
    assert bucket_of(last_of(bucket) + 1) == bucket + 1


@given(samples, strategies.sampled_from([1, 50, 90, 99, 99.9, 100]))
def test_a_percentile_is_never_too_short_and_hardly_too_long(values, percent):
    exact = next(value for rank, value in enumerate(sorted(values), 1) if rank >= percent / 100 * len(values))
    found_us = filled(values).percentile(percent) * 1000
    assert exact - 1e-3 <= found_us <= exact + exact / SUB_BUCKETS + 1e-3


@given(samples, samples)
def test_two_merged_are_as_one_that_has_seen_all(first, second):
    merged = filled(first)
    merged.merge(filled(second))
    both = filled(first + second)
    assert (merged.count, merged.max_us, merged.buckets) == (both.count, both.max_us, both.buckets)


@given(samples)
def test_bars_hold_everything_once_and_have_no_holes(values):
    bars = filled(values).bars()
    edges = [edge for edge, _ in bars]
    assert sum(count for _, count in bars) == len(values)
    assert edges == [edge for edge in steps_us(edges[-1]) if edge >= edges[0]]
    assert bars[0][1]
    assert bars[-1][1]


def test_an_empty_one_has_neither_bars_nor_percentiles():
    histogram = Histogram()
    assert histogram.percentile(99) == 0
    assert histogram.bars() == []
    assert histogram.max_us == 0


def test_what_is_too_long_or_before_its_time_is_counted_all_the_same():
    histogram = filled([LARGEST_US * 5, -3])
    assert histogram.count == 2
    assert histogram.max_us == LARGEST_US
    assert histogram.percentile(50) == 0


def test_memory_does_not_grow_with_what_is_counted():
    histogram = filled(range(10_000))
    assert len(histogram.buckets) == BUCKETS < 2500
