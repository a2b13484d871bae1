from pathlib import Path

import pytest

from pyzk.codec.records import open_acl
from pyzk.codec.txns import CreateTxn, Txn, TxnDigest, TxnHeader
from pyzk.storage.database import RestoreOptions
from pyzk.storage.epochs import ACCEPTED, CURRENT
from pyzk.storage.member import MemberFiles
from pyzk.storage.memory import MemoryDisk
from pyzk.storage.names import Places
from pyzk.storage.snapshot import save
from pyzk.storage.txnlog import TxnLog
from pyzk.tree.apply import apply
from pyzk.tree.tree import Tree

VECTORS = Path(__file__).parents[1] / "vectors" / "storage"


def make_txn(zxid, path=None, data=b"x", digest=None):
    """A create directly below the root, the `zxid`th one there."""
    record = CreateTxn(path or b"/n%x" % zxid, data, open_acl(), ephemeral=False, parent_cversion=zxid & 0xFFFFFFFF)
    return Txn(TxnHeader(7, zxid & 0xFFFF, zxid, 1_700_000_000_000 + zxid, 1), record, digest)


class Server:
    """Makes txns, applies them to a tree of its own and knows their payloads: what a leader does, in four lines."""

    def __init__(self):
        self.tree = Tree()
        self.zxid = 0

    def batch(self, count, size=1):
        return [self.one(b"/n%x" % (self.zxid + 1), b"d" * size) for _ in range(count)]

    def one(self, path, data):
        self.zxid += 1
        txn = make_txn(self.zxid, path, data)
        apply(self.tree, txn)
        txn.digest = TxnDigest(2, self.tree.digest)
        return self.zxid, txn.encode()


@pytest.fixture
def txn():
    """make_txn(zxid, path=, data=): a create, decoded."""
    return make_txn


@pytest.fixture
def payload():
    return lambda zxid, size=1: make_txn(zxid, data=b"d" * size).encode()


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def places():
    return Places.of("data")


@pytest.fixture
def disk(places):
    memory = MemoryDisk()
    memory.make_directory("data")
    memory.make_directory(places.snapshots)
    return memory


@pytest.fixture
def log(disk, places):
    return TxnLog(disk, places.logs, preallocate_bytes=16 << 10)


@pytest.fixture
def load_vector():
    """Copy a folder of the vectors to a disk, as `data/version-2`."""

    def copy(disk, case):
        for path in (VECTORS / case).rglob("*"):
            if path.is_file():
                name = "data/" + path.relative_to(VECTORS / case).as_posix()
                disk.make_directory(name.rpartition("/")[0])
                file = disk.create(name)
                file.write(0, path.read_bytes())
                file.sync()
        for directory in disk.directories:
            disk.sync_directory(directory)

    return copy


@pytest.fixture
def files(disk, places):
    return MemberFiles(disk, places, RestoreOptions(batch_bytes_max=64 << 10))


@pytest.fixture
def built(disk, places, files, server, log):
    """Snapshots 0 and 10 and 20 of epoch 1, and logs up to 25."""
    files.load()
    files.save_epoch(ACCEPTED, 1)
    files.save_epoch(CURRENT, 1)
    server.zxid = 1 << 32
    for count in (10, 10, 5):
        log.append(server.batch(count))
        if count == 10:
            for _ in save(disk, places.snapshots, server.tree):
                pass
            log.roll()
    log.close()
    return server
