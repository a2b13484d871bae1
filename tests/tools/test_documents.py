"""docs/tools.md shows what the tools really print."""

import pytest

from tests.interop.transcript import mask
from tests.tools.documents import PAGE, examples, outputs

pytestmark = pytest.mark.integration


def test_every_example_prints_what_the_page_says():
    text = PAGE.read_text()
    with outputs(text) as printed:
        for (command, expected), output in zip(examples(text), printed, strict=True):
            if " top " in command:  # its counters are never the same
                assert output[0].strip() == "servers"
            elif " bench " in command:
                assert mask(output)[:2] == mask(expected)[:2]
                assert [line.split()[:1] for line in output[3:7]] == [line.split()[:1] for line in expected[3:7]]
            else:
                assert mask(output) == mask(expected), command


def test_the_page_has_an_example_of_every_tool():
    commands = [command.split()[:2] for command, _ in examples(PAGE.read_text())]
    tools = {words[1] for words in commands if words[0] == "pyzk"}
    assert tools == {"log", "snapshot", "verify", "cleanup", "config", "certs", "top", "bench"}
    assert any(words[0] == "pyzk-cli" for words in commands)
