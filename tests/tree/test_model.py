"""Random programs of requests: the tree against a naive model of it, with walks and restarts in between."""

from collections import Counter
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import ACL, ACLS, STRINGS, Stat, open_acl
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
from pyzk.codec.txns import decode_txn
from pyzk.tree import query
from pyzk.tree import walk as walk_module
from pyzk.tree.acl import AccessControl
from pyzk.tree.apply import Applied, apply
from pyzk.tree.node import data_of, stat_of
from pyzk.tree.overlay import Overlay
from pyzk.tree.quota import limits_path, stats_path
from pyzk.tree.request import Request
from pyzk.tree.tree import RESERVED_PATHS, Tree
from pyzk.tree.walk import Walk, finish_load, load, walk
from tests.tree.leader import ANYONE, BOB, BOBS, READ_ONLY, SUPER, Leader, image
from tests.tree.model import Model, Outcome

NAMES = st.sampled_from([b"a", b"b", b"c-"])
PLAIN = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: b"/" + b"/".join(names))
ODD = st.sampled_from(
    [b"", b"/", b"x", b"/a/", b"//a", b"/a//b", b"/a/..", b"/a\x01", b"/\x00", b"/zookeeper", b"/zookeeper/config"]
)
QUOTA = st.builds(
    lambda path, name: b"/zookeeper/quota" + path + name,
    st.sampled_from([b"/a", b"/a/b", b"/b", b"/zookeeper"]),
    st.sampled_from([b"", b"/zookeeper_limits", b"/zookeeper_stats"]),
)
# Repeated to be drawn more often.
SHALLOW = NAMES.map(lambda name: b"/" + name)
PATHS = st.one_of(*[SHALLOW] * 5, *[PLAIN] * 5, QUOTA, QUOTA, ODD, st.none())
GOOD_PATHS = st.one_of(SHALLOW, PLAIN, PLAIN, QUOTA)
DATA = st.none() | st.binary(max_size=6) | st.just(b"count=1,bytes=2")
ACL_LISTS = st.one_of(
    st.builds(open_acl),
    st.builds(open_acl),
    st.sampled_from(
        [
            READ_ONLY,
            BOBS,
            BOBS + READ_ONLY,
            BOBS + BOBS,
            [],
            None,
            [ACL(31, b"auth", b"")],
            [ACL(31, b"world", b"you")],
            [ACL(31, b"nosuch", b"x")],
            [ACL(31, b"world", None)],
        ]
    ),
)
FLAGS = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, -1])
TTLS = st.sampled_from([-1, 0, 1, 60_000, 2**40 - 1, 2**40])
VERSIONS = st.sampled_from([-1, -1, -1, 0, 1, 2, -2])
SESSIONS = st.sampled_from([0x100, 0x200, -0x7F00000000000000])
IDENTITIES = st.sampled_from([(), (ANYONE,), (ANYONE, BOB), (ANYONE, BOB), (SUPER,)])

CREATES = st.tuples(
    st.sampled_from([OpCode.CREATE, OpCode.CREATE2, OpCode.CREATE_CONTAINER]),
    st.builds(CreateRequest, PATHS, DATA, ACL_LISTS, FLAGS),
)
TTL_CREATES = st.tuples(
    st.just(OpCode.CREATE_TTL),
    st.builds(CreateTTLRequest, PATHS, DATA, ACL_LISTS, st.sampled_from([5, 5, 6, 0, 4, 7]), TTLS),
)
EASY_CREATES = st.tuples(
    st.sampled_from([OpCode.CREATE, OpCode.CREATE2]),
    st.builds(CreateRequest, GOOD_PATHS, DATA, st.builds(open_acl), st.sampled_from([0, 1, 2, 3])),
)
DELETES = st.tuples(st.just(OpCode.DELETE), st.builds(PathVersionRequest, PATHS, VERSIONS))
SET_DATAS = st.tuples(st.just(OpCode.SET_DATA), st.builds(SetDataRequest, PATHS, DATA, VERSIONS))
CHECKS = st.tuples(st.just(OpCode.CHECK), st.builds(PathVersionRequest, PATHS, VERSIONS))
SET_ACLS = st.tuples(st.just(OpCode.SET_ACL), st.builds(SetACLRequest, PATHS, ACL_LISTS, VERSIONS))
CONTAINER_DELETES = st.tuples(st.just(OpCode.DELETE_CONTAINER), st.builds(PathRequest, PATHS))
MULTI_OPS = st.one_of(EASY_CREATES, EASY_CREATES, CREATES, TTL_CREATES, DELETES, SET_DATAS, CHECKS)
MULTIS = st.tuples(st.just(OpCode.MULTI), st.builds(MultiRequest, st.lists(MULTI_OPS, max_size=5)))
EASY_MULTIS = st.tuples(
    st.just(OpCode.MULTI),
    st.builds(
        MultiRequest,
        st.lists(
            st.one_of(
                EASY_CREATES,
                st.tuples(st.just(OpCode.DELETE), st.builds(PathVersionRequest, PLAIN, st.just(-1))),
                st.tuples(st.just(OpCode.SET_DATA), st.builds(SetDataRequest, SHALLOW, DATA, st.just(-1))),
            ),
            max_size=3,
        ),
    ),
)
EASY_MULTIS = st.tuples(
    st.just(OpCode.MULTI),
    st.builds(
        MultiRequest,
        st.lists(
            st.one_of(
                EASY_CREATES,
                st.tuples(st.just(OpCode.DELETE), st.builds(PathVersionRequest, PLAIN, st.just(-1))),
                st.tuples(st.just(OpCode.SET_DATA), st.builds(SetDataRequest, SHALLOW, DATA, st.just(-1))),
            ),
            max_size=3,
        ),
    ),
)
SESSION_REQUESTS = st.one_of(
    st.tuples(st.just(OpCode.CREATE_SESSION), st.builds(CreateSessionRequest, st.integers(1, 40_000))),
    st.tuples(st.just(OpCode.CLOSE_SESSION), st.builds(EmptyRequest)),
)
REQUESTS = st.one_of(
    EASY_CREATES,
    EASY_CREATES,
    EASY_CREATES,
    CREATES,
    TTL_CREATES,
    DELETES,
    DELETES,
    SET_DATAS,
    SET_ACLS,
    CONTAINER_DELETES,
    MULTIS,
    EASY_MULTIS,
    EASY_MULTIS,
    SESSION_REQUESTS,
)
ACCESS = AccessControl(skip=True)


def assert_same(tree: Tree, model: Model) -> None:
    """Everything that a tree shows is what the model says."""
    nodes = {path.encode(): node for path, node in model.nodes.items()}
    assert tree.nodes.keys() == nodes.keys()
    for path, node in nodes.items():
        held = tree.nodes[path]
        assert (path, data_of(held)) == (path, node.data)
        assert (path, Stat.from_bytes(stat_of(held))) == (path, node.stat())
        acl = ACLS.read(Reader(query.get_acl(tree, ACCESS, path, ())))
        assert (path, acl) == (path, node.acl or open_acl())
        names = STRINGS.read(Reader(query.get_children(tree, ACCESS, path, ())))
        assert (path, sorted(names)) == (path, sorted(name.encode() for name in node.children))
    assert_same_totals(tree, model)


def assert_same_totals(tree: Tree, model: Model) -> None:
    assert tree.sessions == model.sessions
    assert tree.digest == model.digest()
    assert tree.node_count == len(model.nodes) + 1
    assert tree.data_bytes == sum(len(path) + len(node.data or b"") for path, node in model.nodes.items())
    ephemerals = {path.decode(): session for session, paths in tree.ephemerals.items() for path in paths}
    assert ephemerals == {path: model.nodes[path].owner for path in model.of_kind("ephemeral")}
    assert all(tree.ephemerals.values()), "no session is kept without its znodes"
    assert tree.ephemeral_count == len(ephemerals)
    assert {path.decode() for path in tree.containers} == model.of_kind("container")
    assert {path.decode() for path in tree.ttls} == model.of_kind("ttl")
    assert {path.decode() for path in tree.quotas} == model.quotas
    uses = Counter(repr(node.acl) for node in model.nodes.values() if node.acl is not None)
    assert Counter({repr(acl): tree.acls.count(index) for index, acl in tree.acls}) == uses


def assert_same_outcome(applied: Applied, outcome: Outcome) -> None:
    """A txn did what the model did, result by result."""
    assert applied.err == outcome.err
    if outcome.stat is not None:
        assert Stat.from_bytes(applied.stat) == outcome.stat
        assert applied.path.decode() == outcome.path
    assert len(applied.results) == len(outcome.results)
    for result, expected in zip(applied.results, outcome.results, strict=True):
        assert_same_outcome(result, expected)


def quota_paths(covered: bytes) -> list[bytes]:
    return [limits_path(covered), stats_path(covered)]


def request_of(session_id, asked, identities):
    opcode, record = asked
    return Request(session_id, 7, opcode, record, identities)


class TreeMachine(RuleBasedStateMachine):
    """A leader with outstanding txns, a follower that sees only bytes, and the model of both."""

    def __init__(self) -> None:
        super().__init__()
        # Chunks of tens of KiB would hold these trees whole: walk one znode at a time.
        self.small_chunks = patch.object(walk_module, "CHUNK_BYTES", 1)
        self.small_chunks.start()
        self.leader = Leader()
        self.follower = Tree()
        self.model = Model()
        self.expected: list[tuple[Outcome, Model]] = []
        self.committed = self.model.copy()
        self.walks: list[tuple[Walk, list[bytes], Model]] = []

    def teardown(self) -> None:
        try:
            while self.leader.outstanding:
                self.apply_some(1)
            self.compare()
            while self.walks:
                self.finish_walk()
        finally:
            self.small_chunks.stop()

    @initialize(paths=st.sets(PLAIN, max_size=8), quotas=st.sets(st.sampled_from([b"/a", b"/a/b", b"/b"])))
    def plant(self, paths, quotas):
        wanted = {*paths, *[path for quota in quotas for path in quota_paths(quota)]}
        every = {path[:end] for path in wanted for end in range(2, len(path) + 1) if path[end : end + 1] in (b"/", b"")}
        for path in sorted(every - RESERVED_PATHS):
            self.execute(Request(0x100, 0, OpCode.CREATE, CreateRequest(path, b"", open_acl(), 0)))

    @rule(programs=st.lists(st.builds(request_of, SESSIONS, REQUESTS, IDENTITIES), min_size=1, max_size=5))
    def submit(self, programs):
        for request in programs:
            self.execute(request)

    def execute(self, request):
        txn = self.leader.prepare(request)
        outcome = self.model.execute(request, txn.header.zxid, txn.header.time_ms)
        assert (txn.record.err if txn.header.type == OpCode.ERROR else 0) == outcome.err
        assert self.leader.overlay.digest == self.model.digest()
        self.expected.append((outcome, self.model.copy()))

    @rule(count=st.sampled_from([1, 1, 2, 3, 9]))
    def apply_some(self, count):
        for outstanding in self.leader.outstanding[:count]:
            outcome, self.committed = self.expected.pop(0)
            if outcome.err == 0:
                assert outstanding.txn.digest.tree_digest == self.committed.digest()
            assert_same_outcome(self.leader.apply_next(), outcome)
            apply(self.follower, decode_txn(outstanding.txn.encode()))
            assert self.follower.last_zxid == self.leader.tree.last_zxid == self.committed.zxid

    @rule()
    def compare(self):
        assert_same(self.leader.tree, self.committed)
        assert image(self.follower) == image(self.leader.tree)
        # Byte for byte: what prepare hands over is what apply makes of a txn that came from elsewhere.
        assert self.follower.nodes == self.leader.tree.nodes
        assert self.follower.digest == self.leader.tree.digest

    @precondition(lambda self: len(self.walks) < 3)
    @rule()
    def begin_walk(self):
        started = walk(self.leader.tree)
        assert (started.zxid, started.digest) == (self.leader.tree.last_zxid, self.committed.digest())
        self.walks.append((started, [], self.committed))

    @precondition(lambda self: self.walks)
    @rule(count=st.integers(1, 3))
    def walk_on(self, count):
        walking, chunks, _ = self.walks[0]
        chunks += [chunk for _, chunk in zip(range(count), walking, strict=False)]

    @precondition(lambda self: self.walks)
    @rule()
    def finish_walk(self):
        walking, chunks, model = self.walks.pop(0)
        reader = Reader(b"".join([*chunks, *walking]))
        loaded = load(reader)
        assert reader.remaining == 0
        loaded.acls.drop_unused()
        # Quotas are found again only by finish_load, which also reckons all usage anew.
        loaded.quotas.clear()
        for covered in model.quotas:
            loaded.quotas.add(covered.encode())
        assert_same(loaded, model)

    @precondition(lambda self: self.walks)
    @rule()
    def abandon_walk(self):
        walking, _, _ = self.walks.pop()
        walking.close()
        assert next(walking, None) is None

    @precondition(lambda self: not self.leader.outstanding)
    @rule()
    def restart(self):
        loaded = load(Reader(image(self.leader.tree)))
        loaded.last_zxid = self.leader.tree.last_zxid
        finish_load(loaded)
        self.model.recount_all()
        self.committed = self.model.copy()
        assert_same(loaded, self.committed)
        self.walks.clear()
        zxid, time_ms = self.leader.zxid, self.leader.time_ms
        self.leader = Leader(loaded, time_ms=time_ms)
        self.leader.zxid = zxid
        self.follower = load(Reader(image(loaded)))
        self.follower.last_zxid = loaded.last_zxid
        finish_load(self.follower)

    @precondition(lambda self: not self.leader.outstanding)
    @rule()
    def lose_the_lead_and_win_it_again(self):
        self.leader.overlay = Overlay(self.leader.tree)

    @invariant()
    def overlay_holds_nothing_but_what_is_outstanding(self):
        paths = {path for outstanding in self.leader.outstanding for path, *_ in outstanding.written}
        assert len(self.leader.overlay) <= len(paths)

    @invariant()
    def walks_that_ended_cost_nothing(self):
        assert len(self.leader.tree.walks) <= len(self.walks)


# Finding the smallest program that fails takes longer than a test may hang.
TestTree = pytest.mark.timeout(900)(TreeMachine.TestCase)
TestTree.settings = settings(
    max_examples=50,
    stateful_step_count=40,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
