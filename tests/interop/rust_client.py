"""zookeeper-client's own test suite, out of its Rust crate, with bin/zkServer.sh of this repository in its containers.

The suite starts the image `zookeeper` by a fork of the crate testcontainers that is in no registry. The crate in
rust/testcontainers has the same interface and starts processes instead; the suite itself is as published. It uses fixed
ports, so it has a network of its own. By a variable of the suite's all of it runs twice: without TLS and with it.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.integration.namespaces import leave_the_machine
from tests.interop.go_client import SCRIPTS, apache_scripts
from tests.interop.maven import UnavailableError, cache_folder, need
from tests.interop.results import FAILED, PASSED, SKIPPED, Result

CRATE, RELEASE = "zookeeper-client", "0.11.2"
STAND_IN = Path(__file__).parent / "rust" / "testcontainers"
FEATURES = "tls,sasl-digest-md5"
PROJECT = f"""\
[package]
name = "fetch"
version = "0.0.0"
edition = "2021"
[lib]
path = "lib.rs"
[dependencies]
{CRATE} = "={RELEASE}"
"""
# Optimising at link time takes minutes and is for another system.
PROFILE = {"CARGO_PROFILE_DEV_LTO": "off", "CARGO_PROFILE_DEV_DEBUG": "0"}
BUILD_TIMEOUT_S, SUITE_TIMEOUT_S = 1800, 1200
THREADS = 2
QUIET = {"RUST_BACKTRACE": "0", "RUST_LOG": "off"}
OLD = "test_zookeeper_old_server"
OUTCOMES = {"ok": PASSED, "FAILED": FAILED, "ignored": SKIPPED}


def run(options: argparse.Namespace) -> list[Result]:
    suite = built()
    leave_the_machine()
    with tempfile.TemporaryDirectory(prefix="rust-client-") as name:
        scripts = apache_scripts(Path(name)) if options.apache else SCRIPTS
        results: list[Result] = []
        for group, with_tls in (("rust-client", "false"), ("rust-client, TLS", "true")):
            done = subprocess.run(
                [str(suite), f"--test-threads={THREADS}", *([options.only] if options.only else [])],
                env={
                    **os.environ,
                    **QUIET,
                    "ZOOKEEPER_BIN_PATH": str(scripts),
                    "ZK_TEST_TLS": with_tls,
                    "TMPDIR": name,
                },
                capture_output=True,
                text=True,
                timeout=SUITE_TIMEOUT_S,
                check=False,
            )
            results += outcomes(group, done.stdout) or [Result(group, "all", FAILED, done.stderr[-1500:])]
    return results


def built() -> Path:
    """The program that the suite is compiled to."""
    folder = cache_folder("rust-client")
    suite = folder / "suite"
    shutil.rmtree(suite, ignore_errors=True)
    shutil.copytree(fetched(folder / "fetch"), suite)
    with (suite / "Cargo.toml").open("a") as manifest:
        manifest.write(f'\n[dev-dependencies.testcontainers]\npath = "{STAND_IN}"\n')
    words = ["test", "--no-run", "--features", FEATURES, "--message-format=json", "--test", "zookeeper"]
    printed = cargo(suite, words, {**PROFILE, "CARGO_TARGET_DIR": str(folder / "target")})
    messages = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    programs = [message["executable"] for message in messages if message.get("executable")]
    return Path(programs[-1])


def fetched(project: Path) -> Path:
    """The folder of the crate's sources, fetched once."""
    project.mkdir(exist_ok=True)
    (project / "Cargo.toml").write_text(PROJECT)
    (project / "lib.rs").touch()
    described = json.loads(cargo(project, ["metadata", "--format-version=1"], {}))
    (package,) = (package for package in described["packages"] if package["name"] == CRATE)
    return Path(package["manifest_path"]).parent


def cargo(folder: Path, words: list[str], variables: dict[str, str]) -> str:
    """What cargo prints. Raises UnavailableError."""
    done = subprocess.run(
        [need("cargo"), *words],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise UnavailableError(f"cargo {words[0]} of {CRATE} {RELEASE}: {done.stderr[-700:]}")
    return done.stdout


def outcomes(group: str, printed: str) -> list[Result]:
    """What a test program says of each test, with the end of what a failed one printed."""
    pattern = re.compile(r"^---- (\S+) stdout ----\n(.*?)(?=^---- |^failures:)", re.MULTILINE | re.DOTALL)
    sections = dict(pattern.findall(printed))
    rows = re.findall(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)", printed, re.MULTILINE)
    return [judged(group, test, OUTCOMES[word], sections.get(test, "")) for test, word in rows]


def judged(group: str, test: str, outcome: str, printed: str) -> Result:
    if outcome == FAILED and test.startswith(OLD):
        return Result(group, test, SKIPPED, "asks for servers of 3.3 and 3.4")
    return Result(group, test, outcome, "\n".join(printed.splitlines()[-12:]))
