"""docs/protocol/zab.md section 12.2: the files of the ensemble's configuration."""

from pathlib import Path
from random import Random

import attrs
import pytest

from pyzk.errors import ConfigError, StorageError
from pyzk.server.config import load_config
from pyzk.server.files import FileDisk
from pyzk.storage.disk import replace
from pyzk.storage.memory import MemoryDisk
from pyzk.zab.dynamic_files import DynamicFiles
from pyzk.zab.membership import Membership, parse_text

VECTORS = Path(__file__).parent.parent / "vectors" / "storage" / "h-dynamic-config"
STATIC = """\
# the ensemble of the shop
tickTime=2000
dataDir=/data
clientPort=2181
clientPortAddress=10.0.0.1
clientPortListenBacklog=50

server.1=a:2888:3888
server.2=b:2888:3888
zookeeper.group.1=1:\\
    2
weight.1=2
peerType=participant
initLimit=5
"""
OLD = parse_text("server.1=a:2888:3888\nserver.2=b:2888:3888\nversion=100000000")
NEW = parse_text("server.1=a:2888:3888;2181\nserver.10=c:2888:3888\nserver.2=b:2888:3888\nversion=10000000e")


@pytest.fixture
def disk() -> MemoryDisk:
    disk = MemoryDisk()
    disk.make_directory("/conf")
    replace(disk, "/conf", "zoo.cfg", STATIC.encode("latin-1"))
    return disk


def files(disk: MemoryDisk, server_id: int = 2) -> DynamicFiles:
    return DynamicFiles(disk, "/conf/zoo.cfg", server_id)


def text(disk: MemoryDisk, suffix: str = "") -> str:
    return disk.read(f"/conf/zoo.cfg{suffix}").decode("latin-1")


def suffixes(disk: MemoryDisk) -> list[str]:
    return [name.removeprefix("zoo.cfg") for name in disk.names("/conf")]


@pytest.mark.parametrize("vector", sorted(VECTORS.iterdir()), ids=lambda path: path.name)
def test_a_committed_membership_is_written_as_apache_does(disk: MemoryDisk, vector: Path) -> None:
    version = vector.name.rpartition(".")[2]
    lines = vector.read_text(encoding="utf-8")
    files(disk).save_committed(parse_text(f"{lines}\nversion={version}"))
    assert text(disk, f".dynamic.{version}") == lines


def test_the_lines_are_sorted_as_text(disk: MemoryDisk) -> None:
    files(disk).save_committed(NEW)
    keys = [line.partition("=")[0] for line in text(disk, ".dynamic.10000000e").split("\n")]
    assert keys == ["server.10", "server.1", "server.2"], "= comes behind the digits"


def test_the_server_list_leaves_the_static_file_and_all_else_stays(disk: MemoryDisk) -> None:
    files(disk).save_committed(NEW)
    assert text(disk) == (
        "# the ensemble of the shop\ntickTime=2000\ndataDir=/data\nclientPort=2181\nclientPortAddress=10.0.0.1\n"
        "clientPortListenBacklog=50\n\ninitLimit=5\ndynamicConfigFile=/conf/zoo.cfg.dynamic.10000000e\n"
    )


def test_the_client_port_leaves_too_once_our_line_has_one(disk: MemoryDisk) -> None:
    files(disk, server_id=1).save_committed(NEW)
    assert "clientPort=" not in text(disk)
    assert "clientPortAddress" not in text(disk)
    assert "clientPortListenBacklog=50\n" in text(disk)


def test_the_next_version_is_pointed_to_instead(disk: MemoryDisk) -> None:
    files(disk).save_committed(OLD)
    files(disk).save_committed(NEW)
    assert text(disk).count("dynamicConfigFile") == 1
    assert text(disk).endswith("dynamicConfigFile=/conf/zoo.cfg.dynamic.10000000e\n")
    assert suffixes(disk) == ["", ".dynamic.100000000", ".dynamic.10000000e"]


def test_the_same_version_again_leaves_the_static_file_alone(disk: MemoryDisk) -> None:
    files(disk).save_committed(NEW)
    disk.journal.clear()
    files(disk).save_committed(NEW)
    assert ("rename", "/conf/zoo.cfg") not in disk.journal


def test_a_static_file_without_a_last_newline_gets_one(disk: MemoryDisk) -> None:
    replace(disk, "/conf", "zoo.cfg", b"tickTime=2000")
    files(disk).save_committed(OLD)
    assert text(disk) == "tickTime=2000\ndynamicConfigFile=/conf/zoo.cfg.dynamic.100000000\n"


def test_a_proposal_is_kept_with_its_version(disk: MemoryDisk) -> None:
    files(disk).save_next(NEW)
    assert text(disk, ".dynamic.next").split("\n")[-1] == "version=10000000e"
    assert files(disk).load_next() == NEW


def test_groups_and_weights_come_back(disk: MemoryDisk) -> None:
    grouped = attrs.evolve(NEW, group_of={1: 1, 2: 1, 10: 2}, weights={1: 2, 2: 1, 10: 0})
    files(disk).save_next(grouped)
    assert files(disk).load_next() == grouped


def test_without_a_proposal_there_is_none(disk: MemoryDisk) -> None:
    assert files(disk).load_next() is None
    files(disk).remove_next()
    assert suffixes(disk) == [""]


def test_a_proposal_can_be_removed(disk: MemoryDisk) -> None:
    files(disk).save_next(NEW)
    files(disk).remove_next()
    disk.crash(Random(1))
    assert files(disk).load_next() is None


@pytest.mark.parametrize(("committed", "proposed", "stays"), [(NEW, NEW, False), (NEW, OLD, False), (OLD, NEW, True)])
def test_a_proposal_goes_when_it_or_a_newer_one_is_committed(
    disk: MemoryDisk, committed: Membership, proposed: Membership, stays: bool
) -> None:
    files(disk).save_next(proposed)
    files(disk).save_committed(committed)
    assert (files(disk).load_next() is not None) == stays


def test_a_damaged_proposal_is_refused_by_name(disk: MemoryDisk) -> None:
    replace(disk, "/conf", "zoo.cfg.dynamic.next", b"server.1=a\nversion=7")
    with pytest.raises(ConfigError, match=r"zoo\.cfg\.dynamic\.next holds a proposal"):
        files(disk).load_next()


def test_a_static_file_with_servers_is_copied_before_it_is_changed(disk: MemoryDisk) -> None:
    files(disk).back_up()
    files(disk).save_committed(OLD)
    files(disk).back_up()
    assert text(disk, ".bak") == STATIC


def test_a_full_disk_leaves_the_files_as_they_are(disk: MemoryDisk) -> None:
    disk.capacity_bytes = 0
    with pytest.raises(StorageError):
        files(disk).save_committed(NEW)
    assert text(disk) == STATIC


class StoppedError(Exception):
    """The machine stops here."""


class Stopping(MemoryDisk):
    """A disk whose machine stops before one of its steps."""

    def __init__(self) -> None:
        super().__init__()
        self.steps_left = 1 << 30

    def rename(self, source: str, target: str) -> None:
        self.step()
        super().rename(source, target)

    def remove(self, path: str) -> None:
        self.step()
        super().remove(path)

    def sync_directory(self, directory: str) -> None:
        self.step()
        super().sync_directory(directory)

    def step(self) -> None:
        if not self.steps_left:
            raise StoppedError
        self.steps_left -= 1


@pytest.mark.parametrize("steps", range(8))
def test_a_crash_at_any_step_leaves_files_that_know_the_last_proposal(steps: int, rng: Random) -> None:
    disk = Stopping()
    disk.make_directory("/conf")
    replace(disk, "/conf", "zoo.cfg", STATIC.encode("latin-1"))
    files(disk).save_committed(OLD)
    files(disk).save_next(NEW)
    disk.steps_left = steps
    try:
        files(disk).save_committed(NEW)
    except StoppedError:
        pass
    else:
        assert steps >= 6, "say here when there are more steps"
    disk.steps_left = 1 << 30
    disk.crash(rng)
    pointer = text(disk).rstrip().rpartition("/conf/zoo.cfg")[2]
    assert pointer in suffixes(disk)
    version = int(pointer.rpartition(".")[2], 16)
    proposed = files(disk).load_next()
    assert NEW.version in {version, proposed.version if proposed else 0}
    files(disk).save_committed(NEW)
    assert text(disk).endswith(".dynamic.10000000e\n")


@pytest.mark.parametrize("folder", ["conf", "back\\slash", "umläut", "中"])
def test_a_real_server_reads_what_was_written(tmp_path: Path, folder: str) -> None:
    directory = tmp_path / folder
    directory.mkdir()
    (tmp_path / "myid").write_text("2\n")
    config = directory / "zoo.cfg"
    config.write_text(
        f"dataDir={tmp_path}\nclientPort=2181\ninitLimit=5\nsyncLimit=2\nserver.1=a:1:2\nserver.2=b:1:2\n"
    )
    before = load_config(str(config), {})[0]
    membership = attrs.evolve(before.membership, version=0x100000000)
    DynamicFiles(FileDisk(), str(config), 2).save_committed(membership)
    after = load_config(str(config), {})[0]
    assert after.membership == membership
    assert after.client_port == 2181
