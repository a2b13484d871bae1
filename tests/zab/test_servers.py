"""docs/protocol/configuration.md section 3: server.N."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.errors import ConfigError
from pyzk.zab.entries import ConfigEntry
from pyzk.zab.servers import PeerAddress, ServerSpec, parse_server

WRONG_FORMAT = (
    "{} does not have the form server_config or server_config;client_config where server_config is the pipe separated "
    "list of host:port:port or host:port:port:type and client_config is port or host:port"
)


def parse(value: str, key: str = "server.1", *, multi: bool = False) -> ServerSpec:
    return parse_server(ConfigEntry(key, value, "zoo.cfg:1"), multi_address_enabled=multi)


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


def test_canonical_text_keeps_the_ports_of_addresses_on_one_host_together() -> None:
    """Apache writes these as 127.0.0.1:16211:16241|127.0.0.1:16231:16221."""
    server = parse("127.0.0.1:16231:16241|127.0.0.1:16211:16221", multi=True)
    assert server.canonical() == "127.0.0.1:16211:16221|127.0.0.1:16231:16241:participant"


@pytest.mark.parametrize("number", ["9223372036854775808", "1" * 5000])
def test_an_id_above_64_bits_is_refused(number: str) -> None:
    with pytest.raises(ConfigError, match="For input string"):
        parse("h:2888:3888", key=f"server.{number}")


@given(st.text(alphabet="h:;|[]12 x", max_size=24))
def test_any_text_is_a_server_or_a_config_error(text: str) -> None:
    try:
        parse(text, multi=True)
    except ConfigError as error:
        assert error.setting == "server.1"
