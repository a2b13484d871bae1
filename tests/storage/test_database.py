"""What a server knows when it starts; every file under vectors/storage is read, replayed and compared."""

import json
from pathlib import Path
from random import Random

import pytest

from pyzk.codec.records import open_acl
from pyzk.codec.txns import ErrorTxn, Txn, TxnDigest, TxnHeader, decode_txn
from pyzk.errors import ConfigError, CorruptionError, GapError, StorageError
from pyzk.storage import names
from pyzk.storage.database import RestoreOptions, restore, truncate
from pyzk.storage.history import History
from pyzk.storage.memory import MemoryDisk
from pyzk.storage.names import Places
from pyzk.storage.snapshot import save
from pyzk.storage.txnlog import TxnLog
from pyzk.tree.node import data_of

VECTORS = Path(__file__).parents[1] / "vectors" / "storage"
EXPECTED = json.loads((VECTORS / "expected.json").read_text())
DIRECTORY = "data/version-2"


def exhaust(steps):
    for _ in steps:
        pass


def put(disk, path, data=b""):
    file = disk.create(path)
    file.write(0, data)
    file.sync()
    disk.sync_directory(path.rpartition("/")[0])


def edit(disk, path, position, data):
    file = disk.open(path)
    file.write(position, data)
    file.sync()


def described(tree):
    """A tree in the form of expected.json: stored values, not those of the wire."""
    return {path.decode(): node_described(tree, path) for path in sorted(tree.nodes)}


def node_described(tree, path):
    state = tree.state(path)
    data = data_of(tree.nodes[path])
    acl = open_acl() if state.acl is None else state.acl
    return {
        "acl": [{"id": one.id.decode(), "perms": one.perms, "scheme": one.scheme.decode()} for one in acl],
        "data_hex": None if data is None else data.hex(),
        "stat": {
            "aversion": state.aversion,
            "ctime": state.ctime,
            "cversion": state.cversion,
            "czxid": state.czxid,
            "dataLength": state.data_length,
            "ephemeralOwner": state.owner,
            "mtime": state.mtime,
            "mzxid": state.mzxid,
            "numChildren": state.child_count,
            "pzxid": state.pzxid,
            "version": state.version,
        },
    }


def sessions(expected):
    return {int(key, 16): timeout_ms for key, timeout_ms in expected.items()}


@pytest.mark.parametrize("case", ["a-log", "b-snap-395", "c-snap-380", "d-snap-gz", "e-snap-snappy"])
def test_standalone_vectors_hold_the_tree_that_the_live_server_showed(disk, places, load_vector, case):
    load_vector(disk, case)
    restored = restore(disk, places)
    expected = EXPECTED["a-log"]
    assert described(restored.tree) == expected["tree"]
    assert restored.tree.sessions == sessions(expected["sessions"])
    assert restored.tree.digest == int(expected["tree_digest"], 16)
    assert restored.last_zxid == restored.tree.last_zxid == 0x1C
    assert restored.replayed == (28 if case == "a-log" else 0)
    assert (restored.digest_mismatches, restored.notes) == (0, [])


def test_ensemble_member_of_395(disk, places, load_vector):
    load_vector(disk, "f-quorum-member-395")
    files = EXPECTED["f-quorum-member-395"]["files"]
    restored = restore(disk, places)
    expected = files["snapshot.100000010"]
    assert described(restored.tree) == expected["tree"]
    assert restored.tree.sessions == sessions(expected["sessions"])
    assert (restored.last_zxid, restored.replayed) == (0x100000010, 0)


def test_ensemble_member_of_395_by_its_log_alone(disk, places, load_vector):
    load_vector(disk, "f-quorum-member-395")
    disk.remove(f"{DIRECTORY}/snapshot.100000010")
    files = EXPECTED["f-quorum-member-395"]["files"]
    restored = restore(disk, places)
    tree, expected = described(restored.tree), dict(files["snapshot.100000010"]["tree"])
    # The members of an ensemble write the configuration into their trees at start; no txn says so.
    for config in (tree.pop("/zookeeper/config"), expected.pop("/zookeeper/config")):
        assert config["stat"]["czxid"] == 0
    assert tree == expected
    assert (restored.last_zxid, restored.replayed, restored.digest_mismatches) == (0x100000010, 16, 0)


def test_ensemble_member_of_380_over_four_epochs(disk, places, load_vector):
    load_vector(disk, "g-quorum-member-380")
    files = EXPECTED["g-quorum-member-380"]["files"]
    restored = restore(disk, places)
    last = files["log.400000001"]["records"][-1]
    assert restored.last_zxid == int(last["hdr"]["zxid"], 16)
    assert restored.tree.digest == int(last["digest"]["treeDigest"], 16)
    assert (restored.replayed, restored.digest_mismatches) == (46 + 7 + 2 + 5, 0)


@pytest.mark.parametrize("case", ["a-log", "f-quorum-member-395", "g-quorum-member-380"])
def test_logs_are_written_again_byte_for_byte(disk, load_vector, case):
    load_vector(disk, case)
    files = EXPECTED[case]["files"]
    for _, name in names.logs(disk.names(DIRECTORY)):
        expected = files[name]
        again = MemoryDisk()
        again.make_directory(DIRECTORY)
        preallocate_bytes = expected["original_size"] - 16
        log = TxnLog(again, DIRECTORY, preallocate_bytes=preallocate_bytes)
        for zxid, payload in records_of(disk, name):
            log.append([(zxid, decode_txn(payload).encode())])
        assert again.names(DIRECTORY) == [name]
        assert again.size(f"{DIRECTORY}/{name}") == expected["original_size"]
        kept = disk.read(f"{DIRECTORY}/{name}")
        assert again.read(f"{DIRECTORY}/{name}", 0, len(kept)) == kept


def records_of(disk, name):
    whole = MemoryDisk()
    whole.make_directory(DIRECTORY)
    put(whole, f"{DIRECTORY}/{name}", disk.read(f"{DIRECTORY}/{name}"))
    return list(History(whole, DIRECTORY, int(name[4:], 16) - 1))


def expected_logs(case):
    if case == "a-log":
        return {"log.1": EXPECTED[case]["records"]}
    return {name: file["records"] for name, file in EXPECTED[case]["files"].items() if name.startswith("log.")}


@pytest.mark.parametrize("case", ["a-log", "f-quorum-member-395", "g-quorum-member-380"])
def test_records_are_those_that_were_described(disk, load_vector, case):
    load_vector(disk, case)
    for name, records in expected_logs(case).items():
        found = records_of(disk, name)
        assert len(found) == len(records)
        for (zxid, payload), expected in zip(found, records, strict=True):
            header = decode_txn(payload).header
            assert (zxid, len(payload)) == (int(expected["hdr"]["zxid"], 16), expected["length"])
            assert header.client_id & 0xFFFFFFFFFFFFFFFF == int(expected["hdr"]["clientId"], 16) & 0xFFFFFFFFFFFFFFFF
            assert (header.cxid, header.time_ms) == (expected["hdr"]["cxid"], expected["hdr"]["time"])
            assert str(header.type) == expected["hdr"]["type"].partition("(")[0]


def test_empty_directory_becomes_a_database_that_java_starts_from():
    disk = MemoryDisk()
    disk.make_directory(".")
    restored = restore(disk, Places.of("data", "logs"))
    assert (restored.last_zxid, restored.snapshot) == (0, "snapshot.0")
    assert disk.names("data/version-2") == ["snapshot.0"]
    assert disk.names("logs/version-2") == []


def test_first_snapshot_is_durable_before_the_first_txn(disk, places, server):
    restore(disk, places)
    TxnLog(disk, places.logs).append(server.batch(1))
    disk.crash(Random(1))
    assert restore(disk, places).last_zxid == 1


@pytest.mark.parametrize(("marker", "last_zxid"), [(False, -1), (True, 0)])
def test_without_autocreate_an_empty_directory_needs_the_marker(disk, places, marker, last_zxid):
    if marker:
        put(disk, "data/initialize")
    restored = restore(disk, places, RestoreOptions(autocreate=False))
    assert restored.last_zxid == last_zxid
    assert disk.names("data") == []
    assert disk.names(DIRECTORY) == (["snapshot.0"] if marker else [])


def test_marker_goes_at_every_start(disk, places):
    restore(disk, places)
    put(disk, "data/initialize")
    restore(disk, places)
    disk.crash(Random(1))
    assert disk.names("data") == []


def test_logs_without_a_snapshot_are_refused_unless_trusted(disk, places, log, server):
    log.append(server.batch(3))
    with pytest.raises(StorageError, match=r"No snapshot found, but there are log entries.*snapshot.trust.empty"):
        restore(disk, places)
    restored = restore(disk, places, RestoreOptions(trust_empty=True))
    assert (restored.last_zxid, restored.replayed, restored.tree.digest) == (3, 3, server.tree.digest)
    assert restore(disk, places).last_zxid == 3


def test_logs_without_a_snapshot_that_do_not_begin_at_one_are_a_gap(disk, places, log, server):
    server.batch(5)
    log.append(server.batch(3))
    with pytest.raises(GapError, match="between 0x0 and 0x6"):
        restore(disk, places, RestoreOptions(trust_empty=True))


def test_mixed_up_directories_are_refused():
    disk = MemoryDisk()
    places = Places.of("data", "logs")
    restore(disk, places)
    with pytest.raises(ConfigError, match="Log directory has snapshot files"):
        restore(disk, Places.of("logs", "data"))


def build(disk, places, log, server):
    """Two snapshots, at 10 and 20, and logs up to 25."""
    restore(disk, places)
    for count in (10, 10, 5):
        log.append(server.batch(count))
        if count == 10:
            exhaust(save(disk, places.snapshots, server.tree))
            log.roll()


def test_damaged_snapshot_is_passed_over_with_a_note(disk, places, log, server):
    build(disk, places, log, server)
    edit(disk, f"{DIRECTORY}/snapshot.14", 100, b"\xff\xff")
    restored = restore(disk, places)
    assert (restored.snapshot, restored.replayed, restored.last_zxid) == ("snapshot.a", 15, 25)
    assert restored.tree.digest == server.tree.digest
    assert "snapshot.14" in restored.notes[0]


def test_sessions_of_a_damaged_snapshot_are_forgotten(disk, places, log, server):
    build(disk, places, log, server)
    server.tree.sessions[0xBAD] = 1000
    exhaust(save(disk, places.snapshots, server.tree))
    size = disk.size(f"{DIRECTORY}/snapshot.19")
    edit(disk, f"{DIRECTORY}/snapshot.19", size - 100, b"\xff\xff")
    assert restore(disk, places).tree.sessions == {}


def test_no_snapshot_that_can_be_read_is_refused(disk, places, log, server):
    build(disk, places, log, server)
    for name in ("snapshot.0", "snapshot.a", "snapshot.14"):
        edit(disk, f"{DIRECTORY}/{name}", 30, b"\xff\xff")
    with pytest.raises(StorageError, match=r"no snapshot .* can be read.*snapshot.14.*snapshot.a.*snapshot.0"):
        restore(disk, places)


def test_directory_whose_only_snapshot_lacks_its_end_is_not_taken_for_an_empty_one(disk, places):
    put(disk, f"{DIRECTORY}/snapshot.5", b"ZKSN" + bytes(100))
    with pytest.raises(StorageError, match=r"snapshot\.5"):
        restore(disk, places)


def test_gap_between_snapshot_and_logs_is_refused(disk, places, log, server):
    """Defects, row 8: Apache serves a nearly empty tree."""
    build(disk, places, log, server)
    for name in ("snapshot.a", "snapshot.14", "log.1"):
        disk.remove(f"{DIRECTORY}/{name}")
    with pytest.raises(GapError, match="between 0x0 and 0xb"):
        restore(disk, places)
    restored = restore(disk, places, RestoreOptions(trust_gaps=True))
    assert (restored.last_zxid, restored.replayed, restored.digest_mismatches) == (25, 15, 15)
    assert len(restored.notes) == 2


def test_torn_last_batch_is_cut_on_the_disk(disk, places, log, server):
    build(disk, places, log, server)
    edit(disk, f"{DIRECTORY}/log.15", log.position - 1, b"\0")
    assert (restore(disk, places).last_zxid, restore(disk, places).notes) == (24, [])


@pytest.mark.parametrize("seed", range(20))
def test_txns_of_a_killed_process_that_were_read_survive_the_next_power_failure(disk, places, server, seed):
    restore(disk, places)
    log = TxnLog(disk, places.logs, sync=False)
    log.append(server.batch(3))
    log.close()
    assert restore(disk, places).last_zxid == 3
    TxnLog(disk, places.logs).append(server.batch(1))
    print("seed", seed)
    disk.crash(Random(seed))
    assert restore(disk, places).last_zxid == 4


def test_row_9_newest_log_of_length_zero_does_not_stop_the_start(disk, places, log, server):
    """Defects, row 9."""
    build(disk, places, log, server)
    put(disk, f"{DIRECTORY}/log.1a")
    assert restore(disk, places).last_zxid == 25
    TxnLog(disk, places.logs).append(server.batch(1))
    assert restore(disk, places).last_zxid == 26


def test_damage_elsewhere_is_refused_with_file_offset_and_zxid(disk, places, log, server):
    build(disk, places, log, server)
    edit(disk, f"{DIRECTORY}/snapshot.14", 100, b"\xff\xff")
    edit(disk, f"{DIRECTORY}/log.b", 40, b"\xff\xff")
    with pytest.raises(CorruptionError, match=r"log.b at offset 16 .*checksum"):
        restore(disk, places)


def test_txn_that_cannot_be_decoded_is_refused(disk, places, log, server):
    build(disk, places, log, server)
    log.append([(26, TxnHeader(1, 1, 26, 1, 77).encode())])
    with pytest.raises(StorageError, match=r"txn 0x1a .*unknown type 77"):
        restore(disk, places)


def test_wrong_digest_is_counted_and_noted_and_no_more(disk, places, log, server):
    restore(disk, places)
    log.append(server.batch(2))
    for zxid in (3, 4):
        log.append([(zxid, Txn(TxnHeader(1, 1, zxid, 1, -1), ErrorTxn(-101), TxnDigest(2, 0xBAD)).encode())])
    log.append([(5, Txn(TxnHeader(1, 1, 5, 1, -1), ErrorTxn(-101), TxnDigest(3, 0xBAD)).encode())])
    restored = restore(disk, places)
    assert (restored.last_zxid, restored.digest_mismatches) == (5, 2)
    assert restored.notes == [f"tree digest 0x{server.tree.digest:x} differs at zxid 0x3, where 0xbad is logged"]


def test_fuzzy_snapshot_is_replayed_without_complaint(disk, places, log, server):
    """Java writes while txns are applied: the nodes are newer than the name says, the digest section knows how new."""
    restore(disk, places)
    log.append(server.batch(30))
    exhaust(save(disk, places.snapshots, server.tree))
    log.append(server.batch(10))
    disk.rename(f"{DIRECTORY}/snapshot.1e", f"{DIRECTORY}/snapshot.14")
    restored = restore(disk, places)
    assert (restored.snapshot, restored.replayed, restored.last_zxid) == ("snapshot.14", 20, 40)
    assert (restored.tree.digest, restored.digest_mismatches) == (server.tree.digest, 0)


def test_last_txns_are_kept_for_learners(disk, places, log, server):
    build(disk, places, log, server)
    assert [zxid for zxid, _ in restore(disk, places).recent] == [21, 22, 23, 24, 25]


def test_truncate_removes_newer_snapshots_before_it_cuts_the_log(disk, places, log, server):
    """ZOOKEEPER-1549: a snapshot that survives brings back what the log has lost."""
    build(disk, places, log, server)
    disk.journal.clear()
    assert truncate(disk, places, 12) == ["snapshot.14"]
    verbs = [(verb, path.rpartition("/")[2]) for verb, path in disk.journal]
    assert verbs == [
        ("remove", "snapshot.14"),
        ("sync_directory", "version-2"),
        ("remove", "log.15"),
        ("sync_directory", "version-2"),
        ("truncate", "log.b"),
        ("sync", "log.b"),
    ]
    restored = restore(disk, places)
    assert (restored.snapshot, restored.last_zxid) == ("snapshot.a", 12)


def test_left_overs_of_snapshots_are_removed(disk, places):
    put(disk, f"{DIRECTORY}/snapshot.5.tmp", b"half")
    restore(disk, places)
    assert disk.names(DIRECTORY) == ["snapshot.0"]
