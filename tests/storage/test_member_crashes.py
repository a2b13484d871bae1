"""A member loses power anywhere, and sectors go bad: what it then takes for its data is right, or it is in doubt.

A machine with a MemoryDisk runs a random program of what a member does (txns, rolls, snapshots, purges, new epochs,
TRUNC, SNAP), loses power before a random step, and starts again.
"""

import os
from collections import deque
from copy import deepcopy
from random import Random

import pytest

from pyzk.errors import DamageError, StorageError
from pyzk.storage import member, switch
from pyzk.storage.database import RestoreOptions
from pyzk.storage.epochs import ACCEPTED, CURRENT
from pyzk.storage.logreader import LogReader
from pyzk.storage.member import DOUBT, MemberFiles
from pyzk.storage.memory import MemoryDisk
from pyzk.storage.names import Places, logs, snapshots
from pyzk.storage.retention import purge
from pyzk.storage.snapshot import save
from pyzk.storage.txnlog import TxnLog
from tests.storage.test_durability import Fuse, PowerCut

SEEDS = int(os.environ.get("PYZK_DURABILITY_SEEDS", "200"))
BOOTS = 6
BATCH_BYTES_MAX = 8 << 10
DIRECTORY = "data/version-2"


class History:
    """Digests of the tree after each txn, and the zxid below which nothing may be missing."""

    def __init__(self, digests, least):
        self.digests = digests
        self.least = least

    def has(self, stored):
        return stored.last_zxid >= self.least and self.digests.get(stored.last_zxid) == stored.tree.digest

    def end_at(self, zxid):
        self.least = zxid
        self.digests = {found: digest for found, digest in self.digests.items() if found <= zxid}


class Member:
    def __init__(self, rng, make_server):
        self.rng = rng
        self.make_server = make_server
        self.disk = MemoryDisk()
        self.places = Places.of("data")
        self.disk.make_directory("data")
        self.files = MemberFiles(self.disk, self.places, RestoreOptions(batch_bytes_max=BATCH_BYTES_MAX))
        self.histories = [History({0: make_server().tree.digest}, 0)]
        self.epoch = 0
        self.corrupted = False

    def run(self, *, corrupting=False):
        """Boots; returns why the member was in doubt each time, which is never if nothing was corrupted."""
        doubts = []
        for _ in range(BOOTS):
            self.disk.journal = Fuse(self.rng.randrange(1, 90))
            try:
                self.live()
            except PowerCut:
                self.disk.crash(self.rng)
            self.disk.journal = deque()
            if corrupting and self.rng.random() < 0.5:
                self.corrupt()
            stored = self.files.load()
            if stored.doubt:
                doubts.append(stored.doubt)
                assert self.corrupted, stored.doubt
                self.be_healed()
            self.boot()
        return doubts

    def boot(self):
        stored = self.files.load()
        assert stored.doubt == ""
        fitting = [history for history in self.histories if history.has(stored)]
        assert fitting, f"a tree at 0x{stored.last_zxid:x} that nobody has seen"
        self.histories = fitting[-1:]
        self.histories[0].end_at(stored.last_zxid)
        assert stored.digest_mismatches == 0
        assert stored.accepted_epoch >= stored.current_epoch >= stored.last_zxid >> 32
        self.epoch = max(self.epoch, stored.accepted_epoch)
        self.go_on(stored.tree, stored.last_zxid)

    def go_on(self, tree, zxid):
        self.server = self.make_server()
        self.server.tree, self.server.zxid = tree, zxid
        self.log = TxnLog(self.disk, self.places.logs, preallocate_bytes=16 << 10, batch_bytes_max=BATCH_BYTES_MAX)
        self.snapshot = None

    def live(self):
        self.boot()
        steps = (self.write, self.log_roll, self.save, self.purge, self.new_epoch, self.truncate, self.install)
        while True:
            self.rng.choices(steps, (12, 2, 4, 1, 1, 1, 1))[0]()

    def write(self):
        history = self.histories[0]
        batch = []
        for _ in range(self.rng.randint(1, 4)):
            batch += self.server.batch(1, self.rng.randint(1, self.rng.choice((1, 300, 1500))))
            history.digests[self.server.zxid] = self.server.tree.digest
        self.log.append(batch)
        history.least = self.server.zxid

    def log_roll(self):
        self.log.roll()

    def save(self):
        if self.snapshot is None:
            self.snapshot = save(self.disk, self.places.snapshots, self.server.tree)
        if next(self.snapshot, None) is None:
            self.snapshot = None

    def drop_snapshot(self):
        if self.snapshot is not None:
            self.snapshot.close()
            self.snapshot = None

    def purge(self):
        purge(self.disk, self.places, 3)

    def begin_epoch(self):
        self.epoch += 1
        self.files.save_epoch(ACCEPTED, self.epoch)

    def new_epoch(self):
        self.begin_epoch()
        self.files.save_epoch(CURRENT, self.epoch)
        self.server.zxid = self.epoch << 32

    def truncate(self):
        history = self.histories[0]
        zxid = self.rng.choice([zxid for zxid in history.digests if zxid <= self.server.tree.last_zxid][-12:])
        self.begin_epoch()
        self.drop_snapshot()
        self.log.roll()
        least, history.least = history.least, zxid
        try:
            is_cut = self.files.truncate(zxid)
        except DamageError:
            assert self.corrupted, "damage comes from nowhere"
            self.be_healed()
            return
        if not is_cut:
            assert self.has_begun_with_a_leaders_tree or self.corrupted, "there was always a snapshot at the beginning"
            history.least = least
            return
        stored = self.files.reload()
        if stored.doubt:
            assert self.corrupted, stored.doubt
            self.be_healed()
            return
        assert stored.last_zxid == zxid
        history.end_at(zxid)
        self.files.save_epoch(CURRENT, self.epoch)
        self.go_on(stored.tree, zxid)
        self.server.zxid = self.epoch << 32

    has_begun_with_a_leaders_tree = False

    def leader(self):
        leader = self.make_server()
        leader.zxid = (self.epoch - self.rng.randint(0, 1)) << 32 | self.rng.randint(0, 5)
        leader.batch(self.rng.randint(1, 30), self.rng.randint(1, 2000))
        return leader

    def install(self):
        self.begin_epoch()
        leader = self.leader()
        tree, tail = deepcopy(leader.tree), []
        for _ in range(self.rng.choice((0, 1, 5))):
            tail += leader.batch(1, self.rng.randint(1, 300))
        zxid = leader.zxid
        self.drop_snapshot()
        self.log.roll()
        self.histories.append(History({zxid: leader.tree.digest}, zxid))
        self.has_begun_with_a_leaders_tree = True
        self.files.install(tree, tail)
        del self.histories[0]
        self.files.save_epoch(CURRENT, self.epoch)
        self.go_on(leader.tree, max(zxid, self.epoch << 32))

    def corrupt(self):
        names = [name for _, name in [*logs(self.disk.names(DIRECTORY)), *snapshots(self.disk.names(DIRECTORY))]]
        self.corrupted = self.corrupted or bool(names)
        for name in self.rng.sample(names, min(len(names), self.rng.randint(1, 2))):
            path = f"{DIRECTORY}/{name}"
            data = self.disk.read(path).rstrip(b"\0")
            if data:
                self.disk.corrupt(path, self.rng.randrange(len(data)), self.rng)

    def be_healed(self):
        """In doubt, also after another crash, until a leader has sent everything."""
        if self.rng.random() < 0.5:
            self.disk.crash(self.rng)
        assert self.files.load().doubt
        self.begin_epoch()
        leader = self.leader()
        self.files.install(leader.tree)
        assert self.files.load().doubt
        self.files.save_epoch(CURRENT, self.epoch)
        self.files.heal()
        assert DOUBT not in self.disk.names(DIRECTORY)
        self.histories = [History({leader.zxid: leader.tree.digest}, leader.zxid)]
        self.go_on(leader.tree, leader.zxid)


@pytest.fixture
def make_server(server):
    return type(server)


def test_member_has_the_old_or_the_new_data_after_every_crash_and_is_never_in_doubt(make_server):
    start = Random().randrange(1 << 32)
    for seed in range(start, start + SEEDS):
        print("seed", seed)
        Member(Random(seed), make_server).run()


def test_member_whose_sectors_went_bad_has_the_right_data_or_is_in_doubt(make_server):
    start = Random().randrange(1 << 32)
    doubts = []
    for seed in range(start, start + SEEDS):
        print("seed", seed)
        doubts += Member(Random(seed), make_server).run(corrupting=True)
    assert len(doubts) > SEEDS // 4


def without_the_note_of_what_is_pending(monkeypatch):
    monkeypatch.setattr(switch, "replace", lambda *_: None)


def without_the_doubt_on_the_disk(monkeypatch):
    monkeypatch.setattr(member, "replace_file", lambda *_: None)


def with_any_damage_at_the_end_taken_for_a_torn_batch(monkeypatch):
    monkeypatch.setattr(LogReader, "is_unwritten", lambda *_: True)


def found_at(make_server, *, corrupting):
    for seed in range(SEEDS):
        try:
            Member(Random(seed), make_server).run(corrupting=corrupting)
        except (AssertionError, StorageError) as error:
            return seed, error
    return None


@pytest.mark.parametrize(
    ("sabotage", "corrupting"),
    [
        (without_the_note_of_what_is_pending, False),
        (without_the_doubt_on_the_disk, True),
        (with_any_damage_at_the_end_taken_for_a_torn_batch, True),
    ],
)
def test_property_fails_when_a_safeguard_is_taken_away(make_server, monkeypatch, sabotage, corrupting):
    sabotage(monkeypatch)
    found = found_at(make_server, corrupting=corrupting)
    print(sabotage.__name__, "found", found)
    assert found is not None, "the property does not notice what is missing"
