"""The ten commands of docs/security.md, as they stand there; only the ports are others."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.processes import eventually, free_block, free_port

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
TIMEOUT_S = 90

pytestmark = pytest.mark.integration


def commands() -> list[str]:
    return re.findall(r"^ *\$ (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture
def ports() -> dict[str, str]:
    """Those of the page to free ones; the last digit of a client port is the server's number."""
    peers = {f"{kind}{n}": str(free_port()) for kind in ("288", "388") for n in (1, 2, 3)}
    first = next(block for block in iter(lambda: free_block(range(10)), None) if block % 10 == 0)
    return {**peers, "228": str(first // 10)}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for n in (1, 2, 3):
        if (tmp_path / f"zk{n}").exists():
            bash(tmp_path, f"pyzk-server stop --config $PWD/zk{n}/zoo.cfg")


def bash(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_ten_commands_lead_to_an_ensemble_that_speaks_tls_only(folder: Path, ports: dict[str, str]) -> None:
    assert len(commands()) == 10
    printed = []
    for command in commands():
        for written, free in ports.items():
            command = re.sub(rf"\b{written}(?=\b|[1-3]\b|\$n)", free, command)  # noqa: PLW2901 - the same, elsewhere
        done = bash(folder, command)
        logs = "".join(path.read_text()[-2000:] for path in folder.glob("zk*/*.out"))
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}\n{logs}"
        printed.append(done.stdout + done.stderr)
    assert "Created /app" in printed[6]
    assert "hello" in printed[7]
    out = "".join(path.read_text() for path in folder.glob("zk*/*.out"))
    assert "plain bytes on a port for TLS" in out
    logs_of_all = list(folder.glob("zk*/*.out"))
    eventually(lambda: all("certificates_reloaded" in path.read_text() for path in logs_of_all), "all have noticed")
