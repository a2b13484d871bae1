"""The frame around Kerberos tickets, without Kerberos."""

import pytest

from pyzk.errors import SaslError
from pyzk.sasl.gssapi import OFFER, KerberosClient, KerberosServer


class FakeContext:
    """Complete after so many steps; signs by a letter in front."""

    def __init__(self, steps=1, answers=True):
        self.left = steps
        self.answers = answers

    @property
    def is_complete(self):
        return self.left == 0

    def step(self, token):
        if token == b"forged":
            raise SaslError("no such ticket")
        self.left -= 1
        return b"step" if self.answers else None

    def wrap(self, message):
        return b"W" + message

    def unwrap(self, token):
        if not token.startswith(b"W"):
            raise SaslError("not signed")
        return token[1:]

    def initiator(self):
        return "bob@REALM"


def test_both_sides_come_to_an_end():
    client, server = KerberosClient(lambda: FakeContext(2)), KerberosServer(FakeContext(1))
    token = client.start()
    assert token == b"step"
    token = server.respond(token)
    assert (token, server.identity) == (b"step", None)
    token = client.respond(token)
    token = server.respond(b"")
    assert token == b"W" + OFFER
    token = client.respond(token)
    assert token == b"W" + OFFER
    assert not client.is_complete
    assert server.respond(token) is None
    assert server.identity == "bob@REALM"
    assert client.respond(None) is None
    assert client.is_complete
    with pytest.raises(SaslError, match="over"):
        server.respond(token)


def test_a_context_that_ends_without_a_word_is_followed_by_the_offer():
    server = KerberosServer(FakeContext(1, answers=False), str.lower)
    assert server.respond(b"ticket") == b"W" + OFFER
    server.respond(b"W" + OFFER + b"alice")
    assert server.identity == "bob@realm", "who the client wants to be instead does not count"


@pytest.mark.parametrize("chosen", [b"W\x02\0\0\0", b"W", b"W\x04\xff\xff\xff", OFFER])
def test_a_layer_that_was_not_offered_is_refused(chosen):
    server = KerberosServer(FakeContext(1, answers=False))
    server.respond(b"ticket")
    with pytest.raises(SaslError):
        server.respond(chosen)
    assert server.identity is None


def test_a_forged_ticket_is_refused():
    server = KerberosServer(FakeContext(2))
    with pytest.raises(SaslError):
        server.respond(b"forged")
    assert server.identity is None


def test_a_ticket_is_asked_for_once_and_beforehand():
    contexts = [FakeContext(1)]
    client = KerberosClient(contexts.pop)
    client.prepare()
    assert contexts == []
    assert client.start() == b"step"


def test_why_there_is_no_ticket_is_told_when_it_is_needed():
    def no_ticket():
        raise SaslError("no ticket")

    client = KerberosClient(no_ticket)
    client.prepare()
    with pytest.raises(SaslError, match="no ticket"):
        client.start()


@pytest.mark.parametrize("offer", [None, b"W\x06\0\xff\xff", b"W", b"\x01\0\0\0"])
def test_a_client_takes_no_layer(offer):
    client = KerberosClient(lambda: FakeContext(1))
    client.start()
    with pytest.raises(SaslError):
        client.respond(offer)
    assert not client.is_complete
