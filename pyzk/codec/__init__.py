"""Bytes to records and back: jute primitives, frames, the client protocol's requests and replies, txn records.

Pure functions over bytes: no sockets, no files, no clock. All strings of the protocol (paths, schemes, ids) stay raw
UTF-8 bytes here, `None` stands for the wire's null (length -1). Start with `jute`, then `records`, `requests`,
`replies` and `txns`. Source: docs/protocol/client-protocol.md and docs/protocol/storage.md.
"""
