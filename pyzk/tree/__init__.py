"""The replicated state: znodes, sessions, ACL lists, quotas, and the three things done with them.

`prepare` turns a write request into a txn against the tree and what is outstanding, `apply` applies a txn, `query`
answers reads; `walk` yields the tree for snapshots. Everything is pure and deterministic: the same txns give the same
tree, byte for byte, on every server. Start with `node` and `tree`. Source: docs/protocol/data-model.md.
"""
