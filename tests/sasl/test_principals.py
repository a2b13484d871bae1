"""Kerberos names, and what rules make of them."""

import pytest

from pyzk.errors import SaslError
from pyzk.sasl.principals import Names, Principal, Rule, is_principal, parse_principal, parse_rules


def test_names_are_taken_apart() -> None:
    assert parse_principal("zk/host@REALM") == Principal("zk", "host", "REALM")
    assert parse_principal("bob@REALM") == Principal("bob", None, "REALM")
    assert parse_principal("bob") == Principal("bob", None, None)
    assert parse_principal("zk/host") == Principal("zk/host", None, None)  # as in Apache


@pytest.mark.parametrize("name", ["a@b@c", "a/b/c@d"])
def test_a_name_with_an_at_must_have_the_form(name: str) -> None:
    assert not is_principal(name)
    with pytest.raises(SaslError):
        parse_principal(name)


@pytest.mark.parametrize("name", ["", "@", "bob", "b b", "zk/host", "zk/host@REALM"])
def test_all_else_can_be_a_name(name: str) -> None:
    assert is_principal(name)


@pytest.mark.parametrize(
    ("without_host", "without_realm", "identity"),
    [
        (False, False, "zk/host@REALM"),
        (True, False, "zk@REALM"),
        (False, True, "zk/host"),
        (True, True, "zk"),
    ],
)
def test_host_and_realm_are_left_out_on_demand(*, without_host: bool, without_realm: bool, identity: str) -> None:
    names = Names(default_realm="REALM", without_host=without_host, without_realm=without_realm)
    assert names.identity("zk/host@REALM") == identity


def test_a_name_without_a_rule_for_it_stays_whole() -> None:
    names = Names(default_realm="REALM", without_host=True, without_realm=True)
    assert names.identity("zk/host@OTHER") == "zk/host@OTHER"
    assert names.identity("bob") == "bob"


@pytest.mark.parametrize(
    ("rules", "name", "identity"),
    [
        ("RULE:[1:$1@$0](.*@OTHER)s/@.*// DEFAULT", "bob@OTHER", "bob"),
        ("RULE:[1:$1@$0](.*@OTHER)s/@.*//\nDEFAULT", "bob@REALM", "bob"),
        ("RULE:[2:$1;$2](zk;.*)s/;.*//", "zk/host@OTHER", "zk"),
        ("RULE:[2:$2]", "zk/host@OTHER", "host"),
        ("RULE:[1:$1]s/b/p/g", "bobby@OTHER", "poppy"),
        ("RULE:[1:$1]s/b/p/", "bobby@OTHER", "pobby"),
        ("RULE:[1:$1]s/(.)ob/x$1/", "bob@OTHER", "xb"),
        ("RULE:[1:$1@$0]", "bob@OTHER", "bob@OTHER"),  # no short name: it stays as it was
    ],
)
def test_rules_make_short_names(rules: str, name: str, identity: str) -> None:
    names = Names(parse_rules(rules), "REALM", without_host=True, without_realm=True)
    assert names.identity(name) == identity


@pytest.mark.parametrize("text", ["nonsense", "RULE:[x:$1]", "RULE:[1:$1](", "RULE:[1:$1](()", "RULE:[:$1]"])
def test_rules_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_rules(text)


def test_rules_with_parts_that_are_not_there_are_for_nobody() -> None:
    with pytest.raises(SaslError):
        Rule(1, "$3").apply(["REALM", "bob"], "REALM")
    assert Names([Rule(1, "$3")], "REALM").identity("bob@REALM") == "bob@REALM"
