"""What tests of the tree share: a leader that prepares and applies, and short words for requests and questions."""

from dataclasses import dataclass, field

from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import OpCode
from pyzk.codec.record import Record
from pyzk.codec.records import ACL, Stat, open_acl
from pyzk.codec.requests import (
    CreateRequest,
    CreateSessionRequest,
    CreateTTLRequest,
    EmptyRequest,
    MultiRequest,
    PathRequest,
    PathVersionRequest,
    SetACLRequest,
    SetDataRequest,
)
from pyzk.codec.txns import DIGEST_VERSION, ErrorTxn, Txn, TxnDigest, TxnHeader
from pyzk.errors import RequestError
from pyzk.tree.acl import AccessControl, Identity
from pyzk.tree.apply import Applied, apply
from pyzk.tree.node import Written, stat_of
from pyzk.tree.overlay import Overlay
from pyzk.tree.prepare import prepare
from pyzk.tree.request import Request, Rules
from pyzk.tree.tree import Tree
from pyzk.tree.walk import load, walk

BOB: Identity = (b"digest", b"bob:hash")
SUPER: Identity = (b"super", b"")
ANYONE: Identity = (b"ip", b"127.0.0.1")

READ_ONLY = [ACL(1, b"world", b"anyone")]
BOBS = [ACL(31, b"digest", b"bob:hash")]


def rules(**settings) -> Rules:
    return Rules(AccessControl(), **settings)


@dataclass
class Outstanding:
    """A txn that is prepared and not yet applied."""

    txn: Txn
    written: list[Written]


@dataclass
class Leader:
    """Prepares requests under rising zxids and applies them in order, as the service does."""

    tree: Tree = field(default_factory=Tree)
    rules: Rules = field(default_factory=lambda: rules(extended_types_enabled=True))
    outstanding: list[Outstanding] = field(default_factory=list)
    time_ms: int = 1_000

    def __post_init__(self) -> None:
        self.overlay = Overlay(self.tree)
        self.zxid = self.tree.last_zxid

    def prepare(self, request: Request) -> Txn:
        """The request's txn, or its error txn. The request comes over the wire, as a real one does."""
        record = type(request.record).from_bytes(request.record.encode())
        request = Request(request.session_id, request.cxid, request.opcode, record, request.identities)
        self.zxid += 1
        self.time_ms += 1
        self.overlay.begin(self.zxid, self.time_ms)
        header = TxnHeader(request.session_id, request.cxid, self.zxid, self.time_ms, request.opcode)
        try:
            record = prepare(self.overlay, self.rules, request)
            txn = Txn(header, record, TxnDigest(DIGEST_VERSION, self.overlay.digest))
        except RequestError as error:
            header.type = OpCode.ERROR
            txn = Txn(header, ErrorTxn(error.code))
        self.outstanding.append(Outstanding(txn, self.overlay.written))
        return txn

    def apply_next(self) -> Applied:
        """Apply the oldest outstanding txn."""
        oldest = self.outstanding.pop(0)
        applied = apply(self.tree, oldest.txn, oldest.written)
        self.overlay.settle(oldest.written)
        return applied

    def apply_all(self) -> list[Applied]:
        return [self.apply_next() for _ in range(len(self.outstanding))]

    def submit(self, opcode: int, record: Record, identities=(), session: int = 1) -> Txn:
        """Prepare, and leave the txn outstanding."""
        return self.prepare(Request(session, 0, opcode, record, identities))

    def do(self, opcode: int, record: Record, identities=(), session: int = 1) -> Applied:
        """Prepare and apply."""
        self.submit(opcode, record, identities, session)
        return self.apply_all()[-1]

    # The requests that nearly every test needs; each returns the error code.

    def create(self, path: bytes, data: bytes | None = b"", flags: int = 0, **options) -> int:
        return self.do(OpCode.CREATE, creating(path, data, flags, options.pop("acl", None)), **options).err

    def create_container(self, path: bytes) -> int:
        return self.do(OpCode.CREATE_CONTAINER, creating(path, flags=4)).err

    def create_ttl(self, path: bytes, ttl_ms: int, flags: int = 5) -> int:
        return self.do(OpCode.CREATE_TTL, CreateTTLRequest(path, b"", open_acl(), flags, ttl_ms)).err

    def delete(self, path: bytes, version: int = -1, **options) -> int:
        return self.do(OpCode.DELETE, PathVersionRequest(path, version), **options).err

    def delete_container(self, path: bytes | None) -> int:
        return self.do(OpCode.DELETE_CONTAINER, PathRequest(path), session=0).err

    def set_data(self, path: bytes, data: bytes | None, version: int = -1, **options) -> int:
        return self.do(OpCode.SET_DATA, SetDataRequest(path, data, version), **options).err

    def set_acl(self, path: bytes, acl: list[ACL] | None, version: int = -1, **options) -> int:
        return self.do(OpCode.SET_ACL, SetACLRequest(path, acl, version), **options).err

    def create_session(self, session: int, timeout_ms: int = 30_000) -> int:
        return self.do(OpCode.CREATE_SESSION, CreateSessionRequest(timeout_ms), session=session).err

    def close_session(self, session: int) -> Applied:
        return self.do(OpCode.CLOSE_SESSION, EmptyRequest(), session=session)

    def multi(self, *ops: tuple[int, Record], **options) -> list[int]:
        """Codes of the results, or the one code of a multi that fails as a whole."""
        applied = self.do(OpCode.MULTI, MultiRequest(list(ops)), **options)
        return [applied.err] if applied.err else [result.err for result in applied.results]


def creating(path: bytes | None, data: bytes | None = b"", flags: int = 0, acl: list[ACL] | None = None):
    """A create request; the ACL is open unless given."""
    return CreateRequest(path, data, open_acl() if acl is None else acl, flags)


def stat(tree: Tree, path: bytes) -> Stat:
    """What a client sees of a znode."""
    return Stat.from_bytes(stat_of(tree.nodes[path]))


def image(tree: Tree) -> bytes:
    """The tree as a snapshot has it."""
    return b"".join(walk(tree))


def reload(tree: Tree) -> Tree:
    """The tree that a snapshot brings back; `finish_load` is not yet called."""
    loaded = load(Reader(image(tree)))
    loaded.last_zxid = tree.last_zxid
    return loaded
