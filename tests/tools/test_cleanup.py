"""`pyzk cleanup`: PurgeTxnLog's choice, words and exit codes."""

import re
import time

import pytest

from pyzk.storage.snapshot import END_MARK
from pyzk.tools.main import main


@pytest.fixture
def data(tmp_path):
    """Five snapshots and logs between them."""
    folder = tmp_path / "data" / "version-2"
    folder.mkdir(parents=True)
    for zxid in (0, 0x10, 0x20, 0x30, 0x40):
        (folder / f"snapshot.{zxid:x}").write_bytes(b"12345678" + END_MARK)
    for zxid in (1, 0x11, 0x1B, 0x31):
        (folder / f"log.{zxid:x}").write_bytes(b"log")
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_snapshots_and_every_log_they_need_are_kept(data, capsys):
    assert main(["cleanup", str(data.parent), "-n", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("\t")[2] for line in lines] == [
        str(data / name) for name in ("log.1", "log.11", "snapshot.0", "snapshot.10")
    ]
    assert names(data) == ["log.1b", "log.31", "snapshot.20", "snapshot.30", "snapshot.40"]


def test_a_line_is_apache_s(data, capsys):
    main(["cleanup", str(data.parent), "-n", "4"])
    line = capsys.readouterr().out.splitlines()[0]
    date = r"\w{3} \d{1,2}, \d{4}, \d{1,2}:\d\d:\d\d [AP]M"
    assert re.fullmatch(rf"Removing file: {date}\t{re.escape(str(data / 'snapshot.0'))}", line)
    assert time.strftime("%Y") in line


def test_a_dry_run_removes_nothing(data, capsys):
    before = names(data)
    assert main(["cleanup", "--dry-run", str(data.parent), "-n", "3"]) == 0
    assert names(data) == before
    assert capsys.readouterr().out.startswith("Would remove file: ")


def test_logs_and_snapshots_may_lie_apart(data, tmp_path):
    logs = tmp_path / "logs" / "version-2"
    logs.mkdir(parents=True)
    for path in data.glob("log.*"):
        path.rename(logs / path.name)
    assert main(["cleanup", str(tmp_path / "logs"), str(tmp_path / "data"), "-n", "3"]) == 0
    assert names(logs) == ["log.1b", "log.31"]
    assert names(data) == ["snapshot.20", "snapshot.30", "snapshot.40"]


@pytest.mark.usefixtures("data")
def test_mixed_up_directories_are_refused(tmp_path, capsys):
    (tmp_path / "logs" / "version-2").mkdir(parents=True)
    assert main(["cleanup", str(tmp_path / "logs"), str(tmp_path / "data")]) == 1
    assert "Snapshot directory has log files" in capsys.readouterr().err


def test_directories_come_from_the_configuration(data, tmp_path):
    (tmp_path / "zoo.cfg").write_text(f"dataDir={tmp_path}/data\nclientPort=2181\n")
    assert main(["cleanup", "--config", str(tmp_path / "zoo.cfg")]) == 0
    assert len(names(data)) == 5


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["/", "-n", "2"], "count should be greater than or equal to 3"),
        (["/", "-n", "abc"], "'abc' can not be parsed to integer."),
        (["/no/such", "-n", "3"], "Path '/no/such' does not exist. "),
        ([], "Name either --config FILE, or dataLogDir"),
        (["/", "/", "/"], "Name either --config FILE, or dataLogDir"),
    ],
)
def test_wrong_arguments_are_answered_as_apache_does(arguments, complaint, capsys):
    assert main(["cleanup", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.err == f"{complaint}\n" or captured.err.startswith(complaint)
    assert captured.out.startswith("Usage:\nPurgeTxnLog dataLogDir [snapDir] -n count\n")
