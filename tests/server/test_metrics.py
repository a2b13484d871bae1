"""Metrics: every name of Apache's that somebody reads, of the right type, in a form that Prometheus takes."""

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from pyzk.server.config import Config
from pyzk.server.memberdriver import MemberDriver
from pyzk.server.metrics import probes, values
from pyzk.server.metrics.listing import listing
from pyzk.server.metrics.probes import LEARNERS_MAX, look_at_learners, note_turn, watch_turns
from pyzk.server.metrics.prometheus import ServerCollector, exposition, make_registry
from pyzk.server.metrics.stages import STAGE_NAMES, Elections, Stages
from pyzk.server.metrics.table import METRICS, OWN_METRICS
from pyzk.server.metrics.windows import BUCKETS, Windows
from pyzk.server.standalone import Server
from pyzk.service.counters import NAMESPACES_MAX, OTHER_NAMESPACES, Distribution, Namespaces, Sizes, namespace_of
from tests.server.ensemble import ensemble
from tests.server.http import get
from tests.server.shell import Wire, running

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "protocol" / "operations.md").read_text()
ROW = re.compile(r"^\| (\w+)(\{key\})? \| (gauge|counter|summary)(\{key\})?( [AB])? \| (★)? ?\| ", re.MULTILINE)
PROMETHEUS = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
LEADER_ONLY = {
    *("learners", "followers", "synced_followers", "synced_non_voting_followers", "synced_observers", "pending_syncs"),
    *("leader_uptime", "last_proposal_size", "min_proposal_size", "max_proposal_size", "quorum_size"),
}


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with running(metrics_provider=PROMETHEUS, metrics_address="127.0.0.1", metrics_port=0) as server:
        yield server


def scraped(server: Server, *names: str) -> str:
    return exposition(make_registry(ServerCollector(server, Windows())), names)


def spec_rows() -> dict[str, tuple[str, bool, bool, bool]]:
    """Name to type, is detailed, is labelled, is used."""
    return {
        name: (kind, (level or "").strip() == "A", bool(first or second), bool(star))
        for name, first, kind, second, level, star in ROW.findall(OPERATIONS)
    }


def test_the_table_is_that_of_the_specification() -> None:
    table = {
        metric.name: (metric.kind.value, metric.is_detailed, metric.is_labelled, metric.is_used) for metric in METRICS
    }
    assert table == spec_rows()


def test_no_name_comes_twice_and_each_has_help() -> None:
    names = [metric.name for metric in (*METRICS, *OWN_METRICS)]
    assert len(names) == len(set(names))
    for metric in (*METRICS, *OWN_METRICS):
        assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
        assert metric.help.strip()
        assert "\n" not in metric.help


async def test_each_name_is_counted_or_says_why_it_is_not(server: Server) -> None:
    counted = {
        *values.gauges(server),
        *values.counters(server),
        *values.distributions(server),
        *values.labelled_numbers(server),
        *values.labelled_distributions(server),
    }
    wanted = {metric.name for metric in (*METRICS, *OWN_METRICS)} - LEADER_ONLY
    assert wanted <= counted | set(values.NEVER_MOVES)
    assert not counted & set(values.NEVER_MOVES) - {"learner_handler_qp_time_ms"}
    assert counted <= wanted


async def test_a_scrape_is_what_prometheus_reads(server: Server) -> None:
    wire = await Wire.session(server)
    await wire.ask(wire.create(b"/app"))
    await wire.ask(wire.get_data(b"/app"))
    families = {family.name: family for family in text_string_to_metric_families(scraped(server))}
    table = {metric.name: metric for metric in (*METRICS, *OWN_METRICS)}
    for name, metric in table.items():
        if metric.is_used and not metric.is_labelled and name not in LEADER_ONLY:
            assert families[name].type == metric.kind.value, name
            assert families[name].documentation == metric.help
    assert families["znode_count"].samples[0].value == 6
    quantiles = [
        sample.labels["quantile"] for sample in families["updatelatency"].samples if "quantile" in sample.labels
    ]
    assert quantiles == ["0.5", "0.9", "0.99"]
    assert [sample.labels for sample in families["fsynctime"].samples] == [{"quantile": "0.5"}, {}, {}]
    operations = {sample.labels["key"] for sample in families["operation_latency_ms"].samples}
    assert {"read", "createSession", "create"} <= operations
    assert {"app"} == {sample.labels["key"] for sample in families["write_per_namespace"].samples}
    assert {"app"} == {sample.labels["key"] for sample in families["read_per_namespace"].samples}
    await wire.close()


async def test_a_scrape_passes_the_lint_of_promtool(server: Server) -> None:
    """Help and type before the first sample, once for each name; no sample twice; summaries have sum and count."""
    text = scraped(server)
    helped, typed = (re.findall(rf"^# {word} (\S+) ", text, re.MULTILINE) for word in ("HELP", "TYPE"))
    assert helped == typed
    assert len(set(typed)) == len(typed)
    samples = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(samples) == len(set(samples))
    for family in text_string_to_metric_families(text):
        if family.type == "summary" and family.samples:
            names = {sample.name for sample in family.samples}
            assert {f"{family.name}_sum", f"{family.name}_count"} <= names
    assert not re.search(r"_created(\{.*)? ", text)
    assert text.endswith("\n")


async def test_what_comes_once_for_each_key_is_named_before_there_is_a_key(server: Server) -> None:
    wire = await Wire.session(server)
    await wire.ask(wire.get_data(b"/"))
    text = scraped(server)
    for name in ("learner_handler_qp_size", "quota_exceeded_error_per_namespace", "read_per_namespace"):
        assert re.findall(rf"^(?:# TYPE )?{name}\b.*$", text, re.MULTILINE) == [
            f"# TYPE {name} {'counter' if 'quota' in name else 'summary'}"
        ]
    await wire.close()


async def test_a_follower_tells_prometheus_that_no_observer_is_synced_with_it() -> None:
    async with ensemble() as three:
        followers = [server for server in three.servers.values() if server.peer.mode == "follower"]
        assert len(followers) == 2
        for server in followers:
            assert scraped(server, "synced_observers").splitlines()[-1] == "synced_observers 0.0"
            assert "synced_observers" not in listing(server)


async def test_snapshot_and_txns_of_a_start_are_timed_apart(server: Server) -> None:
    times = server.statistics.load_times
    assert times.began_at <= times.snapshot_at <= times.replayed_at <= times.done_at
    times.began_at, times.snapshot_at, times.replayed_at, times.done_at = 1.0, 1.25, 2.0, 2.5
    found = values.distributions(server)
    names = ("startup_snap_load_time", "startup_txns_load_time", "dbinittime")
    assert [found[name].total for name in names] == [250, 750, 1500]


async def test_an_empty_summary_has_no_quantile(server: Server) -> None:
    (line,) = re.findall(r"^snapshottime\{quantile=.*$", scraped(server), re.MULTILINE)
    assert line == 'snapshottime{quantile="0.5",} NaN'


async def test_names_can_be_asked_for(server: Server) -> None:
    assert scraped(server, "znode_count") == "# HELP znode_count znodes\n# TYPE znode_count gauge\nznode_count 5.0\n"


async def test_the_port_answers_metrics_and_nothing_else(server: Server) -> None:
    port = server.metrics_port
    status, headers, body = await get(port, "/metrics?name[]=znode_count")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert body.decode().splitlines()[-1] == "znode_count 5.0"
    assert (await get(port, "/"))[0] == 404
    assert (await get(port, "/metrics", method="POST"))[0] == 405
    _, _, body = await get(port, "/metrics")
    text = body.decode()
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "jvm_threads_current", "jvm_info"):
        assert re.search(rf"^{name}\b", text, re.MULTILINE)
    used, most = (
        float(re.search(rf"^{name}\S* (\S+)", text, re.MULTILINE)[1])
        for name in ("jvm_memory_bytes_used", "jvm_memory_bytes_max")
    )
    assert 0 < used < most


# What the Java client library of Apache 3.9.5 (0.9.0) tells of its machine, over docs/protocol/operations.md section 3.
HOTSPOT = """jvm_memory_bytes_used jvm_memory_bytes_committed jvm_memory_bytes_max jvm_memory_bytes_init
    jvm_memory_pool_bytes_used jvm_memory_pool_bytes_committed jvm_memory_pool_bytes_max jvm_memory_pool_bytes_init
    jvm_memory_pool_allocated_bytes_total jvm_buffer_pool_used_bytes jvm_buffer_pool_capacity_bytes
    jvm_buffer_pool_used_buffers jvm_gc_collection_seconds
    jvm_threads_current jvm_threads_daemon jvm_threads_peak jvm_threads_started_total jvm_threads_deadlocked
    jvm_threads_deadlocked_monitor jvm_threads_state jvm_classes_loaded jvm_classes_loaded_total
    jvm_classes_unloaded_total jvm_info process_cpu_seconds_total process_start_time_seconds process_open_fds
    process_max_fds process_virtual_memory_bytes process_resident_memory_bytes"""


async def test_every_java_name_is_told_or_its_absence_explained(server: Server) -> None:
    text = (await get(server.metrics_port, "/metrics"))[2].decode()
    told = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    page = (ROOT / "docs" / "operations.md").read_text()
    section = page.partition("### Names that are missing")[2].partition("\n##")[0]
    explained = set(re.findall(r"`(jvm_\w+)`", section))
    assert explained == set(HOTSPOT.split()) - told


async def test_java_names_can_be_left_out() -> None:
    async with running(
        metrics_provider=PROMETHEUS, metrics_address="127.0.0.1", metrics_port=0, metrics_process=False
    ) as server:
        text = (await get(server.metrics_port, "/metrics"))[2].decode()
        assert "jvm_threads_current" not in text
        assert "process_cpu_seconds_total" in text


async def test_without_the_provider_namespaces_are_not_counted_and_there_is_no_port() -> None:
    async with running() as server:
        assert server.peer.service.namespaces is None
        assert server.metrics_port == 0


def test_quantiles_are_those_of_ten_minutes() -> None:
    windows, distribution = Windows(), Distribution()
    key = ("name", "")
    distribution.add(100, 10)
    for _ in range(BUCKETS):
        windows.turn({key: distribution})
    assert math.isnan(windows.quantiles(key, distribution, (0.5,))[0])
    distribution.add(3, 5)
    distribution.add(7, 4)
    assert windows.quantiles(key, distribution, (0.5, 0.99)) == [3, 7]
    distribution.reset()
    distribution.add(100)
    assert windows.quantiles(key, distribution, (0.5,)) == [100]


def test_until_ten_minutes_are_over_all_counts() -> None:
    windows, distribution = Windows(), Distribution()
    distribution.add(100)
    windows.turn({("name", ""): distribution})
    distribution.add(1)
    assert windows.quantiles(("name", ""), distribution, (0.5, 0.99)) == [1, 100]


def test_sizes_keep_exact_sums_and_few_buckets() -> None:
    sizes = Sizes()
    for number in range(100_000, 101_000):
        sizes.add(number)
    assert (sizes.count, sizes.total) == (1000, sum(range(100_000, 101_000)))
    assert sizes.counts == {100_000: 1000}


def test_many_top_level_znodes_share_a_line() -> None:
    namespaces = Namespaces()
    for number in range(NAMESPACES_MAX + 50):
        namespaces.note_written(b"/%d/x" % number, 1)
    assert len(namespaces.written) == NAMESPACES_MAX + 1
    assert namespaces.written[OTHER_NAMESPACES].count == 50
    assert namespace_of(b"/a/b") == "a"
    assert namespace_of(b"/") == ""


async def test_where_time_goes_is_measured(server: Server) -> None:
    wire = await Wire.session(server)
    wire.send(*[wire.set_data(b"/", b"x") for _ in range(50)])
    await wire.replies(50)
    found = values.distributions(server)
    for name in ("prep_process_time", "prep_processor_queue_time_ms", "sync_processor_queue_time_ms", "updatelatency"):
        assert found[name].count >= 50, name
    for name in ("propagation_latency", "write_final_proc_time_ms", "sync_processor_queue_and_flush_time_ms"):
        assert found[name].count >= 50, name
    assert found["fsynctime"].count >= 1
    counted = values.counters(server)
    assert counted["prep_processor_request_queued"] == counted["request_commit_queued"] == 51
    assert counted["outstanding_changes_queued"] == counted["outstanding_changes_removed"] >= 50
    gauges = values.gauges(server)
    assert (
        gauges["min_client_response_size"] <= gauges["last_client_response_size"] <= gauges["max_client_response_size"]
    )
    server.statistics.reset()
    assert not any(getattr(server.peer.stages, name).count for name in STAGE_NAMES)
    assert values.gauges(server)["max_client_response_size"] == -1
    await wire.close()


async def test_a_leader_tells_what_only_leaders_know_and_only_while_it_leads() -> None:
    async with ensemble() as three:
        wire = await Wire.session(three[three.leader()])
        for _ in range(5):
            await wire.ask(wire.set_data(b"/", b"x"))
        await three.level()
        leader, follower = three[three.leader()], three[three.followers()[0]]
        text = scraped(leader)
        for name in LEADER_ONLY - {"quorum_size"}:
            assert re.search(rf"^{name} ", text, re.MULTILINE), name
            assert name == "synced_observers" or not re.search(rf"^{name} ", scraped(follower), re.MULTILINE), name
        counted = values.counters(leader)
        assert counted["proposal_count"] == counted["commit_count"] >= 6
        assert values.distributions(leader)["quorum_ack_latency"].count >= 6
        assert values.labelled_distributions(leader)["ack_latency"]
        heard = values.counters(follower)
        assert heard["learner_proposal_received_count"] >= 6
        assert heard["learner_commit_received_count"] >= 6
        assert values.distributions(follower)["proposal_latency"].count >= 6
        assert values.distributions(follower)["election_time"].count == 1
        assert values.distributions(follower)["follower_sync_time"].count == 1
        assert values.distributions(leader)["leader_unavailable_time"].count == 1
        assert sum(values.counters(server)["diff_count"] for server in three.servers.values()) == 2
        await wire.close()


def test_elections_are_timed() -> None:
    elections = Elections(10.0)
    elections.see(True, 10.5)
    elections.see(False, 11.5)
    elections.opened(12.0, "follower")
    elections.closed(20.0, was_leader=False, reason="gone")
    elections.see(True, 20.0)
    elections.see(False, 20.2)
    elections.opened(21.0, "leader")
    elections.closed(22.0, was_leader=True, reason="no quorum follows any more: only []")
    assert elections.looking_count == 2
    assert (elections.election_time.count, elections.election_time.total) == (2, 1199)
    assert elections.unavailable_time.total == 3000
    assert elections.leader_unavailable_time.total == 1000
    assert elections.follower_sync_time.total == 500
    assert elections.disloyal_voters == 1


# Beside Apache's.


def captured(state: str) -> list[str]:
    names = list(json.loads((ROOT / "tests" / "vectors" / "admin" / f"monitor.{state}.json").read_text()))
    return names[:-2]


def generic(names: list[str]) -> list[str]:
    """Server ids and znodes of the captures are others than ours."""
    found = [
        re.sub(r"_(?:\d+|[a-z]+)_((?:learner_handler|read_per|write_per)\w+)$", r"_KEY_\1", name) for name in names
    ]
    return list(dict.fromkeys(found))


async def test_the_listing_has_the_names_of_apache_in_its_order(server: Server) -> None:
    wire = await Wire.session(server)
    await wire.ask(wire.create(b"/app"))
    await wire.ask(wire.get_data(b"/app"))
    assert generic(list(listing(server))) == generic(captured("standalone"))
    await wire.close()


async def test_the_listings_of_an_ensemble_have_the_names_of_apache_in_its_order() -> None:
    async with ensemble(
        4, observers=(4,), metrics_provider=PROMETHEUS, metrics_address="127.0.0.1", metrics_port=0
    ) as four:
        wire = await Wire.session(four[four.leader()])
        await wire.ask(wire.create(b"/app"))
        await four.level()
        for server in four.servers.values():
            reader = await Wire.session(server)
            await reader.ask(reader.get_data(b"/app"))
            await reader.close()
        states = {"leader": four[four.leader()], "follower": four[four.followers()[0]], "observer": four[4]}
        for state, server in states.items():
            assert generic(list(listing(server))) == generic(captured(state)), state
        await wire.close()


@pytest.mark.parametrize(
    ("late_seconds", "worked_seconds", "busy_ms"),
    [(0.08, 0.2, 80), (0.08, 0.03, 30), (-0.001, 0.01, 0)],
    ids=["it worked", "others had the machine", "it is in time"],
)
def test_a_late_timer_tells_what_the_loop_has_worked_itself(
    late_seconds: float, worked_seconds: float, busy_ms: int
) -> None:
    stages = Stages()
    note_turn(stages, late_seconds, worked_seconds)
    assert stages.event_loop_lag_ms.most == max(0, round(late_seconds * 1000))
    assert stages.event_loop_busy_ms.most == busy_ms


@pytest.mark.parametrize(
    ("late_seconds", "level"),
    [(0.5, ""), (1.5, "info"), (10.5, "warning")],
    ids=["shorter than the thresholds", "longer than one", "longer than both"],
)
@pytest.mark.parametrize("is_on", [True, False])
async def test_pauses_are_logged_by_their_length_if_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, late_seconds: float, level: str, is_on: bool
) -> None:
    moments = iter([0.0, probes.TURN_SECONDS + late_seconds])

    def clock() -> float:
        moment = next(moments, None)
        if moment is None:
            raise asyncio.CancelledError
        return moment

    monkeypatch.setattr(probes, "monotonic_seconds", clock)
    with structlog.testing.capture_logs() as lines, pytest.raises(asyncio.CancelledError):
        await watch_turns(Stages(), Config(pause_monitor=is_on))
    assert [line["log_level"] for line in lines] == ([level] if level and is_on else [])
    assert all(line["late_ms"] == late_seconds * 1000 for line in lines)


async def test_learners_are_told_apart_up_to_a_limit() -> None:
    async with ensemble() as three:
        driver = three[three.leader()].peer
        assert isinstance(driver, MemberDriver)
        few: dict[int, Distribution] = {}
        look_at_learners(driver, few)
        assert few.keys() == set(three.followers())
        many = {server_id: Distribution() for server_id in range(1000, 1000 + LEARNERS_MAX)}
        look_at_learners(driver, many)
        assert len(many) == LEARNERS_MAX
