"""What a server imports until it serves: a start is imports and little else. Nothing here measures time."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.server.test_main import Process, write_config

TELL = "import atexit, sys\natexit.register(lambda: sys.stderr.write(f'modules {\" \".join(sys.modules)}\\n'))"
FOR_PEOPLE = {"rich", "pygments", "colorama", "prompt_toolkit", "markdown_it"}
FOR_SETTINGS_THAT_ARE_OFF = {"aiohttp", "cryptography", "prometheus_client", "gssapi", "cramjam", "msgpack", "http"}
OF_THE_LIBRARY = {"xml", "html", "email", "tempfile", "shutil", "difflib", "pdb", "unittest", "multiprocessing"}
OTHER_PARTS = {"pyzk.client", "pyzk.tools", "pyzk.sim", "pyzk.testing", "pyzk.sasl.digest_md5", "pyzk.sasl.gssapi"}
OF_OTHER_SETTINGS = {"pyzk.server.tls", "pyzk.server.admin.http", "pyzk.server.metrics.provider"}
OF_ENSEMBLES = {
    *("pyzk.server.ensemble", "pyzk.server.memberdriver", "pyzk.zab.leading", "pyzk.zab.learning", "pyzk.zab.events")
}
NEVER = FOR_PEOPLE | FOR_SETTINGS_THAT_ARE_OFF | OF_THE_LIBRARY | OTHER_PARTS | OF_OTHER_SETTINGS


def imported(folder: Path, **settings: object) -> set[str]:
    """All that a server has imported from its start to its end."""
    with Process(folder, TELL, **settings) as server:
        server.ask(b"srvr")
        server.ask(b"mntr")
        server.process.send_signal(signal.SIGTERM)
        return set(server.wait_for("modules ").split())


def test_a_server_imports_nothing_that_its_settings_do_not_ask_for(tmp_path: Path) -> None:
    assert imported(tmp_path) & (NEVER | OF_ENSEMBLES) == set()


def test_a_member_of_an_ensemble_imports_nothing_that_its_settings_do_not_ask_for(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "myid").write_text("1\n")
    lone = {"standaloneEnabled": "false", "server.1": "127.0.0.1:0:1", "initLimit": 5, "syncLimit": 5}
    modules = imported(tmp_path, **lone)
    assert modules & NEVER == set()
    assert modules >= OF_ENSEMBLES


def test_what_the_log_does_without_can_be_imported_later() -> None:
    program = "from pyzk.server.main import main\ntry: main(['--version'])\nfinally: import rich.console, structlog.dev"
    assert subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_what_was_imported_before_stays(tmp_path: Path) -> None:
    program = f"import rich, sys\n{TELL}\nfrom pyzk.server.main import main\nmain(['--config', sys.argv[1]])"
    config = write_config(tmp_path, tickTime="soon")
    run = subprocess.run([sys.executable, "-c", program, str(config)], capture_output=True, text=True, check=False)
    assert "rich" in run.stderr.rpartition("modules ")[2].split()
