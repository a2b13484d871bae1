"""The command: exit codes and messages (docs/protocol/configuration.md section 9), signals."""

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest

from pyzk import VERSION_WORD
from pyzk.server.main import main
from tests.server.shell import Wire, running

PATIENCE_S = 60


def write_config(folder: Path, **settings: object) -> Path:
    lines = {"dataDir": folder / "data", "clientPort": 0, "clientPortAddress": "127.0.0.1"}
    lines |= {"admin.enableServer": "false", **settings}
    path = folder / "zoo.cfg"
    path.write_text("".join(f"{key}={value}\n" for key, value in lines.items() if value is not None))
    return path


def refusal(*arguments: str) -> tuple[int, str]:
    """Exit code, and what stands on standard error."""
    command = [sys.executable, "-m", "pyzk.server.main", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return run.returncode, run.stderr


# Refusals.


def test_a_configuration_that_cannot_be_names_key_value_and_remedy(tmp_path: Path) -> None:
    code, message = refusal("--config", str(write_config(tmp_path, tickTime="soon")))
    assert code == 2
    assert "tickTime" in message
    assert "soon" in message
    assert message.endswith("Invalid config, exiting abnormally\n")


def test_a_file_that_is_not_there_is_an_invalid_configuration(tmp_path: Path) -> None:
    code, message = refusal("--config", str(tmp_path / "none.cfg"))
    assert code == 2
    assert "none.cfg" in message


async def test_a_log_without_its_snapshot_is_refused_with_the_override(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as server:
        await (await Wire.session(server)).close()
    (tmp_path / "data" / "version-2" / "snapshot.0").unlink()
    code, message = refusal("--config", str(write_config(tmp_path)))
    assert code == 3
    assert "No snapshot found" in message
    assert "snapshot.trust.empty" in message
    assert message.endswith("Unable to access datadir, exiting abnormally\n")


async def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path / "data"):
        code, message = refusal("--config", str(write_config(tmp_path)))
    assert code == 3
    assert "in use by another server" in message


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, message = refusal("--config", str(write_config(tmp_path, dataDir=tmp_path / "file" / "data")))
    assert code == 3
    assert str(tmp_path / "file") in message


def test_a_taken_port_is_an_unexpected_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, message = refusal("--config", str(write_config(tmp_path, clientPort=port)))
    assert code == 1
    assert f"clientPort={port}, clientPortAddress=127.0.0.1" in message
    assert "no other program listens on" in message


def test_an_address_that_nobody_knows_is_named_with_its_setting(tmp_path: Path) -> None:
    code, message = refusal("--config", str(write_config(tmp_path, clientPortAddress="nowhere.invalid")))
    assert code == 1
    assert "clientPortAddress=nowhere.invalid" in message


def test_without_autocreate_a_missing_data_directory_is_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path, **{"datadir.autocreate": "false"})
    code, message = refusal("--config", str(config))
    assert code == 3
    assert f"Missing data directory {tmp_path}/data/version-2" in message
    assert not (tmp_path / "data").exists()
    (tmp_path / "data" / "version-2").mkdir(parents=True)
    with Process(tmp_path, **{"datadir.autocreate": "false"}) as server:
        assert server.port


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == VERSION_WORD


# Processes.


class Process:
    """`pyzk-server` as a process, from its first word on."""

    def __init__(self, folder: Path, prefix: str = "", **settings: object) -> None:
        program = f"{prefix}\nimport sys\nfrom pyzk.server.main import main\nsys.exit(main(sys.argv[1:]))"
        arguments = ["--config", str(write_config(folder, **settings))]
        self.process = subprocess.Popen([sys.executable, "-c", program, *arguments], stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        line = self.wait_for('"serving"')
        self.port = int(line.split('"port": ')[1].split(",")[0])

    def wait_for(self, text: str) -> str:
        """The next line of the log with this in it."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"ended with {self.process.wait()} without {text}: {self.lines}")

    def ask(self, data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        rest = self.process.communicate(timeout=PATIENCE_S)[1]
        self.lines += rest.splitlines()
        return self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)


# A connect request for a new session.
CONNECT = b"\0\0\0\x2d" + bytes(12) + b"\0\0\x75\x30" + bytes(8) + b"\0\0\0\x10" + bytes(17)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with Process(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(CONNECT)
        assert len(connection.recv(1000)) == 41
        assert server.end(number) == 0
        assert '"stopped"' in server.lines[-1]
        assert connection.recv(1000) == b""
        assert not any("Traceback" in line or '"level": "error"' in line for line in server.lines)


def test_a_killed_server_starts_again_with_what_it_had(tmp_path: Path) -> None:
    with Process(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(CONNECT)
        assert len(connection.recv(1000)) == 41
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
    with Process(tmp_path) as server:
        assert b"Zxid: 0x1\n" in server.ask(b"srvr")
        assert server.end(signal.SIGTERM) == 0


FAILING_SYNC = """
import os
from pyzk.server import files
real, count = files.sync_data, 0
def sync_data(descriptor):
    global count
    count += 1
    if count > 1:  # the first is that of snapshot.0
        raise OSError(5, "Input/output error")
    real(descriptor)
files.sync_data = sync_data
"""


def test_a_failed_sync_ends_the_process_without_an_answer(tmp_path: Path) -> None:
    with Process(tmp_path, FAILING_SYNC) as server:
        assert server.ask(CONNECT) == b""
        assert server.wait() == 1
        assert any("server_failed" in line and "Input/output error" in line for line in server.lines)


def test_warnings_of_the_configuration_are_logged_and_the_server_runs(tmp_path: Path) -> None:
    with Process(tmp_path, tickTme="2000") as server:
        assert any("config_warning" in line and "tickTime" in line for line in server.lines)
        assert server.ask(b"ruok") == b"imok"
        assert server.end(signal.SIGTERM) == 0


def test_a_busy_admin_port_ends_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = {"admin.enableServer": "true", "admin.serverPort": port}
        code, message = refusal("--config", str(write_config(tmp_path, **settings)))
    assert code == 4
    assert "Unable to start AdminServer, exiting abnormally" in message
    assert f"admin.serverPort={port}" in message


def test_an_unknown_metrics_provider_is_an_invalid_configuration(tmp_path: Path) -> None:
    code, message = refusal("--config", str(write_config(tmp_path, **{"metricsProvider.className": "org.example.No"})))
    assert code == 2
    assert "metrics provider class was not found" in message
