"""The names of all metrics: a live Apache 3.9.5 beside pyzk, alone and in threes, after the same few requests.

Compared are the names, types and labels of the port for Prometheus, and the keys of the word mntr and of the admin
command monitor with the kinds of their values, gathered by the metric that they belong to. Each name that only one of
both tells, or tells otherwise, must stand in a table of docs/operations.md with its reason: one that does not makes
this fail, and so does a row that explains nothing any more.
"""

import argparse
import json
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from kazoo.client import KazooClient
from prometheus_client.parser import text_string_to_metric_families

from pyzk.server.metrics.table import METRICS
from tests.integration.admin import fetch
from tests.integration.ensemble import Ensemble
from tests.integration.processes import PyzkServer, ServerProcess, eventually, four_letter_word, free_port, release
from tests.interop.apache import ApacheServer, metrics_flags
from tests.interop.mixed import GONE_WRONG
from tests.interop.results import FAILED, PASSED, Result

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
PROMETHEUS = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
KINDS = ("java39", "pyzk")
MISSING, OWN, OTHERWISE = "Names that are missing", "Names of pyzk's own", "Names that are told otherwise"

LABELLED = tuple(metric.name for metric in METRICS if metric.is_labelled)
SUMMARY_PREFIX = re.compile(
    r"^(avg|min|max|cnt|sum|p50|p95|p99|p999)_(?!latency$|proposal_size$|client_response_size$)"
)

Names = Mapping[str, str]
"""How each name is told: its type and labels, or the kind of its value."""


class Finding(NamedTuple):
    """A name, where it is told, and the section of the page in which it must be explained."""

    section: str
    where: str
    name: str
    detail: str


def run(options: argparse.Namespace) -> list[Result]:
    del options
    folder, flags = Path(tempfile.mkdtemp(prefix="metrics-")), metrics_flags()
    try:
        told = {kind: {**alone(folder, kind, flags), **in_threes(folder, kind, flags)} for kind in KINDS}
    except GONE_WRONG as error:
        return [Result("metrics", "servers", FAILED, f"{type(error).__name__}: {error}, files in {folder}")]
    shutil.rmtree(folder)
    known = explained(PAGE.read_text())
    results, needed = [], set()
    for asked, ours in told["pyzk"].items():
        theirs = told["java39"][asked]
        findings = compared(asked.partition(",")[0], theirs, ours)
        needed |= {finding[:3] for finding in findings}
        print(f"    {asked}: Apache tells {len(theirs)} metrics, pyzk {len(ours)}, {len(findings)} differ", flush=True)
        lines = [f"{finding.name}: {finding.detail}" for finding in findings if finding[:3] not in known]
        results.append(Result("metrics", asked, FAILED if lines else PASSED, "\n".join(lines)))
    stale = [f"{' / '.join(row)}: both tell it alike" for row in sorted(known - needed)]
    return [*results, Result("metrics", "no row too many", FAILED if stale else PASSED, "\n".join(stale))]


def compared(where: str, theirs: Names, ours: Names) -> list[Finding]:
    findings = [Finding(MISSING, where, name, "only Apache tells it") for name in theirs.keys() - ours.keys()]
    findings += [Finding(OWN, where, name, "only pyzk tells it") for name in ours.keys() - theirs.keys()]
    for name in theirs.keys() & ours.keys():
        if theirs[name] != ours[name]:
            findings.append(Finding(OTHERWISE, where, name, f"{theirs[name]} of Apache, {ours[name]} of pyzk"))
    return sorted(findings)


def explained(page: str) -> set[tuple[str, str, str]]:
    """Section, place and name of each row `| names | where | why |` of the three tables."""
    found = set()
    for section in (MISSING, OWN, OTHERWISE):
        text = re.split(r"^##", page.partition(f"### {section}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
        for names, places in re.findall(r"^\| (`[^|]+) \| ([^|]+) \| \w", text, re.MULTILINE):
            for where in places.split(", "):
                found |= {(section, where, name) for name in re.findall(r"`(\w+)`", names)}
    return found


# Servers, and what they are asked.


def alone(folder: Path, kind: str, flags: tuple[str, ...]) -> dict[str, Names]:
    """By "place, alone"."""
    found = {}
    for provider in (None, PROMETHEUS):
        place, extra = folder / f"{kind}-alone-{provider is not None}", ports(provider)
        server: ServerProcess = (
            PyzkServer(place, settings=extra) if kind == "pyzk" else ApacheServer(place, "3.9", flags, settings=extra)
        )
        with server:
            work(server.hosts)
            found |= {f"{asked}, alone": names for asked, names in answers(server, extra).items()}
        release(server.port, *ports_of(extra))
    return found


def in_threes(folder: Path, kind: str, flags: tuple[str, ...]) -> dict[str, Names]:
    """By "place, leader" and "place, follower"."""
    found = {}
    for provider in (None, PROMETHEUS):
        with Ensemble(folder / f"{kind}-{provider is not None}", [kind] * 3) as ensemble:
            extra = {}
            for sid, member in ensemble.members.items():
                extra[sid] = ports(provider)
                member.java_flags += flags
                text = "".join(f"{key}={value}\n" for key, value in extra[sid].items())
                lines = member.config_path.read_text().replace("admin.enableServer=false\n", "")
                member.config_path.write_text(lines + text)
            ensemble.start(first=3)
            for sid in ensemble.members:
                work(ensemble.hosts(sid))
            ensemble.wait_until_level()
            for sid, role in ((3, "leader"), (1, "follower")):
                found |= {f"{asked}, {role}": names for asked, names in answers(ensemble[sid], extra[sid]).items()}
        release(*(port for settings in extra.values() for port in ports_of(settings)))
    return found


def ports(provider: str | None) -> dict[str, object]:
    extra: dict[str, object] = {"admin.enableServer": "true", "admin.serverPort": free_port()}
    if provider is not None:
        extra |= {"metricsProvider.className": provider, "metricsProvider.httpPort": free_port()}
    return extra


def ports_of(extra: Mapping[str, object]) -> list[int]:
    return [int(str(value)) for key, value in extra.items() if key.endswith("Port")]


def work(hosts: str) -> None:
    """Some of each: reads, writes, watches, a multi, a quota, a session that ends with an ephemeral."""
    client = KazooClient(hosts)
    client.start()
    client.ensure_path("/app/child")
    client.ensure_path("/zookeeper/quota/app")
    client.exists("/app", lambda _: None)
    client.get_children("/app", lambda _: None)
    client.set("/app", b"data")
    client.get("/app")
    client.sync("/app")
    client.create("/app/fleeting", ephemeral=True)
    transaction = client.transaction()
    transaction.create("/app/one")
    transaction.delete("/app/one")
    transaction.commit()
    client.ensure_path("/zookeeper/quota/app/zookeeper_stats")
    client.ensure_path("/zookeeper/quota/app/zookeeper_limits")
    client.set("/zookeeper/quota/app/zookeeper_limits", b"count=100,bytes=-1=;byteHardLimit=-1;countHardLimit=-1")
    client.stop()
    client.close()


def answers(server: ServerProcess, extra: Mapping[str, object]) -> dict[str, Names]:
    """What this server tells with its provider: Apache's mntr and monitor are others with that for Prometheus."""
    if port := extra.get("metricsProvider.httpPort"):
        return {"prometheus": scraped(answer(port, "/metrics"))}
    monitor = json.loads(answer(extra["admin.serverPort"], "/commands/monitor"))
    words = [line.split("\t") for line in four_letter_word(server.port, "mntr").splitlines()]
    return {
        "mntr": gathered({name.removeprefix("zk_"): kind_of(value) for name, value in words}),
        "monitor": gathered({name: type(value).__name__ for name, value in monitor.items()}),
    }


def answer(port: object, path: str) -> str:
    """As soon as there is one: the admin port opens after that for clients."""
    found: list[str] = []

    def is_there() -> bool:
        with suppress(OSError):
            status, body = fetch(int(str(port)), path)
            found[:] = [body.decode()] if status == HTTPStatus.OK else []
        return bool(found)

    eventually(is_there, f"an answer to {path}")
    return found[0]


def gathered(kinds: Mapping[str, str]) -> Names:
    """By metric: `avg_1_ack_latency` and `max_1_ack_latency` belong to ack_latency."""
    found = defaultdict(list)
    for key, kind in sorted(kinds.items()):
        owners = [name for name in LABELLED if key.endswith(f"_{name}")] or [SUMMARY_PREFIX.sub("", key)]
        found[owners[0]].append(f"{key} {kind}")
    return {name: ", ".join(keys) for name, keys in found.items()}


def kind_of(text: str) -> str:
    kinds = {r"-?\d+": "whole number", r"-?\d+\.\d+": "decimals"}
    return next((kind for pattern, kind in kinds.items() if re.fullmatch(pattern, text)), "text")


def scraped(text: str) -> Names:
    """By name: type, then the samples with their labels."""
    found: dict[str, str] = {}
    typed = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    for family in text_string_to_metric_families(text):
        shapes = defaultdict(list)
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            shapes[sample.name.removeprefix(family.name)].append(f"{{{labels}}}")
        samples = " ".join(f"{name}{''.join(sorted(labels))}" for name, labels in sorted(shapes.items()))
        # The parser takes `_total` away, which some counters have and others have not.
        full_name = f"{family.name}_total"
        is_total = family.type == "counter" and full_name in typed
        found[full_name if is_total else family.name] = f"{family.type} {samples}"
    return found
