"""From what users write to records, and from replies to what users get."""

import pytest

from pyzk.client import operations
from pyzk.client.operations import digest_acl, first_failure, make_acl, result_of, to_bytes, to_text
from pyzk.codec.opcodes import CreateMode, OpCode, Perms
from pyzk.codec.records import ACL, Stat, open_acl
from pyzk.codec.replies import ChildrenReply, DataReply, EmptyReply, ErrorReply, PathReply, PathStatReply, StatReply
from pyzk.codec.requests import CreateRequest, CreateTTLRequest
from pyzk.errors import BadVersionError, NoNodeError, RuntimeInconsistencyError, SystemRequestError

STAT = Stat(*range(11))


@pytest.mark.parametrize(
    ("mode", "ttl_ms", "stat", "opcode"),
    [
        (CreateMode.PERSISTENT, None, False, OpCode.CREATE),
        (CreateMode.EPHEMERAL_SEQUENTIAL, None, True, OpCode.CREATE2),
        (CreateMode.CONTAINER, None, False, OpCode.CREATE_CONTAINER),
        (CreateMode.CONTAINER, None, True, OpCode.CREATE_CONTAINER),
        (CreateMode.PERSISTENT_WITH_TTL, 5, False, OpCode.CREATE_TTL),
        (CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, 5, True, OpCode.CREATE_TTL),
    ],
)
def test_opcode_of_a_create_follows_from_its_mode(mode, ttl_ms, stat, opcode):
    expected = CreateRequest(b"/a", b"x", open_acl(), mode)
    if ttl_ms is not None:
        expected = CreateTTLRequest(b"/a", b"x", open_acl(), mode, ttl_ms)
    assert operations.create("/a", b"x", mode=mode, ttl_ms=ttl_ms, stat=stat) == (opcode, expected)


@pytest.mark.parametrize(("mode", "ttl_ms"), [(CreateMode.PERSISTENT, 5), (CreateMode.PERSISTENT_WITH_TTL, None)])
def test_ttl_belongs_to_modes_with_ttl(mode, ttl_ms):
    with pytest.raises(ValueError, match="ttl_ms"):
        operations.create("/a", mode=mode, ttl_ms=ttl_ms)


def test_empty_acl_is_sent_as_it_is():
    assert operations.create("/a", acl=[])[1].acl == []


def test_acl_helpers_make_the_wire_s_entries():
    assert make_acl() == open_acl()[0]
    assert make_acl(Perms.READ | Perms.WRITE, "ip", "10.0.0.0/8") == ACL(3, b"ip", b"10.0.0.0/8")
    # From the documentation of Apache's super user: the digest of super:admin.
    assert digest_acl("super", "admin", Perms.READ) == ACL(1, b"digest", b"super:xQJmxLMiHGwaqBvst5y6rkB6HQs=")


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        (PathReply("/ä".encode()), "/ä"),
        (PathStatReply(b"/a", STAT), ("/a", STAT)),
        (StatReply(STAT), STAT),
        (DataReply(None, STAT), (None, STAT)),
        (ChildrenReply([b"a", b"b"]), ["a", "b"]),
        (ChildrenReply(None), []),
        (EmptyReply(), None),
    ],
)
def test_reply_becomes_what_the_user_gets(reply, result):
    assert result_of(operations.delete("/a"), reply) == result


@pytest.mark.parametrize(
    ("err", "kind"),
    [
        (0, RuntimeInconsistencyError),
        (-2, RuntimeInconsistencyError),
        (-101, NoNodeError),
        (-9999, SystemRequestError),
    ],
)
def test_error_of_an_op_becomes_its_exception_and_names_it(err, kind):
    error = result_of(operations.delete("/a"), ErrorReply(err))
    assert type(error) is kind
    assert str(error).startswith("delete /a")


def test_first_failure_is_the_cause_and_not_its_consequences():
    undone, cause = RuntimeInconsistencyError("a"), BadVersionError("b")
    assert first_failure([undone, cause, undone]) is cause
    assert first_failure([undone]) is undone
    assert first_failure([None, "/a"]) is None


def test_bytes_that_are_no_utf8_go_back_as_they_came():
    assert to_bytes(to_text(b"/\xff\xfe")) == b"/\xff\xfe"
    assert to_text(None) == ""
