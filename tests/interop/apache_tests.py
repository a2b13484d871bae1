"""Apache's own tests (the tests jar of 3.9.5) that talk to one server as clients, with an external server in its place.

The tests start their server inside their JVM, through the class that zookeeper.serverCnxnFactory names: java/external
has one that starts pyzk-server instead, on the same directories and port. Each test class has a JVM of its own, as in
Apache's build. A test counts as failed when Apache's server passes it (apache_tests_baseline.txt, written by
`scripts/interop apache-tests --apache --record`) and CANNOT_APPLY has no reason for it. A whole run counts the classes
of the jar that are left out, by the reason.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tests.interop.apache import JVM_FLAGS, RELEASE
from tests.interop.kazoo_suite import read_report, write_baseline
from tests.interop.maven import jars, need
from tests.interop.results import FAILED, PASSED, SKIPPED, Result

HERE = Path(__file__).parent
SOURCES = HERE / "java" / "external"
BASELINE = HERE / "apache_tests_baseline.txt"
ARTIFACTS = (
    f"org.apache.zookeeper:zookeeper:{RELEASE}",
    f"org.apache.zookeeper:zookeeper:{RELEASE}:tests",
    "org.junit.platform:junit-platform-console-standalone:1.10.2",
    "org.hamcrest:hamcrest:2.2",
    "org.mockito:mockito-core:4.9.0",
    "commons-io:commons-io:2.17.0",
    "org.apache.commons:commons-collections4:4.4",
    "commons-cli:commons-cli:1.5.0",
    "org.xerial.snappy:snappy-java:1.1.10.5",
    "io.dropwizard.metrics:metrics-core:4.1.12.1",
    "org.slf4j:slf4j-simple:2.0.13",
)
CLASS_TIMEOUT_S = 900
# As the build of Apache sets it: the password of super is test.
SUPER = "-Dzookeeper.DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU="
TEST_TIMEOUT = "-Djunit.jupiter.execution.timeout.default=180 s"
# Classes of the jar that start one server and talk to it, below org.apache.zookeeper. The others test parts of the
# Java server, or a quorum of them inside their JVM.
CLASSES = (
    *("ClientReconnectTest", "CustomHostProviderTest", "EnforceAuthenticationTest", "SaslAuthTest"),
    *("server.InvalidSnapCountTest", "server.PurgeTxnTest", "server.TxnLogCountTest"),
    *("test.ChrootAsyncTest", "test.ChrootClientTest"),
    *(
        "test.ClientSkipACLTest",
        "test.EnsembleAuthTest",
    ),
    *("test.SaslAuthDesignatedClientTest", "test.SaslAuthDesignatedServerTest"),
    *(
        "test.SaslAuthFailDesignatedClientTest",
        "test.SaslAuthFailTest",
        "test.SaslAuthMissingClientConfigTest",
        "test.SaslAuthRequiredFailNoSASLTest",
    ),
    *("test.SaslAuthRequiredFailWrongSASLTest", "test.SaslAuthRequiredMultiClientTest", "test.SaslAuthRequiredTest"),
    *("test.SaslClientTest", "test.SaslSuperUserTest"),
    *("GetAllChildrenNumberTest", "GetEphemeralsTest", "RemoveWatchesCmdTest", "RemoveWatchesTest", "ZKUtilTest"),
    *("ZooKeeperTest", "server.CreateContainerTest", "server.CreateTTLTest", "server.Emulate353TTLTest"),
    *("test.ACLCountTest", "test.ACLRootTest", "test.ACLTest", "test.AsyncOpsTest"),
    *("test.AuthTest", "test.BufferSizeTest", "test.CheckTest", "test.ChrootTest", "test.ClientHammerTest"),
    *("test.ClientPortBindTest", "test.ClientRetryTest", "test.ClientTest", "test.CreateTest"),
    *("test.DigestAuthDisabledTest", "test.DisconnectedWatcherTest", "test.EnforceQuotaTest"),
    *("test.FourLetterWordsTest", "test.FourLetterWordsWhiteListTest", "test.GetChildren2Test"),
    *("test.KeyAuthClientTest", "test.LoadFromLogTest", "test.MaxCnxnsTest"),
    *("test.MultiAsyncTransactionTest", "test.MultiOperationTest", "test.NullDataTest"),
    *("test.PersistentRecursiveWatcherTest", "test.PersistentWatcherACLTest", "test.PersistentWatcherTest"),
    *("test.RecoveryTest", "test.RepeatStartupTest", "test.ResponseCacheTest", "test.ServerCnxnTest"),
    *("test.SessionInvalidationTest", "test.SessionTest", "test.SessionTimeoutTest", "test.StatTest"),
    *("test.SyncCallTest", "test.ThrottledOpStandaloneTest", "test.UnsupportedAddWatcherTest"),
    *("test.WatcherFuncTest", "test.WatcherTest", "test.ZooKeeperQuotaTest"),
)
# (Part of a test's name, why it cannot apply to a server outside the tests' JVM.)
CANNOT_APPLY: tuple[tuple[str, str], ...] = (
    ("RemoveWatchesTest.testRemoveAll", "looks into the watch tables of that server"),
    ("RemoveWatchesTest.testRemovePersistentWatchesOnAPathPartially", "looks into the watch tables of that server"),
    ("server.CreateContainerTest", "runs that server's container manager with a clock of its own"),
    ("server.CreateTTLTest", "runs that server's container manager with a clock of its own"),
    ("server.Emulate353TTLTest", "runs that server's container manager with a clock of its own"),
    ("ZooKeeperQuotaTest", "counts in the metrics of that server at its end"),
    ("ThrottledOpStandaloneTest", "replaces methods of that server (jmockit)"),
    ("ZKUtilTest.testUnreadableFileInput", "root reads every file"),
    ("BufferSizeTest.testStartupFailure", "its files are not in the jar"),
    ("WatcherTest.testWatcherCount", "looks into the watch tables of that server"),
    ("UnsupportedAddWatcherTest", "gives that server a watch manager of its own"),
    ("SessionTest.testMinMaxSessionTimeout", "changes that server's limits while it runs"),
    ("BufferSizeTest.testCreatesReqs", "sets jute.maxbuffer when its first server is up; testSetReqs tells the same"),
    ("CheckTest.testCluster", "starts an ensemble inside the JVM"),
    ("RepeatStartupTest", "starts an ensemble inside the JVM"),
    ("testPathValidation", "has a processor of that server fail"),
    ("KeyAuthClientTest", "its authentication provider is a class of Java"),
    ("SaslAuthDesignatedServerTest", "gives that server its users by a class of Java"),
    ("SaslAuthDesignatedClientTest.testReadAccessUser", "changes that server's settings while it runs"),
    ("SaslSuperUserTest.testOtherSuperIsSuper", "names a super user while that server runs"),
    ("ResponseCacheTest", "counts in the metrics of that server"),
    ("SessionTest.testMaximumCnxnPerIP", "changes that server's limits while it runs"),
)
# Why a class of the jar is not among CLASSES: the first row of which it mentions a name.
LEFT_OUT = (
    ("start an ensemble inside the JVM, or a part of one", ("QuorumPeer", "QuorumBase", "QuorumUtil", "quorum/")),
    ("build, call or count within the Java server", ("ZooKeeperServer", "ServerCnxn", "DataTree", "zookeeper/server/")),
    ("are about Java's client, tools and utilities", ("",)),
)


def run(options: argparse.Namespace) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="apache-tests-") as folder:
        command = launcher(Path(folder) / "classes", apache=options.apache)
        outcomes: dict[str, tuple[str, str]] = {}
        for name in CLASSES:
            if not options.only or options.only in name:
                outcomes |= run_class(f"org.apache.zookeeper.{name}", command, Path(folder) / name)
    baseline = set(BASELINE.read_text().splitlines()) if BASELINE.exists() else set()
    if options.record:
        kept = {name: (PASSED, "") for name in baseline if options.only and name not in outcomes}
        write_baseline(BASELINE, kept | outcomes)
    missing = {} if options.only else dict.fromkeys(baseline - outcomes.keys(), (FAILED, "was not run"))
    judged = sorted({**outcomes, **missing}.items())
    if not options.only:
        print("\n".join(f"    {count} classes are left out: they {why}" for why, count in left_out().items()))
    return [judge(name, outcome, detail, baseline) for name, (outcome, detail) in judged]


def left_out() -> dict[str, int]:
    """How many classes with tests are left out, by the reason."""
    (jar,) = jars(f"apache-tests-{RELEASE}", ARTIFACTS).glob("zookeeper-*-tests.jar")
    counts = dict.fromkeys([why for why, _ in LEFT_OUT], 0)
    with zipfile.ZipFile(jar) as content:
        for path in content.namelist():
            name = path.removeprefix("org/apache/zookeeper/").removesuffix(".class").replace("/", ".")
            if path.endswith("Test.class") and name not in CLASSES:
                data = content.read(path)
                counts[next(why for why, names in LEFT_OUT if any(part.encode() in data for part in names))] += 1
    return counts


def judge(name: str, outcome: str, detail: str, baseline: set[str]) -> Result:
    """A failure counts where Apache's server passes and nothing tells why ours cannot."""
    group = name.removeprefix("org.apache.zookeeper.").rpartition(".")[0]
    if outcome == FAILED:
        reason = next((why for part, why in CANNOT_APPLY if part in name), "")
        if not reason and name not in baseline:
            reason = f"fails against Apache {RELEASE} too"
        if reason:
            return Result(group, name, SKIPPED, reason)
    return Result(group, name, outcome, detail)


def launcher(classes: Path, *, apache: bool) -> list[str]:
    """The command that runs a test class, up to the name of the class."""
    class_path = f"{jars(f'apache-tests-{RELEASE}', ARTIFACTS)}/*"
    flags = [TEST_TIMEOUT, SUPER, "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"]
    if not apache:
        sources = [str(source) for source in sorted(SOURCES.glob("*.java"))]
        subprocess.run([need("javac"), "-cp", class_path, "-d", str(classes), *sources], check=True)
        flags.append("-Dzookeeper.serverCnxnFactory=ExternalServer")
    console = ["org.junit.platform.console.ConsoleLauncher", "execute", "--disable-banner", "--details=none"]
    return [need("java"), *JVM_FLAGS, *flags, "-cp", f"{classes}:{class_path}", *console]


def run_class(name: str, command: list[str], folder: Path) -> dict[str, tuple[str, str]]:
    """Outcome and message of each test of one class."""
    folder.mkdir()
    variables = {**os.environ, "PYZK_SERVER": str(Path(sys.executable).parent / "pyzk-server")}
    started = [*command, "-c", name, "--reports-dir", str(folder)]
    java, *rest = started
    try:
        subprocess.run(
            [java, f"-Dbuild.test.dir={folder}", f"-Djava.io.tmpdir={folder}", *rest],
            cwd=folder,
            env=variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=CLASS_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {f"{name}.all": (FAILED, f"no end in {CLASS_TIMEOUT_S} s")}
    outcomes: dict[str, tuple[str, str]] = {}
    for report in folder.glob("TEST-*.xml"):
        outcomes |= {case.removesuffix("()"): outcome for case, outcome in read_report(report).items()}
    passed = sum(outcome == PASSED for outcome, _ in outcomes.values())
    print(f"    {name}: {passed} of {len(outcomes)} passed", flush=True)
    return outcomes or {f"{name}.all": (FAILED, "no report")}
