"""auth and sasl packets: answered ahead of the queue, and what they prove."""

import pytest

from pyzk.codec.framing import frame
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ACL, RequestHeader
from pyzk.codec.replies import WhoAmIReply
from pyzk.codec.requests import AuthRequest, CreateRequest, EmptyRequest, SaslRequest
from pyzk.errors import AuthFailedError, NoAuthError
from pyzk.service.authentication import IDENTITIES_MAX
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
    assert client.closed == "more than 100 identities on one connection"


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
