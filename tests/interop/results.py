"""What a foreign suite reports, and the table that `scripts/interop` prints."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
DETAIL_LINES_MAX = 40


@dataclass(slots=True)
class Result:
    """One case: `group` is its row in the table, `detail` says why it failed or was skipped."""

    group: str
    name: str
    outcome: str
    detail: str = ""


def table(results: Iterable[Result]) -> str:
    """Rows of passed, failed and skipped by group, then every failure in full and each reason for skipping once."""
    results = list(results)
    counts: dict[str, Counter[str]] = {}
    for result in results:
        counts.setdefault(result.group, Counter())[result.outcome] += 1
    counts["total"] = sum(counts.values(), Counter())
    lines = [f"{'':44} {PASSED:>8} {FAILED:>8} {SKIPPED:>8}"]
    for group, count in counts.items():
        lines.append(f"{group:44} {count[PASSED]:8} {count[FAILED]:8} {count[SKIPPED]:8}")
    # The form of pytest's own lines: .ci/run gathers both.
    reasons = Counter((result.group, result.detail) for result in results if result.outcome == SKIPPED)
    lines += [f"SKIPPED [{count}] {group}: {reason}" for (group, reason), count in reasons.items()]
    for result in results:
        if result.outcome == FAILED:
            lines += [f"FAILED {result.group}: {result.name}", *_indented(result.detail)]
    return "\n".join(lines)


def _indented(detail: str) -> list[str]:
    lines = detail.splitlines()
    if len(lines) > DETAIL_LINES_MAX:
        lines = [*lines[:DETAIL_LINES_MAX], f"... {len(lines) - DETAIL_LINES_MAX} lines more"]
    return [f"    {line}" for line in lines]


def failed(results: Iterable[Result]) -> bool:
    return any(result.outcome == FAILED for result in results)
