"""Authentication providers of an operator's own: what they say counts, what they raise is a no."""

import pytest

from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ACL
from pyzk.codec.requests import AuthRequest, CreateRequest, EmptyRequest
from pyzk.errors import AuthFailedError, InvalidAclError, NoAuthError
from pyzk.service.authentication import PROVERS
from pyzk.service.provider import ForeignScheme, foreign_prover
from pyzk.tree.acl import SCHEMES
from tests.service.harness import Client, World


class Ticket:
    scheme = "ticket"
    is_authenticated = True

    def prove(self, proof, address):
        return [proof.decode(), address] if proof.startswith(b"a") else []

    def is_valid(self, acl_id):
        return acl_id.isalnum()

    def matches(self, identity, acl_id):
        return identity == acl_id


class Broken(Ticket):
    def prove(self, proof, address):
        raise KeyError(proof, address)

    def is_valid(self, acl_id):
        raise KeyError(acl_id)

    def matches(self, identity, acl_id):
        raise KeyError(identity, acl_id)


@pytest.fixture
def complaints():
    return []


def world_with(provider, complaints):
    def complain(scheme, error):
        complaints.append((scheme, type(error)))

    world = World()
    world.service.provers = {**PROVERS, b"ticket": foreign_prover(provider, complain)}
    access = world.service.access
    access._schemes = {**SCHEMES, b"ticket": ForeignScheme(provider, complain)}
    return world


def show(client: Client, proof: bytes) -> int:
    return client.ask(client.request(OpCode.AUTH, AuthRequest(0, b"ticket", proof), -4)).err


def create(client: Client, path: bytes, scheme: bytes, name: bytes) -> int:
    return client.ask(client.request(OpCode.CREATE, CreateRequest(path, b"", [ACL(31, scheme, name)], 0))).err


def test_what_a_provider_says_counts(complaints):
    world = world_with(Ticket(), complaints)
    client, other = world.client(), world.client()
    assert show(client, b"ann") == 0
    assert b"ann" in client.ask(client.request(OpCode.WHO_AM_I, EmptyRequest())).body
    assert create(client, b"/mine", b"auth", b"") == 0
    assert create(client, b"/theirs", b"ticket", b"bob") == 0
    assert create(client, b"/x", b"ticket", b"no id!") == InvalidAclError.code
    assert client.ask(client.get_data(b"/mine")).err == 0
    assert client.ask(client.get_data(b"/theirs")).err == NoAuthError.code
    assert other.ask(other.get_data(b"/mine")).err == NoAuthError.code
    assert complaints == []


def test_who_has_no_identity_is_refused_and_closed(complaints):
    client = world_with(Ticket(), complaints).client()
    assert show(client, b"eve") == AuthFailedError.code
    assert client.closed == "authentication failed: scheme ticket knows no such client"


def test_what_a_provider_raises_is_a_no_and_is_told(complaints):
    world = world_with(Broken(), complaints)
    client, other = world.client(), world.client()
    assert create(other, b"/x", b"ticket", b"ann") == InvalidAclError.code
    assert not ForeignScheme(Broken(), lambda *_: None).matches(b"a", b"a")
    assert show(client, b"ann") == AuthFailedError.code
    assert complaints == [("ticket", KeyError), ("ticket", KeyError)]
