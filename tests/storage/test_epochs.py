from random import Random

import pytest

from pyzk.errors import StorageError
from pyzk.storage.epochs import ACCEPTED, CURRENT, read_epoch, write_epoch

DIRECTORY = "data/version-2"


def put(disk, name, data):
    file = disk.create(f"{DIRECTORY}/{name}")
    file.write(0, data)


def test_no_file_is_no_epoch(disk):
    assert read_epoch(disk, DIRECTORY, CURRENT) is None


@pytest.mark.parametrize("epoch", [-1, 0, 3, 0xFFFFFFFF])
def test_epoch_is_decimal_text_without_a_newline(disk, epoch):
    write_epoch(disk, DIRECTORY, ACCEPTED, epoch)
    assert disk.read(f"{DIRECTORY}/acceptedEpoch") == str(epoch).encode()
    assert read_epoch(disk, DIRECTORY, ACCEPTED) == epoch


@pytest.mark.parametrize(("data", "epoch"), [(b"2", 2), (b"2\n", 2), (b"2\r\n", 2), (b"2\nrest", 2)])
def test_first_line_is_read(disk, data, epoch):
    put(disk, CURRENT, data)
    assert read_epoch(disk, DIRECTORY, CURRENT) == epoch


@pytest.mark.parametrize("data", [b"", b"2 ", b" 2", b"two", b"-2", b"4294967296", b"0x2"])
def test_anything_but_a_number_is_refused(disk, data):
    put(disk, CURRENT, data)
    with pytest.raises(StorageError, match="not an epoch"):
        read_epoch(disk, DIRECTORY, CURRENT)


@pytest.mark.parametrize("seed", range(50))
def test_written_epoch_survives_a_crash(disk, seed):
    write_epoch(disk, DIRECTORY, CURRENT, 1)
    write_epoch(disk, DIRECTORY, CURRENT, 2)
    disk.crash(Random(seed))
    assert read_epoch(disk, DIRECTORY, CURRENT) == 2


def test_vector_files_are_read(disk, load_vector):
    load_vector(disk, "f-quorum-member-395")
    assert read_epoch(disk, DIRECTORY, ACCEPTED) == read_epoch(disk, DIRECTORY, CURRENT) == 3
