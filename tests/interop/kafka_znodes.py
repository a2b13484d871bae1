"""What Kafka has left in ZooKeeper, as text that is the same for every run of the same steps.

One line a znode: path, kind, version of the data, ACL, and the data with everything masked that varies by nature:
identities, times, and which broker got what.
"""

import json
import re
from collections import deque
from collections.abc import Iterator

from kazoo.client import KazooClient

# Their values are Kafka's formats; other numbers tell which broker, which epoch.
KEPT = {"version", "status", "port", "jmx_port"}
IDENTITIES = {"id", "topic_id"}
# How often these are written depends on who was faster.
VERSION_VARIES = re.compile(r"/state$|/latest_producer_id_block$|/brokers/topics/[^/]+$|/controller_epoch$|/feature$")
SALTED = re.compile(r"(salt|stored_key|server_key)=[^,]+")


def left_by_kafka(client: KazooClient, top: str) -> str:
    """The znodes below `top`, in sections by the first name of their path."""
    lines: list[str] = []
    section = ""
    for path, line in sorted(_walk(client, top)):
        name = path.removeprefix(top.rstrip("/")).split("/")[1] if path != top else ""
        if name and name != section:
            section = name
            lines.append(f"== /{name}")
        if name:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _walk(client: KazooClient, top: str) -> Iterator[tuple[str, str]]:
    waiting = deque([top])
    while waiting:
        path = waiting.popleft()
        data, stat = client.get(path)
        acls = " ".join(f"{acl.id.scheme}:{acl.id.id}:{acl.perms}" for acl in client.get_acls(path)[0])
        kind = "ephemeral" if stat.ephemeralOwner else "persistent"
        shown = path.removeprefix(top.rstrip("/"))
        version = "-" if VERSION_VARIES.search(shown) else str(stat.version)
        yield path, f"{shown} {kind} v{version} {acls} {masked(data)}"
        waiting += [
            child for name in client.get_children(path) if (child := f"{path.rstrip('/')}/{name}") != "/zookeeper"
        ]


def masked(data: bytes | None) -> str:
    """JSON with its varying values masked and its keys in order; other data as it is."""
    if data is None:
        return "null"
    try:
        return json.dumps(_masked(json.loads(data)), sort_keys=True)
    except ValueError:
        return repr(data)


def _masked(value: object, key: str = "") -> object:
    if isinstance(value, dict):
        return {name: _masked(below, name) for name, below in value.items()}
    if isinstance(value, list):
        return [_masked(below, key) for below in value]
    if key in IDENTITIES:
        return "ID"
    if isinstance(value, int) and key not in KEPT:
        return "N"
    if isinstance(value, str):
        return "N" if value.isdigit() and key not in KEPT else SALTED.sub(r"\1=...", value)
    return value
