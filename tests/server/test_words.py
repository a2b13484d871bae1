"""Four-letter words: outputs beside Apache's, and how they travel. Source: docs/protocol/operations.md section 1."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import pytest
import uvloop

from pyzk.codec.opcodes import AddWatchMode, OpCode
from pyzk.codec.requests import PathTypeRequest
from pyzk.server.admin.reports import average
from pyzk.server.admin.words import WORDS
from pyzk.server.clients import label_of
from pyzk.server.standalone import Server
from pyzk.service.counters import Summary
from tests.server.shell import Wire, ask_word, running

Run = Callable[[Coroutine[None, None, None]], None]
VECTORS = Path(__file__).parents[1] / "vectors" / "fourletter"
NAMES = sorted(word.decode() for word in WORDS if word.isalpha())
HOST = "zk1.example.com"
TELEGRAF_LINE = re.compile(r"^zk_(\w+)\s+([\w\.\-]+)")
MASKS = [
    (r"Zookeeper version: .*|(zookeeper.version=).*|(zk_version\t).*", "VERSION"),
    (r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \w+ \d{4}", "DATE"),
    (r"0x[0-9a-f]+", "HEX"),
    (r"lop=\w+", "lop=OPERATION"),
    (r"=/.*version-2", "=DIRECTORY"),
    (r"\[\d\]", "[INTEREST]"),
    (r"\d+\.\d+(?!\.)", "DECIMAL"),
    (r"\d+", "NUMBER"),
]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine: what depends on the transport must hold on both loops."""
    loop_runner: Run = request.param
    return loop_runner


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with running() as server:
        yield server


@pytest.fixture
async def clients(server: Server) -> AsyncIterator[list[Wire]]:
    """Those of the vectors: two sessions with ephemerals and watches."""
    both = [await Wire.session(server) for _ in range(2)]
    await both[0].ask(both[0].create(b"/app"))
    for wire, folder in zip(both, (b"/app/a", b"/app/b"), strict=True):
        await wire.ask(wire.create(folder))
        await wire.ask(wire.create(folder + b"/n", flags=1))
        await wire.ask(wire.create(folder + b"/seq-", flags=3))
        await wire.ask(wire.exists(folder + b"/missing", watch=True))
        await wire.ask(wire.get_children(folder, watch=True))
    await both[1].ask(both[1].get_data(b"/app/b", watch=True))
    for wire in both:
        await wire.ask(wire.ping())
    yield both
    for wire in both:
        await wire.close()


async def ask(server: Server, name: str) -> str:
    return (await ask_word(server, name.encode())).decode()


def vector(name: str) -> str:
    """The capture; its host was named vm, which has been replaced inside a metric's name as well."""
    return (VECTORS / f"{name}.txt").read_text().replace(f"_j{HOST}_", "_jvm_")


def masked(line: str) -> str:
    for pattern, name in MASKS:
        line = re.sub(pattern, name, line)
    return line


def assert_alike(ours: str, theirs: str, *, in_order: bool = True) -> None:
    """The same lines but for numbers, dates and names; prints how much was compared in full."""
    lines, expected = ours.split("\n"), theirs.split("\n")
    full = sum(line == masked(line) for line in expected)
    print(f"{len(expected)} lines compared, {full} of them in full, {len(expected) - full} masked")
    both = [[masked(line) for line in text] for text in (lines, expected)]
    if not in_order:
        both = [sorted(text) for text in both]
    assert both[0] == both[1]


@pytest.mark.usefixtures("clients")
@pytest.mark.parametrize("name", ["conf", "crst", "dirs", "isro", "ruok", "srst", "srvr", "wchs"])
async def test_a_word_answers_line_by_line_as_apache(server: Server, name: str) -> None:
    assert_alike(await ask(server, name), vector(f"{name}.standalone"))


@pytest.mark.usefixtures("clients")
@pytest.mark.parametrize("name", ["cons", "stat", "wchc", "wchp"])
async def test_a_word_with_a_list_in_any_order_answers_as_apache(server: Server, name: str) -> None:
    assert_alike(await ask(server, name), vector(f"{name}.standalone"), in_order=False)


@pytest.mark.parametrize("name", ["cons", "stat", "wchc", "wchp", "wchs"])
async def test_a_word_without_clients_answers_as_apache(server: Server, name: str) -> None:
    assert_alike(await ask(server, name), vector(f"{name}.standalone-no-clients"))


@pytest.mark.usefixtures("clients")
async def test_stat_keeps_the_order_that_datadog_needs(server: Server) -> None:
    lines = (await ask(server, "stat")).split("\n")
    starts = [line.split(":")[0] for line in lines if not line.startswith(" ")]
    assert starts == [
        *("Zookeeper version", "Clients", "", "Latency min/avg/max", "Received", "Sent", "Connections"),
        *("Outstanding", "Zxid", "Mode", "Node count", ""),
    ]


def without_buckets(text: str) -> str:
    """Who falls into which tick is a matter of luck, and Apache keeps buckets that everybody has left."""
    assert masked(text).count("NUMBER expire at DATE:\n") >= 1
    text = re.sub(r"^\d+ expire at .*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"Sets \(\d+\)", "Sets (1)", text)


@pytest.mark.usefixtures("clients")
@pytest.mark.parametrize("state", ["standalone", "standalone-no-clients"])
async def test_dump_answers_as_apache(server: Server, clients: list[Wire], state: str) -> None:
    if state != "standalone":
        for wire in clients:
            await wire.ask(wire.close_session())
            assert await wire.rest() == b""
    ours, theirs = (without_buckets(text) for text in (await ask(server, "dump"), vector(f"dump.{state}")))
    if state == "standalone":
        assert_alike(ours, theirs, in_order=False)
    else:
        assert_alike(ours, theirs)


async def test_dump_tells_of_a_session_that_expires_later(server: Server) -> None:
    wires = [await Wire.session(server, timeout_ms) for timeout_ms in (6000, 60_000)]
    text = await ask(server, "dump")
    assert "Session Sets (2)/(2):" in text
    assert all(f"\t0x{wire.response.session_id:x}\n" in text for wire in wires if wire.response)
    for wire in wires:
        await wire.close()


async def test_envi_has_the_keys_of_apache_and_then_ours(server: Server) -> None:
    lines = (await ask(server, "envi")).splitlines()
    expected = vector("envi.standalone").splitlines()
    keys = [line.partition("=")[0] for line in lines]
    assert keys[: len(expected)] == [line.partition("=")[0] for line in expected]
    assert all(key.startswith("python.") for key in keys[len(expected) :])
    assert re.match(r"zookeeper\.version=\d+\.\d+\.\d+", lines[1])


@pytest.mark.usefixtures("clients")
async def test_mntr_has_nothing_but_what_apache_has_in_the_same_form(server: Server) -> None:
    theirs = dict(line.split("\t") for line in vector("mntr.standalone").splitlines())
    lines = (await ask(server, "mntr")).splitlines()
    assert lines[0].startswith("zk_version\t")
    for line in lines:
        assert TELEGRAF_LINE.match(line)
        key, value = line.split("\t")
        assert masked(f"={value}") == masked(f"={theirs[key]}") or key == "zk_version" or value in ("0", "0.0")
    print(f"{len(lines)} keys of {len(theirs)}")


@pytest.mark.usefixtures("clients")
async def test_mntr_has_what_agents_read(server: Server) -> None:
    found = dict(line.split("\t") for line in (await ask(server, "mntr")).splitlines())
    assert found["zk_server_state"] == "standalone"
    assert (found["zk_znode_count"], found["zk_ephemerals_count"], found["zk_global_sessions"]) == ("12", "4", "2")
    assert (found["zk_watch_count"], found["zk_num_alive_connections"]) == ("5", "3")
    assert (found["zk_cnt_readlatency"], found["zk_cnt_updatelatency"]) == ("7", "9")
    assert found["zk_connection_request_count"] == "2"
    assert int(found["zk_cnt_fsynctime"]) == 9
    agents_read = """avg_latency max_latency min_latency packets_received packets_sent outstanding_requests
        approximate_data_size open_file_descriptor_count max_file_descriptor_count uptime auth_failed_count
        connection_rejected"""
    assert {f"zk_{name}" for name in agents_read.split()} <= set(found)


async def test_hash_tells_a_digest_for_each_128_txns(server: Server) -> None:
    assert await ask(server, "hash") == ""
    wire = await Wire.session(server)
    wire.send(*[wire.set_data(b"/", b"x") for _ in range(300)])
    await wire.replies(300)
    assert_alike(re.sub(r"^[0-9a-f]+:", "80:", await ask(server, "hash"), flags=re.MULTILINE), "80: 1\n80: 1\n")
    await wire.close()


async def test_a_word_counts_as_a_packet_and_resets_count_from_nothing(server: Server) -> None:
    async def received() -> int:
        found = re.search(r"Received: (\d+)", await ask(server, "srvr"))
        assert found is not None
        return int(found[1])

    before = await received()
    assert await received() == before + 1
    await ask(server, "srst")
    assert await received() == 1


async def test_crst_forgets_what_connections_did(server: Server, clients: list[Wire]) -> None:
    await ask(server, "crst")
    lines = (await ask(server, "cons")).splitlines()
    sessions = [line for line in lines if "sid=" in line]
    assert len(sessions) == 2
    for line in sessions:
        assert "recved=0,sent=0" in line
        assert "lop=NA" in line
        assert "lcxid" not in line
        assert "lzxid=0xffffffffffffffff" in line
    await clients[0].ask(clients[0].get_children(b"/"))
    assert "lop=GETC" in await ask(server, "cons")


async def test_cons_tells_the_last_operation_and_its_numbers(server: Server) -> None:
    wire = await Wire.session(server)
    assert ",lop=SESS," in await ask(server, "cons")
    await wire.ask(wire.request(OpCode.ADD_WATCH, PathTypeRequest(b"/", AddWatchMode.PERSISTENT), 0x99))
    assert ",lop=ADDW," in await ask(server, "cons")
    await wire.ask(wire.ping())
    line = next(line for line in (await ask(server, "cons")).splitlines() if "sid=" in line)
    assert ",lop=PING," in line
    assert ",lcxid=0x99," in line
    assert ",lzxid=0x1," in line
    assert ",to=60000," in line
    await wire.close()


async def test_masks_are_told_and_kept(server: Server) -> None:
    assert await ask(server, "gtmk") == "306"
    assert await ask_word(server, b"stmk" + (5).to_bytes(8, "big")) == b"5"
    assert await ask(server, "gtmk") == "5"


async def test_the_mask_of_stmk_may_come_later(server: Server) -> None:
    wire = await Wire.open(server)
    for piece in (b"stm", b"k", bytes(7), b"\x07"):
        wire.send(piece)
        await wire.writer.drain()
    assert await wire.rest() == b"7"
    await wire.close()


# Transport.


@pytest.mark.parametrize("data", [b"ruok", b"ruok\n", b"ruok\r\n", b"ruoksrvr", b"ruok" + bytes(1000)])
def test_what_follows_a_word_is_ignored(run: Run, data: bytes) -> None:
    async def talk() -> None:
        async with running() as server:
            assert await ask_word(server, data, half_close=True) == b"imok"
            assert await ask_word(server, data, half_close=False) == b"imok"

    run(talk())


def test_a_word_may_come_in_pieces(run: Run) -> None:
    async def talk() -> None:
        async with running() as server:
            wire = await Wire.open(server)
            for piece in (b"r", b"uo", b"k"):
                wire.send(piece)
                await wire.writer.drain()
                await asyncio.sleep(0)
            assert await wire.rest() == b"imok"
            await wire.close()

    run(talk())


@pytest.mark.parametrize("data", [b"abcd", b"RUOK", b"Ruok", b"\xff\xf4\xff\xfc"])
async def test_what_is_no_word_is_a_frame_that_cannot_be(server: Server, data: bytes) -> None:
    assert await ask_word(server, data, half_close=False) == b""


def test_a_long_answer_goes_out_whole_to_a_client_that_has_closed_its_side(run: Run) -> None:
    """Longer than what sockets buffer, so that the answer goes on after the end of the client's stream was seen."""
    paths = [b"/%d/%s" % (number, b"x" * 3000) for number in range(3000)]

    async def talk() -> None:
        async with running() as server:
            wire = await Wire.session(server)
            for path in paths:
                wire.send(wire.request(OpCode.ADD_WATCH, PathTypeRequest(path, AddWatchMode.PERSISTENT)))
            await wire.replies(len(paths))
            answer = await ask_word(server, b"wchp")
            assert len(answer) == sum(len(path) + len("\n\t0x\n") + 15 for path in paths) + 1
            await wire.close()

    run(talk())


async def test_paths_that_are_no_text_are_told_as_they_are(server: Server) -> None:
    wire = await Wire.session(server)
    await wire.ask(wire.exists(b"/\xff\xfe", watch=True))
    assert b"\n\t/\xff\xfe\n" in await ask_word(server, b"wchc")
    await wire.close()


# Who may ask.


@pytest.mark.parametrize("name", NAMES)
async def test_a_word_that_is_not_allowed_says_so(name: str) -> None:
    async with running(four_letter_whitelist=frozenset()) as server:
        assert await ask(server, name) == f"{name} is not executed because it is not in the whitelist.\n"


async def test_only_what_is_listed_is_allowed() -> None:
    async with running(four_letter_whitelist=frozenset({"ruok"})) as server:
        assert await ask(server, "ruok") == "imok"
        assert "whitelist" in await ask(server, "isro")


async def test_telnets_interrupt_closes() -> None:
    for allowed, answer in (
        (frozenset({"*"}), b""),
        (frozenset({"ruok"}), b"telnet close is not executed because it is not in the whitelist.\n"),
    ):
        async with running(four_letter_whitelist=allowed) as server:
            assert await ask_word(server, b"\xff\xf4\xff\xfd", half_close=False) == answer


@pytest.mark.parametrize("name", NAMES)
async def test_a_server_that_stops_says_what_apache_says_then(server: Server, name: str) -> None:
    server.stopped.set()
    answer, expected = await ask(server, name), vector(f"{name}.not-serving")
    if name in ("envi", "gtmk", "stmk"):
        assert "not currently serving" not in answer
    else:
        assert answer == expected


# Numbers.


@pytest.mark.parametrize(
    ("total", "count", "text"),
    [
        (0, 0, "0.0"),
        (0, 7, "0.0"),
        (3, 2, "1.5"),
        (50_063, 31_000, "1.6149"),
        (1, 3, "0.3333"),
        (2, 3, "0.6667"),
        (1, 20_000, "0.0001"),
        (1, 20_001, "0.0"),
        (30_001, 20_000, "1.5001"),
        (7, 1, "7.0"),
        (10**15, 7, "142857142857142.8571"),
    ],
)
def test_an_average_has_one_to_four_decimals_rounded_half_up(total: int, count: int, text: str) -> None:
    assert average(Summary(count, total)) == text


@pytest.mark.parametrize(
    ("address", "label"),
    [("10.0.0.7", "/10.0.0.7:99"), ("::1", "/0:0:0:0:0:0:0:1:99"), ("fe80::a0%eth0", "/fe80:0:0:0:0:0:0:a0%eth0:99")],
)
def test_addresses_are_written_as_java_does(address: str, label: str) -> None:
    assert label_of(address, 99) == label
