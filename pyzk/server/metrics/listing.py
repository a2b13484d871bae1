"""All names in the order in which Apache's servers list them: what mntr and the admin command monitor tell.

A summary is five numbers (nine with percentiles); one that comes once for each key has the key before its name.
Source: docs/protocol/operations.md section 1.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk import VERSION_WORD
from pyzk.server.admin import ensemble_reports
from pyzk.server.metrics import values
from pyzk.server.metrics.table import METRICS, PROMETHEUS_ONLY, Kind, Metric
from pyzk.service.counters import Distribution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyzk.server.base import BaseServer

    Lines = dict[str, object]

PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p999": 0.999}


def listing(server: BaseServer) -> Lines:
    """Names without `zk_`, and their numbers."""
    lines: Lines = {"version": VERSION_WORD, **ensemble_reports.state(server)}
    numbers = {**values.gauges(server), **values.counters(server)}
    labelled_numbers = values.labelled_numbers(server)
    distributions = values.distributions(server)
    labelled = values.labelled_distributions(server)
    nothing = Distribution()
    for metric in METRICS:
        if metric.name in PROMETHEUS_ONLY:
            continue
        if metric.kind is Kind.SUMMARY:
            found = labelled.get(metric.name, {}) if metric.is_labelled else None
            if found is None:
                lines.update(_summary(metric, metric.name, distributions.get(metric.name, nothing)))
            for key, distribution in (found or {}).items():
                lines.update(_summary(metric, f"{key}_{metric.name}", distribution))
        elif metric.is_labelled:
            lines.update({f"{key}_{metric.name}": value for key, value in labelled_numbers[metric.name].items()})
        elif metric.name in numbers or metric.name in values.NEVER_MOVES:
            lines[metric.name] = numbers.get(metric.name, 0)
    return lines


def _summary(metric: Metric, name: str, distribution: Distribution) -> Iterator[tuple[str, object]]:
    yield f"avg_{name}", mean(distribution)
    yield f"min_{name}", distribution.least
    yield f"max_{name}", distribution.most
    yield f"cnt_{name}", distribution.count
    yield f"sum_{name}", distribution.total
    if metric.is_detailed:
        for mark, share in PERCENTILES.items():
            yield f"{mark}_{name}", distribution.percentile(share)


def mean(distribution: Distribution) -> float:
    """With at most four decimals, rounded half up."""
    if not distribution.count:
        return 0.0
    return (20_000 * distribution.total + distribution.count) // (2 * distribution.count) / 10_000
