"""What `scripts/interop metrics` makes of two answers, and of the page that explains them."""

from tests.interop.metrics import MISSING, OTHERWISE, OWN, PAGE, compared, explained, gathered, scraped

TEXT = """# TYPE sent counter
sent 3.0
# TYPE cpu_total counter
cpu_total 1.0
# TYPE wait summary
wait{key="a",quantile="0.5",} NaN
wait_count{key="a",} 0.0
"""


def test_names_of_a_scrape_are_those_of_its_types() -> None:
    assert {name: text.split()[0] for name, text in scraped(TEXT).items()} == {
        "sent": "counter",
        "cpu_total": "counter",
        "wait": "summary",
    }


def test_keys_are_gathered_by_metric() -> None:
    keys = {"avg_latency": "decimals", "avg_fsynctime": "decimals", "max_fsynctime": "n", "avg_2_ack_latency": "n"}
    assert set(gathered(keys)) == {"avg_latency", "fsynctime", "ack_latency"}


def test_each_difference_asks_for_its_section() -> None:
    found = compared("mntr", {"a": "gauge", "b": "gauge"}, {"b": "counter", "c": "gauge"})
    assert {finding[:3] for finding in found} == {(MISSING, "mntr", "a"), (OWN, "mntr", "c"), (OTHERWISE, "mntr", "b")}


def test_the_page_explains_names_by_place() -> None:
    rows = explained(PAGE.read_text())
    assert (MISSING, "monitor", "read_per_namespace") in rows
    assert (OWN, "prometheus", "fsync_slow_count") in rows
    assert {place for _, place, _ in rows} == {"mntr", "monitor", "prometheus"}
