"""npm's node-zookeeper-client, driven by node_client.js."""

import argparse
import subprocess
from pathlib import Path

from tests.integration.processes import ServerProcess
from tests.interop.apache import UnavailableError, cache_folder, need
from tests.interop.results import Result
from tests.interop.transcript import run_client

PACKAGE = "node-zookeeper-client@1.1.3"
PROGRAM = Path(__file__).with_suffix(".js")
TIMEOUT_S = 120


def run(options: argparse.Namespace) -> list[Result]:
    node = need("node")
    modules = install()

    def talk(server: ServerProcess) -> str:
        done = subprocess.run(
            [node, str(PROGRAM), server.hosts],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            env={"NODE_PATH": str(modules), "PATH": "/usr/bin:/bin"},
        )
        return f"{done.stdout}\n== exit\n{done.returncode}"

    return run_client("node", talk, options)


def install() -> Path:
    """The folder of modules, filled from npm's registry once."""
    folder = cache_folder("node")
    modules = folder / "node_modules"
    if not (modules / "node-zookeeper-client").exists():
        command = [need("npm"), "install", "--no-audit", "--no-fund", "--prefix", str(folder), PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise UnavailableError(f"npm cannot fetch {PACKAGE}: {done.stderr[-300:]}")
    return modules
