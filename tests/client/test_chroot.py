"""Paths on their way out and in."""

from hypothesis import given
from hypothesis import strategies as st

from pyzk.client.chroot import Chroot
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import Stat
from pyzk.codec.replies import EphemeralsReply, ErrorReply, MultiReply, PathReply, PathStatReply
from pyzk.codec.requests import REQUESTS, EmptyRequest, MultiRequest, PathRequest, PathVersionRequest

APP = Chroot(b"/app")
names = st.lists(st.binary(min_size=1).filter(lambda name: b"/" not in name), max_size=5)
paths = names.map(lambda parts: b"/" + b"/".join(parts))


@given(paths, paths)
def test_strip_undoes_add(prefix, path):
    chroot = Chroot(prefix.rstrip(b"/"))
    assert chroot.strip(chroot.add(path)) == path
    assert chroot.inside(chroot.add(path))


def test_root_is_the_prefix_itself():
    assert APP.add(b"/") == APP.add(b"") == b"/app"
    assert APP.strip(b"/app") == b"/"


def test_path_without_a_slash_cannot_leave_the_chroot():
    assert APP.add(b"le") == b"le"


def test_paths_outside_stay_as_they_are():
    assert APP.strip(b"/apple/x") == b"/apple/x"
    assert Chroot(b"").strip(b"/app") == b"/app"


def test_every_request_with_a_path_gets_the_prefix():
    for opcode, kind in REQUESTS.items():
        if "path" in kind.__match_args__:
            values = {"path": b"/x", "data": b"", "acl": None, "watch": False}
            record = kind(*[values.get(name, 0) for name in kind.__match_args__])
            assert APP.request(opcode, record).path == b"/app/x", kind
            assert record.path == b"/x", "the caller's record is not touched"
    assert APP.request(OpCode.PING, EmptyRequest()) == EmptyRequest()


def test_every_op_of_a_multi_gets_the_prefix():
    request = MultiRequest([(OpCode.DELETE, PathVersionRequest(b"/x", 1)), (OpCode.CHECK, PathVersionRequest(b"/", 2))])
    assert [record.path for _, record in APP.request(OpCode.MULTI, request).ops] == [b"/app/x", b"/app"]
    reply = MultiReply([(OpCode.CREATE, PathReply(b"/app/x")), (-1, ErrorReply(-2))])
    assert APP.reply(reply).results == [(OpCode.CREATE, PathReply(b"/x")), (-1, ErrorReply(-2))]


def test_null_path_stays_null_except_as_prefix_of_ephemerals():
    assert APP.request(OpCode.SYNC, PathRequest(None)).path is None
    assert APP.request(OpCode.GET_EPHEMERALS, PathRequest(None)).path == b"/app"


def test_ephemerals_outside_are_not_shown():
    reply = EphemeralsReply([b"/app/x", b"/apple", b"/app"])
    assert APP.reply(reply) == EphemeralsReply([b"/x", b"/"])


def test_reply_paths_lose_the_prefix():
    assert APP.reply(PathReply(b"/app/x")) == PathReply(b"/x")
    assert APP.reply(PathStatReply(b"/app/x", Stat(*[0] * 11))).path == b"/x"
    assert APP.reply(PathReply(None)) == PathReply(None)
