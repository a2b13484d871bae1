"""Znode paths: what a valid one looks like, and how it splits.

Paths are raw UTF-8 bytes, as they came over the wire; the root is b"/" and has no other name.
Source: docs/protocol/client-protocol.md section 5.10. Nothing here looks at the tree.
"""

import re
from collections import Counter
from collections.abc import Iterator

from pyzk.errors import BadArgumentsError

ROOT = b"/"
SLASH = ord("/")

# One or more components of printable ASCII, none of them "." or "..": nearly every path there is.
_PLAIN = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))[ -.0-~]+)+")
_RELATIVE = re.compile(r"/\.{1,2}(?:/|\Z)")
# Per UTF-16 unit, as in Apache: what lies beyond the BMP is two surrogates there, and those are not allowed.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff\U00010000-\U0010ffff]")


def is_plain(path: bytes) -> bool:
    """Whether a path is well-formed at first sight; so it is with digits behind it. Others may be well-formed too."""
    return _PLAIN.fullmatch(path) is not None


def validate(path: bytes) -> None:
    """Let a well-formed absolute path pass. Raises BadArgumentsError for any other."""
    if _PLAIN.fullmatch(path) or path == ROOT:
        return
    if not path.startswith(b"/") or path.endswith(b"/") or b"//" in path:
        raise BadArgumentsError(f"path {path!r} must begin with a slash, end without one and have no empty component")
    try:
        text = path.decode()
    except UnicodeDecodeError as error:
        raise BadArgumentsError(f"path {path!r} is not UTF-8") from error
    if _RELATIVE.search(text):
        raise BadArgumentsError(f"path {path!r} has a relative component")
    if _FORBIDDEN.search(text):
        raise BadArgumentsError(f"path {path!r} has a character that is not allowed")


def require_slash(path: bytes) -> None:
    """The first, coarse test of create and delete: it comes before everything else, `validate` later or never.

    Raises:
        BadArgumentsError: no slash in the path, or a NUL.
    """
    if b"/" not in path or b"\0" in path:
        raise BadArgumentsError(f"path {path!r} has no slash or has a NUL")


def parent_of(path: bytes) -> bytes:
    """What stands before the last slash; the root for its children and for itself."""
    return path[: path.rindex(b"/")] or ROOT


class Above:
    """Finds which of some paths lie above another one.

    Only lengths that occur among them are looked at: a path may have a hundred thousand levels, and who made it should
    not be able to have them all walked at each write.
    """

    __slots__ = ("_lengths",)

    def __init__(self) -> None:
        self._lengths: Counter[int] = Counter()

    def add(self, path: bytes) -> None:
        """One more."""
        self._lengths[len(path)] += 1

    def remove(self, path: bytes) -> None:
        """One less."""
        self._lengths[len(path)] -= 1
        if not self._lengths[len(path)]:
            del self._lengths[len(path)]

    def candidates(self, path: bytes) -> Iterator[bytes]:
        """The ancestors of a path that may be among them, the nearest first."""
        size = len(path)
        for length in sorted(self._lengths, reverse=True):
            if length < size and (path[length] == SLASH or (length == 1 and path[0] == SLASH)):
                yield path[:length]


def ancestors(path: bytes) -> Iterator[bytes]:
    """Parent, grandparent and so on up to the root, which has none itself."""
    while path != ROOT:
        path = parent_of(path)
        yield path
