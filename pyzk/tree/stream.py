"""A tree that arrives in pieces: what a leader sends behind its SNAP packet.

It is the body of a snapshot (`pyzk.tree.walk`) and then a signature, without any length in front, so that only reading
it shows where it ends. `TreeStream` takes the bytes as they come and keeps no more of them than the beginning of one
znode: each byte is looked at a few times, however the pieces are cut. Source: docs/protocol/zab.md section 4.3.
"""

from collections.abc import Generator, Iterator
from struct import Struct

from pyzk.codec.jute import INT32, INT64, STRING_MAX_DEFAULT, Reader
from pyzk.codec.quorum import STREAM_SIGNATURE
from pyzk.codec.records import ACL
from pyzk.errors import DecodeError
from pyzk.tree.tree import Tree
from pyzk.tree.walk import finish_load, load_nodes, restore_acl

SESSION = Struct(">qi")


class TreeStream:
    """Reads one stream; not to be used any more after an error.

    Args:
        string_max: longest path or data, bytes.

    Attributes:
        rest: when the stream is complete, the bytes behind it.
    """

    def __init__(self, string_max: int = STRING_MAX_DEFAULT) -> None:
        self.rest = b""
        self._string_max = string_max
        self._tree = Tree(empty=True)
        self._complete = False
        self._pieces: list[bytes] = []
        self._held = 0
        self._source = b""
        """The window: what was joined at the last step."""
        self._position = 0
        """How much of the window is read."""
        self._start = 0
        """Where in the stream the window begins."""
        self._steps = self._read()
        self._needed = next(self._steps)

    @property
    def tree(self) -> Tree:
        """The finished tree; its `last_zxid` is for the caller to set."""
        assert self._complete, "half a tree is not for use"
        return self._tree

    def feed(self, data: bytes) -> bool:
        """Take what has arrived; True when the stream is complete. Raises DecodeError."""
        assert not self._complete, "the stream is complete"
        self._pieces.append(data)
        self._held += len(data)
        if self._held < self._needed:
            return False
        self._start += self._position
        self._source, self._position = b"".join(self._pieces), 0
        try:
            needed = next(self._steps, 0)
        except DecodeError as error:
            raise DecodeError(f"in the bytes from {self._start} on of the leader's tree: {error}") from error
        left = self._source[self._position :]
        self._pieces, self._held, self._needed = [left], len(left), needed
        if needed == 0:
            self.rest, self._complete = left, True
        return self._complete

    def _read(self) -> Iterator[int]:
        """The whole stream; yields how many bytes from the position on must be at hand before it goes on."""
        yield from self._read_sessions()
        yield from self._read_acls()
        while True:
            end = len(self._source)
            self._position, missing = load_nodes(self._tree, self._source, self._position, end, self._string_max)
            if not missing:
                break
            yield missing
        yield from self._need(len(STREAM_SIGNATURE))
        end = self._position + len(STREAM_SIGNATURE)
        signature = self._source[self._position : end]
        if signature != STREAM_SIGNATURE:
            raise DecodeError(f"the signature behind the znodes is {signature!r}")
        self._position = end
        finish_load(self._tree)

    def _need(self, size: int) -> Iterator[int]:
        while len(self._source) - self._position < size:
            yield size

    def _read_count(self) -> Generator[int, None, int]:
        yield from self._need(INT32.size)
        count: int = INT32.unpack_from(self._source, self._position)[0]
        self._position += INT32.size
        return count

    def _read_sessions(self) -> Iterator[int]:
        sessions = yield from self._read_count()
        for _ in range(_checked(sessions)):
            yield from self._need(SESSION.size)
            session_id, timeout_ms = SESSION.unpack_from(self._source, self._position)
            self._tree.sessions[session_id] = timeout_ms
            self._position += SESSION.size

    def _read_acls(self) -> Iterator[int]:
        lists = yield from self._read_count()
        for _ in range(_checked(lists)):
            yield from self._need(INT64.size)
            (index,) = INT64.unpack_from(self._source, self._position)
            self._position += INT64.size
            count = yield from self._read_count()
            acl: list[ACL] = []
            for _ in range(count):
                # One by one, because a list can be as long as all else.
                size = yield from self._measure_entry()
                reader = Reader(self._source, self._position, self._position + size, self._string_max)
                acl.append(ACL.decode(reader))
                self._position = reader.position
            restore_acl(self._tree, index, None if count == -1 else acl)

    def _measure_entry(self) -> Generator[int, None, int]:
        """How long the ACL entry at the position is: permissions, scheme and id."""
        size = INT32.size
        for _ in range(2):
            yield from self._need(size + INT32.size)
            (length,) = INT32.unpack_from(self._source, self._position + size)
            if not -1 <= length <= self._string_max:
                raise DecodeError(f"{length} bytes in an ACL list at offset {self._position + size}")
            size += INT32.size + max(0, length)
        yield from self._need(size)
        return size


def _checked(count: int) -> int:
    if count < 0:
        raise DecodeError(f"count {count}")
    return count
