"""docs/protocol/configuration.md sections 2, 3, 4 and 6: configurations of ensembles."""

from pathlib import Path

import pytest

from tests.server.config_folder import LIMITS, THREE_SERVERS, Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_three_servers_are_an_ensemble(folder: Folder) -> None:
    config = folder.load(f"{LIMITS}{THREE_SERVERS}clientPort=2181\n", myid="2\n")
    assert config.is_distributed
    assert config.server_id == 2
    assert (config.init_limit_ticks, config.sync_limit_ticks) == (10, 5)


@pytest.mark.parametrize(
    ("text", "myid", "message"),
    [
        ("syncLimit=5\n", "1", "initLimit is not set"),
        ("initLimit=5\n", "1", "syncLimit is not set"),
        (LIMITS, None, "myid file is missing"),
        (LIMITS, "abc", "serverid abc is not a number"),
        (LIMITS, "1 \n", "serverid 1  is not a number"),
        (LIMITS, "", "serverid  is not a number"),
    ],
)
def test_an_ensemble_needs_limits_and_myid(folder: Folder, text: str, myid: str | None, message: str) -> None:
    assert str(folder.refusal(f"{text}{THREE_SERVERS}", myid=myid)).startswith(message)


def test_one_server_runs_standalone_unless_told_otherwise(folder: Folder) -> None:
    line = "server.1=localhost:2888:3888;2181\n"
    config, warnings = folder.load_with_warnings(line)
    assert not config.is_distributed
    assert "Invalid configuration, only one server specified (ignoring)" in warnings
    assert folder.load(f"{LIMITS}standaloneEnabled=false\n{line}", myid="1").is_distributed


def test_a_server_that_is_not_in_the_list_is_told_which_are(folder: Folder) -> None:
    error = folder.refusal(f"{LIMITS}{THREE_SERVERS}", myid="9\n")
    assert str(error).startswith("My id 9 not in the peer list")
    assert str(folder.data_dir / "myid") in str(error)
    assert "1, 2, 3" in str(error)
    assert error.setting == "myid"


def test_a_standalone_server_need_not_be_in_the_list(folder: Folder) -> None:
    assert folder.load("server.1=a:1:2\nclientPort=1\n", myid="9").server_id == 9


ENSEMBLE_VALUES = {
    "connectToLearnerMasterLimit": ("7", "connect_to_learner_master_limit_ticks", 7),
    "electionAlg": ("3", "election_alg", 3),
    "quorumListenOnAllIPs": ("true", "quorum_listen_on_all_ips", True),
    "cnxTimeout": ("1500", "connection_timeout_ms", 1500),
    "quorumCnxnTimeoutMs": ("900", "quorum_connection_timeout_ms", 900),
    "electionPortBindRetry": ("0", "election_port_bind_retries", 0),
    "tcpKeepAlive": ("true", "quorum_tcp_keep_alive", True),
    "observerMasterPort": ("2191", "observer_master_port", 2191),
    "oraclePath": ("/run/oracle", "oracle_path", "/run/oracle"),
    "localSessionsEnabled": ("true", "local_sessions_enabled", True),
    "localSessionsUpgradingEnabled": ("true", "local_sessions_upgrading_enabled", True),
    "readonlymode.enabled": ("true", "read_only_mode_enabled", True),
    "syncEnabled": ("false", "observer_sync_enabled", False),
    "leaderServes": ("no", "leader_serves", False),
    "leader.maxTimeToWaitForEpoch": ("100", "max_time_to_wait_for_epoch_ms", 100),
}


def test_an_ensemble_has_the_values_of_all_its_keys(folder: Folder) -> None:
    lines = "".join(f"{key}={text}\n" for key, (text, _, _) in ENSEMBLE_VALUES.items())
    config = folder.load(f"{LIMITS}{lines}clientPort=1\n{THREE_SERVERS}", myid="2\n")
    assert (config.server_id, config.init_limit_ticks, config.sync_limit_ticks) == (2, 10, 5)
    for key, (_, field, value) in ENSEMBLE_VALUES.items():
        assert getattr(config, field) == value, key
        assert field in config.sources, key


def test_an_oracle_of_no_file_is_none(folder: Folder) -> None:
    assert folder.load(f"{LIMITS}oraclePath=\n{THREE_SERVERS}clientPort=1\n", myid="1").oracle_path is None


@pytest.mark.parametrize("myid", [None, "1"])
def test_the_client_port_may_come_from_the_servers_own_line(folder: Folder, myid: str | None) -> None:
    """The official image writes no clientPort."""
    config = folder.load("server.1=localhost:2888:3888;2181\n", myid=myid)
    assert (config.client_port_address, config.client_port) == ("0.0.0.0", 2181)


def test_client_port_and_own_line_must_agree(folder: Folder) -> None:
    error = folder.refusal(f"{LIMITS}clientPort=2182\nserver.1=a:1:2;2181\nserver.2=b:1:2\n", myid="1")
    assert str(error).startswith(
        "client address for this server (id = 1) in static config file is 0.0.0.0/0.0.0.0:2182 "
        "is different from client address found in dynamic file: /0.0.0.0:2181"
    )


def test_the_own_line_decides_the_role(folder: Folder) -> None:
    text = f"{LIMITS}{THREE_SERVERS}server.4=d:2888:3888:observer\npeerType=participant\nclientPort=1\n"
    config, warnings = folder.load_with_warnings(text, myid="4")
    assert config.peer_type == "observer"
    assert warnings == [
        "Peer type from servers list (OBSERVER) doesn't match peerType (PARTICIPANT). Defaulting to servers list."
    ]


def test_myid_is_read_for_a_standalone_server_too(folder: Folder) -> None:
    assert folder.load("clientPort=1\n", myid="7\n").server_id == 7


def test_the_server_list_may_be_in_a_file_of_its_own(folder: Folder) -> None:
    dynamic = folder.path / "zoo.cfg.dynamic.100000000"
    dynamic.write_text(THREE_SERVERS)
    config = folder.load(f"{LIMITS}dynamicConfigFile={dynamic}\nclientPort=1\n", myid="1")
    assert len(config.servers) == 3
    assert config.membership.version == 0x100000000


@pytest.mark.parametrize(
    ("static", "dynamic", "message"),
    [
        ("server.2=b:1:2\n", THREE_SERVERS, "parameter: server.2 must be in a separate dynamic config file"),
        ("", "version=100\n", "dynamic file shouldn't have version inside"),
        ("", "tickTime=100\n", "Unrecognised parameter: tickTime"),
    ],
)
def test_both_files_keep_to_their_keys(folder: Folder, static: str, dynamic: str, message: str) -> None:
    path = folder.path / "dynamic"
    path.write_text(dynamic)
    assert str(folder.refusal(f"dynamicConfigFile={path}\n{static}")).startswith(message)


def test_a_missing_dynamic_file_is_named(folder: Folder) -> None:
    assert "file is missing" in str(folder.refusal("dynamicConfigFile=/nowhere/zoo.cfg.dynamic\n"))
