"""`scripts/interop NAME`: one foreign suite, its table, and an exit code that tells.

Each suite is a module with `run(options) -> list[Result]`; a missing tool is a skip with its reason.
"""

import argparse
import importlib
import sys
import time

from tests.interop.apache import UnavailableError
from tests.interop.results import SKIPPED, Result, failed, table

SUITES = {
    "kazoo": ("tests.interop.kazoo_suite", "kazoo 2.11's own test suite (4 minutes)"),
    "c-client": ("tests.interop.c_client", "Debian's libzookeeper-mt, through ctypes"),
    "java-client": ("tests.interop.java_client", "the Java client of Apache 3.9.5"),
    "zkcli": ("tests.interop.zkcli", "zkCli.sh of Debian's package, scripted"),
    "zkcli39": ("tests.interop.zkcli39", "zkCli.sh of Apache 3.9.5: options, quoting, wrong arguments"),
    "pyzk-cli": ("tests.interop.pyzk_cli", "pyzk-cli against what zkCli.sh said to the same commands"),
    "control": ("tests.interop.control", "zkServer.sh of Debian's package, beside bin/zkServer.sh"),
    "metrics": ("tests.interop.metrics", "names of mntr, monitor and Prometheus beside those of Apache 3.9.5"),
    "kubernetes": ("tests.interop.kubernetes", "the example for Kubernetes: its schemas, its probes"),
    "compose": ("tests.interop.compose", "Dockerfile and docker-compose.yml, run by podman"),
    "toolkits": ("tests.interop.toolkits", "Apache's tools for files, and pyzk's, on the captured files"),
    "node": ("tests.interop.node_client", "npm's node-zookeeper-client"),
    "kill9": ("tests.interop.kill9", "kill -9 under write load, --rounds times"),
    "mixed": ("tests.interop.mixed", "ensembles of pyzk and Apache's servers, --repeat times"),
    "chaos": ("tests.interop.chaos", "faults at random on ensembles under load, for --minutes"),
    "fuzz": ("tests.interop.fuzz", "noise on every port of an ensemble with TLS, for --minutes"),
    "hostile-peers": (
        "tests.interop.hostile",
        "attacks on the peer ports of an ensemble under load, for --minutes",
    ),
    "learner-sync": ("tests.interop.learner_sync", "how long a learner takes to join, and what clients notice"),
    "kafka": ("tests.interop.kafka", "Kafka 3.4.0 on the hosts of docs/seed-deployment.md (4 minutes)"),
    "kafka39": ("tests.interop.kafka39", "the same with Kafka 3.9.2, its znodes below /kafka"),
    "kafka-acl": ("tests.interop.kafka_acl", "Kafka 3.4.0 with SASL and zookeeper.set.acl"),
    "curator": ("tests.interop.curator", "Curator's recipes on three servers, one of which is killed"),
    "go-client": ("tests.interop.go_client", "go-zookeeper's own test suite, with servers alone and in threes"),
    "rust-client": ("tests.interop.rust_client", "zookeeper-client's own test suite (Rust), without TLS and with it"),
    "aiozk": ("tests.interop.aiozk_suite", "aiozk's own test suite"),
    "apache-tests": ("tests.interop.apache_tests", "Apache's tests jar: what talks to one server as a client"),
    "spark": ("tests.interop.spark", "Spark's standalone masters, of which the leading one is killed"),
    "solr": ("tests.interop.solr", "SolrCloud, of which the overseer is killed"),
    "connections": ("tests.interop.connections", "ten thousand pinging connections, bytes each"),
}
# Short enough for .ci/run; what is longer runs before an issue is called resolved.
CI = ("c-client", "node", "zkcli", "java-client", "control", "metrics", "compose", "curator")
# All three kinds in one ensemble: the Java server that leads is killed under load and comes back.
MIXED_IN_CI = "failover: java39 leads pyzk and java38"


def main() -> int:
    if sys.argv[1:2] == ["differential"]:  # --seed and --only are its own
        return differential(sys.argv[2:])
    options = parser().parse_args()
    if options.name == "list":
        print("\n".join(f"{name:14} {what}" for name, (_, what) in SUITES.items()))
        print("differential   random programs against pyzk and an Apache server (its own options: --help)")
        print(f"ci             {', '.join(CI)}, one mixed ensemble, and a short differential")
        print("Options: --apache, --record, --only WORD, --rounds N, --seed N, --cluster N, --repeat N, --kinds A,B,C,")
        print("--minutes M; see docs/interop.md")
        return 0
    if options.name == "ci":
        return continuous_integration(options)
    return run([options.name], options)


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="scripts/interop", description=__doc__, add_help=False)
    arguments.add_argument("name", nargs="?", default="list", choices=[*SUITES, "ci", "list"])
    arguments.add_argument("--apache", action="store_true", help="run against Apache's server: the baseline")
    arguments.add_argument("--record", action="store_true", help="with --apache: store what it answered")
    arguments.add_argument("--cluster", type=int, default=1, help="kazoo: servers of the suite's cluster, 1 or 3")
    arguments.add_argument("--only", help="only cases that match this word; of mixed, one of these words with commas")
    arguments.add_argument("--rounds", type=int, default=100, help="kill9: how many times")
    arguments.add_argument("--seed", type=int, help="kill9, mixed, chaos, hostile-peers: repeat one run")
    arguments.add_argument("--repeat", type=int, default=1, help="mixed, kafka: how many times in a row")
    arguments.add_argument(
        "--kinds", help="mixed, chaos, learner-sync, kafka: kinds of servers, such as java38,java38,java39"
    )
    arguments.add_argument("--minutes", type=float, default=10.0, help="chaos, hostile-peers: how long")
    return arguments


def run(names: list[str], options: argparse.Namespace) -> int:
    results: list[Result] = []
    for name in names:
        began = time.monotonic()
        results += run_suite(name, options)
        print(f"{name}: {time.monotonic() - began:.1f} s", flush=True)
    print(table(results))
    return int(failed(results))


def run_suite(name: str, options: argparse.Namespace) -> list[Result]:
    try:
        found: list[Result] = importlib.import_module(SUITES[name][0]).run(options)
    except UnavailableError as missing:
        return [Result(name, "all", SKIPPED, str(missing))]
    return found


def differential(rest: list[str]) -> int:
    sys.argv[1:] = rest
    entry = importlib.import_module("tests.interop.differential").main
    return int(entry() or 0)


def continuous_integration(options: argparse.Namespace) -> int:
    clients = run(list(CI), options)
    ensemble = run(["mixed"], argparse.Namespace(**{**vars(options), "only": MIXED_IN_CI, "kinds": None, "repeat": 1}))
    return clients or ensemble or differential(["--programs", "100"])


if __name__ == "__main__":
    sys.exit(main())
