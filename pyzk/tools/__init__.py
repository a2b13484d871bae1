"""The command line: `pyzk-cli`, the shell, and `pyzk` with its subcommands for operators.

Nothing else in pyzk imports this room, and each subcommand is imported when it is used. `shell/` speaks to servers;
`log/`, `snapshot/` and `verify` read their files; `settings` explains their configuration; `top/` watches them.
Source: docs/protocol/operations.md sections 6 and 7; docs/tools.md has examples.
"""
