"""Paths as Java's client checks them, and what is printed of a znode."""

import pytest
from hypothesis import given, strategies

from pyzk.errors import BadArgumentsError, NoAuthError, NoNodeError, SessionClosedError
from pyzk.tools.shell.options import CommandError
from pyzk.tools.shell.texts import RequestFailedError, hex_dump, require_path
from pyzk.tree.paths import validate


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("", "Path length must be > 0"),
        ("a", "Path must start with / character"),
        ("/a/", "Path must not end with / character"),
        ("/a//b", 'Invalid path string "/a//b" caused by empty node name specified @3'),
        ("/./a", 'Invalid path string "/./a" caused by relative paths not allowed @1'),
        ("/a/..", 'Invalid path string "/a/.." caused by relative paths not allowed @4'),
        ("/a\0b", 'Invalid path string "/a\0b" caused by null character not allowed @2'),
        ("/a\x01", 'Invalid path string "/a\x01" caused by invalid character @2'),
        ("/😀", 'Invalid path string "/😀" caused by invalid character @1'),
    ],
)
def test_a_wrong_path_is_refused_in_java_s_words(path, complaint):
    with pytest.raises(CommandError) as raised:
        require_path(path)
    assert str(raised.value) == complaint


def test_a_sequential_path_may_end_with_a_slash():
    assert require_path("/a/", sequential=True) == "/a/"


@given(strategies.text(alphabet="/.a\0\x01é\uf8ff😀", max_size=8))
def test_shell_and_server_agree_on_paths(path):
    try:
        require_path(path)
    except CommandError:
        with pytest.raises(BadArgumentsError):
            validate(path.encode())
    else:
        validate(path.encode())


def test_errors_have_zkcli_s_sentences():
    assert str(RequestFailedError(NoNodeError("x"), "/a")) == "Node does not exist: /a"
    assert str(RequestFailedError(SessionClosedError("x"), "/a")) == "KeeperErrorCode = Session expired for /a"
    assert RequestFailedError(NoAuthError("x"), None).keeper_message == "KeeperErrorCode = NoAuth"


@given(strategies.binary(max_size=70))
def test_a_hex_dump_has_a_row_for_sixteen_bytes(data):
    lines = hex_dump(data).splitlines()
    assert len(lines) == (-(-len(data) // 16) + 4 if data else 0)
    assert {len(line) for line in lines} <= {59, 60, 77}
