"""A client's session as a pure machine: no sockets, no clock, no randomness of its own.

The shell calls a method for whatever happens and performs the effects that it returns, in order:

    start      begin           opened, lost, receive   the connection asked for by the last Connect
    tick       deadline() has passed                   submit, submit_raw, add_auth, close     what the user wants

A session outlives its connections. When one is lost, requests without an answer fail in their order (nobody knows
whether they were executed), the next server is tried, and identities and watches are restored before anything else is
sent. Requests made meanwhile wait. Only the server can say that a session has expired.
`now` is monotonic seconds. Paths are raw UTF-8.
Source: docs/protocol/client-protocol.md sections 2, 3, 7, 8; data-model.md sections 5, 7, 8.
"""

from collections.abc import Callable, Hashable
from enum import Enum, auto
from functools import partial
from random import Random

from pyzk import errors
from pyzk.client.calls import Call, Identity
from pyzk.client.chroot import Chroot
from pyzk.client.dialogue import Dialogue, Verdict
from pyzk.client.effects import Connect, Disconnect, Effect, Failed, Probe, Send, State, StateChanged
from pyzk.client.hosts import Address, Rotation
from pyzk.codec.framing import FrameBuffer, frame
from pyzk.codec.opcodes import OpCode
from pyzk.codec.record import Record
from pyzk.codec.records import ConnectRequest, ConnectResponse
from pyzk.errors import ConnectionLostError, DecodeError, PyzkError, SessionClosedError
from pyzk.sasl.mechanism import ClientExchange

TIMEOUT_MS_DEFAULT = 10_000
FRAME_BYTES_MAX_DEFAULT = 64 * 1024 * 1024
"""Longest reply accepted. Servers do not limit replies: a multiRead or a long child list may be large."""

BACKLOG_MAX_DEFAULT = 10_000
"""Requests that may wait for a connection; the next one fails at once."""

PROBE_FIRST_S, PROBE_MAX_S = 0.1, 60.0
"""How often a session on a read-only server looks for another one: first wait, doubled up to the last."""

CONNECT_RESPONSE_BYTES_MIN = 36


class _Phase(Enum):
    IDLE = auto()
    WAITING = auto()
    OPENING = auto()
    HANDSHAKE = auto()
    LOGIN = auto()
    ESTABLISHED = auto()
    CLOSING = auto()
    ENDED = auto()


_WITH_CONNECTION = {_Phase.OPENING, _Phase.HANDSHAKE, _Phase.LOGIN, _Phase.ESTABLISHED, _Phase.CLOSING}


class Session:
    """One session with an ensemble.

    Args:
        addresses: the servers.
        rng: for the order of servers and the waits between attempts.
        timeout_ms: session timeout to ask for; `timeout_ms` becomes what the server granted.
        chroot: raw path without a slash at its end, or empty.
        read_only: whether a server without a quorum will do.
        frame_bytes_max: longest reply accepted.
        backlog_max: how many requests may wait for a connection.
        login: begins the SASL exchange with the server on a host; None for no SASL.
    """

    def __init__(
        self,
        addresses: list[Address],
        rng: Random,
        *,
        timeout_ms: int = TIMEOUT_MS_DEFAULT,
        chroot: bytes = b"",
        read_only: bool = False,
        frame_bytes_max: int = FRAME_BYTES_MAX_DEFAULT,
        backlog_max: int = BACKLOG_MAX_DEFAULT,
        login: Callable[[str], ClientExchange] | None = None,
    ) -> None:
        self.state = State.CONNECTING
        self.session_id = 0
        self.password = bytes(16)
        self.timeout_ms = timeout_ms
        self.address: Address | None = None
        self.last_failure = ""
        self.chroot = Chroot(chroot)
        self.read_only = read_only
        self.frame_bytes_max = frame_bytes_max
        self._login = login
        self._requested_timeout_ms = timeout_ms
        self._rotation = Rotation(addresses, rng)
        self._phase = _Phase.IDLE
        self._alarm_at: float | None = None
        self._last_send = self._last_receive = 0.0
        self._probe_at, self._probe_wait_s = 0.0, PROBE_FIRST_S
        self._frames = FrameBuffer(frame_bytes_max)
        # A session given out by a read-only server is unknown to the others: it is never shown to them.
        self._seen_writable = self._read_only_here = False
        self._effects: list[Effect] = []
        self._dialogue = Dialogue(self._effects, self.chroot, frame_bytes_max, backlog_max)
        self.watches = self._dialogue.watches
        self.progress = self._dialogue.progress

    # What the user wants

    def start(self, now: float) -> list[Effect]:
        """Begin; nothing happens before."""
        assert self._phase is _Phase.IDLE
        self._open(now)
        return self._take()

    def submit(
        self, token: object, opcode: OpCode, record: Record, now: float, watcher: Hashable = None
    ) -> list[Effect]:
        """Send a request. Its token comes back once: Answered with the decoded reply, or Failed.

        A request that leaves a watch (`watch` true, addWatch) has it registered for `watcher` if it succeeds.
        """
        record = self.chroot.request(opcode, record)
        return self._submit(Call(opcode, record.encode(), token, record, watcher), now)

    def submit_raw(self, token: object, opcode: int, body: bytes, now: float) -> list[Effect]:
        """Send bytes behind a header of our own. Its token comes back once: RawAnswered, or Failed if no reply came.

        Nothing is looked into: no chroot, no watch is remembered.
        """
        return self._submit(Call(opcode, body, token), now)

    def add_auth(self, token: object, scheme: bytes, auth: bytes, now: float) -> list[Effect]:
        """Add an identity, now and on every later connection, until the server refuses it."""
        if self._refuse(token):
            return self._take()
        identity = Identity(scheme, auth, token)
        self._dialogue.add_identity(identity)
        if self._phase is _Phase.ESTABLISHED:
            self._dialogue.send_identity(identity)
            self._last_send = now
        return self._take()

    def withdraw(self, token: object) -> None:
        """Do not send the request with this token if it still waits for a connection; it is never answered then."""
        self._dialogue.withdraw(token)

    def close(self, now: float) -> list[Effect]:
        """End the session, behind the replies to what was sent before. StateChanged(CLOSED) tells the end."""
        if self._phase is _Phase.ESTABLISHED:
            self._send(Call(OpCode.CLOSE_SESSION, b"", own=True), now)
            self._phase = _Phase.CLOSING
            self._alarm_at = now + self.timeout_ms / 3000
        elif self._phase not in {_Phase.CLOSING, _Phase.ENDED}:
            # Without a connection nobody can be told: the session expires by itself.
            self._end(State.CLOSED, SessionClosedError("the session was closed"))
        return self._take()

    # What happens

    def deadline(self) -> float | None:
        """When to call `tick`, or None."""
        if self._phase is not _Phase.ESTABLISHED:
            return self._alarm_at
        due = min(self._silence_ends_at(), self._ping_at())
        return min(due, self._probe_at) if self.state is State.CONNECTED_READ_ONLY else due

    def opened(self, now: float) -> list[Effect]:
        """The connection is open."""
        assert self._phase is _Phase.OPENING
        self._phase = _Phase.HANDSHAKE
        self._last_send = self._last_receive = now
        session_id, password = (self.session_id, self.password) if self._seen_writable else (0, bytes(16))
        request = ConnectRequest(
            0, self.progress.seen, self._requested_timeout_ms, session_id, password, self.read_only
        )
        self._effects.append(Send(frame(request.encode())))
        return self._take()

    def lost(self, now: float, reason: str = "the connection ended") -> list[Effect]:
        """The connection could not be opened, or has ended."""
        self._disconnected(reason, now)
        return self._take()

    def receive(self, data: bytes, now: float) -> list[Effect]:
        """Bytes have come."""
        self._last_receive = now
        try:
            for body in self._frames.feed(data):
                if self._phase is _Phase.HANDSHAKE:
                    self._welcome(body, now)
                elif self._phase in {_Phase.LOGIN, _Phase.ESTABLISHED, _Phase.CLOSING}:
                    self._act(self._dialogue.receive(body), now)
        except DecodeError as error:
            self._drop(f"not understood: {error}", now)
        return self._take()

    def tick(self, now: float) -> list[Effect]:
        """Time has passed; does nothing before `deadline`."""
        if self._phase is _Phase.ESTABLISHED:
            self._keep_alive(now)
        elif self._alarm_at is not None and now >= self._alarm_at:
            if self._phase is _Phase.WAITING:
                self._open(now)
            else:
                self._drop("no answer in time", now)
        return self._take()

    def found_writable(self, address: Address, now: float) -> list[Effect]:
        """The answer to a Probe: this server serves writes."""
        if self.state is State.CONNECTED_READ_ONLY:
            self._rotation.prefer(address)
            self._drop("found a server that serves writes", now)
        return self._take()

    # Connections

    def _open(self, now: float) -> None:
        self._phase = _Phase.OPENING
        self.address = self._rotation.take()
        self._alarm_at = now + self.timeout_ms / 1000 / len(self._rotation)
        self._effects.append(Connect(self.address))

    def _welcome(self, body: bytes, now: float) -> None:
        if len(body) < CONNECT_RESPONSE_BYTES_MIN:
            # A read-only server that gives out no sessions answers with a bare reply header and waits.
            self._drop("the server gives out no sessions", now)
            return
        response = ConnectResponse.from_bytes(body)
        if response.timeout_ms > 0:
            self._establish(response, now)
        elif self._seen_writable:
            self._end(State.EXPIRED, errors.SessionExpiredError("the session has expired"))
        else:
            self._drop("the server refused a new session", now)

    def _establish(self, response: ConnectResponse, now: float) -> None:
        self.session_id, self.password = response.session_id, response.password or b""
        self.timeout_ms = response.timeout_ms
        self._seen_writable = self._seen_writable or not response.read_only
        self._rotation.succeeded()
        self._read_only_here = bool(response.read_only)
        if self._login is None:
            self._go_on(now)
            return
        self._phase = _Phase.LOGIN
        assert self.address is not None
        host, _ = self.address
        self._act(self._dialogue.log_in(partial(self._login, host)), now)

    def _go_on(self, now: float) -> None:
        """The session has its connection, and the server knows who we are."""
        self._phase, self._alarm_at = _Phase.ESTABLISHED, None
        self._probe_at, self._probe_wait_s = now + PROBE_FIRST_S, PROBE_FIRST_S
        self._dialogue.restore()
        self._enter(State.CONNECTED_READ_ONLY if self._read_only_here else State.CONNECTED)
        self._dialogue.tell_reconnected()
        self._dialogue.send_backlog()
        self._last_send = now

    def _act(self, verdict: Verdict | None, now: float) -> None:
        if verdict is Verdict.LOGGED_IN:
            self._go_on(now)
        elif verdict is Verdict.LOGIN_FAILED:
            self._end(State.AUTH_FAILED, errors.AuthFailedError(self._dialogue.login_failure))
        elif verdict is Verdict.CLOSED:
            self._end(State.CLOSED, SessionClosedError("the session was closed"))
        elif verdict is Verdict.IDENTITY_REFUSED:
            # The server hangs up after a refusal: what is sent into that connection would be lost.
            self._drop("the credentials were refused", now)
        elif verdict is Verdict.IDENTITY_LOST:
            # It was good once: going on without it would make later requests fail one by one with NOAUTH.
            self._end(State.AUTH_FAILED, errors.AuthFailedError("the credentials are refused by now"))

    def _drop(self, reason: str, now: float) -> None:
        self._effects.append(Disconnect(reason))
        self._disconnected(reason, now)

    def _disconnected(self, reason: str, now: float) -> None:
        assert self._phase in _WITH_CONNECTION
        closing = self._phase is _Phase.CLOSING
        self._phase = _Phase.WAITING
        self._frames = FrameBuffer(self.frame_bytes_max)
        self.last_failure = f"{self._place()}: {reason}"
        self._dialogue.interrupt(ConnectionLostError(self.last_failure))
        if closing:
            self._end(State.CLOSED, SessionClosedError("the session was closed"))
            return
        self._alarm_at = now + self._rotation.wait_s()
        if self.state is not State.CONNECTING:
            self._enter(State.CONNECTING)

    def _place(self) -> str:
        assert self.address is not None
        return f"{self.address[0]}:{self.address[1]}"

    def _end(self, state: State, error: PyzkError) -> None:
        if self._phase in _WITH_CONNECTION:
            self._effects.append(Disconnect(str(error)))
        self._phase, self._alarm_at = _Phase.ENDED, None
        if state is State.AUTH_FAILED:
            self.last_failure = str(error)
        self._enter(state)
        self._dialogue.end(error)

    def _enter(self, state: State) -> None:
        self.state = state
        self._effects.append(StateChanged(state))

    # Keeping it alive

    def _silence_ends_at(self) -> float:
        return self._last_receive + self.timeout_ms * 2 / 3000

    def _ping_at(self) -> float:
        return self._last_send + self.timeout_ms / 3000

    def _keep_alive(self, now: float) -> None:
        if now >= self._silence_ends_at():
            self._drop("nothing heard for two thirds of the session timeout", now)
            return
        if now >= self._ping_at():
            self._send(Call(OpCode.PING, b"", own=True), now)
        if self.state is State.CONNECTED_READ_ONLY and now >= self._probe_at:
            self._probe_others(now)

    def _probe_others(self, now: float) -> None:
        assert self.address is not None
        self._effects.extend(Probe(address) for address in self._rotation.others(self.address))
        self._probe_wait_s = min(2 * self._probe_wait_s, PROBE_MAX_S)
        self._probe_at = now + self._probe_wait_s

    # Requests

    def _submit(self, call: Call, now: float) -> list[Effect]:
        if self._phase is _Phase.ESTABLISHED:
            self._send(call, now)
        elif not self._refuse(call.token):
            self._dialogue.wait(call)
        return self._take()

    def _refuse(self, token: object) -> bool:
        if self.state is State.EXPIRED:
            self._effects.append(Failed(token, errors.SessionExpiredError("the session has expired")))
        elif self.state is State.AUTH_FAILED:
            self._effects.append(Failed(token, errors.AuthFailedError("the credentials were refused")))
        elif self._phase in {_Phase.CLOSING, _Phase.ENDED}:
            self._effects.append(Failed(token, SessionClosedError("the session was closed")))
        else:
            return False
        return True

    def _send(self, call: Call, now: float) -> None:
        self._dialogue.send(call)
        self._last_send = now

    def _take(self) -> list[Effect]:
        effects = self._effects.copy()
        self._effects.clear()
        return effects
