"""Spark's standalone masters with recovery by ZooKeeper: the one that leads is killed, and the application goes on.

scripts/interop spark              # on three pyzk servers; --apache: on three of 3.9.5
"""

import argparse
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kazoo.client import KazooClient

from tests.integration.ensemble import KEEP_TRYING, Ensemble
from tests.integration.processes import eventually
from tests.interop.maven import need
from tests.interop.results import FAILED, PASSED, Result
from tests.interop.spark_cluster import TOP, Application, Cluster, Daemon
from tests.interop.steps import taken

SERVERS = 3
# Spark's masters ask for a minute; this is what they get.
SESSION_TIMEOUT_S = 10.0
SETTINGS = {"maxSessionTimeout": int(SESSION_TIMEOUT_S * 1000)}
START_TIMEOUT_S = 180.0
EXECUTORS = 2
NUMBERS = 100_000
TOTAL = NUMBERS * (NUMBERS - 1) // 2


@dataclass
class Deployment:
    """Servers, Spark's daemons, a client that looks, and the application under way."""

    ensemble: Ensemble
    cluster: Cluster
    client: KazooClient
    application: Application

    def kept(self) -> set[str]:
        """What the master has written down: names of workers and applications."""
        return set(self.client.retry(self.client.get_children, f"{TOP}/master_status"))

    def leader(self) -> Daemon:
        """The master that is ALIVE, once there is one and it knows the worker."""
        eventually(self._is_led, "one master leads and knows the worker", START_TIMEOUT_S)
        return self.cluster.leaders()[0]

    def _is_led(self) -> bool:
        assert self.cluster.worker.running, self.cluster.worker.log_tail()
        leaders = self.cluster.leaders()
        return len(leaders) == 1 and len(leaders[0].names("workers")) == 1


def run(options: argparse.Namespace) -> list[Result]:
    need("java")
    kinds = (options.kinds or ("java39" if options.apache else "pyzk")).split(",")
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="spark-"))
    results: list[Result] = []
    with Ensemble(folder, [kinds[number % len(kinds)] for number in range(SERVERS)], SETTINGS) as ensemble:
        ensemble.start()
        with Cluster(folder, ensemble.hosts()) as cluster, ensemble.talking(command_retry=KEEP_TRYING) as client:
            results.append(taken("spark", "two masters start", lambda: start(cluster, client)))
            if results[0].outcome == PASSED:
                results += on_it(ensemble, cluster, client)
    if all(result.outcome == PASSED for result in results):
        shutil.rmtree(folder)
    else:
        print(f"files in {folder}", flush=True)
    return results


def on_it(ensemble: Ensemble, cluster: Cluster, client: KazooClient) -> list[Result]:
    results: list[Result] = []
    with cluster.application("long") as application:
        deployment = Deployment(ensemble, cluster, client, application)
        for title, step in STEPS:
            results.append(taken("spark", title, partial(step, deployment)))
            if results[-1].outcome == FAILED:
                return results
    results.append(taken("spark", "the application ends", partial(end, deployment)))
    return results


def start(cluster: Cluster, client: KazooClient) -> str:
    """One leads, the other stands by, each with a place in the election; the worker is written down."""
    for daemon in cluster.daemons:
        daemon.launch()
    eventually(lambda: sorted(master.status for master in cluster.masters) == ["ALIVE", "STANDBY"], "", START_TIMEOUT_S)
    places = client.get_children(f"{TOP}/leader_election")
    assert len(places) == len(cluster.masters), places
    assert all(client.exists(f"{TOP}/leader_election/{place}").ephemeralOwner for place in places)
    eventually(lambda: client.get_children(f"{TOP}/master_status"), "the worker is written down", START_TIMEOUT_S)
    (worker,) = client.get_children(f"{TOP}/master_status")
    assert worker.startswith("worker_worker-"), worker
    return str(worker)


def work(deployment: Deployment) -> str:
    """The application is known, written down, and its executors count."""
    leader, application = deployment.leader(), deployment.application
    assert leader.names("activeapps") == [application.id]
    assert f"app_{application.id}" in deployment.kept(), deployment.kept()
    return f"{application.id}, {require_count(application)} executors"


def require_count(application: Application) -> int:
    total, processes = application.count(NUMBERS)
    assert total == TOTAL, total
    return len(processes)


def kill_master(deployment: Deployment) -> str:
    """kill -9 of the master that leads: the other takes its place and reads what it had written down."""
    cluster, application = deployment.cluster, deployment.application
    _, before = application.count(NUMBERS)
    old = deployment.leader()
    old.kill()
    began = time.monotonic()
    # While nobody leads, the executors go on.
    require_count(application)
    leader = deployment.leader()
    taken_s = time.monotonic() - began
    eventually(lambda: leader.names("activeapps") == [application.id], "it knows the application", START_TIMEOUT_S)
    total, after = application.count(NUMBERS)
    assert total == TOTAL
    assert len(before | after) == EXECUTORS, f"executors {before} before and {after} after"
    old.launch()
    eventually(lambda: old.status == "STANDBY", "the old master stands by", START_TIMEOUT_S)
    assert cluster.leaders() == [leader]
    return f"the other leads after {taken_s:.1f} s, executors {' '.join(sorted(after))} as before"


def another(deployment: Deployment) -> str:
    """The new master takes an application, and forgets it when that ends."""
    with deployment.cluster.application("short") as application:
        executors = require_count(application)
        assert f"app_{application.id}" in deployment.kept()
    eventually(lambda: f"app_{application.id}" not in deployment.kept(), "it is forgotten", START_TIMEOUT_S)
    return f"{application.id}, {executors} executors"


def kill_server(deployment: Deployment) -> str:
    """kill -9 of the server that leads. A master whose connection is lost ends itself: that is Spark's way."""
    ensemble, application = deployment.ensemble, deployment.application
    old = ensemble.leader()
    ensemble.kill(old)
    ensemble.wait_until_serving(*ensemble.running)
    require_count(application)
    leader = deployment.leader()
    eventually(lambda: application.id in leader.names("activeapps"), "a master knows the application", START_TIMEOUT_S)
    require_count(application)
    ensemble.start(old)
    ended = [master for master in deployment.cluster.masters if not master.running]
    return f"{len(ended)} of two masters ended itself; one leads"


def end(deployment: Deployment) -> str:
    """Nothing of the application is left."""
    eventually(lambda: len(deployment.kept()) == 1, "only the worker is written down", START_TIMEOUT_S)
    found = deployment.ensemble.trees()
    first, *others = found.values()
    assert all(tree == first for tree in others)
    return f"{len(first)} znodes on each server"


STEPS: tuple[tuple[str, Callable[[Deployment], str]], ...] = (
    ("an application runs", work),
    ("the leading master is killed", kill_master),
    ("another application on the new master", another),
    ("the leading server is killed", kill_server),
)
