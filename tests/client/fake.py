"""A small server, without time or sockets, for tests of the client: real records, no ACLs, no checks of paths.

`FakeEnsemble` is the state that all its servers share; a `FakeConnection` is one connection of one client.
What a connection wants to send lies in `output` until the test delivers it.
"""

from dataclasses import dataclass, field

from pyzk.codec.framing import FrameBuffer, frame
from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import XID_NOTIFICATION, XID_PING, EventType, OpCode
from pyzk.codec.record import Record
from pyzk.codec.records import ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader, Stat, WatcherEvent
from pyzk.codec.replies import (
    Children2Reply,
    ChildrenReply,
    DataReply,
    EmptyReply,
    ErrorReply,
    PathReply,
    PathStatReply,
    SaslReply,
    StatReply,
)
from pyzk.codec.requests import REQUESTS
from pyzk.errors import (
    AuthFailedError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    NoWatcherError,
    RequestError,
    SaslError,
    UnimplementedError,
)
from pyzk.sasl.digest_md5 import DigestServer


def parent_of(path: bytes) -> bytes:
    return path[: path.rfind(b"/")] or b"/"


@dataclass
class Node:
    data: bytes | None
    czxid: int
    mzxid: int
    pzxid: int
    version: int = 0
    owner: int = 0
    children: dict[bytes, None] = field(default_factory=dict)

    def stat(self) -> Stat:
        size = len(self.data or b"")
        return Stat(self.czxid, self.mzxid, 0, 0, self.version, 0, 0, self.owner, size, len(self.children), self.pzxid)


class FakeEnsemble:
    """`passwords` are those of its users of SASL; None: it offers none."""

    passwords: dict[str, str] | None = None

    def __init__(self, timeout_ms=10_000, read_only=False):
        self.timeout_ms = timeout_ms
        self.read_only = read_only
        self.zxid = 0x100
        self.nodes = {b"/": Node(b"", 0, 0, 0)}
        self.sessions = {}
        self.connections = []
        self.handshakes = []

    def connect(self):
        connection = FakeConnection(self)
        self.connections.append(connection)
        return connection

    def open_session(self, request):
        """The session's id; None when it is not known."""
        if request.session_id == 0:
            self.zxid += 1
            session_id = 0x1000 + self.zxid
            self.sessions[session_id] = request.timeout_ms
            return session_id
        return request.session_id if request.session_id in self.sessions else None

    def expire(self, session_id):
        del self.sessions[session_id]
        self.zxid += 1
        for path in [path for path, node in self.nodes.items() if node.owner == session_id]:
            self.delete(path)
        for connection in list(self.connections):
            if connection.session_id == session_id:
                connection.hang_up()

    # Changes, each of which may be one of several of a txn: the caller raises zxid.

    def create(self, path, data=b"", owner=0):
        if path in self.nodes:
            raise NodeExistsError
        parent = self.nodes.get(parent_of(path))
        if parent is None:
            raise NoNodeError
        self.nodes[path] = Node(data, self.zxid, self.zxid, self.zxid, owner=owner)
        parent.children[path[path.rfind(b"/") + 1 :]] = None
        parent.pzxid = self.zxid
        self.fire("data", path, EventType.NODE_CREATED)
        self.fire("child", parent_of(path), EventType.NODE_CHILDREN_CHANGED)

    def delete(self, path):
        node = self.nodes.get(path)
        if node is None:
            raise NoNodeError
        if node.children:
            raise NotEmptyError
        del self.nodes[path]
        parent = self.nodes[parent_of(path)]
        del parent.children[path[path.rfind(b"/") + 1 :]]
        parent.pzxid = self.zxid
        told = self.fire("data", path, EventType.NODE_DELETED)
        self.fire("child", path, EventType.NODE_DELETED, told)
        self.fire("child", parent_of(path), EventType.NODE_CHILDREN_CHANGED)

    def set_data(self, path, data):
        node = self.nodes.get(path)
        if node is None:
            raise NoNodeError
        node.data, node.mzxid, node.version = data, self.zxid, node.version + 1
        self.fire("data", path, EventType.NODE_DATA_CHANGED)
        return node.stat()

    def fire(self, table, path, event, but=()):
        told = [connection for connection in self.connections if connection.watched(table, path)]
        for connection in told:
            if connection not in but:
                connection.notify(event, path, self.zxid)
        return told


class FakeConnection:
    def __init__(self, ensemble):
        self.ensemble = ensemble
        self.session_id = None
        self.output = b""
        self.open = True
        self.requests = []
        self.identities = []
        self.mute = False
        self.exchange = None
        self._frames = FrameBuffer(None)
        self._one_shot = {"data": {}, "child": {}}
        self._persistent = {}
        self._recursive = {}

    def hang_up(self):
        self.open = False
        self.ensemble.connections.remove(self)

    # Watches

    def watched(self, table, path):
        one_shot = path in self._one_shot[table]
        self._one_shot[table].pop(path, None)
        persistent = path in self._persistent
        recursive = table == "data" and any(
            path == root or path.startswith(root.rstrip(b"/") + b"/") for root in self._recursive
        )
        return one_shot or persistent or recursive

    def has_watch(self, table, path):
        return path in self._one_shot[table]

    def notify(self, event, path, zxid):
        self.send(ReplyHeader(XID_NOTIFICATION, zxid, 0).encode() + WatcherEvent(event, 3, path).encode())

    # Frames

    def send(self, body):
        self.output += frame(body)

    def receive(self, data):
        for body in self._frames.feed(data):
            if self.session_id is None:
                self._shake_hands(ConnectRequest.from_bytes(body))
            elif self.open and not self.mute:
                self._serve(body)

    def _shake_hands(self, request):
        ensemble = self.ensemble
        ensemble.handshakes.append(request)
        if request.last_zxid_seen > ensemble.zxid:
            self.hang_up()
            return
        self.session_id = ensemble.open_session(request)
        if self.session_id is None:
            self.send(ConnectResponse(0, 0, 0, bytes(16), read_only=False).encode())
            self.hang_up()
            return
        password = self.session_id.to_bytes(16)
        timeout_ms = min(request.timeout_ms, ensemble.timeout_ms)
        self.send(ConnectResponse(0, timeout_ms, self.session_id, password, ensemble.read_only).encode())

    def _serve(self, body):
        header = RequestHeader.from_bytes(body)
        kind = REQUESTS.get(header.type)
        if kind is None or header.type not in HANDLERS:
            self._answer(header.xid, -1, UnimplementedError.code)
            self.hang_up()
            return
        request = kind.decode(Reader(body, 8))
        self.requests.append((header.xid, OpCode(header.type), request))
        try:
            reply = HANDLERS[header.type](self, request)
        except RequestError as error:
            self._answer(header.xid, self.ensemble.zxid, error.code)
            return
        self._finish(header, reply)

    def _finish(self, header, reply):
        if header.type == OpCode.AUTH:
            self._answer(header.xid, 0, reply)
        elif header.type == OpCode.SASL:
            self._answer(header.xid, 0, 0, reply)
        else:
            xid = XID_PING if header.type == OpCode.PING else header.xid
            self._answer(xid, self.ensemble.zxid, 0, reply)
        if header.type == OpCode.CLOSE_SESSION or (header.type == OpCode.AUTH and reply):
            self.hang_up()

    def _answer(self, xid, zxid, err, reply=None):
        body = reply.encode() if isinstance(reply, Record) else b""
        self.send(ReplyHeader(xid, zxid, err).encode() + body)

    # One handler an opcode

    def _node(self, path):
        node = self.ensemble.nodes.get(path)
        if node is None:
            raise NoNodeError
        return node

    def _create(self, request):
        self.ensemble.zxid += 1
        self.ensemble.create(request.path, request.data, self.session_id if request.flags == 1 else 0)
        return PathReply(request.path)

    def _create2(self, request):
        self._create(request)
        return PathStatReply(request.path, self._node(request.path).stat())

    def _delete(self, request):
        self.ensemble.zxid += 1
        self.ensemble.delete(request.path)
        return EmptyReply()

    def _set_data(self, request):
        self.ensemble.zxid += 1
        return StatReply(self.ensemble.set_data(request.path, request.data))

    def _exists(self, request):
        if request.watch:
            self._one_shot["data"][request.path] = None
        return StatReply(self._node(request.path).stat())

    def _get_data(self, request):
        node = self._node(request.path)
        if request.watch:
            self._one_shot["data"][request.path] = None
        return DataReply(node.data, node.stat())

    def _get_children(self, request):
        node = self._node(request.path)
        if request.watch:
            self._one_shot["child"][request.path] = None
        return ChildrenReply(list(node.children))

    def _get_children2(self, request):
        names = self._get_children(request).children
        return Children2Reply(names, self._node(request.path).stat())

    def _sync(self, request):
        return PathReply(request.path)

    def _nothing(self, _):
        return EmptyReply()

    def _auth(self, request):
        self.identities.append((request.scheme, request.auth))
        return AuthFailedError.code if request.auth == b"bad" else 0

    def _sasl(self, request):
        if self.ensemble.passwords is None:
            return SaslReply(None)
        self.exchange = self.exchange or DigestServer(self.ensemble.passwords.get, "nonce")
        try:
            return SaslReply(self.exchange.respond(request.token))
        except SaslError as error:
            raise AuthFailedError from error

    def _close_session(self, _):
        self.ensemble.zxid += 1
        self.ensemble.sessions.pop(self.session_id, None)
        return EmptyReply()

    def _add_watch(self, request):
        (self._recursive if request.type else self._persistent)[request.path] = None
        return ErrorReply(0)

    def _remove_watches(self, request):
        tables = {
            1: [self._one_shot["child"]],
            2: [self._one_shot["data"]],
            4: [self._persistent],
            5: [self._recursive],
        }
        tables[3] = [table for every in tables.values() for table in every]
        if sum(table.pop(request.path, 1) is None for table in tables[request.type]) == 0:
            raise NoWatcherError
        return EmptyReply()

    def _set_watches(self, request):
        nodes, since = self.ensemble.nodes, request.relative_zxid
        for path in request.data_watches:
            node = nodes.get(path)
            changed = node is not None and node.mzxid > since
            self._catch_up("data", path, EventType.NODE_DATA_CHANGED if changed else None, gone=node is None)
        for path in request.exist_watches:
            self._catch_up("data", path, EventType.NODE_CREATED if path in nodes else None)
        for path in request.child_watches:
            node = nodes.get(path)
            changed = node is not None and node.pzxid > since
            self._catch_up("child", path, EventType.NODE_CHILDREN_CHANGED if changed else None, gone=node is None)
        return EmptyReply()

    def _catch_up(self, table, path, event, *, gone=False):
        if gone or event is not None:
            self.notify(EventType.NODE_DELETED if gone else event, path, -1)
        else:
            self._one_shot[table][path] = None

    def _set_watches2(self, request):
        self._set_watches(request)
        self._persistent |= dict.fromkeys(request.persistent_watches)
        self._recursive |= dict.fromkeys(request.persistent_recursive_watches)
        return EmptyReply()


HANDLERS = {
    OpCode.CREATE: FakeConnection._create,
    OpCode.CREATE2: FakeConnection._create2,
    OpCode.DELETE: FakeConnection._delete,
    OpCode.SET_DATA: FakeConnection._set_data,
    OpCode.EXISTS: FakeConnection._exists,
    OpCode.GET_DATA: FakeConnection._get_data,
    OpCode.GET_CHILDREN: FakeConnection._get_children,
    OpCode.GET_CHILDREN2: FakeConnection._get_children2,
    OpCode.SYNC: FakeConnection._sync,
    OpCode.PING: FakeConnection._nothing,
    OpCode.AUTH: FakeConnection._auth,
    OpCode.SASL: FakeConnection._sasl,
    OpCode.CLOSE_SESSION: FakeConnection._close_session,
    OpCode.ADD_WATCH: FakeConnection._add_watch,
    OpCode.REMOVE_WATCHES: FakeConnection._remove_watches,
    OpCode.SET_WATCHES: FakeConnection._set_watches,
    OpCode.SET_WATCHES2: FakeConnection._set_watches2,
}
