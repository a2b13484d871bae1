"""The command `pyzk`: what it lists, what it imports, how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from pyzk.errors import StorageError
from pyzk.tools import cleanup
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
