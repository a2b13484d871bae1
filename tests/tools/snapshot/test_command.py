"""`pyzk snapshot`: our own forms; Apache's are in test_toolkits.py."""

import json
import shutil
from pathlib import Path

import pytest

from pyzk.tools.main import main

VECTORS = Path(__file__).parents[2] / "vectors" / "storage"
SNAPSHOT = str(VECTORS / "b-snap-395" / "version-2" / "snapshot.1c")
MEMBER = VECTORS / "f-quorum-member-395" / "version-2"


def shown(capsys, *arguments):
    code = main(["snapshot", *arguments])
    return code, capsys.readouterr().out.splitlines()


def test_a_dump_has_every_znode_and_session(capsys):
    code, lines = shown(capsys, "dump", SNAPSHOT)
    assert code == 0
    assert [line.split("  ")[0] for line in lines[:3]] == ["/", "/a", "/a/null"]
    assert any(line.endswith("ttl 3600000 ms") for line in lines)
    assert any(line.endswith("container") for line in lines)
    assert any(line.endswith("ephemeral 0x1000013d87c0000") for line in lines)
    assert lines[-1] == "15 znodes, 2 sessions, last zxid 0x1c"


def test_a_dump_may_be_of_a_subtree_and_in_json(capsys):
    _, lines = shown(capsys, "dump", "--json", "--path", "/acl", SNAPSHOT)
    values = [json.loads(line) for line in lines]
    assert [value["path"] for value in values] == ["/acl", "/acl/kid"]
    assert values[0]["data"] == "secret"
    assert values[0]["acl"][0] == "world:anyone:r"
    _, lines = shown(capsys, "dump", "--json", SNAPSHOT)
    assert json.loads(lines[-1])["sessions"]["0x1000013d87c0000"] == {"timeout_ms": 40000, "ephemerals": 1}


@pytest.mark.parametrize("name", ["b-snap-395", "c-snap-380", "d-snap-gz", "e-snap-snappy"])
def test_every_encoding_holds_the_same_tree(name, capsys):
    (path,) = (VECTORS / name / "version-2").iterdir()
    assert shown(capsys, "compare", "--numbers", SNAPSHOT, str(path)) == (0, ["no difference"])


def test_a_file_with_another_name_is_read_too(tmp_path, capsys):
    shutil.copy(SNAPSHOT, tmp_path / "backup of monday")
    assert shown(capsys, "dump", str(tmp_path / "backup of monday"))[0] == 0
    assert main(["snapshot", "dump", str(tmp_path / "nothing")]) == 1
    assert f"{tmp_path}/nothing: No such file" in capsys.readouterr().err


def test_of_a_directory_the_newest_is_read(tmp_path, capsys):
    for directory in (MEMBER, MEMBER.parent):
        assert shown(capsys, "dump", str(directory)) == shown(capsys, "dump", str(MEMBER / "snapshot.100000010"))
    assert main(["snapshot", "dump", str(tmp_path)]) == 1
    assert f"no snapshot.* in {tmp_path}" in capsys.readouterr().err


def test_a_summary_sorts_by_bytes(capsys):
    _, lines = shown(capsys, "summary", SNAPSHOT)
    assert lines[1].split() == ["19", "15", "2", "6", "/"]
    assert [line.split()[-1] for line in lines[2:4]] == ["/a", "/acl"]
    _, lines = shown(capsys, "summary", "--json", "--depth", "0", SNAPSHOT, "/acl")
    value = json.loads(lines[0])
    assert value == {
        "path": "/acl",
        "data_bytes": 7,
        "descendants": 1,
        "ephemerals": 0,
        "largest": {"path": "/acl", "bytes": 6},
    }
    assert main(["snapshot", "summary", SNAPSHOT, "/none"]) == 1
    assert "there is no znode /none in the snapshot" in capsys.readouterr().err


def test_two_snapshots_are_compared_znode_by_znode(capsys):
    code, lines = shown(capsys, "compare", str(MEMBER / "snapshot.0"), str(MEMBER / "snapshot.100000010"))
    assert code == 1
    assert "+ /acl  1 bytes: x" in lines
    assert "+ /eph  2 bytes: me  ephemeral 0x10000122d170000" in lines
    assert lines[-1] == "8 only right"
    code, lines = shown(capsys, "compare", str(MEMBER / "snapshot.100000010"), str(MEMBER / "snapshot.0"))
    assert lines[-1] == "8 only left"


def test_changes_of_data_acl_and_numbers_are_named(capsys):
    other = str(MEMBER / "snapshot.100000010")
    _, lines = shown(capsys, "compare", "--json", "--numbers", SNAPSHOT, other)
    by_path = {value["path"]: value for value in map(json.loads, lines)}
    assert {"data", "acl"} <= set(by_path["/acl"]["changed"])
    assert by_path["/acl"]["left"]["data"] == "secret"
    _, lines = shown(capsys, "compare", "--numbers", SNAPSHOT, other)
    changed = next(line for line in lines if line.startswith("~ /acl "))
    assert "data 6 bytes: secret -> 1 bytes: x" in changed
    assert "mzxid 0xa -> 0x" in changed
    assert "acl world:anyone:r," in changed
