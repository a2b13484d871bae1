"""Whatever is in a file, a tool answers with lines and an exit code: no traceback, no endless work."""

import contextlib
import io
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from pyzk.storage.snapshot import SNAPSHOT_HEADER, sealed
from pyzk.storage.txnlog import LOG_HEADER, RECORD_HEAD, frame_records
from pyzk.tools.main import main

VECTORS = Path(__file__).parents[1] / "vectors" / "storage"
LOGS = [VECTORS / "a-log/version-2/log.1", VECTORS / "g-quorum-member-380/version-2/log.100000001"]
SNAPSHOTS = [
    VECTORS / "b-snap-395/version-2/snapshot.1c",
    VECTORS / "d-snap-gz/version-2/snapshot.1c.gz",
    VECTORS / "e-snap-snappy/version-2/snapshot.1c.snappy",
]
END_MARK = b"\x00\x00\x00\x01/"
KINDS = ("flip", "set", "cut", "insert", "zeros", "double")

mutation = strategies.tuples(
    strategies.sampled_from(KINDS), strategies.integers(0, 1 << 20), strategies.integers(0, 255)
)
mutations = strategies.lists(mutation, min_size=1, max_size=4)
quickly = settings(max_examples=60, suppress_health_check=list(HealthCheck))


def mutilate(data, changes):
    for kind, number, byte in changes:
        at = number % (len(data) + 1)
        if kind == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ (1 << byte % 8)]) + data[at + 1 :]
        elif kind == "set":
            data = data[:at] + bytes([byte]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at]
        elif kind == "insert":
            data = data[:at] + bytes([byte] * (byte % 9)) + data[at:]
        elif kind == "zeros":
            data = data[:at] + bytes(byte) + data[at + byte :]
        elif kind == "double":
            data += data[at:]
    return data


def run(*arguments):
    """The exit code; anything but a PyzkError comes through."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(list(arguments))
    assert code in {0, 1}
    if code:
        assert out.getvalue() or err.getvalue()
    return code


@pytest.mark.parametrize("source", LOGS, ids=lambda path: path.name)
@given(changes=mutations)
@quickly
def test_no_log_is_too_damaged_for_a_tool(source, changes):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "version-2")
        shutil.copytree(source.parent, folder)
        path = folder / source.name
        path.write_bytes(mutilate(source.read_bytes(), changes))
        for arguments in (
            ["log", str(path)],
            ["log", "--json", str(path)],
            ["log", "--apache", str(path)],
            ["log", "-r", "-y", "-v", str(path)],
            ["log", "-c", "-z", "7", str(path)],
            ["verify", name],
        ):
            run(*arguments)


@pytest.mark.parametrize("source", SNAPSHOTS, ids=lambda path: path.name)
@given(changes=mutations)
@quickly
def test_no_snapshot_is_too_damaged_for_a_tool(source, changes):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "version-2")
        folder.mkdir()
        path = folder / source.name
        path.write_bytes(mutilate(source.read_bytes(), changes))
        for arguments in (
            ["snapshot", "dump", str(path)],
            ["snapshot", "dump", "-d", str(path)],
            ["snapshot", "dump", "-json", str(path)],
            ["snapshot", "dump", "--json", str(path)],
            ["snapshot", "summary", str(path)],
            ["snapshot", "compare", "--numbers", str(path), str(SNAPSHOTS[0])],
            ["snapshot", "compare", "-b", "1", "-n", "1", str(SNAPSHOTS[0]), str(path)],
            ["verify", name],
        ):
            run(*arguments)


def with_good_checksums(data, changes):
    """The log with one record changed in its content, under a checksum that fits."""
    records = []
    position = len(LOG_HEADER)
    while position + RECORD_HEAD.size < len(data):
        length = RECORD_HEAD.unpack_from(data, position)[1]
        if length == 0:
            break
        start = position + RECORD_HEAD.size
        records.append(data[start : start + length])
        position = start + length + 1
    chosen = changes[0][1] % len(records)
    records[chosen] = mutilate(records[chosen], changes)
    return LOG_HEADER + frame_records(records)


@pytest.mark.parametrize("source", LOGS, ids=lambda path: path.name)
@given(changes=mutations)
@quickly
def test_a_record_of_nonsense_with_a_good_checksum_is_told(source, changes):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "version-2")
        shutil.copytree(source.parent, folder)
        path = folder / source.name
        path.write_bytes(with_good_checksums(source.read_bytes(), changes))
        for arguments in (["log", str(path)], ["log", "--json", str(path)], ["log", "--apache", str(path)]):
            run(*arguments)
        run("verify", name)


@given(changes=mutations)
@quickly
def test_a_tree_of_nonsense_under_good_seals_is_told(changes):
    whole = SNAPSHOTS[0].read_bytes()
    body_end = whole.index(END_MARK) + len(END_MARK)
    body = mutilate(whole[len(SNAPSHOT_HEADER) : body_end], changes)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "snapshot.1c")
        path.write_bytes(b"".join(sealed([body], None, None)))
        for arguments in (
            ["snapshot", "dump", str(path)],
            ["snapshot", "dump", "-d", str(path)],
            ["snapshot", "dump", "-json", str(path)],
            ["snapshot", "dump", "--json", str(path)],
            ["snapshot", "summary", "--json", str(path)],
            ["snapshot", "compare", "--numbers", str(path), str(SNAPSHOTS[0])],
            ["snapshot", "compare", "-b", "1", "-n", "1", str(SNAPSHOTS[0]), str(path)],
            ["verify", name],
        ):
            run(*arguments)


@given(data=strategies.binary(max_size=300))
@quickly
def test_noise_is_refused(data):
    with tempfile.TemporaryDirectory() as name:
        for file in ("log.1", "snapshot.1", "snapshot.1.gz", "snapshot.1.snappy", "zoo.cfg"):
            Path(name, file).write_bytes(data)
        run("verify", name)
        assert main(["config", "check", f"{name}/zoo.cfg"]) in {0, 2}
        for file in ("snapshot.1", "snapshot.1.gz", "snapshot.1.snappy"):
            assert run("snapshot", "dump", f"{name}/{file}") == 1
        run("log", f"{name}/log.1")
