"""Snapshots: the tree in one file, with checksums over it.

`encode` turns a tree into the bytes of a file, a chunk at a time, while txns go on; `SnapshotFile` puts them on the
disk under a temporary name and gives them their name when they are durable; `save` does both. `load` is the way back.
Source: docs/protocol/storage.md section 4.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from struct import Struct

from zlib_ng.zlib_ng import adler32

from pyzk.codec.jute import Reader
from pyzk.codec.txns import DIGEST_VERSION
from pyzk.errors import CorruptionError, DecodeError
from pyzk.storage import names
from pyzk.storage.compression import GZIP_MAGIC, STREAMS, XERIAL_MAGIC, decompress
from pyzk.storage.disk import Disk
from pyzk.storage.txnlog import FILE_HEADER
from pyzk.tree.tree import Tree
from pyzk.tree.walk import load as load_tree
from pyzk.tree.walk import walk

SNAPSHOT_MAGIC = 0x5A4B534E
SNAPSHOT_HEADER = FILE_HEADER.pack(SNAPSHOT_MAGIC, 2, -1)
SEAL = Struct(">qi1s")
DIGEST = Struct(">qiQ")
LAST_ZXID = Struct(">q")
END_MARK = b"\x00\x00\x00\x01/"
TEMPORARY_SUFFIX = ".tmp"
UNFINISHED = "snapshot.", "log."
"""What such files begin with."""
STRING_MAX = 0x7FFFFFFF
CANDIDATES_MAX = 100


@dataclass(slots=True)
class SnapshotDigest:
    """The digest section: `tree_digest` is the tree's at `zxid`; both are 0 if the writer did not know."""

    zxid: int
    version: int
    tree_digest: int


@dataclass(slots=True)
class Snapshot:
    """A snapshot that was read; sections that the file does not have are None."""

    name: str
    zxid: int
    tree: Tree
    digest: SnapshotDigest | None
    last_zxid: int | None


class Encoding(Iterator[bytes]):
    """The uncompressed bytes of a snapshot file of the tree as it is now, in chunks; `close` it after use.

    Txns may be applied between two chunks, and before the first: they are not seen.

    Args:
        tree: what is written.
        with_last_zxid: the third section, which 3.8 ignores (serializeLastProcessedZxid.enabled).
        digest: of the tree at a later zxid, if the tree has some of what leads there already.
    """

    def __init__(self, tree: Tree, *, with_last_zxid: bool = True, digest: SnapshotDigest | None = None) -> None:
        self._walk = body = walk(tree)
        digest = digest or SnapshotDigest(body.zxid, DIGEST_VERSION, body.digest)
        self._chunks = sealed(body, digest, body.zxid if with_last_zxid else None)

    def __next__(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        """End it, so that nothing is kept aside for it any more."""
        self._walk.close()


def sealed(body: Iterable[bytes], digest: SnapshotDigest | None, last_zxid: int | None) -> Iterator[bytes]:
    """Header, body, and each section behind the seal that covers everything before it."""
    checksum = adler32(SNAPSHOT_HEADER)
    yield SNAPSHOT_HEADER
    for chunk in body:
        checksum = adler32(chunk, checksum)
        yield chunk
    sections = [b""]
    if digest is not None:
        sections.append(DIGEST.pack(digest.zxid, digest.version, digest.tree_digest))
    if last_zxid is not None:
        sections.append(LAST_ZXID.pack(last_zxid))
    for section in sections:
        checksum = adler32(section, checksum)
        seal = SEAL.pack(checksum, 1, b"/")
        checksum = adler32(seal, checksum)
        yield section + seal


class SnapshotFile:
    """A snapshot on its way to the disk. Apache writes to the final name and leaves partial files after a crash."""

    def __init__(self, disk: Disk, directory: str, name: str) -> None:
        self.disk = disk
        self.directory = directory
        self.name = name
        self.path = f"{directory}/{name}"
        self.temporary = self.path + TEMPORARY_SUFFIX
        if f"{name}{TEMPORARY_SUFFIX}" in disk.names(directory):
            disk.remove(self.temporary)
        self.position = 0
        self.file = disk.create(self.temporary)

    def write(self, chunk: bytes) -> None:
        """Append to the file."""
        self.file.write(self.position, chunk)
        self.position += len(chunk)

    def finish(self) -> None:
        """Make the file durable and give it its name."""
        self.file.sync()
        self.disk.rename(self.temporary, self.path)
        self.disk.sync_directory(self.directory)
        self.file.close()

    def keep(self) -> None:
        """Make the file durable under its temporary name; the start removes it unless it is given its name before."""
        self.file.sync()
        self.disk.sync_directory(self.directory)
        self.file.close()

    def discard(self) -> None:
        """Give up: remove what was written."""
        self.file.close()
        if f"{self.name}{TEMPORARY_SUFFIX}" in self.disk.names(self.directory):
            self.disk.remove(self.temporary)


def save(
    disk: Disk, directory: str, tree: Tree, compression: str = "", *, with_last_zxid: bool = True
) -> Generator[int]:
    """Write a snapshot of the tree as it is at the first step; yields the bytes written so far after each chunk.

    The file has its name, durably, when the iterator is exhausted. Closed earlier or after an error (DiskFullError) the
    iterator leaves nothing behind.
    """
    yield from write(disk, directory, tree, compression, SnapshotFile.finish, with_last_zxid=with_last_zxid)


def write(
    disk: Disk,
    directory: str,
    tree: Tree,
    compression: str,
    finish: Callable[[SnapshotFile], None],
    *,
    with_last_zxid: bool,
    digest: SnapshotDigest | None = None,
) -> Generator[int]:
    """Write a snapshot as `save` does; `finish` makes it durable at the end: `SnapshotFile.finish` or `keep`."""
    file = SnapshotFile(disk, directory, names.snapshot_name(tree.last_zxid, compression))
    chunks = Encoding(tree, with_last_zxid=with_last_zxid, digest=digest)
    finished = False
    try:
        for chunk in STREAMS[compression](chunks):
            file.write(chunk)
            yield file.position
        finish(file)
        finished = True
    finally:
        chunks.close()
        if not finished:
            file.discard()


def candidates(disk: Disk, directory: str, count_max: int = CANDIDATES_MAX) -> list[str]:
    """Names of the snapshots that look whole, newest first, at most `count_max`."""
    found = reversed(names.snapshots(disk.names(directory)))
    whole: list[str] = []
    for _, name in found:
        if len(whole) == count_max:
            break
        if _looks_whole(disk, f"{directory}/{name}"):
            whole.append(name)
    return whole


def _looks_whole(disk: Disk, path: str) -> bool:
    if path.endswith(".gz"):
        return disk.read(path, 0, 2) == GZIP_MAGIC
    if path.endswith(".snappy"):
        return disk.read(path, 0, 8) == XERIAL_MAGIC
    size = disk.size(path)
    return size >= 10 and disk.read(path, size - len(END_MARK)) == END_MARK


def load(disk: Disk, directory: str, name: str) -> Snapshot:
    """Read a snapshot, check every seal. Raises CorruptionError.

    The sections have no tags, so the length of what follows the first seal tells which are there: digest, digest and
    last zxid, last zxid alone (digest.enabled=false), or none. What follows them is from a later version and ignored.
    """
    path = f"{directory}/{name}"
    ((zxid, _),) = names.snapshots([name])
    position = 0
    try:
        data = decompress(disk.read(path))
        reader = Reader(data, string_max=STRING_MAX)
        _check_header(reader)
        tree = load_tree(reader)
        tree.last_zxid = zxid
        digest, last_zxid = _sections(data, position := reader.position)
    except DecodeError as error:
        raise CorruptionError(path, position, 0, str(error)) from error
    return Snapshot(name, zxid, tree, digest, last_zxid)


def _check_header(reader: Reader) -> None:
    start = reader.take(len(SNAPSHOT_HEADER))
    magic, version, _ = FILE_HEADER.unpack_from(reader.source, start)
    if (magic, version) != (SNAPSHOT_MAGIC, 2):
        raise DecodeError("not the header of a snapshot")


def _sections(data: bytes, position: int) -> tuple[SnapshotDigest | None, int | None]:
    digest, last_zxid = None, None
    checksum = adler32(memoryview(data)[:position])
    position, checksum = _check_seal(data, position, checksum, 0)
    if len(data) - position >= DIGEST.size + SEAL.size:
        digest = SnapshotDigest(*DIGEST.unpack_from(data, position))
        position, checksum = _check_seal(data, position, checksum, DIGEST.size)
    if len(data) - position >= LAST_ZXID.size + SEAL.size:
        (last_zxid,) = LAST_ZXID.unpack_from(data, position)
        position, checksum = _check_seal(data, position, checksum, LAST_ZXID.size)
    return digest, last_zxid


def _check_seal(data: bytes, position: int, checksum: int, section_bytes: int) -> tuple[int, int]:
    """Check the seal behind a section; returns where it ends and the checksum up to there."""
    seal_position = position + section_bytes
    end = seal_position + SEAL.size
    if end > len(data):
        raise DecodeError("the file ends before its seal")
    found, length, mark = SEAL.unpack_from(data, seal_position)
    checksum = adler32(data[position:seal_position], checksum)
    if (found, length, mark) != (checksum, 1, b"/"):
        raise DecodeError(f"the seal at offset {seal_position} does not fit what is before it")
    return end, adler32(data[seal_position:end], checksum)


def remove_unfinished(disk: Disk, directory: str) -> list[str]:
    """Remove what snapshots, and logs that come with one, interrupted by a crash have left; returns the names."""
    found = disk.names(directory)
    left = [name for name in found if name.startswith(UNFINISHED) and name.endswith(TEMPORARY_SUFFIX)]
    for name in left:
        disk.remove(f"{directory}/{name}")
    return left


def remove_above(disk: Disk, directory: str, zxid: int) -> list[str]:
    """Remove the snapshots above a zxid, durably and before the log is cut to it; returns their names (section 8)."""
    above = [name for found, name in names.snapshots(disk.names(directory)) if found > zxid]
    for name in above:
        disk.remove(f"{directory}/{name}")
    disk.sync_directory(directory)
    return above
