"""The scenarios of tests/scenarios: one for each mistake of docs/protocol/zab.md section 15 that agreement can make.

And one for each sequence of docs/protocol/election.md section 8. `--rewrite` writes their traces anew.
"""

import re
from pathlib import Path

import pytest

from tests.sim.stories import Step, Teller, parse, write

FOLDER = Path(__file__).resolve().parents[1] / "scenarios"
TICKETS = Path(__file__).resolve().parents[2] / "docs/protocol/zab.md"
FILES = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_leaves_the_trace_that_is_written_down(path, request):
    steps = parse(path.read_text(encoding="utf-8"))
    teller = Teller()
    told = [Step(step.comment, step.command, "\n".join(teller.run(step.command)).splitlines()) for step in steps]
    if request.config.getoption("--rewrite"):
        path.write_text(write(told), encoding="utf-8")
        return
    for step, expected in zip(told, steps, strict=True):
        assert step.expected == expected.expected, step.command


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_says_what_it_shows_and_breaks_no_promise(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert "BROKEN" not in text


def test_each_ticket_has_a_scenario():
    section = TICKETS.read_text(encoding="utf-8").split("## 15. Do not repeat")[1].split("\n## ")[0]
    numbers = {
        number for row in re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE) for number in re.findall(r"\d{4}", row)
    }
    assert len(numbers) > 20
    told = {number for path in FILES for number in re.findall(r"\d{4}", path.stem)}
    assert numbers <= told, f"without a scenario: {sorted(numbers - told)}"
