import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.tree.quota import Quota, QuotaTrie, Verdict, judge, limits_path, path_of_limits, path_of_stats, stats_path


def values(text: bytes | None) -> dict[bytes, int] | None:
    quota = Quota.parse(text)
    return None if quota is None else quota.values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", {}),
        (b",;,", {}),
        (b"count=3,bytes=-1", {b"count": 3, b"bytes": -1}),
        (
            b"count=-1,bytes=-1=;byteHardLimit=20;countHardLimit=3",
            {b"count": -1, b"bytes": -1, b"byteHardLimit": 20, b"countHardLimit": 3},
        ),
        (b"count=3;;,bytes=4,", {b"count": 3, b"bytes": 4}),
        (b"count==7", {b"count": -1}),
        (b"count=5=6=7", {b"count": 5}),
        (b"=5", {b"": 5}),
        (b"count=+5", {b"count": 5}),
        (b"count=9223372036854775807", {b"count": 2**63 - 1}),
    ],
)
def test_quota_text_is_read_as_java_reads_it(text: bytes, expected: dict[bytes, int]) -> None:
    assert values(text) == expected


DEADLY = [b"x", b"count", b"count=", b"count= 5", b"count=x", b"count=5,bytes", b",count=5", b"=", b"count=1.5"]
TOO_LONG = [b"count=9223372036854775808", b"count=" + b"9" * 5000]


@pytest.mark.parametrize("text", [None, b"\xff=\xff", *DEADLY, *TOO_LONG])
def test_text_on_which_apache_dies_counts_as_absent(text: bytes | None) -> None:
    assert Quota.parse(text) is None


@given(st.binary(max_size=40) | st.text("countbytes=,;-0123456789", max_size=30).map(str.encode))
def test_no_text_raises(text: bytes) -> None:
    Quota.parse(text)


def test_quota_is_written_as_servers_write_it() -> None:
    assert Quota({b"count": 2, b"bytes": 30}).encode() == b"count=2,bytes=30"
    assert Quota().encode() == b"count=-1,bytes=-1"
    hard = Quota({b"countHardLimit": 3, b"byteHardLimit": 20})
    assert hard.encode() == b"count=-1,bytes=-1=;byteHardLimit=20;countHardLimit=3"


NUMBERS = st.integers(-(2**63), 2**63 - 1)


@given(st.dictionaries(st.sampled_from([b"count", b"bytes", b"countHardLimit", b"byteHardLimit", b"other"]), NUMBERS))
def test_what_was_written_reads_the_same(numbers: dict[bytes, int]) -> None:
    assert values(Quota(numbers).encode()) == {b"count": -1, b"bytes": -1} | numbers


def test_usage_moves_by_what_a_change_adds() -> None:
    usage = Quota({b"count": 2, b"bytes": 30})
    usage.add(-1, 5)
    assert (usage.count, usage.size) == (1, 35)


@pytest.mark.parametrize(
    ("limits", "count", "size", "verdict"),
    [
        ({}, 1, 100, Verdict.FITS),
        ({b"count": 3}, 1, 0, Verdict.FITS),
        ({b"count": 2}, 1, 0, Verdict.OVER_SOFT),
        ({b"countHardLimit": 2}, 1, 0, Verdict.OVER_HARD),
        ({b"countHardLimit": 3, b"count": 0}, 1, 0, Verdict.FITS),
        ({b"countHardLimit": 0}, 0, 10, Verdict.FITS),
        ({b"bytes": 15}, 0, 10, Verdict.OVER_SOFT),
        ({b"byteHardLimit": 15}, 0, 10, Verdict.OVER_HARD),
        ({b"byteHardLimit": 20}, 0, 10, Verdict.FITS),
        ({b"byteHardLimit": 5}, 0, 0, Verdict.FITS),
        ({b"byteHardLimit": 5}, 0, -1, Verdict.OVER_HARD),
        ({b"count": 0, b"byteHardLimit": 5}, 1, 1, Verdict.OVER_HARD),
    ],
)
def test_a_hard_limit_counts_before_the_soft_one_and_only_what_changes_is_checked(
    limits: dict[bytes, int], count: int, size: int, verdict: Verdict
) -> None:
    assert judge(Quota(limits), Quota({b"count": 2, b"bytes": 10}), count, size) == verdict


def test_quota_znodes_name_the_path_they_cover() -> None:
    assert path_of_limits(limits_path(b"/a/b")) == b"/a/b"
    assert path_of_stats(stats_path(b"/a")) == b"/a"
    assert path_of_limits(b"/zookeeper/quota/zookeeper_limits") == b""
    for other in (
        b"/zookeeper/quota",
        b"/a/zookeeper_limits",
        b"/zookeeper/quotas/a/zookeeper_limits",
        stats_path(b"/a"),
    ):
        assert path_of_limits(other) is None


def test_the_deepest_quota_above_a_path_covers_it() -> None:
    quotas = QuotaTrie()
    for path in (b"/a", b"/a/b/c", b"/", b""):
        quotas.add(path)
    assert list(quotas) == [b"/a", b"/a/b/c"]
    assert quotas.find(b"/a/b/c") == quotas.find(b"/a/b/c/d/e") == b"/a/b/c"
    assert quotas.find(b"/a/b") == quotas.find(b"/a/b/cc") == b"/a"
    assert quotas.find(b"/ab") is quotas.find(b"/") is None
    assert b"/a" in quotas
    quotas.remove(b"/a/b/c")
    quotas.remove(b"/never")
    assert quotas.find(b"/a/b/c") == b"/a"
    quotas.clear()
    assert quotas.find(b"/a") is None
    assert len(quotas) == 0


COMPONENTS = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4)
PATHS = COMPONENTS.map(lambda parts: ("/" + "/".join(parts)).encode())


@given(st.sets(PATHS, max_size=6), PATHS)
def test_find_agrees_with_trying_every_quota(paths: set[bytes], path: bytes) -> None:
    quotas = QuotaTrie()
    for quota in sorted(paths):
        quotas.add(quota)
    covering = [quota for quota in paths if (path + b"/").startswith(quota + b"/")]
    assert quotas.find(path) == max(covering, key=len, default=None)
