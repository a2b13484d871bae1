"""Both sides of DIGEST-MD5, with the examples of the RFC and exchanges captured from Apache's server."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.errors import SaslError
from pyzk.sasl.digest_md5 import (
    QUORUM_PROTOCOL,
    QUORUM_SERVER_NAME,
    DigestClient,
    DigestServer,
    digest_response,
    parse_directives,
)

VECTORS = Path(__file__).parents[1] / "vectors" / "client.jsonl"
LINES = [json.loads(line) for line in VECTORS.read_text().splitlines()]
PASSWORDS = {"bob": "bobsecret", "super": "adminsecret"}
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def exchange(client: DigestClient, server: DigestServer) -> None:
    """Carry the tokens until both are complete."""
    challenge = server.respond(client.start())
    proof = client.respond(challenge)
    assert proof is not None
    assert client.respond(server.respond(proof)) is None


def proof_of(server: DigestServer, **changes: str | None) -> bytes:
    """What a client says to this server that knows bob's password, with some of it changed or left out."""
    said = parse_directives(server.respond(b""))
    directives = {
        "username": "bob",
        "realm": said["realm"],
        "nonce": said["nonce"],
        "nc": "00000001",
        "cnonce": "abc",
        "digest-uri": "zookeeper/zk-sasl-md5",
        "qop": "auth",
    }
    directives |= {name.replace("_", "-"): value for name, value in changes.items() if value is not None}
    directives.setdefault("response", digest_response(directives, "bobsecret"))
    missing = {name.replace("_", "-") for name, value in changes.items() if value is None}
    return ",".join([f'{name}="{value}"' for name, value in directives.items() if name not in missing]).encode()


@pytest.mark.parametrize(
    ("protocol", "nonce", "cnonce", "response", "rspauth"),
    [
        (
            *("imap", "OA6MG9tEQGm2hh", "OA6MHXh6VqTrRk"),
            *("d388dad90d4bbd760a152321f2143af7", "ea40f60335c427b5527b84dbabcdfffd"),
        ),
        (
            *("acap", "OA9BSXrbuRhWay", "OA9BSuZWMSpW8m"),
            *("6084c6db3fede7352c551284490fd0fc", "2f0b3d7c3c2e486600ef710726aa2eae"),
        ),
    ],
)
def test_the_examples_of_the_rfc(protocol: str, nonce: str, cnonce: str, response: str, rspauth: str) -> None:
    realm = "elwood.innosoft.com"
    said = {"username": "chris", "realm": realm, "nonce": nonce, "nc": "00000001", "cnonce": cnonce, "qop": "auth"}
    said["digest-uri"] = f"{protocol}/{realm}"
    assert digest_response(said, "secret") == response
    assert digest_response(said, "secret", of_server=True) == rspauth


@pytest.mark.parametrize("version", ["3.8.0", "3.9.5"])
def test_the_answers_are_those_of_apaches_server(version: str) -> None:
    compared = 0
    lines = {line["name"]: line for line in LINES if line["server"] == version}
    for suffix in ("", "_bad", "_super"):
        start, response = lines[f"sasl_digest_md5_start{suffix}"], lines[f"sasl_digest_md5_response{suffix}"]
        challenge = bytes.fromhex(start["reply_hex"])[24:]
        server = DigestServer(PASSWORDS.get, parse_directives(challenge)["nonce"])
        assert server.respond(b"") == challenge
        proof = bytes.fromhex(response["request_hex"])[16:]
        if suffix == "_bad":
            with pytest.raises(SaslError):
                server.respond(proof)
        else:
            assert server.respond(proof) == bytes.fromhex(response["reply_hex"])[24:]
            assert server.identity == ("super" if suffix else "bob")
        compared += 1
    assert compared == 3


@given(names, names, st.sampled_from([{}, {"protocol": QUORUM_PROTOCOL, "server_name": QUORUM_SERVER_NAME}]))
def test_who_knows_the_password_is_known_and_knows_the_server(user: str, password: str, place: dict[str, str]) -> None:
    server = DigestServer({user: password}.get, "server nonce", **place)
    client = DigestClient(user, password, "client nonce", **place)
    exchange(client, server)
    assert client.is_complete
    assert server.identity == user


@given(names, names, names)
def test_a_wrong_password_proves_nothing(user: str, password: str, other: str) -> None:
    server = DigestServer({user: password}.get, "1")
    client = DigestClient(user, password + other, "2")
    with pytest.raises(SaslError):
        exchange(client, server)
    assert server.identity is None


def test_row_21_a_user_that_is_not_known_is_refused_like_a_wrong_password() -> None:
    reasons = []
    for user, password in (("bob", "wrong"), ("eve", "")):
        with pytest.raises(SaslError) as caught:
            exchange(DigestClient(user, password, "2"), DigestServer(PASSWORDS.get, "1"))
        reasons.append(str(caught.value).replace(user, "USER"))
    assert reasons[0] == reasons[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"nc": "00000002"},
        {"cnonce": None},
        {"realm": "another"},
        {"realm": None},
        {"qop": "auth-int"},
        {"charset": "latin-1"},
        {"digest_uri": "zookeeper/another"},
        {"digest_uri": None},
        {"username": None},
        {"response": None},
        {"response": "0" * 32},
    ],
    ids=str,
)
def test_a_proof_for_something_else_is_refused(changes: dict[str, str | None]) -> None:
    server = DigestServer(PASSWORDS.get, "1")
    with pytest.raises(SaslError):
        server.respond(proof_of(server, **changes))
    assert server.identity is None


@pytest.mark.parametrize(
    "changes", [{}, {"qop": None}, {"nc": None}, {"authzid": "alice"}, {"digest_uri": "ZooKeeper/ZK-sasl-md5"}]
)
def test_what_a_client_may_say_differently(changes: dict[str, str | None]) -> None:
    server = DigestServer(PASSWORDS.get, "1")
    server.respond(proof_of(server, **changes))
    assert server.identity == "bob", "who the client wants to be instead does not count"


def test_an_exchange_serves_once() -> None:
    server = DigestServer(PASSWORDS.get, "1")
    proof = proof_of(server)
    server.respond(proof)
    for token in (proof, b""):
        with pytest.raises(SaslError):
            server.respond(token)


def test_what_the_client_sends_first_counts_for_nothing() -> None:
    server = DigestServer(PASSWORDS.get, "1")
    assert server.respond(b"token") == DigestServer(PASSWORDS.get, "1").respond(b"")


def test_a_client_believes_no_server_that_does_not_know_the_password() -> None:
    server = DigestServer({"bob": "another"}.get, "1")
    client = DigestClient("bob", "bobsecret", "2")
    client.respond(server.respond(b""))
    with pytest.raises(SaslError):
        client.respond(b"rspauth=" + b"0" * 32)
    assert not client.is_complete


@pytest.mark.parametrize("challenge", [None, b"", b"algorithm=md5-sess", b"nonce=1,algorithm=md5", b'nonce="'])
def test_a_client_refuses_what_is_no_challenge(challenge: bytes | None) -> None:
    with pytest.raises(SaslError):
        DigestClient("bob", "bobsecret", "2").respond(challenge)


def test_directives_are_read_with_quotes_and_blanks() -> None:
    assert parse_directives(b' a = 1 , b="x, \\"y\\"",c=') == {"a": "1", "b": 'x, "y"', "c": ""}
    assert parse_directives(b'realm="one",realm="two"') == {"realm": "one"}


@pytest.mark.parametrize("token", [b"a", b"a=1 b=2", b'a="', b"a=1,a=2", b"\xff", b"=1"])
def test_what_is_no_list_of_pairs_is_refused(token: bytes) -> None:
    with pytest.raises(SaslError):
        parse_directives(token)


@given(st.binary())
def test_any_token_is_answered_or_refused(token: bytes) -> None:
    server = DigestServer(PASSWORDS.get, "1")
    server.respond(b"")
    with pytest.raises(SaslError):
        server.respond(token)
