"""Quotas: their text, which of them covers a path, and whether a change fits.

A quota on /p lives in two znodes below /zookeeper/quota/p: `zookeeper_limits`, which clients write, and
`zookeeper_stats`, whose data the server keeps. Source: docs/protocol/data-model.md section 3. Creating, counting and
recomputing is done by apply; this module knows neither the tree nor znodes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from pyzk.tree.paths import ROOT, Above

QUOTA_ROOT = b"/zookeeper/quota"
QUOTA_PREFIX = QUOTA_ROOT + b"/"
LIMITS_NAME = b"zookeeper_limits"
STATS_NAME = b"zookeeper_stats"

_LIMITS_SUFFIX = b"/" + LIMITS_NAME
_STATS_SUFFIX = b"/" + STATS_NAME
_SEPARATORS = re.compile(rb"[,;]+")
_NUMBER = re.compile(rb"[+-]?[0-9]+")
_LONG_MAX = 2**63 - 1


def limits_path(path: bytes) -> bytes:
    """Where the limits on `path` are stored."""
    return QUOTA_ROOT + path + _LIMITS_SUFFIX


def stats_path(path: bytes) -> bytes:
    """Where the usage of `path` is stored."""
    return QUOTA_ROOT + path + _STATS_SUFFIX


def path_of_limits(znode: bytes) -> bytes | None:
    """The path that this znode sets limits for; None if it is no limits znode. The root comes as an empty path."""
    return _covered(znode, _LIMITS_SUFFIX)


def path_of_stats(znode: bytes) -> bytes | None:
    """The path whose usage this znode holds; None if it is no stats znode. The root comes as an empty path."""
    return _covered(znode, _STATS_SUFFIX)


def _covered(znode: bytes, suffix: bytes) -> bytes | None:
    if znode.startswith(QUOTA_PREFIX) and znode.endswith(suffix):
        return znode[len(QUOTA_ROOT) : -len(suffix)]
    return None


@dataclass(slots=True)
class Quota:
    """The numbers of a limits or stats znode; what is not set reads as -1, which means no limit."""

    values: dict[bytes, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: bytes | None) -> Self | None:
        """Read `key=value` pairs; None where Apache's parser would throw.

        Differs from Apache: there such a text stops the server when the txn is applied, and at each replay.
        """
        if text is None:
            return None
        values: dict[bytes, int] = {}
        for pair in _pairs(text):
            parts = pair.split(b"=")
            if len(parts) < 2 or not any(parts[1:]):
                return None
            number = _parse_long(parts[1] or b"-1")
            if number is None:
                return None
            values[parts[0]] = number
        return cls(values)

    def encode(self) -> bytes:
        """The text as servers write it. The lone `=` hides the newer keys from parsers before 3.7."""
        others = sorted(self.values.keys() - {b"count", b"bytes"})
        text = b"count=%d,bytes=%d" % (self.count, self.size)
        return text + b"".join([b"=", *[b";%b=%d" % (key, self.values[key]) for key in others]]) if others else text

    @property
    def count(self) -> int:
        """Znodes: the soft limit, or those in use."""
        return self.values.get(b"count", -1)

    @property
    def size(self) -> int:
        """Bytes of data: the soft limit, or those in use."""
        return self.values.get(b"bytes", -1)

    @property
    def count_hard(self) -> int:
        """The hard limit of znodes."""
        return self.values.get(b"countHardLimit", -1)

    @property
    def size_hard(self) -> int:
        """The hard limit of bytes."""
        return self.values.get(b"byteHardLimit", -1)

    def add(self, count: int, size: int) -> None:
        """Move the usage by a number of znodes and of bytes."""
        self.values[b"count"] = self.count + count
        self.values[b"bytes"] = self.size + size


def _pairs(text: bytes) -> list[bytes]:
    """Split at runs of separators; what is empty at the end does not count, what is empty at the front does."""
    text = text.rstrip(b",;")
    return _SEPARATORS.split(text) if text else []


def _parse_long(digits: bytes) -> int | None:
    if not _NUMBER.fullmatch(digits) or len(digits) > 20:
        return None
    number = int(digits)
    return number if -_LONG_MAX - 1 <= number <= _LONG_MAX else None


class Verdict(IntEnum):
    """What a quota says about a change."""

    FITS = 0
    OVER_SOFT = 1
    OVER_HARD = 2


def judge(limits: Quota, usage: Quota, count: int, size: int) -> Verdict:
    """Would `count` more znodes and `size` more bytes stay within the limits?

    A hard limit takes the place of the soft one. What does not change is not checked, so that a znode that is over
    its limit can still be written with data of the same length.
    """
    return max(
        _judge_one(limits.count, limits.count_hard, usage.count, count),
        _judge_one(limits.size, limits.size_hard, usage.size, size),
    )


def _judge_one(soft: int, hard: int, used: int, change: int) -> Verdict:
    limit = hard if hard > -1 else soft
    if change == 0 or limit < 0 or used + change <= limit:
        return Verdict.FITS
    return Verdict.OVER_HARD if hard > -1 else Verdict.OVER_SOFT


class QuotaTrie:
    """The paths that have a quota. A set is enough: paths are short, and most trees have no quota at all."""

    __slots__ = ("_above", "paths")

    def __init__(self) -> None:
        self.paths: dict[bytes, None] = {}
        self._above = Above()

    def add(self, path: bytes) -> None:
        """Let `path` have a quota.

        Differs from Apache: a quota on the root (or the empty path) stops the server there; here it never counts.
        """
        if path not in {b"", ROOT} and path not in self.paths:
            self.paths[path] = None
            self._above.add(path)

    def remove(self, path: bytes) -> None:
        """Take the quota of `path` away, if it has one."""
        if path in self.paths:
            del self.paths[path]
            self._above.remove(path)

    def clear(self) -> None:
        """Forget all of them."""
        self.paths.clear()
        self._above = Above()

    def find(self, path: bytes) -> bytes | None:
        """The deepest path with a quota that is `path` itself or above it. The outer ones do not count."""
        if not self.paths:
            return None
        if path in self.paths:
            return path
        return next((ancestor for ancestor in self._above.candidates(path) if ancestor in self.paths), None)

    def __len__(self) -> int:
        return len(self.paths)

    def __contains__(self, path: object) -> bool:
        return path in self.paths

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.paths)
