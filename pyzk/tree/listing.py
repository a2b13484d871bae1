"""Child lists as they go over the wire, kept while they are true and bounded in bytes."""

LISTING_BYTES_MAX = 16 * 1024 * 1024
"""All cached lists together, bytes; the least recently read go first."""


class ListingCache:
    """Encoded child lists by path, least recently read first."""

    __slots__ = ("_lists", "bytes_max", "size_bytes")

    def __init__(self, bytes_max: int = LISTING_BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self.size_bytes = 0
        self._lists: dict[bytes, bytes] = {}

    def get(self, path: bytes) -> bytes | None:
        """The encoded list of `path`, if it is kept."""
        encoded = self._lists.pop(path, None)
        if encoded is not None:
            self._lists[path] = encoded
        return encoded

    def put(self, path: bytes, encoded: bytes) -> None:
        """Keep a list; others go while all of them are too large."""
        self.discard(path)
        self._lists[path] = encoded
        self.size_bytes += len(encoded)
        while self.size_bytes > self.bytes_max:
            self.discard(next(iter(self._lists)))

    def discard(self, path: bytes) -> None:
        """Forget the list of a znode whose children change."""
        encoded = self._lists.pop(path, None)
        if encoded is not None:
            self.size_bytes -= len(encoded)
