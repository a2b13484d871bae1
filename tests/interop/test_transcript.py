"""How foreign suites are judged: the parts that need no server."""

import pytest

from tests.interop import kazoo_suite, zkcli
from tests.interop.results import FAILED, PASSED, SKIPPED, Result, failed, table
from tests.interop.transcript import FOLDER, compare, mask, sections


def test_times_sessions_and_ports_are_masked_and_zxids_are_not() -> None:
    line = "cZxid = 0x2 owner = 0x10000190b400000 ctime = Sun Nov 22 23:03:36 UTC 2026 at 127.0.0.1:24038"
    assert mask([line]) == ["cZxid = 0x2 owner = SESSION ctime = TIME at SERVER"]


def test_a_transcript_is_compared_by_sections() -> None:
    expected = "== one\nsame\n\n== two\nold\n== three\nonly here\n"
    results = compare("client", expected, "== one\nsame\n== two\nnew\n")
    assert [(result.name, result.outcome) for result in results] == [
        ("one", PASSED),
        ("two", FAILED),
        ("three", FAILED),
    ]
    assert "-old" in results[1].detail
    assert "+new" in results[1].detail


@pytest.mark.parametrize("name", ["c-client", "java-client", "node", "zkcli"])
def test_every_recorded_transcript_has_its_sections(name: str) -> None:
    recorded = sections((FOLDER / f"{name}.txt").read_text())
    assert len(recorded) >= 8
    assert "before the first section" not in recorded


def test_a_failure_that_apache_shares_does_not_count() -> None:
    baseline = {"kazoo.tests.test_a.T.good"}
    good = kazoo_suite.judge("kazoo.tests.test_a.T.good", FAILED, "broken", baseline)
    bad = kazoo_suite.judge("kazoo.tests.test_a.T.bad", FAILED, "broken", baseline)
    assert (good.outcome, bad.outcome) == (FAILED, SKIPPED)


def test_a_test_of_the_baseline_that_was_not_run_fails() -> None:
    found = kazoo_suite.missing({"kazoo.tests.test_a.T.good"})
    assert found["kazoo.tests.test_a.T.good"][0] == FAILED


def test_what_the_shell_prints_is_sorted_where_java_does_not() -> None:
    printed = """noise
Node does not exist: /==a_section
[/b, /a]
ip: 127.0.0.1
digest: bob
WATCHER::
WatchedEvent state:SyncConnected type:NodeCreated path:/a zxid: -1
"""
    assert zkcli.sections(printed) == [
        "== a section",
        "['/a', '/b']",
        "digest: bob",
        "ip: 127.0.0.1",
        "== events",
        "WatchedEvent state:SyncConnected type:NodeCreated path:/a zxid: -1",
    ]


def test_the_table_counts_and_tells_why() -> None:
    results = [
        Result("suite", "a", PASSED),
        Result("suite", "b", SKIPPED, "no Java"),
        Result("other", "c", FAILED, "\n".join(map(str, range(100)))),
    ]
    text = table(results)
    assert "total                                               1        1        1" in text
    assert "SKIPPED [1] suite: no Java" in text
    assert "FAILED other: c" in text
    assert "60 lines more" in text
    assert failed(results)
    assert not failed(results[:2])
