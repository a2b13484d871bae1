"""The commands that people and CI share."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# bin/zkEnv.sh is read by the others.
INSTALLED = [path for path in (ROOT / "bin").iterdir() if path.name != "zkEnv.sh"]
COMMANDS = [path for path in (*(ROOT / "scripts").iterdir(), *INSTALLED, ROOT / ".ci" / "run") if path.is_file()]
SERVICES = ROOT / "conf" / "service"
each_command = pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.name)


@each_command
def test_commands_can_be_started(path: Path) -> None:
    assert os.access(path, os.X_OK)
    assert path.read_text(encoding="utf-8").startswith("#!")


@each_command
def test_shell_commands_stop_at_the_first_error(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if text.startswith("#!/usr/bin/env bash"):
        subprocess.run(["bash", "-n", str(path)], check=True)
        assert "\nset -euo pipefail\n" in text


@each_command
def test_commands_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 100


def test_commands_named_in_the_documentation_exist() -> None:
    for page in ROOT.glob("*.md"):
        for name in re.findall(r"\bscripts/([a-z0-9-]+)\b(?!\.)", page.read_text(encoding="utf-8")):
            assert (ROOT / "scripts" / name).exists(), f"{page.name}: scripts/{name}"


def test_an_old_python_is_refused_with_a_remedy(tmp_path: Path) -> None:
    """The check comes before anything is made, so running it here changes nothing."""
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    run = subprocess.run(
        [ROOT / "scripts" / "install"],
        env={**os.environ, "PYTHON": str(old)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "set PYTHON" in run.stderr


def fake_python(folder: Path, *, optimised: bool) -> Path:
    """One that tells the probe this, and makes an environment whose interpreter says whose it is."""
    folder.mkdir()
    python = folder / "python3.11"
    python.write_text(
        f"""#!/bin/bash
case $1 in
    -c) echo {int(not optimised)} {python} ;;
    -m) mkdir -p .venv/bin && printf '#!/bin/bash\\n# {folder.name}' > .venv/bin/python && chmod +x .venv/bin/python ;;
esac
"""
    )
    python.chmod(0o755)
    return folder


@pytest.mark.parametrize(("first", "chosen"), [(False, "second"), (True, "first")])
def test_the_first_python_that_was_built_with_optimisation_is_taken(
    tmp_path: Path, *, first: bool, chosen: str
) -> None:
    folders = [
        fake_python(tmp_path / "first", optimised=first),
        fake_python(tmp_path / "second", optimised=True),
    ]
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "install", tmp_path / "scripts" / "install")
    (tmp_path / "pyproject.toml").touch()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    subprocess.run([tmp_path / "scripts" / "install"], env={**environment, "PATH": path}, check=True)
    assert (tmp_path / ".venv" / "bin" / "python").read_text(encoding="utf-8").endswith(f"# {chosen}")


def test_the_init_script_has_what_chkconfig_and_lsb_read() -> None:
    script = SERVICES / "zk"
    assert os.access(script, os.X_OK)
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[:3] == ["#!/bin/bash", "# chkconfig: 2345 20 90", "# description: zookeeper"]
    assert "# Provides:          zk" in lines
    run = subprocess.run(["bash", script, "fly"], capture_output=True, text=True, check=True)
    assert run.stdout == "require start|stop|status|restart\n"


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    verifier = shutil.which("systemd-analyze")
    if verifier is None:
        pytest.skip("systemd is not installed")
    unit = tmp_path / "zk.service"
    # The program need not be there, nor its user.
    text = (SERVICES / "zk.service").read_text(encoding="utf-8")
    unit.write_text(text.replace("/usr/local/zk/bin/zkServer.sh", "/bin/true"), encoding="utf-8")
    run = subprocess.run([verifier, "verify", unit], capture_output=True, text=True, check=False)
    assert str(unit) not in run.stderr, run.stderr
