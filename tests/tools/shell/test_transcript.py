"""zkCli.sh and pyzk-cli say the same to the same commands, word for word."""

import pytest

from tests.interop.pyzk_cli import SCRIPTS, converse
from tests.interop.results import FAILED

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_shell_says_what_zkcli_says(name, fresh_server):
    results = converse(name, fresh_server)
    lines = "\n".join(f"{result.name}: {result.detail}" for result in results if result.outcome == FAILED)
    assert not lines, lines
    assert len(results) >= 10
