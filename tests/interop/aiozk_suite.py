"""aiozk's own test suite, out of its wheel, against one server in $ZK_HOST and $ZK_PORT.

A test that fails is run twice more: some give ten tasks two seconds, which a busy machine may miss.
"""

import argparse
import os
import subprocess
import tempfile
import venv
from pathlib import Path

from tests.integration.processes import PyzkServer
from tests.interop.apache import ApacheServer
from tests.interop.kazoo_suite import read_report
from tests.interop.maven import UnavailableError, cache_folder
from tests.interop.results import Result

RELEASE = "0.32.0"
REQUIREMENTS = (
    f"aiozk=={RELEASE}",
    "pytest<9",
    "pytest-asyncio<0.24",
    "pytest-cov",
    "pytest-timeout",
    "pytest-rerunfailures<16",
    "setuptools",
)
SUITE_TIMEOUT_S = 900


def run(options: argparse.Namespace) -> list[Result]:
    python = install()
    server_kind = ApacheServer if options.apache else PyzkServer
    with tempfile.TemporaryDirectory(prefix="aiozk-") as name, server_kind(Path(name)) as server:
        report = Path(name) / "report.xml"
        command = [str(python), "-m", "pytest", "--pyargs", "aiozk.test", "-q", f"--junitxml={report}"]
        command += ["-o", "asyncio_mode=auto", "-p", "no:cacheprovider", "--timeout", "120", "--reruns", "2"]
        command += ["-k", options.only] if options.only else []
        variables = {**os.environ, "ZK_HOST": "127.0.0.1", "ZK_PORT": str(server.port)}
        subprocess.run(command, cwd=name, env=variables, capture_output=True, timeout=SUITE_TIMEOUT_S, check=False)
        outcomes = read_report(report)
    return [Result("aiozk", test, outcome, detail) for test, (outcome, detail) in sorted(outcomes.items())]


def install() -> Path:
    """A virtual environment with aiozk; the path of its Python."""
    folder = cache_folder(f"aiozk-{RELEASE}")
    python = folder / "venv" / "bin" / "python"
    complete = folder / "complete"
    if not complete.exists():
        venv.create(folder / "venv", with_pip=True)
        command = [str(python), "-m", "pip", "install", "-q", *REQUIREMENTS]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode != 0:
            raise UnavailableError(f"pip cannot install aiozk: {done.stderr[-500:]}")
        complete.touch()
    return python
