"""The audit log: the lines of Apache's, and nothing that should not be in a log."""

import re
from pathlib import Path

from structlog.testing import capture_logs

from pyzk.codec.opcodes import OpCode
from pyzk.codec.record import Record
from pyzk.codec.records import ACL, open_acl
from pyzk.codec.requests import AuthRequest, CreateRequest, MultiRequest, SetACLRequest, SetDataRequest
from pyzk.server.auditlog import server_user
from pyzk.service.audit import AuditRecord, acl_text, users
from tests.server.ensemble import ensemble
from tests.server.shell import Wire, running

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO |ERROR) audit\.Slf4jAuditLogger: (.*)")


def lines(path: Path) -> list[tuple[str, str]]:
    """Level and message, with session ids and users of the machine replaced."""
    found = [LINE.fullmatch(line) for line in path.read_text().splitlines()]
    assert all(found)
    return [(match[1].strip(), match[2].replace(server_user(), "root")) for match in found if match]


def masked(messages: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(level, re.sub(r"session=0x[0-9a-f]+", "session=S", text)) for level, text in messages]


async def test_the_lines_are_those_of_apache(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    async with running(tmp_path / "data", audit_enabled=True, audit_file=str(path)) as server:
        wire = await Wire.session(server)
        await wire.ask(wire.create(b"/live", flags=1))
        await wire.ask(wire.create(b"/p"))
        await wire.ask(wire.create(b"/p"))
        await wire.ask(wire.create(b"/p/s-", flags=2))
        await wire.ask(wire.set_data(b"/p", b"secret data"))
        acl = [ACL(31, b"world", b"anyone"), ACL(1, b"ip", b"10.0.0.0/8")]
        await wire.ask(wire.request(OpCode.SET_ACL, SetACLRequest(b"/p", acl, -1)))
        await wire.ask(wire.delete(b"/p/s-0000000000"))
        await wire.ask(wire.get_data(b"/p"))
        await wire.ask(wire.close_session())
        await wire.close()
    who = "session=S\tuser=127.0.0.1\tip=127.0.0.1\t"
    assert masked(lines(path)) == [
        ("INFO", "user=root\toperation=serverStart\tresult=success"),
        ("INFO", f"{who}operation=create\tznode=/live\tznode_type=ephemeral\tresult=success"),
        ("INFO", f"{who}operation=create\tznode=/p\tznode_type=persistent\tresult=success"),
        ("ERROR", f"{who}operation=create\tznode=/p\tznode_type=persistent\tresult=failure"),
        ("INFO", f"{who}operation=create\tznode=/p/s-0000000000\tznode_type=persistent_sequential\tresult=success"),
        ("INFO", f"{who}operation=setData\tznode=/p\tresult=success"),
        ("INFO", f"{who}operation=setAcl\tznode=/p\tacl=world:anyone:cdrwaip:10.0.0.0/8:r\tresult=success"),
        ("INFO", f"{who}operation=delete\tznode=/p/s-0000000000\tresult=success"),
        (
            "INFO",
            "session=S\tuser=root\toperation=ephemeralZNodeDeletionOnSessionCloseOrExpire\tznode=/live\tresult=success",
        ),
        ("INFO", "user=root\toperation=serverStop\tresult=invoked"),
    ]
    assert "secret data" not in path.read_text()


def create(path: bytes, flags: int = 0) -> tuple[int, Record]:
    return OpCode.CREATE, CreateRequest(path, b"", open_acl(), flags)


def multi(wire: Wire, *ops: tuple[int, Record]) -> bytes:
    return wire.request(OpCode.MULTI, MultiRequest(list(ops)))


async def test_a_multi_has_a_line_for_each_part_or_one_for_its_failure(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    async with running(tmp_path / "data", audit_enabled=True, audit_file=str(path)) as server:
        wire = await Wire.session(server)
        await wire.ask(multi(wire, create(b"/a"), create(b"/b", 2), (OpCode.SET_DATA, SetDataRequest(b"/a", b"x", -1))))
        await wire.ask(multi(wire, create(b"/c"), create(b"/a")))
        await wire.close()
    found = [text.partition("operation=")[2] for _, text in lines(path)]
    assert found[1:5] == [
        "create\tznode=/a\tznode_type=persistent\tresult=success",
        "create\tznode=/b0000000001\tznode_type=persistent_sequential\tresult=success",
        "setData\tznode=/a\tresult=success",
        "multiOperation\tresult=failure",
    ]


async def test_who_has_authenticated_is_named_without_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    async with running(tmp_path / "data", audit_enabled=True, audit_file=str(path)) as server:
        wire = await Wire.session(server)
        await wire.ask(wire.request(OpCode.AUTH, AuthRequest(0, b"digest", b"bob:hunter2"), xid=-4))
        await wire.ask(wire.create(b"/a"))
        await wire.close()
    assert "user=127.0.0.1,bob\t" in path.read_text()
    assert "hunter2" not in path.read_text()


def test_hashes_of_passwords_are_not_told() -> None:
    assert users([(b"ip", b"::1"), (b"digest", b"bob:abc="), (b"super", b"")]) == "::1,bob"
    assert (
        users([(b"sasl", b"zk/host@REALM"), (b"x509", b"CN=a,O=b"), (b"ticket", b"c:d")])
        == "zk/host@REALM,CN=a,O=b,c:d"
    )
    assert acl_text([ACL(31, b"digest", b"bob:abc=")]) == "digest:bob:cdrwa"


def test_a_znode_cannot_write_lines_of_its_own() -> None:
    text = AuditRecord("create", "success", znode="/a\nuser=root\toperation=x").text()
    assert text == "operation=create\tznode=/a\\nuser=root\\toperation=x\tresult=success"


async def test_without_a_file_records_are_events_of_the_log(tmp_path: Path) -> None:
    with capture_logs() as captured:
        async with running(tmp_path / "data", audit_enabled=True) as server:
            wire = await Wire.session(server)
            await wire.ask(wire.create(b"/a"))
            await wire.ask(wire.create(b"/a"))
            await wire.close()
    events = [event for event in captured if event["event"] == "audit"]
    assert [(event["operation"], event["log_level"]) for event in events[:3]] == [
        ("serverStart", "info"),
        ("create", "info"),
        ("create", "error"),
    ]


async def test_only_the_server_of_the_client_writes_its_records() -> None:
    async with ensemble(audit_enabled=True) as three:
        with capture_logs() as captured:
            wire = await Wire.session(three[three.followers()[0]])
            await wire.ask(wire.create(b"/a", flags=1))
            await three.level()
            await wire.ask(wire.close_session())
            await three.level()
            await wire.close()
    operations = [event["operation"] for event in captured if event["event"] == "audit"]
    assert operations[:2] == ["create", "ephemeralZNodeDeletionOnSessionCloseOrExpire"]
    assert set(operations[2:]) <= {"serverStop"}


async def test_without_the_switch_nothing_is_written(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as server:
        assert server.audit is None
        assert server.peer.service.auditor is None
