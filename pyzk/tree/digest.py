"""The digest of a tree: the sum of one CRC-32 a znode, version 2 of Apache's.

Znodes below /zookeeper/ do not count. The digest is kept incrementally: whoever changes a znode subtracts its old value
and adds the new one. Source: docs/protocol/client-protocol.md section 11.
"""

from struct import Struct

from zlib_ng.zlib_ng import crc32

DIGESTED = Struct(">qqqqqiiiq")
"""czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion, owner: stored values."""
TREE_DIGEST_MASK = 0xFFFFFFFFFFFFFFFF
ZOOKEEPER_PREFIX = b"/zookeeper/"


def data_crc(path: bytes, data: bytes | None) -> int:
    """CRC-32 over path (root: nothing) and data: the part of a digest that only setData changes."""
    return crc32(data or b"", crc32(b"" if path == b"/" else path))


def node_digest(
    path: bytes,
    crc: int,
    czxid: int,
    mzxid: int,
    pzxid: int,
    ctime: int,
    mtime: int,
    version: int,
    cversion: int,
    aversion: int,
    owner: int,
) -> int:
    """What one znode adds to the digest of the tree; `crc` is its `data_crc`."""
    if path.startswith(ZOOKEEPER_PREFIX):
        return 0
    return crc32(DIGESTED.pack(czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion, owner), crc)
