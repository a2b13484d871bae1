"""docs/protocol/configuration.md section 3: server.N, group.G and weight.N."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.errors import ConfigError
from pyzk.server.config.membership import (
    Membership,
    check_dynamic_entries,
    check_membership,
    parse_membership,
    version_of_name,
)
from pyzk.server.config.servers import PeerAddress, ServerSpec, parse_server
from pyzk.server.config.syntax import Entry, parse_properties

WRONG_FORMAT = (
    "{} does not have the form server_config or server_config;client_config where server_config is the pipe separated "
    "list of host:port:port or host:port:port:type and client_config is port or host:port"
)

DYNAMIC_FILES = sorted((Path(__file__).parents[1] / "vectors" / "storage" / "h-dynamic-config").iterdir())


def parse(value: str, key: str = "server.1", *, multi: bool = False) -> ServerSpec:
    return parse_server(key, value, "zoo.cfg:1", multi_address_enabled=multi)


def members(*lines: str) -> Membership:
    entries = [Entry(*line.split("=", 1), "zoo.cfg") for line in lines]
    return parse_membership(entries, multi_address_enabled=False)


def refusal(value: str, *, multi: bool = False) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(value, multi=multi)
    assert caught.value.setting == "server.1"
    assert caught.value.value == value
    return str(caught.value)


def test_the_short_form_is_a_participant_without_client_part() -> None:
    assert parse("zoo1:2888:3888") == ServerSpec(1, (PeerAddress("zoo1", 2888, 3888),), "participant", None)


@pytest.mark.parametrize("role", ["observer", "OBSERVER", " Observer "])
def test_the_role_is_read_in_any_case(role: str) -> None:
    server = parse(f"zoo1:2888:3888:{role}")
    assert server.role == "observer"
    assert not server.is_voter


def test_a_client_part_that_is_a_port_binds_all_addresses() -> None:
    assert parse("zoo1:2888:3888;2181").client == ("0.0.0.0", 2181)


def test_a_client_part_may_have_a_host() -> None:
    assert parse("zoo1:2888:3888:participant;10.0.0.1:2181").client == ("10.0.0.1", 2181)


def test_ipv6_hosts_are_bracketed() -> None:
    server = parse("[::1]:2888:3888;[2001:db8::2]:2181")
    assert server.addresses == (PeerAddress("::1", 2888, 3888),)
    assert server.client == ("2001:db8::2", 2181)
    assert server.canonical() == "[::1]:2888:3888:participant;[2001:db8::2]:2181"


def test_several_addresses_need_their_switch() -> None:
    assert refusal("a:2888:3888|b:2888:3888").startswith(
        "Multiple address feature is disabled, but multiple addresses were specified for sid 1"
    )
    assert len(parse("a:2888:3888|b:2889:3889", multi=True).addresses) == 2


def test_canonical_text_sorts_addresses_and_writes_the_role() -> None:
    assert parse("b:2888:3888|a:2889:3889", multi=True).canonical() == "a:2889:3889|b:2888:3888:participant"


@pytest.mark.parametrize("value", ["h:2888", "h", "", "h:1:2:participant:x", "h:1:2;1;2", "h:1:2;a:b:c"])
def test_other_shapes_are_refused_with_apaches_sentence(value: str) -> None:
    assert refusal(value).startswith(WRONG_FORMAT.format(value))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("h:2888:2888", "Client and election port must be different! Please update the configuration file on server.1"),
        ("h:x:3888", "Address unresolved: h:x"),
        ("h:2888:", WRONG_FORMAT.format("h:2888:")),
        ("h:2888:3888;x", "Address unresolved: 0.0.0.0:x"),
        ("h:2888:3888:voter", "Unrecognised peertype: voter"),
        ("[::1:2888:3888", "[::1:2888:3888 starts with '[' but has no matching ']:'"),
        ("[::1]:", "[::1]: doesn't have a port after colon"),
        ("h:70000:3888", "port out of range:70000"),
    ],
)
def test_errors_have_apaches_words(value: str, message: str) -> None:
    assert refusal(value).startswith(message)


def test_addresses_of_one_server_have_one_role() -> None:
    message = refusal("a:2888:3888:observer|b:2888:3888:participant", multi=True)
    assert message.startswith("Multiple addresses should have similar roles: ")


def test_a_key_without_a_number_is_refused() -> None:
    with pytest.raises(ConfigError, match=re.escape('For input string: "one"')):
        parse("h:2888:3888", key="server.one")


def test_server_0_is_a_server() -> None:
    assert parse("h:2888:3888", key="server.0").server_id == 0


@given(
    st.from_regex(r"[a-z][a-z0-9.-]{0,12}", fullmatch=True),
    st.lists(st.integers(1, 65535), min_size=3, max_size=3, unique=True),
    st.sampled_from(["participant", "observer"]),
    st.booleans(),
)
def test_canonical_text_is_read_back(host: str, ports: list[int], role: str, has_client: bool) -> None:
    client = (host, ports[2]) if has_client else None
    server = ServerSpec(7, (PeerAddress(host, ports[0], ports[1]),), role, client)
    assert parse(server.canonical(), key="server.7") == server


@given(st.text(alphabet="h:;|[]12 x", max_size=24))
def test_any_text_is_a_server_or_a_config_error(text: str) -> None:
    try:
        parse(text, multi=True)
    except ConfigError as error:
        assert error.setting == "server.1"


def test_servers_are_in_the_order_of_their_ids() -> None:
    membership = members("server.10=c:1:2", "server.2=b:1:2", "server.0=a:1:2")
    assert [server.server_id for server in membership.servers] == [0, 2, 10]


def test_groups_and_weights_are_read() -> None:
    membership = members("server.1=a:1:2", "server.2=b:1:2", "group.1=1", "group.2=2", "weight.2=0")
    assert membership.group_of == {1: 1, 2: 2}
    assert membership.weights == {2: 0}


def test_weights_without_groups_do_not_count() -> None:
    assert members("server.1=a:1:2", "weight.1=3").weights == {}


def test_a_server_in_two_groups_is_refused() -> None:
    with pytest.raises(ConfigError, match="Server 1is in multiple groups"):
        members("group.1=1:2", "group.2=1")


def test_a_voter_without_a_group_is_refused() -> None:
    membership = members("server.1=a:1:2", "server.2=b:1:2", "group.1=1")
    with pytest.raises(ConfigError, match="Server 2is not in a group"):
        check_membership(membership, standalone_enabled=True)


@pytest.mark.parametrize(
    ("voters", "standalone", "warning"),
    [
        (0, True, None),
        (1, True, "Invalid configuration, only one server specified (ignoring)"),
        (1, False, "No server failure will be tolerated. You need at least 3 servers."),
        (2, True, "No server failure will be tolerated. You need at least 3 servers."),
        (3, True, None),
        (4, True, "Non-optimal configuration, consider an odd number of servers."),
        (5, True, None),
    ],
)
def test_the_number_of_voters_is_commented(voters: int, standalone: bool, warning: str | None) -> None:
    membership = members(*(f"server.{number}=h{number}:1:2" for number in range(voters)))
    assert check_membership(membership, standalone_enabled=standalone) == ([warning] if warning else [])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["server.1=a:1:2:observer"], "Observers w/o participants is an invalid configuration"),
        (["server.1=a:1:2", "server.2=b:1:2:observer"], "Observers w/o quorum is an invalid configuration"),
    ],
)
def test_observers_need_voters(lines: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_membership(members(*lines), standalone_enabled=True)


def test_no_voters_without_standalone_is_refused() -> None:
    with pytest.raises(ConfigError, match="standaloneEnabled = false then number of participants should be >0"):
        check_membership(Membership(), standalone_enabled=False)


@pytest.mark.parametrize("path", DYNAMIC_FILES, ids=lambda path: path.name)
def test_the_dynamic_files_that_apache_has_written_are_read_and_written_again(path: Path) -> None:
    version = version_of_name(path.name)
    entries = parse_properties(path.read_bytes(), path.name)
    membership = parse_membership(entries, multi_address_enabled=False, version=version)
    check_dynamic_entries(entries)
    assert path.name == f"zoo.cfg.dynamic.{membership.version:x}"
    lines = [f"server.{server.server_id}={server.canonical()}" for server in membership.servers]
    assert "\n".join(lines) == path.read_text()


def test_all_dynamic_files_of_the_vectors_are_found() -> None:
    assert len(DYNAMIC_FILES) == 6


@pytest.mark.parametrize(
    ("name", "version"),
    [("zoo.cfg.dynamic.100000000", 0x100000000), ("zoo.cfg.dynamic", 0), ("zoo.dynamic.ff", 0xFF), ("dynamic", 0)],
)
def test_the_version_is_the_hexadecimal_end_of_the_name(name: str, version: int) -> None:
    assert version_of_name(name) == version
