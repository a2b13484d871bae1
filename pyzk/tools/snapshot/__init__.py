"""`pyzk snapshot`: dump a snapshot, sum it up by subtree, compare two.

`command` is the command line; `znodes` reads what is shown of a tree, `differences` compares; `formatter` and
`comparer` have the words of Apache's SnapshotFormatter, SnapshotRecursiveSummary and SnapshotComparer.
Source: docs/protocol/operations.md section 7.
"""
