"""The HTTP side of a server: commands for operators, health checks, metrics. Imported only where it is switched on.

`gate` bounds what strangers can take of the event loop, `commands` is the table of commands with what they answer,
`transfer` sends and takes snapshots, `health` is for probes, `server` puts it together.
Source: docs/protocol/operations.md section 2.
"""
