"""Kafka on the seed's three hosts, in ZooKeeper mode: 3.4.0 as the deployment has it, and 3.9.2, the last that has it.

    scripts/interop kafka                     # 3.4.0 on three pyzk servers; --repeat 5 for five times in a row
    scripts/interop kafka39                   # 3.9.2, with its znodes below /kafka
    scripts/interop kafka --apache --record   # the same steps on Apache's 3.9.5: what Kafka leaves there

At the end the znodes are compared with those that the same steps left on Apache's servers (transcripts/kafka-*.txt).
"""

import argparse
import logging
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.integration.ensemble import KEEP_TRYING
from tests.interop.kafka_cluster import KAFKA_340, Cluster, Release
from tests.interop.kafka_steps import BEFORE_STOP, WITH_ACLS, Deployment, stop
from tests.interop.kafka_znodes import left_by_kafka
from tests.interop.maven import UnavailableError, need
from tests.interop.results import FAILED, PASSED, Result
from tests.interop.seed import SeedEnsemble, seed_network
from tests.interop.steps import taken
from tests.interop.transcript import FOLDER, compare

SERVERS = 3


def run(options: argparse.Namespace, release: Release = KAFKA_340) -> list[Result]:
    need("java")
    kinds = (options.kinds or ("java39" if options.apache else "pyzk")).split(",")
    servers = [kinds[number % len(kinds)] for number in range(SERVERS)]
    print(f"{release.name} on {' '.join(servers)}, class path {release.class_path}", flush=True)
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="kafka-"))
    results = []
    with seed_network() as network:
        for number in range(1, options.repeat + 1):
            place = folder / f"run-{number}"
            with SeedEnsemble(place, servers, network, with_sasl=release.with_acls) as ensemble:
                ensemble.start_in_turn()
                with Cluster(place, release, network, ensemble.hosts()) as cluster:
                    results += one_run(ensemble, cluster, options)
    if all(result.outcome == PASSED for result in results):
        shutil.rmtree(folder)
    return results


def one_run(ensemble: SeedEnsemble, cluster: Cluster, options: argparse.Namespace) -> list[Result]:
    name = cluster.release.name
    results: list[Result] = []
    with ensemble.talking(command_retry=KEEP_TRYING) as client:
        deployment = Deployment(ensemble, cluster, client)
        for title, step in (*BEFORE_STOP, *(WITH_ACLS if cluster.release.with_acls else ())):
            results.append(taken(name, title, partial(step, deployment), ensemble.folder))
            if results[-1].outcome == FAILED:
                return results
        results += znodes(name, left_by_kafka(client, cluster.release.chroot or "/"), options)
        results.append(taken(name, "brokers stop", partial(stop, deployment), ensemble.folder))
    results.append(taken(name, "the servers are alike", partial(alike, deployment), ensemble.folder))
    return results


def znodes(name: str, left: str, options: argparse.Namespace) -> Iterator[Result]:
    """Compare what Kafka left with what it leaves on Apache's servers; `--apache --record` keeps that."""
    recorded = FOLDER / f"{name}.txt"
    if options.record:
        if not options.apache:
            raise UnavailableError("only what is left on Apache's servers is recorded: --apache --record")
        recorded.write_text(left)
    results = compare(name, recorded.read_text(), left)
    print(f"    znodes: {sum(line.startswith('/') for line in left.splitlines())} compared", flush=True)
    return iter([Result(name, f"znodes below {result.name}", result.outcome, result.detail) for result in results])


def alike(deployment: Deployment) -> str:
    """The trees of all servers are equal."""
    found = deployment.ensemble.trees()
    first, *others = found.values()
    assert all(tree == first for tree in others)
    return f"{len(first)} znodes on each server"
