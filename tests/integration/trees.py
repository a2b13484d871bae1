"""Whole trees, as a client sees them and as the files hold them, and how two of them differ."""

import shutil
import tempfile
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from pyzk.errors import GapError
from pyzk.server.files import FileDisk
from pyzk.storage.database import Restored, restore
from pyzk.storage.names import Places

OUTSTANDING_MAX = 200
DIFFERENCES_MAX = 10
# The server's own znodes: each implementation stamps them as it likes, and the digest leaves them out.
SYSTEM = "/zookeeper"

Tree = dict[str, tuple[bytes, Any]]


def dump(client: KazooClient, top: str = "/") -> Tree:
    """Data and Stat by path of `top` and everything below it but the server's own znodes, after a sync."""
    client.sync("/")
    tree: Tree = {}
    asked = deque([(top, client.get_async(top), client.get_children_async(top))])
    waiting: deque[str] = deque()
    while asked or waiting:
        while waiting and len(asked) < OUTSTANDING_MAX:
            path = waiting.popleft()
            asked.append((path, client.get_async(path), client.get_children_async(path)))
        path, content, children = asked.popleft()
        try:
            tree[path] = content.get()
            below = children.get()
        except NoNodeError:
            continue  # deleted between the look at its parent and the look at it
        waiting.extend(child for name in below if (child := f"{path.rstrip('/')}/{name}") != SYSTEM)
    return tree


def differences(one: Mapping[str, Any], other: Mapping[str, Any], names: tuple[str, str]) -> list[str]:
    """Sentences on what is in `one` and not so in `other`; at most DIFFERENCES_MAX, and how many more there are."""
    found = [f"{path} is only on {names[0]}" for path in sorted(one.keys() - other.keys())]
    found += [f"{path} is only on {names[1]}" for path in sorted(other.keys() - one.keys())]
    for path in sorted(one.keys() & other.keys()):
        if one[path] != other[path]:
            found.append(f"{path} is {one[path]} on {names[0]} and {other[path]} on {names[1]}")
    more = len(found) - DIFFERENCES_MAX
    return found if more <= 0 else [*found[:DIFFERENCES_MAX], f"... and {more} more"]


def files_of(data_directory: Path) -> tuple[int, int]:
    """Last zxid and digest of the tree that a server's snapshot and log make, from a copy; the server is stopped."""
    restored = restored_copy(data_directory)
    return restored.last_zxid, restored.tree.digest


def has_gap(data_directory: Path) -> bool:
    """Whether txns are missing in the middle of a server's log; it may run meanwhile."""
    try:
        return any("no txns between" in note for note in restored_copy(data_directory).notes)
    except GapError:
        return True


def restored_copy(data_directory: Path) -> Restored:
    with tempfile.TemporaryDirectory(prefix="files-") as folder:
        copy = Path(folder) / "data"
        shutil.copytree(data_directory, copy)
        return restore(FileDisk(), Places.of(str(copy)))
