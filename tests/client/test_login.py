"""A session that logs in by SASL on each of its connections."""

import threading
from typing import ClassVar

import pytest

from pyzk import errors
from pyzk.client.aio import Client
from pyzk.client.aio_login import KerberosLogin
from pyzk.client.effects import State
from pyzk.codec.opcodes import OpCode
from pyzk.codec.replies import DataReply
from pyzk.codec.requests import PathWatchRequest
from pyzk.errors import SaslError
from pyzk.sasl.digest_md5 import DigestClient
from tests.client.fake import FakeEnsemble
from tests.client.harness import Harness
from tests.server.shell import running

ROOT = PathWatchRequest(b"/", watch=False)


def harness_with(passwords, password="secret"):
    ensemble = FakeEnsemble()
    ensemble.passwords = passwords
    return Harness(ensemble, login=lambda _: DigestClient("bob", password, "nonce"))


def opcodes(harness):
    return [opcode for _, opcode, _ in harness.connection.requests]


def test_nothing_is_sent_before_the_server_knows_who_we_are():
    harness = harness_with({"bob": "secret"})
    harness.submit("read", OpCode.GET_DATA, ROOT)
    harness.connect()
    assert harness.session.state is State.CONNECTED
    assert harness.connection.exchange.identity == "bob"
    assert opcodes(harness)[:2] == [OpCode.SASL, OpCode.SASL]
    harness.pump()
    assert isinstance(harness.results["read"], DataReply)


def test_each_connection_is_logged_in_on():
    harness = harness_with({"bob": "secret"})
    harness.connect()
    first = harness.connection
    harness.lose()
    harness.wait_for_deadline()
    harness.connect()
    assert harness.connection is not first
    assert harness.connection.exchange.identity == "bob"


class Slow(DigestClient):
    """Waits for somebody before it can begin."""

    began: ClassVar[list[str]] = []

    def prepare(self):
        self.began.append(threading.current_thread().name)


async def test_the_kdc_is_asked_beside_the_loop_and_before_the_server_is_dialed():
    Slow.began.clear()
    login = KerberosLogin(lambda _: Slow("bob", "secret", "nonce"))
    async with running(sasl_users={"bob": "secret"}) as server, Client(f"127.0.0.1:{server.port}", login=login):
        (name,) = Slow.began
        assert name != threading.current_thread().name
    assert login("127.0.0.1") is not login("127.0.0.1"), "what was prepared is used once"


@pytest.mark.parametrize(
    ("passwords", "reason"), [({"bob": "another"}, "the server refused the SASL login"), (None, "offers no SASL")]
)
def test_a_session_ends_when_its_login_fails(passwords, reason):
    harness = harness_with(passwords)
    harness.submit("read", OpCode.GET_DATA, ROOT)
    harness.connect()
    assert harness.session.state is State.AUTH_FAILED
    assert reason in harness.session.last_failure
    assert isinstance(harness.results["read"], errors.AuthFailedError)


def test_a_session_ends_when_its_login_cannot_begin():
    class Broken:
        is_complete = False

        def start(self):
            raise SaslError("no ticket")

    harness = Harness(login=lambda _: Broken())
    harness.connect()
    assert harness.session.state is State.AUTH_FAILED
    assert harness.session.last_failure == "no ticket"


def test_a_login_that_is_not_answered_is_given_up_in_time():
    harness = harness_with({"bob": "secret"})
    harness.accept()
    harness.deliver_requests()
    harness.connection.mute = True
    harness.deliver_replies()
    harness.deliver_requests()
    assert harness.session.deadline() is not None
    harness.wait_for_deadline()
    assert "no answer in time" in harness.session.last_failure
    assert harness.session.state is State.CONNECTING


def test_a_session_can_be_closed_while_it_logs_in():
    harness = harness_with({"bob": "secret"})
    harness.accept()
    harness.deliver_requests()
    harness.deliver_replies()
    harness.perform(harness.session.close(harness.now))
    assert harness.session.state is State.CLOSED
