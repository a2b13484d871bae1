"""What a member does with the tree that a leader sends it, and with the txns behind that."""

from copy import deepcopy
from random import Random

import pytest

from pyzk.storage.database import RestoreOptions
from pyzk.storage.epochs import ACCEPTED
from pyzk.storage.member import MemberFiles

DIRECTORY = "data/version-2"


@pytest.mark.usefixtures("built")
def test_installed_tree_is_all_there_is(disk, files, server):
    server.zxid = 3 << 32
    server.batch(2)
    sizes = list(files.install_steps(server.tree))
    assert sizes
    assert [name for name in disk.names(DIRECTORY) if "." in name] == ["snapshot.300000002"]


@pytest.mark.parametrize("count", [1, 4])
def test_txns_behind_an_installed_tree_take_the_place_of_the_log(disk, files, built, count):
    tree = deepcopy(built.tree)
    assert built.zxid == 0x100000019
    tail = built.batch(count)
    files.install(tree, tail)
    disk.crash(Random(1))
    assert [name for name in disk.names(DIRECTORY) if "." in name] == ["log.10000001a", "snapshot.100000019"]
    stored = files.load()
    assert (stored.last_zxid, stored.doubt, stored.tree.digest) == (built.zxid, "", built.tree.digest)
    assert list(stored.recent) == tail


def test_a_tree_that_has_some_of_what_follows_it_is_no_wrong_digest(files, built):
    """Apache's leader goes on while it sends its tree."""
    tail = built.batch(4)
    tree = deepcopy(built.tree)
    tree.last_zxid = tail[0][0] - 1
    files.install(tree, tail)
    stored = files.load()
    assert (stored.last_zxid, stored.digest_mismatches, stored.notes) == (built.zxid, 0, [])
    assert stored.tree.digest == built.tree.digest


def test_txns_that_cannot_be_read_do_not_keep_a_tree_from_the_disk(disk, files, built):
    files.install(deepcopy(built.tree), [(built.zxid + 1, b"no txn")])
    assert "snapshot.100000019" in disk.names(DIRECTORY)


def test_a_log_that_came_with_a_tree_may_have_the_name_of_one_that_was_there(disk, files, built, payload):
    tree = deepcopy(built.tree)
    tree.last_zxid = 0x10000000A
    tail = [(0x10000000B, payload(0x10000000B))]
    assert "log.10000000b" in disk.names(DIRECTORY)
    files.install(tree, tail)
    stored = files.load()
    assert (stored.last_zxid, list(stored.recent)) == (0x10000000B, tail)


@pytest.mark.usefixtures("built")
def test_what_a_crash_has_left_of_a_log_that_came_with_a_tree_is_removed(disk, files):
    disk.create(f"{DIRECTORY}/log.100000020.tmp").write(0, b"ZKLG")
    assert files.load().last_zxid == 0x100000019
    assert "log.100000020.tmp" not in disk.names(DIRECTORY)


@pytest.mark.usefixtures("built")
def test_install_that_is_given_up_leaves_everything_as_it_was(disk, files, server):
    before, tree = disk.names(DIRECTORY), server.tree
    server.batch(200, 1000)
    steps = files.install_steps(tree)
    next(steps)
    steps.close()
    assert disk.names(DIRECTORY) == before
    assert files.load().last_zxid == 0x100000019


@pytest.mark.parametrize(
    ("snapshot", "first"), [(1 << 32, (1 << 32) + 1), (5, (2 << 32) + 1), ((1 << 32) + 7, 0x100000008)]
)
def test_log_goes_on_behind_an_installed_tree(files, log, server, snapshot, first):
    files.load()
    files.save_epoch(ACCEPTED, 2)
    server.zxid = snapshot - 1
    server.batch(1)
    files.install(server.tree)
    server.zxid = first - 1
    log.append(server.batch(3))
    stored = files.load()
    assert (stored.last_zxid, stored.doubt, stored.replayed) == (first + 2, "", 3)
    assert stored.tree.digest == server.tree.digest


def test_installed_snapshot_has_the_compression_that_is_set(disk, places, server):
    files = MemberFiles(disk, places, RestoreOptions(compression="gz"), with_last_zxid=False)
    files.load()
    server.batch(2)
    files.install(server.tree)
    assert "snapshot.2.gz" in disk.names(DIRECTORY)
    assert files.load().last_zxid == 2
