"""auth and sasl packets: answered ahead of the queue, and what they prove."""

import pytest

from pyzk.codec.framing import frame
from pyzk.codec.jute import pack_buffer
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ACL, RequestHeader
from pyzk.codec.replies import SaslReply, WhoAmIReply
from pyzk.codec.requests import AuthRequest, CreateRequest, EmptyRequest, SaslRequest
from pyzk.errors import AuthFailedError, NoAuthError, SaslRequiredError
from pyzk.sasl.digest_md5 import DigestClient, DigestServer
from pyzk.sasl.mechanism import TOKEN_BYTES_MAX
from pyzk.service.authentication import IDENTITIES_MAX, PROVERS, ensemble_prover
from pyzk.service.outbox import Settings
from pyzk.tree.acl import digest_id
from tests.service.harness import Client, World

SUPER = b"super:secret"


def auth(client: Client, scheme: bytes | None, proof: bytes | None) -> bytes:
    return client.request(OpCode.AUTH, AuthRequest(0, scheme, proof), -4)


def who_am_i(client: Client) -> list[tuple[bytes | None, bytes | None]]:
    reply = client.ask(client.request(OpCode.WHO_AM_I, EmptyRequest()))
    record = WhoAmIReply.from_bytes(reply.body)
    assert record.identities is not None
    return sorted((info.scheme, info.user) for info in record.identities)


def test_an_auth_packet_overtakes_what_is_queued() -> None:
    world = World(held=True)
    client = world.client()
    world.commit()
    client.send(client.create(b"/a"), auth(client, b"digest", b"u:p"), client.exists(b"/a"))
    assert [reply.xid for reply in client.replies] == [-4]
    assert client.replies[0].zxid == 0
    world.commit()
    assert [reply.xid for reply in client.replies] == [-4, 1, 2]


def test_a_connection_is_at_most_a_hundred_at_once() -> None:
    client = World().client()
    packets = [auth(client, b"digest", b"user%d:p" % number) for number in range(IDENTITIES_MAX)]
    client.send(*packets[:-1], *packets[:-1])  # the address is an identity too; what is known already counts once
    assert client.errors == [0] * (2 * IDENTITIES_MAX - 2)
    assert len(who_am_i(client)) == IDENTITIES_MAX
    client.send(packets[-1])
    assert client.errors[-1] == AuthFailedError.code
    assert client.closed == "authentication failed: more than 100 identities on one connection"


def test_identities_hold_for_the_requests_read_after_them() -> None:
    world = World(held=True)
    client = world.client()
    world.commit()
    mine = [ACL(31, b"digest", digest_id(b"u:p", "SHA1"))]
    client.send(client.request(OpCode.CREATE, CreateRequest(b"/mine", b"", mine, 0)))
    world.commit()
    client.send(
        client.create(b"/x"), client.get_data(b"/mine"), auth(client, b"digest", b"u:p"), client.get_data(b"/mine")
    )
    world.commit()
    told = [(reply.xid, reply.err) for reply in client.replies[1:]]
    assert told == [(-4, 0), (2, 0), (3, NoAuthError.code), (4, 0)]


def test_who_am_i_tells_all_identities_once() -> None:
    client = World().client(address="10.1.2.3")
    assert who_am_i(client) == [(b"ip", b"10.1.2.3")]
    client.send(auth(client, b"digest", b"u:p"), auth(client, b"digest", b"u:p"), auth(client, b"ip", b""))
    assert who_am_i(client) == [(b"digest", b"u"), (b"ip", b"10.1.2.3")]


@pytest.mark.parametrize("scheme", [b"kerberos", b"", None, b"world", b"auth"])
def test_a_scheme_that_is_not_there_fails_and_closes(scheme: bytes | None) -> None:
    world = World()
    client = world.client()
    reply = client.ask(auth(client, scheme, b"x"))
    assert (reply.xid, reply.zxid, reply.err) == (-4, 0, AuthFailedError.code)
    assert client.closed is not None
    assert world.service.counters.authentication_failed == 1


def test_digest_can_be_switched_off() -> None:
    client = World(Settings(digest_auth_enabled=False)).client()
    assert client.ask(auth(client, b"digest", b"u:p")).err == AuthFailedError.code


def test_the_super_user_may_do_everything() -> None:
    world = World(Settings(super_digest=digest_id(SUPER, "SHA1")))
    client, other = world.client(), world.client()
    nobody = [ACL(31, b"digest", digest_id(b"no:body", "SHA1"))]
    client.send(client.request(OpCode.CREATE, CreateRequest(b"/closed", b"", nobody, 0)))
    other.send(auth(other, b"digest", SUPER))
    assert client.ask(client.get_data(b"/closed")).err == NoAuthError.code
    assert other.ask(other.get_data(b"/closed")).err == 0
    assert (b"super", b"") in who_am_i(other)


def test_sasl_without_sasl_is_answered_with_a_null_token() -> None:
    client = World().client()
    reply = client.ask(client.request(OpCode.SASL, SaslRequest(b"token")))
    assert (reply.err, reply.body) == (0, b"\xff\xff\xff\xff")
    client.send(client.request(OpCode.SASL, SaslRequest(None)))
    assert client.closed is not None


@pytest.mark.parametrize("opcode", [OpCode.AUTH, OpCode.SASL])
def test_a_packet_that_cannot_be_read_closes(opcode: int) -> None:
    client = World().client()
    client.send(frame(RequestHeader(-4, opcode).encode() + b"\0"))
    assert client.replies == []
    assert client.closed is not None


# SASL


def sasl_world(**settings: object) -> World:
    world = World(Settings(**settings))  # type: ignore[arg-type]
    world.service.new_exchange = lambda: DigestServer({"bob": "secret", "admin": "secret"}.get, "nonce")
    return world


def log_in(client: Client, user: str = "bob", password: str = "secret") -> int:
    """The error of the last reply."""
    login = DigestClient(user, password, "client nonce")
    token: bytes | None = login.start()
    while token is not None:
        reply = client.ask(client.request(OpCode.SASL, SaslRequest(token)))
        if reply.err:
            assert reply.body == pack_buffer(None), "the token is there in spite of the error"
            return reply.err
        token = login.respond(SaslReply.from_bytes(reply.body).token)
    assert login.is_complete
    return 0


def test_sasl_makes_an_identity() -> None:
    client = sasl_world().client()
    assert log_in(client) == 0
    assert who_am_i(client) == [(b"ip", b"127.0.0.1"), (b"sasl", b"bob")]


def test_a_sasl_name_can_be_super() -> None:
    client = sasl_world(super_users=frozenset({b"admin"})).client()
    assert log_in(client, "admin") == 0
    assert (b"super", b"") in who_am_i(client)


def test_a_sasl_login_that_fails_closes_the_connection() -> None:
    world = sasl_world()
    client = world.client()
    assert log_in(client, password="wrong") == AuthFailedError.code
    assert client.closed is not None
    assert "or the password is wrong" in client.closed
    assert world.service.counters.authentication_failed == 1


def test_a_client_whose_sasl_fails_may_stay_where_that_is_allowed() -> None:
    client = sasl_world(sasl_failures_allowed=True).client()
    login = DigestClient("bob", "wrong", "1")
    challenge = SaslReply.from_bytes(client.ask(client.request(OpCode.SASL, SaslRequest(b""))).body).token
    proof = login.respond(challenge)
    reply = client.ask(client.request(OpCode.SASL, SaslRequest(proof)))
    assert (reply.err, reply.body) == (0, pack_buffer(None))
    assert client.closed is None
    assert who_am_i(client) == [(b"ip", b"127.0.0.1")]


def test_a_long_token_is_refused_unread() -> None:
    client = sasl_world().client()
    reply = client.ask(client.request(OpCode.SASL, SaslRequest(bytes(TOKEN_BYTES_MAX + 1))))
    assert reply.err == AuthFailedError.code
    assert client.closed is not None


# Enforced authentication


@pytest.mark.parametrize("opcode", [OpCode.PING, OpCode.GET_DATA, OpCode.EXISTS, OpCode.CLOSE_SESSION, 999])
def test_a_barred_client_is_told_and_closed(opcode: int) -> None:
    client = sasl_world(required_schemes=frozenset({b"sasl"})).client()
    reply = client.ask(frame(RequestHeader(1, opcode).encode() + b"\0\0\0\1/\0"))
    assert (reply.err, reply.zxid, reply.body) == (SaslRequiredError.code, 0, b"")
    assert client.closed == "the client must authenticate first, by sasl (enforce.auth.schemes)"


def test_a_client_that_has_authenticated_in_the_same_breath_is_served() -> None:
    client = World(Settings(required_schemes=frozenset({b"digest", b"sasl"}))).client()
    client.send(auth(client, b"digest", b"u:p"), client.get_data(b"/"), client.create(b"/a"), client.get_data(b"/a"))
    assert client.errors == [0, 0, 0, 0]


def test_an_identity_of_another_scheme_does_not_open_the_bar() -> None:
    client = sasl_world(required_schemes=frozenset({b"sasl"})).client()
    assert client.ask(auth(client, b"digest", b"u:p")).err == 0
    assert client.ask(client.get_data(b"/")).err == SaslRequiredError.code


def test_an_address_can_be_identity_enough() -> None:
    client = World(Settings(required_schemes=frozenset({b"ip"}))).client()
    assert client.ask(client.get_data(b"/")).err == 0


@pytest.mark.parametrize("allowed", [False, True])
def test_a_failed_login_where_sasl_is_required_says_so(allowed: bool) -> None:
    client = sasl_world(required_schemes=frozenset({b"sasl"}), sasl_failures_allowed=allowed).client()
    assert log_in(client, password="wrong") == SaslRequiredError.code
    assert client.closed is not None


# Scheme ensemble


@pytest.mark.parametrize(("name", "closed"), [(b"mine", False), (b"", False), (None, False), (b"another", True)])
def test_who_means_another_ensemble_is_sent_away(name: bytes | None, closed: bool) -> None:
    world = World()
    world.service.provers = {**PROVERS, b"ensemble": ensemble_prover(frozenset({b"mine"}))}
    client = world.client()
    client.send(auth(client, b"ensemble", name))
    assert client.errors == [0]
    assert (client.closed is not None) is closed
