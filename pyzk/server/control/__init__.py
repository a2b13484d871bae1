"""Starting, stopping and asking a server: what `zkServer.sh` does, as `pyzk-server VERB`.

`verbs.py` has a function for each verb, `process.py` the pid file and the process behind it, `address.py` where a
server is asked for its status. Source: docs/protocol/operations.md section 5.
"""

VERBS = ("start", "start-foreground", "stop", "restart", "reload", "status", "print-cmd")
"""Here, because the server's own help lists them."""
