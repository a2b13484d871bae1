"""The deliberate mistakes can still be made: whether they are found is for `scripts/mutants`, which takes minutes."""

from pathlib import Path

import pytest

from tests.sim.mutants import MUTANTS

PACKAGE = Path(__file__).resolve().parents[2] / "pyzk"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_valid_code_that_differs_from_ours(mutant):
    for file, text, other in mutant.changes:
        source = (PACKAGE / file).read_text(encoding="utf-8")
        assert source.count(text) == 1
        compile(source.replace(text, other), file, "exec")


def test_there_are_at_least_twenty_and_none_has_the_name_of_another():
    assert len(MUTANTS) >= 20
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
