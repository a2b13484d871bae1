"""`pyzk top`: reads every captured answer, reckons rates, draws."""

import asyncio
import json
from pathlib import Path

import pytest

from pyzk.tools.main import main
from pyzk.tools.top import command, words
from pyzk.tools.top.command import once, watch
from pyzk.tools.top.sample import frame
from pyzk.tools.top.words import WORDS, ask_all, read_answers

CAPTURED = Path(__file__).parents[2] / "vectors" / "fourletter"
STATES = ("leader", "follower", "observer", "standalone", "read-only")


def captured(state, at=1.0, **changes):
    texts = {word: (CAPTURED / f"{word}.{state}.txt").read_text() for word in WORDS}
    return read_answers(f"{state}:2181", at, texts | changes)


@pytest.mark.parametrize("state", STATES)
def test_captured_answers_are_understood(state):
    answers = captured(state)
    assert not answers.problem
    made = frame([answers], None)
    row = made.servers[0]
    assert row.state == state
    assert row.zxid.startswith("0x")
    assert row.latency_ms.count("/") == 2
    assert row.znodes > 0
    assert made.notes == []
    assert row.received_per_s is None


def test_clients_and_watched_paths_come_from_cons_and_wchp():
    made = frame([captured("standalone")], None)
    assert [row.client for row in made.clients] == ["127.0.0.1:53882", "127.0.0.1:53890"]
    assert made.clients[0].session == "0x100000b81fb0002"
    assert made.clients[0].latency_ms == "0/1/14"
    watched = {row.path: row.watchers for row in made.paths}
    assert watched["/app/b"] == 1


def test_reads_and_writes_by_subtree_come_from_the_metrics():
    answers = captured("leader")
    assert answers.traffic()["app", "read"] == 3
    top = frame([answers], None).paths[0]
    assert top.path == "/app"
    assert top.reads + top.writes > 0


def test_two_samples_make_rates():
    before = captured("standalone", 10.0)
    after = captured("standalone", 12.0)
    after.metrics["packets_received"] = str(int(before.metrics["packets_received"]) + 100)
    after.connections[0].fields["recved"] = str(before.connections[0].number("recved") + 50)
    made = frame([after], [before])
    assert made.servers[0].received_per_s == 50.0
    assert made.clients[0].requests_per_s == 25.0
    assert made.has_rates


def test_a_counter_that_was_reset_is_no_negative_rate():
    before, after = captured("standalone", 10.0), captured("standalone", 12.0)
    after.metrics["packets_received"] = "0"
    assert frame([after], [before]).servers[0].received_per_s == 0.0


def test_a_server_without_a_quorum_is_told_and_has_no_rates():
    refusal = (CAPTURED / "srvr.not-serving.txt").read_text()
    answers = read_answers("a:1", 2.0, dict.fromkeys(WORDS, refusal))
    assert answers.problem.startswith("not serving")
    assert frame([captured("leader", 3.0)], [answers]).servers[0].received_per_s is None


def test_words_that_are_not_whitelisted_are_named():
    refused = {word: (CAPTURED / f"{word}.not-whitelisted.txt").read_text() for word in ("cons", "mntr", "wchp")}
    answers = captured("leader", **refused)
    made = frame([answers], None)
    assert "does not answer mntr, cons, wchp: add them to its 4lw.commands.whitelist" in made.notes[0]
    assert made.servers[0].state == "leader"
    assert made.servers[0].latency_ms


def test_members_that_are_apart_are_told():
    first, second = captured("leader"), captured("follower")
    second.metrics["zxid"] = "0x1"
    second.metrics["server_state"] = "leader"
    made = frame([first, second], None)
    assert any("more than one leader" in note for note in made.notes)
    assert any("zxids from 0x1 to" in note for note in made.notes)


@pytest.mark.parametrize(
    "text", ["", "\t\t\n", "zk_\t\n\tx", "Zxid: nothing\nMode: leader", "\x00" * 50, "/a\n\t0xz\n("]
)
def test_nonsense_is_no_traceback(text):
    answers = read_answers("a:1", 1.0, dict.fromkeys(WORDS, text))
    frame([answers, answers], [answers])


async def serve(texts):
    """A server that knows these words."""

    async def answer(reader, writer):
        word = (await reader.readexactly(4)).decode()
        writer.write(texts[word].encode())
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


async def test_a_live_server_is_asked_and_drawn(capsys):
    texts = {word: (CAPTURED / f"{word}.leader.txt").read_text() for word in WORDS}
    server = await serve(texts)
    address = server.sockets[0].getsockname()
    async with server:
        assert await once([address], rows_max=1, as_json=False) == 0
        out = capsys.readouterr().out
        assert "leader" in out
        assert "hot paths, 1 of" in out
        assert await once([address], rows_max=1, as_json=True) == 0
        assert json.loads(capsys.readouterr().out)["servers"][0]["state"] == "leader"
        frames, pauses = [], []

        async def pause(seconds):
            pauses.append(seconds)

        await watch([address], 2.0, frames.append, pause, frames_max=3)
        assert [made.has_rates for made in frames] == [False, True, True]
        assert pauses == [2.0, 2.0, 2.0]


async def test_a_server_that_is_silent_or_gone_is_a_row(monkeypatch):
    monkeypatch.setattr(words, "TIMEOUT_S", 0.05)
    forever = asyncio.Event()

    async def silent(_reader, writer):
        await forever.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    async with server:
        assert (await ask_all("a", address, 1.0)).problem == "no answer in 0.05 s"
        forever.set()
    assert "Connect call failed" in (await ask_all("a", address, 1.0)).problem


def test_a_wrong_argument_is_explained(capsys):
    assert main(["top", "a:b"]) == 1
    assert "the port must be a number" in capsys.readouterr().err
    assert main(["top", "--interval", "0", "a:1"]) == 1
    assert "--interval 0.0: write seconds" in capsys.readouterr().err


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_control_c_is_how_it_ends(form, monkeypatch, capsys):
    async def interrupted(_addresses, _interval_s, show, _pause):
        show(frame([captured("leader")], None))
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "watch", interrupted)
    assert main(["top", *form, "a:1"]) == 0
    assert "leader" in capsys.readouterr().out
