"""The command `pyzk`: what it lists, what it imports, how it ends."""

import argparse
import importlib
import io
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest

from pyzk.errors import StorageError
from pyzk.tools import cleanup, output
from pyzk.tools.main import SUBCOMMANDS, main

ROOT = Path(__file__).parent.parent.parent


def test_help_lists_every_subcommand(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in SUBCOMMANDS)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_explains_itself_with_examples(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"  pyzk {name} " in capsys.readouterr().out


def test_nothing_is_imported_before_it_is_used():
    program = (
        "import pyzk.tools.main, sys; print([m for m in ('rich', 'prompt_toolkit', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_an_error_is_one_line(monkeypatch, capsys):
    def fail(_arguments):
        raise StorageError("/x: input/output error")

    monkeypatch.setattr(cleanup, "main", fail)
    assert main(["cleanup"]) == 1
    assert capsys.readouterr().err == "pyzk cleanup: /x: input/output error\n"


def test_interrupted_is_no_traceback(monkeypatch):
    def interrupt(_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cleanup, "main", interrupt)
    assert main(["cleanup"]) == 130


def test_every_command_of_the_package_is_there():
    with (ROOT / "pyproject.toml").open("rb") as file:
        scripts = tomllib.load(file)["project"]["scripts"]
    assert set(scripts) == {"pyzk", "pyzk-cli", "pyzk-server"}
    for target in scripts.values():
        module, _, name = target.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_a_reader_that_goes_away_is_no_traceback():
    log = ROOT / "tests" / "vectors" / "storage" / "a-log"
    command = f"{sys.executable} -m pyzk.tools.main log --apache {log} {log} {log} | head -1"
    script = ["bash", "-o", "pipefail", "-c", command]
    done = subprocess.run(script, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stderr == ""
    assert done.stdout.startswith("ZooKeeper Transactional Log File")


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Impatient(threading.Timer):
    """A timer that has run out when it is started."""

    def start(self):
        self.function()

    def join(self, timeout=None):
        pass


def test_what_takes_long_shows_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setattr(output.threading, "Timer", Impatient)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with output.progress("reading", 10) as advance:
        advance(5)
    assert "reading" in sys.stderr.getvalue()
    with output.printing():
        pass
    assert "printing" in sys.stderr.getvalue()


def test_what_goes_to_a_file_shows_none(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with output.progress("reading", 10) as advance:
        advance(5)
    assert sys.stderr.getvalue() == ""


def test_times_and_zxids_of_the_command_line():
    assert output.zxid("0x10") == output.zxid("16") == 16
    assert output.session("0xffffffffffffffff") == -1
    assert output.moment("2026-11-22T20:17:22+00:00") == 1795378642000
    assert output.moment("-5") == -5
    for read in (output.zxid, output.moment):
        with pytest.raises(argparse.ArgumentTypeError):
            read("soon")
