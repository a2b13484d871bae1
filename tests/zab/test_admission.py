"""Servers that prove to each other who they are: both machines, with each other and with hostile ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.codec.election import Hello
from pyzk.codec.peerauth import MAGIC, AuthPacket, Status, read_auth_packet
from pyzk.errors import DecodeError
from pyzk.sasl.digest_md5 import QUORUM_PROTOCOL, QUORUM_SERVER_NAME, DigestClient, DigestServer
from pyzk.sasl.mechanism import TOKEN_BYTES_MAX
from pyzk.zab.admission import PACKETS_MAX, Admission, Applicant, Doorkeeper

PLACE = {"protocol": QUORUM_PROTOCOL, "server_name": QUORUM_SERVER_NAME}
HELLO = Hello(3, [("host", 3888)]).encode(multi_address=False)
FOLLOWERINFO = (11).to_bytes(4, "big") + bytes(20)


def applicant(password: str = "secret") -> Applicant:
    return Applicant(DigestClient("zk", password, "client nonce", **PLACE))


def doorkeeper(*, required: bool = True, hello_first: bool = False) -> Doorkeeper:
    return Doorkeeper(
        lambda: DigestServer({"zk": "secret"}.get, "server nonce", **PLACE), required=required, hello_first=hello_first
    )


def carry(dialer: Admission, dialed: Admission, greeting: bytes = b"") -> None:
    """Carry bytes to and fro until nothing more is said."""
    to_dialed, to_dialer = greeting + dialer.start(), b""
    while to_dialed or to_dialer:
        to_dialer += dialed.receive(to_dialed) if to_dialed else b""
        to_dialed = dialer.receive(to_dialer) if to_dialer else b""
        to_dialer = b""


@pytest.mark.parametrize("required", [False, True])
def test_who_knows_the_password_is_let_in(required: bool) -> None:
    dialer, dialed = applicant(), doorkeeper(required=required)
    carry(dialer, dialed)
    assert (dialer.is_over, dialer.failure) == (True, "")
    assert (dialed.is_over, dialed.failure) == (True, "")


def test_the_hello_goes_to_the_agreement_once_its_sender_is_known() -> None:
    dialed = doorkeeper(hello_first=True)
    dialer = applicant()
    token = dialer.start()
    assert AuthPacket(Status.IN_PROGRESS, b"").encode() == token
    challenge = dialed.receive(HELLO + token)
    assert not dialed.is_over
    assert dialed.rest == b""
    success = dialed.receive(dialer.receive(challenge) + b"what follows")
    assert dialed.rest == HELLO + b"what follows"
    assert dialer.receive(success + b"an answer") == b""
    assert dialer.rest == b"an answer"


@given(st.integers(1, 7), st.booleans())
def test_bytes_may_come_in_any_pieces(size: int, hello_first: bool) -> None:
    dialer, dialed = applicant(), doorkeeper(hello_first=hello_first)
    greeting = HELLO if hello_first else b""
    to_dialed, to_dialer = greeting + dialer.start(), b""
    while to_dialed or to_dialer:
        to_dialer += dialed.receive(to_dialed[:size]) if to_dialed else b""
        to_dialed = to_dialed[size:]
        to_dialed += dialer.receive(to_dialer[:size]) if to_dialer else b""
        to_dialer = to_dialer[size:]
    assert dialer.is_over
    assert dialed.is_over
    assert (dialer.failure, dialed.failure, dialed.rest) == ("", "", greeting)


def test_a_wrong_password_ends_both_sides() -> None:
    dialer, dialed = applicant("wrong"), doorkeeper()
    carry(dialer, dialed)
    assert "has refused our login" in dialer.failure
    assert "or the password is wrong" in dialed.failure
    assert dialed.rest == b""


def test_where_it_is_not_required_a_failed_login_is_let_in_as_by_apache() -> None:
    dialer, dialed = applicant("wrong"), doorkeeper(required=False, hello_first=True)
    carry(dialer, dialed, HELLO)
    assert (dialed.is_over, dialed.failure, dialed.rest) == (True, "", HELLO)


@pytest.mark.parametrize(("hello_first", "first"), [(False, FOLLOWERINFO), (True, HELLO + FOLLOWERINFO)])
def test_who_does_not_authenticate_itself_is_let_in_only_where_it_need_not(*, hello_first: bool, first: bytes) -> None:
    lenient = doorkeeper(required=False, hello_first=hello_first)
    assert lenient.receive(first) == b""
    assert (lenient.is_over, lenient.failure, lenient.rest) == (True, "", first)
    strict = doorkeeper(hello_first=hello_first)
    strict.receive(first)
    assert (strict.failure, strict.rest) == ("it does not authenticate itself", b"")


@pytest.mark.parametrize("required", [False, True])
def test_a_hello_and_an_end_are_told_only_where_nothing_is_required(*, required: bool) -> None:
    dialed = doorkeeper(required=required, hello_first=True)
    dialed.receive(HELLO)
    assert not dialed.is_over
    dialed.ended()
    assert dialed.rest == (b"" if required else HELLO)
    assert bool(dialed.failure) is required


def test_a_hello_that_cannot_be_read_is_for_the_agreement_to_refuse() -> None:
    dialed = doorkeeper(hello_first=True)
    dialed.receive(b"\x80" + bytes(40))
    assert (dialed.is_over, dialed.failure) == (True, "")


@pytest.mark.parametrize(
    "packet",
    [
        MAGIC + b"\0\0\0\7" + b"\0\0\0\0",
        MAGIC + b"\0\0\0\0" + (TOKEN_BYTES_MAX + 1).to_bytes(4, "big"),
        MAGIC + b"\0\0\0\0" + b"\xff\xff\xff\xf0",
        AuthPacket(Status.ERROR, b"").encode(),
    ],
    ids=["status", "long", "negative", "error"],
)
def test_packets_that_must_not_come_end_the_exchange(packet: bytes) -> None:
    dialed = doorkeeper()
    assert dialed.receive(packet) == AuthPacket(Status.ERROR, b"").encode()
    assert dialed.failure
    dialer = applicant()
    dialer.start()
    dialer.receive(packet)
    assert dialer.failure


def test_a_server_that_says_yes_without_proof_is_not_believed() -> None:
    dialer = applicant()
    dialer.start()
    dialer.receive(AuthPacket(Status.SUCCESS, b"").encode())
    assert dialer.failure
    dialer = applicant()
    dialer.start()
    dialer.receive(doorkeeper().receive(AuthPacket(Status.IN_PROGRESS, b"").encode()))
    dialer.receive(AuthPacket(Status.SUCCESS, b"rspauth=" + b"0" * 32).encode())
    assert "does not know the password" in dialer.failure


def test_an_exchange_without_end_is_cut() -> None:
    class Endless:
        identity = None

        def respond(self, _: bytes) -> bytes:
            return b"more"

    dialed = Doorkeeper(Endless, required=True, hello_first=False)
    packet = AuthPacket(Status.IN_PROGRESS, b"").encode()
    for _ in range(PACKETS_MAX):
        dialed.receive(packet)
    assert not dialed.is_over
    dialed.receive(packet)
    assert dialed.failure == "it gives up"


@given(st.binary(), st.booleans(), st.booleans())
def test_no_bytes_open_a_door_that_must_be_opened_by_proof(data: bytes, hello_first: bool, prefix: bool) -> None:
    dialed = doorkeeper(hello_first=hello_first)
    dialed.receive((HELLO if hello_first and prefix else b"") + data)
    dialed.ended()
    assert dialed.failure or hello_first
    # What passes without proof is at most what no hello can begin with.
    assert not dialed.rest.startswith(HELLO)


def test_packets_are_read_when_they_are_complete() -> None:
    encoded = AuthPacket(Status.SUCCESS, b"token").encode()
    assert encoded.hex() == "5f2435013501edcc0000000100000005746f6b656e"
    for size in range(len(encoded)):
        assert read_auth_packet(encoded[:size], 100) is None
    assert read_auth_packet(encoded + b"x", 100) == (AuthPacket(Status.SUCCESS, b"token"), len(encoded))
    assert read_auth_packet(AuthPacket(Status.SUCCESS, None).encode(), 0) == (AuthPacket(Status.SUCCESS, b""), 16)
    with pytest.raises(DecodeError):
        read_auth_packet(b"something else", 100)
