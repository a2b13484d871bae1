"""Runs a session against the fake ensemble; the test decides what happens when."""

from random import Random

from pyzk.client.effects import (
    Answered,
    Connect,
    Disconnect,
    Failed,
    Notified,
    RawAnswered,
    Send,
    StateChanged,
)
from pyzk.client.session import Session
from tests.client.fake import FakeEnsemble

ADDRESSES = [("one", 1), ("two", 2), ("three", 3)]


class Harness:
    """`results` has what became of each token, `events` what watchers were told, `log` all effects but Send."""

    def __init__(self, ensemble=None, addresses=ADDRESSES, seed=1, **options):
        self.ensemble = ensemble or FakeEnsemble()
        self.session = Session(addresses, Random(seed), **options)
        self.now = 0.0
        self.connection = None
        self.wanted = None
        self.to_server = b""
        self.log = []
        self.results = {}
        self.events = []
        self.perform(self.session.start(self.now))

    @property
    def states(self):
        return [effect.state for effect in self.log if isinstance(effect, StateChanged)]

    def perform(self, effects):
        for effect in effects:
            if isinstance(effect, Send):
                self.to_server += effect.data
            else:
                self.log.append(effect)
                self._note(effect)

    def _note(self, effect):
        match effect:
            case Connect(address):
                self.wanted = address
            case Disconnect():
                self._forget_connection()
            case Answered(token, _, reply):
                self.settle(token, reply)
            case RawAnswered(token, header, body):
                self.settle(token, (header, body))
            case Failed(token, error):
                self.settle(token, error)
            case Notified(notification, watchers):
                self.events.append((notification, watchers))

    def settle(self, token, result):
        assert token not in self.results, "every token comes back once"
        self.results[token] = result

    def _forget_connection(self):
        if self.connection is not None and self.connection.open:
            self.connection.hang_up()
        self.connection, self.wanted, self.to_server = None, None, b""

    # What the test lets happen

    def accept(self):
        """The connection that was asked for is opened; nothing is delivered yet."""
        assert self.wanted is not None
        self.wanted = None
        self.connection = self.ensemble.connect()
        self.perform(self.session.opened(self.now))

    def deliver_requests(self):
        data, self.to_server = self.to_server, b""
        self.connection.receive(data)

    def deliver_replies(self, count=None):
        """The first `count` bytes of what the server has sent, or all."""
        connection = self.connection
        data = connection.output[:count]
        connection.output = connection.output[len(data) :]
        self.perform(self.session.receive(data, self.now))
        if connection is self.connection and not connection.open and not connection.output:
            self.lose()

    def pump(self):
        """Deliver until nothing is on its way."""
        while self.connection is not None and (self.to_server or self.connection.output or not self.connection.open):
            self.deliver_requests()
            self.deliver_replies()

    def connect(self):
        """Wait for the next attempt, accept it, deliver everything."""
        while self.wanted is None:
            self.wait_for_deadline()
        self.accept()
        self.pump()

    def lose(self):
        self._forget_connection()
        self.perform(self.session.lost(self.now))

    def wait_for_deadline(self):
        self.now = max(self.now, self.session.deadline())
        self.perform(self.session.tick(self.now))

    def submit(self, token, opcode, record, watcher=None):
        self.perform(self.session.submit(token, opcode, record, self.now, watcher))

    def ask(self, opcode, record, watcher=None):
        """Submit, deliver, and return what came."""
        token = ("ask", len(self.results))
        self.submit(token, opcode, record, watcher)
        self.pump()
        return self.results[token]
