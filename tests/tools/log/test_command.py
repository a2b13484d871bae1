"""`pyzk log`: filters, forms, damage."""

import io
import json
import shutil
from pathlib import Path

import pytest

from pyzk.tools.files import real_disk
from pyzk.tools.log import toolkit
from pyzk.tools.main import main

VECTORS = Path(__file__).parents[2] / "vectors" / "storage"
A_LOG = str(VECTORS / "a-log")


def shown(capsys, *arguments):
    code = main(["log", *arguments])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


def zxids(capsys, *arguments):
    _, lines, _ = shown(capsys, *arguments, A_LOG)
    return [int(line.split()[0], 16) for line in lines]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], range(1, 0x1D)),
        (["--from", "0x1a"], [0x1A, 0x1B, 0x1C]),
        (["--from", "2", "--to", "3"], [2, 3]),
        (["--path", "/acl"], [0xA, 0xB, 0xC]),
        (["--path", "/acl/kid"], [0xB]),
        (["--path", "/c2"], [0xE, 0x11]),
        (["--path", "/eph2"], [0x17, 0x19]),
        (["--path", "/m1", "--path", "/ttl"], [0x10, 0x11, 0x1C]),
        (["--session", "0x1000013d87c0001"], [0x16, 0x17, 0x18, 0x19]),
        (["--type", "delete,ERROR"], [9, 0x11, 0x12, 0x13, 0x14, 0x1C]),
        (["--type", "createTTL"], [0x10]),
        (["--since", "1795378642854"], [0x1A, 0x1B, 0x1C]),
        (["--until", "2026-11-22T20:17:22.763+00:00"], [1]),
        (["--path", "/a", "--type", "setData", "--from", "6"], [6, 0x11]),
        (["--path", "/nothing"], []),
    ],
)
def test_filters_choose_txns(arguments, expected, capsys):
    assert zxids(capsys, *arguments) == list(expected)


def test_a_line_says_who_did_what_when(capsys):
    _, lines, _ = shown(capsys, "--from", "5", "--to", "5", A_LOG)
    assert lines[0].startswith("0x5  2026-11-2")
    assert lines[0].endswith("session 0x1000013d87c0000 cxid 4  setData /a version 1 11 bytes: hello world")


def test_json_has_everything(capsys):
    _, lines, _ = shown(capsys, "--json", A_LOG)
    values = [json.loads(line) for line in lines]
    assert len(values) == 28
    assert values[1]["path"] == "/a"
    assert values[1]["acl"] == ["world:anyone:cdrwa"]
    assert values[1]["digest"] == "0xa30b7dc6"
    assert [member["type"] for member in values[0x10]["members"]] == ["create", "setData", "check", "delete"]
    assert values[0x18]["paths"] == ["/eph2", "/a/eph3"]
    assert values[0x13]["err"] == -101


def test_all_logs_of_a_directory_are_read_in_order(capsys):
    _, lines, _ = shown(capsys, str(VECTORS / "g-quorum-member-380"))
    found = [int(line.split()[0], 16) for line in lines]
    assert found == sorted(found)
    assert len(found) == 60


@pytest.fixture
def damaged(tmp_path):
    """The log with a wrong byte in its fifth record."""
    shutil.copytree(A_LOG, tmp_path / "data")
    path = tmp_path / "data" / "version-2" / "log.1"
    data = bytearray(path.read_bytes())
    data[386 + 12 + 11] ^= 1  # the cxid
    path.write_bytes(data)
    return path


def test_damage_is_told_with_its_place_and_what_to_do(damaged, capsys):
    code, lines, err = shown(capsys, str(damaged))
    assert (code, len(lines)) == (1, 4)
    assert f"{damaged} at offset 386: wrong checksum" in err
    assert f"pyzk log -c -z 0x4 {damaged}" in err


def test_a_record_with_a_mended_checksum_and_no_sense_is_refused(damaged, capsys):
    data = bytearray(damaged.read_bytes())
    data[386 + 12 + 28 : 386 + 12 + 32] = b"\x00\x00\x0f\x0f"  # the type
    damaged.write_bytes(data)
    assert main(["log", "-r", "-y", str(damaged)]) == 1
    assert "a new checksum does not make it a txn" in capsys.readouterr().err
    assert [path.name for path in damaged.parent.iterdir() if "fixed" in path.name] == []


@pytest.mark.parametrize(("answer", "files"), [("abort\n", 0), ("", 0), ("maybe\nno\n", 1), ("yes\n", 1)])
def test_recovery_asks(damaged, answer, files, capsys):
    log = toolkit.RawLog(real_disk(), str(damaged))
    code = toolkit.recover(log, lambda _amount: None, verbose=False, yes=False, answers=io.StringIO(answer))
    assert code == 0
    assert len(list(damaged.parent.glob("*fixed*"))) == files
    assert "Would you like to fix it (Yes/No/Abort) ? " in capsys.readouterr().out


def test_a_recovered_log_is_read_to_its_end(damaged, capsys):
    assert main(["log", "-r", "-y", str(damaged)]) == 0
    assert main(["log", "-r", "-y", str(damaged)]) == 1
    assert "already exists or not writable" in capsys.readouterr().err
    assert main(["log", f"{damaged}.fixed"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 28


def test_chopping_a_damaged_log_leaves_nothing(damaged, capsys):
    assert main(["log", "-c", "-z", "20", str(damaged)]) == 1
    assert "CRC doesn't match" in capsys.readouterr().err
    assert main(["log", "-c", "-z", "0x3", str(damaged)]) == 0
    names = [path.name for path in damaged.parent.iterdir() if "chopped" in path.name]
    assert names == ["log.1.chopped3"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["/no/such"], "/no/such is neither a file nor a directory"),
        (["--apache", str(VECTORS / "b-snap-395/version-2/snapshot.1c")], "Invalid magic number for snapshot.1c"),
        ([str(VECTORS / "b-snap-395")], "no log.* in"),
    ],
)
def test_a_wrong_file_is_named(arguments, complaint, capsys):
    assert main(["log", *arguments]) == 1
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--from", "x", "f"], "'x' is no zxid: write 0x100000002, or decimal"),
        (["--since", "noon", "f"], "'noon' is no time"),
        (["--type", "creat", "f"], "no type creat: there are check, closesession"),
        (["-c", A_LOG], "-c needs -z ZXID"),
        (["-r", str(VECTORS / "g-quorum-member-380")], "one file at a time"),
    ],
)
def test_a_wrong_argument_is_explained(arguments, complaint, capsys):
    with pytest.raises(SystemExit):
        main(["log", *arguments])
    assert complaint in capsys.readouterr().err
