"""docs/protocol/configuration.md sections 2, 4, 5, 8, 9 and 11: whole configurations."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.errors import ConfigError
from pyzk.server.config import Config, find_config, load_config
from pyzk.server.config.fields_operations import FOUR_LETTER_WORDS, HEALTH_WORDS
from pyzk.server.config.settings import GROUPS, all_settings, find_setting
from pyzk.tree.acl import digest_id
from tests.server.config_folder import THREE_SERVERS, Folder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


# Without a file


def test_no_file_is_a_standalone_server_on_loopback() -> None:
    config, warnings = load_config(None, {})
    assert (config.client_port, config.client_port_address) == (2181, "127.0.0.1")
    assert (config.data_dir, config.data_log_dir) == ("./data", "./data")
    assert not config.is_distributed
    assert warnings == []


def test_flags_count_without_a_file_too() -> None:
    config, _ = load_config(None, {"JVMFLAGS": "-Dzookeeper.snapCount=17 -Xmx64m"})
    assert config.snap_count == 17


def test_the_file_is_looked_for_in_zoocfgdir_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "zoo.cfg").touch()
    other = tmp_path / "other"
    other.mkdir()
    (other / "zoo.cfg").touch()
    monkeypatch.chdir(tmp_path)
    assert find_config({"ZOOCFGDIR": str(other)}) == str(other / "zoo.cfg")
    assert find_config({}) == str(conf / "zoo.cfg")


# Defaults


def test_defaults_are_apaches_except_where_they_are_listed(folder: Folder) -> None:
    config = folder.load("")
    assert (config.tick_time_ms, config.min_session_timeout_ms, config.max_session_timeout_ms) == (3000, 6000, 60000)
    assert config.max_client_connections_per_address == 60
    assert config.snap_count == 100_000
    assert config.jute_max_buffer == config.jute_extra_size == 0xFFFFF
    assert config.force_sync
    assert config.digest_enabled
    assert not config.extended_types_enabled
    # Ours:
    assert (config.purge_interval_hours, config.snap_retain_count) == (1, 3)
    assert config.four_letter_whitelist == HEALTH_WORDS
    assert config.admin_address == "127.0.0.1"


def test_session_limits_follow_the_tick(folder: Folder) -> None:
    config = folder.load("tickTime=500\nminSessionTimeout=-1\n")
    assert (config.min_session_timeout_ms, config.max_session_timeout_ms) == (1000, 10_000)


def test_session_limits_can_be_set_one_by_one(folder: Folder) -> None:
    config = folder.load("tickTime=2000\nmaxSessionTimeout=60000000\n")
    assert (config.min_session_timeout_ms, config.max_session_timeout_ms) == (4000, 60_000_000)


def test_extra_size_follows_maxbuffer(folder: Folder) -> None:
    assert folder.load("jute.maxbuffer=4194304\n").jute_extra_size == 4_194_304
    assert folder.load("zookeeper.jute.maxbuffer.extrasize=5\n").jute_extra_size == 5


def test_log_directory_is_the_data_directory_unless_set(folder: Folder) -> None:
    assert folder.load("").data_log_dir == str(folder.data_dir)
    assert folder.load("dataLogDir=/logs\n").data_log_dir == "/logs"


# How texts become values


@pytest.mark.parametrize(("text", "value"), [("1048576", 2**20), ("0x100000", 2**20), ("04000000", 2**20), ("#10", 16)])
def test_maxbuffer_is_decimal_hexadecimal_or_octal(folder: Folder, text: str, value: int) -> None:
    assert folder.load(f"jute.maxbuffer={text}\n").jute_max_buffer == value


@pytest.mark.parametrize("text", ["TRUE", "true", "True"])
def test_booleans_are_read_in_any_case(folder: Folder, text: str) -> None:
    assert folder.load(f"enforceQuota={text}\nreconfigEnabled={text}\n").enforce_quota


def test_a_property_boolean_that_is_none_counts_as_false_with_a_warning(folder: Folder) -> None:
    config, warnings = folder.load_with_warnings("digest.enabled=yes\nclientPort=1\n")
    assert not config.digest_enabled
    assert len(warnings) == 1
    assert "digest.enabled=yes" in warnings[0]
    assert "zoo.cfg:2" in warnings[0]


def test_force_sync_stays_on_unless_it_says_no(folder: Folder) -> None:
    assert not folder.load("forceSync=no\n").force_sync
    config, warnings = folder.load_with_warnings("forceSync=false\n")
    assert config.force_sync
    assert "forceSync=false" in warnings[0]


def test_skip_acl_says_yes(folder: Folder) -> None:
    assert folder.load("skipACL=yes\n").skip_acl
    assert not folder.load("skipACL=true\n").skip_acl


def test_snap_count_is_at_least_2(folder: Folder) -> None:
    assert folder.load("snapCount=1\n").snap_count == 2


def test_a_bad_prealloc_size_counts_as_the_default(folder: Folder) -> None:
    config, warnings = folder.load_with_warnings("preAllocSize=64M\nclientPort=1\n")
    assert config.pre_alloc_size_kib == 65_536
    assert 'For input string: "64M"' in warnings[0]


def test_a_purge_keeps_at_least_3_snapshots(folder: Folder) -> None:
    config, warnings = folder.load_with_warnings("autopurge.snapRetainCount=2\nclientPort=1\n")
    assert config.snap_retain_count == 3
    assert warnings[0].startswith("Invalid autopurge.snapRetainCount: 2. Defaulting to 3")


def test_the_whitelist_always_has_srvr(folder: Folder) -> None:
    config = folder.load("4lw.commands.whitelist= mntr, conf,ruok\n")
    assert config.four_letter_whitelist == {"mntr", "conf", "ruok", "srvr"}


def test_a_star_allows_all_words(folder: Folder) -> None:
    assert folder.load("4lw.commands.whitelist=*\n").four_letter_whitelist == FOUR_LETTER_WORDS | {"*"}


@pytest.mark.parametrize("name", ["SHA1", "SHA-256", "sha512", "SHA3-256"])
def test_the_digest_algorithm_has_javas_names(folder: Folder, name: str) -> None:
    text = f"DigestAuthenticationProvider.digestAlg={name}\n"
    assert digest_id(b"user:password", folder.load(text).digest_alg) == digest_id(b"user:password", name)


def test_isro_is_allowed_in_read_only_mode(folder: Folder) -> None:
    config = folder.load("4lw.commands.whitelist=mntr\nreadonlymode.enabled=true\n")
    assert "isro" in config.four_letter_whitelist


def test_a_misspelt_word_is_named(folder: Folder) -> None:
    (warning,) = folder.warnings("4lw.commands.whitelist=mntr,rouk\nclientPort=1\n")
    assert warning == "4lw.commands.whitelist: there is no word rouk; did you mean ruok?"


# Names


@pytest.mark.parametrize(
    "line",
    [
        "request_throttle_max_requests=9",
        "requestThrottleLimit=9",
        "zookeeper.request_throttle_max_requests=9",
        "zookeeper.requestThrottleLimit=9",
    ],
)
def test_all_spellings_are_the_same_setting(folder: Folder, line: str) -> None:
    assert folder.load(f"{line}\n").request_throttle_requests_max == 9


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("readonlymode.enabled=true", "read_only_mode_enabled", True),
        ("znode.container.checkIntervalMs=7", "container_check_interval_ms", 7),
        ("leader.nodelay=false", "leader_no_delay", False),
        ("jute.maxbuffer=7", "jute_max_buffer", 7),
    ],
)
def test_row_16_names_that_java_takes_from_flags_only_work_in_the_file(
    folder: Folder, line: str, field: str, value: object
) -> None:
    assert getattr(folder.load(f"{line}\n"), field) == value


def test_the_file_wins_over_flags(folder: Folder) -> None:
    environ = {"JVMFLAGS": "-Dzookeeper.snapCount=5 -Djute.maxbuffer=77"}
    config = folder.load("snapCount=6\n", environ=environ)
    assert (config.snap_count, config.jute_max_buffer) == (6, 77)


def test_flags_for_java_itself_are_no_settings(folder: Folder) -> None:
    flags = {"JVMFLAGS": "-Djava.net.preferIPv4Stack=true -Dcom.sun.management.jmxremote -Xmx1g"}
    assert folder.warnings("clientPort=1\n", environ=flags) == []


def test_sources_say_where_a_value_comes_from(folder: Folder) -> None:
    config = folder.load("tickTime=2000\n", environ={"JVMFLAGS": "-Dzookeeper.snapCount=5"})
    assert config.sources["tick_time_ms"] == f"{folder.file}:2"
    assert config.sources["snap_count"] == "JVMFLAGS"
    assert "client_port" not in config.sources


# Warnings


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("maxclientCnxns", "maxClientCnxns"),
        ("ticktime", "tickTime"),
        ("autopurge.purgeIntervall", "autopurge.purgeInterval"),
    ],
)
def test_a_misspelt_key_is_named_with_what_was_meant(folder: Folder, key: str, meant: str) -> None:
    (warning,) = folder.warnings(f"{key}=5\nclientPort=1\n")
    assert warning == f"{folder.file}:2: {key} is no known setting and has no effect; did you mean {meant}?"


def test_an_unknown_key_is_named_without_a_guess(folder: Folder) -> None:
    (warning,) = folder.warnings("qwertz.uiop=5\nclientPort=1\n")
    assert warning == f"{folder.file}:2: qwertz.uiop is no known setting and has no effect"


def test_a_duplicate_is_named_and_the_last_one_counts(folder: Folder) -> None:
    config, warnings = folder.load_with_warnings("tickTime=1000\ntickTime=2000\nclientPort=1\n")
    assert config.tick_time_ms == 2000
    assert warnings == [f"{folder.file}:3: tickTime replaces the line at {folder.file}:2"]


def test_two_spellings_of_one_key_are_duplicates(folder: Folder) -> None:
    config, warnings = folder.load_with_warnings("snapCount=10\nzookeeper.snapCount=20\nclientPort=1\n")
    assert config.snap_count == 20
    assert len(warnings) == 1


def test_relative_paths_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("zoo.cfg").write_text("dataDir=data\ndataLogDir=./logs\nclientPort=1\n")
    _, warnings = load_config("zoo.cfg", {})
    assert warnings == [
        "zoo.cfg is relative. Prepend ./ to indicate that you're sure! (configuration file)",
        "data is relative. Prepend ./ to indicate that you're sure! (dataDir)",
    ]


def test_a_data_directory_whose_name_is_too_long_is_named(tmp_path: Path) -> None:
    (tmp_path / "zoo.cfg").write_text(f"dataDir=/{'a' * 300}\nclientPort=1\n")
    with pytest.raises(ConfigError, match=r"dataDir is no directory: File name too long \[dataDir=/aaa"):
        load_config(str(tmp_path / "zoo.cfg"), {})


def test_what_is_switched_off_needs_no_support(folder: Folder) -> None:
    assert folder.warnings("audit.enable=false\nadmin.enableServer=false\nsslQuorum=false\nclientPort=1\n") == []


@pytest.mark.parametrize("key", ["ssl.ocsp", "ssl.context.supplier.class"])
def test_protection_that_is_not_there_is_refused(folder: Folder, key: str) -> None:
    error = folder.refusal(f"{key}=true\n")
    assert error.setting == key
    assert "not supported" in str(error)


def test_keys_of_the_java_machine_are_silent(folder: Folder) -> None:
    text = (
        "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\nnio.numWorkerThreads=4\nclientPort=1\n"
    )
    assert folder.warnings(text) == []


def test_authentication_providers_are_judged_by_class(folder: Folder) -> None:
    package = "org.apache.zookeeper.server.auth"
    for name in ("Digest", "X509", "SASL"):
        assert folder.warnings(f"authProvider.1={package}.{name}AuthenticationProvider\nclientPort=1\n") == []
    (unknown,) = folder.warnings("authProvider.1=com.example.Mine\nclientPort=1\n")
    assert "is no known scheme and is skipped" in unknown


def test_an_empty_text_counts_as_not_set(folder: Folder) -> None:
    config, warnings = folder.load_with_warnings("dataLogDir=\nclientPort=1\n")
    assert config.data_log_dir == str(folder.data_dir)
    assert warnings == [f"{folder.file}:2: dataLogDir is empty and counts as not set"]


def test_no_client_port_is_named(folder: Folder) -> None:
    assert folder.warnings("") == ["clientPort is not set: this server listens for no clients"]


# Refusals, section 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clientPort=abc", 'For input string: "abc"'),
        ("clientPort=", 'For input string: ""'),
        ("clientPort=2 181", 'For input string: "2 181"'),
        ("clientPort=70000", 'For input string: "70000"'),
        ("clientPort=2_181", 'For input string: "2_181"'),
        ("clientPortListenBacklog=x", 'For input string: "x"'),
        ("tickTime=0", "tickTime is not set"),
        ("tickTime=-5", 'For input string: "-5"'),
        ("tickTime=99999999999", 'For input string: "99999999999"'),
        ("minSessionTimeout=10\nmaxSessionTimeout=5", "minSessionTimeout must not be larger than maxSessionTimeout"),
        ("minSessionTimeout=100000", "minSessionTimeout must not be larger than maxSessionTimeout"),
        ("standaloneEnabled=yes", "Invalid option yes for standaloneEnabled. Choose 'true' or 'false.'"),
        ("electionAlg=1", "Invalid electionAlg value. Only 3 is supported."),
        ("peerType=foo", "Unrecognised peertype: foo"),
        ("server.1=h:2888:3888:voter", "Unrecognised peertype: voter"),
        ("server.1=h:2888", "h:2888 does not have the form server_config or server_config;client_config"),
        ("server.1=h:2888:2888", "Client and election port must be different! Please update the configuration file"),
        ("standaloneEnabled=false", "standaloneEnabled = false then number of participants should be >0"),
        ("clientPortAddress=127.0.0.1", "clientPortAddress is set but clientPort is not set"),
        ("jute.maxbuffer=1MB", 'For input string: "1MB"'),
        ("connection_throttle_drop_increase=nan", 'For input string: "nan"'),
    ],
)
def test_a_bad_setting_is_refused_in_apaches_words(folder: Folder, text: str, message: str) -> None:
    error = folder.refusal(f"{text}\n")
    assert str(error).startswith(message)
    assert error.setting.split(".")[0] in {line.split("=")[0].split(".")[0] for line in text.splitlines()}


def test_a_refusal_names_setting_value_place_and_remedy(folder: Folder) -> None:
    error = folder.refusal("clientPort=abc\n")
    assert (error.setting, error.value) == ("clientPort", "abc")
    assert str(error) == (
        f'For input string: "abc" [clientPort=abc] {folder.file}:2: write a whole number from 0 to 65535'
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "zoo.cfg"
    with pytest.raises(ConfigError, match=re.escape(f"{path} file is missing")):
        load_config(str(path), {})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"Error processing {tmp_path}")):
        load_config(str(tmp_path), {})


@pytest.mark.parametrize("text", ["", "clientPort=2181\n", "dataDir=\n"])
def test_a_file_without_data_dir_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "zoo.cfg"
    path.write_text(text)
    with pytest.raises(ConfigError, match="dataDir is not set"):
        load_config(str(path), {})


def test_a_secret_is_never_shown(folder: Folder) -> None:
    config = folder.load("DigestAuthenticationProvider.superDigest=super:abcdef\n")
    assert config.super_digest == "super:abcdef"
    row = find_setting("DigestAuthenticationProvider.superDigest")
    assert row is not None
    assert "abcdef" not in str(row.refusal("super:abcdef", "zoo.cfg:1"))


def test_a_config_built_by_hand_is_checked_too() -> None:
    with pytest.raises(ConfigError) as caught:
        Config(client_port=70_000)
    assert caught.value.setting == "clientPort"
    with pytest.raises(ConfigError):
        Config().evolve(client_port=-1)
    with pytest.raises(TypeError, match="has no clientport"):
        Config(clientport=1)


def test_a_config_never_changes() -> None:
    config = Config(client_port=1)
    with pytest.raises(AttributeError):
        config.client_port = 2
    with pytest.raises(AttributeError):
        del config.client_port
    assert (config.client_port, config.evolve(client_port=2).client_port) == (1, 2)


def test_a_default_that_follows_from_another_field_does_so_once() -> None:
    config = Config(tick_time_ms=1000)
    assert (config.min_session_timeout_ms, config.data_log_dir) == (2000, "./data")
    assert config.evolve(tick_time_ms=5000).min_session_timeout_ms == 2000


# Files that users have, section 11


def test_the_sample_loads_without_a_word() -> None:
    config, warnings = load_config(str(ROOT / "conf" / "zoo_sample.cfg"), {})
    assert warnings == []
    assert (config.tick_time_ms, config.client_port) == (2000, 2181)


def test_the_seed_deployment_is_word_for_word_in_conf() -> None:
    page = (ROOT / "docs" / "seed-deployment.md").read_text()
    text = (ROOT / "conf" / "zoo.cfg").read_text()
    assert f"```\n{text}```" in page


def test_the_seed_deployment_is_an_ensemble_of_three(folder: Folder) -> None:
    text = (ROOT / "conf" / "zoo.cfg").read_text().replace("dataDir=/usr/local/zk/data", f"dataDir={folder.data_dir}")
    config, warnings = folder.load_with_warnings(text, myid="3\n")
    assert config.is_distributed
    assert config.data_log_dir == "/usr/local/zk/logs"
    assert [server.addresses[0].host for server in config.servers] == [f"192.168.170.{n}" for n in (111, 113, 114)]
    assert warnings == [f"{folder.file}:5: dataDir replaces the line at {folder.file}:1"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("clientPort=2181\nmaxClientCnxns=0\nadmin.enableServer=false\n", id="Kafka"),
        pytest.param(
            "tickTime=2000\ninitLimit=5\nsyncLimit=2\nclientPort=2181\nautopurge.snapRetainCount=3\n"
            "autopurge.purgeInterval=1\n4lw.commands.whitelist=mntr,conf,ruok\n",
            id="Solr",
        ),
        pytest.param(
            "clientPort=2181\ntickTime=6000\ninitLimit=10\nsyncLimit=5\nmaxClientCnxns=300\nserver.0=h:2888:3888\n",
            id="HBase",
        ),
        pytest.param(
            "tickTime=2000\ninitLimit=300\nsyncLimit=10\nmaxClientCnxns=2000\nmaxSessionTimeout=60000000\n"
            "preAllocSize=131072\nsnapCount=3000000\nautopurge.snapRetainCount=10\nautopurge.purgeInterval=1\n"
            f"leaderServes=yes\nstandaloneEnabled=false\n4lw.commands.whitelist=*\nclientPort=2181\n{THREE_SERVERS}",
            id="ClickHouse",
        ),
        pytest.param(
            "dataLogDir=/datalog\ntickTime=2000\ninitLimit=5\nsyncLimit=2\nautopurge.snapRetainCount=3\n"
            "autopurge.purgeInterval=0\nmaxClientCnxns=60\nstandaloneEnabled=true\nadmin.enableServer=false\n"
            "server.1=localhost:2888:3888;2181\n",
            id="official image",
        ),
    ],
)
def test_configurations_in_the_wild_load(folder: Folder, text: str) -> None:
    config, warnings = folder.load_with_warnings(text, myid="1")
    assert config.client_port == 2181
    expected = (
        []
        if "server.2" in text or "server." not in text
        else ["Invalid configuration, only one server specified (ignoring)"]
    )
    assert warnings == expected


# The table


def test_every_field_of_config_has_one_row() -> None:
    fields = [row.field for row in all_settings() if row.field]
    assert len(fields) == len(set(fields))
    others = Config.fields - {name.partition(".")[0] for name in fields}
    made = {"server_id", "membership", "auth_providers", "foreign_providers", "jaas"}
    assert others == made | {"path", "text", "sources"}


def test_every_group_is_part_of_config() -> None:
    assert all(issubclass(Config, group) for group in GROUPS.values())


def test_no_two_rows_share_a_name() -> None:
    names = [name for row in all_settings() for name in (row.name, *row.also)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("row", [row for row in all_settings() if row.field], ids=lambda row: row.name)
def test_every_default_is_a_value_of_its_kind(row) -> None:
    default = row.value_in(Config())
    if default is not None:
        row.kind.check(default)


@given(st.lists(st.tuples(st.sampled_from([row.name for row in all_settings()]), st.text(max_size=12)), max_size=6))
def test_any_values_load_or_are_refused_by_name(entries: list[tuple[str, str]]) -> None:
    flags = [f"-Dzookeeper.{name}={text}" for name, text in entries]
    quoted = " ".join("'" + flag.replace("'", "") + "'" for flag in flags)
    try:
        config, _ = load_config(None, {"JVMFLAGS": quoted})
    except ConfigError as error:
        assert error.setting
    else:
        assert config.tick_time_ms > 0
