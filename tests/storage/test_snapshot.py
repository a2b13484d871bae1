"""Snapshots: bytes, seals, forms of the tail, order of writes and syncs."""

import json
from pathlib import Path
from random import Random
from zlib import adler32

import pytest

from pyzk.errors import CorruptionError, DiskFullError
from pyzk.storage import snapshot
from pyzk.storage.snapshot import SEAL, Encoding, SnapshotDigest, candidates, load, save, sealed
from pyzk.tree.apply import apply

DIRECTORY = "data/version-2"
VECTORS = Path(__file__).parents[1] / "vectors" / "storage"
EXPECTED = json.loads((VECTORS / "expected.json").read_text())


def put(disk, name, data):
    file = disk.create(f"{DIRECTORY}/{name}")
    file.write(0, data)
    file.sync()
    disk.sync_directory(DIRECTORY)


def exhaust(steps):
    for _ in steps:
        pass


@pytest.mark.parametrize("case", ["b-snap-395/version-2/snapshot.1c", "c-snap-380/version-2/snapshot.1c"])
def test_vector_is_written_again_byte_for_byte(disk, case):
    """Our walk keeps the order in which the nodes were read, so the whole file must be the same."""
    data = (VECTORS / case).read_bytes()
    put(disk, "snapshot.1c", data)
    read = load(disk, DIRECTORY, "snapshot.1c")
    assert b"".join(sealed(snapshot.walk(read.tree), read.digest, read.last_zxid)) == data


@pytest.mark.parametrize("name", ["f-quorum-member-395", "g-quorum-member-380"])
def test_member_snapshots_are_written_again_byte_for_byte(disk, name):
    for path in sorted((VECTORS / name / "version-2").glob("snapshot.*")):
        put(disk, path.name, path.read_bytes())
        read = load(disk, DIRECTORY, path.name)
        assert b"".join(sealed(snapshot.walk(read.tree), read.digest, read.last_zxid)) == path.read_bytes()


@pytest.mark.parametrize("case", ["b-snap-395", "c-snap-380", "d-snap-gz", "e-snap-snappy"])
def test_sections_of_the_vectors(disk, load_vector, case):
    load_vector(disk, case)
    expected = EXPECTED[case]
    (name,) = candidates(disk, DIRECTORY)
    read = load(disk, DIRECTORY, name)
    section = expected["digest_section"]
    assert read.digest == SnapshotDigest(int(section["zxid"], 16), section["version"], int(section["treeDigest"], 16))
    last_zxid = expected["lastProcessedZxid_section"]
    assert read.last_zxid == (None if last_zxid is None else int(last_zxid, 16))
    assert read.tree.sessions == {int(key, 16): value for key, value in expected["sessions"].items()}
    assert [path.decode() if path != b"/" else "" for path in read.tree.nodes] == expected["node_order"]


@pytest.mark.parametrize("compression", ["", "gz", "snappy"])
def test_saved_tree_is_loaded_again(disk, server, compression):
    server.batch(500, size=300)
    server.tree.sessions[99] = 4000
    exhaust(save(disk, DIRECTORY, server.tree, compression))
    (name,) = candidates(disk, DIRECTORY)
    read = load(disk, DIRECTORY, name)
    assert (read.zxid, read.last_zxid) == (500, 500)
    assert read.digest == SnapshotDigest(500, 2, server.tree.digest)
    assert (read.tree.digest, read.tree.sessions) == (server.tree.digest, {99: 4000})
    assert list(read.tree.nodes) == list(server.tree.nodes)


@pytest.mark.parametrize("compression", ["", "gz", "snappy"])
def test_snapshot_is_point_in_time_while_txns_go_on(disk, server, compression):
    server.batch(3000, size=100)
    digest = server.tree.digest
    steps = save(disk, DIRECTORY, server.tree, compression)
    for _ in steps:
        server.batch(10)
    assert server.zxid > 3050
    (name,) = candidates(disk, DIRECTORY)
    read = load(disk, DIRECTORY, name)
    assert (read.zxid, read.digest.zxid, read.tree.digest, len(read.tree.nodes)) == (3000, 3000, digest, 3004)


def test_file_gets_its_name_only_when_it_is_durable(disk, server):
    server.batch(2)
    disk.journal.clear()
    exhaust(save(disk, DIRECTORY, server.tree))
    verbs = [verb for verb, _ in disk.journal]
    assert verbs[0] == "create"
    assert verbs[-3:] == ["sync", "rename", "sync_directory"]
    assert set(verbs[1:-3]) == {"write"}


@pytest.mark.parametrize("seed", range(30))
def test_crash_leaves_a_whole_snapshot_or_none(disk, server, seed):
    rng = Random(seed)
    server.batch(500, size=200)
    steps = save(disk, DIRECTORY, server.tree)
    for _ in range(rng.randrange(8)):
        next(steps, None)
    steps.close()
    disk.crash(rng)
    for name in candidates(disk, DIRECTORY):
        assert load(disk, DIRECTORY, name).tree.digest == server.tree.digest


def test_finished_snapshot_survives_any_crash(disk, server):
    server.batch(50)
    exhaust(save(disk, DIRECTORY, server.tree))
    for seed in range(30):
        disk.crash(Random(seed))
        assert candidates(disk, DIRECTORY) == ["snapshot.32"]


def test_full_disk_leaves_nothing_behind_and_ends_the_walk(disk, server):
    server.batch(2000, size=100)
    disk.capacity_bytes = 100_000
    with pytest.raises(DiskFullError):
        exhaust(save(disk, DIRECTORY, server.tree))
    assert disk.names(DIRECTORY) == []
    assert server.tree.walks == []


def test_snapshot_given_up_leaves_nothing_behind_and_ends_the_walk(disk, server):
    server.batch(2000, size=100)
    steps = save(disk, DIRECTORY, server.tree)
    next(steps)
    next(steps)
    assert disk.names(DIRECTORY) == ["snapshot.7d0.tmp"]
    assert server.tree.walks
    steps.close()
    assert disk.names(DIRECTORY) == []
    assert server.tree.walks == []


def test_left_over_of_a_crash_is_in_nobodys_way(disk, server):
    put(disk, "snapshot.2.tmp", b"half")
    server.batch(2)
    exhaust(save(disk, DIRECTORY, server.tree))
    assert disk.names(DIRECTORY) == ["snapshot.2"]
    put(disk, "snapshot.9.tmp", b"half")
    assert snapshot.remove_unfinished(disk, DIRECTORY) == ["snapshot.9.tmp"]
    assert disk.names(DIRECTORY) == ["snapshot.2"]


def tail_forms(tree):
    digest = SnapshotDigest(tree.last_zxid, 2, tree.digest)
    forms = [(None, None), (digest, None), (digest, tree.last_zxid), (None, tree.last_zxid)]
    return [(form, b"".join(sealed(snapshot.walk(tree), *form))) for form in forms]


def test_row_11_every_form_of_the_tail_is_read(disk, server):
    """Among them the one of digest.enabled=false, which Apache cannot mix with the others (defects, row 11)."""
    server.batch(3)
    for number, (form, data) in enumerate(tail_forms(server.tree), 10):
        put(disk, f"snapshot.{number}", data)
        read = load(disk, DIRECTORY, f"snapshot.{number}")
        assert (read.digest, read.last_zxid) == form
        assert read.tree.digest == server.tree.digest


def test_sections_of_a_later_version_are_ignored(disk, server):
    server.batch(3)
    data = b"".join(Encoding(server.tree)) + bytes(8)
    put(disk, "snapshot.3", data + SEAL.pack(adler32(data), 1, b"/"))
    assert load(disk, DIRECTORY, "snapshot.3").last_zxid == 3


def test_every_damaged_byte_is_found(disk, server):
    server.batch(2)
    data = b"".join(Encoding(server.tree))
    put(disk, "snapshot.2", data)
    file = disk.open(f"{DIRECTORY}/snapshot.2")
    for position in range(len(data)):
        file.write(position, bytes([data[position] ^ 0x41]))
        with pytest.raises(CorruptionError):
            load(disk, DIRECTORY, "snapshot.2")
        file.write(position, data[position : position + 1])


def test_every_cut_is_found_or_harmless(disk, server):
    server.batch(2)
    data = b"".join(Encoding(server.tree))
    seals = {len(form) for _, form in tail_forms(server.tree)[:3]}
    for size in range(len(data)):
        put(disk, "snapshot.2", data[:size])
        whole = candidates(disk, DIRECTORY) == ["snapshot.2"]
        assert whole or size not in seals
        if size in seals:
            assert load(disk, DIRECTORY, "snapshot.2").tree.digest == server.tree.digest
        disk.remove(f"{DIRECTORY}/snapshot.2")


def test_candidates_are_newest_first_and_pass_the_cheap_test(disk):
    end = b"\0\0\0\x01/"
    put(disk, "snapshot.9", b"12345" + end)
    put(disk, "snapshot.10", b"12345" + end)
    put(disk, "snapshot.11", b"1234" + end)  # nine bytes
    put(disk, "snapshot.12", b"12345" + end + b"\0")
    put(disk, "snapshot.13.gz", b"\x1f\x8b")
    put(disk, "snapshot.14.gz", b"\x1f\x8c")
    put(disk, "snapshot.15.snappy", b"\x82SNAPPY\0")
    put(disk, "snapshot.16.snappy", b"\x82SNAPPX\0")
    put(disk, "snapshot.17.tmp", b"12345" + end)
    assert candidates(disk, DIRECTORY) == ["snapshot.15.snappy", "snapshot.13.gz", "snapshot.10", "snapshot.9"]
    assert candidates(disk, DIRECTORY, 2) == ["snapshot.15.snappy", "snapshot.13.gz"]


def test_zxid_of_the_name_counts(disk, server):
    server.batch(3)
    put(disk, "snapshot.2", b"".join(Encoding(server.tree)))
    read = load(disk, DIRECTORY, "snapshot.2")
    assert (read.zxid, read.tree.last_zxid, read.last_zxid) == (2, 2, 3)


def test_snapshots_above_a_zxid_are_removed_durably(disk):
    for name in ("snapshot.2", "snapshot.5.gz", "snapshot.a"):
        put(disk, name, b"")
    assert snapshot.remove_above(disk, DIRECTORY, 4) == ["snapshot.5.gz", "snapshot.a"]
    disk.crash(Random(1))
    assert disk.names(DIRECTORY) == ["snapshot.2"]


def test_row_12_stored_kind_of_a_ttl_node_is_kept(disk, load_vector, txn):
    """Defects, row 12: a Java server without extendedTypesEnabled deletes it while loading."""
    load_vector(disk, "b-snap-395")
    tree = load(disk, DIRECTORY, "snapshot.1c").tree
    assert list(tree.ttls) == [b"/ttl"]
    assert list(tree.containers) == [b"/cont"]
    apply(tree, txn(0x1D))
    exhaust(save(disk, DIRECTORY, tree))
    assert list(load(disk, DIRECTORY, "snapshot.1d").tree.ttls) == [b"/ttl"]
