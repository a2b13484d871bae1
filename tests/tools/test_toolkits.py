"""Apache's tools for files and ours say the same about the captured files, and write the same bytes."""

import time

import pytest

from tests.interop.toolkits import RECORDED, cases, ours, prepare


@pytest.fixture(autouse=True)
def in_utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_our_tool_says_what_apache_s_says(case, tmp_path):
    prepare(tmp_path)
    assert ours(case, tmp_path).splitlines() == (RECORDED / f"{case.name}.txt").read_text().splitlines()


def test_every_recorded_answer_is_compared():
    assert {path.stem for path in RECORDED.iterdir()} == {case.name for case in cases()}
