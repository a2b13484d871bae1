import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.errors import BadArgumentsError
from pyzk.tree.paths import Above, ancestors, parent_of, require_slash, validate


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/a",
        "/a/b",
        "/zookeeper/config",
        "/...",
        "/.a/..b/c.",
        "/ /~",
        "/ä",
        "/日本/x",
        "/\ud7ff",
        "/\uf900",
        "/\uffef",
    ],
)
def test_well_formed_paths_pass(path: str) -> None:
    validate(path.encode())


SHAPES = ["", "a", "a/b", "/a/", "//", "//a", "/a//b", "/.", "/..", "/a/./b", "/a/..", "/ä/.."]
UNITS = ["\0", "\n", "\x01", "\x1f", "\x7f", "\x80", "\x9f", "\ue000", "\uf8ff", "\ufff0", "\ufffd", "\uffff"]


@pytest.mark.parametrize("path", [*SHAPES, *[f"/a{unit}b" for unit in [*UNITS, "😀", "\U0010ffff"]]])
def test_malformed_paths_are_bad_arguments(path: str) -> None:
    with pytest.raises(BadArgumentsError):
        validate(path.encode())


@pytest.mark.parametrize("path", [b"/\xff", b"/a\xc3", b"/\xed\xa0\x80", b"/\xc0\xaf"])
def test_what_is_not_utf_8_is_no_path(path: bytes) -> None:
    with pytest.raises(BadArgumentsError):
        validate(path)


def naive_is_valid(path: str) -> bool:
    """Apache's PathUtils.validatePath, unit by unit."""
    units = path.encode("utf-16-be")
    codes = [int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2)]
    if path == "/":
        return True
    if not path.startswith("/") or path.endswith("/") or "//" in path:
        return False
    if any(component in {".", ".."} for component in path.split("/")):
        return False
    ranges = [(0x00, 0x1F), (0x7F, 0x9F), (0xD800, 0xF8FF), (0xFFF0, 0xFFFF)]
    return not any(low <= code <= high for code in codes for low, high in ranges)


TEXT = st.one_of(st.text(max_size=8), st.text("/.a \x7f\x1f\ufff0é", max_size=8))


@given(TEXT)
def test_validation_agrees_with_apaches_rule_by_utf_16_units(tail: str) -> None:
    path = "/" + tail
    try:
        validate(path.encode())
    except BadArgumentsError:
        assert not naive_is_valid(path)
    else:
        assert naive_is_valid(path)


def test_a_path_without_slash_or_with_nul_is_refused_before_all_else() -> None:
    for path in (b"", b"a", b"/a\0b", b"\0"):
        with pytest.raises(BadArgumentsError):
            require_slash(path)
    for path in (b"/", b"a/b", b"/a/", b"//"):
        require_slash(path)


@pytest.mark.parametrize(
    ("path", "parent"),
    [(b"/", b"/"), (b"/a", b"/"), (b"/a/b", b"/a"), (b"/a/", b"/a"), (b"//x", b"/"), (b"a/b", b"a")],
)
def test_the_parent_stands_before_the_last_slash(path: bytes, parent: bytes) -> None:
    assert parent_of(path) == parent


def test_ancestors_go_up_to_the_root() -> None:
    assert list(ancestors(b"/a/b/c")) == [b"/a/b", b"/a", b"/"]
    assert list(ancestors(b"/a")) == [b"/"]
    assert list(ancestors(b"/")) == []


@given(st.lists(st.lists(st.sampled_from([b"a", b"bb", b"c"]), max_size=5)), st.lists(st.sampled_from([b"a", b"bb"])))
def test_above_finds_what_a_walk_over_all_levels_finds(others: list[list[bytes]], parts: list[bytes]) -> None:
    path = b"/" + b"/".join(parts)
    known = [b"/" + b"/".join(other) for other in others]
    above = Above()
    for other in known:
        above.add(other)
    expected = [ancestor for ancestor in ancestors(path) if ancestor in known]
    assert [found for found in above.candidates(path) if found in known] == expected
    for other in known:
        above.remove(other)
    assert list(above.candidates(path)) == []
