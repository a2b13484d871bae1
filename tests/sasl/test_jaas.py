"""JAAS files, as Apache's documentation and container images write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.errors import SaslError
from pyzk.sasl.jaas import parse_jaas

SERVER = """\
// for clients
Server {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    user_super="adminsecret"
    user_bob="bob secret"  /* changed
                              last year */
    user_eve=plain;
};
# section
"""
QUORUM = """\
QuorumServer {
       org.apache.zookeeper.server.auth.DigestLoginModule required
       user_test="test";
};
QuorumLearner {
       org.apache.zookeeper.server.auth.DigestLoginModule required
       username="test"
       password="te\\"s;t";
};
"""
KERBEROS = """\
Server {
  com.sun.security.auth.module.Krb5LoginModule required
  useKeyTab=true
  keyTab="/etc/zk.keytab"
  storeKey=true
  principal="zookeeper/host@REALM";
};
"""


def test_users_of_a_server_with_comments_and_blanks() -> None:
    module = parse_jaas(SERVER.replace("# section\n", ""))["Server"]
    assert module.is_digest
    assert module.users == {"super": "adminsecret", "bob": "bob secret", "eve": "plain"}


def test_sections_of_servers_among_themselves() -> None:
    sections = parse_jaas(QUORUM)
    assert sections["QuorumServer"].users == {"test": "test"}
    assert sections["QuorumLearner"].options == {"username": "test", "password": 'te"s;t'}


def test_a_keytab() -> None:
    module = parse_jaas(KERBEROS)["Server"]
    assert module.is_kerberos
    assert module.options["keyTab"] == "/etc/zk.keytab"


def test_an_empty_file_has_no_section() -> None:
    assert parse_jaas("") == {}
    assert parse_jaas("// nothing\n") == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (SERVER, 9),
        ("Server {", 1),
        ("Server {\n}\n;", 3),
        ("Server {\n  X required a=1;\n}", 3),
        ('Server {\n  X required a="1;\n};', 2),
        ("Server {\n  X a=1;\n};", 2),
        ("Server {\n  X required\n  a;\n};", 3),
        ("Server { X required; };\nServer { X required; };", 2),
        ("/* no end", 1),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(SaslError, match=f"^line {line}:"):
        parse_jaas(text)


@given(st.text(alphabet='Server{};=" \n/*\\x'))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_jaas(text)
    except SaslError as error:
        assert str(error).startswith("line ")
