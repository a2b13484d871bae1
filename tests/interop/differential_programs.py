"""Random programs: what clients do, and what no sane client does.

A program has a few themes, so that it goes deep somewhere instead of a little everywhere. Left out is what the docs
say differs on purpose (docs/differences.md), and what stops Apache's server for good: quota stats that cannot be
parsed, a quota on the root, createTTL with another mode and a negative ttl.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from pyzk.codec.jute import INT32, NULL
from pyzk.codec.opcodes import (
    EPHEMERAL_MODES,
    SEQUENTIAL_MODES,
    TTL_MODES,
    XID_AUTH,
    XID_SET_WATCHES,
    CreateMode,
    OpCode,
)
from pyzk.codec.record import Record
from pyzk.codec.records import ACL, open_acl
from pyzk.codec.requests import (
    AuthRequest,
    CreateRequest,
    CreateTTLRequest,
    EmptyRequest,
    MultiRequest,
    PathRequest,
    PathTypeRequest,
    PathVersionRequest,
    PathWatchRequest,
    ReconfigRequest,
    SaslRequest,
    SetACLRequest,
    SetDataRequest,
    SetWatches2Request,
    SetWatchesRequest,
)
from pyzk.tree.acl import digest_id
from tests.interop.differential_steps import (
    FUTURE_ZXID,
    LAST_ZXID,
    ROOT,
    AnyStep,
    Connect,
    Drop,
    Expire,
    Program,
    Raw,
    Request,
    Resume,
    Send,
)

QUOTA = b"/zookeeper/quota" + ROOT
USERS = [b"ann:secret", b"bob:secret"]
NAMES = [b"a", b"b", b"c", b"n-"]
ODD_NAMES = [b"/", b"a/", b"/a", b"a//b", b".", b"..", b"./a", b"a/../b", b"\0x", b"x\x01", b"a\x7f", b" ", b"..."]
ODD_LETTERS = ["é", "日本", "\ud7ff", "\ue000", "\uf8ff", "\uf900", "\uffef", "\ufffd", "😀", "\x9f", "\xa0"]
ODD_PATHS = [b"", b"a", b"a/b", b"/", b"//", b"/zookeeper", b"/zookeeper/quota", b"/zookeeper/config", b"/.", None]
ACL_IDS = [(b"world", b"anyone"), (b"auth", b""), (b"ip", b"127.0.0.1"), (b"ip", b"127.0.0.0/8"), (b"ip", b"10.0.0.1")]
DIGEST_IDS = [(b"digest", digest_id(user)) for user in USERS]
ODD_IDS = [
    (b"world", b"x"), (b"digest", b"x"), (b"digest", b"a:b:"), (b"digest", b"a:b:c"), (b"ip", b"1.2.3"),
    (b"ip", b"::1"), (b"ip", b"1.2.3.4/33"), (b"nope", b"x"), (b"super", b""), (b"sasl", b"x"), (b"", b""),
]  # fmt: skip
NULL_IDS = [*[(scheme, None) for scheme in (b"world", b"digest", b"ip", b"auth", b"nope", None)], (None, b"x")]
VERSIONS = [*[-1] * 12, 0, 0, 0, 1, 1, 2, 3, -2, 99, 2**31 - 1, -(2**31)]
FLAGS = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, -1]
QUOTA_LIMITS = [
    b"count=-1,bytes=-1=;countHardLimit=3", b"count=-1,bytes=-1=;byteHardLimit=60;countHardLimit=6",
    b"byteHardLimit=20", b"countHardLimit=2", b"count=5,bytes=-1", b"count=-1,bytes=50", b"",
    b"count=2,bytes=3,countHardLimit=-1",
]  # fmt: skip
SESSION_TIMEOUTS_MS = [30000, 30000, 10000, 40000, 10001, 2**31 - 1]


class Dice(random.Random):
    """Random choices of one program, and a guess of which znodes exist by now, so that most requests find one.

    `odd` is the chance that an argument is one that no sane client sends, `open` that an ACL allows everything.
    """

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.odd = 0.03
        self.open = 0.9
        self.alive: list[bytes] = [ROOT]
        self._created: Counter[bytes] = Counter()

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def guess_created(self, path: bytes, *, sequential: bool) -> None:
        parent = path.rpartition(b"/")[0]
        if parent in self.alive:
            self.alive.append(path + b"%010d" % self._created[parent] if sequential else path)
            self._created[parent] += 1

    def guess_deleted(self, path: bytes | None) -> None:
        self.alive = [other for other in self.alive if other != path or other == ROOT]


def some_path(dice: Dice) -> bytes | None:
    if dice.chance(dice.odd):
        return odd_path(dice)
    return new_path(dice) if dice.chance(0.15) else dice.choice(dice.alive)


def new_path(dice: Dice) -> bytes | None:
    if dice.chance(dice.odd):
        return odd_path(dice)
    return dice.choice(dice.alive[:8]) + b"/" + dice.choice(NAMES)


def odd_path(dice: Dice) -> bytes | None:
    if dice.chance(0.3):
        return dice.choice(ODD_PATHS)
    if dice.chance(0.4):
        return ROOT + b"/x" + dice.choice(ODD_LETTERS).encode("utf-8", "replace")
    return ROOT + b"/" + dice.choice(ODD_NAMES)


def echoed_path(dice: Dice) -> bytes:
    """A path that comes back as it is: Java writes characters beyond the BMP in an encoding of its own."""
    path = new_path(dice) if dice.chance(0.3) else some_path(dice)
    return ROOT if path is None or max(path, default=0) >= 0xF0 else path


def some_data(dice: Dice) -> bytes | None:
    length = dice.choice([0, 1, 3, 10, 10, 30, 100, 3000]) if dice.chance(0.99) else 600_000
    return None if dice.chance(0.08) else dice.randbytes(length)


def some_acl(dice: Dice) -> list[ACL] | None:
    if dice.chance(dice.open):
        return open_acl()
    if dice.chance(dice.odd):
        return dice.choice([None, []])
    if dice.chance(dice.odd):
        # Alone: whether Apache gets as far as the missing scheme depends on the entries before it.
        return [_entry(dice, dice.choice(NULL_IDS))]
    if dice.chance(0.25):
        # One that only an owner may change, and whose hash others do not get to see.
        return [ACL(31, *dice.choice(DIGEST_IDS)), ACL(dice.choice([1, 1, 5, 15]), b"world", b"anyone")]
    odd = max(dice.odd, 0.15)
    ids = [dice.choice(ODD_IDS if dice.chance(odd) else ACL_IDS + DIGEST_IDS) for _ in range(dice.choice([1, 1, 2, 3]))]
    return [_entry(dice, identity) for identity in ids]


def _entry(dice: Dice, identity: tuple[bytes | None, bytes | None]) -> ACL:
    scheme, acl_id = identity
    return ACL(dice.choice([31, 31, 31, 1, 3, 7, 15, 16, 25, 30, 0, 64]), scheme, acl_id)


def request(opcode: OpCode, record: Record) -> Request:
    return Request(opcode, record.encode())


# One function per kind of request.


def create(dice: Dice) -> Request:
    opcode = dice.choice([OpCode.CREATE, OpCode.CREATE, OpCode.CREATE2, OpCode.CREATE_CONTAINER])
    flags = dice.choice(FLAGS) if dice.chance(0.4) else dice.choice([0, 0, 0, 1, 2])
    if opcode == OpCode.CREATE_CONTAINER and flags in EPHEMERAL_MODES:
        # Until it is committed, Apache takes such a container for an ephemeral: pipelining and multi would tell.
        flags = CreateMode.CONTAINER
    return request(opcode, CreateRequest(_created_path(dice, flags), some_data(dice), some_acl(dice), flags))


def _created_path(dice: Dice, flags: int) -> bytes | None:
    path = some_path(dice) if dice.chance(0.1) else new_path(dice)
    if path == ROOT and flags in SEQUENTIAL_MODES:
        path = ROOT + b"/n-"  # Beside the root, it would outlive the program.
    if path and path.startswith(ROOT):
        dice.guess_created(path, sequential=flags in SEQUENTIAL_MODES)
    return path


def create_ttl(dice: Dice) -> Request:
    flags = dice.choice([5, 5, 6, dice.choice(FLAGS)])
    ttls_ms = [3600000, 3600000, 2**40 - 1, 0, *([-1, 2**40] if flags in TTL_MODES else [])]
    record = CreateTTLRequest(_created_path(dice, flags), some_data(dice), some_acl(dice), flags, dice.choice(ttls_ms))
    return request(OpCode.CREATE_TTL, record)


def delete(dice: Dice) -> Request:
    path = dice.choice(dice.alive[-4:]) if dice.chance(0.6) else some_path(dice)
    dice.guess_deleted(path)
    return request(OpCode.DELETE, PathVersionRequest(path, dice.choice(VERSIONS)))


def set_data(dice: Dice) -> Request:
    return request(OpCode.SET_DATA, SetDataRequest(some_path(dice), some_data(dice), dice.choice(VERSIONS)))


def set_acl(dice: Dice) -> Request:
    path = some_path(dice)
    if path in {b"/", b"/zookeeper", b"/zookeeper/quota"}:
        path = ROOT  # A changed ACL up there would outlive the program.
    return request(OpCode.SET_ACL, SetACLRequest(path, some_acl(dice), dice.choice(VERSIONS)))


def read(dice: Dice) -> Request:
    opcode = dice.choice(
        [
            OpCode.EXISTS,
            OpCode.GET_DATA,
            OpCode.GET_DATA,
            OpCode.GET_CHILDREN,
            OpCode.GET_CHILDREN2,
            OpCode.GET_CHILDREN2,
        ]
    )
    return request(opcode, PathWatchRequest(some_path(dice), watch=dice.chance(0.3)))


def read_watching(dice: Dice) -> Request:
    opcode = dice.choice([OpCode.EXISTS, OpCode.EXISTS, OpCode.GET_DATA, OpCode.GET_CHILDREN, OpCode.GET_CHILDREN2])
    return request(opcode, PathWatchRequest(some_path(dice), watch=True))


def ask_path(dice: Dice) -> Request:
    opcode = dice.choice([OpCode.GET_ACL, OpCode.GET_ACL, OpCode.SYNC, OpCode.GET_ALL_CHILDREN_NUMBER])
    path = echoed_path(dice) if opcode == OpCode.SYNC else some_path(dice)
    # Under its other name, Apache counts the root among its own descendants.
    return request(opcode, PathRequest(b"/" if path == b"" else path))


def get_ephemerals(dice: Dice) -> Request:
    prefix = dice.choice([None, b"", b"/", b" ", ROOT, ROOT + b"/a", ROOT + b"/s", some_path(dice)])
    return request(OpCode.GET_EPHEMERALS, PathRequest(prefix))


def bare(dice: Dice) -> Request:
    return request(dice.choice([OpCode.WHO_AM_I, OpCode.PING]), EmptyRequest())


def add_watch(dice: Dice) -> Request:
    mode = dice.choice([0, 0, 1, 1, 2, -1] if dice.chance(0.1) else [0, 1])
    return request(OpCode.ADD_WATCH, PathTypeRequest(some_path(dice), mode))


def ask_watches(dice: Dice) -> Request:
    opcode = dice.choice([OpCode.CHECK_WATCHES, OpCode.REMOVE_WATCHES])
    watcher_type = dice.choice([0, 6, -1]) if dice.chance(dice.odd) else dice.randint(1, 5)
    return request(opcode, PathTypeRequest(some_path(dice), watcher_type))


def set_watches(dice: Dice) -> Request:
    zxid = dice.choice([LAST_ZXID, LAST_ZXID, LAST_ZXID, 0, FUTURE_ZXID])
    # A list that is null fails the request; what Apache has done by then for the lists before it is not compared.
    lists = [_some_paths(dice) for _ in range(5)] if not dice.chance(dice.odd / 4) else [None] * 5
    if dice.chance(0.5):
        return Request(OpCode.SET_WATCHES, SetWatchesRequest(zxid, *lists[:3]).encode(), XID_SET_WATCHES)
    return Request(OpCode.SET_WATCHES2, SetWatches2Request(zxid, *lists).encode(), XID_SET_WATCHES)


def _some_paths(dice: Dice) -> list[bytes | None] | None:
    return [echoed_path(dice) for _ in range(dice.choice([0, 0, 1, 2, 3]))]


def authenticate(dice: Dice) -> Request:
    scheme, auth = dice.choice([(b"digest", user) for user in USERS] * 4 + [(b"ip", b""), (b"digest", b"super:test")])
    if dice.chance(dice.odd):
        scheme, auth = dice.choice([(b"digest", b"nocolon"), (b"nope", b"x"), (b"world", b"anyone"), (b"auth", b"")])
    return Request(OpCode.AUTH, AuthRequest(0, scheme, auth).encode(), XID_AUTH)


def multi(dice: Dice) -> Request:
    makers = [create, create, create_ttl, delete, set_data, check]
    ops = [dice.choice(makers)(dice) for _ in range(dice.choice([0, 1, 2, 2, 3, 3, 4, 5]))]
    if dice.chance(dice.odd):
        ops.insert(dice.randint(0, len(ops)), dice.choice([read, set_acl, multi_read, delete_nothing])(dice))
    return _as_multi(OpCode.MULTI, ops)


def multi_read(dice: Dice) -> Request:
    ops = [
        request(
            dice.choice([OpCode.GET_DATA, OpCode.GET_CHILDREN]), PathWatchRequest(some_path(dice), dice.chance(0.3))
        )
        for _ in range(dice.choice([0, 1, 2, 3]))
    ]
    if dice.chance(dice.odd):
        ops.insert(dice.randint(0, len(ops)), dice.choice([delete, read, check])(dice))
    return _as_multi(OpCode.MULTI_READ, ops)


def _as_multi(opcode: OpCode, ops: list[Request]) -> Request:
    body = b"".join([INT32.pack(op.opcode) + b"\0" + NULL + op.body for op in ops])
    return Request(opcode, body + NULL + b"\1" + NULL)


def check(dice: Dice) -> Request:
    return request(OpCode.CHECK, PathVersionRequest(some_path(dice), dice.choice(VERSIONS)))


def delete_nothing(dice: Dice) -> Request:
    """An op that no multi may hold."""
    return request(dice.choice([OpCode.SYNC, OpCode.GET_ACL, OpCode.DELETE_CONTAINER]), PathRequest(some_path(dice)))


def reconfig(dice: Dice) -> Request:
    record = ReconfigRequest(dice.choice([None, b"server.2=x:1:2;3"]), dice.choice([None, b"1", b"x"]), None, -1)
    return request(OpCode.RECONFIG, record)


def set_limits(dice: Dice) -> Request:
    return request(OpCode.SET_DATA, SetDataRequest(_quota(dice, b"limits"), dice.choice(QUOTA_LIMITS), -1))


def create_quota(dice: Dice) -> Request:
    kind = dice.choice([b"limits", b"stats"])
    data = dice.choice(QUOTA_LIMITS) if kind == b"limits" else b"count=0,bytes=0"
    return request(OpCode.CREATE, CreateRequest(_quota(dice, kind), data, open_acl(), 0))


def delete_quota(dice: Dice) -> Request:
    return request(OpCode.DELETE, PathVersionRequest(_quota(dice, dice.choice([b"limits", b"stats"])), -1))


def read_stats(dice: Dice) -> Request:
    return request(OpCode.GET_DATA, PathWatchRequest(_quota(dice, b"stats"), watch=dice.chance(0.2)))


def _quota(dice: Dice, kind: bytes) -> bytes:
    return QUOTA + dice.choice([b"", b"", b"/a"]) + b"/zookeeper_" + kind


# Requests that are wrong as such.


def _whole(dice: Dice) -> Request:
    """A request to be spoilt. None where Apache stumbles over a missing ACL before it comes to the spoilt part."""
    whole = dice.choice(DECODED)(dice)
    if whole.opcode == OpCode.MULTI:
        ops = MultiRequest.from_bytes(whole.body).ops
        if any(isinstance(op, CreateRequest) and op.acl is None for _, op in ops):
            return _whole(dice)
    return whole


def truncated(dice: Dice) -> Request:
    whole = _whole(dice)
    return Request(whole.opcode, whole.body[: dice.randrange(len(whole.body) or 1)], whole.xid)


def overlong(dice: Dice) -> Request:
    whole = dice.choice(DECODED)(dice)
    return Request(whole.opcode, whole.body + dice.randbytes(dice.randint(1, 9)), whole.xid)


def damaged(dice: Dice) -> Request:
    """A length that cannot be."""
    whole = _whole(dice)
    length = dice.choice([-2, -(2**31), 2**31 - 1, 0x2000000])
    return Request(whole.opcode, INT32.pack(length) + whole.body[4:], whole.xid)


def sasl(dice: Dice) -> Request:
    return request(OpCode.SASL, SaslRequest(dice.choice([b"", b"x", None])))


def unknown(dice: Dice) -> Request:
    opcode = dice.choice([0, 10, 23, 99, 108, 1000, -1, -2, OpCode.CHECK])
    return Request(opcode, check(dice).body)


DECODED = [create, create_ttl, delete, set_data, set_acl, read, ask_path, multi, multi_read, add_watch, ask_watches]

THEMES: dict[str, dict[Callable[[Dice], Request], int]] = {
    "basics": {create: 10, delete: 5, set_data: 5, read: 10, ask_path: 3, bare: 1},
    "kinds": {create: 6, create_ttl: 4, delete: 3, get_ephemerals: 3, read: 4, ask_path: 2},
    "watches": {read_watching: 10, add_watch: 6, ask_watches: 4, create: 5, delete: 5, set_data: 4, multi: 1},
    "catch-up": {set_watches: 8, read_watching: 2, create: 4, delete: 2, set_data: 3},
    "access": {authenticate: 4, set_acl: 6, create: 4, ask_path: 8, read: 3, delete: 2, set_data: 2, bare: 1},
    "multi": {multi: 10, multi_read: 5, create: 2, delete: 1, read: 2},
    "quotas": {
        create: 10,
        set_data: 4,
        delete: 3,
        set_limits: 2,
        create_quota: 2,
        delete_quota: 1,
        read_stats: 5,
        multi: 1,
    },
    "nonsense": {truncated: 4, overlong: 3, damaged: 3, unknown: 1, sasl: 1, reconfig: 1, create: 2, read: 2},
}

# The first three are answered ahead of the pipeline, at a moment that nobody can foretell. A changed ACL holds
# in Apache from the moment it is committed: what is pipelined behind it is checked against either list, by luck.
NOT_PIPELINED = {authenticate, sasl, unknown, set_acl}

CONNECTIONS = 3


def make_program(seed: int, number: int) -> Program:
    """Program `number` of a seed; always the same."""
    dice = Dice(f"{seed} {number}")
    dice.odd = dice.choice([0.0, 0.03, 0.03, 0.2])
    themes = dice.sample(sorted(THEMES), dice.choice([1, 2, 2, 3]))
    dice.open = 0.5 if "access" in themes else 0.95
    connections = dice.randint(1, CONNECTIONS)
    steps: list[AnyStep] = [some_connect(dice, connection) for connection in range(connections)]
    steps.append(Send(0, (request(OpCode.CREATE, CreateRequest(ROOT, b"", open_acl(), 0)),)))
    if "quotas" in themes:
        steps += [Send(0, (made,)) for made in _quota_steps(dice)]
    steps += [Send(0, (create(dice),)) for _ in range(dice.choice([0, 2, 5]))]
    # Quotas are checked against what is committed, so what pipelined writes see of them is a matter of luck in Apache.
    pipelined = "quotas" not in themes and dice.chance(0.5)
    for _ in range(dice.randint(5, 40)):
        steps += _some_steps(dice, dice.choice(themes), dice.randrange(connections), pipelined=pipelined)
    return Program(seed, number, tuple(steps))


def _quota_steps(dice: Dice) -> list[Request]:
    paths = [(QUOTA, b""), (QUOTA + b"/a", b""), (QUOTA + b"/zookeeper_limits", dice.choice(QUOTA_LIMITS[:4]))]
    paths.append((QUOTA + b"/zookeeper_stats", b"count=0,bytes=0"))
    return [request(OpCode.CREATE, CreateRequest(path, data, open_acl(), 0)) for path, data in paths]


def _some_steps(dice: Dice, theme: str, connection: int, *, pipelined: bool) -> list[AnyStep]:
    if dice.chance(0.08 if theme != "catch-up" else 0.25):
        return _session_steps(dice, connection)
    if theme == "nonsense" and dice.chance(0.05):
        data = dice.choice([b"\xff" * 4, INT32.pack(2**20), INT32.pack(3) + b"abc", bytes(4)])
        return [Raw(connection, data), Resume(connection, 30000)]
    makers = THEMES[theme]
    count = dice.randint(2, 6) if pipelined and dice.chance(0.2) else 1
    made = dice.choices(list(makers), list(makers.values()), k=count)
    if count > 1:
        made = [maker for maker in made if maker not in NOT_PIPELINED]
    requests = tuple([_with_odd_xid(dice, maker(dice)) for maker in made])
    steps: list[AnyStep] = [Send(connection, requests)] if requests else []
    return [*steps, Resume(connection, 30000)] if made in ([unknown], [sasl]) else steps


def _with_odd_xid(dice: Dice, made: Request) -> Request:
    """Servers echo xids and do not look at them. -1 is left out: the runner takes its reply for an event."""
    if made.xid is not None or not dice.chance(dice.odd / 4):
        return made
    return replace(made, xid=dice.choice([0, 1, 7, -3, -8, 2**31 - 1, -(2**31)]))


def some_connect(dice: Dice, connection: int) -> Connect:
    read_only = dice.choice([False, False, False, True, None])
    last_zxid = FUTURE_ZXID if dice.chance(0.02) else 0
    return Connect(connection, dice.choice(SESSION_TIMEOUTS_MS), read_only, last_zxid, eager=dice.chance(0.2))


def _expiry_steps(dice: Dice, connection: int) -> list[AnyStep]:
    """A session with a few ephemerals and watches, of the shortest timeout; it takes a second or two to expire."""
    steps: list[AnyStep] = [Connect(connection, 0)]
    for _ in range(dice.randint(0, 3)):
        flags = dice.choice(sorted(EPHEMERAL_MODES))
        path = ROOT + b"/e" if flags == CreateMode.EPHEMERAL else ROOT + b"/e-"
        steps.append(Send(connection, (request(OpCode.CREATE, CreateRequest(path, b"", open_acl(), flags)),)))
    steps.append(Send(connection, (read_watching(dice),)))
    return [*steps, Expire(connection, drop_first=dice.chance(0.5)), Resume(connection, 30000)]


def _session_steps(dice: Dice, connection: int) -> list[AnyStep]:
    kind = dice.randrange(10)
    close = Send(connection, (Request(OpCode.CLOSE_SESSION, b""),))
    if kind == 0:
        return [close, some_connect(dice, connection)]
    if dice.chance(0.01):
        return _expiry_steps(dice, connection)
    if kind == 1:
        return [some_connect(dice, connection)]
    if kind == 2:
        # Differs from Apache: there a wrong password, too, cuts the connection that the session has.
        return [Drop(connection), Resume(connection, 30000, wrong_password=True), Resume(connection, 30000)]
    if kind == 3:
        timeout_ms = dice.choice([0, 1, -5, 4000, -(2**31)])
        return [Connect(connection, timeout_ms), close, some_connect(dice, connection)]
    if kind == 4:
        return [Resume(connection, 30000, last_zxid=FUTURE_ZXID), Resume(connection, 30000)]
    steps: list[AnyStep] = [Drop(connection)] if dice.chance(0.3) else []
    steps.append(Resume(connection, dice.choice(SESSION_TIMEOUTS_MS), drop_first=dice.chance(0.7)))
    return [*steps, Send(connection, (set_watches(dice),))]
