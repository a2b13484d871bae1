"""The ports for operators on a real process, as curl and Prometheus see them."""

import json
import urllib.error

from kazoo.client import KazooClient
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.admin import SUPER, WITH_SUPER, fetch
from tests.integration.conftest import Connect, MakeServer
from tests.integration.processes import eventually, free_port

PROVIDER = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
LIMIT = 3


def is_open(port: int) -> bool:
    try:
        return fetch(port, "/livez")[0] in {200, 404}
    except urllib.error.URLError:
        return False


def test_operators_ask_and_restore_over_http_while_clients_go_on(make_server: MakeServer, connect: Connect) -> None:
    admin_port, metrics_port = free_port(), free_port()
    server = make_server(
        **{
            "admin.enableServer": "true",
            "admin.serverPort": admin_port,
            "admin.rateLimiterIntervalInMS": 0,
            "pyzk.adminConnectionsMax": LIMIT,
            "metricsProvider.className": PROVIDER,
            "metricsProvider.httpHost": "127.0.0.1",
            "metricsProvider.httpPort": metrics_port,
            **WITH_SUPER,
        }
    )
    eventually(lambda: is_open(admin_port) and is_open(metrics_port), "both ports are open")
    client: KazooClient = connect(server)
    client.create("/app", b"1")
    assert json.loads(fetch(admin_port, "/readyz")[1])["ready"] is True
    assert json.loads(fetch(admin_port, "/commands/stat")[1])["node_count"] == 6
    text = fetch(metrics_port, "/metrics")[1].decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["znode_count"].samples[0].value == 6
    status, snapshot = fetch(admin_port, "/commands/snapshot", headers=SUPER)
    assert status == 200
    client.set("/app", b"2")
    client.create("/later")
    assert fetch(admin_port, "/commands/restore", snapshot)[0] == 401
    assert fetch(admin_port, "/commands/restore", snapshot, SUPER)[0] == 200
    assert client.get("/app")[0] == b"1"
    client.set("/app", b"3")
    server.restart()
    client = connect(server)
    assert client.get("/app")[0] == b"3"
    assert client.exists("/later") is None
