"""Which txns are shown: by zxid, path, session, time and type; all that are given must hold."""

import argparse
from dataclasses import dataclass, field

from pyzk.tools import output
from pyzk.tools.log.entries import TYPE_NAMES, Entry


def types(text: str) -> set[int]:
    """Types of the command line, with commas between them."""
    unknown = [name for name in text.split(",") if name.lower() not in TYPE_NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"no type {', '.join(unknown)}: there are {', '.join(sorted(TYPE_NAMES))}")
    return {TYPE_NAMES[name.lower()] for name in text.split(",")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that filter."""
    group = parser.add_argument_group("which txns")
    group.add_argument("--from", dest="zxid_min", type=output.zxid, metavar="ZXID", help="from this one on")
    group.add_argument("--to", dest="zxid_max", type=output.zxid, metavar="ZXID", help="up to this one")
    group.add_argument("--path", action="append", metavar="PATH", help="that change this znode or one below it")
    group.add_argument("--session", type=output.session, action="append", metavar="ID", help="of this session")
    group.add_argument("--since", type=output.moment, metavar="TIME", help="not before, 2026-11-22T20:17:22 or ms")
    group.add_argument("--until", type=output.moment, metavar="TIME", help="not after")
    group.add_argument("--type", type=types, metavar="TYPE,...", help="create, setData, multi, error, ...")


@dataclass(slots=True)
class Filter:
    """What was asked for; None and empty let everything pass."""

    zxid_min: int | None = None
    zxid_max: int | None = None
    paths: list[bytes] = field(default_factory=list)
    sessions: list[int] = field(default_factory=list)
    since_ms: int | None = None
    until_ms: int | None = None
    types: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Filter":
        """From the command line."""
        return cls(
            options.zxid_min,
            options.zxid_max,
            [path.encode("utf-8", "surrogateescape") for path in options.path or []],
            options.session or [],
            options.since,
            options.until,
            options.type or set(),
        )

    def wants(self, zxid: int) -> bool:
        """The cheap half, before a txn is decoded."""
        return (self.zxid_min is None or zxid >= self.zxid_min) and (self.zxid_max is None or zxid <= self.zxid_max)

    def accepts(self, entry: Entry) -> bool:
        """The other half."""
        header = entry.txn.header
        if self.sessions and header.client_id not in self.sessions:
            return False
        if self.since_ms is not None and header.time_ms < self.since_ms:
            return False
        if self.until_ms is not None and header.time_ms > self.until_ms:
            return False
        if self.types and not self.types & {header.type, *(kind for kind, _ in entry.members)}:
            return False
        return not self.paths or any(_covers(path, found) for path in self.paths for found in entry.paths)


def _covers(path: bytes, found: bytes) -> bool:
    return found == path or found.startswith(path.rstrip(b"/") + b"/")
