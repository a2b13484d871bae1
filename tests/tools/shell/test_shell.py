"""The shell against a server: what zkCli.sh cannot do, and what happens when there is no server."""

import asyncio
import io
import json
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from pyzk.tools.shell.interactive import ShellCompleter, open_history
from pyzk.tools.shell.interpreter import Interpreter, Quit, names, split, usage
from pyzk.tools.shell.main import main, parse_options
from pyzk.tools.shell.options import CommandError, parse
from pyzk.tools.shell.reading import client_string
from pyzk.tools.shell.session import Screen, Session
from pyzk.tools.shell.table import RECONFIG_OPTIONS
from pyzk.tools.shell.tls import client_context
from pyzk.tools.shell.writing import _reconfig_arguments
from tests.integration.processes import free_port

VECTORS = Path(__file__).parents[2] / "vectors"

pytestmark = pytest.mark.integration


@pytest.fixture
async def shell(shared_server, request):
    """An interpreter in a chroot of this test's own; its output is in `screen.out` and `screen.err`."""
    async with asyncio.timeout(60):
        outside = make_shell(Screen(io.StringIO(), io.StringIO()))
        await outside.session.connect(shared_server.hosts)
        await outside.line(f"create /{request.node.name}")
        await outside.session.close()
        inside = make_shell(Screen(io.StringIO(), io.StringIO()))
        await inside.session.connect(f"{shared_server.hosts}/{request.node.name}")
        yield inside
        await inside.session.close(silently=True)


def make_shell(screen):
    return Interpreter(Session(screen))


async def said(shell, *lines):
    """What the shell prints for some lines, without events."""
    shell.session.print_watches = False
    for stream in (shell.screen.out, shell.screen.err):
        stream.seek(0)
        stream.truncate()
    for line in lines:
        await shell.line(line)
    return shell.screen.out.getvalue(), shell.screen.err.getvalue()


async def test_tree_draws_what_is_below(shell):
    await said(shell, "create /a", "create /a/b 12345", "create /a/c", "create /d", "create -e /d/e x")
    drawn, _ = await said(shell, "tree /")
    assert drawn == "/\n├── a\n│   ├── b\n│   └── c\n└── d\n    └── e\n5 znodes\n"
    sized, _ = await said(shell, "tree -s -d 1 /a")
    assert sized == "/a\n├── b (5 bytes)\n└── c (0 bytes)\n2 znodes\n"
    assert "e (1 bytes, ephemeral)" in (await said(shell, "tree -s /d"))[0]
    assert "-d 0: write a number of levels" in (await said(shell, "tree -d 0 /"))[1]


async def test_json_is_one_document_a_command(shell):
    shell.screen.json = True
    out, err = await said(
        shell, "create /a hello", "get -s /a", "ls /", "get /missing", "whoami", "tree /", "getAcl /a", "nonsense"
    )
    documents = [json.loads(line) for line in out.splitlines()]
    assert not err
    assert documents[0] == {"path": "/a"}
    assert documents[1]["data"] == "hello"
    assert documents[1]["stat"]["data_length"] == 5
    assert documents[2] == {"path": "/", "children": ["a"]}
    assert documents[3] == {"error": "Node does not exist: /missing"}
    assert documents[4]["identities"] == [{"scheme": "ip", "user": "127.0.0.1"}]
    assert documents[5] == {"path": "/", "tree": {"a": {}}, "count": 1}
    assert documents[6]["acl"] == [{"scheme": "world", "id": "anyone", "perms": "cdrwa"}]
    assert documents[7]["error"].startswith("Command not found")
    assert shell.exit_code == 127


async def test_json_shows_bytes_that_are_no_text_as_base64(shell):
    shell.screen.json = True
    out, _ = await said(shell, "create /a", "set -b /a /w==", "get /a")
    assert json.loads(out.splitlines()[-1]) == {"path": "/a", "data_base64": "/w=="}


async def test_an_event_is_a_document_too(shell):
    shell.screen.json = True
    await said(shell, "create /a", "get -w /a")
    shell.session.print_watches = True
    await shell.line("set /a x")
    await shell.line("sync /a")
    events = [json.loads(line) for line in shell.screen.out.getvalue().splitlines()]
    assert any(event.get("event", {}).get("type") == "NodeDataChanged" for event in events)


async def test_commands_act_inside_the_chroot_and_config_is_outside(shell):
    out, err = await said(shell, "create /x", "ls /", "config", "config -c", "config -s")
    assert "Created /x" in err
    assert "[x]" in out
    assert "cZxid = 0x0" in out


async def test_help_names_every_command(shell):
    out, _ = await said(shell, "help")
    assert [line.split()[0] for line in out.splitlines()] == names()
    one, _ = await said(shell, "help get")
    assert one.startswith("\tget [-s] [-w] [-b] [-x] path")
    assert "tree" not in usage()


async def test_what_would_end_java_s_shell_is_one_line_here(shell):
    await said(shell, "create /a x")
    for line, complaint in {
        "set -v abc /a x": "-v abc: write a whole number",
        "set -b /a !": "-b: ! is not Base64",
        "addWatch a": "Path must start with / character",
        "redo x": "redo x: write the number of a command",
        "connect :0": "has no host name",
    }.items():
        _, err = await said(shell, line)
        assert complaint in err
        assert shell.exit_code == 1


async def test_redo_repeats_and_history_shows(shell):
    out, err = await said(shell, "create /a", "redo 0", "redo 1", "history")
    assert err.splitlines()[1] == "Node already exists: /a"
    assert err.splitlines()[2] == "Node already exists: /a"
    assert out.splitlines()[-2:] == ["2 - create /a", "3 - history"]


async def test_quit_leaves_with_the_code_of_the_command_before(shell):
    await said(shell, "get /missing")
    with pytest.raises(Quit):
        await shell.line("quit")
    assert shell.exit_code == 1


async def test_commands_options_and_live_paths_are_completed(shell):
    await said(shell, "create /apple", "create /apple/red", "create /banana")
    completer = ShellCompleter(shell.session)

    async def completions(text):
        found = completer.get_completions_async(Document(text), CompleteEvent())
        return [completion.text async for completion in found]

    assert await completions("get /a") == ["/apple"]
    assert await completions("get /apple/") == ["/apple/red"]
    assert await completions("ls /missing/") == []
    assert await completions("getA") == ["getAcl", "getAllChildrenNumber"]
    assert await completions("set -") == ["-s", "-v", "-b"]
    assert await completions("") == names()
    assert await completions("get x") == []
    await shell.session.close(silently=True)
    assert await completions("get /a") == []
    assert shell.prompt.startswith("[zk: 127.0.0.1:")
    assert "(CLOSED)" in shell.prompt


async def test_a_removal_of_watches_without_a_connection_is_local(shared_server):
    shell = make_shell(Screen(io.StringIO(), io.StringIO()))
    await shell.session.connect(shared_server.hosts)
    await said(shell, "create /local", "get -w /local")
    assert shell.session.client.forget_watches("/local", 2)
    assert not shell.session.client.forget_watches("/local", 2)
    await shell.session.close(silently=True)


def test_one_command_prints_and_tells_by_its_exit_code(shared_server, capsys):
    assert main(["-server", shared_server.hosts, "create", "/one", "with blank"]) == 0
    assert main(["-server", shared_server.hosts, "-waitforconnection", "get", "/one"]) == 0
    assert "with blank\n" in capsys.readouterr().out
    assert main(["-server", shared_server.hosts, "get", "/nothing"]) == 1
    assert main(["-server", shared_server.hosts, "--json", "ls", "/zookeeper"]) == 0
    out = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(out)["children"] == ["config", "quota"]


def test_without_a_server_a_command_fails_at_once(capsys):
    assert main(["-server", f"127.0.0.1:{free_port()}", "get", "/a"]) == 1
    assert capsys.readouterr().err == "KeeperErrorCode = ConnectionLoss for /a\n"
    assert main(["-server", f"127.0.0.1:{free_port()}", "-waitforconnection", "-timeout", "100", "get", "/a"]) == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-server"], "no argument found for option -server"),
        (["-sever", "x"], "unknown option -sever"),
        (["-timeout", "soon"], "-timeout soon: write milliseconds"),
        (["-server", "a:b", "ls", "/"], "the port must be a number"),
        (["-client-configuration", "/no/such", "ls", "/"], "Error processing /no/such"),
    ],
)
def test_a_wrong_command_line_is_explained(arguments, complaint, capsys):
    assert main(arguments) in {1, 2}
    assert complaint in capsys.readouterr().err


def test_options_end_where_the_command_begins():
    options = parse_options(["-r", "-timeout", "5", "ls", "-s", "/"])
    assert (options.read_only, options.timeout, options.command) == (True, "5", ["ls", "-s", "/"])


def test_help_and_version_need_no_server(capsys):
    assert main(["--help"]) == 0
    assert main(["--version"]) == 0
    assert "usage: pyzk-cli" in capsys.readouterr().out


def test_words_are_split_at_blanks_and_quotes_keep_them():
    assert split('get  "/a b" \'c d\' e"f') == ["get", "/a b", "c d", 'e"f']
    assert split("'") == []


async def test_blank_lines_are_not_counted(shell):
    out, err = await said(shell, "", "   ", "'")
    assert (out, shell.count) == ("", 1)
    assert err.endswith("No command entered\n")


def test_tls_is_as_java_s_properties_say():
    assert client_context({}) is None
    assert client_context({"client.secure": "false", "ssl.keyStore.location": "/missing.pem"}) is None
    context = client_context({"client.secure": "true"})
    assert context is not None
    assert context.check_hostname
    context = client_context({"client.secure": "TRUE", "ssl.hostnameVerification": "false"})
    assert context is not None
    assert not context.check_hostname


@pytest.mark.parametrize("name", ["key.jks", "key-pkcs12.jks"])
def test_tls_takes_java_s_stores(name):
    stores = {"ssl.keyStore.location": str(VECTORS / "tls" / name), "ssl.keyStore.password": "sesame-1"}
    trust = {"ssl.trustStore.location": str(VECTORS / "tls" / "trust.jks"), "ssl.trustStore.password": "sesame-1"}
    assert client_context({"client.secure": "true", **stores, **trust}) is not None
    with pytest.raises(CommandError, match=r"ssl\.keyStore\.location"):
        client_context({"client.secure": "true", **stores, "ssl.keyStore.password": "wrong"})


def test_history_is_for_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("PYZK_CLI_HISTORY", str(tmp_path / "history"))
    open_history().append_string("get /a")
    assert (tmp_path / "history").stat().st_mode & 0o777 == 0o600
    assert list(open_history().load_history_strings()) == ["get /a"]
    monkeypatch.setenv("PYZK_CLI_HISTORY", str(tmp_path / "no" / "history"))
    open_history().append_string("get /a")


async def test_a_server_that_goes_away_is_told_and_found_again(fresh_server):
    shell = make_shell(Screen(io.StringIO(), io.StringIO()))
    async with asyncio.timeout(60):
        await shell.session.connect(fresh_server.hosts)
        assert "Created /a" in (await said(shell, "create /a"))[1]
        fresh_server.kill()
        _, err = await said(shell, "ls /", "ls /")
        assert "KeeperErrorCode = ConnectionLoss for /" in err
        fresh_server.start()
        await shell.session.client.wait_connected()
        assert (await said(shell, "ls /"))[0] == "[a, zookeeper]\n"
        await shell.session.close(silently=True)


async def test_refused_credentials_are_told_and_the_session_goes_on(shell):
    _, err = await said(shell, "addauth nonsense x")
    assert err == "KeeperErrorCode = AuthFailed\n"
    assert shell.exit_code == 1
    await shell.session.client.wait_connected()
    assert (await said(shell, "ls /"))[0] == "[]\n"


def test_the_configuration_is_summed_up_for_clients():
    text = (VECTORS / "storage" / "h-dynamic-config" / "zoo.cfg.dynamic.100000000").read_text()
    number, _, addresses = client_string(f"{text}\nversion=100000000").partition(" ")
    assert number == "100000000"
    assert all(address.startswith("127.0.0.1:") for address in addresses.split(","))
    assert client_string("null") == " "


def test_reconfig_reads_a_file_of_members(tmp_path):
    file = tmp_path / "members"
    file.write_text("server.1=h1:2888:3888:participant;2181\nserver.2=h2:2888:3888:observer;2181\n")
    given = parse(RECONFIG_OPTIONS, ["reconfig", "-file", str(file), "-v", "1f"])
    joining, leaving, members, version = _reconfig_arguments(given)
    assert (joining, leaving, version) == (None, None, 0x1F)
    assert members.splitlines()[1].startswith("server.2=h2:2888:3888:observer;")
    file.write_text("server.1=nonsense\n")
    with pytest.raises(CommandError, match=f"Error processing {file}"):
        _reconfig_arguments(given)
