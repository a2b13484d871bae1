"""Apache's files over a small Disk port: txn log, snapshots, epoch files, and what is restored from them.

Pure above the port: nothing here imports os, threads or clocks. `disk` has the port and its in-memory twin, which
forgets at a crash what was never synced; the real disk is `pyzk.server.files`. Read `names`, then `txnlog` (writing),
`logreader` (one file), `history` (all files in order), `snapshot`, and `database`, which puts them together.
Source: docs/protocol/storage.md; what we do differently is in docs/storage.md.
"""
