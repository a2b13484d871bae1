"""docs/protocol/configuration.md section 1: Java's properties syntax."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.errors import ConfigError
from pyzk.zab.properties import parse_properties, without_keys


def pairs(text: str) -> list[tuple[str, str]]:
    return [(entry.key, entry.value) for entry in parse_properties(text, "zoo.cfg")]


@pytest.mark.parametrize(
    "line", ["key=value", "key:value", "key value", "key = value", "  key\t:\tvalue  ", "key\fvalue"]
)
def test_the_first_separator_ends_the_key(line: str) -> None:
    assert pairs(line) == [("key", "value")]


@pytest.mark.parametrize(
    ("line", "value"),
    [("key==value", "=value"), ("key = :value", ":value"), ("key a=b", "a=b"), ("key", ""), ("key=", "")],
)
def test_only_one_separator_belongs_to_the_key(line: str, value: str) -> None:
    assert pairs(line) == [("key", value)]


def test_comments_and_blank_lines_are_no_entries() -> None:
    assert pairs("# a=1\n\n  ! b=2\n \t\nc=3 # no comment here\n") == [("c", "3 # no comment here")]


def test_a_backslash_at_the_end_joins_the_next_line() -> None:
    assert pairs("list=one,\\\n    two,\\\r\n\tthree\nnext=1") == [("list", "one,two,three"), ("next", "1")]


def test_a_doubled_backslash_at_the_end_joins_nothing() -> None:
    assert pairs("path=C:\\\\\nnext=1") == [("path", "C:\\"), ("next", "1")]


def test_a_comment_after_a_joined_line_is_text() -> None:
    assert pairs("a=1\\\n#2") == [("a", "1#2")]


def test_escapes_stand_for_their_characters() -> None:
    assert pairs("data\\ dir=C\\:\\\\data\\tx\\u00e4\\z") == [("data dir", "C:\\data\tx\u00e4z")]


def test_a_malformed_unicode_escape_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Malformed \\uxxxx encoding") as caught:
        pairs("a=1\nb=\\u12")
    assert caught.value.setting == "zoo.cfg:2"


def test_entries_know_their_lines() -> None:
    entries = parse_properties("a=1\n#\nb=\\\n2\nc=3", "zoo.cfg")
    assert [entry.source for entry in entries] == ["zoo.cfg:1", "zoo.cfg:3", "zoo.cfg:5"]


def test_line_ends_of_all_systems_are_line_ends() -> None:
    assert pairs("a=1\rb=2\r\nc=3\n") == [("a", "1"), ("b", "2"), ("c", "3")]


@given(st.text(st.characters(max_codepoint=0xFF), max_size=200))
def test_any_text_is_entries_or_an_error(text: str) -> None:
    try:
        entries = parse_properties(text, "zoo.cfg")
    except ConfigError:
        return
    # Java trims up to the blank; Python's strip() would take more.
    assert all(not entry.key or (entry.key[0] > " " and entry.key[-1] > " ") for entry in entries)


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


texts = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xD7FF), min_size=1, max_size=20)


@given(st.lists(st.tuples(texts, texts), max_size=8))
def test_what_is_escaped_comes_back(entries: list[tuple[str, str]]) -> None:
    text = "\n".join(f"{escaped(key)}={escaped(value)}" for key, value in entries)
    stripped = [(key.strip(), value.strip()) for key, value in entries]
    assert [(key.strip(), value.strip()) for key, value in pairs(text)] == stripped


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a=1\nb=2\nc=3\n", "a=1\nc=3\n"),
        ("# b=0\nb = 2", "# b=0\n"),
        ("a=1\r\nb=2,\\\r\n  3\r\n\r\nc=3", "a=1\r\n\r\nc=3"),
        ("a=1\rb:2\rc=3", "a=1\rc=3"),
        ("b=1\\", ""),
        ("a=b\\\nb=1\n", "a=b\\\nb=1\n"),
    ],
)
def test_an_entry_is_taken_out_and_all_else_stays(text: str, left: str) -> None:
    assert without_keys(text, "zoo.cfg", lambda key: key == "b") == left


@given(st.text(alphabet="ab=\\\r\n# :", max_size=40))
def test_what_is_taken_out_leaves_the_other_entries_as_they_were(text: str) -> None:
    left = without_keys(text, "zoo.cfg", lambda key: key == "b")
    assert pairs(left) == [(key, value) for key, value in pairs(text) if key != "b"]
    assert without_keys(text, "zoo.cfg", lambda _: False) == text
