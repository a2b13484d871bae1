"""`pyzk verify`: every kind of damage is found, graded, and told with a remedy; nothing is changed."""

import json
import shutil
from pathlib import Path

import pytest

from pyzk.codec.records import open_acl
from pyzk.codec.txns import CreateTxn, Txn, TxnDigest, TxnHeader
from pyzk.storage.epochs import write_epoch
from pyzk.storage.memory import MemoryDisk
from pyzk.storage.names import Places
from pyzk.storage.snapshot import save
from pyzk.storage.txnlog import LOG_HEADER, TxnLog, frame_record
from pyzk.tools.main import main
from pyzk.tools.verify import ERROR, NOTE, WARNING, verify
from pyzk.tree.apply import apply
from pyzk.tree.tree import Tree

VECTORS = Path(__file__).parents[1] / "vectors" / "storage"
HERE = "/data/version-2"
PLACES = Places(HERE, HERE, "/data")


class Data:
    """A data directory in memory, with a tree that knows what is in its log."""

    def __init__(self):
        self.disk = MemoryDisk()
        self.disk.make_directory(HERE)
        self.tree = Tree()
        self.zxid = 0
        self.log = TxnLog(self.disk, HERE, preallocate_bytes=0)
        self.snapshot()

    def snapshot(self):
        for _ in save(self.disk, HERE, self.tree):
            pass

    def txn(self, zxid=None, digest=None):
        self.zxid = self.zxid + 1 if zxid is None else zxid
        record = CreateTxn(b"/n%x" % self.zxid, b"d" * 20, open_acl(), ephemeral=False, parent_cversion=1)
        txn = Txn(TxnHeader(7, 1, self.zxid, 1_700_000_000_000, 1), record)
        apply(self.tree, txn)
        txn.digest = TxnDigest(2, self.tree.digest if digest is None else digest)
        return self.zxid, txn.encode()

    def append(self, count=3, **details):
        self.log.append([self.txn(**details) for _ in range(count)])

    def patch(self, name, position, data):
        file = self.disk.open(f"{HERE}/{name}")
        file.write(position, data)

    def cut(self, name, size):
        self.disk.open(f"{HERE}/{name}").truncate(size)

    def write(self, name, data):
        self.disk.create(f"{HERE}/{name}").write(0, data)

    def findings(self):
        before = {name: self.disk.read(f"{HERE}/{name}") for name in self.disk.names(HERE)}
        report = verify(self.disk, PLACES)
        assert {name: self.disk.read(f"{HERE}/{name}") for name in self.disk.names(HERE)} == before
        return report

    def worst(self, text):
        """The level of the finding with this text."""
        lines = [finding for finding in self.findings().findings if text in finding.line()]
        assert len(lines) == 1, [finding.line() for finding in self.findings().findings]
        return lines[0].level


@pytest.fixture
def data():
    made = Data()
    made.append()
    return made


def test_a_sound_directory_has_no_findings(data):
    data.log.roll()
    data.append()
    report = data.findings()
    assert report.findings == []
    assert (report.txns, report.logs, report.snapshots, report.digests, report.last_zxid) == (6, 2, 1, 6, 6)


def test_a_torn_last_batch_is_a_warning_because_the_server_cuts_it(data):
    data.cut("log.1", data.disk.size(f"{HERE}/log.1") - 5)
    assert data.worst("torn last batch") == WARNING
    assert data.findings().worst() == WARNING


def test_a_wrong_checksum_before_the_last_batch_is_an_error():
    data = Data()
    for _ in range(70):
        data.log.append([data.txn() for _ in range(500)])
    data.patch("log.1", 200, b"\xff")
    report = data.findings()
    assert report.worst() == ERROR
    assert any("wrong checksum" in finding.what for finding in report.findings)


def test_missing_txns_between_two_files_are_an_error(data):
    data.log.roll()
    data.append(1, zxid=9)
    assert data.worst("no txns between 0x3 and 0x9") == ERROR


def test_damage_in_an_older_file_is_told_of_the_file_and_of_the_history(data):
    data.cut("log.1", data.disk.size(f"{HERE}/log.1") - 5)
    data.log.roll()
    data.append()
    report = data.findings()
    assert report.worst() == ERROR
    assert all(finding.remedy for finding in report.findings)


def test_a_digest_that_differs_is_a_warning(data):
    data.append(1, digest=12345)
    assert data.worst("1 digests differ") == WARNING


def test_a_record_with_a_good_checksum_and_no_txn_in_it_is_an_error(data):
    payload = TxnHeader(7, 1, 4, 0, 99).encode()
    data.patch("log.1", data.log.position, frame_record(payload))
    assert data.worst("has a good checksum and no good content") == ERROR


def test_a_txn_that_does_not_fit_the_tree_does_not_end_the_check(data):
    record = CreateTxn(b"/no/parent", b"", open_acl(), ephemeral=False, parent_cversion=1)
    payload = Txn(TxnHeader(7, 1, 4, 0, 1), record).encode()
    data.patch("log.1", data.log.position, frame_record(payload))
    data.findings()


def test_a_damaged_snapshot_is_passed_over_when_there_is_another(data):
    data.snapshot()
    data.patch("snapshot.3", 60, b"\xff\xff")
    assert data.worst("snapshot.3: is damaged") == WARNING
    assert data.findings().base == "snapshot.0"


def test_a_snapshot_that_ends_in_the_middle_says_so(data):
    data.snapshot()
    data.cut("snapshot.3", 100)
    assert data.worst("ends in the middle") == WARNING


def test_no_good_snapshot_is_an_error(data):
    data.patch("snapshot.0", 60, b"\xff\xff")
    report = data.findings()
    assert report.worst() == ERROR
    assert any("there are logs and no snapshot" in finding.what for finding in report.findings)


def test_names_that_no_server_reads_are_told(data):
    data.write("log.1.bak", b"")
    data.write("snapshot.9.tmp", b"")
    data.write("log.77", LOG_HEADER)
    data.write("log.88", LOG_HEADER + frame_record(data.txn(zxid=0x89)[1]))
    levels = {finding.where.rpartition("/")[2]: finding.level for finding in data.findings().findings}
    assert levels["log.1.bak"] == WARNING
    assert levels["snapshot.9.tmp"] == NOTE
    assert levels["log.77"] == NOTE
    assert levels["log.88"] == WARNING


@pytest.mark.parametrize(
    ("accepted", "current", "text", "level"),
    [
        (2, 3, "currentEpoch 3 is above acceptedEpoch 2", ERROR),
        (None, 0, "acceptedEpoch: is missing", ERROR),
        (0, None, "currentEpoch: is missing", WARNING),
        (-1, -1, "an epoch of -1", WARNING),
    ],
)
def test_epochs_are_checked_against_each_other(data, accepted, current, text, level):
    for name, epoch in (("acceptedEpoch", accepted), ("currentEpoch", current)):
        if epoch is not None:
            write_epoch(data.disk, HERE, name, epoch)
    assert data.worst(text) == level


def test_an_epoch_below_that_of_the_log_is_an_error(data):
    data.append(1, zxid=0x300000001)
    write_epoch(data.disk, HERE, "acceptedEpoch", 3)
    write_epoch(data.disk, HERE, "currentEpoch", 2)
    assert data.worst("the log has txns of epoch 3, and currentEpoch is 2") == ERROR


def test_an_epoch_file_with_noise_is_an_error(data):
    data.write("acceptedEpoch", b"one")
    data.write("currentEpoch", b"0")
    data.write("currentEpoch.tmp", b"0")
    report = data.findings()
    assert any("not an epoch" in finding.what and finding.level == ERROR for finding in report.findings)
    assert any("left by an interrupted write of 0" in finding.what for finding in report.findings)


def test_mixed_up_directories_are_an_error(data):
    data.disk.make_directory("/logs/version-2")
    report = verify(data.disk, Places(HERE, "/logs/version-2", "/logs"))
    assert report.worst() == ERROR
    assert "Snapshot directory has log files" in report.findings[0].what


def test_an_empty_directory_is_a_new_server():
    disk = MemoryDisk()
    disk.make_directory(HERE)
    report = verify(disk, PLACES)
    assert [finding.level for finding in report.findings] == [NOTE]


def test_captured_directories_are_sound(capsys):
    for folder in VECTORS.iterdir():
        if (folder / "version-2").is_dir():
            assert main(["verify", "--strict", str(folder)]) == 0
            assert "0 errors, 0 warnings" in capsys.readouterr().out


def test_exit_codes_and_json_are_for_scripts(tmp_path, capsys):
    shutil.copytree(VECTORS / "f-quorum-member-395", tmp_path / "data")
    (tmp_path / "data" / "version-2" / "acceptedEpoch").write_text("0")
    assert main(["verify", "--json", str(tmp_path / "data")]) == 1
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert findings[0]["level"] == "error"
    assert findings[0]["remedy"]
    assert findings[-1]["worst"] == "error"
    (tmp_path / "data" / "version-2" / "acceptedEpoch").write_text("3")
    (tmp_path / "data" / "version-2" / "log.old").write_text("")
    assert main(["verify", str(tmp_path / "data")]) == 0
    assert main(["verify", "--strict", str(tmp_path / "data" / "version-2")]) == 1
    assert main(["verify", str(tmp_path / "none")]) == 1
    separate = ["--data-log-dir", str(tmp_path / "data"), str(tmp_path / "data")]
    assert main(["verify", *separate]) == 0


def test_a_member_in_doubt_says_why(data):
    data.write("doubt", b"acceptedEpoch is missing\n")
    assert data.worst("this member is in doubt: acceptedEpoch is missing") == WARNING


def test_a_promise_below_the_log_is_an_error(data):
    data.append(1, zxid=0x300000001)
    write_epoch(data.disk, HERE, "acceptedEpoch", 2)
    write_epoch(data.disk, HERE, "currentEpoch", 2)
    assert data.worst("the log has txns of epoch 3, and acceptedEpoch is 2") == ERROR


def test_an_interrupted_change_of_history_is_told(data):
    data.write("pending", b"truncate 2")
    assert data.worst("a change of history was interrupted: truncate 2") == WARNING
