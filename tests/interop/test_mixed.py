"""How the cases of mixed ensembles are chosen, run and judged; `scripts/interop mixed` runs the ensembles."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

import pytest

from pyzk.errors import ConnectionLostError
from tests.integration.ensemble import Ensemble
from tests.integration.processes import NotServingError
from tests.interop import mixed, mixed_cases
from tests.interop.__main__ import MIXED_IN_CI
from tests.interop.apache import UnavailableError
from tests.interop.mixed_cases import Arena
from tests.interop.results import FAILED, PASSED, SKIPPED


def test_every_mixture_with_the_subject_has_each_of_its_kinds_as_leader_once() -> None:
    found = mixed.mixtures("pyzk", ["java38", "java39"])
    assert len(found) == len(set(found))
    assert all("pyzk" in mixture for mixture in found)
    kinds = {"pyzk", "java38", "java39"}
    led = {(tuple(sorted(mixture)), mixture[-1]) for mixture in found}
    wanted = {tuple(sorted(("pyzk", one, other))) for one in kinds for other in kinds}
    assert led == {(mixture, leads) for mixture in wanted for leads in mixture}


def test_two_sided_cases_run_in_both_directions_with_every_partner() -> None:
    names = [case.name for case in mixed.all_cases(["pyzk", "java38", "java39"])]
    assert len(names) == len(set(names))
    for partner in ("java38", "java39"):
        assert f"oracle: {partner} leads, pyzk" in names
        assert f"oracle: pyzk leads, {partner}" in names
        assert f"rolling: {partner} to pyzk and back" in names


def test_a_baseline_of_one_kind_runs_each_case_once() -> None:
    names = [case.name for case in mixed.all_cases(["java39"])]
    assert len(names) == len(set(names))
    assert all("pyzk" not in name for name in names)


def run_one(body: Any) -> tuple[mixed.Case, Any, list[Path]]:
    folders: list[Path] = []

    def run(arena: Arena) -> list[str]:
        folders.append(arena.folder)
        found: list[str] = body()
        return found

    case = mixed.Case("a case", run)
    return case, mixed.one(case, 7), folders


def test_a_case_that_passes_leaves_nothing_behind() -> None:
    case, result, (folder,) = run_one(list)
    assert (result.outcome, case.outcomes) == (PASSED, [PASSED])
    assert not folder.exists()


@pytest.mark.parametrize(
    "error", [NotServingError("it does not serve"), AssertionError("it does not serve"), OSError()]
)
def test_a_case_that_fails_keeps_its_files_and_says_its_seed_and_why(error: Exception) -> None:
    def fail() -> list[str]:
        raise error

    case, result, (folder,) = run_one(fail)
    assert (result.outcome, case.outcomes) == (FAILED, [FAILED])
    assert f"seed 7, files in {folder}" in result.detail
    assert f"{type(error).__name__}: {error}" in result.detail
    folder.rmdir()


def test_a_case_that_cannot_run_here_is_skipped_with_the_reason() -> None:
    def fail() -> list[str]:
        raise UnavailableError("no Java")

    case, result, (folder,) = run_one(fail)
    assert (result.outcome, result.detail, case.outcomes) == (SKIPPED, "no Java", [])
    assert not folder.exists()


def test_a_summary_counts_and_names_the_middle_of_the_seconds() -> None:
    case = mixed.Case("a case", lambda _: [], [1.0, 9.0, 2.0], [PASSED, FAILED, PASSED])
    assert mixed.summary([case]).splitlines()[1].split() == ["a", "case", "2", "1", "2.0"]


@pytest.mark.parametrize(
    ("line", "way"),
    [
        ("Sending DIFF zxid=0x1", "DIFF"),
        ("Getting a snapshot from leader 0x1", "SNAP"),
        ("Truncating log to get in sync with the leader 0x1", "TRUNC"),
        ('{"how": "TRUNC", "event": "synchronises"}', "TRUNC"),
    ],
)
def test_how_a_learner_is_brought_up_is_read_behind_what_is_known_of_the_logs(
    tmp_path: Path, line: str, way: str
) -> None:
    with Ensemble(tmp_path, ["pyzk", "java39"]) as ensemble:
        ensemble[1].log_path.write_text("Sending snapshot last zxid of peer is 0x0\n")
        known = {sid: len(member.logged()) for sid, member in ensemble.members.items()}
        with ensemble[2].log_path.open("w") as log:
            log.write(line)
        assert mixed_cases.took(ensemble, known, way) == []
        assert mixed_cases.took(ensemble, known, "?") == [f"? was expected, the logs tell of ['{way}']"]


async def test_a_sync_is_asked_again_when_the_connection_is_lost_on_the_way() -> None:
    class Losing:
        def __init__(self) -> None:
            self.asked = 0

        async def sync(self) -> None:
            await asyncio.sleep(0)
            self.asked += 1
            if self.asked < 3:
                raise ConnectionLostError

    client: Any = Losing()
    await mixed_cases.synced(client)
    assert client.asked == 3


def test_the_one_mixture_of_continuous_integration_is_there() -> None:
    names = [case.name for case in mixed.all_cases(mixed.KINDS)]
    assert [name for name in names if MIXED_IN_CI in name] == [MIXED_IN_CI]


def test_options_choose_cases_by_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixed, "one", lambda case, seed: (case.name, seed))
    options = argparse.Namespace(kinds=None, seed=5, only="oracle", repeat=2)
    found: Any = mixed.run(options)
    assert [seed for _, seed in found] == [5] * 4 + [6] * 4
    assert all("oracle" in name for name, _ in found)
