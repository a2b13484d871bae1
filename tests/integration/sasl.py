"""SASL on raw connections: tokens as a client sends them, well or not."""

import base64
import os
import struct
from collections.abc import Callable

from pyzk.sasl.digest_md5 import DigestClient, digest_response, parse_directives
from tests.integration.wire import Wire, request_frame, string

SASL = 102
AUTH = 100
WHO_AM_I = 107
JAAS = """\
Server {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    user_super="adminsecret"
    user_bob="bobsecret"
    user_jürgen="geheim ä";
};
"""
PROVIDER = {"authProvider.1": "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"}

Proof = Callable[[dict[str, str]], bytes]
"""Makes the client's second token of the server's challenge."""


def sasl_frame(xid: int, token: bytes | None) -> bytes:
    return request_frame(xid, SASL, struct.pack(">i", -1) if token is None else string(token))


def token_of(reply: bytes) -> bytes | None:
    """The token in the body of a reply."""
    (length,) = struct.unpack_from(">i", reply)
    return None if length < 0 else reply[4 : 4 + length]


def login(wire: Wire, user: str = "bob", password: str = "bobsecret") -> int:
    """Authenticate as DIGEST-MD5 has it; the error of the last reply."""
    client = DigestClient(user, password, base64.b64encode(os.urandom(12)).decode())
    token: bytes | None = client.start()
    err = 0
    xid = 1000
    while token is not None and not err:
        _, _, err, body = wire.call(sasl_frame(xid, token))
        xid += 1
        token = None if err else client.respond(token_of(body))
    return err


def proof(**changes: str | None) -> Proof:
    """Bob's proof, with some of it changed or left out (None)."""

    def prove(challenge: dict[str, str]) -> bytes:
        said = {
            "charset": "utf-8",
            "username": "bob",
            "realm": challenge["realm"],
            "nonce": challenge["nonce"],
            "nc": "00000001",
            "cnonce": "abc",
            "digest-uri": "zookeeper/zk-sasl-md5",
            "qop": "auth",
        }
        said |= {name.replace("_", "-"): value for name, value in changes.items() if value is not None}
        said.setdefault("response", digest_response(said, "bobsecret"))
        missing = {name.replace("_", "-") for name, value in changes.items() if value is None}
        quoted = {"username", "realm", "nonce", "cnonce", "digest-uri", "authzid"}
        pairs = {name: f'"{value}"' if name in quoted else value for name, value in said.items() if name not in missing}
        return ",".join([f"{name}={value}" for name, value in pairs.items()]).encode()

    return prove


def challenge_of(wire: Wire) -> dict[str, str]:
    _, _, err, body = wire.call(sasl_frame(1, b""))
    assert err == 0
    token = token_of(body)
    assert token is not None
    return parse_directives(token)
