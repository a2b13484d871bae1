"""What the tests on real processes rely on: comparisons that find what differs and nothing else, ports, pauses."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyzk.codec.opcodes import OpCode
from pyzk.codec.txns import ErrorTxn, Txn, TxnHeader
from pyzk.server.files import FileDisk
from pyzk.storage.snapshot import save
from pyzk.storage.txnlog import TxnLog
from pyzk.tree.tree import Tree
from tests.integration import processes
from tests.integration.ensemble import (
    Ensemble,
    digest_log,
    has_dropped_txns,
    mistrusts_itself,
    sync_thread_died,
    unlike_files,
)
from tests.integration.trees import DIFFERENCES_MAX, differences

NAMES = ("server 1", "server 2")


@pytest.fixture
def ensemble(tmp_path: Path) -> Iterator[Ensemble]:
    """Three members that nobody has started."""
    with Ensemble(tmp_path, ["pyzk", "java38", "java39"]) as ensemble:
        yield ensemble


def error_txn(zxid: int) -> bytes:
    return Txn(TxnHeader(7, 1, zxid, 1_700_000_000_000, OpCode.ERROR), ErrorTxn(-101)).encode()


def lines_of(ensemble: Ensemble, sid: int) -> list[str]:
    return ensemble[sid].config_path.read_text().splitlines()


# Files.


def test_files_with_one_digest_are_alike_wherever_their_last_txn_is() -> None:
    assert unlike_files({1: "pyzk", 2: "java39"}, {1: (0x100000007, 5), 2: (0x100000008, 5)}) == []


@pytest.mark.parametrize(
    ("kinds", "digests"),
    [
        (["pyzk", "pyzk", "pyzk"], [1, 2, 2]),
        (["java39", "pyzk", "java38"], [1, 2, 2]),
        (["java38", "pyzk", "java39"], [3, 1, 2]),
    ],
)
def test_files_with_different_digests_are_not_alike(kinds: list[str], digests: list[int]) -> None:
    files = {sid: (0x100000007, digest) for sid, digest in enumerate(digests)}
    (found,) = unlike_files(dict(enumerate(kinds)), files)
    assert f"2: 'zxid 0x100000007 digest 0x{digests[2]:x}'" in found


@pytest.mark.parametrize(("kind", "is_remarked_on"), [("java38", True), ("java39", False), ("pyzk", False)])
def test_digests_are_not_compared_where_a_server_of_3_8_0_says_that_its_own_are_others(
    kind: str, is_remarked_on: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mistrusts_itself(kind, "ERROR DataTree - First digest mismatch on txn: 1,2,3") is is_remarked_on
    assert not mistrusts_itself(kind, "INFO DataTree - all is well")
    assert ("remark" in capsys.readouterr().out) is is_remarked_on


DEATH = """[SyncThread:1] ERROR ZooKeeperCriticalThread - Severe unrecoverable error, from thread : SyncThread:1
java.lang.NullPointerException: Cannot invoke "java.net.Socket.isClosed()" because "this.learner.sock" is null
"""


@pytest.mark.parametrize(
    ("kind", "logged", "died"),
    [
        ("java38", DEATH, True),
        ("java38", DEATH.replace("NullPointerException", "IOException"), False),
        ("java39", DEATH, False),
        ("pyzk", DEATH, False),
    ],
)
def test_only_a_server_of_3_8_0_can_have_lost_the_thread_that_writes_its_log(
    kind: str, logged: str, died: bool
) -> None:
    assert sync_thread_died(kind, logged) is died


def test_txns_that_are_missing_in_the_middle_of_a_log_are_remarked_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for missing in (0, 5):
        folder = tmp_path / str(missing)
        log = TxnLog(FileDisk(), str(folder / "version-2"))
        FileDisk().make_directory(str(folder / "version-2"))
        for _ in save(FileDisk(), str(folder / "version-2"), Tree()):
            pass
        log.append([(zxid, error_txn(zxid)) for zxid in range(1, 10) if zxid != missing])
        assert has_dropped_txns(folder) is bool(missing)
    assert capsys.readouterr().out.count("remark") == 1


def test_files_that_only_servers_of_3_8_0_have_left_incomplete_are_remarked_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kinds = {1: "java38", 2: "pyzk", 3: "java39", 4: "java38"}
    assert unlike_files(kinds, {1: (6, 1), 2: (7, 2), 3: (7, 2), 4: (5, 3)}) == []
    assert "remark: the files of a server of 3.8.0 lack txns" in capsys.readouterr().out


# Trees and digests.


def test_equal_trees_have_no_differences() -> None:
    assert differences({"/a": 1}, {"/a": 1}, NAMES) == []


def test_each_kind_of_difference_is_told_with_its_servers() -> None:
    assert differences({"/a": 1, "/b": 1}, {"/b": 2, "/c": 1}, NAMES) == [
        "/a is only on server 1",
        "/c is only on server 2",
        "/b is 1 on server 1 and 2 on server 2",
    ]


def test_of_many_differences_some_are_told_and_the_rest_counted() -> None:
    found = differences({f"/{number}": 1 for number in range(DIFFERENCES_MAX + 3)}, {}, NAMES)
    assert len(found) == DIFFERENCES_MAX + 1
    assert found[-1] == "... and 3 more"


def test_digests_are_read_by_zxid_and_other_lines_are_none() -> None:
    assert digest_log("0x100000000: 0x0\n128: 99\n\nnot serving\n") == {"0x100000000": "0x0", "128": "99"}


def test_digests_are_compared_for_the_txns_that_every_server_knows(ensemble: Ensemble) -> None:
    digests = {1: {"128": "1", "256": "2"}, 2: {"256": "2", "384": "3"}, 3: {"256": "4"}}
    assert {sid: ensemble._common(digests, sid) for sid in digests} == {
        1: {"256": "2"},
        2: {"256": "2"},
        3: {"256": "4"},
    }
    found = ensemble._compare({sid: ensemble._common(digests, sid) for sid in digests})
    assert found == ["256 is 2 on server 1 (pyzk) and 4 on server 3 (java39)"]


# What servers are told.


def test_a_server_with_several_addresses_names_them_all(tmp_path: Path) -> None:
    peer_hosts = {1: ["10.0.0.1", "10.1.0.1"], 2: ["10.0.0.2", "10.1.0.2"]}
    settings = {"multiAddress.enabled": "true"}
    with Ensemble(tmp_path, ["pyzk", "java39"], settings, peer_hosts=peer_hosts) as ensemble:
        one = ensemble[1]
        ports = f"{one.quorum_port}:{one.election_port}"
        expected = f"server.1=10.0.0.1:{ports}|10.1.0.1:{ports}:participant"
        assert all(expected in lines_of(ensemble, sid) for sid in (1, 2))
        assert ensemble[2].java_flags == ("-Dzookeeper.multiAddress.enabled=true",), "Apache reads it from there only"


def test_a_server_with_an_oracle_begins_with_one_that_forbids(tmp_path: Path) -> None:
    with Ensemble(tmp_path, ["pyzk", "pyzk"], oracles=True) as ensemble:
        for sid, member in ensemble.members.items():
            assert f"oraclePath={member.oracle_path}" in lines_of(ensemble, sid)
            assert member.oracle_path.read_text() == "0"


# Processes and ports.


def test_a_paused_server_stands_still_when_the_test_goes_on(ensemble: Ensemble) -> None:
    member = ensemble[1]
    spinning = "import threading\nfor _ in range(8): threading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()"
    member.process = subprocess.Popen([sys.executable, "-c", spinning])
    for _ in range(20):
        member.pause()
        tasks = list(Path(f"/proc/{member.pid}/task").iterdir())
        states = {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks}
        assert states == {"T"}
        member.resume()


def test_a_port_is_given_to_one_test_only_until_it_is_released() -> None:
    port = processes.free_port()
    assert not processes._claim(port)
    processes.release(port)
    assert processes._claim(port)
    processes.release(port)


def test_ports_in_a_block_are_claimed_together() -> None:
    first = processes.free_block([0, 1, 7])
    assert not any(processes._claim(first + offset) for offset in (0, 1, 7))
    processes.release(*[first + offset for offset in (0, 1, 7)])
