"""conf/service/kubernetes.yml: against Kubernetes' own schemas, and its probes against running servers.

The schemas are those that PyPI's kubernetes-validate carries, in its strict form: a field that does not exist is an
error. The probes are asked as a kubelet would, of a member that is alone and of one that has a quorum.
"""

import argparse
import shutil
import subprocess
import tempfile
import venv
from pathlib import Path
from typing import Any

import yaml

from tests.integration.admin import fetch
from tests.integration.ensemble import Ensemble
from tests.integration.processes import eventually, free_port
from tests.interop.maven import UnavailableError, cache_folder
from tests.interop.mixed import GONE_WRONG
from tests.interop.mixed_cases import expect
from tests.interop.results import FAILED, PASSED, Result

EXAMPLE = Path(__file__).parents[2] / "conf" / "service" / "kubernetes.yml"
PACKAGE = "kubernetes-validate==1.37.0"
VERSIONS = ("1.28", "1.31", "1.34", "1.37")
INSTALL_TIMEOUT_S, CHECK_TIMEOUT_S = 600, 120


def run(options: argparse.Namespace) -> list[Result]:
    del options
    program = install()
    results = []
    for version in VERSIONS:
        command = [str(program), "--strict", "-k", version, str(EXAMPLE)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_TIMEOUT_S, check=False)
        broken = done.returncode != 0 or "passed" not in done.stdout + done.stderr
        detail = done.stdout + done.stderr if broken else ""
        results.append(Result("kubernetes", f"schemas of {version}", FAILED if broken else PASSED, detail))
    folder = Path(tempfile.mkdtemp(prefix="kubernetes-"))
    try:
        broken_probes = probes(folder)
    except GONE_WRONG as error:
        broken_probes = [f"{type(error).__name__}: {error}, files in {folder}"]
    else:
        shutil.rmtree(folder)
    detail = "\n".join(broken_probes)
    return [*results, Result("kubernetes", "probes", FAILED if broken_probes else PASSED, detail)]


def install() -> Path:
    """A virtual environment with the checker; the path of its command."""
    folder = cache_folder(PACKAGE.replace("==", "-"))
    complete = folder / "complete"
    if not complete.exists():
        venv.create(folder / "venv", with_pip=True)
        command = [str(folder / "venv" / "bin" / "python"), "-m", "pip", "install", "-q", PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
        if done.returncode != 0:
            raise UnavailableError(f"pip cannot install {PACKAGE}: {done.stderr[-500:]}")
        complete.touch()
    return folder / "venv" / "bin" / "kubernetes-validate"


def probes(folder: Path) -> list[str]:
    """Three members as the file describes them: the first alone, then all, then the first alone again."""
    paths = probe_paths()
    with Ensemble(folder, ["pyzk"] * 3) as ensemble:
        ports = {}
        for sid in ensemble.members:
            ports[sid] = free_port()
            ensemble.settings |= {"admin.enableServer": "true", "admin.serverPort": ports[sid]}
            ensemble.configure(sid)

        def statuses() -> dict[str, int]:
            return {probe: status(ports[1], path) for probe, path in paths.items()}

        def are(ready: int) -> bool:
            return statuses() == {"startupProbe": 200, "livenessProbe": 200, "readinessProbe": ready}

        ensemble[1].launch()
        eventually(lambda: are(503), "a member alone lives and is not ready")
        ensemble[2].launch()
        ensemble[3].launch()
        eventually(lambda: are(200), "a member with a quorum is ready")
        ensemble.kill(2, 3)
        eventually(lambda: are(503), "without its quorum it is not, and lives")
        return expect(ensemble[1].running, "the member has ended")


def probe_paths() -> dict[str, str]:
    """By probe; all of them ask the admin port."""
    documents: list[Any] = list(yaml.safe_load_all(EXAMPLE.read_text()))
    stateful_set = next(item for item in documents if item["kind"] == "StatefulSet")
    (server,) = stateful_set["spec"]["template"]["spec"]["containers"]
    return {name: item["httpGet"]["path"] for name, item in server.items() if name.endswith("Probe")}


def status(port: int, path: str) -> int:
    """0 if there is no answer."""
    try:
        return fetch(port, path)[0]
    except OSError:
        return 0
