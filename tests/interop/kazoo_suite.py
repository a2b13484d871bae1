"""kazoo's own test suite, from its sdist, unmodified.

The suite starts its servers as `java ... QuorumPeerMain zoo.cfg`; a `java` of ours earlier on PATH (java_shim/) starts
pyzk on that zoo.cfg instead. What must pass is what passes against Apache 3.8.0 in the same arrangement:
kazoo_baseline.txt for one server, kazoo_baseline_cluster3.txt for `--cluster 3`, each written by
`scripts/interop kazoo [--cluster 3] --apache --record`.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import venv
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.integration.processes import free_block
from tests.interop.apache import UnavailableError, cache_folder, class_path, need
from tests.interop.results import FAILED, PASSED, SKIPPED, Result

HERE = Path(__file__).parent
# Each server of the suite's cluster has five ports in a row, and the next server's begin ten further.
PORTS_OF_A_SERVER, PORTS_APART = 5, 10
# The suite makes its certificates with calls that newer releases of pyOpenSSL have dropped.
REQUIREMENTS = ("kazoo[test,gevent,eventlet,sasl]==2.11.0", "pyopenssl==24.2.1", "pytest<9", "setuptools")
SUITE_TIMEOUT_S = 1800


def run(options: argparse.Namespace) -> list[Result]:
    report = run_suite(options.only, servers=options.cluster, apache=options.apache)
    outcomes = read_report(report)
    if options.record:
        write_baseline(baseline_path(options.cluster), outcomes)
    baseline = set(baseline_path(options.cluster).read_text().split())
    if not options.only:
        outcomes |= missing(baseline - outcomes.keys())
    return [judge(name, outcome, detail, baseline) for name, (outcome, detail) in sorted(outcomes.items())]


def baseline_path(servers: int) -> Path:
    return HERE / ("kazoo_baseline.txt" if servers == 1 else f"kazoo_baseline_cluster{servers}.txt")


def missing(names: set[str]) -> dict[str, tuple[str, str]]:
    """Tests that pass against Apache and were not run: something went wrong."""
    return dict.fromkeys(names, (FAILED, "was not run"))


def judge(name: str, outcome: str, detail: str, baseline: set[str]) -> Result:
    """A failure counts where Apache's server passes."""
    group = name.split(".")[2]
    if outcome == FAILED and name not in baseline:
        return Result(group, name, SKIPPED, "fails against Apache 3.8.0 in the same arrangement too")
    return Result(group, name, outcome, detail)


def install() -> Path:
    """A virtual environment with kazoo built from its sdist; the path of its Python."""
    folder = cache_folder("kazoo-2.11.0")
    python = folder / "venv" / "bin" / "python"
    complete = folder / "complete"
    if not complete.exists():
        venv.create(folder / "venv", with_pip=True)
        command = [str(python), "-m", "pip", "install", "-q", "--no-binary", "kazoo", *REQUIREMENTS]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        if done.returncode != 0:
            raise UnavailableError(f"pip cannot install kazoo's suite: {done.stderr[-500:]}")
        complete.touch()
    return python


def run_suite(only: str | None, *, servers: int, apache: bool) -> Path:
    """Run the suite in a folder of its own; the path of its JUnit report."""
    python = install()
    folder = Path(tempfile.mkdtemp(prefix="kazoo-suite-"))
    report = folder / "report.xml"
    packages = next(python.parent.parent.glob("lib/python*/site-packages"))
    command = [str(python), "-m", "pytest", f"--rootdir={packages}", "--pyargs", "kazoo.tests", "-v"]
    command += ["-p", "no:warnings", "-p", "no:cacheprovider", "--timeout", "150", f"--junitxml={report}"]
    command += ["-k", only] if only else []
    log = folder / "suite.log"
    print(f"kazoo's suite runs; log: {log}", flush=True)
    with log.open("wb") as output:
        variables = environment(servers=servers, apache=apache)
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=output, stderr=output)
        try:
            process.wait(SUITE_TIMEOUT_S)
        finally:
            # SIGINT, not SIGKILL: the suite's exit handler stops the servers it started.
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait()
    return report


def environment(*, servers: int, apache: bool) -> dict[str, str]:
    ports = [PORTS_APART * server + port for server in range(servers) for port in range(PORTS_OF_A_SERVER)]
    suite = {
        "ZOOKEEPER_VERSION": "3.8.0",
        "ZOOKEEPER_CLUSTER_SIZE": str(servers),
        "ZOOKEEPER_PORT_OFFSET": str(free_block(ports)),
    }
    if apache:
        need("java")
        suite["ZOOKEEPER_CLASSPATH"] = class_path("3.8")
    else:
        suite["ZOOKEEPER_CLASSPATH"] = "unused"
        suite["PYZK_SERVER"] = str(Path(sys.executable).parent / "pyzk-server")
        suite["PATH"] = os.pathsep.join([str(HERE / "java_shim"), os.environ["PATH"]])
    return {**os.environ, **suite}


def read_report(report: Path) -> dict[str, tuple[str, str]]:
    """Outcome and message of each test, by dotted name, from a JUnit report."""
    outcomes: dict[str, tuple[str, str]] = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        outcome, detail = PASSED, ""
        for tag, kind in (("skipped", SKIPPED), ("error", FAILED), ("failure", FAILED)):
            element = case.find(tag)
            if element is not None:
                outcome, detail = kind, element.get("message") or ""
        if outcomes.get(name, ("", ""))[0] != FAILED:
            outcomes[name] = (outcome, detail)
    return outcomes


def write_baseline(path: Path, outcomes: dict[str, tuple[str, str]]) -> None:
    passed = sorted(name for name, (outcome, _) in outcomes.items() if outcome == PASSED)
    path.write_text("\n".join(passed) + "\n")
