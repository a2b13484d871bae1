"""Metrics for Prometheus: Apache's names, read from the server's counters at the moment of a scrape.

The text is written here and not by prometheus_client, because Apache's counters have no `_total` behind their names.
Source: docs/protocol/operations.md section 3.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from prometheus_client.core import CollectorRegistry, Metric

from pyzk.server.metrics import values
from pyzk.server.metrics.process import GarbageWatch, java_metrics, process_metrics
from pyzk.server.metrics.table import METRICS, OWN_METRICS, Kind
from pyzk.server.metrics.table import Metric as Row
from pyzk.server.metrics.windows import Windows
from pyzk.service.counters import Distribution

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from prometheus_client.samples import Sample

    from pyzk.server.base import BaseServer
    from pyzk.server.metrics.windows import Key

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MEDIAN = (0.5,)
QUANTILES = (0.5, 0.9, 0.99)
ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


class ServerCollector:
    """Reads one server.

    Args:
        server: started.
        windows: turned every two minutes by whoever owns it.
        garbage: told as a Java machine's where not None (exportJvmInfo).
    """

    def __init__(self, server: BaseServer, windows: Windows, garbage: GarbageWatch | None = None) -> None:
        self._server = server
        self._windows = windows
        self._garbage = garbage

    def collect(self) -> Iterator[Metric]:
        """All metrics, once."""
        server = self._server
        numbers = {**values.gauges(server), **values.counters(server)}
        if server.peer.mode == "follower":
            numbers.setdefault("synced_observers", 0)  # mntr has it only where there is a port for observers
        labelled_numbers = values.labelled_numbers(server)
        distributions = self.distributions()
        for row in (*METRICS, *OWN_METRICS):
            metric = Metric(row.name, row.help, row.kind.value)
            if row.kind is Kind.SUMMARY:
                self._add_summaries(metric, row, distributions)
            elif row.is_labelled:
                for key, value in labelled_numbers[row.name].items():
                    metric.add_sample(row.name, {"key": key}, value)
            elif row.name in numbers or row.name in values.NEVER_MOVES:
                metric.add_sample(row.name, {}, numbers.get(row.name, 0))
            # Those with a key have a line of their own before there is any key.
            if metric.samples or row.is_labelled:
                yield metric
        yield from process_metrics()
        if self._garbage is not None:
            yield from java_metrics(self._garbage)

    def distributions(self) -> dict[Key, Distribution]:
        """All summaries by name and label."""
        server = self._server
        found: dict[Key, Distribution] = {(name, ""): ms for name, ms in values.distributions(server).items()}
        for name, by_key in values.labelled_distributions(server).items():
            found |= {(name, key): distribution for key, distribution in by_key.items()}
        return found

    def _add_summaries(self, metric: Metric, row: Row, distributions: dict[Key, Distribution]) -> None:
        keys = [key for name, key in distributions if name == row.name] if row.is_labelled else [""]
        for key in keys:
            distribution = distributions.get((row.name, key)) or Distribution()
            labels = {"key": key} if row.is_labelled else {}
            shares = QUANTILES if row.is_detailed else MEDIAN
            found = self._windows.quantiles((row.name, key), distribution, shares)
            for share, value in zip(shares, found, strict=True):
                metric.add_sample(row.name, {**labels, "quantile": str(share)}, value)
            metric.add_sample(f"{row.name}_count", labels, distribution.count)
            metric.add_sample(f"{row.name}_sum", labels, distribution.total)


def make_registry(collector: ServerCollector) -> CollectorRegistry:
    """Of one server: two in one process have nothing in common."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry


def exposition(registry: CollectorRegistry, names: Collection[str] = ()) -> str:
    """The text of a scrape, of these sample names or of all."""
    lines: list[str] = []
    for metric in registry.collect():
        samples = [sample for sample in metric.samples if not names or sample.name in names]
        if samples or not names:
            name = samples[0].name if samples and metric.type == "counter" else metric.name
            lines.append(f"# HELP {name} {metric.documentation.translate(HELP_ESCAPES)}")
            lines.append(f"# TYPE {name} {metric.type}")
            lines += map(_line, samples)
    return "\n".join(lines) + "\n"


def _line(sample: Sample) -> str:
    """Labels have a comma behind the last one too, as those of Apache's client library."""
    labels = "".join([f'{name}="{value.translate(ESCAPES)}",' for name, value in sample.labels.items()])
    value = float(sample.value)
    return f"{sample.name}{'{' + labels + '}' if labels else ''} {'NaN' if isnan(value) else value}"
