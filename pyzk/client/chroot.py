"""A prefix put before every path on its way out and taken off on its way in."""

from dataclasses import replace

from pyzk.codec.opcodes import OpCode
from pyzk.codec.record import Record
from pyzk.codec.replies import EphemeralsReply, MultiReply, PathReply, PathStatReply
from pyzk.codec.requests import (
    CreateRequest,
    CreateTTLRequest,
    MultiRequest,
    PathRequest,
    PathTypeRequest,
    PathVersionRequest,
    PathWatchRequest,
    SetACLRequest,
    SetDataRequest,
)

PATH_REQUESTS = (
    CreateRequest,
    CreateTTLRequest,
    PathRequest,
    PathTypeRequest,
    PathVersionRequest,
    PathWatchRequest,
    SetACLRequest,
    SetDataRequest,
)


class Chroot:
    """The subtree that a client sees as its whole tree.

    Args:
        prefix: path of the subtree as raw UTF-8, without a slash at its end; empty for the real root.
    """

    def __init__(self, prefix: bytes) -> None:
        assert not prefix.endswith(b"/")
        self.prefix = prefix

    def inside(self, path: bytes) -> bool:
        """True for a server's path that this client can name."""
        return path == self.prefix or path.startswith(self.prefix + b"/")

    def add(self, path: bytes) -> bytes:
        """The server's name of a client's path."""
        if not self.prefix:
            return path
        if path in {b"/", b""}:
            return self.prefix
        # A path without its slash would name something beside the chroot: it stays wrong and the server refuses it.
        return self.prefix + path if path.startswith(b"/") else path

    def strip(self, path: bytes) -> bytes:
        """The client's name of a server's path; one outside the chroot stays as it is."""
        if not self.prefix or not self.inside(path):
            return path
        return path[len(self.prefix) :] or b"/"

    def request(self, opcode: int, record: Record) -> Record:
        """The record with the server's paths."""
        if not self.prefix:
            return record
        if isinstance(record, MultiRequest):
            return MultiRequest([(kind, self.request(kind, op)) for kind, op in record.ops])
        if isinstance(record, PATH_REQUESTS):
            return self._with_path(opcode, record)
        return record

    def _with_path(self, opcode: int, record: Record) -> Record:
        assert isinstance(record, PATH_REQUESTS)
        if record.path is not None:
            return replace(record, path=self.add(record.path))
        # No prefix means all ephemerals: all of ours, then.
        return replace(record, path=self.prefix) if opcode == OpCode.GET_EPHEMERALS else record

    def reply(self, record: Record) -> Record:
        """The record with the client's paths."""
        if not self.prefix:
            return record
        if isinstance(record, MultiReply):
            return MultiReply([(kind, self.reply(result)) for kind, result in record.results])
        if isinstance(record, PathReply | PathStatReply) and record.path is not None:
            return replace(record, path=self.strip(record.path))
        if isinstance(record, EphemeralsReply) and record.paths is not None:
            # The server compares plain strings: the prefix /app brings /apple too.
            return EphemeralsReply([self.strip(path) for path in record.paths if self.inside(path)])
        return record
