"""The differential runner itself, and a short run of it beside Apache's server where there is one."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tests.interop.__main__ as command
from pyzk.codec.opcodes import TTL_MODES, OpCode
from pyzk.codec.record import Record
from pyzk.codec.records import ReplyHeader, Stat, WatcherEvent
from pyzk.codec.replies import ChildrenReply, StatReply
from pyzk.codec.requests import CreateRequest, CreateTTLRequest, MultiRequest, SetDataRequest
from pyzk.errors import DecodeError
from pyzk.tree.quota import Quota, path_of_limits, path_of_stats
from tests.interop.apache import UnavailableError, class_path, need
from tests.interop.differential import Pair, first_difference, kind_of, shrink
from tests.interop.differential_known import Difference, find_known
from tests.interop.differential_masks import Masks
from tests.interop.differential_programs import make_program
from tests.interop.differential_steps import AnyStep, Drop, Program, Request, Send, root_of

PING = Request(OpCode.PING, b"")
EXISTS = Request(OpCode.EXISTS, b"")
PROGRAMS_SHORT = 100


def record_of(request: Request) -> object:
    kinds: dict[int, type[Record]] = {
        OpCode.CREATE_TTL: CreateTTLRequest,
        OpCode.SET_DATA: SetDataRequest,
        OpCode.MULTI: MultiRequest,
    }
    kind = kinds.get(OpCode(request.opcode), CreateRequest)
    try:
        return kind.from_bytes(request.body)
    except DecodeError:
        return None


def writes(program: Program) -> list[tuple[object, bool]]:
    """Decoded creates and setData of a program, and whether each stands inside a multi."""
    opcodes = {OpCode.CREATE, OpCode.CREATE2, OpCode.CREATE_CONTAINER, OpCode.CREATE_TTL, OpCode.SET_DATA, OpCode.MULTI}
    found: list[tuple[object, bool]] = []
    for step in program.steps:
        for request in step.requests if isinstance(step, Send) else ():
            record = record_of(request) if request.opcode in opcodes else None
            found += [(op, True) for _, op in record.ops] if isinstance(record, MultiRequest) else [(record, False)]
    return found


def stops_apache(record: object, *, in_multi: bool) -> bool:
    if isinstance(record, CreateTTLRequest) and not in_multi:
        return record.flags not in TTL_MODES and record.ttl_ms < 0
    if isinstance(record, CreateRequest | SetDataRequest) and record.path:
        unparsable = path_of_stats(record.path) is not None and Quota.parse(record.data) is None
        return unparsable or path_of_limits(record.path) == b""
    return False


def test_no_program_holds_what_stops_apache_for_good() -> None:
    for number in range(500):
        for record, in_multi in writes(make_program(0, number)):
            assert not stops_apache(record, in_multi=in_multi), f"program {number} of seed 0: {record}"


def test_a_program_is_always_the_same_for_its_seed_and_number() -> None:
    assert make_program(5, 17) == make_program(5, 17)
    assert make_program(5, 17) != make_program(5, 18)
    assert make_program(5, 17) != make_program(6, 17)


def test_programs_can_be_read() -> None:
    for number in range(50):
        assert len(str(make_program(0, number)).splitlines()) >= len(make_program(0, number).steps)


def reply(xid: int, zxid: int, err: int = 0, body: bytes = b"") -> bytes:
    return ReplyHeader(xid, zxid, err).encode() + body


def stat(czxid: int, mtime: int = 5, owner: int = 0) -> Stat:
    return Stat(czxid, czxid, 5, mtime, 0, 0, 0, owner, 0, 0, czxid)


def test_zxids_are_shown_from_where_the_program_began() -> None:
    masks = Masks(root_of(1), 100)
    shown = [masks.zxid(zxid) for zxid in (0, -1, 99, 100, 101, 117)]
    assert shown == ["0", "-1", "old", "old", "z+1", "z+17"]


def test_a_time_must_be_that_of_its_txn() -> None:
    masks = Masks(root_of(1), 0)
    assert "of another txn" not in masks.record(stat(7))
    assert "of another txn" in masks.record(stat(7, mtime=6))


def test_sessions_are_numbered_as_they_come() -> None:
    masks = Masks(root_of(1), 0)
    assert [masks.session(session) for session in (77, 99, 77, 0)] == ["S0", "S1", "S0", "none"]


def test_the_order_of_children_does_not_count() -> None:
    masks = Masks(root_of(1), 0)
    shown = [
        masks.reply(Request(OpCode.GET_CHILDREN, b""), reply(1, 1, body=ChildrenReply(names).encode()))
        for names in ([b"a", b"b"], [b"b", b"a"])
    ]
    assert shown[0] == shown[1]


def test_bytes_that_no_record_encodes_to_are_shown() -> None:
    masks = Masks(root_of(1), 0)
    exact = reply(1, 1, body=StatReply(stat(1)).encode())
    assert "raw" not in masks.reply(EXISTS, exact)
    assert "raw" in masks.reply(EXISTS, exact + b"x")
    assert "body 78" in masks.reply(EXISTS, reply(1, 1, -101, b"x"))
    assert "unreadable" in masks.reply(EXISTS, exact[:-1])


def test_the_root_of_a_run_is_shown_as_the_placeholder() -> None:
    event = WatcherEvent(1, 3, root_of(12) + b"/a").encode()
    assert "'/R0000000/a'" in Masks(root_of(12), 0).event(reply(-1, 5, body=event))


def test_the_first_line_that_differs_is_found() -> None:
    program = Program(1, 1, (Drop(0), Drop(1)))
    assert first_difference(program, [["a"], ["b"]], [["a"], ["b"]]) is None
    assert first_difference(program, [["a"], ["b"]], [["a"], ["b", "c"]]) == Difference(1, Drop(1), "nothing", "c")
    assert first_difference(program, [["a"], ["b"], ["t"]], [["a"], ["b"], ["u"]]) == Difference(2, None, "t", "u")


def test_kinds_of_lines_are_told_apart() -> None:
    assert kind_of("on 2: event node_created '/a' zxid z+1") == "event node_created"
    assert kind_of("exists xid 3 zxid z+4 err -101") == "exists err -101"
    assert kind_of("opcode 99 xid 3 zxid -1 err -6") == "opcode 99 err -6"
    assert kind_of("hung up") == "hung"


class PairThat(Pair):
    """Two servers that differ over programs for which `differs` is true."""

    def __init__(self, differs: Callable[[tuple[AnyStep, ...]], bool]) -> None:
        self.names = ("3.9", "pyzk")
        self._differs = differs

    def compare(self, program: Program) -> Difference | None:
        return Difference(0, None, "a", "b") if self._differs(program.steps) else None


def test_shrinking_leaves_the_steps_and_requests_that_matter() -> None:
    steps: tuple[AnyStep, ...] = (*[Drop(n) for n in range(20)], Send(0, (EXISTS, PING, EXISTS)), Drop(30))

    def differs(steps: tuple[AnyStep, ...]) -> bool:
        return Drop(7) in steps and any(isinstance(step, Send) and PING in step.requests for step in steps)

    assert shrink(PairThat(differs), Program(1, 1, steps)).steps == (Drop(7), Send(0, (PING,)))


def test_what_is_documented_is_known_for_its_servers_only() -> None:
    difference = Difference(0, None, "exists xid 1 zxid z+5 err -102", "exists xid 1 zxid z+5 err 0 stat=...")
    assert find_known(difference, ("3.9", "3.8"))
    assert find_known(difference, ("3.9", "pyzk")) is None


def run_beside_apache(module: str, *options: str) -> None:
    try:
        need("java")
        class_path("3.9")
    except UnavailableError as missing:
        pytest.skip(str(missing))
    command = [sys.executable, "-m", f"tests.interop.{module}", *options]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=110, check=False)
    print(done.stdout[-5000:], done.stderr[-2000:])
    assert done.returncode == 0


@pytest.mark.interop
def test_pyzk_answers_random_programs_as_apache_does() -> None:
    run_beside_apache("differential", "--programs", str(PROGRAMS_SHORT))


@pytest.mark.interop
def test_two_servers_of_apache_do_not_differ() -> None:
    run_beside_apache("differential", "--right", "3.9", "--programs", "20", "--port", "25110")


@pytest.mark.interop
def test_either_server_opens_what_the_other_wrote() -> None:
    run_beside_apache("differential_swap", "--programs", "30")


def test_the_command_hands_the_runners_own_options_over(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(command, "differential", lambda rest: seen.append(rest) or 0)
    monkeypatch.setattr(sys, "argv", ["interop", "differential", "--programs", "3", "--seed", "5", "--only", "2"])
    assert command.main() == 0
    assert seen == [["--programs", "3", "--seed", "5", "--only", "2"]]
