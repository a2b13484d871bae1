"""bin/zkServer.sh and the verbs of pyzk-server, from outside: what they say, how they end, what they leave behind."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyzk.server.notify import READY
from tests.integration.processes import eventually, four_letter_word, free_port

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "bin" / "zkServer.sh"
PATIENCE_S = 60
STARTED, STOPPED = "Starting zookeeper ... STARTED\n", "Stopping zookeeper ... STOPPED\n"
NOT_RUNNING = "Error contacting service. It is probably not running.\n"


class Site:
    """A folder with a configuration, and its script, called as an init system calls it: with next to no environment."""

    def __init__(self, folder: Path, script: Path = SCRIPT) -> None:
        self.folder, self.script = folder, script
        self.port = free_port()
        self.config = folder / "conf" / "zoo.cfg"
        self.data = folder / "data"
        self.pid_file = self.data / "zookeeper_server.pid"
        self.config.parent.mkdir(parents=True)
        self.configure()

    def configure(self, **settings: object) -> None:
        lines = {"dataDir": self.data, "clientPort": self.port, "admin.enableServer": "false", **settings}
        self.config.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))

    @property
    def environ(self) -> dict[str, str]:
        return {"ZOO_LOG_DIR": str(self.folder / "logs")}

    def run(self, *words: str, cwd: str = "/", **environ: str) -> tuple[int, str]:
        """Exit code and standard output. It would not return if a server held our pipes."""
        command = [str(self.script), "--config", str(self.config.parent), *words]
        run = subprocess.run(
            command,
            cwd=cwd,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        self.errors = run.stderr
        return run.returncode, run.stdout

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())

    @property
    def found(self) -> str:
        return f"Client port found: {self.port}. Client address: localhost. Client SSL: false.\n"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.run("stop")


def test_a_server_is_started_asked_and_stopped(site: Site) -> None:
    assert site.run("status") == (1, site.found + NOT_RUNNING)
    assert site.run("start") == (0, STARTED)
    assert site.errors == f"Using config: {site.config}\n"
    assert site.pid_file.read_text().isdecimal()
    assert site.run("status") == (0, site.found + "Mode: standalone\n")
    assert site.run("start") == (1, f"Starting zookeeper ... already running as process {site.pid}.\n")
    assert site.run("stop") == (0, STOPPED)
    assert not site.pid_file.exists()
    missing = f"no zookeeper to stop (could not find file {site.pid_file})"
    assert site.run("stop") == (0, f"Stopping zookeeper ... {missing}\n")


def test_a_stop_followed_by_a_start_at_once_is_a_restart(site: Site) -> None:
    assert site.run("start") == (0, STARTED)
    first = site.pid
    assert site.run("stop") == (0, STOPPED)
    assert site.run("start") == (0, STARTED)
    assert site.run("restart") == (0, STOPPED + STARTED)
    assert site.pid != first
    assert "Mode: standalone" in four_letter_word(site.port, "srvr")
    assert site.run("stop") == (0, STOPPED)
    assert site.run("restart")[1].endswith(STARTED)


def test_a_server_leads_a_session_of_its_own(site: Site) -> None:
    site.run("start")
    assert os.getsid(site.pid) == site.pid
    assert Path(f"/proc/{site.pid}/fd/0").readlink() == Path(os.devnull)


def test_why_a_server_does_not_start_is_said(site: Site) -> None:
    site.configure(tickTime="soon")
    assert site.run("start") == (1, "Starting zookeeper ... FAILED TO START\n")
    assert "tickTime" in site.errors
    assert "Invalid config, exiting abnormally" in site.errors


def test_a_missing_configuration_is_named(site: Site) -> None:
    code, _ = site.run("start", "other.cfg")
    assert code == 1
    assert str(site.config.parent / "other.cfg") in site.errors


def test_a_stale_pid_file_is_overwritten(site: Site) -> None:
    site.data.mkdir()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    site.pid_file.write_text(str(ended.pid))
    assert site.run("start") == (0, STARTED)
    assert site.pid != ended.pid


def test_a_stranger_with_the_number_of_a_server_is_left_alone(site: Site) -> None:
    site.data.mkdir()
    with subprocess.Popen(["sleep", str(PATIENCE_S)]) as stranger:
        site.pid_file.write_text(str(stranger.pid))
        assert site.run("stop") == (0, STOPPED)
        assert stranger.poll() is None
        site.pid_file.write_text(str(stranger.pid))
        assert site.run("start") == (0, STARTED)
        stranger.terminate()


def test_a_pid_that_cannot_be_written_leaves_no_server(site: Site) -> None:
    (site.folder / "pid").mkdir()
    code, said = site.run("start", ZOOPIDFILE=str(site.folder / "pid"))
    assert (code, said) == (1, "Starting zookeeper ... FAILED TO WRITE PID\n")
    assert four_letter_word(site.port, "ruok") == ""


def test_without_autocreate_a_missing_directory_is_refused(site: Site) -> None:
    assert site.run("start", ZOO_DATADIR_AUTOCREATE_DISABLE="1")[0] == 1
    assert f"ZooKeeper data directory is missing at {site.data} fix the path or run initialize" in site.errors
    assert not site.data.exists()


def test_the_script_is_found_through_a_link_and_says_how_it_was_called(site: Site) -> None:
    link = site.folder / "link"
    link.symlink_to(SCRIPT)
    site.script = link
    assert site.run("status")[1].startswith("Client port found")
    for verb in ("", "upgrade"):
        assert site.run(verb) == (0, "")
        assert site.errors.startswith(f"Usage: {link} [--config <conf-dir>] {{start|")


def test_the_files_of_the_environment_are_read(site: Site) -> None:
    logs = site.folder / "elsewhere"
    (site.config.parent / "zookeeper-env.sh").write_text(f"false\nZOO_LOG_DIR={logs}\necho $UNSET >/dev/null\n")
    (site.config.parent / "java.env").write_text('export SERVER_JVMFLAGS="-Xmx1g -Dzookeeper.4lw.commands.whitelist=*"')
    assert site.run("start") == (0, STARTED)
    assert list(logs.glob("zookeeper-*-server-*.out"))
    assert "zookeeper.version" in four_letter_word(site.port, "envi")
    assert four_letter_word(site.port, "wchc") == "\n"


def test_variables_of_python_and_modules_where_it_is_called_change_nothing(site: Site) -> None:
    (site.folder / "asyncio.py").write_text("raise SystemExit(9)")
    surroundings = {"PYTHONPATH": str(site.folder), "PYTHONHOME": "/nowhere", "JAVA_HOME": "/usr/java"}
    assert site.run("start", cwd=str(site.folder), **surroundings) == (0, STARTED)
    assert site.run("status", cwd=str(site.folder), **surroundings)[0] == 0


def test_the_command_is_printed(site: Site) -> None:
    code, said = site.run("print-cmd")
    assert code == 0
    assert f'"--config" "{site.config}" > "{site.folder}/logs/zookeeper-' in said
    assert said.endswith('.out" 2>&1 < /dev/null\n')
    assert site.run("version")[1].startswith("Apache ZooKeeper, version 3.9.5-pyzk.")


def test_in_the_foreground_the_script_becomes_the_server_and_tells_that_it_is_ready(site: Site) -> None:
    notices = site.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(notices))
        manager.settimeout(PATIENCE_S)
        command = [str(SCRIPT), "--config", str(site.config.parent), "start-foreground"]
        environ = {**site.environ, "NOTIFY_SOCKET": str(notices)}
        with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as server:
            assert manager.recv(4096) == b"STATUS=loading data"
            assert manager.recv(4096).decode().split("\n") == [READY, f"STATUS=clients on port {site.port}"]
            assert "Mode: standalone" in four_letter_word(site.port, "srvr")
            assert "pyzk.server.main" in Path(f"/proc/{server.pid}/cmdline").read_text()
            server.send_signal(signal.SIGTERM)
            assert manager.recv(4096) == b"STOPPING=1"
            assert server.wait(PATIENCE_S) == 0


def test_a_server_reads_its_configuration_again(site: Site) -> None:
    assert site.run("reload")[0] == 1
    site.run("start")
    assert "not in the whitelist" in four_letter_word(site.port, "wchc")
    site.configure(**{"4lw.commands.whitelist": "*"})
    assert site.run("reload") == (0, "Reloading zookeeper ... ASKED\n")
    eventually(lambda: four_letter_word(site.port, "wchc") == "\n", "the word is allowed")
    (output,) = (site.folder / "logs").iterdir()
    assert '"changed": ["4lw.commands.whitelist"]' in output.read_text()


def test_the_verbs_of_the_command(site: Site) -> None:
    program = str(Path(sys.executable).parent / "pyzk-server")

    def run(verb: str) -> tuple[int, str]:
        command = [program, verb, "--config", str(site.config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        return done.returncode, done.stdout

    assert run("start") == (0, STARTED)
    assert len(list(site.data.glob("zookeeper-*-server-*.out"))) == 1
    assert run("status") == (0, site.found + "Mode: standalone\n")
    assert run("stop") == (0, STOPPED)
    assert run("upgrade")[0] == 2


def test_the_other_scripts_call_their_tools(site: Site) -> None:
    site.run("start")
    eventually(lambda: four_letter_word(site.port, "ruok"), "an answer")
    environ = {"ZOOCFGDIR": str(site.config.parent), "HOME": str(site.folder)}

    def output(name: str, *words: str) -> str:
        command = [ROOT / "bin" / name, *words]
        return subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=True
        ).stdout

    assert output("zkCli.sh", "-server", f"localhost:{site.port}", "ls", "/").endswith("[zookeeper]\n")
    assert output("zkCleanup.sh", "-n", "3") == ""
    assert "subcommands" in output("pyzk", "--help")
