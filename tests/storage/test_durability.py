"""Whatever was acknowledged is there after any crash, and the tree is that of a whole number of txns.

A machine with a MemoryDisk runs a random program (batches, rolls, snapshots, purges, full disks) and loses power before
a random step, or is killed there, again and again, also while it restores and cuts. Taking away any one of the syncs
makes this fail.
"""

import os
from collections import deque
from random import Random

import pytest

from pyzk.errors import DiskFullError, StorageError
from pyzk.storage import database
from pyzk.storage.database import RestoreOptions, restore
from pyzk.storage.memory import Inode, MemoryDisk
from pyzk.storage.names import Places
from pyzk.storage.retention import purge
from pyzk.storage.snapshot import SnapshotFile, save
from pyzk.storage.txnlog import TxnLog

SEEDS = int(os.environ.get("PYZK_DURABILITY_SEEDS", "200"))
BOOTS = 5
BATCH_BYTES_MAX = 8 << 10


class PowerCut(Exception):  # noqa: N818
    pass


class Fuse(deque):
    """Stands in for the journal of the disk: every step passes here, and the last one does not happen."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def append(self, _):
        self.steps -= 1
        if self.steps < 0:
            raise PowerCut


class Machine:
    def __init__(self, rng, make_server):
        self.rng = rng
        self.disk = MemoryDisk()
        self.places = Places.of("data")
        self.disk.make_directory("data")
        self.make_server = make_server
        self.acknowledged = 0
        self.digests = {0: make_server().tree.digest}
        self.options = RestoreOptions(batch_bytes_max=BATCH_BYTES_MAX)

    def run(self):
        for _ in range(BOOTS):
            self.disk.journal = Fuse(self.rng.randrange(1, 60))
            try:
                self.live()
            except PowerCut:
                self.disk.capacity_bytes = 1 << 50
                self.end()
        self.disk.journal = deque()
        self.boot()

    def end(self):
        """Most often with the power; else the process was killed, and what it has not synced is in the page cache."""
        if self.rng.random() < 0.7:
            self.disk.crash(self.rng)
        else:
            self.disk.boots += 1

    def boot(self):
        restored = restore(self.disk, self.places, self.options)
        last_zxid = restored.last_zxid
        assert last_zxid >= self.acknowledged, f"acknowledged 0x{self.acknowledged:x}, found 0x{last_zxid:x}"
        assert restored.tree.digest == self.digests[last_zxid], f"the tree at 0x{last_zxid:x} is another one"
        assert restored.digest_mismatches == 0
        # What was found is told to clients from now on, so it must stay.
        self.acknowledged = last_zxid
        self.server = self.make_server()
        self.server.tree, self.server.zxid = restored.tree, last_zxid
        self.log = TxnLog(self.disk, self.places.logs, preallocate_bytes=16 << 10, batch_bytes_max=BATCH_BYTES_MAX)
        self.snapshot = None

    def live(self):
        self.boot()
        while True:
            step = self.rng.choices((self.write, self.roll, self.save, self.purge, self.fill), (12, 1, 4, 1, 1))[0]
            step()

    def write(self):
        size = self.rng.choice((1, 300, 1500))
        before, last = self.server.tree, self.server.zxid
        batch = []
        for _ in range(self.rng.randint(1, 4)):
            batch += self.server.batch(1, self.rng.randint(1, size))
            self.digests[self.server.zxid] = self.server.tree.digest
        try:
            self.log.append(batch)
        except DiskFullError:
            assert before is self.server.tree
            self.disk.capacity_bytes = 1 << 50
            self.forget(last)
        else:
            self.acknowledged = self.server.zxid

    def forget(self, zxid):
        """Drop the outstanding txns: this server applies before it logs, so it takes the tree of the log."""
        restored = restore(self.disk, self.places, self.options)
        assert restored.last_zxid == zxid
        self.server.tree, self.server.zxid = restored.tree, zxid
        self.log.roll()
        self.snapshot = None

    def roll(self):
        self.log.roll()

    def save(self):
        """A few chunks of a snapshot at a time, writes in between."""
        if self.snapshot is None:
            self.snapshot = save(self.disk, self.places.snapshots, self.server.tree, self.rng.choice(("", "gz")))
        try:
            if next(self.snapshot, None) is None:
                self.snapshot = None
        except DiskFullError:
            self.disk.capacity_bytes = 1 << 50
            self.snapshot = None

    def purge(self):
        purge(self.disk, self.places, 3)

    def fill(self):
        self.disk.capacity_bytes = self.disk.capacity_bytes - self.disk.free_bytes("") + self.rng.randrange(1000)


@pytest.fixture
def make_server(server):
    return type(server)


def test_every_acknowledged_txn_survives_every_crash(make_server):
    start = Random().randrange(1 << 32)
    for seed in range(start, start + SEEDS):
        print("seed", seed)
        Machine(Random(seed), make_server).run()


def without_log_sync(monkeypatch):
    monkeypatch.setattr(TxnLog, "_sync", lambda *_: None)


def without_any_file_sync(monkeypatch):
    monkeypatch.setattr(Inode, "sync", lambda *_: None)


def without_directory_sync(monkeypatch):
    monkeypatch.setattr(MemoryDisk, "sync_directory", lambda *_: None)


def without_snapshot_sync(monkeypatch):
    """Apache's way for plain snapshots."""

    def finish(self):
        self.disk.rename(self.temporary, self.path)
        self.disk.sync_directory(self.directory)
        self.file.close()

    monkeypatch.setattr(SnapshotFile, "finish", finish)


def without_syncs_at_a_start(monkeypatch):
    monkeypatch.setattr(database, "_make_durable", lambda *_: None)


def found_at(make_server, seeds, *, lying=False):
    """The first seed that fails, and how; a database that cannot be restored is a failure too."""
    for seed in seeds:
        machine = Machine(Random(seed), make_server)
        machine.disk.lying = lying
        try:
            machine.run()
        except (AssertionError, StorageError) as error:
            return seed, error
    return None


@pytest.mark.parametrize(
    "sabotage",
    [
        without_log_sync,
        without_any_file_sync,
        without_directory_sync,
        without_snapshot_sync,
        without_syncs_at_a_start,
    ],
)
def test_property_fails_when_a_sync_is_taken_away(make_server, monkeypatch, sabotage):
    sabotage(monkeypatch)
    found = found_at(make_server, range(SEEDS))
    print(sabotage.__name__, "found", found)
    assert found is not None, "the property does not notice the missing sync"


def test_property_fails_on_a_disk_that_lies(make_server):
    assert found_at(make_server, range(SEEDS), lying=True) is not None
