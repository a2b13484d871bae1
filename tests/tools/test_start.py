"""What the tools import before they do anything: who asks for help, or for one znode, does not wait for the rest."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from {module} import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
sys.stderr.write(f"modules {{' '.join(sys.modules)}}")
"""
HEAVY = {"asyncio", "rich", "structlog", "attr", "ssl", "uvloop", "aiohttp", "cryptography", "prompt_toolkit"}


def imported(module: str, *arguments: str) -> set[str]:
    command = [sys.executable, "-c", PROGRAM.format(module=module), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return set(run.stderr.rpartition("modules ")[2].split())


@pytest.mark.parametrize("module", ["pyzk.tools.main", "pyzk.tools.shell.main"])
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_waits_for_nothing(module: str, option: str) -> None:
    assert imported(module, option) & HEAVY == set()


@pytest.mark.parametrize("subcommand", ["log", "snapshot", "verify"])
def test_help_of_a_tool_for_files_waits_for_no_network(subcommand: str) -> None:
    assert imported("pyzk.tools.main", subcommand, "--help") & HEAVY == set()


def test_a_command_of_the_shell_waits_for_no_server_and_no_prompt() -> None:
    modules = imported("pyzk.tools.shell.main", "-server", "127.0.0.1:1", "-timeout", "1", "ls", "/")
    assert modules & {"pyzk.server", "attr", "rich", "structlog", "prompt_toolkit", "cryptography"} == set()
