"""docs/seed-deployment.md part 1, on three hosts that are namespaces of this machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration import seed_deployment

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 600


def test_the_deployment_refuses_to_run_where_others_live(tmp_path: Path) -> None:
    command = [sys.executable, "-m", seed_deployment.__name__, str(tmp_path), str(tmp_path)]
    outside = {"", seed_deployment.namespaces()}
    for told in outside:
        environ = {**os.environ, seed_deployment.OUTSIDE: told}
        run = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
        assert run.returncode == seed_deployment.EXIT_REFUSED
        assert "namespaces of its own" in run.stderr


@pytest.mark.timeout(SECONDS_MAX)
def test_three_hosts_are_deployed_as_the_page_says(tmp_path: Path) -> None:
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("namespaces are not permitted here: they need root")
    subprocess.run([ROOT / "scripts" / "install-zk", tmp_path / "zk"], check=True)
    (tmp_path / "hosts").mkdir()
    command = seed_deployment.enter(str(tmp_path / "hosts"), str(tmp_path / "zk"))
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    if run.returncode == seed_deployment.EXIT_UNAVAILABLE:
        pytest.skip(run.stderr.strip())
    assert run.returncode == 0, run.stderr
    print(run.stdout)
