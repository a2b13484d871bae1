"""What is said on the connections of a session: requests and replies, identities, watches, and what still waits.

The session decides when there is a connection; what comes and goes on it is decided here.
Source: docs/protocol/client-protocol.md sections 3, 7, 8; data-model.md sections 5 and 8.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from enum import Enum, auto

from pyzk.client.calls import Call, Identity, Outstanding, request_error
from pyzk.client.chroot import Chroot
from pyzk.client.effects import Answered, Effect, Failed, Notification, Notified, RawAnswered, Send
from pyzk.client.watches import Progress, WatchKind, WatchTable, watch_left
from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import XID_AUTH, XID_NOTIFICATION, XID_SET_WATCHES, EventType, OpCode
from pyzk.codec.records import ReplyHeader, WatcherEvent
from pyzk.codec.replies import REPLIES, SaslReply
from pyzk.codec.requests import AuthRequest, PathTypeRequest, SaslRequest
from pyzk.errors import ConnectionLostError, DecodeError, NoWatcherError, PyzkError, SaslError
from pyzk.sasl.mechanism import ClientExchange

REPLY_HEADER_BYTES = 16
WATCH_GONE = (0, NoWatcherError.code)


class Verdict(Enum):
    """A reply that the session itself must act upon."""

    CLOSED = auto()
    IDENTITY_REFUSED = auto()
    IDENTITY_LOST = auto()
    LOGGED_IN = auto()
    LOGIN_FAILED = auto()


class Dialogue:
    """Appends what is to be done to `effects`.

    Args:
        effects: the session's list.
        chroot: for paths on their way out and in.
        frame_bytes_max: longest string or buffer accepted in a reply.
        backlog_max: how many requests may wait for a connection.

    Attributes:
        login_failure: why the last SASL exchange has failed.
    """

    def __init__(self, effects: list[Effect], chroot: Chroot, frame_bytes_max: int, backlog_max: int) -> None:
        self.watches = WatchTable()
        self.progress = Progress()
        self.chroot = chroot
        self.frame_bytes_max = frame_bytes_max
        self.backlog_max = backlog_max
        self._effects = effects
        self._outstanding = Outstanding()
        self._backlog: deque[Call] = deque()
        self._identities: list[Identity] = []
        self._exchange: ClientExchange | None = None
        self.login_failure = ""

    # Outward

    def send(self, call: Call) -> None:
        """Send now."""
        self._effects.append(Send(self._outstanding.add(call)))

    def wait(self, call: Call) -> None:
        """Keep until there is a connection; fails at once when too many do."""
        if len(self._backlog) < self.backlog_max:
            self._backlog.append(call)
        else:
            error = ConnectionLostError(f"not connected, and {self.backlog_max} requests wait (backlog_max)")
            self._effects.append(Failed(call.token, error))

    def withdraw(self, token: object) -> None:
        """Forget a request that waits."""
        self._backlog = deque(call for call in self._backlog if call.token != token)

    def send_backlog(self) -> None:
        """Send what has waited."""
        while self._backlog:
            self.send(self._backlog.popleft())

    def add_identity(self, identity: Identity) -> None:
        """Remember credentials for every connection to come."""
        self._identities.append(identity)

    def send_identity(self, identity: Identity) -> None:
        """Authenticate on the present connection."""
        body = AuthRequest(0, identity.scheme, identity.auth).encode()
        self.send(Call(OpCode.AUTH, body, identity=identity, own=True, xid=XID_AUTH))

    def log_in(self, login: Callable[[], ClientExchange]) -> Verdict | None:
        """Begin a SASL exchange on the present connection."""
        try:
            self._exchange = login()
            self._send_token(self._exchange.start())
        except SaslError as error:
            self.login_failure = str(error)
            return Verdict.LOGIN_FAILED
        return None

    def _send_token(self, token: bytes) -> None:
        self.send(Call(OpCode.SASL, SaslRequest(token).encode(), own=True))

    def restore(self) -> None:
        """Give a new connection what the last one had: identities first, because watches may need them."""
        for identity in self._identities:
            self.send_identity(identity)
        for opcode, record in self.watches.restore(self.progress.complete):
            self.progress.restoring()
            self.send(Call(opcode, record.encode(), own=True, xid=XID_SET_WATCHES))

    # Ends

    def interrupt(self, error: PyzkError) -> None:
        """The connection is lost: nobody knows what became of the requests without a reply."""
        self.progress.disconnected()
        self._fail(self._outstanding.take_all(), error)

    def end(self, error: PyzkError) -> None:
        """The session has ended: everything fails."""
        self._fail(self._outstanding.take_all(), error)
        self._fail((Call(OpCode.AUTH, b"", entry.token) for entry in self._identities if not entry.accepted), error)
        self._identities.clear()
        self._fail(self._backlog, error)
        self._backlog.clear()
        self.tell_session_news(self.watches.watchers())
        self.watches.clear()

    def _fail(self, calls: Iterable[Call], error: PyzkError) -> None:
        # One exception each: they are raised in different places, and each collects a traceback of its own.
        self._effects.extend(Failed(call.token, type(error)(*error.args)) for call in calls if not call.own)

    # Inward

    def receive(self, body: bytes) -> Verdict | None:
        """A frame behind the handshake. Raises DecodeError for one that does not belong here."""
        reader = Reader(body, string_max=self.frame_bytes_max)
        header = ReplyHeader.decode(reader)
        if header.xid == XID_NOTIFICATION:
            self._notify(header, WatcherEvent.decode(reader))
            return None
        call = self._outstanding.match(header)
        if call.identity is not None:
            return self._authenticated(call.identity, header)
        if call.own:
            return self._own_answered(call, header, reader)
        self.progress.reply(header.zxid)
        self._answer(call, header, reader)
        return None

    def _own_answered(self, call: Call, header: ReplyHeader, reader: Reader) -> Verdict | None:
        if call.opcode == OpCode.SASL:
            return self._token_answered(header, reader)
        if call.xid == XID_SET_WATCHES:
            self.progress.restored(header.zxid)
        return Verdict.CLOSED if call.opcode == OpCode.CLOSE_SESSION else None

    def _token_answered(self, header: ReplyHeader, reader: Reader) -> Verdict | None:
        assert self._exchange is not None
        if header.err:
            self.login_failure = str(request_error(header.err, "the server refused the SASL login"))
            return Verdict.LOGIN_FAILED
        try:
            token = self._exchange.respond(SaslReply.decode(reader).token)
        except SaslError as error:
            self.login_failure = str(error)
            return Verdict.LOGIN_FAILED
        if token is not None:
            self._send_token(token)
        return Verdict.LOGGED_IN if self._exchange.is_complete and token is None else None

    def _authenticated(self, identity: Identity, header: ReplyHeader) -> Verdict | None:
        if header.err and identity.accepted:
            return Verdict.IDENTITY_LOST
        if header.err:
            self._identities.remove(identity)
            self._effects.append(Failed(identity.token, request_error(header.err, "add_auth")))
            return Verdict.IDENTITY_REFUSED
        if not identity.accepted:
            identity.accepted = True
            self._forget_older(identity)
            self._effects.append(Answered(identity.token, header, REPLIES[OpCode.AUTH]()))
        return None

    def _forget_older(self, identity: Identity) -> None:
        """Credentials that are added again and again are sent once."""
        same = (identity.scheme, identity.auth, True)
        self._identities = [
            other
            for other in self._identities
            if other is identity or (other.scheme, other.auth, other.accepted) != same
        ]

    def _answer(self, call: Call, header: ReplyHeader, reader: Reader) -> None:
        if call.record is None:
            self._effects.append(RawAnswered(call.token, header, reader.source[REPLY_HEADER_BYTES:]))
            return
        path: bytes = getattr(call.record, "path", None) or b""
        self._note_watch(call, path, header.err)
        if header.err:
            what = f"{OpCode(call.opcode).name.lower()} {self.chroot.strip(path).decode(errors='replace')}"
            self._effects.append(Failed(call.token, request_error(header.err, what.rstrip())))
            return
        try:
            reply = REPLIES[call.opcode].decode(reader)
        except DecodeError as error:
            self._effects.append(Failed(call.token, error))
            raise
        self._effects.append(Answered(call.token, header, self.chroot.reply(reply)))

    # Watches

    def _note_watch(self, call: Call, path: bytes, err: int) -> None:
        kind = watch_left(call.opcode, call.record, err)
        if kind is not None:
            self.watches.add(kind, path, call.watcher)
        # Without a watcher on the server ours has gone unnoticed: its event was kept from us by an ACL.
        elif isinstance(call.record, PathTypeRequest) and call.opcode == OpCode.REMOVE_WATCHES and err in WATCH_GONE:
            for event, watchers in self.watches.remove(path, call.record.type):
                self._effects.append(Notified(Notification(event, self.chroot.strip(path), -1), watchers))

    def _notify(self, header: ReplyHeader, event: WatcherEvent) -> None:
        if event.path is None or not EventType.NODE_CREATED <= event.type <= EventType.NODE_CHILDREN_CHANGED:
            raise DecodeError(f"watch event of type {event.type}")
        self.progress.event(header.zxid)
        kind = EventType(event.type)
        watchers = self.watches.fire(kind, event.path)
        self._effects.append(Notified(Notification(kind, self.chroot.strip(event.path), header.zxid), watchers))

    def tell_reconnected(self) -> None:
        """What persistent watches have missed is not reported by the server: their watchers must look themselves."""
        self.tell_session_news(self.watches.watchers(WatchKind.PERSISTENT, WatchKind.RECURSIVE))

    def tell_session_news(self, watchers: tuple[Hashable, ...]) -> None:
        """An event of type NONE: the session has come back, or has ended."""
        if watchers:
            self._effects.append(Notified(Notification(EventType.NONE, b"", -1), watchers))
