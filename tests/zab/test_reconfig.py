"""docs/protocol/zab.md section 12.3: what a reconfiguration asks for."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.errors import BadArgumentsError
from pyzk.zab.membership import Membership, parse_text
from pyzk.zab.reconfig import propose_membership

THREE = parse_text(
    "server.1=a:2888:3888:participant;2181\n"
    "server.2=b:2888:3888:participant;2181\n"
    "server.3=c:2888:3888:participant;2181\n"
    "version=100000000"
)
GROUPED = parse_text("server.1=a:1:2;3\nserver.2=b:1:2;3\ngroup.1=1:2\nversion=5")


def propose(
    joining: str | None = None,
    leaving: str | None = None,
    new_members: str | None = None,
    *,
    current: Membership = THREE,
    standalone: bool = True,
    multi: bool = False,
) -> Membership:
    return propose_membership(
        current, joining, leaving, new_members, standalone_enabled=standalone, multi_address_enabled=multi
    )


def refusal(*arguments: str | None, **options: object) -> str:
    with pytest.raises(BadArgumentsError) as caught:
        propose(*arguments, **options)
    return str(caught.value)


def ids(membership: Membership) -> list[int]:
    return [server.server_id for server in membership.servers]


def test_a_server_joins_and_the_version_is_left_to_its_txn() -> None:
    proposed = propose("server.4=d:2888:3888:observer;2181")
    assert ids(proposed) == [1, 2, 3, 4]
    assert proposed.observer_ids == {4}
    assert proposed.version == THREE.version


def test_servers_leave_and_unknown_ones_are_passed_over() -> None:
    assert ids(propose(leaving="3, 9")) == [1, 2]


def test_a_joiner_replaces_the_server_of_its_id() -> None:
    proposed = propose("server.3=c:2888:3888:observer;2181")
    assert (proposed.voter_ids, proposed.observer_ids) == ({1, 2}, {3})


def test_servers_leave_before_others_join() -> None:
    assert ids(propose("server.4=c:2888:3888;2181", "3")) == [1, 2, 4]
    assert ids(propose("server.3=d:2888:3888;2181", "3")) == [1, 2, 3]


def test_joiners_have_commas_and_blanks_between_them() -> None:
    assert ids(propose(" server.4 = d:1:2;3 ,, 5=e:1:2;3,")) == [1, 2, 3, 4, 5]


def test_nothing_asked_for_is_the_current_membership() -> None:
    assert propose() == THREE
    assert propose("", "") == THREE


@pytest.mark.parametrize("separator", [",", "\n"])
def test_new_members_replace_all(separator: str) -> None:
    lines = ["server.1=a:2888:3888;2181", "server.7=g:2888:3888"]
    proposed = propose("ignored", "1", separator.join(lines))
    assert ids(proposed) == [1, 7]
    assert proposed.find(7).client is None


def test_new_members_may_bring_groups_and_a_version_that_does_not_count() -> None:
    proposed = propose(new_members="server.1=a:1:2,server.2=b:1:2,group.1=1:2,weight.2=3,version=ff")
    assert (proposed.group_of, proposed.weights) == ({1: 1, 2: 1}, {2: 3})
    assert proposed.version == THREE.version


def test_groups_can_be_replaced_by_a_majority() -> None:
    assert propose(new_members="server.1=a:1:2,server.2=b:1:2", current=GROUPED).group_of == {}


@pytest.mark.parametrize("arguments", [("server.3=c:1:2;3", None), (None, "1"), (None, None)])
def test_servers_do_not_join_or_leave_hierarchical_quorums_one_by_one(arguments: tuple[str | None, str | None]) -> None:
    assert "hierarchical" in refusal(*arguments, current=GROUPED)


@pytest.mark.parametrize(
    ("joining", "says"),
    [
        ("server.4=d:2888:3888", "3 ports"),
        ("server.4", "Wrong format"),
        ("server.4=d:1:2;3=x", "Wrong format"),
        ("server.x=d:1:2;3", "For input string"),
        ("server.4=d:1;3", "does not have the form"),
        ("server.4=d:1:1;3", "must be different"),
        ("server.4=d:1:2:voter;3", "Unrecognised peertype"),
        ("server.4=d:1:2|e:1:2;3", "Multiple address feature is disabled"),
    ],
)
def test_a_joiner_that_cannot_be_read_is_refused(joining: str, says: str) -> None:
    assert says in refusal(joining)


@pytest.mark.parametrize("leaving", ["x", "server.3", "99999999999999999999"])
def test_an_id_that_is_none_is_refused(leaving: str) -> None:
    assert "For input string" in refusal(None, leaving)


@pytest.mark.parametrize(
    "new_members",
    ["", "garbage", "server.1=a:1:2,clientPort=2181", "server.1=a:1:2,server.2=b:1:2,group.1=1", "server.1=a|b"],
)
def test_new_members_that_cannot_be_read_are_refused(new_members: str) -> None:
    refusal(None, None, new_members)


def test_several_addresses_need_their_switch() -> None:
    lines = "server.1=a:1:2|aa:1:2;3,server.2=b:1:2;3"
    refusal(None, None, lines)
    refusal(lines)
    assert len(propose(new_members=lines, multi=True).find(1).addresses) == 2
    assert len(propose(lines, multi=True).find(1).addresses) == 2


@pytest.mark.parametrize("joiner", ["A:2888:7;9", "d:7:8;b:3888", "d:7:8;c:2181"])
def test_two_servers_have_no_port_in_common(joiner: str) -> None:
    current = parse_text("server.1=a:2888:3888;2181\nserver.2=b:2888:3888;2181\nserver.3=c:2888:3888;c:2181")
    assert "too" in refusal(f"server.4={joiner}", current=current)


def test_two_joiners_have_no_port_in_common_either() -> None:
    assert "too" in refusal("server.4=d:2888:3888;2181,server.5=d:1:2888;3")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]", "0.0.0.0", "[::]"])
def test_loopback_and_wildcard_are_another_place_on_each_machine(host: str) -> None:
    current = parse_text(f"server.1={host}:1:2;3\nserver.2={host}:1:2;3")
    assert ids(propose(f"server.3={host}:1:2;3", current=current)) == [1, 2, 3]


@pytest.mark.parametrize(("leaving", "standalone"), [("1,2", True), ("1,2,3", False)])
def test_too_few_voters_are_refused(leaving: str, standalone: bool) -> None:
    assert "at least" in refusal(None, leaving, standalone=standalone)


def test_one_voter_is_enough_without_standalone() -> None:
    assert ids(propose(leaving="1,2", standalone=False)) == [3]


def test_observers_do_not_make_up_for_voters() -> None:
    refusal(None, None, "server.1=a:1:2,server.2=b:1:2:observer")


def test_the_captured_reconfigurations_follow_from_each_other() -> None:
    """Sid 4 joins as an observer, becomes a participant, 3 leaves: the dynamic files that Apache's servers wrote."""
    folder = Path(__file__).parent.parent / "vectors" / "storage" / "h-dynamic-config"

    def file(version: str) -> Membership:
        return parse_text((folder / f"zoo.cfg.dynamic.{version}").read_text(encoding="utf-8"))

    server = "server.{0}=127.0.0.1:1611{0}:1612{0}:{1};127.0.0.1:1610{0}".format
    steps = [
        ("100000000", server(4, "observer"), None, "100000007"),
        ("100000007", server(4, "participant"), None, "10000000b"),
        ("10000000b", None, "3", "10000000e"),
        ("10000000e", server(3, "participant"), None, "200000003"),
        ("200000003", server(3, "observer"), None, "200000004"),
    ]
    for before, joining, leaving, after in steps:
        assert propose(joining, leaving, current=file(before)) == file(after)


@given(st.text(alphabet="server.=12:;|a,\n-", max_size=50), st.text(alphabet="12,-x", max_size=6))
def test_any_request_is_a_membership_or_bad_arguments(text: str, leaving: str) -> None:
    for arguments in ((text, leaving, None), (None, None, text)):
        try:
            proposed = propose(*arguments, multi=True)
        except BadArgumentsError:
            continue
        assert len(proposed.voters) >= 2
        assert parse_text(proposed.text()).same_members(proposed)
