"""conf/: the dashboard and the alerts name metrics that exist, and nothing else."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyzk.server.metrics.process import GarbageWatch
from pyzk.server.metrics.prometheus import ServerCollector
from pyzk.server.metrics.table import METRICS, OWN_METRICS, Kind
from pyzk.server.metrics.windows import Windows
from pyzk.service.counters import Distribution
from tests.server.shell import running

CONF = Path(__file__).parents[2] / "conf"
FUNCTIONS = {
    "rate",
    "increase",
    "topk",
    "sum",
    "max",
    "min",
    "count",
    "by",
    "floor",
    "unless",
    "and",
    "or",
    "label_values",
}
LABELS = {"job", "instance", "quantile", "key", "area"}
RULE = re.compile(
    r"      - alert: (\w+)\n        expr: '([^']+)'\n        for: (\d+[smh])\n        labels:\n"
    r"          severity: (critical|warning|info)\n        annotations:\n          summary: .+\n"
)


def names_in(expression: str) -> set[str]:
    """Metrics of an expression: what is left without strings, labels, durations, functions and variables."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\$\w+|\bby \([^)]*\)', " ", expression)
    return {name for name in re.findall(r"[a-zA-Z_]\w*", bare) if name not in FUNCTIONS | LABELS}


def labels_in(expression: str) -> set[str]:
    matchers = re.findall(r"\{([^}]*)\}", expression)
    return {label for text in matchers for label in re.findall(r"(\w+)\s*=~?", text)}


def expressions() -> Iterator[tuple[str, str]]:
    dashboard = json.loads((CONF / "grafana-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]
    for alert, expression, *_ in RULE.findall((CONF / "prometheus-alerts.yml").read_text()):
        yield alert, expression


@pytest.fixture
async def known() -> set[str]:
    """Every sample name that a server can tell, with those of a leader."""
    garbage = GarbageWatch(Distribution())
    async with running() as server:
        samples = {
            sample.name for metric in ServerCollector(server, Windows(), garbage).collect() for sample in metric.samples
        }
    garbage.stop()
    for metric in (*METRICS, *OWN_METRICS):
        ends = ("", "_count", "_sum") if metric.kind is Kind.SUMMARY else ("",)
        samples |= {f"{metric.name}{end}" for end in ends}
    return samples


async def test_every_expression_names_metrics_that_exist(known: set[str]) -> None:
    found = list(expressions())
    assert len(found) > 50
    for where, expression in found:
        assert names_in(expression), where
        assert names_in(expression) <= known, where
        assert labels_in(expression) <= LABELS, where


def test_every_rule_is_whole() -> None:
    text = (CONF / "prometheus-alerts.yml").read_text()
    rules = RULE.findall(text)
    assert len(rules) == text.count("- alert:")
    assert len({name for name, *_ in rules}) == len(rules)


def test_panels_do_not_lie_over_each_other() -> None:
    dashboard = json.loads((CONF / "grafana-dashboard.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
