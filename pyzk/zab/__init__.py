"""Agreement: in which order txns are committed, and when.

Pure: events in, effects out, time as an argument; whatever must follow durability is produced only in answer to
`Done(token)`. A standalone server is the same path with a quorum of one. Start with `events`, `effects` and
`broadcast`. Source: docs/protocol/zab.md.
"""
