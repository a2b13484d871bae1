"""Variables of containers: those of the official image and of Bitnami's become a zoo.cfg that a server takes."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pyzk.server import container
from pyzk.server.config import Config, load_config

ROOT = Path(__file__).resolve().parents[2]
OFFICIAL = "server.1=zoo1:2888:3888;2181 server.2=zoo2:2888:3888;2181 server.3=zoo3:2888:3888;2181"
PROBES = {"/livez", "/readyz"}


class Volumes:
    """What stands for /conf and /data."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.linked, self.made = folder / "conf" / "zoo.cfg", self.data / "zoo.cfg"
        self.linked.parent.mkdir()
        self.data.mkdir()
        self.linked.symlink_to(self.made)

    def prepare(self, **environ: str) -> Path:
        directories = {"ZOO_DATA_DIR": str(self.data), "ZOO_DATA_LOG_DIR": str(self.data)}
        return Path(container.prepare({**directories, **environ}, self.linked, self.made))

    def load(self, **environ: str) -> Config:
        """What a server makes of it, without a word of complaint."""
        config, warnings = load_config(str(self.prepare(**environ)), {})
        assert warnings == []
        return config


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    return Volumes(tmp_path)


def test_without_variables_there_is_one_server(volumes: Volumes) -> None:
    config = volumes.load()
    assert (config.client_port, config.is_distributed) == (2181, False)
    assert (config.tick_time_ms, config.init_limit_ticks, config.sync_limit_ticks) == (2000, 5, 2)
    assert (config.admin_enabled, config.admin_address) == (True, "0.0.0.0")
    assert not (volumes.data / "myid").exists()


def test_the_official_image_s_variables_make_a_member(volumes: Volumes) -> None:
    config = volumes.load(
        ZOO_MY_ID="2",
        ZOO_SERVERS=OFFICIAL,
        ZOO_TICK_TIME="1000",
        ZOO_4LW_COMMANDS_WHITELIST="srvr, mntr",
        ZOO_ADMINSERVER_ENABLED="false",
        ZOO_CFG_EXTRA="maxSessionTimeout=90000 globalOutstandingLimit=7",
    )
    assert config.server_id == 2
    assert [server.server_id for server in config.servers] == [1, 2, 3]
    assert config.client_port == 2181
    assert (config.tick_time_ms, config.admin_enabled) == (1000, False)
    assert config.four_letter_whitelist == {"srvr", "mntr"}
    assert (config.max_session_timeout_ms, config.global_outstanding_limit) == (90_000, 7)


@pytest.mark.parametrize(
    "servers",
    [
        "zoo1:2888:3888,zoo2:2888:3888,zoo3:2888:3888",
        "zoo1:2888:3888::1 zoo3:2888:3888::3; zoo2:2888:3888::2",
    ],
)
def test_bitnami_s_variables_make_a_member(volumes: Volumes, servers: str) -> None:
    config = volumes.load(
        ZOO_SERVER_ID="3",
        ZOO_SERVERS=servers,
        ZOO_PORT_NUMBER="3181",
        ZOO_ENABLE_ADMIN_SERVER="no",
        ZOO_ENABLE_PROMETHEUS_METRICS="yes",
        ZOO_PROMETHEUS_METRICS_PORT_NUMBER="9141",
        ZOO_LISTEN_ALLIPS_ENABLED="yes",
        ZOO_AUTOPURGE_INTERVAL="6",
        ZOO_LOG_LEVEL="WARN",
    )
    hosts = {server.server_id: server.quorum_addresses[0] for server in config.servers}
    assert hosts == {number: (f"zoo{number}", 2888) for number in (1, 2, 3)}
    assert (config.server_id, config.client_port) == (3, 3181)
    assert (config.has_prometheus, config.metrics_port, config.admin_enabled) == (True, 9141, False)
    assert (config.quorum_listen_on_all_ips, config.purge_interval_hours) == (True, 6)
    assert config.log_levels == "server=warning,zab=warning"


def test_an_id_stays_with_its_data(volumes: Volumes) -> None:
    assert volumes.load(ZOO_SERVERS=OFFICIAL).server_id == 1
    assert volumes.load(ZOO_SERVERS=OFFICIAL, ZOO_MY_ID="3").server_id == 1


def test_a_changed_variable_counts_at_the_next_start(volumes: Volumes) -> None:
    volumes.prepare(ZOO_TICK_TIME="1000")
    assert volumes.load(ZOO_TICK_TIME="3000").tick_time_ms == 3000


def test_a_mounted_configuration_is_taken_as_it_is(volumes: Volumes) -> None:
    volumes.linked.unlink()
    text = f"dataDir={volumes.data}\nclientPort=2999\n"
    volumes.linked.write_text(text)
    assert volumes.prepare(ZOO_TICK_TIME="1000", ZOO_MY_ID="4") == volumes.linked
    assert volumes.linked.read_text() == text
    assert (volumes.data / "myid").read_text() == "4\n"
    assert not volumes.made.exists()


def test_a_configuration_that_reconfiguration_has_taken_over_stays(volumes: Volumes) -> None:
    text = f"dataDir={volumes.data}\ndynamicConfigFile={volumes.data}/zoo.cfg.dynamic.100000000\n"
    volumes.made.write_text(text)
    volumes.prepare(ZOO_SERVERS=OFFICIAL)
    assert volumes.made.read_text() == text


def test_variables_that_do_nothing_are_named() -> None:
    assert container.unknown({"ZOO_TLS_CLIENT_ENABLE": "yes", "ZOO_MY_ID": "1", "HOME": "/"}) == [
        "ZOO_TLS_CLIENT_ENABLE"
    ]


def test_other_commands_run_as_they_are() -> None:
    command = [sys.executable, "-I", "-m", "pyzk.server.container", "echo", "zkServer.sh", "start"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == "zkServer.sh start\n"


# The examples.


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((ROOT / name).read_text()))


def check_member(folder: Path, environ: Mapping[str, object]) -> None:
    volumes = Volumes(folder)
    config = volumes.load(**{name: str(value) for name, value in environ.items()})
    assert config.is_distributed
    assert config.server_id in {server.server_id for server in config.servers}


def test_compose_starts_three_members(tmp_path: Path) -> None:
    (composition,) = documents("docker-compose.yml")
    for name, service in composition["services"].items():
        (tmp_path / name).mkdir()
        check_member(tmp_path / name, service["environment"])
        assert service["hostname"] == name
        assert {volume.split(":")[1] for volume in service["volumes"]} == {"/data", "/datalog", "/logs"}


def test_kubernetes_starts_three_members_and_asks_what_is_there(tmp_path: Path) -> None:
    stateful_set = next(item for item in documents("conf/service/kubernetes.yml") if item["kind"] == "StatefulSet")
    pod = stateful_set["spec"]["template"]["spec"]
    (server,) = pod["containers"]
    environ = {item["name"]: item["value"] for item in server["env"]}
    check_member(tmp_path, environ)
    assert len(environ["ZOO_SERVERS"].split()) == stateful_set["spec"]["replicas"]
    ports = {port["name"] for port in server["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert server[probe]["httpGet"]["path"] in PROBES
        assert server[probe]["httpGet"]["port"] in ports
    script = server["command"][2].partition(";")[0]
    run = subprocess.run(
        ["sh", "-c", f"HOSTNAME=zk-2; {script}; echo $ZOO_MY_ID"], capture_output=True, text=True, check=True
    )
    assert run.stdout == "3\n"
    user = re.search(r"^USER (\d+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    assert int(user[1]) == pod["securityContext"]["runAsUser"]
