"""The command line of `pyzk bench`."""

import pytest

from pyzk.tools.bench.options import read_options
from pyzk.tools.bench.workloads import WORKLOADS
from pyzk.tools.main import main

WRONG = {
    "--workload get,gett": "--workload gett: write one or several of get,",
    "--connections 0": "--connections 0: write a number",
    "--depth 0": "--depth 0: write a number",
    "--seconds 0": "--seconds 0: write seconds, more than 0",
    "--operations 0": "--operations 0: write at least 1",
    "--warmup -1": "--warmup -1: write seconds",
    "--rate 0": "--rate 0.0: write operations a second",
    "--value-bytes 2000000": "--value-bytes 2000000: 0 to",
    "--keys 0": "--keys 0: write a number",
    "--read-share 2": "--read-share 2: write a number from 0 to 1",
    "--jobs 3 --connections 2": "--jobs 3: 1 to the number of connections",
    "--timeout 0": "--timeout 0: write milliseconds",
    "--root bench": "--root bench: write the path of a znode",
    "--root /": "--root /: write the path of a znode",
    "--root /a//b": "--root /a//b: write the path of a znode",
    "--server a:b": "the port must be a number",
    "--user bob": "--user and --password-file belong together",
    "--user bob --password-file /nowhere": "--password-file /nowhere cannot be read",
    "--client-configuration /nowhere": "Error processing /nowhere",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_value_is_one_line_that_says_what_to_write(words, capsys):
    assert main(["bench", *words.split()]) == 1
    err = capsys.readouterr().err
    assert err.startswith("pyzk bench: ")
    assert WRONG[words] in err
    assert err.count("\n") == 1


def test_the_help_names_every_workload(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in WORKLOADS)


def test_without_arguments_all_workloads_take_about_half_a_minute():
    options = read_options([])
    assert options.workloads == tuple(WORKLOADS)
    assert 20 <= len(WORKLOADS) * (options.seconds + options.warmup_s) <= 30


@pytest.mark.parametrize("jobs", [1, 2, 3, 7])
def test_the_shares_of_the_jobs_are_the_whole(jobs):
    options = read_options(["--connections", "10", "--operations", "101", "--rate", "70", "--jobs", str(jobs)])
    shares = [options.share(number) for number in range(jobs)]
    assert sum(share.connections for share in shares) == 10
    assert sum(share.operations for share in shares) == 101
    assert sum(share.rate for share in shares) == pytest.approx(70)
    assert min(share.connections for share in shares) >= 1


def test_a_password_is_the_first_line_of_its_file_and_in_no_message(tmp_path):
    path = tmp_path / "password"
    path.write_text("secret\r\nremark\n")
    options = read_options(["--user", "bob", "--password-file", str(path)])
    assert options.access.password == "secret"
    assert "secret" not in repr(options)
