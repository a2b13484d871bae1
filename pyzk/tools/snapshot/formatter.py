"""Apache's SnapshotFormatter and SnapshotRecursiveSummary: their lines, in their order."""

import base64
import json
from collections.abc import Iterator

from pyzk.storage.snapshot import Snapshot
from pyzk.tools.javatext import (
    HASH_MAP_CAPACITY,
    date,
    hash_order,
    hexadecimal,
    long_hash,
    padded_hexadecimal,
    text_of,
)
from pyzk.tools.snapshot.znodes import Znode, java_children, subtree_sums, walk
from pyzk.tree.node import data_length_of
from pyzk.tree.tree import Tree

FIRST_INODE = 1001


def formatted(snapshot: Snapshot, *, with_data: bool) -> Iterator[str]:
    """The lines of SnapshotFormatter, with `-d` or without."""
    tree = snapshot.tree
    yield f"ZNode Details (count={tree.node_count}):"
    last_zxid = snapshot.zxid
    for _, path in walk(tree, order=java_children):
        znode = Znode.of(tree, path)
        last_zxid = max(last_zxid, znode.state.mzxid, znode.state.pzxid)
        yield "----"
        yield text_of(path)
        yield from _stat(znode)
        data = znode.data or b""
        yield f"  data = {base64.b64encode(data).decode()}" if with_data else f"  dataLength = {len(data)}"
    yield "----"
    yield "Session Details (sid, timeout, ephemeralCount):"
    for session in hash_order([(long_hash(number), number) for number in tree.sessions], HASH_MAP_CAPACITY):
        owned = len(tree.ephemerals.get(session, ()))
        yield f"{padded_hexadecimal(session)}, {tree.sessions[session]}, {owned}"
    yield "----"
    yield f"Last zxid: 0x{hexadecimal(last_zxid)}"


def _stat(znode: Znode) -> Iterator[str]:
    state = znode.state
    yield f"  cZxid = {padded_hexadecimal(state.czxid)}"
    yield f"  ctime = {date(state.ctime)}"
    yield f"  mZxid = {padded_hexadecimal(state.mzxid)}"
    yield f"  mtime = {date(state.mtime)}"
    yield f"  pZxid = {padded_hexadecimal(state.pzxid)}"
    yield f"  cversion = {state.cversion}"
    yield f"  dataVersion = {state.version}"
    yield f"  aclVersion = {state.aversion}"
    yield f"  ephemeralOwner = {padded_hexadecimal(state.owner)}"


def ncdu(tree: Tree, timestamp_ms: int) -> Iterator[str]:
    """The pieces of SnapshotFormatter's -json, which is ncdu's format: `ncdu -f FILE` browses it."""
    about = {"progname": "SnapshotFormatter.java", "progver": "0.01", "timestamp": timestamp_ms}
    yield f"[1,0,{_compact(about)}"
    parents = list[int]()
    for number, (level, path) in enumerate(walk(tree, order=java_children), FIRST_INODE):
        for parent in reversed(parents):
            if parent >= level:
                parents.pop()
                yield "]"
        has_children = bool(java_children(tree.nodes[path]))
        size = data_length_of(tree.nodes[path])
        name = text_of(path.rpartition(b"/")[2]) or "/"
        node = _compact({"name": name, "asize": size, "dsize": size, "dev": 0, "ino": number})
        yield f",[{node}" if has_children else f",{node}"
        if has_children:
            parents.append(level)
    yield "]" * (len(parents) + 1)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def summary(tree: Tree, start: bytes, depth_max: int) -> Iterator[str]:
    """The lines of SnapshotRecursiveSummary; a depth of 0 is no limit."""
    for sums in subtree_sums(tree, start, java_children):
        if sums.znodes and (depth_max == 0 or sums.depth <= depth_max):
            tab = "--" * sums.depth
            yield f"{tab} {text_of(sums.path)}"
            yield f"{tab}   children: {sums.znodes}"
            yield f"{tab}   data: {sums.data_bytes}"
    yield ""
