"""The tree once more, as plainly as possible: written from docs/protocol/data-model.md, slow, without a shared line.

Requests are executed at once and in order. Sequential execution is what preparing against outstanding changes must
look like. Quotas are not enforced here: enforcement sees committed usage and has tests of its own.
"""

import copy
import zlib
from dataclasses import dataclass, field
from struct import pack

from pyzk.codec.records import ACL, Stat
from pyzk.codec.requests import CreateRequest, CreateTTLRequest, MultiRequest
from pyzk.tree.request import Request

OK, SYSTEM, INCONSISTENT, MARSHALLING, UNIMPLEMENTED, BAD_ARGUMENTS = 0, -1, -2, -5, -6, -8
NO_NODE, NO_AUTH, BAD_VERSION, NO_CHILDREN_FOR_EPHEMERALS, NODE_EXISTS = -101, -102, -103, -108, -110
NOT_EMPTY, INVALID_ACL = -111, -114

READ, WRITE, CREATE, DELETE, ADMIN = 1, 2, 4, 8, 16
CONTAINER = -(2**63)
TTL_BASE = 0xFF << 56
RESERVED = {"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"}
FORBIDDEN = [(0x0, 0x1F), (0x7F, 0x9F), (0xD800, 0xF8FF), (0xFFF0, 0xFFFF), (0x10000, 0x10FFFF)]


class Refused(Exception):  # noqa: N818
    """A request that fails with a code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class ModelNode:
    """Stored values of a znode."""

    data: bytes | None = b""
    acl: list[ACL] | None = None
    czxid: int = 0
    mzxid: int = 0
    pzxid: int = 0
    ctime: int = 0
    mtime: int = 0
    version: int = 0
    cversion: int = 0
    aversion: int = 0
    owner: int = 0
    children: set[str] = field(default_factory=set)

    @property
    def kind(self) -> str:
        """What removes the znode."""
        if self.owner == 0:
            return "persistent"
        if self.owner == CONTAINER:
            return "container"
        return "ttl" if self.owner % 2**64 >> 56 == 0xFF else "ephemeral"

    def stat(self) -> Stat:
        """What a client sees."""
        return Stat(
            czxid=self.czxid,
            mzxid=self.mzxid,
            ctime=self.ctime,
            mtime=self.mtime,
            version=self.version,
            cversion=2 * self.cversion - len(self.children),
            aversion=self.aversion,
            ephemeral_owner=self.owner if self.kind == "ephemeral" else 0,
            data_length=len(self.data or b""),
            num_children=len(self.children),
            pzxid=self.pzxid,
        )


@dataclass
class Outcome:
    """What a request did: a code, the results of a multi, the final path and the Stat right after."""

    err: int = OK
    path: str = ""
    stat: Stat | None = None
    results: list["Outcome"] = field(default_factory=list)


class Model:
    """The state after some requests; `execute` takes the next one."""

    def __init__(self, *, extended_types_enabled: bool = True) -> None:
        self.extended_types_enabled = extended_types_enabled
        self.nodes = {path: ModelNode() for path in ["/", "/zookeeper", "/zookeeper/quota"]}
        self.nodes["/zookeeper/config"] = ModelNode(acl=[ACL(1, b"world", b"anyone")], aversion=-1)
        self.nodes["/"].children = {"zookeeper"}
        self.nodes["/zookeeper"].children = {"quota", "config"}
        self.sessions: dict[int, int] = {}
        self.quotas: set[str] = set()
        self.zxid = 0
        self.time = 0

    def copy(self) -> "Model":
        """The same state, not moved by what comes later."""
        return copy.deepcopy(self)

    def execute(self, request: Request, zxid: int, time: int) -> Outcome:
        """Execute a request and take its zxid, whether it fails or not."""
        self.zxid, self.time = zxid, time
        before = self.copy()
        try:
            return getattr(self, OPERATIONS[request.opcode])(request)
        except Refused as refused:
            self.__dict__.update(before.__dict__)
            return Outcome(refused.code)

    # Questions

    def digest(self) -> int:
        """The digest of the tree, from scratch; data-model.md section 11."""
        counted = {path: node for path, node in self.nodes.items() if not path.startswith("/zookeeper/")}
        return sum(node_digest("" if path == "/" else path, node) for path, node in counted.items()) % 2**64

    def of_kind(self, kind: str) -> set[str]:
        """Paths of all znodes of a kind."""
        return {path for path, node in self.nodes.items() if node.kind == kind}

    def ephemerals(self, session: int) -> set[str]:
        """Ephemeral znodes of a session."""
        return {path for path in self.of_kind("ephemeral") if self.nodes[path].owner == session}

    # Requests

    def create(self, request: Request) -> Outcome:
        record = request.record
        ttl = record.ttl_ms if isinstance(record, CreateTTLRequest) else -1
        check_flags(record.flags, ttl, self.extended_types_enabled)
        if request.opcode == 21 and record.flags not in (5, 6):
            raise Refused(BAD_ARGUMENTS)
        path = first_look(record.path)
        acl = fix_up(record.acl, request.identities)
        parent_path = parent_of(path)
        parent = self.require(parent_path)
        allow(parent, CREATE, request)
        if record.flags in (2, 3, 6):
            path += f"{parent.cversion:010d}"
        check_path(path)
        if path in self.nodes:
            raise Refused(NODE_EXISTS)
        if parent.kind == "ephemeral":
            raise Refused(NO_CHILDREN_FOR_EPHEMERALS)
        self.nodes[path] = node = ModelNode(
            record.data, acl, *[self.zxid] * 3, *[self.time] * 2, owner=owner_of(request, ttl)
        )
        parent.children.add(path.rpartition("/")[2])
        parent.cversion += 1
        parent.pzxid = self.zxid
        stat = node.stat()  # quotas do their work afterwards
        self.created(path)
        return Outcome(path=path, stat=stat)

    def delete(self, request: Request) -> Outcome:
        path = first_look(request.record.path)
        if path in RESERVED:
            raise Refused(BAD_ARGUMENTS)
        allow(self.require(parent_of(path)), DELETE, request)
        node = self.require(path)
        check_version(request.record.version, node.version)
        return self.remove(path)

    def delete_container(self, request: Request) -> Outcome:
        path = first_look(request.record.path)
        if path in RESERVED:
            raise Refused(BAD_ARGUMENTS)
        node = self.require(path)
        if not node.children and node.kind == "ephemeral":
            raise Refused(BAD_VERSION)
        return self.remove(path)

    def remove(self, path: str) -> Outcome:
        node = self.nodes[path]
        if node.children:
            raise Refused(NOT_EMPTY)
        del self.nodes[path]
        parent = self.nodes[parent_of(path)]
        parent.children.remove(path.rpartition("/")[2])
        parent.pzxid = max(parent.pzxid, self.zxid)
        if path.startswith("/zookeeper/quota/") and path.endswith("/zookeeper_limits"):
            self.quotas.discard(path[len("/zookeeper/quota") : -len("/zookeeper_limits")])
        self.count(path, -1, -len(node.data or b""))
        return Outcome(path=path)

    def set_data(self, request: Request) -> Outcome:
        record = request.record
        node = self.valid(record.path)
        allow(node, WRITE, request)
        check_version(record.version, node.version)
        change = len(record.data or b"") - len(node.data or b"")
        node.data, node.mzxid, node.mtime = record.data, self.zxid, self.time
        node.version += 1
        stat = node.stat()
        self.count(record.path.decode(), 0, change)
        return Outcome(path=record.path.decode(), stat=stat)

    def set_acl(self, request: Request) -> Outcome:
        record = request.record
        if record.path is None:
            raise Refused(BAD_ARGUMENTS)
        check_path(record.path.decode())
        acl = fix_up(record.acl, request.identities)
        node = self.valid(record.path)
        allow(node, ADMIN, request)
        check_version(record.version, node.aversion)
        node.acl = acl
        node.aversion += 1
        return Outcome(path=record.path.decode(), stat=node.stat())

    def check(self, request: Request) -> Outcome:
        node = self.valid(request.record.path)
        allow(node, READ, request)
        check_version(request.record.version, node.version)
        return Outcome()

    def create_session(self, request: Request) -> Outcome:
        self.sessions[request.session_id] = request.record.timeout_ms
        return Outcome()

    def close_session(self, request: Request) -> Outcome:
        self.sessions.pop(request.session_id, None)
        for path in sorted(self.ephemerals(request.session_id)):
            self.remove(path)
        return Outcome()

    def multi(self, request: Request) -> Outcome:
        ops = [convert(opcode, op) for opcode, op in request.record.ops]
        if any(op.path is None for _, op in ops):
            raise Refused(MARSHALLING)
        before = self.copy()
        results: list[Outcome] = []
        for opcode, op in ops:
            sub_request = Request(request.session_id, request.cxid, opcode, op, request.identities)
            try:
                results.append(getattr(self, OPERATIONS[opcode])(sub_request))
            except Refused as refused:
                if refused.code == MARSHALLING:
                    raise
                self.__dict__.update(before.__dict__)
                failed = [OK] * len(results) + [refused.code]
                failed += [INCONSISTENT] * (len(ops) - len(failed))
                return Outcome(results=[Outcome(code) for code in failed])
        return Outcome(results=results)

    # Parts of requests

    def require(self, path: str) -> ModelNode:
        if path not in self.nodes:
            raise Refused(NO_NODE)
        return self.nodes[path]

    def valid(self, path: bytes | None) -> ModelNode:
        if path is None:
            raise Refused(BAD_ARGUMENTS)
        check_path(path.decode())
        return self.require(path.decode())

    def created(self, path: str) -> None:
        for name, react in [("zookeeper_limits", self.quotas.add), ("zookeeper_stats", self.recount)]:
            suffix = "/" + name
            if path.startswith("/zookeeper/quota/") and path.endswith(suffix):
                covered = path[len("/zookeeper/quota") : -len(suffix)]
                if covered:
                    react(covered)
        self.count(path, 1, len(self.nodes[path].data or b""))

    def count(self, path: str, count: int, size: int) -> None:
        covering = [quota for quota in self.quotas if (path + "/").startswith(quota + "/")]
        if not covering:
            return
        covered = max(covering, key=len)
        stats = self.nodes.get(f"/zookeeper/quota{covered}/zookeeper_stats")
        if stats is None:
            return
        numbers = parse_usage(stats.data)
        if numbers is None:
            self.recount(covered)
        else:
            stats.data = b"count=%d,bytes=%d" % (numbers[0] + count, numbers[1] + size)

    def recount(self, covered: str) -> None:
        stats = self.nodes[f"/zookeeper/quota{covered}/zookeeper_stats"]
        below = [node for path, node in self.nodes.items() if (path + "/").startswith(covered + "/")]
        stats.data = b"count=%d,bytes=%d" % (len(below), sum(len(node.data or b"") for node in below))

    def recount_all(self) -> None:
        """What a restart does."""
        for covered in self.quotas:
            if f"/zookeeper/quota{covered}/zookeeper_stats" in self.nodes:
                self.recount(covered)


OPERATIONS = {
    1: "create",
    15: "create",
    19: "create",
    21: "create",
    2: "delete",
    20: "delete_container",
    5: "set_data",
    7: "set_acl",
    13: "check",
    14: "multi",
    -10: "create_session",
    -11: "close_session",
}


def node_digest(name: str, node: ModelNode) -> int:
    """CRC-32 over name, data and the nine stored numbers."""
    numbers = pack(">qqqqq", node.czxid, node.mzxid, node.pzxid, node.ctime, node.mtime)
    numbers += pack(">iiiq", node.version, node.cversion, node.aversion, node.owner)
    return zlib.crc32(name.encode() + (node.data or b"") + numbers)


def parse_usage(data: bytes | None) -> tuple[int, int] | None:
    """Count and bytes of a stats znode; None where the text holds not both."""
    try:
        pairs = dict(pair.split("=") for pair in (data or b"").decode().split(","))
        return int(pairs["count"]), int(pairs["bytes"])
    except (ValueError, KeyError):
        return None


def parent_of(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def first_look(path: bytes | None) -> str:
    if path is None:
        raise Refused(MARSHALLING)
    if b"/" not in path or b"\0" in path:
        raise Refused(BAD_ARGUMENTS)
    return path.decode()


def check_path(path: str) -> None:
    """client-protocol.md section 5.10."""
    if path == "/":
        return
    components = path.split("/")[1:]
    forbidden = any(low <= ord(character) <= high for character in path for low, high in FORBIDDEN)
    if not path.startswith("/") or not all(components) or {".", ".."} & set(components) or forbidden:
        raise Refused(BAD_ARGUMENTS)


def check_flags(flags: int, ttl: int, extended_types_enabled: bool) -> None:
    if not 0 <= flags <= 6:
        raise Refused(BAD_ARGUMENTS)
    if flags in (5, 6) and not extended_types_enabled:
        raise Refused(UNIMPLEMENTED)
    if (not 1 <= ttl < 2**40) if flags in (5, 6) else ttl >= 0:
        raise Refused(BAD_ARGUMENTS)


def check_version(expected: int, actual: int) -> None:
    if expected not in (-1, actual):
        raise Refused(BAD_VERSION)


def owner_of(request: Request, ttl: int) -> int:
    if request.opcode == 19:
        return CONTAINER
    if request.opcode == 21:
        return TTL_BASE + ttl - 2**64
    return request.session_id if request.record.flags in (1, 3) else 0


def allow(node: ModelNode, perms: int, request: Request) -> None:
    """World and digest are enough here."""
    identities = set(request.identities)
    if node.acl is None or any(scheme == b"super" for scheme, _ in identities):
        return
    for entry in node.acl:
        if entry.perms & perms and (entry.scheme == b"world" or (entry.scheme, entry.id) in identities):
            return
    raise Refused(NO_AUTH)


def fix_up(acl: list[ACL] | None, identities) -> list[ACL]:
    fixed: list[ACL] = []
    unique = [entry for index, entry in enumerate(acl or []) if entry not in acl[:index]]
    if not unique:
        raise Refused(INVALID_ACL)
    for entry in unique:
        if entry.scheme == b"auth":
            expanded = [ACL(entry.perms, scheme, user) for scheme, user in identities if scheme == b"digest"]
            if not expanded:
                raise Refused(INVALID_ACL)
            fixed += expanded
        elif entry.scheme not in (b"world", b"digest"):
            raise Refused(INVALID_ACL)
        elif entry.id is None:
            raise Refused(MARSHALLING)
        elif entry.scheme == b"world" and entry.id != b"anyone":
            raise Refused(INVALID_ACL)
        else:
            fixed.append(entry)
    return fixed


def convert(opcode: int, op):
    """client-protocol.md section 6.1."""
    if opcode not in (1, 15, 19, 21, 2, 5, 13):
        raise Refused(MARSHALLING)
    if opcode in (1, 15, 19) and not 0 <= op.flags <= 4:
        raise Refused(MARSHALLING)
    if opcode == 21 and op.flags not in (5, 6):
        opcode, op = 1, CreateRequest(op.path, op.data, op.acl, op.flags)
    return (19 if opcode in (1, 15) and op.flags == 4 else opcode), op


__all__ = ["Model", "MultiRequest", "Outcome"]
