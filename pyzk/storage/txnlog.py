"""The transaction log, writing side: one write and one sync for a batch.

A file is a header, records and zeros; each record has an Adler-32 in front and `B` behind. Files are sparse: they are
extended ahead by `preallocate_bytes`, exactly as Apache's. Each process begins a file of its own with its first txn.
Reading is `pyzk.storage.logreader` and `history`. Source: docs/protocol/storage.md section 2.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from struct import Struct

from zlib_ng.zlib_ng import adler32

from pyzk.errors import StorageError
from pyzk.faultpoints import NONE, FaultPoints
from pyzk.storage.disk import Disk, File
from pyzk.storage.names import log_name

FILE_HEADER = Struct(">iiq")
LOG_MAGIC = 0x5A4B4C47
LOG_HEADER = FILE_HEADER.pack(LOG_MAGIC, 2, 0)
RECORD_HEAD = Struct(">qi")
RECORD_END = b"B"
PADDING_MARGIN_BYTES = 4096
PREALLOCATE_BYTES = 64 << 20
BATCH_BYTES_MAX = 4 << 20

Batch = Sequence[tuple[int, bytes]]
"""(zxid, payload) of each txn, in order."""


def frame_record(payload: bytes) -> bytes:
    """A log record: checksum, length, payload, `B`."""
    return frame_records([payload])


def frame_records(payloads: Iterable[bytes]) -> bytes:
    """A log record for each of these."""
    parts: list[bytes] = []
    for payload in payloads:
        parts += (RECORD_HEAD.pack(adler32(payload), len(payload)), payload, RECORD_END)
    return b"".join(parts)


def padded_size(position: int, size: int, preallocate_bytes: int) -> int:
    """The size a file must have before a write at `position`, given the size it has (section 2.1)."""
    if preallocate_bytes <= 0 or position + PADDING_MARGIN_BYTES < size:
        return size
    if position <= size:
        return size + preallocate_bytes
    size = position + preallocate_bytes
    return size - size % preallocate_bytes


class TxnLog:
    """Appends batches to the newest log file of a directory.

    Args:
        disk: where the directory is.
        directory: the `version-2` directory, which must exist.
        preallocate_bytes: how far a file is extended ahead; 0 for never.
        batch_bytes_max: limit of one batch, and so of what a crash can tear (log_batch_bytes_max).
        sync: False leaves durability to chance (forceSync=no).
        points: of the simulator.
    """

    def __init__(
        self,
        disk: Disk,
        directory: str,
        *,
        preallocate_bytes: int = PREALLOCATE_BYTES,
        batch_bytes_max: int = BATCH_BYTES_MAX,
        sync: bool = True,
        points: FaultPoints = NONE,
    ) -> None:
        self.disk = disk
        self.directory = directory
        self.preallocate_bytes = preallocate_bytes
        self.batch_bytes_max = batch_bytes_max
        self.sync = sync
        self.points = points
        self.file: File | None = None
        self.name = ""
        self.position = 0
        """End of the last synced record of the open file."""
        self.size = 0
        self.broken = False

    def append(self, batch: Batch) -> None:
        """Write a batch and return when it is durable.

        Raises:
            DiskFullError: nothing of the batch is in the log; a later append may succeed.
            FsyncError: what reached the disk is unknown; the process must end.
            StorageError: the disk failed; the process must end.
        """
        if self.broken:
            raise StorageError(f"{self.directory}/{self.name}: an earlier failure left the log in an unknown state")
        data = frame_records([payload for _, payload in batch])
        if len(data) > self.batch_bytes_max:
            raise StorageError(f"a batch of {len(data)} bytes is above log_batch_bytes_max={self.batch_bytes_max}")
        if self.points.fires("log rolls early"):
            self.roll()
        if self.file is None:
            self._begin(batch[0][0], data)
        else:
            self._extend(self.file, data)

    def attempt(self, batch: Batch, *, roll: bool) -> StorageError | None:
        """Append, to a new file if `roll`; the error is the result, for callers between whom and us it must travel."""
        try:
            if roll:
                self.roll()
            self.append(batch)
        except StorageError as error:
            return error
        return None

    def roll(self) -> None:
        """Close the file; the next batch begins a new one."""
        if self.file is not None:
            self.file.close()
            self.file = None

    def close(self) -> None:
        """As `roll`."""
        self.roll()

    def _begin(self, zxid: int, data: bytes) -> None:
        self.name = log_name(zxid)
        path = f"{self.directory}/{self.name}"
        file = self.disk.create(path)
        # Apache's "known size" starts behind the header although the header is written with the first batch.
        self.position, self.size = 0, len(LOG_HEADER)
        try:
            self._write(file, len(LOG_HEADER), LOG_HEADER + data)
            if self.sync:
                self.disk.sync_directory(self.directory)
        except StorageError:
            file.close()
            self._remove(path)
            raise
        self.file = file

    def _extend(self, file: File, data: bytes) -> None:
        try:
            self._write(file, self.position, data)
        except StorageError:
            self._cut(file)
            raise

    def _write(self, file: File, margin_position: int, data: bytes) -> None:
        size = padded_size(margin_position, self.size, self.preallocate_bytes)
        if size != self.size:
            file.truncate(size)
        file.write(self.position, data)
        if self.sync:
            self._sync(file)
        self.position += len(data)
        self.size = size

    def _sync(self, file: File) -> None:
        self.broken = True  # until the sync has succeeded: a failed one is never retried
        file.sync()
        self.broken = False

    def _cut(self, file: File) -> None:
        """Cut what a failed write left, durably, so that it can never mix with the records of a later batch."""
        if self.broken:
            return
        self.broken = True
        file.truncate(self.position)
        file.sync()
        self.size = self.position
        self.broken = False

    def _remove(self, path: str) -> None:
        if self.broken:
            return
        self.broken = True
        self.disk.remove(path)
        self.disk.sync_directory(self.directory)
        self.broken = False


@dataclass(slots=True)
class Roll:
    """When to begin a new log file and a snapshot: at a random point between half of each limit and all of it.

    Args:
        rng: spreads the snapshots of the members of an ensemble.
        count_max: snapCount, txns.
        bytes_max: snapSizeLimitInKb in bytes; 0 for no such limit.
        file_bytes_max: txnLogSizeLimitInKb in bytes, for a new file alone; 0 for no such limit.
    """

    rng: Random
    count_max: int = 100_000
    bytes_max: int = 4 << 30
    file_bytes_max: int = 0
    count: int = 0
    bytes: int = 0
    file_bytes: int = 0
    _count_limit: int = 0
    _bytes_limit: int = 0

    def __post_init__(self) -> None:
        self._draw()

    def note(self, count: int, size_bytes: int) -> None:
        """Count txns that were logged."""
        self.count += count
        self.bytes += size_bytes
        self.file_bytes += size_bytes

    @property
    def snapshot_due(self) -> bool:
        """Whether to begin a new file and a snapshot now."""
        return self.count > self._count_limit or (self.bytes_max > 0 and self.bytes > self._bytes_limit)

    @property
    def file_due(self) -> bool:
        """Whether to begin a new file now, with or without a snapshot."""
        return self.snapshot_due or 0 < self.file_bytes_max < self.file_bytes

    def rolled(self) -> None:
        """Begin to count anew, after a new file was begun."""
        if self.snapshot_due:
            self.count = self.bytes = 0
            self._draw()
        self.file_bytes = 0

    def _draw(self) -> None:
        half_count, half_bytes = max(1, self.count_max // 2), max(1, self.bytes_max // 2)
        self._count_limit = half_count + self.rng.randrange(half_count)
        self._bytes_limit = half_bytes + self.rng.randrange(half_bytes)
