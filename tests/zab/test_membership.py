"""docs/protocol/configuration.md section 3 and zab.md section 12.1: the server list and its text."""

import json
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.errors import ConfigError
from pyzk.zab.entries import ConfigEntry
from pyzk.zab.membership import (
    Membership,
    check_dynamic_entries,
    check_membership,
    parse_membership,
    parse_text,
    version_of_name,
)
from pyzk.zab.properties import parse_properties
from pyzk.zab.quorum import Hierarchical, Majority
from pyzk.zab.servers import PeerAddress, ServerSpec

VECTORS = Path(__file__).parent.parent / "vectors"
DYNAMIC_FILES = sorted((VECTORS / "storage" / "h-dynamic-config").iterdir())


def captured_texts() -> dict[str, str]:
    """Configuration texts of Apache's servers, by the name of the packet."""
    lines = map(json.loads, (VECTORS / "peer.jsonl").read_text(encoding="utf-8").splitlines())
    return {line["name"]: line["decoded"]["config"] for line in lines if "config" in line["decoded"]}


def members(*lines: str) -> Membership:
    entries = [ConfigEntry(*line.split("=", 1), "zoo.cfg") for line in lines]
    return parse_membership(entries, multi_address_enabled=False)


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
    entries = parse_properties(path.read_text(encoding="utf-8"), path.name)
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


@pytest.mark.parametrize("name", sorted(captured_texts()))
def test_the_text_of_a_captured_packet_is_read_and_written_back(name: str) -> None:
    text = captured_texts()[name]
    membership = parse_text(text)
    if "|" not in text:
        assert membership.text() == text
    assert parse_text(membership.text()).same_members(membership)


def test_the_captured_texts_are_all_there() -> None:
    assert len(captured_texts()) == 9, "say here when the vectors grow"


def test_wrongly_paired_ports_are_the_same_addresses() -> None:
    theirs = parse_text("server.1=h:16211:16241|h:16231:16221:participant\nversion=0")
    ours = parse_text("server.1=h:16211:16221|h:16231:16241:participant\nversion=0")
    assert theirs.same_members(ours)
    assert set(theirs.quorum_addresses(1)) == {("h", 16211), ("h", 16231)}
    assert set(theirs.election_addresses(1)) == {("h", 16221), ("h", 16241)}


def test_the_lines_are_those_of_a_dynamic_file() -> None:
    file = VECTORS / "storage" / "h-dynamic-config" / "zoo.cfg.dynamic.200000004"
    text = file.read_text(encoding="utf-8")
    membership = parse_membership(
        [ConfigEntry(*line.split("=", 1), file.name) for line in text.splitlines()],
        multi_address_enabled=False,
        version=version_of_name(file.name),
    )
    assert "\n".join(membership.lines()) == text
    assert membership.text() == f"{text}\nversion=200000004"
    assert (membership.voter_ids, membership.observer_ids) == ({1, 2, 4}, {3})


def test_groups_and_weights_are_shown_before_the_version() -> None:
    membership = members("server.2=b:1:2", "server.1=a:1:2", "server.3=c:1:2", "group.2=3", "group.1=2:1", "weight.3=0")
    assert membership.text().splitlines()[3:] == [
        "group.1=1:2",
        "group.2=3",
        "weight.1=1",
        "weight.2=1",
        "weight.3=0",
        "version=0",
    ]


def test_a_client_part_is_shown_only_if_the_line_has_one() -> None:
    membership = members("server.1=a:1:2;2181", "server.2=b:1:2")
    assert membership.text() == "server.1=a:1:2:participant;0.0.0.0:2181\nserver.2=b:1:2:participant\nversion=0"


def test_a_text_is_read_whatever_its_order_and_blanks() -> None:
    text = "\r\n# by hand\nversion = 1F\r\n server.2 = b:1:2\r\n\nserver.1=a:1:2|aa:1:2\n"
    membership = parse_text(text)
    assert membership.version == 0x1F
    assert [server.server_id for server in membership.servers] == [1, 2]


def test_a_text_without_version_has_version_0() -> None:
    assert parse_text("server.1=a:1:2").version == 0
    assert parse_text("") == Membership()


@pytest.mark.parametrize(
    "text",
    [
        "server.1=a:1:2\nclientPort=2181",
        "server.1",
        "garbage",
        "version=g",
        "version=8000000000000000",
        "version=-1",
        "server.1=a:1:2\nserver.2=b:1:2\ngroup.1=1",
        "server.1=a:1:2\ngroup.1=1\nweight.1=-1",
        "server.1=a:1:2\ngroup.1=1\nweight.1=" + "9" * 5000,
    ],
)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_text(text)


@given(st.text(alphabet="server.vion=group.wht12:;|a\n", max_size=60))
def test_any_text_is_a_membership_or_a_config_error(text: str) -> None:
    try:
        membership = parse_text(text)
    except ConfigError:
        return
    assert parse_text(membership.text()).same_members(membership)


@st.composite
def memberships(draw: st.DrawFn) -> Membership:
    server_ids = sorted(draw(st.sets(st.integers(0, 255), min_size=1, max_size=7)))
    ports = st.integers(1, 30_000)
    servers = tuple(
        ServerSpec(
            server_id,
            (PeerAddress(f"zoo{server_id}", draw(ports), 30_000 + draw(ports)),),
            draw(st.sampled_from(["participant", "observer"])),
            draw(st.none() | st.just(("0.0.0.0", 2181))),
        )
        for server_id in server_ids
    )
    group_of = {server_id: draw(st.integers(0, 3)) for server_id in server_ids} if draw(st.booleans()) else {}
    weights = {server_id: draw(st.integers(0, 5)) for server_id in group_of}
    return Membership(servers, group_of, weights, draw(st.integers(0, 2**63 - 1)))


@given(memberships())
def test_every_membership_is_read_back_from_its_text(membership: Membership) -> None:
    assert parse_text(membership.text()) == membership


def test_memberships_are_the_same_whatever_their_versions_client_ports_and_quorums() -> None:
    one = members("server.1=a:1:2", "server.2=b:1:2")
    other = members("server.1=a:1:2;2181", "server.2=b:1:2", "group.1=1:2")
    assert one.same_members(attrs.evolve(other, version=7))


@pytest.mark.parametrize(
    "line", ["server.2=b:1:2:observer", "server.2=b:3:2", "server.2=b:1:3", "server.2=c:1:2", "server.3=b:1:2"]
)
def test_memberships_differ_in_roles_addresses_and_ids(line: str) -> None:
    assert not members("server.1=a:1:2", "server.2=b:1:2").same_members(members("server.1=a:1:2", line))


def test_addresses_are_found_by_id() -> None:
    membership = members("server.1=a:2888:3888")
    assert membership.quorum_addresses(1) == [("a", 2888)]
    assert membership.election_addresses(1) == [("a", 3888)]
    assert membership.quorum_addresses(9) == []
    assert membership.election_addresses(9) == []


def test_the_quorum_is_a_majority_of_the_voters_unless_there_are_groups() -> None:
    servers = ("server.1=a:1:2", "server.2=b:1:2", "server.3=c:1:2:observer")
    assert members(*servers).quorum() == Majority(frozenset({1, 2}))
    quorum = members(*servers, "group.1=1", "group.2=2", "weight.2=5").quorum()
    assert quorum == Hierarchical({1: 1, 2: 2}, {2: 5}, frozenset({1, 2}))


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ConfigError, match="Weight -1 is negative"):
        members("server.1=a:1:2", "group.1=1", "weight.1=-1")
