"""What a member asks of its disk, over files in memory: strict order, group commit, full and broken disks."""

import asyncio
import threading
from collections.abc import AsyncIterator
from copy import deepcopy
from random import Random
from typing import Any

import pytest

from pyzk.errors import FsyncError, StorageError
from pyzk.server.logwriter import LogWriter, Outcomes
from pyzk.server.memberdisk import DiskReports, MemberDisk
from pyzk.storage.database import RestoreOptions
from pyzk.storage.epochs import ACCEPTED, CURRENT, read_epoch
from pyzk.storage.member import MemberFiles, Stored
from pyzk.storage.memory import MemoryDisk
from pyzk.storage.names import Places
from pyzk.storage.txnlog import TxnLog
from pyzk.zab.effects import Append, Doubt, Heal, Install, ReadLog, SaveEpoch, Truncate
from pyzk.zab.events import Done, LogRead, Reloaded, Uncut, Unwritten
from tests.server.shell import until
from tests.storage.conftest import Server as LeaderStub

BATCH_BYTES_MAX = 64 << 10
PLENTY = 1 << 50
PLACES = Places.of("/data", "/data")
EPOCH = 1 << 32


class Member:
    """A disk with its queue, a tree beside it, and what was told."""

    def __init__(self, quick_ms_max: float = 0) -> None:
        self.disk = MemoryDisk()
        self.events: list[Any] = []
        self.failures: list[BaseException] = []
        self.calls: list[str] = []
        self.server = LeaderStub()
        self.server.zxid = EPOCH
        self.start(quick_ms_max)

    def start(self, quick_ms_max: float) -> None:
        self.files = MemberFiles(self.disk, PLACES, RestoreOptions(batch_bytes_max=BATCH_BYTES_MAX))
        self.files.load()
        for name in (ACCEPTED, CURRENT):
            self.files.save_epoch(name, 1)
        self.stored = self.files.load()
        self.tree = self.stored.tree
        log = TxnLog(self.disk, PLACES.logs, preallocate_bytes=64 << 10, batch_bytes_max=BATCH_BYTES_MAX)
        outcomes = Outcomes(self.logged, self.log_failed)
        self.writer = LogWriter(log, outcomes, quick_ms_max)
        reports = DiskReports(self.events.append, lambda: self.tree.last_zxid, self.replace_tree, self.failures.append)
        self.queue = MemberDisk(self.files, self.writer, self.stored.last_zxid, reports, retry_seconds=0)

    def logged(self, tokens: list[int]) -> None:
        self.queue.logged(tokens)

    def log_failed(self, error: StorageError, tokens: list[int]) -> None:
        self.queue.log_failed(error, tokens)

    def replace_tree(self, stored: Stored) -> None:
        self.tree = stored.tree

    def ask(self, *effects: Any) -> None:
        for effect in effects:
            self.queue.submit(effect)
        self.queue.start()
        self.writer.start_soon()

    def batch(self, token: int, count: int = 1, size_bytes: int = 0) -> Append:
        return Append(self.server.batch(count, size_bytes), token)

    async def done(self, token: int) -> None:
        def is_done() -> bool:
            return any(getattr(event, "token", 0) >= token for event in self.events)

        await until(is_done, f"{token} is done")

    def reopened(self) -> Stored:
        return MemberFiles(self.disk, PLACES, RestoreOptions(batch_bytes_max=BATCH_BYTES_MAX)).load()


@pytest.fixture
async def member() -> AsyncIterator[Member]:
    member = Member()
    yield member
    if not member.failures:
        await member.queue.close()


# Order.


async def test_txns_of_one_turn_share_a_sync_and_their_tokens_come_back_as_one(member: Member) -> None:
    syncs = member.disk.syncs
    member.ask(*[member.batch(token, 3) for token in range(1, 21)])
    await member.done(20)
    assert member.events == [Done(20)]
    assert member.disk.syncs - syncs == 2, "of a new file, and of its directory"
    assert member.reopened().last_zxid == EPOCH + 60


async def test_everything_is_done_in_order_and_told_in_order(member: Member) -> None:
    member.ask(
        member.batch(1),
        SaveEpoch(ACCEPTED, 2, 2),
        member.batch(3),
        member.batch(4),
        Doubt("lost", 5),
        Heal(6),
        SaveEpoch(CURRENT, 2, 7),
        member.batch(8),
    )
    assert member.events == [], "nothing is told from within an effect"
    await member.done(8)
    assert [event.token for event in member.events] == [1, 2, 4, 5, 6, 7, 8]
    stored = member.reopened()
    assert (stored.accepted_epoch, stored.current_epoch, stored.last_zxid) == (2, 2, EPOCH + 4)
    assert stored.doubt == ""


async def test_an_epoch_is_not_written_before_the_txns_that_came_first_are_durable(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ZOOKEEPER-4643, 4646: a crash between the two must leave the old epoch."""
    seen: list[int] = []
    save = member.files.save_epoch

    def save_epoch(name: str, epoch: int) -> None:
        seen.append(member.reopened().last_zxid)
        save(name, epoch)

    monkeypatch.setattr(member.files, "save_epoch", save_epoch)
    member.ask(member.batch(1, 5), SaveEpoch(CURRENT, 1, 2), member.batch(3, 5))
    await member.done(3)
    assert seen == [EPOCH + 5]


async def test_what_is_no_txn_is_done_in_a_thread_of_its_own(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    monkeypatch.setattr(member.files, "heal", lambda: threads.append(threading.current_thread().name))
    member.ask(Heal(1))
    await member.done(1)
    assert threads[0].startswith("member-disk")


async def test_a_batch_that_is_too_long_for_the_log_is_done_with_its_last_part(member: Member) -> None:
    member.ask(member.batch(1, 40, 5000), member.batch(2))
    await member.done(2)
    assert member.events == [Done(2)], "its last part went together with the next one"
    assert member.writer.batch_txns.count >= 4
    assert member.reopened().last_zxid == EPOCH + 41


# Another history.


async def test_a_cut_above_the_tree_leaves_the_tree_alone_and_the_log_goes_on_in_a_new_file(member: Member) -> None:
    member.ask(member.batch(1, 10))
    await member.done(1)
    member.server = LeaderStub()
    member.server.zxid = EPOCH + 4
    member.ask(Truncate(EPOCH + 4, 2), Append([member.server.one(b"/other", b"x")], 3))
    await member.done(3)
    assert member.events == [Done(1), Done(2), Done(3)]
    assert member.reopened().last_zxid == EPOCH + 5
    assert b"/other" in member.reopened().tree.nodes


async def test_a_cut_below_the_tree_loads_it_anew(member: Member) -> None:
    member.ask(member.batch(1, 10))
    await member.done(1)
    member.tree = member.server.tree
    member.ask(Truncate(EPOCH + 4, 2))
    await member.done(2)
    assert member.events[-1] == Reloaded(2, EPOCH + 4, member.reopened().recent, "")
    assert member.tree.last_zxid == EPOCH + 4


async def test_a_cut_below_the_only_tree_is_refused_and_the_log_goes_on(member: Member) -> None:
    leader = LeaderStub()
    leader.zxid = EPOCH + 5
    leader.batch(3, 100)
    member.ask(Install(leader.tree, 1))
    await member.done(1)
    member.tree = leader.tree
    member.ask(Truncate(EPOCH + 4, 2), Append([leader.one(b"/behind", b"x")], 3))
    await member.done(3)
    assert member.events == [Done(1), Uncut(2), Done(3)]
    assert member.reopened().last_zxid == EPOCH + 9


async def test_a_tree_from_the_leader_takes_the_place_of_everything(member: Member) -> None:
    member.ask(member.batch(1, 10))
    await member.done(1)
    leader = LeaderStub()
    leader.zxid = 2 * EPOCH
    leader.batch(500, 100)
    member.ask(Install(leader.tree, 2), Append([leader.one(b"/behind", b"x")], 3))
    await member.done(3)
    assert member.events == [Done(1), Done(2), Done(3)]
    stored = member.reopened()
    assert stored.last_zxid == 2 * EPOCH + 501
    assert stored.tree.digest == leader.tree.digest


async def test_a_tree_comes_with_the_log_behind_it(member: Member) -> None:
    leader = LeaderStub()
    leader.zxid = 2 * EPOCH
    leader.batch(5, 100)
    tree = deepcopy(leader.tree)
    member.ask(Install(tree, 1, leader.batch(2, 10)), Append([leader.one(b"/behind", b"x")], 2))
    await member.done(2)
    stored = member.reopened()
    assert (stored.last_zxid, stored.replayed) == (2 * EPOCH + 8, 3)
    assert stored.tree.digest == leader.tree.digest


async def test_the_loop_turns_while_a_tree_is_written(member: Member) -> None:
    """Pings and elections go on."""
    leader = LeaderStub()
    leader.zxid = 2 * EPOCH
    leader.batch(3000, 100)
    turns = 0
    member.ask(Install(leader.tree, 1))
    while not member.events:
        turns += 1
        await asyncio.sleep(0)
    assert turns > 10


# Reading for a learner.


async def test_log_files_are_read_behind_what_was_appended_before(member: Member) -> None:
    entries = member.server.batch(20)
    member.ask(Append(entries, 1), ReadLog(EPOCH + 4, EPOCH + 20, 1e9, 2))
    await member.done(2)
    assert member.events == [Done(1), LogRead(2, entries[4:])]


async def test_a_log_that_does_not_reach_back_is_told_so(member: Member) -> None:
    member.ask(member.batch(1, 5), ReadLog(EPOCH - 7, EPOCH + 5, 1e9, 2))
    await member.done(2)
    assert member.events[-1] == LogRead(2, None)


async def test_a_log_that_cannot_be_read_is_told_so(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_log(*_: object) -> None:
        raise StorageError("input/output error")

    monkeypatch.setattr(member.files, "read_log", read_log)
    member.ask(ReadLog(0, EPOCH, 1.0, 1))
    await member.done(1)
    assert member.events == [LogRead(1, None)]
    assert not member.failures


async def test_txns_are_logged_while_files_are_read_and_a_cut_waits(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = threading.Event()

    def read_log(*_: object) -> list[tuple[int, bytes]]:
        may_end.wait(20)
        return []

    monkeypatch.setattr(member.files, "read_log", read_log)
    member.ask(member.batch(1, 3), ReadLog(0, EPOCH, 1.0, 2), member.batch(3, 3), SaveEpoch(ACCEPTED, 2, 4))
    member.ask(Truncate(EPOCH + 3, 5))
    await member.done(4)
    await asyncio.sleep(0)
    assert [event.token for event in member.events] == [1, 3, 4]
    may_end.set()
    await member.done(5)
    assert [event.token for event in member.events] == [1, 3, 4, 2, 5]


async def test_no_cut_comes_between_what_is_done_beside_and_nothing_new_begins_before_it(member: Member) -> None:
    member.ask(member.batch(1, 3))
    await member.done(1)
    order: list[str] = []

    async def beside(name: str) -> None:
        async with member.queue.beside():
            order.append(name)

    async with member.queue.beside():
        member.ask(Truncate(EPOCH + 2, 2))
        second = asyncio.create_task(beside("second"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert (order, member.events) == ([], [Done(1)])
    await second
    assert member.events == [Done(1), Done(2)]
    assert order == ["second"]


# A full disk.


def fill(member: Member) -> None:
    member.disk.capacity_bytes = 0


async def test_a_full_disk_drops_what_is_under_way_and_takes_more_later(member: Member) -> None:
    member.ask(member.batch(1))
    await member.done(1)
    fill(member)
    member.ask(member.batch(2), member.batch(3), SaveEpoch(ACCEPTED, 9, 4), member.batch(5))
    await member.done(2)
    (_, unwritten) = member.events
    assert isinstance(unwritten, Unwritten)
    assert unwritten.token == 2
    member.disk.capacity_bytes = PLENTY
    server = LeaderStub()
    server.zxid = EPOCH + 1
    member.ask(Append(server.batch(2), 6))
    await member.done(6)
    assert [event.token for event in member.events] == [1, 2, 6]
    assert member.reopened().last_zxid == EPOCH + 3
    assert read_epoch(member.disk, PLACES.snapshots, ACCEPTED) == 1, "what came behind was dropped"
    assert not member.failures


async def test_the_first_parts_of_a_batch_that_did_not_fit_are_cut(member: Member) -> None:
    member.ask(member.batch(1, 3))
    await member.done(1)
    used = member.disk.capacity_bytes - member.disk.free_bytes("")
    member.disk.capacity_bytes = used + 150_000
    member.ask(member.batch(2, 100, 5000), member.batch(3))
    await member.done(2)
    assert isinstance(member.events[-1], Unwritten)
    assert member.events[-1].token == 2
    assert member.reopened().last_zxid == EPOCH + 3
    member.disk.capacity_bytes = PLENTY
    server = LeaderStub()
    server.zxid = EPOCH + 3
    member.ask(Append(server.batch(1), 4))
    await member.done(4)
    assert member.reopened().last_zxid == EPOCH + 4


async def test_an_epoch_waits_until_there_is_space_for_it(member: Member) -> None:
    """Meanwhile this server takes no part, and the others go on without it."""
    fill(member)
    member.ask(SaveEpoch(ACCEPTED, 3, 1))
    for _ in range(50):
        await asyncio.sleep(0)
    assert member.events == []
    member.disk.capacity_bytes = PLENTY
    await member.done(1)
    assert read_epoch(member.disk, PLACES.snapshots, ACCEPTED) == 3
    assert not member.failures


async def test_a_tree_that_does_not_fit_is_installed_when_there_is_space(member: Member) -> None:
    leader = LeaderStub()
    leader.zxid = 2 * EPOCH
    leader.batch(1000, 100)
    used = member.disk.capacity_bytes - member.disk.free_bytes("")
    member.disk.capacity_bytes = used + 50_000
    member.ask(Install(leader.tree, 1))
    for _ in range(50):
        await asyncio.sleep(0)
    assert member.events == []
    member.disk.capacity_bytes = PLENTY
    await member.done(1)
    assert member.reopened().tree.digest == leader.tree.digest


# A broken disk.


@pytest.mark.parametrize("effect", [Append([(EPOCH + 1, bytes(100))], 1), SaveEpoch(ACCEPTED, 2, 1), Heal(1)])
async def test_a_failed_sync_is_the_end(member: Member, effect: Any) -> None:
    member.disk.failing_syncs = True
    member.ask(effect, SaveEpoch(CURRENT, 2, 2))
    await until(lambda: member.failures, "it has failed")
    assert isinstance(member.failures[0], FsyncError)
    member.ask(SaveEpoch(CURRENT, 3, 3))
    await member.queue.stop()
    assert member.events == []
    assert read_epoch(member.disk, PLACES.snapshots, CURRENT) == 1


# The end.


async def test_closing_waits_for_what_is_under_way() -> None:
    member = Member()
    member.ask(member.batch(1, 10), SaveEpoch(ACCEPTED, 2, 2), member.batch(3, 10))
    await member.queue.close()
    assert member.events[-1] == Done(3)
    assert member.reopened().last_zxid == EPOCH + 20


# Chance.


@pytest.mark.parametrize("quick_ms_max", [0, 1e9])
async def test_whatever_is_asked_for_a_crash_leaves_what_was_told(rng: Random, quick_ms_max: float) -> None:
    member = Member(quick_ms_max)
    zxid_of = {0: EPOCH}
    token = 0
    for _ in range(60):
        effects: list[Any] = []
        for _ in range(rng.randrange(1, 5)):
            token += 1
            if rng.random() < 0.7:
                effects.append(member.batch(token, rng.randrange(1, 30), rng.randrange(3000)))
            elif rng.random() < 0.5:
                effects.append(SaveEpoch(ACCEPTED, token, token))
            else:
                effects.append(Doubt("lost", token))
                token += 1
                effects.append(Heal(token))
            zxid_of[token] = member.server.zxid
        member.ask(*effects)
        for _ in range(rng.randrange(20)):
            await asyncio.sleep(0)
    done = max((event.token for event in member.events), default=0)
    tokens = [event.token for event in member.events]
    assert tokens == sorted(tokens)
    await member.queue.stop()
    await member.writer.close()
    done = max(event.token for event in member.events)
    member.disk.crash(rng)
    known = max(t for t in zxid_of if t <= done)
    stored = member.reopened()
    assert stored.last_zxid >= zxid_of[known]
