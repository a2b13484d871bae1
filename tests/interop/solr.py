"""SolrCloud on three servers: a collection with two replicas of each shard; its overseer and the leading server die.

scripts/interop solr               # on three pyzk servers; --apache: on three of 3.9.5
"""

import argparse
import json
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
from tests.interop.solr_cluster import PROGRAM, TOP, Cluster, Node
from tests.interop.steps import taken

SERVERS = 3
# Solr's nodes ask for half a minute; this is what they get.
SETTINGS = {"maxSessionTimeout": 10000}
TIMEOUT_S = 180.0
NAME = "numbers"
SHARDS = REPLICAS = 2
BATCH = 1000


@dataclass
class Deployment:
    """Servers, Solr's nodes, a client that looks, and how many documents there must be."""

    ensemble: Ensemble
    cluster: Cluster
    client: KazooClient
    documents: int = 0

    @property
    def node(self) -> Node:
        return next(node for node in self.cluster.nodes if node.running)

    def names(self, path: str) -> list[str]:
        return sorted(self.client.retry(self.client.get_children, f"{TOP}{path}"))

    def overseer(self) -> str:
        """The name of the node that does the cluster's work; empty without one."""
        if "leader" not in self.names("/overseer_elect"):
            return ""
        found, _ = self.client.retry(self.client.get, f"{TOP}/overseer_elect/leader")
        return str(json.loads(found)["id"]).partition("-")[2].rpartition("-")[0]

    def add(self) -> None:
        """A batch of documents, each found from every node that runs."""
        first, self.documents = self.documents, self.documents + BATCH
        batch = [{"id": str(number), "number": number} for number in range(first, self.documents)]
        self.node.ask(f"{NAME}/update", batch, commit="true")
        for node in self.cluster.nodes:
            if node.running:
                eventually(lambda node=node: self.found(node) == self.documents, "all are found", TIMEOUT_S)

    @staticmethod
    def found(node: Node) -> int:
        answer = node.ask(f"{NAME}/select", q="*:*", rows=0)
        return int(answer["response"]["numFound"]) if answer else -1

    def states(self) -> list[str]:
        """The states of all replicas of live nodes."""
        status = self.node.collections("CLUSTERSTATUS", collection=NAME).get("cluster", {})
        shards = status["collections"][NAME]["shards"].values() if status else []
        replicas = [replica for shard in shards for replica in shard["replicas"].values()]
        return [replica["state"] for replica in replicas if replica["node_name"] in status["live_nodes"]]

    def wait_until_active(self) -> None:
        expected = ["active"] * (SHARDS * sum(node.running for node in self.cluster.nodes))
        eventually(lambda: self.states() == expected, "all replicas are active", TIMEOUT_S)


def run(options: argparse.Namespace) -> list[Result]:
    need("java")
    kinds = (options.kinds or ("java39" if options.apache else "pyzk")).split(",")
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="solr-"))
    results: list[Result] = []
    with Ensemble(folder, [kinds[number % len(kinds)] for number in range(SERVERS)], SETTINGS) as ensemble:
        ensemble.start()
        with Cluster(folder, ensemble.hosts()) as cluster, ensemble.talking(command_retry=KEEP_TRYING) as client:
            deployment = Deployment(ensemble, cluster, client)
            for title, step in STEPS:
                results.append(taken("solr", title, partial(step, deployment)))
                if results[-1].outcome == FAILED:
                    break
    if results[-1].outcome == PASSED:
        shutil.rmtree(folder)
    else:
        print(f"files in {folder}", flush=True)
    return results


def prepare(deployment: Deployment) -> str:
    """`bin/solr zk`: make the root, upload a configuration, copy, list."""
    tool = deployment.cluster.tool
    tool("zk", "mkroot", TOP, chroot=False)
    tool("zk", "upconfig", "-n", NAME, "-d", str(PROGRAM / "conf"))
    tool("zk", "cp", f"file:{PROGRAM}/solr.xml", "zk:/copied.xml")
    listed = tool("zk", "ls", "-r", "/")
    for name in ("solrconfig.xml", "schema.xml", "copied.xml"):
        assert name in listed, listed
    assert deployment.client.get(f"{TOP}/copied.xml")[0] == (PROGRAM / "solr.xml").read_bytes()
    tool("zk", "rm", "zk:/copied.xml")
    return ""


def start(deployment: Deployment) -> str:
    """Two nodes live, each with an ephemeral znode, one of them the overseer."""
    cluster = deployment.cluster
    for node in cluster.nodes:
        node.launch()
    wait_for(deployment, *cluster.nodes)
    eventually(deployment.overseer, "an overseer", TIMEOUT_S)
    for node in cluster.nodes:
        assert deployment.client.exists(f"{TOP}/live_nodes/{node.name}").ephemeralOwner
    return f"{deployment.overseer()} is the overseer"


def wait_for(deployment: Deployment, *nodes: Node) -> None:
    def live() -> bool:
        for node in nodes:
            assert node.running, node.log_tail()
        answers = [node.ask("admin/info/system").get("mode") == "solrcloud" for node in nodes]
        return all(answers) and {node.name for node in nodes} <= set(deployment.names("/live_nodes"))

    eventually(live, "the nodes are live", TIMEOUT_S)


def collect(deployment: Deployment) -> str:
    """A collection of two shards with two replicas each, and documents in it."""
    deployment.node.collections(
        "CREATE",
        name=NAME,
        numShards=SHARDS,
        replicationFactor=REPLICAS,
        **{"collection.configName": NAME},
    )
    deployment.wait_until_active()
    deployment.add()
    return f"{deployment.documents} documents"


def aliases(deployment: Deployment) -> str:
    """An alias, a property of the cluster and one of the collection are kept, and heard of by both nodes."""
    one, other = deployment.cluster.nodes
    one.collections("CREATEALIAS", name="alias", collections=NAME)
    one.collections("CLUSTERPROP", name="urlScheme", val="http")
    one.collections("COLLECTIONPROP", name=NAME, propertyName="key", propertyValue="value")
    eventually(lambda: other.ask("alias/select", q="number:[0 TO 9]").get("response", {}).get("numFound") == 10, "")
    assert json.loads(deployment.client.get(f"{TOP}/clusterprops.json")[0]) == {"urlScheme": "http"}
    assert other.collections("LISTALIASES")["aliases"] == {"alias": NAME}
    one.collections("DELETEALIAS", name="alias")
    return ""


def kill_overseer(deployment: Deployment) -> str:
    """kill -9 of the node that is the overseer: the other one takes its work and its shards; then it comes back."""
    cluster, old_name = deployment.cluster, deployment.overseer()
    (old,) = (node for node in cluster.nodes if node.name == old_name)
    (other,) = (node for node in cluster.nodes if node is not old)
    old.kill()
    began = time.monotonic()
    eventually(lambda: deployment.overseer() == other.name, "another overseer", TIMEOUT_S)
    taken_s = time.monotonic() - began
    eventually(lambda: deployment.names("/live_nodes") == [other.name], "one live node", TIMEOUT_S)
    deployment.wait_until_active()
    deployment.add()
    old.launch()
    wait_for(deployment, old)
    deployment.wait_until_active()
    deployment.add()
    return f"the other is the overseer after {taken_s:.1f} s; {deployment.documents} documents on both at the end"


def kill_server(deployment: Deployment) -> str:
    """kill -9 of the server that leads: the nodes keep their sessions, and go on."""
    ensemble, client = deployment.ensemble, deployment.client
    paths = [f"{TOP}/live_nodes/{node.name}" for node in deployment.cluster.nodes]
    before = [client.retry(client.exists, path).ephemeralOwner for path in paths]
    old = ensemble.leader()
    ensemble.kill(old)
    ensemble.wait_until_serving(*ensemble.running)
    deployment.add()
    deployment.node.collections("COLLECTIONPROP", name=NAME, propertyName="key", propertyValue="other")
    ensemble.start(old)
    deployment.add()
    deployment.wait_until_active()
    assert [client.retry(client.exists, path).ephemeralOwner for path in paths] == before
    return f"sessions kept, {deployment.documents} documents"


def remove(deployment: Deployment) -> str:
    """The collection is deleted, the nodes stop, and nothing of them is left but their settings."""
    deployment.node.collections("DELETE", name=NAME)
    eventually(lambda: deployment.names("/collections") == [], "no collection", TIMEOUT_S)
    for node in deployment.cluster.nodes:
        node.stop()
    eventually(lambda: deployment.names("/live_nodes") == [], "no live node")
    found = deployment.ensemble.trees()
    first, *others = found.values()
    assert all(tree == first for tree in others)
    return f"{len(first)} znodes on each server"


STEPS: tuple[tuple[str, Callable[[Deployment], str]], ...] = (
    ("bin/solr zk", prepare),
    ("two nodes start", start),
    ("a collection", collect),
    ("alias and properties", aliases),
    ("the overseer is killed", kill_overseer),
    ("the leading server is killed", kill_server),
    ("all is removed", remove),
)
