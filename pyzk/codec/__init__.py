"""Bytes to records and back: jute, frames, requests and replies, txns, and what servers send each other.

Pure functions over bytes: no sockets, no files, no clock. All strings of the protocol (paths, schemes, ids) stay raw
UTF-8 bytes here, `None` stands for the wire's null (length -1). Start with `jute` and `record`, then `records`,
`requests`, `replies` and `txns`; `quorum` and `election` are between the servers of an ensemble. Source:
docs/protocol/client-protocol.md, docs/protocol/storage.md, docs/protocol/zab.md and docs/protocol/election.md.
"""
