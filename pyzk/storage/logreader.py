"""The transaction log, reading side: the records of one file, and what is behind the last good one.

Reading never changes a file and never decides whether damage is acceptable: that needs the other files, so it is up to
`pyzk.storage.history`. Source: docs/protocol/storage.md sections 2 and 5.1.
"""

from collections.abc import Iterator
from itertools import pairwise
from struct import Struct

from zlib_ng.zlib_ng import adler32

from pyzk.storage import names
from pyzk.storage.disk import Disk
from pyzk.storage.txnlog import LOG_HEADER, RECORD_HEAD

PIECE_BYTES = 1 << 20
ZEROS = bytes(PIECE_BYTES)
TXN_HEADER_BYTES = 32
ZXID = Struct(">12xq")
"""Picks the zxid out of a TxnHeader."""
SECTOR_BYTES = 512
CHECKSUM_HIGH = bytes(4)
"""The upper half of each record's checksum."""
END_MARK = 0x42
CHECKSUM_MASKS = (0xFFFFFF, 0xFFFF, 0xFF)
STEPS_MAX = 1 << 16
"""So far is a txn from the one before it at most: Apache's servers leave out zxids, and repeat txns."""


class LogReader:
    """Iterates over (zxid, offset, payload) of one log file, up to the first bytes that are no good record.

    After the iteration `position` is the end of the last good record, `last_zxid` its zxid (0 if there is none),
    `damage` says what is wrong there (None: nothing but zeros or the end of the file follows), and `behind` how many
    bytes that are not part of the zero tail come after `position`.
    """

    def __init__(self, disk: Disk, directory: str, name: str) -> None:
        self.disk = disk
        self.path = f"{directory}/{name}"
        self.name = name
        self.size = disk.size(self.path)
        self.position = 0
        self.last_zxid = 0
        self.damage: str | None = None
        self.behind = 0
        self.torn_header = False

    def __iter__(self) -> Iterator[tuple[int, int, bytes]]:
        self._read_header()
        if self.damage is None:
            yield from self._records()
        self.behind = self._data_end() - self.position
        if self.damage is None and self.behind:
            self.damage = "data behind a record of length zero"

    def is_unwritten(self, length_max: int) -> bool:
        """Whether zeros explain the damage, so that it is a write cut short by a crash and not bytes that went bad.

        Sectors that a write did not reach read as zeros, in front of, behind or within what it has written. Damage
        that turns sectors into zeros, or hits a record that has a whole sector of zeros in it, looks the same.

        Args:
            length_max: how long a record can be, bytes.
        """
        if self.position == 0:
            return self.torn_header
        start, head_bytes = self.position, RECORD_HEAD.size
        checksum, length = RECORD_HEAD.unpack(self.disk.read(self.path, start, head_bytes).ljust(head_bytes, b"\0"))
        if checksum == 0:
            return True
        if not (0 < checksum <= 0xFFFFFFFF and 0 <= length <= length_max):
            return False
        size = head_bytes + length + 1
        if self.behind < size:
            # Nothing is written behind a write that was cut short: with a whole record there, the length is wrong.
            written = self.disk.read(self.path, start + head_bytes, self.behind - head_bytes)
            return self._may_follow(written) and not _holds_record(written)
        record = self.disk.read(self.path, start, size)
        whole_checksum = adler32(record[head_bytes:-1])
        return checksum in [whole_checksum & mask for mask in CHECKSUM_MASKS] or _has_zero_sector(record, start)

    def _may_follow(self, payload: bytes) -> bool:
        """Whether what was written of a txn is of one that can stand there; else its length may have gone bad too."""
        (zxid,) = ZXID.unpack_from(payload[: ZXID.size].ljust(ZXID.size, b"\0"))
        unwritten = 8 - len(zxid.to_bytes(8, signed=True).rstrip(b"\0"))
        most = zxid | (1 << 8 * unwritten) - 1
        ((first, _),) = names.logs([self.name])
        last = self.last_zxid or first
        return bool(zxid & 0xFFFFFFFF < STEPS_MAX or zxid - STEPS_MAX < last < most + STEPS_MAX)

    def _read_header(self) -> None:
        header = self.disk.read(self.path, 0, len(LOG_HEADER))
        if header[:4] == LOG_HEADER[:4] and len(header) == len(LOG_HEADER):
            self.position = len(LOG_HEADER)
            return
        # A torn first write leaves zeros or right bytes, never wrong ones.
        self.torn_header = all(byte in (0, right) for byte, right in zip(header, LOG_HEADER, strict=False))
        self.damage = "no file header" if self.torn_header else "not the header of a txn log"

    def _records(self) -> Iterator[tuple[int, int, bytes]]:
        """The loop over the file, a window at a time; `at` is a position in the window, which begins at `start`."""
        window, start, at = b"", self.position, 0
        unpack_head, head_bytes, unpack_zxid = RECORD_HEAD.unpack_from, RECORD_HEAD.size, ZXID.unpack_from
        needed = head_bytes
        while True:
            if at + needed > len(window):
                start += at
                window, at = self.disk.read(self.path, start, max(PIECE_BYTES, needed)), 0
                if needed > len(window):
                    self._end(window)
                    return
            checksum, length = unpack_head(window, at)
            end = at + head_bytes + length + 1
            if length < TXN_HEADER_BYTES or start + end > self.size:
                self._end(window[at : at + head_bytes])
                return
            if end > len(window):
                needed = end - at
                continue
            payload = window[at + head_bytes : end - 1]
            if window[end - 1] != END_MARK or adler32(payload) != checksum:
                self.damage = "wrong checksum" if window[end - 1] == END_MARK else "a record without its end mark"
                return
            (self.last_zxid,) = unpack_zxid(payload)
            yield self.last_zxid, start + at, payload
            at, needed = end, head_bytes
            self.position = start + end

    def _end(self, head: bytes) -> None:
        """Judge the bytes where a record's head should be: zeros are the end, anything else is damage."""
        if not head.strip(b"\0"):
            return
        if len(head) < RECORD_HEAD.size:
            self.damage = "the file ends inside a record"
        else:
            self.damage = f"a record length of {RECORD_HEAD.unpack_from(head)[1]}, which cannot be"

    def _data_end(self) -> int:
        """Offset behind the last byte that is not zero; `position` when all the rest is zeros."""
        position, end = self.position, self.position
        while position < self.size:
            # The padding is a hole of some 64 MiB: step over it.
            position = self.disk.next_data(self.path, position)
            piece = self.disk.read(self.path, position, PIECE_BYTES)
            if piece != ZEROS[: len(piece)]:
                end = position + len(piece.rstrip(b"\0"))
            position += len(piece)
        return end


def _holds_record(data: bytes) -> bool:
    """Whether a whole good record begins anywhere in these bytes."""
    at = data.find(CHECKSUM_HIGH)
    while at >= 0 and at + RECORD_HEAD.size < len(data):
        checksum, length = RECORD_HEAD.unpack_from(data, at)
        begin, end = at + RECORD_HEAD.size, at + RECORD_HEAD.size + length
        is_marked = length >= TXN_HEADER_BYTES and end < len(data) and data[end] == END_MARK
        if is_marked and adler32(data[begin:end]) == checksum:
            return True
        at = data.find(CHECKSUM_HIGH, at + 1)
    return False


def _has_zero_sector(record: bytes, start: int) -> bool:
    """Whether a sector is zeros as far as it is the record's, which begins at `start`; the first 4 bytes always are."""
    edges = [0, *range(-start % SECTOR_BYTES, len(record), SECTOR_BYTES), len(record)]
    parts = [record[at:end] for at, end in pairwise(edges) if end > 4]
    return any(part and not part.strip(b"\0") for part in parts)
