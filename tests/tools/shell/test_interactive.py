"""The prompt, with a terminal that the test types on."""

import asyncio
import io

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from pyzk.tools.shell.interactive import converse
from pyzk.tools.shell.interpreter import Interpreter, Quit
from pyzk.tools.shell.session import Screen, Session

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def own_history(tmp_path, monkeypatch):
    monkeypatch.setenv("PYZK_CLI_HISTORY", str(tmp_path / "history"))
    return tmp_path / "history"


async def typed(hosts, text):
    """What the shell prints while somebody types, and how it ended."""
    screen = Screen(io.StringIO(), io.StringIO())
    interpreter = Interpreter(Session(screen))
    interpreter.session.print_watches = False
    ended = "at the end of input"
    async with asyncio.timeout(60):
        await interpreter.session.connect(hosts)
        with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
            keyboard.send_text(text)
            try:
                await converse(interpreter)
            except Quit:
                ended = "quit"
        await interpreter.session.close(silently=True)
    return screen.out.getvalue(), screen.err.getvalue(), ended


async def test_lines_are_run_until_quit(shared_server, own_history):
    out, err, ended = await typed(shared_server.hosts, "create /typed hello\rget /typed\rquit\r")
    assert (out, err, ended) == ("hello\n", "Created /typed\n", "quit")
    assert "+get /typed" in own_history.read_text()


async def test_control_c_drops_a_line_and_control_d_leaves(shared_server):
    out, _, ended = await typed(shared_server.hosts, "get /zoo\x03getAllChildrenNumber /zookeeper\r\x04")
    assert (out, ended) == ("2\n", "at the end of input")
